from pathlib import Path

import numpy as np
import pytest
import torch
from early_exit_nets import CLASSES, make_eenn
from PIL import Image

import edanas
from edanas.core.costs import executed_per_exit
from edanas.core.errors import ConfigError, DataError, WeightsError
from edanas.core.preprocess import prepare
from edanas.core.types import SelectionScheme
from edanas.model import prediction
from edanas.model.anatomy import Anatomy
from edanas.model.temperature import apply_temperatures
from edanas.thresholds.agreement import AGREE, AgreementHolder
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.stream_budget import HOLD, BudgetHolder
from edanas.thresholds.threshold_paths import calibrated_path


class RecordedProgress:
    """A `Progress`, a bar and its context in one, that records its calls."""

    def __init__(self):
        self.events = []

    def task(self, label, total):
        self.events.append(total)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def advance(self, steps=1, note=""):
        self.events.append(steps)

    def say(self, line):
        self.events.append(line)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with nine images of three sizes and modes, and other files."""
    rng = np.random.default_rng(0)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for number in range(9):
        side = (8, 6, 20)[number % 3]
        pixels = rng.integers(0, 256, (side, side + number % 2, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).convert("L" if number == 4 else "RGB")
        image.save(tmp_path / ("deep/er" if number % 2 else "") / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden" / "x.png").write_text("hidden")
    return tmp_path


def test_a_folder_is_read_in_sorted_order_image_by_image(folder):
    network = make_eenn((0.3, 0.5), channels=3)
    progress = RecordedProgress()
    answers = list(edanas.stream(network, folder, batch_size=4, progress=progress))
    names = [Path(answer.name).relative_to(folder).as_posix() for answer in answers]
    assert names == ["0.png", "2.png", "4.png", "6.png", "8.png", *(f"deep/er/{n}.png" for n in (1, 3, 5, 7))]
    assert progress.events == [9, 4, 4, 1]
    for answer in answers:
        (alone,) = edanas.stream(network, answer.name)
        assert (alone.label, alone.exit) == (answer.label, answer.exit)
        assert alone.confidence == pytest.approx(answer.confidence, abs=1e-6)
        assert answer.class_name == CLASSES[answer.label]


def test_pixels_reach_the_network_as_they_are_stored(folder):
    network = make_eenn((None,), channels=3)
    pixels = torch.from_numpy(np.array(Image.open(folder / "0.png"))).permute(2, 0, 1).unsqueeze(0)
    expected = network.backbone(prepare(pixels, 8, network.mean, network.std).double())
    (answer,) = edanas.stream(network, folder / "0.png")
    assert answer.label == int(expected.argmax())
    grey = make_eenn((None,))
    luma = torch.from_numpy(np.array(Image.open(folder / "0.png").convert("L")))
    (answer,) = edanas.stream(grey, [folder / "0.png"])
    assert answer.label == int(grey(luma.unsqueeze(0)).label)


def test_an_unreadable_image_is_an_error_with_its_name_or_is_skipped(folder):
    network = make_eenn((0.3,), channels=3)
    (folder / "3.jpg").write_text("not an image")
    with pytest.raises(DataError, match=r"3\.jpg: cannot be read as an image"):
        list(edanas.stream(network, folder))
    errors = []
    answers = list(edanas.stream(network, folder, on_unreadable=errors.append, batch_size=1))
    assert len(answers) == 9
    assert [str(error).split(":")[0] for error in errors] == [str(folder / "3.jpg")]


def test_iterables_of_images_and_of_pairs():
    network = make_eenn((0.3,), channels=3)
    images = torch.rand(5, 3, 8, 8)
    expected = network(images)
    progress = RecordedProgress()
    plain = list(edanas.stream(network, (image for image in images), batch_size=2, progress=progress))
    assert [answer.name for answer in plain] == ["1", "2", "3", "4", "5"]
    assert progress.events == [None, 2, 2, 1]
    named = list(edanas.stream(network, [(f"n{at}", image) for at, image in enumerate(images)]))
    assert [answer.name for answer in named] == ["n0", "n1", "n2", "n3", "n4"]
    for answers in (plain, named):
        assert [answer.label for answer in answers] == expected.label.tolist()
        assert [answer.exit - 1 for answer in answers] == expected.exit.tolist()


def test_an_endless_iterator_is_read_at_most_a_batch_ahead():
    network = make_eenn((0.3,))
    images_read = []

    def camera():
        while True:
            images_read.append(0)
            yield np.zeros((8, 8), np.uint8)

    answers = edanas.stream(network, camera(), batch_size=3)
    for _ in range(4):
        next(answers)
    assert len(images_read) == 6


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        (7, "source: found an int"),
        ([torch.zeros(1, 8, 8), torch.zeros(2, 8, 8)], "among 1 to 2: item 2"),
        ([torch.zeros(2, 1, 8, 8)], "found a batch as one item; allowed: one sample for each item"),
    ],
)
def test_wrong_sources(source, message):
    with pytest.raises(DataError, match=message):
        list(edanas.stream(make_eenn((0.3,)), source))


def test_an_empty_folder_and_a_wrong_option_are_refused_first(tmp_path):
    with pytest.raises(DataError, match="no image in this folder or below"):
        list(edanas.stream(make_eenn((0.3,)), tmp_path))
    with pytest.raises(ConfigError, match="compact: found 'x'"):
        list(edanas.stream(make_eenn((0.3,)), "nowhere", compact="x"))


def undecided(count):
    """Return images of two kinds, so that confidences differ between exits."""
    rng = np.random.default_rng(5)
    return torch.from_numpy(rng.random((count, 1, 8, 8)) * rng.random((count, 1, 1, 1)))


def costs_of(network, answers):
    costs_by_exit = executed_per_exit(Anatomy.of(network, 1).costs, network.scheme)
    return costs_by_exit[[answer.exit - 1 for answer in answers]]


@pytest.mark.parametrize("is_described", [False, True])
def test_a_held_stream_costs_its_budget_and_does_not_change_the_network(is_described):
    network, images = make_eenn((0.5, 0.5)), undecided(900)
    apply_temperatures(network, (30.0, 30.0, 30.0))  # so that no confidence is 1
    confidences = network.all_exits(undecided(100))[1][:, :-1].float().numpy()
    network.scheme = own = SelectionScheme(tuple(np.quantile(confidences, 0.1, axis=0).tolist()))
    costs_by_exit = exit_costs(Anatomy.of(network, 1).costs, (0, 1))
    budget = float(costs_by_exit[0] + 0.4 * (costs_by_exit[-1] - costs_by_exit[0]))
    if is_described:
        path = calibrated_path(confidences, own, costs_by_exit, (0.3, 0.3, 0.4))
        network.description[HOLD] = BudgetHolder(own, path, costs_by_exit, budget, 80).to_dict()
    schemes = set()
    answers = []
    for answer in edanas.stream(network, images, hold_macs=None if is_described else budget):
        answers.append(answer)
        schemes.add(network.scheme)
    assert schemes == {own}
    assert costs_of(network, answers[200:]).mean() == pytest.approx(budget, rel=0.05)
    plain = list(edanas.stream(network, images, hold_macs="none"))
    assert [answer.exit - 1 for answer in plain] == network.predict(images).exit.tolist()
    assert costs_of(network, plain).mean() < 0.9 * budget


def test_a_holder_keeps_its_position_for_the_next_stream():
    network = make_eenn((0.99, 0.99))
    costs_by_exit = exit_costs(Anatomy.of(network, 1).costs, (0, 1))
    holders = [prediction.budget_holder(network, float(costs_by_exit.mean())) for _ in range(2)]
    images = undecided(300)
    first = [list(edanas.stream(network, part, hold_macs=holders[0])) for part in images.split(124)]
    whole = list(edanas.stream(network, images, hold_macs=holders[1]))
    assert [answer.exit for part in first for answer in part] == [answer.exit for answer in whole]
    assert holders[0].position == holders[1].position != float(costs_by_exit.mean())


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("5", "hold_macs: found 5 MACs; possible with the placed exits: "),
        ("5m", "hold_macs: found '5m', .* Did you mean '5M'"),
        (0, "hold_macs: found '0'"),
    ],
)
def test_a_budget_that_cannot_be_held_is_refused(budget, message):
    with pytest.raises(ConfigError, match=message):
        next(edanas.stream(make_eenn((0.5, 0.5)), undecided(3), hold_macs=budget))
    with pytest.raises(ConfigError, match="hold_macs: the network has no early exits"):
        next(edanas.stream(make_eenn((None, None)), undecided(3), hold_macs="5k"))


def test_thresholds_stay_if_no_image_costs_more_than_the_budget():
    network, progress = make_eenn((0.5, 0.5)), RecordedProgress()
    answers = list(edanas.stream(network, undecided(9), hold_macs="100G", progress=progress))
    assert answers == list(edanas.stream(network, undecided(9), hold_macs="none"))
    remarks = [line for line in progress.events if "holds with all thresholds" in str(line)]
    assert len(remarks) == 1
    assert remarks[0].endswith("The thresholds do not move.")


def test_a_damaged_description_of_a_holder_is_an_error():
    network = make_eenn((0.5, 0.5))
    network.description[HOLD] = {"exits": [0, 1]}
    with pytest.raises(WeightsError, match="the network's description is damaged: hold: "):
        next(edanas.stream(network, undecided(3)))


def test_a_dynamic_threshold_moves_by_the_answers_of_the_last_exit():
    """The stream equals a loop over the outputs of all exits, image by image within each batch."""
    network, images = make_eenn((0.5, None)), undecided(90)
    labels, confidence = (each.numpy() for each in network.all_exits(images))
    start = float(np.float32(np.median(confidence[:, 0])))
    holder = AgreementHolder(network.scheme, start, target=0.2, period=3, step=0.05)
    network.description[AGREE] = holder.to_dict()
    own, audited, exits = network.scheme, 0, []
    for at in range(0, 90, holder.batch):
        threshold = holder.scheme.thresholds[0]
        numbers = list(range(at, min(at + holder.batch, 90)))
        early = confidence[numbers, 0] >= threshold
        exits += [0 if each else 2 for each in early]
        due = [number for number in numbers if number % 3 == 2]
        holder.note([bool(early[n - at] and labels[n, 0] != labels[n, -1]) for n in due])
        audited += len(due)
    assert audited == 30
    assert len(set(exits)) == 2
    assert [answer.exit - 1 for answer in edanas.stream(network, images)] == exits
    assert network.scheme == own
    still = [answer.exit - 1 for answer in edanas.stream(network, images, hold_macs="none")]
    assert still == network.predict(images).exit.tolist()
    network.description[AGREE] = {**holder.to_dict(), "period": "often"}
    with pytest.raises(WeightsError, match="description is damaged: agree: "):
        next(edanas.stream(network, images))
