"""Predictions with the names of the images, for image files, folders and iterables of images."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import length_hint
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.errors import ConfigError, DataError, WeightsError, type_of
from edanas.core.progress import Progress, Silent
from edanas.data.files import image_files, read_batches
from edanas.data.sound_files import SUFFIXES as SOUND_SUFFIXES
from edanas.model.agreement_audit import agreement_holder, differences
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.series_files import ENDINGS, array_batches
from edanas.model.sound_inputs import front_end_of, sound_pictures
from edanas.model.windows import windows
from edanas.thresholds.agreement import AgreementHolder
from edanas.thresholds.budgets import Budget, loose_budget_text, parse_budget, unreachable_budget_message
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.stream_budget import HOLD, BudgetHolder
from edanas.thresholds.threshold_paths import uncalibrated_path

Source = str | Path | Iterable[Any]


class Answer(NamedTuple):
    """The prediction on one image.

    Args:
        name: Path of the image file, or the name that was passed with the image. An image without a name has
            its number as name, from 1.
        label: Predicted class, an index into `network.classes`.
        class_name: Name of the predicted class.
        exit: Number of the exit point where the image exited, from 1, or N + 1 for the last exit of a network
            with N exit points.
        confidence: Confidence of the prediction, in [0, 1].
        value: The predicted label as in the data of the run, e.g. a number; the name of the class by default.

    Example:
        >>> Answer("cat.png", 3, "cat", 1, 0.91, "cat").class_name
        'cat'
    """

    name: str
    label: int
    class_name: str
    exit: int
    confidence: float
    value: str | int | float | bool = ""


def stream(
    network: EENN,
    source: Source,
    *,
    batch_size: int = 256,
    compact: str = "auto",
    progress: Progress | None = None,
    on_unreadable: Callable[[DataError], None] | None = None,
    hold_macs: str | float | BudgetHolder | None = None,
    window: int | None = None,
    hop: int | None = None,
) -> Iterator[Answer]:
    """Classify images or windows of a signal as they arrive; at most one batch is in memory.

    A network for series classifies windows of a signal that arrives in chunks, e.g. from a microphone. Each
    window is classified as soon as it is complete.

    With a budget, the thresholds move after each batch of at most 62 images (by default), so that the mean
    cost of an image holds the budget; see `edanas.thresholds.stream_budget`. With the dynamic threshold of
    the setter `big-little`, they move after each batch of at most 20 images. Whenever an answer is yielded,
    the network has its own thresholds again.

    Args:
        network: A network in eval mode.
        source: Path of an image file or of a file of NumPy; path of a folder, whose images are found in it
            and in all folders below; a list of such paths; or an iterable of images (see `EENN.predict`) or
            of pairs (name, image). With `window`, an iterable of chunks; see `edanas.model.windows.windows`.
        batch_size: Largest number of images read and computed at once.
        compact: See `EENN.predict`.
        progress: Display for a progress bar; `None`, the default, displays no bar.
        on_unreadable: Function that is called with the error for each file that cannot be read; the stream
            then continues. By default the error is raised.
        hold_macs: Budget of executed multiply-adds per image on average: a number, or a text such as `5M`.
            The text `none` means no budget, and thresholds that do not move. A `BudgetHolder` continues where
            an earlier stream with the holder ended. By default the budget is that of the network's
            description, which the threshold setter `dynamic` writes; other networks then have no budget.
        window: Number of values of a window of a signal. `None`, the default, means that items are whole
            images or series.
        hop: Number of values from the begin of a window to the begin of the next; by default `window`.

    Yields:
        An `Answer` for each image, in order. The name of a window is its positions, e.g. `100-300`.

    Raises:
        DataError: A path has no image, a file cannot be read and `on_unreadable` is `None`, or an item is not
            an image.
        ConfigError: `batch_size` or `compact` is out of range, or the budget cannot be read or is too small.
        WeightsError: The budget in the network's description is damaged.

    Example:
        >>> import torch
        >>> from edanas.testing.evaluations import toy_network
        >>> for answer in stream(toy_network(), [("first.png", torch.zeros(1, 12, 12))]):
        ...     print(answer.name, answer.class_name, answer.exit)
        first.png lower left 3
    """
    network.predict([], batch_size=batch_size, compact=compact)  # checks the arguments before reading
    holder = budget_holder(network, hold_macs, progress)
    agreement = agreement_holder(network) if hold_macs is None and holder is None else None
    moving = holder or agreement
    if window is not None or hop is not None:
        source, batch_size = _windowed(network, source, window, hop), 1
    read, image_count = _reader(network, source, on_unreadable)
    with (progress or Silent()).task("Predicting", image_count) as bar:
        for count, images_with_names in read(batch_size if moving is None else min(batch_size, moving.batch)):
            if images_with_names:
                names, images = zip(*images_with_names, strict=True)
                with _moved_thresholds(network, moving):
                    answers = list(_classify_batch(network, names, images, batch_size, compact))
                if holder is not None:
                    holder.note([answer.exit - 1 for answer in answers])
                elif agreement is not None:
                    due = [(images[at], answers[at]) for at in agreement.due(len(answers))]
                    agreement.note(_differences(network, due, batch_size))
                yield from answers
            bar.advance(count)


def budget_holder(
    network: EENN,
    hold_macs: str | float | BudgetHolder | None = None,
    progress: Progress | None = None,
) -> BudgetHolder | None:
    """Return the holder of a budget for the start of a stream; see `stream`.

    The holder's thresholds follow the threshold path in the network's description, which was computed on
    calibration samples. For a network without a path, all thresholds are shifted by the same number of
    logits.

    Args:
        network: A network with one placed exit or more.
        hold_macs: See `stream`.
        progress: Shows a remark if no sample can cost more than the budget; `None` = no remark.

    Returns:
        The holder, or `None` if there is no budget or no sample can cost more than the budget.

    Raises:
        ConfigError: The budget cannot be read or is too small, or the network has no placed exits.
        WeightsError: The budget in the network's description is damaged.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> budget_holder(toy_network(), hold_macs="30k").budget
        30000.0
    """
    if isinstance(hold_macs, BudgetHolder):
        return hold_macs
    if hold_macs is None:
        return _described_holder(network)
    if hold_macs == "none":
        return None
    budget, leaving = _checked_budget(network, hold_macs)
    if loose := loose_budget_text(budget, float(leaving[0]), float(leaving[-1])):
        (progress or Silent()).say(f"{loose} The thresholds do not move.")
        return None
    return _described_holder(network, budget.limit) or _uncalibrated_holder(network, budget.limit, leaving)


def _described_holder(network: EENN, limit: float | None = None) -> BudgetHolder | None:
    """Return the holder in the network's description, or `None` if it has none.

    Args:
        network: A network with one placed exit or more.
        limit: Budget in multiply-adds; `None` for the budget in the description.

    Raises:
        WeightsError: The holder in the description is damaged.
    """
    values = network.description.get(HOLD)
    try:
        return None if values is None else BudgetHolder.from_dict(network.scheme, values, limit)
    except (LookupError, TypeError, ValueError) as error:
        raise WeightsError(f"the network's description is damaged: {HOLD}: {error}") from error


def _checked_budget(network: EENN, hold_macs: str | float) -> tuple[Budget, npt.NDArray[np.float64]]:
    """Return a budget that is large enough, and the multiply-adds of an image at each exit.

    Args:
        network: The network of the stream.
        hold_macs: A number, or a text such as `5M`.

    Raises:
        ConfigError: The budget cannot be read or is too small, or the network has no placed exits.
    """
    try:
        budget = parse_budget(max_macs=hold_macs)
    except ConfigError as error:
        raise ConfigError(str(error).replace("max_macs", "hold_macs", 1)) from error
    placed = network.scheme.placed
    if not placed:
        raise ConfigError("hold_macs: the network has no early exits, so its cost is fixed")
    costs_by_exit = exit_costs(Anatomy.of(network, len(network.mean)).costs, placed)
    if message := unreachable_budget_message(budget, costs_by_exit, placed):
        raise ConfigError(message.replace("max_macs", "hold_macs", 1))
    return budget, costs_by_exit


def _uncalibrated_holder(network: EENN, limit: float, costs_by_exit: npt.NDArray[np.float64]) -> BudgetHolder:
    """Return a holder for a network without calibration samples; it starts at the network's thresholds.

    Args:
        network: A network with one placed exit or more.
        limit: Budget in multiply-adds.
        costs_by_exit: (P + 1,) multiply-adds of an image that exits at each of the P placed exits and at the
            last exit; rising.
    """
    path, middle = (
        uncalibrated_path(network.scheme, costs_by_exit),
        float(costs_by_exit[0] + costs_by_exit[-1]) / 2,
    )
    return BudgetHolder(network.scheme, path, costs_by_exit.tolist(), limit, start=middle)


@contextmanager
def _moved_thresholds(network: EENN, holder: BudgetHolder | AgreementHolder | None) -> Iterator[None]:
    """Set the thresholds of the holder inside the context; afterwards the network has its old thresholds."""
    own = network.scheme
    network.scheme = own if holder is None else holder.scheme
    try:
        yield
    finally:
        network.scheme = own


def _differences(network: EENN, due: Sequence[tuple[Any, Answer]], batch_size: int) -> list[bool]:
    """Return for each audited image whether its early answer differs from the last exit's."""
    images, answers = [image for image, _ in due], [answer for _, answer in due]
    labels, exits = [each.label for each in answers], [each.exit - 1 for each in answers]
    return differences(network, images, labels, exits, batch_size)


