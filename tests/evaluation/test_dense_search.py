from pathlib import Path

import edanas
from edanas.core.progress import Silent

SETTINGS = {
    "search": {"initial": 4, "iterations": 1, "per_iteration": 2, "results": 1},
    "training": {"epochs": 1, "batch_size": 128},
    "finetune": {"epochs": 1, "batch_size": 128},
    "surrogates": ["cart"],
    "recalibration": 64,
    # The test reads no accuracy and no network to compare with.
    "split": {"train": 0.15, "calibration": 0.15, "validation": 0.15, "test": 0.55},
    "baseline": {"epochs": 0},
}


def test_digits_are_searched_at_their_own_side(tmp_path: Path) -> None:
    result = edanas.search(plugin="resnet-sm", settings=SETTINGS, out=tmp_path / "run", progress=Silent())
    rows = (*result.front, *result.static_front)
    assert {row["backbone"]["resolution"] for row in rows} == {8}
    widths = {value for row in rows for name, value in row["backbone"].items() if name.endswith("width")}
    assert widths <= {0.25, 0.5, 0.75, 1.0}
    network = edanas.load(tmp_path / "run" / rows[0]["model"])
    assert network.resolution == 8
