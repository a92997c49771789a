"""A small hand-made result, as `result.json` holds it."""

from typing import Any


def row(name: str, thresholds: list[float | None], utilization: list[float], **values: Any) -> dict[str, Any]:
    return {
        "id": name,
        "exits": sum(value is not None for value in thresholds),
        "thresholds": thresholds,
        "utilization": utilization,
        "params": 182_004,
        **values,
    }


def early(name: str, exits: int, validation: float, test: float, macs: float) -> dict[str, Any]:
    return row(
        name,
        [0.5] * exits + [None] * (4 - exits),
        [0.5 / exits] * exits + [0.0] * (4 - exits) + [0.5],
        validation_accuracy=validation,
        test_accuracy=test,
        test_ci=[test - 0.02, min(1.0, test + 0.01)],
        ada_macs=macs * 0.95,
        executed_macs=macs,
        validation_executed_macs=macs,
        backbone_macs=2 * macs,
        backbone_test_accuracy=0.985,
        exit_accuracy=[0.99] * exits + [None] * (4 - exits) + [0.93],
        model=f"models/eenn-{exits}-{name}.safetensors",
    )


def single(name: str, accuracy: float, macs: int) -> dict[str, Any]:
    return row(
        name,
        [None] * 4,
        [0, 0, 0, 0, 1],
        validation_accuracy=accuracy,
        test_accuracy=accuracy,
        ada_macs=macs,
        executed_macs=macs,
        validation_executed_macs=macs,
        backbone_macs=macs,
        backbone_test_accuracy=accuracy,
    )


def result_data() -> dict[str, Any]:
    """Return a result in whose `front` the orders by test and by validation accuracy differ."""
    return {
        "front": [
            early("e1", 1, 0.960, 0.990, 1.0e6),
            early("e2", 2, 0.970, 0.972, 1.5e6),
            early("e3", 3, 0.985, 0.970, 2.0e6),
            early("e4", 4, 0.985, 0.981, 2.5e6),
        ],
        "static_front": [single("s1", 0.95, 1_200_000), single("s2", 0.98, 3_000_000)],
        "settings": {"plugin": "mbv3-sm", "data": {"name": "folder", "path": "/pictures"}, "seed": 3},
        "seed": 3,
        "hypervolume": [0.6, 0.65, 0.7],
        "candidates": [[1.1e6, 0.9], [1.9e6, 0.95], [4e6, 0.2]],
        "evaluations": 40,
        "failed": 1,
        "classes": ["cat", "dog"],
        "remarks": ["3 of 9 images were resized from 64x64 to 32x32."],
        "seconds": {"supernet": 61.2, "search": 30.0},
        "stopped": "time_limit",
    }
