"""The documentation is complete, builds without a warning, and its commands exist."""

import ast
import inspect
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from site_pages import Page, plain

import edanas
from edanas.cli.application import app
from edanas.core import contracts, hookspecs
from edanas.core.config import SettingDoc, parse_assignment, reference, resolve
from edanas.core.hookspecs import KINDS
from edanas.core.result_row import ResultRow
from edanas.core.types import Metrics
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import SETTING, Entry, Registry
from edanas.run.result_content import result_content
from edanas.scaffolding import NewPackage
from edanas.testing import SUITES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

SET_UP = (
    "pip install uv && uv run edanas run --plugin mbv3-sm      "
    "# searches on scikit-learn's digits: real images, built in\n"
    "pip install uv && uv run pytest                           # the tests\n"
)

PYTHON_PAGES = (
    "quickstart",
    *(f"howto/{name}" for name in ("bench", "compare", "deploy", "objectives", "predict", "tune")),
)
"""Pages with examples that import edanas."""

COMMANDS: Any = typer.main.get_command(app)


@pytest.fixture(scope="module")
def registry() -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDANAS_PLUGINS", "")
        return Registry(load_plugins())


def hooks() -> list[str]:
    return [name for name, value in vars(hookspecs).items() if hasattr(value, "edanas_spec")]


# Missing entries of a page. Each function is also tested on an entry that no page has.


def undocumented_settings(page: Page, lines: Iterable[SettingDoc]) -> list[str]:
    return [x.path for x in lines if not x.doc or plain(x.doc) not in (page.definition(x.path) or "")]


def undocumented_hooks(page: Page, names: Iterable[str]) -> list[str]:
    def is_documented(name: str) -> bool:
        docstring = inspect.getdoc(getattr(hookspecs, name, None)) or "\0"
        text, _, example = docstring.partition("\n\nExample:\n")
        implementation = re.match(r" *>>> .*(?:\n *\.\.\. .*)*", example)
        code = re.sub(
            r"^ *(?:>>>|\.\.\.) ", "", implementation[0] if implementation else "\0", flags=re.MULTILINE
        )
        code = code.replace("'''", '"""')
        section = page.sections.get(name.replace("_", "-"), "")
        parts = [f"def {name}(", *text.split("\n\n"), code]
        return all(plain(part) in section for part in parts)

    return [name for name in names if not is_documented(name)]


def undocumented_options(page: Page, name: str, command: Any) -> list[str]:
    section = page.sections.get(f"edanas-{name}" if name else "edanas", "")
    missing = [] if command.help and plain(command.help) in section else [f"edanas {name}"]
    for parameter in command.params:
        help_text = plain(parameter.help or "\0")
        named = parameter.opts if parameter.param_type_name == "option" else [parameter.name.upper()]
        missing += [
            f"edanas {name} {each}" for each in named if each not in section or help_text not in section
        ]
    return missing


def undocumented_implementations(page: Page, entries: Iterable[Entry], registry: Registry) -> list[str]:
    missing = []
    for entry in entries:
        kind = re.sub("[ _]", "-", f"{entry.kind} {SETTING[entry.kind]}")
        section = page.section(
            entry.name, "bundles-and-presets-plugin-preset" if entry.kind == "bundle" else kind
        )
        if not entry.doc or section is None or plain(entry.doc) not in page.sections[section]:
            missing.append(entry.name)
        elif entry.kind == "bundle":
            presets = [f"--preset {preset}" for preset in entry.factory.presets]
            missing += [preset for preset in presets if preset not in page.sections[section]]
        else:
            missing += undocumented_implementation_options(page, section, entry, registry)
    return missing


def undocumented_implementation_options(
    page: Page, section: str, entry: Entry, registry: Registry
) -> list[str]:
    options = set(registry.parameters(entry.kind, entry.name, 1 if entry.kind == "evaluation" else 0))
    options -= {"**", "seed"} if entry.kind == "surrogate model" else {"**"}
    missing = []
    for option in sorted(options):
        path = f"{SETTING[entry.kind]}.{option}"
        text = page.definition(path, section) or page.definition(option, section) or ""
        # Without a sentence in the docstring, only the type is left.
        if not text or text.startswith("Holds "):
            missing.append(f"{entry.name}.{option}")
    return missing


