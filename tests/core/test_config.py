import dataclasses
import math
import tomllib
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.config import (
    changed,
    differences,
    flatten,
    parse_assignment,
    read_toml,
    reference,
    resolve,
    to_plain,
    to_toml,
)
from edanas.core.convert import Limits, Place, convert, describe
from edanas.core.errors import ConfigError
from edanas.core.settings import (
    Component,
    SearchSettings,
    Settings,
    SplitSettings,
    TrainingSettings,
    labels,
)


def refusal(table: dict[str, Any], origin: str = "--set") -> str:
    with pytest.raises(ConfigError) as error:
        resolve([(origin, table)])
    return str(error.value)


# Layers


def test_no_layers_are_the_defaults():
    assert resolve([]) == Settings()


def test_later_layers_win_setting_by_setting():
    made = resolve(
        [
            ("bundle", {"training": {"epochs": 7, "batch_size": 16}, "seed": 3}),
            ("preset", {"training.epochs": 9}),
            ("--set", {"seed": 4}),
        ]
    )
    assert made.training.epochs == 9
    assert made.training.batch_size == 16
    assert made.seed == 4
    assert made.finetune == Settings().finetune


def test_dotted_and_nested_keys_mean_the_same():
    nested = resolve([("a", {"search": {"initial": 5}, "strategy": {"name": "x", "population": 8}})])
    dotted = resolve([("a", {"search.initial": 5, "strategy.population": 8, "strategy": "x"})])
    assert nested == dotted
    assert nested.strategy == Component("x", {"population": 8})


def test_an_option_keeps_the_name_and_other_options():
    made = resolve(
        [("bundle", {"strategy": {"name": "ga", "rounds": 3}}), ("--set", {"strategy": {"population": 80}})]
    )
    assert made.strategy == Component("ga", {"rounds": 3, "population": 80})


def test_another_name_drops_the_earlier_options_and_the_same_name_keeps_them():
    base = ("bundle", {"strategy": {"name": "ga", "rounds": 3}})
    assert resolve([base, ("--set", {"strategy": "random"})]).strategy == Component("random")
    assert resolve([base, ("--set", {"strategy": {"name": "x", "a": 1}})]).strategy == Component(
        "x", {"a": 1}
    )
    assert resolve([base, ("--set", {"strategy": "ga"})]).strategy == Component("ga", {"rounds": 3})


def test_a_nested_option_is_merged():
    made = resolve([("a", {"supernet.strides": {"stem": 1, "one": 2}}), ("b", {"supernet.strides.one": 1})])
    assert made.supernet.options == {"strides": {"stem": 1, "one": 1}}


def test_options_are_toml_values_from_the_start():
    made = resolve([("bundle", {"data": {"name": "d", "sizes": (1, None), "root": Path("a") / "b"}})])
    assert made.data.options == {"sizes": [1, "none"], "root": str(Path("a") / "b")}


def test_none_in_thresholds_is_no_exit():
    assert resolve([("f", {"thresholds": [0.25, "none"]})]).thresholds == (0.25, None)
    assert resolve([("f", {"thresholds": (1, None)})]).thresholds == (1.0, None)


