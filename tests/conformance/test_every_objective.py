from pathlib import Path

from edanas.plugins.registry import Registry
from edanas.testing import check_objective

KIND = "objective"
DEVICE = {"profile": "cortex-m4-80mhz"}
OPTIONS = {
    "weighted": {"of": ["accuracy", {"name": "tail", "share": 0.1}], "weights": [1.0, 2e-8]},
    "device-latency": DEVICE,
    "device-energy": DEVICE,
}


def test_conforms(registry: Registry, name: str, tmp_path: Path) -> None:
    table = tmp_path / "table.yaml"
    table.write_text("Logits-input:1x1x8-output:10: {mean: 0.5, count: 1, energy: 2.0}\n")
    tables = {"paths": {"600": str(table), "1200": str(table)}}
    options = {**OPTIONS, "latency-table": {"path": str(table)}, "energy-table": tables}
    check_objective(registry.create(KIND, name, options.get(name)))