def undocumented_keys(page: Page, keys: Iterable[str]) -> list[str]:
    return [key for key in keys if not page.definition(key)]


def test_every_setting_is_documented(site: Path) -> None:
    page = Page.read(site / "reference" / "settings.html")
    assert undocumented_settings(page, reference()) == []
    hidden = [
        SettingDoc("search.hidden", "text", "", "An undocumented setting."),
        SettingDoc("seed", "a whole number", 0, "Something else."),
        SettingDoc("device", "text", "auto", ""),
    ]
    assert undocumented_settings(page, hidden) == ["search.hidden", "seed", "device"]


def test_every_hook_is_documented(site: Path) -> None:
    page = Page.read(site / "reference" / "hooks.html")
    assert len(hooks()) >= len(KINDS) + 4
    assert undocumented_hooks(page, hooks()) == []
    assert undocumented_hooks(page, ["edanas_hidden"]) == ["edanas_hidden"]
    for kind in KINDS:
        assert f"Contract: {kind.contract.__name__}." in page.sections[kind.hook.replace("_", "-")]


def test_every_command_and_option_is_documented(site: Path) -> None:
    page = Page.read(site / "reference" / "cli.html")
    every = {"": COMMANDS, **COMMANDS.commands}
    assert set(every) >= {"run", "report", "plugins", "doctor"}
    assert [x for name, command in every.items() for x in undocumented_options(page, name, command)] == []
    hidden = typer.Typer(add_completion=False)

    @hidden.command()
    def run(*, secret: Annotated[str, typer.Option(help="Hush.")] = "") -> None:
        """Run without a page."""

    command = typer.main.get_command(hidden)
    assert undocumented_options(page, "run", command) == ["edanas run", "edanas run --secret"]


def test_every_implementation_and_option_is_documented(site: Path, registry: Registry) -> None:
    page = Page.read(site / "reference" / "implementations.html")
    assert undocumented_implementations(page, registry.entries(), registry) == []
    entry = registry.entry("exit classifier", "pool-linear")
    assert undocumented_implementations(page, [replace(entry, name="hidden")], registry) == ["hidden"]
    # The page has no options of another implementation under this name.
    section = page.section("pool-linear", "exit-classifier-classifier") or ""
    paper = registry.entry("exit classifier", "paper")
    missing = undocumented_implementation_options(page, section, paper, registry)
    assert missing == ["paper.channels", "paper.max_size"]


def returned_keys(function: Any) -> list[str]:
    """Return the keys of the dictionary that a function returns, read from its source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    returned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    assert len(returned) == 1
    assert isinstance(returned[0], ast.Dict)
    return [key.value for key in returned[0].keys if isinstance(key, ast.Constant)]


def row_keys() -> list[str]:
    """Keys of a row's JSON form."""
    return [each.name for each in fields(ResultRow) if each.name not in ("keys", "unknown")]


def test_every_key_of_a_result_is_documented(site: Path) -> None:
    page = Page.read(site / "reference" / "results.html")
    keys = row_keys() + returned_keys(result_content)
    assert {"front", "static_front", "executed_macs", "backbone_test_accuracy"} <= set(keys)
    assert undocumented_keys(page, keys) == []
    assert undocumented_keys(page, ["hidden"]) == ["hidden"]


def test_public_names_and_contracts_are_in_the_python_reference(site: Path) -> None:
    page = Page.read(site / "reference" / "api.html")
    public = {f"edanas.{name}" for name in edanas.__all__} | {"edanas.core.tracing.count_macs"}
    public |= {f"edanas.core.contracts.{k.contract.__name__}" for k in KINDS}
    public |= {f"edanas.core.types.{Metrics.__name__}", f"{contracts.__name__}.StagedBackbone"}
    assert public - page.ids == set()