# Errors


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"training.epochs": "ten"}, "training.epochs: 'ten' from --set: expected a whole number >= 0"),
        ({"training": {"batch_size": 0}}, "training.batch_size: 0 from --set: expected a whole number >= 2"),
        ({"finetune.epochs": 1.5}, "finetune.epochs: 1.5 from --set: expected a whole number >= 0"),
        ({"training.batch_size": True}, "training.batch_size: True from --set: expected a whole number >= 2"),
        ({"search.max_evals": -1}, "search.max_evals: -1 from --set: expected a whole number >= 0"),
        ({"search.time_limit": -0.5}, "search.time_limit: -0.5 from --set: expected a number >= 0"),
        ({"search.time_limit": math.inf}, "search.time_limit: inf from --set: expected a number >= 0"),
        (
            {"training.learning_rate": math.nan},
            "training.learning_rate: nan from --set: expected a number > 0",
        ),
        ({"search.results": 0}, "search.results: 0 from --set: expected a whole number >= 1"),
        ({"seed": -1}, "seed: -1 from --set: expected a whole number >= 0 and <= 2147483647"),
        ({"device": "cuda:"}, "device: 'cuda:' from --set: expected auto, cpu, cuda or cuda:N"),
        (
            {"thresholds": [0.1, 1.5]},
            'thresholds[2]: 1.5 from --set: expected a number >= 0 and <= 1 or "none"',
        ),
        (
            {"thresholds": [0.1, 0.1]},
            "thresholds: [0.1, 0.1] from --set: expected a list of 1 or more, "
            'each a number >= 0 and <= 1 or "none", none twice',
        ),
        (
            {"objectives": ["accuracy"]},
            "objectives: ['accuracy'] from --set: expected a list of 2 or more, each a name, or a table with "
            "`name` and options, none twice",
        ),
        (
            {"surrogates": "rbf"},
            "surrogates: 'rbf' from --set: expected a list of 1 or more, each a name, or a table with "
            "`name` and options, none twice",
        ),
        (
            {"objectives": ["accuracy", {"weight": 2}]},
            "objectives[2]: {'weight': 2} from --set: expected a name, or a table with `name` and options",
        ),
        (
            {"training.optimizer": "adam"},
            "training.optimizer: 'adam' from --set is no choice here. Did you mean 'adamw'? "
            "Allowed: adamw, sgd.",
        ),
        (
            {"training.augment": ["flp"]},
            "training.augment[1]: 'flp' from --set is no choice here. Did you mean 'flip'? "
            "Allowed: erase, flip, mixup, rotate, shift.",
        ),
        (
            {"split.test": 0.3},
            "split: train 0.55 + calibration 0.1 + validation 0.15 + test 0.3 = 1.1: "
            "expected shares that sum to 1",
        ),
        ({"split.test": 0}, "split.test: 0 from --set: expected a number > 0 and < 1"),
        ({"split": 3}, "split: 3 from --set: expected a table"),
        ({"strategy": ""}, "strategy: '' from --set: expected a name, or a table with `name` and options"),
        ({"strategy": {"name": 3}}, "strategy: {'name': 3} from --set: expected a name, or a table"),
        ({"weights": 3}, "weights: 3 from --set: expected text"),
        ({"plugin": ""}, "plugin: '' from --set: expected text that is not empty"),
        ({"data": {"root": object}}, "data.root: <class 'object'> from --set: expected text, a number"),
        ({"data.scale": math.nan}, "data.scale: nan from --set: expected text, a number"),
        (
            {"training.epoch": 3},
            "training.epoch: unknown setting, from --set. Did you mean 'training.epochs'?",
        ),
        (
            {"epochs": 3},
            "epochs: unknown setting, from --set. Did you mean 'training.epochs' or 'finetune.epochs'?",
        ),
        ({"seed.x": 3}, "seed.x: unknown setting, from --set. Did you mean 'seed'?"),
        ({"stratgy": "random"}, "stratgy: unknown setting, from --set. Did you mean 'strategy'?"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_found_and_is_allowed(table, text):
    assert refusal(table).startswith(text)


def test_an_error_names_the_layer_that_gave_the_value():
    with pytest.raises(ConfigError, match=r"^seed: 'x' from run.toml: "):
        resolve([("run.toml", {"seed": "x"}), ("--set", {"search.initial": 4})])


def test_an_unknown_setting_lists_its_neighbours():
    assert refusal({"search": {"foo": 1}}).endswith(
        "Allowed: search.initial, search.iterations, search.per_iteration, search.max_evals, "
        "search.time_limit, search.patience, search.min_gain, search.results."
    )


def test_what_a_later_layer_mends_is_no_error():
    assert resolve([("a", {"seed": "x", "split.test": 0.9}), ("b", {"seed": 1, "split.test": 0.2})]).seed == 1


def test_shares_may_be_rounded():
    thirds = {"train": 1 / 3, "calibration": 1 / 3, "validation": 1 / 6, "test": 1 / 6}
    assert resolve([("f", {"split": thirds})]).split.train == 1 / 3


# TOML

numbers = st.floats(0, 1e6, allow_subnormal=True)
positive = st.floats(1e-300, 1e6)
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
scalar = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), text)
option = st.recursive(
    scalar,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=2)),
    max_leaves=4,
)
keys = st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda key: key != "name")
component = st.builds(Component, text.filter(bool), st.dictionaries(keys, option, max_size=3))
several = st.lists(component, min_size=2, max_size=4).filter(
    lambda each: all(one not in each[:i] for i, one in enumerate(each))
)
training = st.builds(
    TrainingSettings,
    epochs=st.integers(1),
    batch_size=st.integers(2),
    optimizer=st.sampled_from(["adamw", "sgd"]),
    learning_rate=positive,
    schedule=st.sampled_from(["cosine", "constant"]),
    weight_decay=numbers,
    label_smoothing=st.floats(0, 1, exclude_max=True),
    gradient_clip=numbers,
    augment=st.permutations(["shift", "flip", "rotate", "erase"]).map(lambda names: tuple(names[:2])),
)
everything = st.builds(
    Settings,
    plugin=text.filter(bool),
    preset=text,
    data=component,
    split=st.just(SplitSettings(0.1, 0.2, 0.3, 0.4)),
    seed=st.integers(0, 2**31 - 1),
    device=st.sampled_from(["auto", "cpu", "cuda", "cuda:1"]),
    threads=st.integers(0, 64),
    supernet=component,
    weights=text,
    classifier=component,
    criterion=component,
    thresholds=st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=4, unique=True).map(tuple),
    evaluation=component,
    objectives=several.map(tuple),
    strategy=component,
    surrogates=several.map(tuple),
    scheme=component,
    executor=component,
    search=st.builds(SearchSettings, initial=st.integers(2), time_limit=numbers),
    training=training,
    finetune=training,
    recalibration=st.integers(2),
    final_thresholds=component,
    exports=several.map(tuple),
    loggers=several.map(tuple),
)


