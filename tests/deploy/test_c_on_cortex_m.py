"""An exported network on an emulated Cortex-M4: the same labels, exits and confidences as the reference."""

import sys
from pathlib import Path

import exported_nets
import numpy as np
import pytest
from c_programs import in_integers, reference

from edanas.data.digits import Digits
from edanas.deploy.c_code.all_files import c_files

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import cortex_m


@pytest.mark.skipif(
    bool(cortex_m.missing_programs()), reason=f"not installed: {', '.join(cortex_m.missing_programs())}"
)
def test_a_cortex_m4_computes_the_reference_s_numbers(tmp_path: Path) -> None:
    pixels = Digits().load(8, 0).samples.images[:12]
    integers = in_integers(exported_nets.network(), pixels)
    for name, text in c_files(integers, [1] * len(integers.segments)).items():
        (tmp_path / name).write_text(text)
    measured = cortex_m.measure(tmp_path, pixels.numpy())
    expected = reference(integers, pixels)
    assert [row[:3] for row in measured.rows] == [(row[1], row[0], row[2]) for row in expected]
    exits = np.array([row[0] for row in expected])
    instructions = np.array([row[3] for row in measured.rows])
    means = [instructions[exits == exit_].mean() for exit_ in range(3)]
    assert means[0] < 0.9 * means[1] < 0.9 * means[2]
    arena = integers.arena()[1]
    assert arena + integers.state() <= measured.ram <= arena + integers.state() + 16
    assert 0 < measured.stack < 1024
    assert integers.constants() < measured.flash < integers.constants() + 16_000
