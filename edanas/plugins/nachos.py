"""The bundle `nachos`: heads and gates on frozen backbones, with a scan of thresholds."""

from typing import Any

from edanas.core.contracts import Bundle
from edanas.core.hookspecs import hookimpl
from edanas.plugins.mbv3_sm import CHOICES, PAPER, QUICK

# A user adds the budget: `constraints` for the search, `max_macs` of scheme and setter for the networks.
NACHOS: dict[str, Any] = {
    **CHOICES,
    "criterion": "cumulative-gate",
    "scheme": "nachos",
    "strategy": "nsga2-joint",
    "thresholds": [0.2, 0.5, 0.7, "none"],
    "objectives": ["accuracy", "executed-macs"],
    "final_thresholds": "nachos",
}

_OWN = ("criterion", "scheme", "strategy", "thresholds", "objectives", "final_thresholds")


def _preset(settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the settings of a preset of `mbv3-sm` without those that the bundle sets itself."""
    return {key: value for key, value in settings.items() if key not in _OWN} | changes


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """Register the bundle `nachos`."""
    doc = "NACHOS: OFA MobileNetV3, heads with gates on a frozen backbone, thresholds by scan and repair."
    # The scripts of the public code: 10 epochs of the backbone, 5 + 5 of the exits, a tenth of the images for
    # validation, 10 iterations.
    training = {**PAPER["training"], "epochs": 20}
    search = {**PAPER["search"], "iterations": 10}
    paper = _preset(PAPER, training=training, search=search, classifier="pool-linear")
    return {"nachos": Bundle(doc, NACHOS, {"quick": _preset(QUICK), "paper": paper})}
