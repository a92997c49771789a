"""Compare choices of a space for small photographs: supernets trained for equal time.

Each variant differs from the preset `cifar` in the strides, the widths, or the resolutions, and is trained
for the same time on the same images. Random backbones are then evaluated on the validation part, and for each
budget of multiply-adds the best accuracy is printed. A few minutes of training rank variants only roughly:
compare differences with the spread over seeds. `ablation.py` trains and judges.

    python benchmarks/space_ablation.py FOLDER --out OUT --minutes 5 --backbones 24 --seeds 0 1
"""

from typing import Any

from ablation import ablate

VARIANTS: dict[str, dict[str, Any]] = {
    "cifar": {},
    "stem stride 1": {"supernet.stem_stride": 1},
    "stem stride 1, stages 2 2 1 2 1, 24 and 32 pixels": {
        "supernet.stem_stride": 1,
        "supernet.stage_strides": [2, 2, 1, 2, 1],
        "supernet.resolutions": [24, 32],
    },
    "stages 2 2 1 2 1": {"supernet.stage_strides": [2, 2, 1, 2, 1]},
    "stages 2 2 2 1 2 (ImageNet's)": {"supernet.stage_strides": [2, 2, 2, 1, 2]},
    "width 0.5 alone": {"supernet.widths": [0.5]},
    "widths to 0.75": {"supernet.widths": [0.35, 0.5, 0.75]},
    "32 pixels alone": {"supernet.resolutions": [32]},
    "48 pixels alone": {"supernet.resolutions": [48]},
}


if __name__ == "__main__":
    ablate(__doc__, VARIANTS, plugin="mbv3-sm", minutes=5.0)
