"""Audits on a stream: the last exit also runs on some images that early exits classified."""

import copy
from collections.abc import Sequence
from typing import Any

from edanas.core.errors import WeightsError
from edanas.model.eenn import EENN
from edanas.thresholds.agreement import AGREE, AgreementHolder


def agreement_holder(network: EENN) -> AgreementHolder | None:
    """Return the holder in the network's description, at the start of a stream; `None` if it has none.

    Raises:
        WeightsError: The holder in the description is damaged.
    """
    values = network.description.get(AGREE)
    try:
        return None if values is None else AgreementHolder.from_dict(network.scheme, values)
    except (LookupError, TypeError, ValueError) as error:
        raise WeightsError(f"the network's description is damaged: {AGREE}: {error}") from error


def differences(
    network: EENN, images: Sequence[Any], labels: Sequence[int], exits: Sequence[int], batch_size: int
) -> list[bool]:
    """Return for each image whether an early exit classified it and the last exit predicts another class.

    Args:
        network: The network, which runs on the images without early exits.
        images: Images in a form that `EENN.predict` takes.
        labels: Predicted class of each image.
        exits: Exit point at which each image exited.
        batch_size: Number of images computed at once.
    """
    early = [at for at, exit_ in enumerate(exits) if exit_ in network.scheme.placed]
    differ = [False] * len(images)
    if not early:
        return differ
    alone = copy.copy(network)  # shares the weights
    alone.scheme = (None,) * network.exit_points
    last = alone.predict([images[at] for at in early], batch_size=batch_size).label.tolist()
    for at, label in zip(early, last, strict=True):
        differ[at] = labels[at] != label
    return differ
