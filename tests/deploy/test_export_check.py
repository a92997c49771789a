"""The check after an export accepts rounding and refuses every other difference."""

import copy

import numpy as np
import pytest
import torch
from exported_nets import images, network, plain
from torch import nn

from edanas.core.contracts import Exporter, Runner
from edanas.core.errors import ExportError, WeightsError
from edanas.deploy.export_check import ROUNDING, export_checked
from edanas.deploy.pt2_programs import load_program, program_bytes
from edanas.model.exporting import export


class Answers(Runner):
    """The network's own answers, one thing of which is changed."""

    exit_points = 4

    def __init__(self, change):
        self.answer = plain(network()(images()))
        self.ran = tuple(int((self.answer[1] > before).sum()) for before in (-1, *network().scheme.placed))
        change(self)

    def predict(self, images):
        return tuple(self.answer)

    def backbone(self, images):
        raise NotImplementedError

    def computed(self, images):
        return self.ran


class Changed(Exporter):
    def __init__(self, change, exact=True):
        self.change, self.exact = change, exact

    def export(self, network, stem):
        path = stem.with_name(f"{stem.name}.txt")
        path.write_text("")
        return [path]

    ending = ".txt"

    def open(self, path, threads=1):
        return Answers(self.change)


def wrong_label(runner):
    runner.answer[0][3] = (runner.answer[0][3] + 1) % 10


def wrong_confidence(runner):
    runner.answer[2][3] += 3 * ROUNDING


def all_segments(runner):
    runner.ran = (len(images()),) * 3


def another_exit(runner):
    # The most confident sample at the first exit, which is not within rounding of the threshold.
    at = int(np.where(runner.answer[1] == 1, runner.answer[2], -1).argmax())
    runner.answer[1][at] = 4
    runner.ran = tuple(int((runner.answer[1] > before).sum()) for before in (-1, 1, 3))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (wrong_label, "sample 4 of 28 gives label"),
        (wrong_confidence, "confidence"),
        (all_segments, r"segments ran for \(28, 28, 28\) samples"),
        (another_exit, "at exit 5"),
    ],
)
def test_an_export_that_differs_is_refused_and_removed(change, text, tmp_path):
    with pytest.raises(ExportError, match=text):
        export_checked(Changed(change), network(), tmp_path / "net", images())
    assert not list(tmp_path.iterdir())


def failing(runner):
    raise RuntimeError("no kernel\nfor this operator")


def failing_later(runner):
    runner.predict = failing


@pytest.mark.parametrize("change", [failing, failing_later])
def test_a_runtime_that_fails_is_one_error_and_leaves_nothing_behind(change, tmp_path):
    with pytest.raises(ExportError, match=r"net\.txt: cannot be run: RuntimeError: no kernel for this"):
        export_checked(Changed(change), network(), tmp_path / "net", images())
    assert not list(tmp_path.iterdir())


def test_a_form_that_is_not_exact_may_answer_otherwise_but_not_compute_more(tmp_path):
    _, check = export_checked(Changed(wrong_label, exact=False), network(), tmp_path / "net", images())
    assert check.same == check.images - 1
    with pytest.raises(ExportError):
        export_checked(Changed(all_segments, exact=False), network(), tmp_path / "net", images())


def test_an_exit_may_differ_where_a_confidence_is_within_rounding_of_its_threshold(tmp_path, monkeypatch):
    sure = network().all_exits(images())[1][:, 0]
    near = [*network().scheme.thresholds]
    left = network()(images()).exit == 1
    near[1] = float(sure[left].min()) - ROUNDING / 2
    monkeypatch.setattr(network(), "_scheme", type(network().scheme)(tuple(near)))
    at = int((left * (sure == sure[left].min())).nonzero()[0, 0])

    def later(runner):
        runner.answer[1][at] = 4
        runner.ran = tuple(int((runner.answer[1] > before).sum()) for before in (-1, 1, 3))

    _, check = export_checked(Changed(later), network(), tmp_path / "net", images())
    assert (check.rounded, check.same) == (1, check.images - 1)


def test_an_export_without_a_loader_is_not_checked(tmp_path):
    class Written(Exporter):
        export = Changed.export

    paths, check = export_checked(Written(), network(), tmp_path / "net", images())
    assert check is None
    assert paths[0].exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_never_exported(value, tmp_path):
    broken = copy.deepcopy(network())
    with torch.no_grad():
        next(broken.parameters()).view(-1)[3] = value
    for form in ("c-header", "pt2", "onnx", "onnx-if"):
        with pytest.raises(WeightsError, match=r"the network: 1 of .* not finite"):
            export(broken, form, tmp_path, "digits")
    with pytest.raises(WeightsError, match="not finite"):
        export_checked(Changed(lambda answers: None), broken, tmp_path / "eenn", images())
    assert not list(tmp_path.iterdir())


def test_a_program_with_weights_that_are_not_finite_is_refused():
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, float("nan"))
    with pytest.raises(WeightsError, match="the program: 1 of 2 tensors holds numbers that are not finite"):
        load_program(program_bytes(layer, (torch.zeros(1, 2),), {}, "linear"))