@settings(deadline=None, max_examples=40)
@given(everything)
def test_toml_and_back_is_the_same(made):
    assert resolve([("file", tomllib.loads(to_toml(made)))]) == made
    assert resolve([("plain", to_plain(made))]) == made


def test_items_of_a_list_may_have_options():
    setting = 'objectives=["accuracy", {name="mix", of=["params", {name="tail", q=0.9}], a.b=1}]'
    made = resolve([("--set", parse_assignment(setting))])
    mix = {"of": ["params", {"name": "tail", "q": 0.9}], "a": {"b": 1}}
    assert made.objectives == (Component("accuracy"), Component("mix", mix))
    assert flatten(made)["objectives"] == ("accuracy", {"name": "mix", **mix})
    (line,) = changed(Settings(), made)
    assert line.startswith(
        "objectives: was ('accuracy', 'ada-macs'), now ('accuracy', {'name': 'mix', 'of': "
    )
    same_name = resolve([("--set", {"surrogates": ["rbf", {"name": "rbf", "degree": 0}]})])
    assert labels(same_name.surrogates) == ["rbf", "rbf 2"]


def test_a_file_is_read(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('seed = 5\n[training]\nepochs = 2\n[strategy]\nname = "random"\nx = 1\n')
    made = resolve([(str(path), read_toml(path))])
    assert (made.seed, made.training.epochs, made.strategy) == (5, 2, Component("random", {"x": 1}))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"seed = 5\nsplit = \n", "run.toml, line 2, column"),
        (b"seed = 5\nseed = 6\n", "run.toml, line 2, column"),
        (b'weights = """', "run.toml, at its end"),
        (b"seed = \xff", "run.toml: is no UTF-8 text (byte 7)"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path, content, text):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_toml(path)
    assert str(error.value).startswith(str(tmp_path))
    assert text in str(error.value)
    assert "expected TOML" in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent.toml: cannot be read: No such file"):
        read_toml(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("given_text", "table"),
    [
        ("seed=5", {"seed": 5}),
        ("training.epochs = 2", {"training": {"epochs": 2}}),
        ("split.test=0.25", {"split": {"test": 0.25}}),
        ("strategy=random", {"strategy": "random"}),
        ('strategy="random"', {"strategy": "random"}),
        ("data=/a b/c=d", {"data": "/a b/c=d"}),
        ("weights=", {"weights": ""}),
        ('thresholds=[0.1, "none"]', {"thresholds": [0.1, "none"]}),
        ("supernet.wide=true", {"supernet": {"wide": True}}),
        ("strategy={name = 'x', a = 1}", {"strategy": {"name": "x", "a": 1}}),
        ("seed=5\nplugin='x'", {"seed": "5\nplugin='x'"}),
    ],
)
def test_an_assignment_is_a_toml_value_or_text(given_text, table):
    assert parse_assignment(given_text) == table


