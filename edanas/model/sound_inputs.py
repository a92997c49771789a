"""Pictures of sound for a finished network, by the front end that its description states."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitNetwork
from edanas.core.errors import DataError, WeightsError
from edanas.core.preprocess import PREPROCESSING
from edanas.data.sound_files import read_sound, resample
from edanas.data.spectrogram import FrontEnd


def front_end_of(network: ExitNetwork) -> FrontEnd | None:
    """Return the front end of a network for sound; `None` for other networks.

    Raises:
        WeightsError: The description of the front end is damaged.
    """
    fields = (network.description.get(PREPROCESSING) or {}).get("front_end")
    if not fields:
        return None
    try:
        return FrontEnd.of(fields)
    except (LookupError, TypeError, ValueError) as error:
        raise WeightsError(f"the network's description is damaged: front_end: {error}") from error


def sound_pictures(
    front_end: FrontEnd,
    files: Sequence[Path],
    size: int,
    on_unreadable: Callable[[DataError], None] | None = None,
) -> Iterator[tuple[int, list[tuple[str, npt.NDArray[np.uint8]]]]]:
    """Read sound files in order, batch by batch, as pictures.

    Args:
        front_end: The front end; recordings are resampled to its rate.
        files: Paths of the files.
        size: Largest number of files of a batch.
        on_unreadable: Called with the error for each file that cannot be read; `None` = the error is raised.

    Yields:
        For each batch, its number of files, and a list with path and picture (1, side, side) of each readable
        file.
    """
    for start in range(0, len(files), size):
        batch = files[start : start + size]
        pictures = []
        for path in batch:
            try:
                sound, rate = read_sound(path)
            except DataError as error:
                if on_unreadable is None:
                    raise
                on_unreadable(error)
                continue
            picture = front_end.picture(resample(sound, rate, front_end.rate))
            pictures.append((str(path), picture[None]))
        yield len(batch), pictures
