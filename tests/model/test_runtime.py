from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from early_exit_nets import make_eenn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from edanas.core.errors import ConfigError, DataError, EdanasError
from edanas.exits.correctness import Correctness
from edanas.exits.criteria import Patience, ScoreMargin
from edanas.exits.gates import LearnedGate
from edanas.exits.inference import Aggregate, EarlyStop
from edanas.model.runtime import ALWAYS, NEVER, classify, select_rows
from edanas.model.throughput import SIZES, Throughput, Times


class RandomCompaction:
    """A compaction that decides at random, so that it covers every possible measurement."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def chunk(self, segment: int, count: int) -> int:
        return int(self.rng.integers(1, count + 2))

    def pays(self, segment: int, carried: int, staying: int) -> bool:
        return bool(self.rng.integers(2))


class WaitCounter(TorchDispatchMode):
    """Counts the operators for which the host waits for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select"):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def pictures(count: int, seed: int = 0, channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, 8, 8), dtype=torch.uint8, generator=generator)


def check_equal(one, other) -> None:
    assert one.exit.tolist() == other.exit.tolist()
    assert one.label.tolist() == other.label.tolist()
    assert one.confidence.tolist() == pytest.approx(other.confidence.tolist(), abs=1e-6)


thresholds = st.one_of(st.none(), st.floats(0.0, 1.0))


@settings(max_examples=50)
@given(
    scheme=st.lists(thresholds, min_size=1, max_size=4).map(tuple),
    count=st.integers(1, 12),
    seed=st.integers(0, 999),
)
def test_compaction_does_not_change_predictions(scheme, count, seed):
    network = make_eenn(scheme, seed=seed)
    images = pictures(count, seed)
    with torch.no_grad():
        alone = [network(image) for image in images]
        for rule in (ALWAYS, NEVER, RandomCompaction(seed)):
            prediction = classify(network.segments(), images, rule)
            for at, single in enumerate(alone):
                check_equal(type(prediction)(*(each[at : at + 1] for each in prediction)), single)


def by_hand(network, image):
    """Return label, exit and confidence of one image by the definitions, without carried state."""
    logits = dict(zip((*network.points, network.exit_points), network.answering_logits(image), strict=True))
    ran, answers = [], []
    for at in (*network.scheme.placed, network.exit_points):
        ran.append(at)
        used = ran if network.inference.memory else ran[-1:]
        answers.append(network.inference([logits[each] for each in used], used))
        used = len(ran) if network.criterion.memory else 1
        confidence = network.criterion.after(answers[-used:], ran[-used:])
        if at == network.exit_points or float(confidence) >= network.scheme.thresholds[at]:
            break
    return int(answers[-1].argmax()), at, float(confidence)


@settings(max_examples=40)
@given(
    scheme=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4).map(tuple),
    criterion=st.sampled_from([ScoreMargin(), Patience(2), Patience(3), Correctness(), LearnedGate()]),
    inference=st.sampled_from([EarlyStop(), Aggregate("mean"), Aggregate("geometric"), Aggregate("learned")]),
    seed=st.integers(0, 999),
)
def test_the_memory_of_earlier_exits_stays_with_its_sample(scheme, criterion, inference, seed):
    network = make_eenn(scheme, seed=seed, criterion=criterion, inference=inference)
    images = pictures(7, seed)
    for learned in (network.criterion, network.inference):
        for weight in learned.parameters() if isinstance(learned, torch.nn.Module) else ():
            torch.nn.init.normal_(weight)
    with torch.no_grad():
        alone = [by_hand(network, image) for image in images]
        for rule in (ALWAYS, NEVER, RandomCompaction(seed)):
            prediction = classify(network.segments(), images, rule)
            answers = list(zip(prediction.label.tolist(), prediction.exit.tolist(), strict=True))
            assert answers == [each[:2] for each in alone]
            assert prediction.confidence.tolist() == pytest.approx([each[2] for each in alone], abs=1e-6)


