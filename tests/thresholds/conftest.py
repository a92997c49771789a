"""The oracles of threshold fronts stand with the benchmark that measures them."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
