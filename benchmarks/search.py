"""Compare search methods by hypervolume against the number of evaluated candidates.

Every method gets the same function, budget and seeds, at its documented defaults, in worker processes of one
thread each. Runs are appended to a file and not repeated, so a benchmark can be interrupted and resumed.
Tables, page and plot are made from the file.

    python benchmarks/search.py --results search.jsonl     # all functions and methods
    python benchmarks/search.py --table larger.safetensors --results search.jsonl --methods ours --again

    python benchmarks/search.py --functions zdt5 clutch --methods random "optuna tpe" --seeds 3
    python benchmarks/search.py --results search.jsonl --report \
        --page docs/reference/search-benchmark.inc --plot docs/reference/search-benchmark.svg

Without `--table`, the digits table is beside the results, and is built if it is missing. Any table of `edanas
tabulate` will do. In one that is not exhaustive, other backbones are estimated, and the report counts the
estimates; nested strategies and views that need exit profiles are then left out.

Methods are `ours` (every registered strategy), `rivals`, or names. Rivals need the dependency group
`benchmarks`. The functions are in `search_functions.py` and `search_table.py`, the methods in
`search_rivals/`.
"""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import search_results
import search_runs
from search_functions import Clutch, Function, Zdt5
from search_networks import CELLS, SIZE, NasBench201, OfaLike
from search_rivals import OURS, RIVALS, Options

from edanas.core.errors import EdanasError

BUDGETS = (60, 120, 340)
TABLELESS: dict[str, Callable[[], Function]] = {
    "zdt5": Zdt5,
    "clutch": Clutch,
    "ofa-like": OfaLike,
    **{name: partial(NasBench201, name) for name in (*CELLS, *(f"{name}{SIZE}" for name in CELLS))},
}
"""Functions that need no table."""

FUNCTIONS = ("executed", "ada", *TABLELESS)

DIGITS = "digits.safetensors"
"""File of the default table, beside the results."""


def functions(names: list[str], table: Path | None, folder: Path) -> list[Function]:
    """Return the functions by name, on the table at `table` or the digits table in `folder`."""
    from search_table import Fronts, TableFunction, opened

    selected: list[Function] = []
    chosen = None if set(names) <= set(TABLELESS) else opened(table, folder / DIGITS)
    for name in names:
        if name in TABLELESS:
            selected.append(TABLELESS[name]())
        elif chosen is not None:
            selected.append(TableFunction(chosen, name, Fronts.cached(chosen, name, folder)))
    return selected


def methods(words: list[str], function: Function) -> list[str]:
    """Return the names of methods for a function; nested strategies need exits."""
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
    """Return the command line's arguments."""
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
        "--seconds",
        type=float,
        default=Options.seconds,
        help="limit of a method's own CPU seconds in one run",
    )
    parser.add_argument("--jobs", type=int, default=1, help="worker processes; 0 = none")
    parser.add_argument("--again", action="store_true", help="repeat runs that are in the file")
    parser.add_argument("--report", action="store_true", help="report only")
    parser.add_argument("--page", type=Path, help="write the tables as Markdown")
    parser.add_argument("--plot", type=Path, help="write the plot (SVG)")
    return parser.parse_args()


def main() -> None:
    """Run the missing jobs, then print tables."""
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