@pytest.mark.parametrize("shape", [(5, 3, 4, 2), (5, 1, 4, 4), (5, 3, 1, 1), (5, 7), (5, 2, 3)])
@pytest.mark.parametrize("rows", [[], [0], [1, 4], [0, 1, 2, 3, 4]])
def test_selected_rows_keep_their_memory_format(shape, rows):
    plain = torch.randn(shape)
    at = torch.tensor(rows, dtype=torch.int64)
    assert torch.equal(select_rows(plain, at), plain[at])
    if len(shape) == 4:
        last = plain.to(memory_format=torch.channels_last)
        selected = select_rows(last, at)
        assert torch.equal(selected, plain[at])
        assert selected.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("compact", ["always", "never", "auto"])
@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_predict_equals_a_call_for_every_compaction(compact, batch_size):
    network = make_eenn((0.3, None, 0.99999))
    images = pictures(40)
    expected = network(images)
    assert len(set(expected.exit.tolist())) == 3
    for _ in range(2):
        check_equal(network.predict(images, compact=compact, batch_size=batch_size), expected)


def test_auto_measures_after_enough_samples_and_remembers():
    network = make_eenn((0.3, None, 0.99999))
    throughput = network.rule("auto", torch.device("cpu"))
    assert network.rule("auto", torch.device("cpu")) is throughput
    images = pictures(16)
    network.predict(images)
    assert throughput.times.sizes == ()
    for _ in range(30):
        network.predict(images)
    assert throughput.times.sizes == (1, 4, 16)
    before = throughput.times
    network.predict(images)
    assert throughput.times is before
    network.scheme = (0.1, 0.1, 0.1)
    assert network.rule("auto", torch.device("cpu")) is not throughput


def test_auto_follows_a_change_of_precision():
    network = make_eenn((0.3, None, 0.99999))
    images = pictures(16)
    expected = network.predict(images)
    network.double()
    for _ in range(31):
        check_equal(network.predict(images), expected)
    assert network.rule("auto", torch.device("cpu")).times.sizes == (1, 4, 16)


def test_threads_share_measurements():
    """Threads request sizes while others are measured; no size may be measured twice."""
    network = make_eenn((0.3, 0.6, 0.99999))
    throughput = network.rule("auto", torch.device("cpu"))

    def use(count: int) -> None:
        for staying in range(1, count):
            throughput.chunk(0, count)
            throughput.pays(0, count, staying)
        throughput.measure(count)
        for segment in range(4):
            assert throughput.times.seconds(segment, count) > 0.0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, [4, 256, 16, 64, 256, 8, 1, 256] * 3))
    assert throughput.times.sizes == SIZES
    assert {len(each) for each in (*throughput.times.running, *throughput.times.moving)} == {len(SIZES)}


def throughput_of(running: list[list[float]], moving: list[list[float]]) -> Throughput:
    """Return a throughput with the given seconds, for a network of that many segments."""
    network = make_eenn((0.5,) * (len(running) - 1))
    throughput = Throughput(network.segments(), pictures(1))
    throughput.times = Times(SIZES, tuple(map(tuple, running)), tuple(map(tuple, moving)))
    return throughput


def test_compaction_pays_if_the_saved_time_exceeds_the_move():
    proportional = [1.0 * size for size in SIZES]
    flat = [1.0] * len(SIZES)
    free, dear = [0.0] * len(SIZES), [100.0] * len(SIZES)
    assert throughput_of([proportional, proportional], [free, free]).break_even(0, 256) == 1 / 256
    # Moving takes as long as 100 samples through the rest: more than 100 must exit.
    assert throughput_of([proportional, proportional], [dear, dear]).break_even(0, 256) == 101 / 256
    assert throughput_of([proportional, proportional], [dear, dear]).break_even(0, 64) is None
    assert throughput_of([flat, flat], [free, free]).break_even(0, 256) is None
    # From the first exit on, two segments follow.
    three = throughput_of([proportional] * 3, [dear] * 3)
    assert three.break_even(0, 256) == 51 / 256
    assert three.break_even(1, 256) == 101 / 256


