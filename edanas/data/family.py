"""Choice of the family of networks for a folder of images, and the settings that follow for the family."""

from typing import Any

from edanas.core.types import Survey
from edanas.data.auto_preset import LARGEST, SMALLEST
from edanas.data.space_for_time import FINETUNED

DENSE_SIDE = 40
"""Largest side of images, in pixels, for which `auto` chooses dense networks rather than mobile networks."""

DENSE, MOBILE, SERIES, SOUND = "resnet-sm", "mbv3-sm", "signal-sm", "sound-sm"
"""Bundles with dense and with mobile networks, with networks for series, and for sound."""

_POOLED_SIDE = 20
"""Smallest side of images, in pixels, for which dense networks have max-pooling and a stem of stride 2."""

SPECTROGRAMS = ["shift", "spectrum"]
"""Augmentations of spectrograms: in time and pitch, and blank bands."""

WHITENED: dict[str, Any] = {
    "supernet.stem": "whitened",
    "supernet.pooling": "max",
    "classifier": {"name": "pool-linear", "pooling": "max"},
}
"""Settings of dense networks for photographs, which then learn in fewer epochs; spectrograms did not gain."""

_SMALLEST_REDUCED = 8
"""Smallest side, in pixels, to which larger images are reduced for dense networks."""


def bundle_for(surveyed: Survey) -> tuple[str, str]:
    """Return the name of the bundle that suits the images of a folder, and a sentence with the reason.

    Images of up to 40 pixels get dense networks, larger images get mobile networks. A CPU does three to four
    times as much arithmetic a second in dense convolutions as in the depthwise ones on small features.
    More epochs then fit in the same time. For larger images, networks of few multiply-adds matter more.

    Series get the bundle for series.

    Args:
        surveyed: The survey of the data.

    Example:
        >>> bundle_for(Survey(1797, 1797, frozenset(), 10, 174, 183, side=8, grey=True))[0]
        'resnet-sm'
    """
    if surveyed.sound:
        return SOUND, f"Spectrograms of sound get dense networks for small images (bundle '{SOUND}')."
    if surveyed.length:
        return SERIES, f"Series get networks with convolutions along the series (bundle '{SERIES}')."
    if surveyed.side <= DENSE_SIDE:
        return DENSE, (
            f"Images of {surveyed.side} px get dense networks (bundle '{DENSE}'): a processor does three to "
            f"four times as much arithmetic a second in them; `--plugin {MOBILE}` searches mobile networks."
        )
    return MOBILE, (
        f"Images of {surveyed.side} px get mobile networks (bundle '{MOBILE}'), which need the fewest "
        f"multiply-adds above {DENSE_SIDE} px; `--plugin {DENSE}` searches dense networks."
    )


def dense_sides(surveyed: Survey) -> list[int]:
    """Return the resolutions of dense networks: half of the images' side, and the whole side, up to 64 px.

    Half of the side is at least 8 pixels. Nothing is enlarged, except images of less than 4 pixels.

    Args:
        surveyed: The survey of the folder.

    Example:
        >>> dense_sides(Survey(60000, 60000, frozenset(), 10, 6000, 6000, side=28, grey=True))
        [14, 28]
    """
    side = min(LARGEST, max(SMALLEST, surveyed.side))
    return sorted({min(side, max(_SMALLEST_REDUCED, side // 2)), side})


def for_supernet(
    automatic: dict[str, Any],
    supernet: str,
    surveyed: Survey,
    *,
    microcontroller: bool = False,
    whitens: bool = True,
) -> dict[str, Any]:
    """Return the settings of `auto` for a supernet.

    Of the settings `supernet.*`, `elastic-resnet` gets resolutions, from which it derives strides. Images of
    20 pixels or more also get max-pooling, GELU and a stem that halves the image, as in the bundle's preset
    `cifar`. Images in colour get that preset's whitened stem and maxima before linear layers, too. Results
    are fine-tuned for half of the epochs, at 0.6 times the rate.

    Args:
        automatic: The settings for mobile networks, by their dotted names.
        supernet: Name of the bundle's supernet provider.
        surveyed: The survey of the folder.
        microcontroller: The networks run as 8-bit integers on a microcontroller. Its runtimes lack GELU, and
            hard swish and squeeze-and-excitation take RAM, so `ofa-mbv3` has its minimalistic form.
        whitens: Images in colour may get the whitened stem. False for given weights, whose stem may be
            another, and for heads other than `pool-linear`.
    """
    if surveyed.sound:
        automatic = automatic | {f"{each}.augment": SPECTROGRAMS for each in ("training", "finetune")}
    if supernet == "ofa-mbv3" and microcontroller:
        return automatic | {"supernet.minimalistic": True}
    if supernet != "elastic-resnet":
        return automatic
    others = {name: value for name, value in automatic.items() if not name.startswith("supernet.")}
    sides = dense_sides(surveyed)
    pooled = {} if sides[-1] < _POOLED_SIDE else pooled_options(sides[-1])
    if pooled and microcontroller:
        pooled["supernet.activation"] = "relu"
    if pooled and whitens and not surveyed.grey:
        pooled |= WHITENED
    tuned = {
        "finetune.epochs": max(2, others["training.epochs"] // 2),
        "finetune.learning_rate": round(FINETUNED * others["training.learning_rate"], 5),
    }
    return {"supernet.resolutions": sides, **pooled, **others, **tuned}


def pooled_options(side: int) -> dict[str, Any]:
    """Return the settings of `elastic-resnet` with max-pooling for images of `side` pixels, 20 or more.

    Features after the last stage are 3 to 5 pixels wide.

    Example:
        >>> pooled_options(32)["supernet.stage_strides"]
        [2, 1, 2, 1, 1]
    """
    return {
        "supernet.stem_stride": 2,
        "supernet.stage_strides": [2, 1, 2, 1, 1 if side <= DENSE_SIDE else 2],
        "supernet.downsampling": "pooled",
        "supernet.activation": "gelu",
    }
