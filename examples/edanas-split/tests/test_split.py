"""The objective and the logger keep their contracts, agree with the formula, and work in a search."""

from dataclasses import replace

import edanas
import pytest
import torch
from edanas.core.archive import Archive
from edanas.core.contracts import Specimen
from edanas.core.cut_backbones import completed
from edanas.core.errors import ConfigError
from edanas.core.types import Backbone, Metrics, SegmentCost, Task
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.testing import check_criterion, check_logger, check_objective
from edanas.testing.toy_networks import ToyProvider
from sklearn.metrics import roc_auc_score

from edanas_split import DeviceShare, MetaInformation, SplitCost

METRICS = Metrics(
    accuracy=0.9,
    utilization=(0.0, 0.7, 0.1, 0.2),
    exit_accuracy=(None, 0.9, 0.9, 0.9),
    ada_macs=1.0,
    executed_macs=1.0,
    backbone_accuracy=0.9,
    backbone_macs=9_000,
    params=1,
    activations=1,
    exit_macs=(None, 4_000.0, 7_000.0, 9_500.0),
)


def test_the_objective_conforms():
    check_objective(SplitCost())


def test_the_logger_conforms():
    check_logger(DeviceShare)


def test_the_device_computes_up_to_the_first_exit_and_sends_for_who_is_not_sure():
    objective = SplitCost(per_byte=10.0)
    (meter,) = objective.meters
    # The sums of the engine: 256 bytes at the first placed exit, 64 more at the second, then those of the image.
    metrics = replace(METRICS, exit_figures={meter.name: (None, 256.0, 320.0, 1_088.0)})
    assert objective.value(metrics) == pytest.approx(4_000 + 0.3 * 10 * 256)


def test_without_exits_the_image_is_sent_and_nothing_is_computed():
    objective = SplitCost(per_byte=10.0)
    alone = replace(
        METRICS,
        utilization=(0.0, 0.0, 0.0, 1.0),
        exit_macs=(None, None, None, 9_000.0),
        exit_figures={objective.meters[0].name: (None, None, None, 768.0)},
    )
    assert objective.value(alone) == 7_680


def test_what_is_sent_are_the_features_in_bytes():
    def features(*shape):
        return SegmentCost(macs=100, params=10, activations=1, shape=shape)

    stages = features(4, 8, 8), features(6, 4, 4), features(8, 2, 2)
    head = features(10, 1, 1)
    backbone = Backbone.of({"resolution": 8})
    specimen = Specimen(backbone, ToyProvider(), Task(3, 10), stages, (head, head), head, lambda: None)
    figures = SplitCost(element_bytes=4).meters[0].figures(specimen)
    assert (figures.stages, figures.heads, figures.last) == ((0, 0, 0), (4 * 256, 4 * 96), 3 * 8 * 8)


@pytest.mark.parametrize(("send", "sent"), [("features", 4 * 96), ("sample", 192), ("less", 192)])
def test_what_is_sent_is_the_features_or_the_sample(send, sent):
    features = SegmentCost(macs=100, params=10, activations=1, shape=(6, 4, 4))
    head = SegmentCost(macs=100, params=10, activations=1, shape=(10, 1, 1))
    stages = (features, features)
    specimen = Specimen(
        Backbone.of({"resolution": 8}), ToyProvider(), Task(3, 10), stages, (head,), head, lambda: None
    )
    objective = SplitCost(per_byte=10.0, element_bytes=4, send=send, per_transfer=500.0)
    (meter,) = objective.meters
    assert meter.figures(specimen).heads == (sent,)
    metrics = replace(METRICS, exit_figures={meter.name: (None, float(sent), 320.0, 1_088.0)})
    assert objective.value(metrics) == pytest.approx(4_000 + 0.3 * (500 + 10 * sent))


def test_the_criterion_conforms():
    check_criterion(MetaInformation())


def test_the_decision_learns_which_answers_are_wrong():
    """Confident answers for class 0 are wrong here; their meta-information has a third class close behind."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(1, 4, (400,), generator=generator)
    logits = torch.randn(400, 4, generator=generator)
    logits[torch.arange(400), labels] += 3.0
    wrong = torch.rand(400, generator=generator) < 0.3
    logits[wrong, 0] = logits[wrong].amax(dim=1) + 4.0
    criterion = MetaInformation().build(4, 0)
    criterion.fit([logits[:200]], labels[:200], (0,))
    with torch.no_grad():
        decision = criterion.after([logits[200:]], (0,))
    correct = logits[200:].argmax(dim=1) == labels[200:]
    assert roc_auc_score(correct, decision) > 0.8


@pytest.mark.parametrize(
    ("option", "value"), [("per_byte", -1.0), ("element_bytes", 0), ("per_transfer", -2.0), ("send", "both")]
)
def test_an_option_out_of_range_is_named(option, value):
    with pytest.raises(ConfigError, match=rf"objectives\.{option}: found '?{value}"):
        SplitCost(**{option: value})


SETTINGS = {
    "device": "cpu",
    "threads": 1,
    "surrogates": ["rbf"],
    "thresholds": [0.1, 0.4, "none"],
    "recalibration": 32,
    "objectives": ["accuracy", {"name": "split-cost", "per_byte": 50.0}],
    "supernet": {
        "name": "ofa-mbv3",
        "widths": [0.1],
        "resolutions": [8],
        "depths": [1],
        "kernels": [3, 5],
        "expansions": [3, 4, 6],
        "stem_stride": 1,
        "stage_strides": [2, 2, 1, 1, 2],
    },
    "strategy": "random",
    "loggers": ["device-share"],
    "search": {"initial": 4, "iterations": 1, "per_iteration": 1, "results": 1},
    "training": {"epochs": 1, "batch_size": 256},
    "finetune": {"epochs": 0},
    "baseline": {"epochs": 0},
}


def test_a_search_knows_what_the_features_at_the_first_exit_are(tmp_path):
    result = edanas.search(plugin="mbv3-sm", settings=SETTINGS, out=tmp_path / "run")
    with Archive(result.folder, read_only=True) as archive:
        evaluations = [evaluation for _, evaluation in archive.replay() if evaluation.candidate.scheme.exits]
    options = {key: value for key, value in SETTINGS["supernet"].items() if key != "name"}
    for evaluation in evaluations:
        first = evaluation.candidate.scheme.placed[0]
        provider = OFAMobileNetV3Provider(**options)
        whole = completed(evaluation.candidate.backbone, provider.variables())
        net = provider.build(whole, Task(1, 10)).eval()
        features = torch.zeros(1, 1, 8, 8)
        for stage in net.stages[: first + 1]:
            features = stage(features)
        sent = SplitCost().meters[0].by_exit(evaluation.metrics)
        assert sent[first] == features.numel()
        assert SplitCost().value(evaluation.metrics) >= evaluation.metrics.exit_macs[first]
    assert evaluations
    table = (result.folder / "split.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table[1:]] == [each.id for each in evaluated(result)]


def test_the_table_goes_with_the_run_that_it_is_of(tmp_path):
    out = tmp_path / "run"
    for seed in (0, 1):
        result = edanas.search(plugin="mbv3-sm", settings={**SETTINGS, "seed": seed}, out=out, overwrite=True)
        assert len((out / "split.csv").read_text().splitlines()) == 1 + len(evaluated(result))


def evaluated(result):
    with Archive(result.folder, read_only=True) as archive:
        return [evaluation.candidate for _, evaluation in archive.replay() if evaluation.ok]
