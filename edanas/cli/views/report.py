"""Output of `edanas report`, and at the end of `edanas run`: the table of results and the run's files."""

from edanas.cli.views.output import output_console, print_line
from edanas.report.result import Result
from edanas.report.tables import fronts_table

_WIDTH = 100


def show_result(result: Result) -> None:
    """Print the results of a run as a table, then the paths of the run folder, the plot and the report."""
    console = output_console(_WIDTH)
    console.print(fronts_table(result))
    for name, path in (("Folder", ""), ("Plot", "pareto.svg"), ("Report", "report.html")):
        print_line(console, f"{name + ':':<7} {result.folder / path}")
