"""Adds the folder of benchmarks to the path, which holds the oracles of threshold fronts."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
