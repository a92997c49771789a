import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from edanas.core.config import (
    changed,
    differences,
    flatten,
    reference,
    resolve,
    to_plain,
)
from edanas.core.errors import ConfigError
from edanas.core.settings import (
    Component,
    SearchSettings,
    Settings,
    SplitSettings,
    TrainingSettings,
)


def refusal(table: dict[str, Any], origin: str = "--set") -> str:
    with pytest.raises(ConfigError) as error:
        resolve([(origin, table)])
    return str(error.value)


def test_without_layers_settings_are_the_defaults():
    assert resolve([]) == Settings()


def test_later_layers_win_setting_by_setting():
    settings = resolve(
        [
            ("bundle", {"training": {"epochs": 7, "batch_size": 16}, "seed": 3}),
            ("preset", {"training.epochs": 9}),
            ("--set", {"seed": 4}),
        ]
    )
    assert settings.training.epochs == 9
    assert settings.training.batch_size == 16
    assert settings.seed == 4
    assert settings.finetune == Settings().finetune


def test_dotted_and_nested_keys_mean_the_same():
    nested = resolve([("a", {"search": {"initial": 5}, "strategy": {"name": "x", "population": 8}})])
    dotted = resolve([("a", {"search.initial": 5, "strategy.population": 8, "strategy": "x"})])
    assert nested == dotted
    assert nested.strategy == Component("x", {"population": 8})


def test_an_option_keeps_the_name_and_other_options():
    settings = resolve(
        [("bundle", {"strategy": {"name": "ga", "rounds": 3}}), ("--set", {"strategy": {"population": 80}})]
    )
    assert settings.strategy == Component("ga", {"rounds": 3, "population": 80})


def test_another_name_drops_the_earlier_options_and_the_same_name_keeps_them():
    base = ("bundle", {"strategy": {"name": "ga", "rounds": 3}})
    assert resolve([base, ("--set", {"strategy": "random"})]).strategy == Component("random")
    assert resolve([base, ("--set", {"strategy": {"name": "x", "a": 1}})]).strategy == Component(
        "x", {"a": 1}
    )
    assert resolve([base, ("--set", {"strategy": "ga"})]).strategy == Component("ga", {"rounds": 3})


def test_a_nested_option_is_merged():
    settings = resolve(
        [("a", {"supernet.strides": {"stem": 1, "one": 2}}), ("b", {"supernet.strides.one": 1})]
    )
    assert settings.supernet.options == {"strides": {"stem": 1, "one": 1}}


def test_options_are_toml_values_from_the_start():
    settings = resolve([("bundle", {"data": {"name": "d", "sizes": (1, None), "root": Path("a") / "b"}})])
    assert settings.data.options == {"sizes": [1, "none"], "root": str(Path("a") / "b")}


def test_none_in_thresholds_is_no_exit():
    assert resolve([("f", {"thresholds": [0.25, "none"]})]).thresholds == (0.25, None)
    assert resolve([("f", {"thresholds": (1, None)})]).thresholds == (1.0, None)


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
            "training.optimizer: 'adam' from --set is not allowed. Did you mean 'adamw'? "
            "Allowed: adamw, sgd.",
        ),
        (
            {"training.augment": ["flp"]},
            "training.augment[1]: 'flp' from --set is not allowed. Did you mean 'flip'? "
            "Allowed: alternating-flip, erase, flip, jitter, mixup, rotate, scale, shift, spectrum, warp.",
        ),
        (
            {"training.augment": ["flip", "shift", "alternating-flip"]},
            "training.augment: ['flip', 'shift', 'alternating-flip'] from --set: expected a list, each one "
            "of shift, flip, alternating-flip, rotate, erase, mixup, jitter, scale, warp, spectrum, none "
            "twice, only one of flip and alternating-flip",
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
            "epochs: unknown setting, from --set. Did you mean 'training.epochs' or 'finetune.epochs' or "
            "'baseline.epochs'?",
        ),
        (
            {"max_eval": 3},
            "max_eval: unknown setting, from --set. Did you mean 'search.max_evals'?",
        ),
        ({"seed.x": 3}, "seed.x: unknown setting, from --set. Did you mean 'seed'?"),
        ({"stratgy": "random"}, "stratgy: unknown setting, from --set. Did you mean 'strategy'?"),
    ],
)
def test_an_error_names_the_wrong_setting_its_value_and_the_allowed_values(table, text):
    assert refusal(table).startswith(text)


def test_an_error_names_the_layer_that_gave_the_value():
    with pytest.raises(ConfigError, match=r"^seed: 'x' from run.toml: "):
        resolve([("run.toml", {"seed": "x"}), ("--set", {"search.initial": 4})])


def test_an_unknown_setting_lists_its_neighbours():
    assert refusal({"search": {"foo": 1}}) == (
        "search.foo: unknown setting, from --set. Allowed: search.initial, search.iterations, "
        "search.per_iteration, search.max_evals, search.max_epochs, search.time_limit, search.patience, "
        "search.min_gain, search.results, search.compare, search.cut."
    )


def test_a_wrong_value_that_a_later_layer_replaces_is_no_error():
    assert resolve([("a", {"seed": "x", "split.test": 0.9}), ("b", {"seed": 1, "split.test": 0.2})]).seed == 1


def test_shares_may_be_rounded():
    thirds = {"train": 1 / 3, "calibration": 1 / 3, "validation": 1 / 6, "test": 1 / 6}
    assert resolve([("f", {"split": thirds})]).split.train == 1 / 3


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