def _windowed(network: EENN, chunks: Source, window: int | None, hop: int | None) -> Iterator[Any]:
    """Return the windows of a signal; see `stream`.

    Raises:
        ConfigError: `hop` has no `window`, or the network does not classify series.
        DataError: The source is not an iterable of chunks.
    """
    if window is None:
        raise ConfigError("hop: found no window; allowed: together with `window`")
    front_end = front_end_of(network)
    if not network.series and front_end is None:
        raise ConfigError("window: the network classifies images; allowed: a network for series or sound")
    if isinstance(chunks, str | Path) or not isinstance(chunks, Iterable):
        raise DataError(f"source: found {type_of(chunks)}; allowed with `window`: an iterable of chunks")
    parts = windows(chunks, len(network.mean), window, window if hop is None else hop)
    return (
        parts
        if front_end is None or network.series
        else ((name, front_end.picture(part[0])) for name, part in parts)
    )


_Named = list[tuple[str, Any]]
"""Images with their names."""

_Reader = Callable[[int], Iterator[tuple[int, _Named]]]


def _classify_batch(
    network: EENN, names: Sequence[str], images: Sequence[Any], batch_size: int, compact: str
) -> Iterator[Answer]:
    """Yield the answer for each image of a batch.

    Raises:
        DataError: An item of `images` is not a single image.
    """
    try:
        prediction = network.predict(images, batch_size=batch_size, compact=compact)
    except DataError as error:
        raise DataError(f"among {names[0]} to {names[-1]}: {error}") from error
    if len(prediction.label) != len(names):
        raise DataError(
            f"among {names[0]} to {names[-1]}: found a batch as one item; allowed: one sample for each item"
        )
    rows = zip(names, *(each.tolist() for each in prediction), strict=True)
    for name, label, exit_, confidence in rows:
        yield Answer(name, label, network.classes[label], exit_ + 1, confidence, network.labels[label])


