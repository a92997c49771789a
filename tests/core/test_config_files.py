import tomllib
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.config import (
    changed,
    flatten,
    parse_assignment,
    read_toml,
    resolve,
    to_plain,
    to_toml,
)
from edanas.core.errors import ConfigError
from edanas.core.settings import (
    Component,
    FinetuneSettings,
    SearchSettings,
    Settings,
    SplitSettings,
    TrainingSettings,
    labels,
)

LARGEST = 2**53
"""Largest whole number of a setting: every whole number up to it is a float, too."""

numbers = st.floats(0, 1e6, allow_subnormal=True)


positive = st.floats(1e-300, 1e6)


text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


scalar = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), text)


# Texts that may name files have no NUL, which the system refuses.
name = text.filter(lambda text: "\0" not in text)


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


training = partial(
    st.builds,
    epochs=st.integers(1, LARGEST),
    batch_size=st.integers(2, LARGEST),
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
    plugin=name.filter(bool),
    preset=name,
    data=component,
    split=st.just(SplitSettings(0.1, 0.2, 0.3, 0.4)),
    seed=st.integers(0, 2**31 - 1),
    device=st.sampled_from(["auto", "cpu", "cuda", "cuda:1"]),
    threads=st.integers(0, 64),
    supernet=component,
    weights=name,
    classifier=component,
    criterion=component,
    thresholds=st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=4, unique=True).map(tuple),
    evaluation=component,
    objectives=several.map(tuple),
    strategy=component,
    surrogates=several.map(tuple),
    scheme=component,
    executor=component,
    search=st.builds(SearchSettings, initial=st.integers(2, LARGEST), time_limit=numbers),
    training=training(TrainingSettings),
    finetune=training(FinetuneSettings, backbones=st.booleans()),
    recalibration=st.integers(2, LARGEST),
    final_thresholds=component,
    exports=several.map(tuple),
    loggers=several.map(tuple),
)


@settings(max_examples=40)
@given(everything)
def test_settings_survive_toml(original):
    assert resolve([("file", tomllib.loads(to_toml(original)))]) == original
    assert resolve([("plain", to_plain(original))]) == original


def test_items_of_a_list_may_have_options():
    setting = 'objectives=["accuracy", {name="mix", of=["params", {name="tail", q=0.9}], a.b=1}]'
    resolved = resolve([("--set", parse_assignment(setting))])
    mix = {"of": ["params", {"name": "tail", "q": 0.9}], "a": {"b": 1}}
    assert resolved.objectives == (Component("accuracy"), Component("mix", mix))
    assert flatten(resolved)["objectives"] == ("accuracy", {"name": "mix", **mix})
    (line,) = changed(Settings(), resolved)
    assert line.startswith(
        "objectives: was ('accuracy', 'executed-macs'), now ('accuracy', {'name': 'mix', 'of': "
    )
    same_name = resolve([("--set", {"surrogates": ["rbf", {"name": "rbf", "degree": 0}]})])
    assert labels(same_name.surrogates) == ["rbf", "rbf 2"]


def test_a_file_is_read(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('seed = 5\n[training]\nepochs = 2\n[strategy]\nname = "random"\nx = 1\n')
    resolved = resolve([(str(path), read_toml(path))])
    assert (resolved.seed, resolved.training.epochs, resolved.strategy) == (
        5,
        2,
        Component("random", {"x": 1}),
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"seed = 5\nsplit = \n", "run.toml, line 2, column"),
        (b"seed = 5\nseed = 6\n", "run.toml, line 2, column"),
        (b'weights = """', "run.toml, at its end"),
        (b"seed = \xff", "run.toml: is not UTF-8 text (byte 7)"),
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
    ("assignment", "table"),
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
def test_an_assignment_is_a_toml_value_or_text(assignment, table):
    assert parse_assignment(assignment) == table


@pytest.mark.parametrize("assignment", ["seed", "=5", "a..b=1", ".a=1", ""])
def test_text_that_is_not_an_assignment_is_refused(assignment):
    with pytest.raises(ConfigError, match=r"^--set: found .* expected KEY=VALUE, e.g. training.epochs=5"):
        parse_assignment(assignment)
