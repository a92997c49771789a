from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from early_exit_nets import make_eenn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from edanas.core.errors import ConfigError, DataError, EdanasError
from edanas.exits.criteria import Patience, ScoreMargin
from edanas.exits.gates import LearnedGate
from edanas.exits.inference import Aggregate, EarlyStop
from edanas.exits.scheduler import Scheduler
from edanas.model.runtime import ALWAYS, NEVER, classify, select_rows
from edanas.model.throughput import SIZES, Throughput, Times


class Drawn:
    """Decides at random: whatever a measurement could say, it says at some time."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def chunk(self, segment: int, count: int) -> int:
        return int(self.rng.integers(1, count + 2))

    def pays(self, segment: int, carried: int, staying: int) -> bool:
        return bool(self.rng.integers(2))


class Waits(TorchDispatchMode):
    """Counts the operators by which the host waits for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select"):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def pictures(count: int, seed: int = 0, channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, 8, 8), dtype=torch.uint8, generator=generator)


def equal(one, other) -> None:
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
def test_however_a_batch_is_carried_each_sample_gets_what_it_gets_alone(scheme, count, seed):
    network = make_eenn(scheme, seed=seed)
    images = pictures(count, seed)
    with torch.no_grad():
        alone = [network(image) for image in images]
        for rule in (ALWAYS, NEVER, Drawn(seed)):
            found = classify(network.segments(), images, rule)
            for at, single in enumerate(alone):
                equal(type(found)(*(each[at : at + 1] for each in found)), single)


def by_hand(network, image):
    """Label, exit and confidence of one image by the definitions, with nothing carried along."""
    logits = dict(zip((*network.points, network.exit_points), network.answering_logits(image), strict=True))
    ran, answers = [], []
    for at in (*network.scheme.placed, network.exit_points):
        ran.append(at)
        kept = ran if network.inference.memory else ran[-1:]
        answers.append(network.inference([logits[each] for each in kept], kept))
        kept = len(ran) if network.criterion.memory else 1
        sure = network.criterion.after(answers[-kept:], ran[-kept:])
        if at == network.exit_points or float(sure) >= network.scheme.thresholds[at]:
            break
    return int(answers[-1].argmax()), at, float(sure)


@settings(max_examples=40)
@given(
    scheme=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4).map(tuple),
    criterion=st.sampled_from([ScoreMargin(), Patience(2), Patience(3), Scheduler(), LearnedGate()]),
    inference=st.sampled_from([EarlyStop(), Aggregate("mean"), Aggregate("geometric"), Aggregate("learned")]),
    seed=st.integers(0, 999),
)
def test_what_earlier_exits_said_goes_along_with_each_sample(scheme, criterion, inference, seed):
    network = make_eenn(scheme, seed=seed, criterion=criterion, inference=inference)
    images = pictures(7, seed)
    for learned in (network.criterion, network.inference):
        for weight in learned.parameters() if isinstance(learned, torch.nn.Module) else ():
            torch.nn.init.normal_(weight)
    with torch.no_grad():
        alone = [by_hand(network, image) for image in images]
        for rule in (ALWAYS, NEVER, Drawn(seed)):
            found = classify(network.segments(), images, rule)
            assert list(zip(found.label.tolist(), found.exit.tolist(), strict=True)) == [a[:2] for a in alone]
            assert found.confidence.tolist() == pytest.approx([each[2] for each in alone], abs=1e-6)


@pytest.mark.parametrize("shape", [(5, 3, 4, 2), (5, 1, 4, 4), (5, 3, 1, 1), (5, 7), (5, 2, 3)])
@pytest.mark.parametrize("rows", [[], [0], [1, 4], [0, 1, 2, 3, 4]])
def test_picked_samples_lie_in_memory_as_they_lay(shape, rows):
    plain = torch.randn(shape)
    at = torch.tensor(rows, dtype=torch.int64)
    assert torch.equal(select_rows(plain, at), plain[at])
    if len(shape) == 4:
        last = plain.to(memory_format=torch.channels_last)
        found = select_rows(last, at)
        assert torch.equal(found, plain[at])
        assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("compact", ["always", "never", "auto"])
@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_predict_is_the_call_for_any_way_to_carry(compact, batch_size):
    network = make_eenn((0.3, None, 0.99999))
    images = pictures(40)
    expected = network(images)
    assert len(set(expected.exit.tolist())) == 3
    for _ in range(2):
        equal(network.predict(images, compact=compact, batch_size=batch_size), expected)


def test_auto_measures_once_it_is_worth_it_and_remembers():
    network = make_eenn((0.3, None, 0.99999))
    pace = network.rule("auto", torch.device("cpu"))
    assert network.rule("auto", torch.device("cpu")) is pace
    images = pictures(16)
    network.predict(images)
    assert pace.times.sizes == ()
    for _ in range(30):
        network.predict(images)
    assert pace.times.sizes == (1, 4, 16)
    before = pace.times
    network.predict(images)
    assert pace.times is before
    network.scheme = (0.1, 0.1, 0.1)
    assert network.rule("auto", torch.device("cpu")) is not pace


