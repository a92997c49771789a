from pathlib import Path

from edanas.plugins.registry import Registry
from edanas.testing import check_provider

KIND = "supernet provider"

OWN = Path(__file__).parents[1] / "supernets" / "own_nets.py"

SMALL = {
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
    "timm": {"model": "test_resnet", "resolutions": [16]},
    "module": {
        "source": f"{OWN}:make",
        "resolutions": [8],
    },
    "eecnn": {"resolutions": [8, 12], "width": 0.06},
    "alexnet": {"resolutions": [8, 12], "width": 0.06},
    "vgg13": {"resolutions": [8], "width": 0.03},
    "resnet18": {"resolutions": [8], "width": 0.03},
}
"""Options that keep networks small; a provider that is not listed is checked with its defaults."""


def test_conforms(registry: Registry, name: str) -> None:
    check_provider(registry.create(KIND, name, SMALL.get(name)))