def test_tutorials_ran_and_show_their_results(site: Path) -> None:
    first = Page.read(site / "gallery" / "plot_1_images_to_networks.html")
    text = first.sections["search"]
    assert re.search(r"<Result of .*: \d+ early-exit and \d+ single-exit networks>", text)
    assert len([each for each in first.loaded if "sphx_glr_plot_1" in each]) == 2
    second = Page.read(site / "gallery" / "plot_2_confidence_criterion.html")
    assert "LargestLogit: leaves [0, 1]" in second.sections["conformance"]
    third = Page.read(site / "gallery" / "plot_3_three_objectives.html")
    assert "of the candidates keep all constraints" in third.sections["constraints-during-the-search"]
    assert len([each for each in third.loaded if "sphx_glr_plot_3" in each]) == 2


def test_figures_are_drawn_and_described(site: Path) -> None:
    for page, count in (("index", 1), ("method", 2)):
        drawn = re.findall(r'<svg[^>]* aria-label="([^"]+)"', (site / f"{page}.html").read_text())
        assert len(drawn) == count
        assert all(len(label.split()) > 8 for label in drawn)


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = {path: Page.read(path) for path in site.rglob("*.html")}
    assert len(pages) > 12
    remote = {str(path): [x for x in page.loaded if "//" in x] for path, page in pages.items()}
    assert {path: links for path, links in remote.items() if links} == {}


# Commands of README and pages.


def blocks(path: Path) -> list[str]:
    """Return the fenced blocks of a Markdown file, in order."""
    return re.findall(r"^```(?:\w+)?\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_readme_set_up_is_two_commands_and_no_more() -> None:
    code = blocks(ROOT / "README.md")
    assert code[0] == SET_UP
    installs = re.compile(r"\b(?:pip|uv|apt|apt-get|conda|poetry) (?:install|sync|pip|add)\b|\bgit clone\b")
    lines = [line for block in code for line in block.splitlines() if installs.search(line)]
    assert lines == SET_UP.splitlines()


def test_the_gate_runs_the_readmes_test_command() -> None:
    command = SET_UP.splitlines()[1].split("#")[0].strip()
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = [link for link in re.findall(r"\]\(([^)#]+)", text) if "//" not in link]
    assert [link for link in targets if not (ROOT / link).exists()] == []


def shown_commands() -> Iterator[list[str]]:
    """Yield every `edanas` command that README and pages show, as words."""
    for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]:
        for block in blocks(path):
            for line in block.splitlines():
                called = re.search(r"(?:^|&& )(?:uv run )?(edanas [a-z].*)", line)
                if called:
                    yield shlex.split(called[1], comments=True)


def test_commands_shown_exist_with_their_options_and_settings() -> None:
    commands = list(shown_commands())
    assert len(commands) > 12
    for _, name, *words in commands:
        known = {option for parameter in COMMANDS.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, words
        for word, value in pairwise(words):
            if word == "--set":
                resolve([("--set", parse_assignment(value))])


@pytest.mark.parametrize("path", ["README.md", *(f"docs/{page}.md" for page in PYTHON_PAGES)])
def test_python_on_pages_compiles_and_calls_public_functions(path: str) -> None:
    code = "\n".join(block for block in blocks(ROOT / path) if "import edanas" in block)
    assert code
    for call in ast.walk(ast.parse(code)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            owner = {"edanas": edanas, "result": edanas.Result}.get(ast.unparse(call.func.value))
            if owner is not None:
                keywords = {keyword.arg for keyword in call.keywords}
                assert keywords <= set(inspect.signature(getattr(owner, call.func.attr)).parameters)


def test_every_kind_of_plugin_is_shown_as_it_is_generated(site: Path) -> None:
    page = Page.read(site / "write-a-plugin.html")
    for kind in KINDS:
        option = kind.name.replace(" ", "-")
        section = page.sections[f"{option}-kind-{option}"]
        module, tests = NewPackage("edanas-example", (kind.name,)).parts(kind.name)
        assert plain(module) in section and plain(tests) in section, kind.name
        assert f"{SUITES[kind.name].__name__}(" in section
        assert f"The contract: {kind.contract.__name__}." in section


def test_the_changelog_has_this_version() -> None:
    assert f"## [{edanas.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
