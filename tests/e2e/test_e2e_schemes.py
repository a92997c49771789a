"""Whole runs under each training scheme, named as on the command line."""

from pathlib import Path

import pytest
from tiny_runs import Edanas, recorded, result_of

SHORT = (
    "search.initial=3",
    "search.iterations=0",
    "search.results=1",
    "finetune.epochs=1",
    "baseline.epochs=0",
)


def flags(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


@pytest.mark.parametrize(
    "settings",
    [
        ('scheme={name="distill", temperature=2.0}',),
        ('scheme={name="mixed", weights=[0.2, 0.4, 0.6, 0.8, 1.0], rescale=true}', "training.optimizer=sgd"),
        ('scheme={name="joint", weights="learned"}', "evaluation=finetune"),
        ('scheme={name="joint-combined", combine="soft-conditional"}',),
        ("scheme=layerwise", "evaluation=finetune"),
        ("scheme=l2w-den", "inference=boosted"),
        ("scheme=jei-dnn", 'criterion={name="uncertainty-gate", own=0}', "evaluation=finetune"),
        ("scheme=internal-classifiers", "inference=ztw", "evaluation=finetune"),
        ("scheme=jei-dnn", "inference=ztw", 'classifier={name="searched", channels=8}'),
    ],
    ids=lambda settings: ", ".join(settings),
)
def test_a_run_under_every_scheme_ends_with_tested_networks(
    settings: tuple[str, ...], edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    output = edanas(*arguments, "--out", out, *flags(*SHORT, *settings))
    assert output.code == 0, output.err
    assert all(evaluation.metrics is not None for _, evaluation in recorded(out))
    result = result_of(out)
    rows = result["front"] + result["static_front"]
    assert rows
    assert all(0 < row["test_accuracy"] <= 1 for row in rows)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (
            '{name="joint", weights=[1.0, 1.0]}',
            "scheme.weights: found 2 weights; allowed: 5, one for each of",
        ),
        (
            '{name="joint", weights="learnt"}',
            "scheme.weights: 'learnt': expected one of fixed, learned or a list",
        ),
        ('{name="distill", temperature=-1}', "scheme.temperature: found -1.0; allowed: a number > 0"),
        ('{name="distill", temp=2}', "scheme.temp: "),
        ("layer-wise", "unknown training scheme 'layer-wise'. Did you mean 'layerwise'?"),
        ('{name="l2w-den", decay=2}', "scheme.decay: found 2.0; allowed: a number > 0 and <= 1"),
        ("layerwise", "scheme: 'layerwise' trains exit 2 without the exits before it, which inference"),
        ("distill", "scheme: 'distill' trains exit 5 without the exits before it, which inference 'boosted'"),
    ],
)
def test_a_wrong_scheme_is_refused_before_training(
    setting: str, text: str, edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    output = edanas(*arguments, "--out", out, "--set", f"scheme={setting}", "--set", "inference=boosted")
    assert output.code == 2
    assert text in output.err
    assert not (out / "supernet.pt").exists()
