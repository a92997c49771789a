"""The search against the alternatives: hypervolume against the number of evaluated candidates.

Every method gets the same function, budget and seeds, at its documented defaults, in worker processes of one
thread each. Runs are appended to a file, and what is in the file is not run again: a benchmark can be cut and
continued, and tables, page and plot are made from the file.

    python benchmarks/search.py --results search.jsonl     # everything; builds a table of digits first
    python benchmarks/search.py --table larger.safetensors --results search.jsonl --methods ours --again
    python benchmarks/search.py --functions zdt5 clutch --methods random "optuna tpe" --seeds 3
    python benchmarks/search.py --results search.jsonl --report \
        --page docs/reference/search-benchmark-figures.md --plot docs/reference/search-benchmark.svg

Without `--table` the digits table stands beside the results, and is built there where it is missing. Any
table of `edanas tabulate` will do: one that is not exhaustive answers for other backbones by estimates, which
are counted in the report, and nested strategies and views that need exit profiles are left out.

Methods are `ours` (every registered strategy), `rivals`, or names. Rivals need the dependency group
`benchmarks`. What is compared, and how, is in `search_functions.py`, `search_table.py` and `search_rivals/`.
"""

import argparse
import os
import sys
from pathlib import Path

import search_results
import search_runs
from search_functions import Clutch, Function, Zdt5
from search_rivals import OURS, RIVALS, Options

from edanas.core.errors import EdanasError

BUDGETS = (60, 120, 340)
FUNCTIONS = ("executed", "ada", "zdt5", "clutch")


DIGITS = "digits.safetensors"
"""Beside the results: the table that is searched unless another is named."""


def functions(names: list[str], table: Path | None, folder: Path) -> list[Function]:
    """The functions by name; the table is the one at a path, or of digits in the folder of the results."""
    from search_table import Fronts, TableFunction, opened

    found: list[Function] = []
    chosen = None if set(names) <= {"zdt5", "clutch"} else opened(table, folder / DIGITS)
    for name in names:
        if name in ("zdt5", "clutch"):
            found.append(Zdt5() if name == "zdt5" else Clutch())
        elif chosen is not None:
            found.append(TableFunction(chosen, name, Fronts.kept(chosen, name, folder)))
    return found


def methods(words: list[str], function: Function) -> list[str]:
    """Method names for a function: nested strategies only where there are exits."""
    from search_rivals.edanas_strategies import names

    ours = [OURS + name for name in names(nested=function.nested() is not None)]
    chosen: dict[str, None] = {}
    for word in words:
        if word == "ours":
            chosen.update(dict.fromkeys(ours))
        elif word == "rivals":
            chosen.update(dict.fromkeys(RIVALS))
        elif word in RIVALS or word in ours:
            chosen[word] = None
        elif not word.startswith(OURS):
            sys.exit(f"--methods {word!r}: allowed: ours, rivals, {', '.join([*ours, *RIVALS])}")
    return list(chosen)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, help=f"default: {DIGITS} beside the results, built if missing")
    parser.add_argument("--results", type=Path, default=Path("search.jsonl"))
    parser.add_argument("--functions", nargs="+", choices=FUNCTIONS, default=list(FUNCTIONS))
    parser.add_argument("--methods", nargs="+", default=["ours", "rivals"])
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 to N - 1")
    parser.add_argument("--budget", type=int, default=max(BUDGETS))
    parser.add_argument("--initial", type=int, default=Options.initial, help="our initial archive")
    parser.add_argument("--batch", type=int, default=Options.batch)
    parser.add_argument(
        "--seconds", type=float, default=Options.seconds, help="most CPU seconds of a method's own in one run"
    )
    parser.add_argument("--jobs", type=int, default=1, help="worker processes; 0 = none")
    parser.add_argument("--again", action="store_true", help="run what is in the file once more")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--page", type=Path, help="write the tables as Markdown")
    parser.add_argument("--plot", type=Path, help="write the plot (SVG)")
    return parser.parse_args()


def main() -> None:
    """Run what is missing, then print tables."""
    options = arguments()
    print(f"{search_runs.machine()}; load {os.getloadavg()[0]:.1f}")
    try:
        chosen = functions(options.functions, options.table, options.results.parent)
    except EdanasError as error:
        sys.exit(f"{error}")
    how = Options(options.budget, options.initial, options.batch, options.seconds)
    if not options.report:
        jobs = [
            search_runs.Job(function, name, seed, each)
            for seed in range(options.seeds)
            for function in chosen
            for name in methods(options.methods, function)
            for each in search_runs.variants(name, how, BUDGETS)
        ]
        search_runs.run(jobs, options.results, options.jobs, again=options.again)
    runs = search_runs.comparable(search_runs.load(options.results), how)
    page = search_results.page(runs, chosen, BUDGETS)
    print(page)
    if options.page:
        options.page.write_text(page + "\n", encoding="utf-8")
    if options.plot:
        search_results.plot(runs, chosen, max(BUDGETS), options.plot)


if __name__ == "__main__":
    main()
