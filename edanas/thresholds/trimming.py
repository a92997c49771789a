"""Removal of unused exits from a selection scheme, by its utilization; no network runs."""

from collections.abc import Sequence

from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.profiles import outcome


def trim_scheme(
    scheme: SelectionScheme, utilization: Sequence[float], share: float = 0.0
) -> tuple[SelectionScheme, int]:
    """Return the scheme without its unused exits, and the exit at which the network then ends.

    An exit is unused if no sample, or a smaller fraction of the samples than `share`, exits there. The
    network ends at the first exit behind which all exits together are unused.

    Args:
        scheme: The selection scheme, for N exit points.
        utilization: (N + 1,) fraction of the samples that exit at each exit point and at the last exit.
        share: Smallest fraction of the samples at a used exit. At 0, the default, one sample suffices, and
            no sample exits elsewhere after the removal.

    Returns:
        The scheme without thresholds at unused exits and from the end on, and the index of the exit point
        where the network ends; N = the network keeps its last exit.

    Example:
        >>> trim_scheme(SelectionScheme((0.2, 1.0, 0.5, 1.0)), (0.6, 0.0, 0.4, 0.0, 0.0))
        (SelectionScheme(thresholds=(0.2, None, None, None)), 2)
        >>> trim_scheme(SelectionScheme((0.2, 1.0)), (0.6, 0.0, 0.4))
        (SelectionScheme(thresholds=(0.2, None)), 2)
    """
    points = len(scheme.thresholds)

    def unused(fraction: float) -> bool:
        return fraction <= 0 or fraction < share

    end = next((each for each in scheme.placed if unused(sum(utilization[each + 1 :]))), points)
    thresholds = (
        threshold if at < end and not unused(utilization[at]) else None
        for at, threshold in enumerate(scheme.thresholds)
    )
    return SelectionScheme(tuple(thresholds)), end


def trim_on_samples(
    profile: ExitProfile, scheme: SelectionScheme, share: float = 0.0, *, removable: bool = True
) -> tuple[SelectionScheme, int]:
    """Return the scheme without the exits that the samples of a profile do not use; see `trim_scheme`.

    Args:
        profile: Exit profile of the samples, with a column for each placed exit.
        scheme: The selection scheme.
        share: Smallest fraction of the samples at a used exit.
        removable: `False` = later exits read earlier ones, so only the end of the network is removed.
    """
    trimmed, end = trim_scheme(scheme, outcome(profile, scheme).utilization, share)
    if removable:
        return trimmed, end
    thresholds = (threshold if at < end else None for at, threshold in enumerate(scheme.thresholds))
    return SelectionScheme(tuple(thresholds)), end


def cut_profile(profile: ExitProfile, end: int) -> ExitProfile:
    """Return the exit profile of the network that ends at the exit point `end`.

    The exit at `end` has the last column. The columns of earlier exits stay.

    Args:
        profile: Exit profile with a column for `end`.
        end: Index of an exit point, from 0.

    Raises:
        ValueError: The profile has no column for `end`.

    Example:
        >>> import numpy as np
        >>> values = np.float32([[0.1, 0.2, 0.3]])
        >>> cut_profile(ExitProfile((0, 1), values, values > 0), 1).confidence.shape
        (1, 2)
    """
    if end not in profile.points:
        raise ValueError(f"the network ends at exit point {end}; the profile has {profile.points}")
    columns = profile.points.index(end) + 1
    return ExitProfile(
        profile.points[: columns - 1],
        profile.confidence[:, :columns],
        profile.correct[:, :columns],
        profile.levels,
    )


def move_shares(shares: Sequence[float], scheme: SelectionScheme) -> tuple[float, ...]:
    """Return a utilization (N + 1,) after exits were removed; their samples count for the last exit.

    Args:
        shares: (N + 1,) utilization before the removal.
        scheme: The scheme without the removed exits.

    Example:
        >>> move_shares((0.5, 0.25, 0.25, 0.0), SelectionScheme((0.2, None, None)))
        (0.5, 0.0, 0.0, 0.5)
    """
    stay = [fraction if at in scheme.placed else 0.0 for at, fraction in enumerate(shares[:-1])]
    return (*stay, sum(fraction for at, fraction in enumerate(shares) if at not in scheme.placed))


def uncut_scheme(scheme: SelectionScheme, end: int) -> SelectionScheme:
    """Return the scheme of the uncut network that makes the decisions of the network that ends at `end`.

    Args:
        scheme: A scheme without thresholds from `end` on.
        end: Index of the exit point where the network ends; N = its last exit.

    Example:
        >>> uncut_scheme(SelectionScheme((0.2, None, None)), 1)
        SelectionScheme(thresholds=(0.2, 0.0, None))
    """
    thresholds = enumerate(scheme.thresholds)
    return SelectionScheme(tuple(0.0 if at == end else threshold for at, threshold in thresholds))
