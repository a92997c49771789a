import dataclasses
import functools

import pytest
import torch

from edanas.core.errors import ConfigError, PluginError
from edanas.core.hookspecs import KINDS
from edanas.core.settings import Settings
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import SETTING, Registry, catalog
from edanas.plugins.signatures import parameters

KIND = "confidence criterion"


def criterion(name="constant", factory="Constant"):
    return f"\n@hookimpl\ndef edanas_confidence_criteria():\n    return {{{name!r}: {factory}}}\n"


@pytest.fixture
def registry(install, no_built_ins):
    def build(*codes):
        for number, code in enumerate(codes):
            install(f"plugin-{number}", code)
        return Registry(load_plugins())

    return build


def test_an_entry_has_its_owner_and_description(registry):
    (entry,) = registry(criterion()).entries()
    assert (entry.kind, entry.name, entry.owner, entry.version) == (KIND, "constant", "dist-plugin-0", "1.0")
    assert entry.doc == "The same confidence for everything."


def test_options_are_converted_and_passed(registry):
    entries = registry(criterion()).create(KIND, "constant", {"value": 1, "steps": [1, 2.0]})
    assert entries(torch.zeros(2, 3)).tolist() == [1.0, 1.0]
    assert entries.steps == (1, 2)
    assert isinstance(entries.value, float)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"valeu": 1},
            "criterion.valeu: confidence criterion 'constant' has no such option. Did you mean 'value'? "
            "Allowed: name_of, steps, value.",
        ),
        ({"value": "high"}, "criterion.value: 'high': expected a number"),
        ({"value": True}, "criterion.value: True: expected a number"),
        ({"steps": [1, "two"]}, "criterion.steps[2]: 'two': expected a whole number"),
    ],
)
def test_a_wrong_option_is_named(registry, options, message):
    with pytest.raises(ConfigError) as error:
        registry(criterion()).create(KIND, "constant", options)
    assert str(error.value) == message


def test_a_missing_option_is_named(registry):
    code = "def make(level: int):\n    return Constant()\n" + criterion(factory="make")
    with pytest.raises(ConfigError, match=r"criterion.level: .* needs it: expected a whole number"):
        registry(code).create(KIND, "constant")


MIX = """
from edanas.core.contracts import ConfidenceCriterion

class Mix(ConfidenceCriterion):
    "Several at once."
    def __init__(self, of: tuple[ConfidenceCriterion, ...], by_name: dict[str, ConfidenceCriterion] = {}):
        self.of, self.by_name = of, by_name

    def __call__(self, logits):
        return sum(each(logits) for each in self.of)

@hookimpl
def edanas_confidence_criteria():
    return {"mix": Mix}
"""


def test_an_option_may_be_an_implementation(registry):
    known = registry(criterion(), MIX)
    part = {"name": "constant", "value": 2}
    entries = known.create(
        KIND, "mix", {"of": ["constant", {"name": "mix", "of": [part]}], "by_name": {"x": part}}
    )
    assert [type(each).__name__ for each in entries.of] == ["Constant", "Mix"]
    assert (entries.of[1].of[0].value, entries.by_name["x"].value) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"of": ["constnat"]},
            "criterion.of: unknown confidence criterion 'constnat'. Did you mean 'constant'?",
        ),
        (
            {"of": [{"name": "constant", "valeu": 1}]},
            "criterion.of.valeu: .* no such option. Did you mean 'value'",
        ),
        (
            {"of": [{"value": 1}]},
            r"criterion.of\[1\]: .* expected a name, or a table with `name` and options",
        ),
        ({}, "criterion.of: .* needs it: expected a list, each a name, or a table with `name` and options"),
    ],
)
def test_an_error_in_a_nested_implementation_is_named(registry, options, message):
    known = registry(criterion(), MIX)
    with pytest.raises(ConfigError, match=message):
        known.check(KIND, "mix", options)


def test_leading_arguments_are_not_options(registry):
    code = (
        "def make(bench: 'NotImportedHere', value: float = 0.1):\n    return Constant(value, name_of=bench)\n"
    )
    entries = registry(code + criterion(factory="make"))
    assert entries.create(KIND, "constant", {"value": 0.2}, "the bench").name_of == "the bench"
    with pytest.raises(ConfigError, match="no such option"):
        entries.create(KIND, "constant", {"bench": 1}, "the bench")


def test_an_unknown_name_lists_the_near_miss_and_all_owners(registry):
    entries = registry(criterion("constant"), criterion("random"))
    with pytest.raises(ConfigError) as error:
        entries.create(KIND, "constnat")
    assert str(error.value) == (
        "criterion: unknown confidence criterion 'constnat'. Did you mean 'constant'? "
        "Allowed: constant (dist-plugin-0), random (dist-plugin-1)."
    )


def test_an_unknown_name_points_at_broken_plugins(registry):
    entries = registry("import nothing_of_that_name", criterion())
    with pytest.raises(ConfigError, match=r"broken \(see `edanas plugins`\): plugin-0"):
        entries.create(KIND, "other")


