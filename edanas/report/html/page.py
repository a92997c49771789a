"""Assembly of the HTML page of a run from its sections, style sheet and script."""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from edanas.core.settings import labels
from edanas.report.history import RunHistory, Step
from edanas.report.html import sections
from edanas.report.html.candidate_points import candidate_points
from edanas.report.html.classes import class_results
from edanas.report.html.fronts_chart import fronts_chart
from edanas.report.html.markup import named, text
from edanas.report.html.networks import Pictures, network
from edanas.report.html.search_charts import failures, hypervolume_chart, importance, surrogates
from edanas.report.importance import read_importance
from edanas.report.result import Result
from edanas.report.tables import by_size

# The security policy allows only the script with this hash, and no requests.
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src '{hash}'; base-uri 'none'; form-action 'none'">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header>
<h1>edanas: {name}</h1>
<button type="button" id="theme" hidden></button>
</header>
<nav aria-label="Parts of this page">
{links}
</nav>
<main id="content" tabindex="-1">
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


def render(result: Result, history: RunHistory | None = None) -> str:
    """Return the HTML page of a run.

    Args:
        result: The result of the run. Example images are read from the run folder.
        history: The archive and log of the run. `None` = not known; the page then shows candidates without
            their ids and choices.
    """
    history = history or RunHistory()
    name = sections.data_name(result.settings)
    parts = _parts(result, history)
    body = "\n".join(
        f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{heading}</h2>\n{content}</section>'
        for key, heading, content in parts
    )
    script = _resource("page.js")
    return PAGE.format(
        title=text(f"edanas: {name}"),
        name=named(name),
        style=_resource("page.css"),
        script=script,
        hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        links="\n".join(f'<a href="#{key}">{heading}</a>' for key, heading, _ in parts),
        body=f"{sections.facts(result)}\n{body}",
    )


def _parts(result: Result, history: RunHistory) -> list[tuple[str, str, str]]:
    """Return id, heading and HTML content of each section of the page."""
    data = result.data
    early, single = by_size(result)
    steps = _steps(result, history)
    pictures, classes = Pictures(result.folder), data.get("classes") or []
    chart = fronts_chart(early, single, result.plain, candidate_points(result, history))
    drawings = "\n".join(network(row, single, classes, pictures) for row in early)
    growth = hypervolume_chart(data.get("hypervolume") or [step.hypervolume for step in steps], steps)
    quality = surrogates(steps, labels(result.settings.get("objectives") or []))
    genes = importance(read_importance(result.importance))
    figures = (
        f"<h3>Early-exit networks</h3>{sections.networks_table('Early-exit networks', early)}"
        f"{sections.calibration(early)}"
        "<h3>Single-exit networks of the same search</h3>"
        f"{sections.networks_table('Single-exit networks', single)}"
        f"{sections.plain(result)}{sections.convention()}"
    )
    by_class = class_results([*early, *single], classes)
    return [
        ("result", "Test results", sections.conclusions(result, early, single)),
        ("chart", "Accuracy and cost", chart),
        ("networks", "Exits of the networks", drawings or "<p>There are no early-exit networks.</p>"),
        ("figures", "Results of all networks", figures),
        *([("classes", "Classes", by_class)] if by_class else []),
        ("search", "The search", growth + quality + genes or "<p>The search was not recorded.</p>"),
        ("failures", "Failures", failures(data.get("failures") or [])),
        ("settings-part", "Settings", sections.settings(result.settings) + sections.remarks(data)),
    ]


def _steps(result: Result, history: RunHistory) -> Sequence[Step]:
    """Return the iterations from `result.json`, or from the log if an older version wrote `result.json`."""
    try:
        return [Step.of(each) for each in result.data["iterations"]]
    except (LookupError, TypeError, ValueError):
        return history.steps


def _resource(name: str) -> str:
    """Return the text of a file that lies beside this module."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
