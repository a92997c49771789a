"""Options with which built-in supernet providers build small networks."""

from pathlib import Path
from typing import Any

OWN = Path(__file__).with_name("user_nets.py")

SMALL: dict[str, dict[str, Any]] = {
    "ofa-mbv3": {
        "widths": [0.25, 0.5],
        "resolutions": [16, 24],
        "depths": [1, 2],
        "stem_stride": 1,
        "final_expand": 64,
        "last_width": 64,
    },
    "ofa-proxyless": {
        "widths": [0.25],
        "resolutions": [16],
        "depths": [1],
        "kernels": [3, 5],
        "stem_stride": 1,
        "final_expand": 64,
    },
    "shallow-deep": {"of": {"name": "resnet56", "width": 0.25, "resolutions": [16]}, "at": [0.3, 0.7]},
    "resnet56": {"width": 0.25, "resolutions": [16]},
    "cascade": {
        "of": {
            "name": "ofa-mbv3",
            "widths": [0.25],
            "resolutions": [16],
            "depths": [1],
            "kernels": [3],
            "expansions": [2, 3],
            "final_expand": 32,
            "last_width": 32,
        }
    },
    "ofa-resnet50": {"widths": [0.1], "resolutions": [16], "depths": [0, 1], "expansions": [0.25]},
    "elastic-resnet": {
        "widths": [0.5, 1.0],
        "resolutions": [8, 12],
        "depths": [1, 2],
        "channels": [8, 12, 16, 16, 16],
    },
    "elastic-1d": {
        "widths": [0.5, 1.0],
        "resolutions": [12],
        "depths": [1],
        "kernels": [3, 5],
        "expansions": [1, 2],
        "channels": [4, 8, 8, 12, 12],
        "masked": True,
    },
    "timm": {"model": "test_resnet", "resolutions": [16]},
    "module": {
        "source": f"{OWN}:make",
        "resolutions": [8],
    },
    "eecnn": {"resolutions": [8, 12], "width": 0.06},
    "resnet8": {"resolutions": [8, 12], "width": 0.25},
    "alexnet": {"resolutions": [8, 12], "width": 0.06},
    "vgg13": {"resolutions": [8], "width": 0.03},
    "resnet18": {"resolutions": [8], "width": 0.03},
}
"""Options by provider; a provider that is not listed is checked with its defaults."""