@pytest.mark.parametrize("given_text", ["seed", "=5", "a..b=1", ".a=1", ""])
def test_what_is_no_assignment_is_refused(given_text):
    with pytest.raises(ConfigError, match=r"^--set: found .* expected KEY=VALUE, e.g. training.epochs=5"):
        parse_assignment(given_text)


# What changed, and the reference


def test_changes_are_listed_with_both_values():
    old = resolve([("a", {"strategy": {"name": "ga", "rounds": 3}})])
    new = resolve([("a", {"strategy": "random", "training.epochs": 11})])
    assert differences(old, new) == {
        "strategy": ("ga", "random"),
        "strategy.rounds": (3, None),
        "training.epochs": (10, 11),
    }
    assert changed(old, new)[2] == "training.epochs: was 10, now 11"
    assert changed(old, old) == []


def test_the_reference_has_every_setting_once():
    lines = reference()
    assert [line.path for line in lines] == list(flatten(Settings()))
    assert all(line.doc.endswith(".") and line.type != "anything" for line in lines)
    by_path = {line.path: line for line in lines}
    assert by_path["finetune.batch_size"][1:3] == ("a whole number >= 2", 64)
    assert by_path["finetune.epochs"].default == 5
    assert by_path["training.optimizer"].type == "one of adamw, sgd"


def test_every_default_is_in_its_own_range():
    for settings_class in (SplitSettings, SearchSettings, TrainingSettings):
        assert all("limits" in part.metadata for part in dataclasses.fields(settings_class))
    assert resolve([("defaults", to_plain(Settings()))]) == Settings()


# The converter, where settings do not reach


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (5, int | float, 5),
        (5.5, int | float, 5.5),
        (5, float, 5.0),
        (5.0, int, 5),
        ("none", int | None, None),
        (None, str | None, None),
        ("a", str | int, "a"),
        ("b", Literal["a", "b"], "b"),
        ([1, "x"], tuple[int, str], (1, "x")),
        ([1, 2], list[float], [1.0, 2.0]),
        ([[1], [2]], tuple[tuple[int, ...], ...], ((1,), (2,))),
        ({"a": 1}, dict[str, float], {"a": 1.0}),
        ("a/b", Path, Path("a/b")),
        ([1], tuple, (1,)),
        (object, Any, object),
    ],
)
def test_conversion(value, annotation, expected):
    made = convert(value, annotation, Place("here"))
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation", "text"),
    [
        ("c", Literal["aa", "ab"], "here: 'c' is no choice here. Allowed: aa, ab."),
        (True, Literal[1, 2], "here: True: expected one of 1, 2"),
        ([1], tuple[int, str], "here: [1]: expected a list of 2: a whole number, text"),
        ({"a": "x"}, dict[str, int], "here.a: 'x': expected a whole number"),
        (3, dict[str, int], "here: 3: expected a table"),
        ("5", int, "here: '5': expected a whole number"),
        (1, bool, "here: 1: expected true or false"),
        ("x", int | None, "here: 'x': expected a whole number or \"none\""),
        (1, Path, "here: 1: expected a path"),
        (1, Settings, "here: 1: expected Settings"),
        ("x" * 200, int, "here: '" + "x" * 76 + "...: expected a whole number"),
    ],
)
def test_refused_conversion(value, annotation, text):
    with pytest.raises(ConfigError) as error:
        convert(value, annotation, Place("here"))
    assert str(error.value) == text


@given(st.floats(-3, 3), st.floats(-2, 0), st.floats(0, 2))
@settings(deadline=None, max_examples=50)
def test_limits_hold_as_they_say(value, low, high):
    assert Limits(minimum=low, maximum=high).hold(value) == (low <= value <= high)
    assert Limits(above=low, below=high).hold(value) == (low < value < high)


def test_description_of_limits():
    assert describe(float, Limits(above=0, maximum=1)) == "a number > 0 and <= 1"
    assert describe(tuple[int, ...], Limits(minimum=2, length=3, distinct=True)) == (
        "a list of 3 or more, each a whole number >= 2, none twice"
    )
