from dataclasses import replace

import pytest
import torch
from small_runs import CPU, PLAIN, equal_states
from supernet_trainings import fresh, trainer
from torch import nn

from edanas.core.progress import Silent
from edanas.training.depthwise import has_bfloat16
from edanas.training.precision import compute_precision, faster_precision


def test_only_slow_operators_stay_in_float32_on_a_cpu():
    images = torch.randn(2, 8, 6, 6)
    point, depth = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
    with compute_precision("bf16", CPU):
        assert point(images).dtype == torch.bfloat16
        quick = torch.bfloat16 if has_bfloat16() else torch.float32
        assert depth(images).dtype == depth(point(images)).dtype == quick
        assert grouped(images).dtype == grouped(point(images)).dtype == torch.float32
    assert point(images).dtype == torch.float32
    with compute_precision("fp32", CPU):
        assert point(images).dtype == torch.float32


@pytest.mark.parametrize(
    ("in_fp32", "in_bf16", "expected"),
    [([9, 5, 5], [9, 4, 4], "bf16"), ([2, 2, 2], [4, 3, 3], "fp32"), ([2, 2, 2], [1.95, 3, 3], "fp32")],
)
def test_the_fastest_pass_of_each_precision_counts(in_fp32, in_bf16, expected, monkeypatch):
    now, seconds = [0.0], {"fp32": iter(in_fp32), "bf16": iter(in_bf16)}
    monkeypatch.setattr("edanas.training.precision.clock", lambda device: lambda: now[0])

    def passes(precision):
        now[0] += next(seconds[precision])

    assert faster_precision(passes, CPU) == expected


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_a_training_in_other_precision_goes_on_in_it(precision, tmp_path):
    settings = replace(PLAIN, epochs=1, batch_size=32, precision=precision)
    training = trainer(tmp_path / "supernet.pt", fresh(), settings)
    training.run(Silent())
    assert training.precision in (("fp32", "bf16") if precision == "auto" else ("bf16",))
    again = trainer(tmp_path / "supernet.pt", fresh(), settings)
    again.resume()
    assert again.precision == training.precision
    # Weights are float32, and moved no further apart than two steps of AdamW can.
    exact = trainer(tmp_path / "exact.pt", fresh(), replace(settings, precision="fp32"))
    exact.run(Silent())
    for one, other in zip(training.network.parameters(), exact.network.parameters(), strict=True):
        assert one.dtype == torch.float32
        assert (one - other).abs().max().item() <= 2 * 2 * 0.01 + 1e-3
    if precision == "bf16":
        assert not equal_states(training.network, exact.network)


@pytest.mark.parametrize(
    ("in_fp32", "in_bf16", "expected"),
    [
        ([5, 2], [4, 1], "bf16"),
        ([1, 2], [4, 3], "fp32"),
        ([2, 2], [1.95, 3], "fp32"),
        ([9, 2], [3, 3], "fp32"),
    ],
)
def test_auto_is_bfloat16_only_if_its_fastest_step_is_clearly_faster(
    in_fp32, in_bf16, expected, tmp_path, monkeypatch
):
    """Slow steps, e.g. beside another process, do not count."""
    training = trainer(tmp_path / "supernet.pt", fresh(), replace(PLAIN, precision="auto"))
    times = {"fp32": iter(in_fp32), "bf16": iter(in_bf16)}
    monkeypatch.setattr(training, "_time_trial_steps", lambda *_: [next(times[training.precision]), 10.0])
    training._choose_precision()
    assert training.precision == expected
    training._choose_precision()
    assert training.precision == expected
