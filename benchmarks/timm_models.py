"""Models of timm as supernets: cuts, multiply-adds, and reasons for refusals, one model for each family.

    python benchmarks/timm_models.py --out timm-models.csv

Each model is built with fresh weights, cut into stages, and its multiply-adds are counted in two ways: stage
by stage, and for the whole model. The counts must agree.
"""

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

import timm
import torch

from edanas.core.errors import EdanasError
from edanas.core.tracing import count_macs
from edanas.core.types import Backbone, Task
from edanas.supernets.timm_models import TimmProvider

TASK = Task(in_channels=3, num_classes=5)
SIDES = (96, 224, 256, 384)
"""Sides of images in pixels, tried in this order until the model runs."""


def smallest_models() -> dict[str, str]:
    """Return the name of the smallest model of each module of timm, judged by words in the name."""
    words = (
        "test_",
        "atto",
        "femto",
        "pico",
        "nano",
        "xxt",
        "xxs",
        "tiny",
        "_t",
        "mini",
        "small",
        "_s",
        "18",
        "12",
    )
    families = {}
    for family in timm.list_modules():
        names = timm.list_models(module=family)
        ranked = sorted(
            names, key=lambda name: (next((i for i, w in enumerate(words) if w in name), 99), name)
        )
        if ranked:
            families[family] = ranked[0]
    return families


def examine(name: str) -> dict[str, object]:
    """Return the number of exit points and the multiply-adds of a model, or the reason for its refusal."""
    reason = ""
    for side in SIDES:
        try:
            provider = TimmProvider(name, resolutions=(side,))
            stages, last = provider.costs(Backbone.of({"resolution": side}), TASK)
            whole = count_macs(provider.whole(TASK), (3, side, side))
        except EdanasError as error:
            reason = reason if side > SIDES[0] and "does not run" in str(error) else str(error)
            if "single stage" in reason or "cannot be counted" in reason:
                break
            continue
        total = sum(stage.macs for stage in stages) + last.macs
        outcome = "cut" if total == whole else f"cut, but the stages have {total} and the model {whole} MACs"
        return {"model": name, "side": side, "exits": provider.exit_points, "macs": total, "outcome": outcome}
    return {"model": name, "side": None, "exits": 0, "macs": None, "outcome": f"refused: {reason}"}


def main() -> None:
    """Print one line for each family, and the counts; write the lines as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="CSV file of the outcomes; by default none")
    parser.add_argument("--families", type=int, default=1000, help="number of families; by default all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for family, name in list(smallest_models().items())[: options.families]:
        row = {"family": family, **examine(name)}
        rows.append(row)
        print(*(str(value)[:160] for value in row.values()), sep="  ", flush=True)
    counts = Counter(str(row["outcome"]).split(":")[0] for row in rows)
    print("; ".join(f"{outcome}: {count}" for outcome, count in counts.items()))
    if options.out:
        with options.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
