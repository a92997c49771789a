"""The computation of a table's row: a backbone's exit profiles on both parts, and its segments' costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.attempt import reason
from edanas.core.contracts import Evaluator, ExitNetwork
from edanas.core.errors import CandidateError, type_of
from edanas.core.types import Backbone, Candidate, ExitProfile, ImageSet, SelectionScheme
from edanas.model.anatomy import Anatomy
from edanas.model.profiling import collect_profile
from edanas.tables.file_format import SEGMENT_COSTS

Row = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class RowProfiler:
    """A picklable function that executors run: it takes a backbone and returns the backbone's row.

    Args:
        evaluator: The evaluation, after `prepare`. Its attribute `removable` must be true: one network with
            all exits then gives the profiles for all selection schemes.
        exit_points: Number of exit points.
        in_channels: Number of channels of the images.
        parts: The samples to profile, by the name of the part of the data.
    """

    evaluator: Evaluator
    exit_points: int
    in_channels: int
    parts: Mapping[str, ImageSet]

    def __call__(self, backbone: Backbone) -> Row | str:
        """Return the row of `backbone`, or the text of the error if the profiling failed."""
        try:
            return self._row(backbone)
        except (Exception, SystemExit) as error:
            return reason(error)

    def _row(self, backbone: Backbone) -> Row:
        everywhere = SelectionScheme((0.0,) * self.exit_points)
        network = self.evaluator.network(Candidate(backbone, everywhere))
        if not isinstance(network, ExitNetwork):
            raise CandidateError(f"the evaluation returned {type_of(network)}; expected an ExitNetwork")
        row = segment_costs(Anatomy.of(network, self.in_channels))
        for part, data in self.parts.items():
            row |= compact(part, collect_profile(network, data))
        return row


def segment_costs(anatomy: Anatomy) -> Row:
    """Return an array (2N + 2,) of int64 for each kind of cost, for N exit points.

    The numbers belong to the N + 1 stages, then the N heads, then the last exit.
    """
    segments = [*anatomy.stages, *(anatomy.heads[point] for point in sorted(anatomy.heads)), anatomy.last]
    return {n: np.array([getattr(segment, n) for segment in segments], dtype=np.int64) for n in SEGMENT_COSTS}


def compact(part: str, profile: ExitProfile) -> Row:
    """Return the two tensors of an exit profile, for N exit points and S samples.

    `PART.confidence`, (N + 1, S), holds the confidences, rounded to the nearest float16 number.
    `PART.correct`, (N + 1, ceil(S / 8)), holds a bit for each sample: 1 for a correct prediction.

    Raises:
        CandidateError: A confidence is outside [0, 1].
    """
    confidence = profile.confidence
    if not ((confidence >= 0) & (confidence <= 1)).all():
        low, high = confidence.min(), confidence.max()
        raise CandidateError(f"confidences: found {low:g} to {high:g}; allowed in a table: 0 to 1")
    # Adding 0 turns -0 into 0: only then do the bits have the order of the numbers.
    rounded = np.ascontiguousarray(confidence.T).astype(np.float16) + np.float16(0)
    return {f"{part}.confidence": rounded, f"{part}.correct": np.packbits(profile.correct.T, axis=1)}
