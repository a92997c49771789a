"""The settings of a run: names, types, defaults and descriptions. `edanas.core.config` reads them."""

from edanas.core.settings.run import SearchSettings, Settings, SplitSettings
from edanas.core.settings.training import (
    ALTERNATING,
    FLIPS,
    LARGEST_EVERY,
    BaselineSettings,
    FinetuneSettings,
    TrainingSettings,
)
from edanas.core.settings.values import (
    ByteLimit,
    Component,
    Components,
    Condition,
    components,
    labels,
    setting,
)

__all__ = [
    "Settings",
    "SplitSettings",
    "SearchSettings",
    "TrainingSettings",
    "FinetuneSettings",
    "BaselineSettings",
    "ALTERNATING",
    "FLIPS",
    "LARGEST_EVERY",
    "Component",
    "Components",
    "Condition",
    "ByteLimit",
    "components",
    "labels",
    "setting",
]