def _reader(
    network: EENN, source: Source, on_unreadable: Callable[[DataError], None] | None
) -> tuple[_Reader, int | None]:
    """Return a function that yields the images of a source in batches, and the number of images.

    The argument of the function is the largest number of images of a batch. Each batch is the number of
    images that were read, and a list of the readable images with their names. The number of all images is
    `None` if it is not known.
    """
    paths = [source] if isinstance(source, str | Path) else source
    if isinstance(paths, list | tuple) and paths and all(isinstance(each, str | Path) for each in paths):
        front_end = front_end_of(network)
        is_array = all(str(each).lower().endswith(ENDINGS) for each in paths)
        if front_end is not None and not (network.series and is_array):
            recordings = image_files(paths, SOUND_SUFFIXES)
            return lambda size: sound_pictures(front_end, recordings, size, on_unreadable), len(recordings)
        if network.series or is_array:
            return partial(array_batches, paths, series=network.series), None
        files = image_files(paths)
        return lambda size: _from_files(network, files, size, on_unreadable), len(files)
    if not isinstance(paths, Iterable):
        raise DataError(f"source: found {type_of(source)}; allowed: paths, or an iterable of samples")
    count = length_hint(paths, -1)
    return lambda size: _from_iterable(paths, size), None if count < 0 else count


def _from_files(
    network: EENN, files: Sequence[Path], size: int, on_unreadable: Callable[[DataError], None] | None
) -> Iterator[tuple[int, _Named]]:
    """Yield batches of image files; see `_reader`."""
    grey = len(network.mean) == 1
    for count, images in read_batches(
        files, size, network.image_size or network.resolution, grey=grey, on_unreadable=on_unreadable
    ):
        yield count, [(str(path), image) for path, image in images]


def _from_iterable(images: Iterable[Any], size: int) -> Iterator[tuple[int, _Named]]:
    """Yield batches of the images of an iterable; see `_reader`."""
    rest = enumerate(images, start=1)
    while batch := list(itertools.islice(rest, size)):
        named = [
            each if isinstance(each, tuple) and isinstance(each[0], str) else (str(number), each)
            for number, each in batch
        ]
        yield len(named), named
