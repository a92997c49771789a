"""Faults on purpose: killed runs, damaged files, fuzzed settings and odd inputs, with counts of the outcomes.

    python benchmarks/faults.py --out faults.json
    python benchmarks/faults.py --kills 12 --files 10 --settings 20 --inputs 10     # a short check

The job is the search on the digits of the README, with the smallest settings that still have every phase.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from fault_checks.damage import damaged_files
from fault_checks.fuzzing import fuzzed_settings
from fault_checks.job import Job
from fault_checks.kills import killed_runs
from fault_checks.odd_inputs import odd_inputs


def main() -> None:
    """Run the four parts, print the counts of each, and write them with the faults as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="number of kills, spread over the phases")
    parser.add_argument("--files", type=int, default=100, help="number of damaged files")
    parser.add_argument("--settings", type=int, default=1000, help="number of fuzzed settings")
    parser.add_argument("--inputs", type=int, default=60, help="number of odd inputs")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices")
    parser.add_argument("--out", type=Path, help="JSON file of counts and faults; by default none")
    options = parser.parse_args()
    torch.set_num_threads(1)
    reports = {}
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), options.seed)
        for name, check, count in (
            ("kills", killed_runs, options.kills),
            ("damaged files", damaged_files, options.files),
            ("fuzzed settings", fuzzed_settings, options.settings),
            ("odd inputs", odd_inputs, options.inputs),
        ):
            start = time.monotonic()
            report = check(job, count)
            reports[name] = {**report, "seconds": round(time.monotonic() - start)}
            counts = ", ".join(f"{key} {value}" for key, value in report["counts"].items())
            print(f"{name}: {sum(report['counts'].values())} ({counts}); faults: {len(report['faults'])}")
            for fault in report["faults"]:
                print(f"  {fault}", flush=True)
            if options.out:
                options.out.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