def test_two_owners_of_one_name_are_both_named(install, no_built_ins):
    install("one", criterion(), owner="first-dist")
    install("two", criterion(), owner="second-dist")
    install("three", criterion("else"))
    host = load_plugins()
    entries = Registry(host)
    with pytest.raises(PluginError) as error:
        entries.create(KIND, "constant")
    text = str(error.value)
    # The name stops only runs that use it.
    assert entries.create(KIND, "else") is not None
    with pytest.raises(PluginError, match="first-dist"):
        entries.check(KIND, "constant", {})
    assert "first-dist 1.0 (entry point 'one')" in text
    assert "second-dist 1.0 (entry point 'two')" in text
    assert "confidence criterion 'constant'" in text
    assert len(catalog(host).entries) == 3


def test_a_restriction_resolves_a_conflict(install, no_built_ins, monkeypatch):
    install("one", criterion())
    install("two", criterion())
    with pytest.raises(PluginError) as error:
        Registry(load_plugins()).create(KIND, "constant")
    monkeypatch.setenv("EDANAS_PLUGINS", str(error.value).split('EDANAS_PLUGINS="')[1].split('"')[0])
    assert len(Registry(load_plugins()).names(KIND)) == 1


def test_a_conflict_with_a_built_in_excludes_the_other_plugin(install, monkeypatch):
    module = install("mine", criterion(), owner="my-dist")
    monkeypatch.setattr("edanas.plugins.manager.BUILT_IN", (install("own", criterion(), owner="unused"),))
    host = load_plugins()
    conflicts = catalog(host).conflicts
    assert any(module not in conflict.message(host).split("e.g.")[1] for conflict in conflicts)
    assert all(" mine" not in conflict.message(host).split("e.g.")[1] for conflict in conflicts)


def test_one_name_in_two_kinds_is_no_conflict(registry):
    code = (
        criterion("same") + "\n@hookimpl\ndef edanas_bundles():\n    return {'same': Bundle('A bundle.')}\n"
    )
    entries = registry(code)
    assert entries.bundle("same").doc == "A bundle."
    assert {entry.kind for entry in entries.entries()} == {KIND, "bundle"}


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("return [Constant]", "edanas_confidence_criteria returned a list; expected names to factories"),
        ("return {1: Constant}", "edanas_confidence_criteria returned the name 1; expected text"),
        ("return {'x': 3}", "edanas_confidence_criteria: 'x' is an int; expected a class or function"),
        ("raise KeyError('gone')", "edanas_confidence_criteria raised KeyError: 'gone'"),
    ],
)
def test_a_plugin_with_one_wrong_return_value_is_broken(registry, body, cause):
    bundle = "\n@hookimpl\ndef edanas_bundles():\n    return {'mine': Bundle('Mine.')}\n"
    wrong = f"{bundle}\n@hookimpl\ndef edanas_confidence_criteria():\n    {body}\n"
    entries = registry(wrong, criterion())
    assert [entry.name for entry in entries.entries()] == ["constant"]
    (broken,) = entries.host.broken
    assert broken.cause == cause
    assert [plugin.name for plugin in entries.host.plugins] == ["plugin-1"]


def test_a_bundle_of_another_type_is_refused(registry):
    entries = registry("\n@hookimpl\ndef edanas_bundles():\n    return {'mine': {'seed': 1}}\n")
    assert entries.host.broken[0].cause == "edanas_bundles: 'mine' is a dict; expected a Bundle"


def test_an_error_of_a_factory_names_its_owner(registry):
    code = "def make():\n    return 1 / 0\n" + criterion(factory="make")
    with pytest.raises(PluginError) as error:
        registry(code).create(KIND, "constant")
    assert str(error.value) == (
        "plugin dist-plugin-0 1.0 (entry point 'plugin-0'): confidence criterion 'constant' raised "
        "ZeroDivisionError: division by zero"
    )


def test_an_edanas_error_of_a_factory_is_raised_unchanged(registry):
    head = "from edanas.core.errors import ConfigError\n"
    code = "def make():\n    raise ConfigError('criterion.value: too much')\n"
    with pytest.raises(ConfigError, match=r"^criterion.value: too much$"):
        registry(head + code + criterion(factory="make")).create(KIND, "constant")


def test_an_implementation_without_the_contract_is_refused(registry):
    code = "def make():\n    return 'a text'\n" + criterion(factory="make")
    with pytest.raises(PluginError, match=r"made a str; expected a ConfidenceCriterion"):
        registry(code).create(KIND, "constant")


def test_every_kind_has_a_setting():
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert set(SETTING) == {kind.name for kind in KINDS}
    assert set(SETTING.values()) <= fields


def test_parameters_of_classes_functions_and_partials():
    @dataclasses.dataclass
    class Data:
        size: "int" = 3

    def rest(first: int, /, second: str | None = None, **others: float) -> None:
        pass

    assert parameters(Data)["size"].annotation is int
    assert list(parameters(rest)) == ["second", "**"]
    assert parameters(functools.partial(rest, 1))["second"].annotation == str | None
    assert parameters(object) == {}


def test_an_annotation_that_cannot_be_resolved_is_an_error():
    def make(value: "NoSuchType" = 1) -> None:  # noqa: F821
        pass

    with pytest.raises(PluginError, match="'value' has the annotation 'NoSuchType'"):
        parameters(make)


def test_the_built_ins_do_not_contradict_each_other():
    Registry(load_plugins())
