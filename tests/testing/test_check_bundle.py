"""The suite finds what is wrong with a bundle."""

from types import ModuleType
from typing import Any

import pytest

from edanas.core.contracts import Bundle
from edanas.core.hookspecs import hookimpl
from edanas.plugins.manager import Plugin, load_plugins
from edanas.plugins.registry import Registry
from edanas.testing import ConformanceError, check_bundle


def registry(bundle: Bundle) -> Registry:
    """The built-ins, and a plugin that brings `bundle` as `mine`."""

    def edanas_bundles() -> dict[str, Bundle]:
        return {"mine": bundle}

    host = load_plugins()
    plugin = ModuleType("mine")
    plugin.edanas_bundles = hookimpl(edanas_bundles)  # type: ignore[attr-defined]
    host.load(Plugin("mine", "mine", "1"), lambda: plugin)
    return Registry(host)


def bundle(doc: str = "Mine.", settings: Any = None, **presets: Any) -> Bundle:
    return Bundle(doc, settings or {}, presets)


@pytest.mark.parametrize(
    "sound",
    [
        bundle(),
        bundle(settings={"supernet": {"name": "ofa-mbv3", "widths": [0.5]}, "executor.name": "process"}),
        bundle(quick={"search.initial": 5}, best={"thresholds": [0.5, "none"], "data": "cifar10"}),
    ],
)
def test_a_sound_bundle_passes(sound: Bundle) -> None:
    check_bundle("mine", registry(sound))


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (bundle(doc=""), "bundle 'mine': doc is ''; expected one line"),
        (bundle(doc="Mine.\nAll mine."), r"doc is 'Mine.\\nAll mine.'; expected one line"),
        (bundle(settings={"criterion": "entrop"}), "confidence criterion 'entrop': criterion: unknown"),
        (bundle(settings={"surrogates": ["rbf", "gpp"]}), "surrogate model 'gpp': .*Did you mean 'gp'"),
        (
            bundle(settings={"search.initials": 3}),
            "resolving its settings raises ConfigError: search.initials",
        ),
        (
            bundle(settings={"supernet.wide": 3}),
            "supernet provider 'ofa-mbv3': supernet.wide: .*no such option",
        ),
        (bundle(settings={"supernet.widths": [0.0]}), "supernet.widths: found 0.0; allowed"),
        (bundle(settings={"evaluation.epochs": 3}), "evaluation 'shared': evaluation.epochs"),
        (bundle(settings={"preset": "best"}), "sets preset, which is the user's choice"),
        (bundle(quick={}, best={"search.initial": 0}), "preset 'best': resolving its settings raises"),
        (bundle(quick={}, best={"plugin": "mbv3-sm"}), "preset 'best' sets plugin"),
        (bundle(quick={}, best={"data": "cifar1"}), "preset 'best': data set 'cifar1': .*'cifar10'"),
    ],
)
def test_a_fault_is_found(broken: Bundle, text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_bundle("mine", registry(broken))


def test_a_name_that_is_not_registered() -> None:
    with pytest.raises(ConformanceError, match=r"bundle 'yours': finding it raises ConfigError: .*'yours'"):
        check_bundle("yours", registry(bundle()))
