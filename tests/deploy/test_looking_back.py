"""Every form hands on the memory of earlier exits, and holds learned weights."""

import functools

import pytest
import torch

from edanas.core.contracts import ConfidenceCriterion, InferenceRule
from edanas.core.errors import EdanasError
from edanas.core.space import SearchSpace
from edanas.core.types import Task
from edanas.deploy.executorch_export import ExecutorchExporter
from edanas.deploy.export_check import export_checked
from edanas.deploy.onnx_export import OnnxExporter
from edanas.deploy.onnx_if_export import OnnxIfExporter
from edanas.deploy.onnx_int8_export import OnnxInt8Exporter
from edanas.deploy.pt2_export import Pt2CondExporter, Pt2Exporter
from edanas.exits.correctness import Correctness
from edanas.exits.criteria import Entropy, MaxProbability, Patience, ScoreMargin
from edanas.exits.earlier_exits import Boosted, ZeroTimeWaste
from edanas.exits.gates import LearnedGate
from edanas.exits.inference import Aggregate, EarlyStop
from edanas.model.eenn import EENN
from edanas.model.fitting import fit
from edanas.testing.toy_networks import PoolLinear, ToyProvider, toy_images

SAMPLES = toy_images(40, seed=1)


@functools.cache
def network(criterion: ConfidenceCriterion, inference: InferenceRule) -> EENN:
    """A network with two exits: half of the rest exits at each, and no confidence is near a threshold."""
    provider = ToyProvider()
    torch.manual_seed(0)
    built = EENN(
        provider.build(SearchSpace(provider.variables(), (None,), 2).largest(), Task(1, 4)),
        {at: PoolLinear(8, 4) for at in range(2)},
        (0.5, 0.5),
        criterion.build(4, 2),
        mean=(0.4,),
        std=(0.25,),
        classes=SAMPLES.classes,
        inference=inference.build(4, 2),
    ).eval()
    for parameter in built.parameters():
        parameter.data.mul_(3.0)
    fit(built, SAMPLES)
    sure = built.all_exits(SAMPLES.images)[1]
    staying = torch.ones(len(sure), dtype=torch.bool)
    thresholds = []
    for column in sure.T[:2]:
        values = torch.cat([column[staying], torch.ones(1)]).unique()
        inner = slice(len(values) // 4, max(1, len(values) * 3 // 4))
        gap = values.diff()[inner].argmax() + inner.start
        thresholds.append(float(values[gap : gap + 2].mean()))
        staying &= column < thresholds[-1]
    built.scheme = tuple(thresholds)
    return built


BOTH = Correctness(), Aggregate("learned")
RULE_ALONE = Entropy(), Aggregate("geometric")
CRITERION_ALONE = Patience(2), EarlyStop()
NEITHER = LearnedGate(), EarlyStop()
FORMS = [
    *((form, each) for form in (OnnxExporter, OnnxIfExporter) for each in (BOTH, RULE_ALONE)),
    *((form, each) for form in (Pt2Exporter, Pt2CondExporter) for each in (CRITERION_ALONE, BOTH)),
    (OnnxExporter, NEITHER),
    (OnnxExporter, (MaxProbability(), ZeroTimeWaste())),
    (Pt2Exporter, (ScoreMargin(), Boosted())),
]


def named(value) -> str:
    return value.__name__ if isinstance(value, type) else "-".join(type(each).__name__ for each in value)


@pytest.mark.parametrize(("form", "readers"), FORMS, ids=named)
def test_a_form_answers_as_the_network_does(form, readers, tmp_path):
    built, exporter = network(*readers), form()
    paths, check = export_checked(exporter, built, tmp_path / "net", SAMPLES.images)
    assert check.same == len(SAMPLES)
    assert len(set(built(SAMPLES.images).exit.tolist())) >= 2
    runner = exporter.open(paths[0])
    if built.memory:
        with pytest.raises(EdanasError, match="cannot"):
            runner.backbone(SAMPLES.images.numpy())


def test_in_eight_bits_it_runs_and_is_nearly_as_good(tmp_path):
    built, exporter = network(*BOTH), OnnxInt8Exporter()
    exporter.prepare(SAMPLES, SAMPLES)
    _, check = export_checked(exporter, built, tmp_path / "net", SAMPLES.images)
    assert check.same > 0.7 * len(SAMPLES)


def test_as_an_executorch_program(tmp_path):
    pytest.importorskip("executorch")
    exporter = ExecutorchExporter()
    _, check = export_checked(exporter, network(ScoreMargin(), Aggregate()), tmp_path / "net", SAMPLES.images)
    assert check.same + check.rounded == len(SAMPLES)