def test_auto_follows_a_change_of_precision():
    network = make_eenn((0.3, None, 0.99999))
    images = pictures(16)
    expected = network.predict(images)
    network.double()
    for _ in range(31):
        equal(network.predict(images), expected)
    assert network.rule("auto", torch.device("cpu")).times.sizes == (1, 4, 16)


def test_threads_share_what_was_measured():
    """Sizes are asked for while others are measured; none must be measured twice."""
    network = make_eenn((0.3, 0.6, 0.99999))
    pace = network.rule("auto", torch.device("cpu"))

    def use(count: int) -> None:
        for staying in range(1, count):
            pace.chunk(0, count)
            pace.pays(0, count, staying)
        pace.measure(count)
        for segment in range(4):
            assert pace.times.seconds(segment, count) > 0.0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, [4, 256, 16, 64, 256, 8, 1, 256] * 3))
    assert pace.times.sizes == SIZES
    assert {len(each) for each in (*pace.times.running, *pace.times.moving)} == {len(SIZES)}


def timed(running: list[list[float]], moving: list[list[float]]) -> Throughput:
    """A pace whose seconds are given, for a network of that many segments."""
    network = make_eenn((0.5,) * (len(running) - 1))
    pace = Throughput(network.segments(), pictures(1))
    pace.times = Times(SIZES, tuple(map(tuple, running)), tuple(map(tuple, moving)))
    return pace


def test_compaction_pays_where_what_is_saved_exceeds_the_move():
    proportional = [1.0 * size for size in SIZES]
    flat = [1.0] * len(SIZES)
    free, dear = [0.0] * len(SIZES), [100.0] * len(SIZES)
    assert timed([proportional, proportional], [free, free]).break_even(0, 256) == 1 / 256
    # Moving takes as long as 100 samples through the rest: more than 100 must leave.
    assert timed([proportional, proportional], [dear, dear]).break_even(0, 256) == 101 / 256
    assert timed([proportional, proportional], [dear, dear]).break_even(0, 64) is None
    assert timed([flat, flat], [free, free]).break_even(0, 256) is None
    # From the first exit on, two segments follow.
    three = timed([proportional] * 3, [dear] * 3)
    assert three.break_even(0, 256) == 51 / 256
    assert three.break_even(1, 256) == 101 / 256


def test_chunks_are_where_a_sample_takes_least():
    leaking = [1.0, 4.0, 8.0, 64.0, 512.0]
    steady = [10.0, 10.5, 11.0, 12.0, 20.0]
    pace = timed([leaking, steady], [[0.0] * 5] * 2)
    assert pace.chunk(0, 256) == 16
    assert pace.chunk(1, 256) == 256
    assert pace.times.seconds(0, 40) == pytest.approx(8 + 8 + 4 + (8 - 4) * (8 - 4) / 12)
    assert pace.times.seconds(1, 512) == 40.0


@pytest.mark.parametrize("compact", ["always", "never"])
@pytest.mark.parametrize("count", [1, 7])
def test_the_host_waits_at_most_once_an_exit(compact, count):
    network = make_eenn((1.0, 1.0, None, 1.0))
    images = pictures(count)
    with torch.no_grad(), Waits() as waits:
        rule = network.rule(compact, torch.device("cpu"))
        found = classify(network.segments(), images, rule)
    assert found.exit.tolist() == [4] * count
    assert len(waits.seen) == 3


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
        equal(network.predict(kind, batch_size=4), expected)
    for single in (images[0], last[0]):
        assert network.predict(single).label.tolist() == expected.label[:1].tolist()
    grey = make_eenn((0.05,))
    assert grey.predict(np.zeros((9, 11), np.uint8)).label.shape == (1,)


def test_images_of_an_iterable_may_differ_in_size():
    network = make_eenn((0.05, 0.1))
    images = [torch.rand(1, side, 13 - side // 2) for side in (8, 9, 12, 8)]
    expected = [network(image) for image in images]
    found = network.predict(images)
    equal(found, type(found)(*(torch.cat(each) for each in zip(*expected, strict=True))))


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


def test_no_image_is_no_answer():
    network = make_eenn((0.5,))
    for nothing in ([], torch.zeros(0, 1, 8, 8), np.zeros((0, 1, 8, 8), np.uint8)):
        found = network.predict(nothing)
        assert [each.tolist() for each in found] == [[], [], []]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("cat.jpg", r"found a str; allowed: a tensor.*edanas\.stream"),
        (7, "found a int"),
        ([torch.zeros(1, 8, 8), torch.zeros(2, 8, 8)], r"image 2 of the iterable: .*shape \(2, 8, 8\)"),
        (np.zeros((4, 8, 8), np.uint8), r"shape \(4, 8, 8\); allowed: \(1, H, W\), \(H, W, 1\)"),
        (np.zeros((8, 8), np.int64), "values of type int64"),
        (np.full((8, 8), 255.0), "floats from 255"),
    ],
)
def test_what_is_no_image_is_one_clear_error(images, message):
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
    found = make_eenn((0.5,)).predict(pictures(2))
    for each in found:
        each += 1  # what torch's inference mode made could not be changed
