"""Importance of genes: oracles, tables and comparisons."""

import json

import numpy as np
import pytest

from edanas.core.space import SearchSpace
from edanas.core.types import Variable
from edanas.report.comparison import compare
from edanas.report.html.page import render
from edanas.report.importance import mean_importance, read_importance
from edanas.report.result import Result
from edanas.run.gene_importance import FEWEST, gene_importance

SPACE = SearchSpace(tuple(Variable(f"x{i}", (1, 2, 3)) for i in range(5)), (None,), 0)


def genes(of: str, values: dict[str, np.ndarray], genomes: np.ndarray) -> dict[str, float]:
    (row,) = [row for row in gene_importance(SPACE, genomes, values) if row["objective"] == of]
    return row["genes"]


def test_the_importance_of_independent_additive_genes_is_twice_their_share_of_the_variance():
    genomes = SPACE.sample(np.random.default_rng(0), 120)
    effects = np.array([3.0, 2.0, 1.0, 0.0, 0.0])
    y = genomes @ effects
    importance = genes("cost", {"cost": y}, genomes)
    shares = effects**2 / (effects**2).sum()  # a permuted gene doubles the variance of its difference
    assert list(importance)[:3] == ["x0", "x1", "x2"]
    for name, share in zip(("x0", "x1", "x2", "x3"), shares, strict=False):
        assert importance[name] == pytest.approx(2 * share, abs=0.15)


def test_a_pure_interaction_counts_for_both_genes_and_noise_has_a_low_tau():
    rng = np.random.default_rng(1)
    genomes = SPACE.sample(rng, 150)
    y = (genomes[:, 1] - 1.0) * (genomes[:, 4] - 1.0)
    importance = genes("y", {"y": y}, genomes)
    assert set(list(importance)[:2]) == {"x1", "x4"} and importance["x0"] < 0.1 < importance["x4"]
    (noise,) = gene_importance(SPACE, genomes, {"noise": rng.normal(size=150)})
    assert noise["tau"] < 0.3


def test_unexpressed_genes_do_not_count():
    space = SearchSpace(
        (Variable("depth", (1, 2)), Variable("kernel", (3, 5, 7), "depth", frozenset({2}))), (None,), 0
    )
    genomes = space.sample(np.random.default_rng(0), 60)
    (row,) = gene_importance(space, genomes, {"y": np.where(genomes[:, 0] == 1, 1.0 + genomes[:, 1], 0.0)})
    assert set(row["genes"]) == {"depth", "kernel"} and min(row["genes"].values()) > 0.1


def test_few_candidates_have_no_importance():
    genomes = SPACE.sample(np.random.default_rng(0), FEWEST - 1)
    assert gene_importance(SPACE, genomes, {"y": genomes[:, 0]}) == []


ROW = {
    "id": "a1", "exits": 1, "thresholds": [0.9], "utilization": [0.6, 0.4], "params": 1000,
    "test_accuracy": 0.97, "validation_accuracy": 0.98, "ada_macs": 4e6, "executed_macs": 4.5e6,
    "backbone_macs": 9e6, "backbone_test_accuracy": 0.975,
}  # fmt: skip


def result(seed: int, importance: object) -> Result:
    data = {"front": [ROW], "static_front": [], "settings": {}, "seed": seed, "importance": importance}
    return Result(f"run-{seed}", data)


def test_report_and_comparison_show_the_importance():
    one = {"objective": "accuracy", "tau": 0.8, "genes": {"width<b>": 0.7, "kernel": 0.1}}
    two = {"objective": "accuracy", "tau": 0.6, "genes": {"width<b>": 0.5, "depth": 0.4}}
    page = render(result(0, [one]))
    assert "Importance of the choices" in page and "width&lt;b&gt;" in page and "0.70" in page
    comparison = compare([result(0, [one]), result(1, [two])], names=["mine", "mine"])
    (mean,) = comparison.importance()["mine"]
    assert mean.genes == pytest.approx({"width<b>": 0.6, "depth": 0.2, "kernel": 0.05}) and mean.tau == 0.7
    assert list(mean.genes) == ["width<b>", "depth", "kernel"]
    assert json.loads(comparison.to_json())["importance"]["mine"][0]["genes"]["depth"] == 0.2


@pytest.mark.parametrize(
    "damaged", [None, 3, "text", [1], [{"objective": "a"}], [{"objective": "a", "tau": 1, "genes": 2}]]
)
def test_results_without_a_readable_importance_are_shown_without_it(damaged):
    assert result(0, damaged).importance == []
    assert "Importance of the choices" not in render(result(0, damaged))
    assert compare([result(0, damaged)]).importance() == {}


def test_the_mean_needs_the_objective_in_every_run():
    one, two = ([{"objective": name, "tau": 1.0, "genes": {}}] for name in ("a", "b"))
    assert mean_importance([read_importance(one), read_importance(two)]) == []