def test_the_fastest_chunk_is_chosen():
    leaking = [1.0, 4.0, 8.0, 64.0, 512.0]
    steady = [10.0, 10.5, 11.0, 12.0, 20.0]
    throughput = throughput_of([leaking, steady], [[0.0] * 5] * 2)
    assert throughput.chunk(0, 256) == 16
    assert throughput.chunk(1, 256) == 256
    assert throughput.times.seconds(0, 40) == pytest.approx(8 + 8 + 4 + (8 - 4) * (8 - 4) / 12)
    assert throughput.times.seconds(1, 512) == 40.0


@pytest.mark.parametrize("compact", ["always", "never"])
@pytest.mark.parametrize("count", [1, 7])
def test_the_host_waits_at_most_once_per_exit(compact, count):
    network = make_eenn((1.0, 1.0, None, 1.0))
    images = pictures(count)
    with torch.no_grad(), WaitCounter() as waits:
        rule = network.rule(compact, torch.device("cpu"))
        prediction = classify(network.segments(), images, rule)
    assert prediction.exit.tolist() == [4] * count
    assert len(waits.names) == 3


def test_all_kinds_of_images_are_the_same_images():
    network = make_eenn((0.05, 0.1), channels=3)
    images = pictures(5, channels=3)
    expected = network(images)
    last = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    kinds = (
        images.numpy(),
        last,
        (last / 255.0).astype(np.float32),
        images / 255.0,
        list(images),
        (image for image in last),
        [images[:2], images[2], last[3:]],
        torch.utils.data.DataLoader(images, batch_size=2),
    )
    for kind in kinds:
        check_equal(network.predict(kind, batch_size=4), expected)
    for single in (images[0], last[0]):
        assert network.predict(single).label.tolist() == expected.label[:1].tolist()
    grey = make_eenn((0.05,))
    assert grey.predict(np.zeros((9, 11), np.uint8)).label.shape == (1,)


def test_images_of_an_iterable_may_differ_in_size():
    network = make_eenn((0.05, 0.1))
    images = [torch.rand(1, side, 13 - side // 2) for side in (8, 9, 12, 8)]
    expected = [network(image) for image in images]
    prediction = network.predict(images)
    check_equal(prediction, type(prediction)(*(torch.cat(each) for each in zip(*expected, strict=True))))


def test_an_iterable_is_read_a_batch_at_a_time():
    network = make_eenn((0.0,))
    read, done = [], []
    network.backbone.stages[0].register_forward_hook(lambda *_: done.append(len(read)))

    def images():
        for image in pictures(5):
            read.append(0)
            yield image

    assert network.predict(images(), batch_size=2).exit.tolist() == [0] * 5
    assert done == [2, 4, 5]


def test_no_images_give_an_empty_prediction():
    network = make_eenn((0.5,))
    for nothing in ([], torch.zeros(0, 1, 8, 8), np.zeros((0, 1, 8, 8), np.uint8)):
        prediction = network.predict(nothing)
        assert [each.tolist() for each in prediction] == [[], [], []]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("cat.jpg", r"found a str; allowed: a tensor.*edanas\.stream"),
        (7, "found an int"),
        ([torch.zeros(1, 8, 8), torch.zeros(2, 8, 8)], r"item 2 of the iterable: .*shape \(2, 8, 8\)"),
        (np.zeros((4, 8, 8), np.uint8), r"shape \(4, 8, 8\); allowed: \(1, H, W\), \(H, W, 1\)"),
        (np.zeros((8, 8), np.int64), "values of type int64"),
        (np.full((8, 8), 255.0), "floats from 255"),
    ],
)
def test_other_values_than_images_are_an_error(images, message):
    with pytest.raises(DataError, match=message):
        make_eenn((0.5,)).predict(images)


def test_wrong_ways_to_predict():
    network = make_eenn((0.5,))
    with pytest.raises(ConfigError, match="batch_size: found 0; allowed: 1 or more"):
        network.predict([], batch_size=0)
    with pytest.raises(ConfigError, match=r"compact: found 'alway'\. Did you mean 'always'\?"):
        network.predict([], compact="alway")
    with pytest.raises(EdanasError, match="training mode"):
        make_eenn((0.5,)).train().predict([])


def test_predictions_are_plain_tensors():
    prediction = make_eenn((0.5,)).predict(pictures(2))
    for each in prediction:
        each += 1  # tensors of torch's inference mode could not be changed
