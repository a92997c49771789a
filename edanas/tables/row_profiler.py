"""One row of a table: a backbone's exit profiles on both parts, and the costs of its segments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.attempt import reason
from edanas.core.contracts import Evaluator, ExitNetwork
from edanas.core.errors import CandidateError
from edanas.core.types import Backbone, Candidate, ExitProfile, ImageSet, SelectionScheme
from edanas.model.anatomy import Anatomy
from edanas.model.profiling import collect_profile
from edanas.tables.file_format import SEGMENT_COSTS

Row = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class RowProfiler:
    """A function from a backbone to its row, or to the text of an error; executors run it. Picklable.

    Args:
        evaluator: Prepared, and `removable`: one network with all exits represents all schemes.
        exit_points: N.
        in_channels: Number of channels of the images.
        parts: The samples to profile, by the part's name.
    """

    evaluator: Evaluator
    exit_points: int
    in_channels: int
    parts: Mapping[str, ImageSet]

    def __call__(self, backbone: Backbone) -> Row | str:
        """Return the row, or the text of an error that the network raised."""
        try:
            return self._row(backbone)
        except (Exception, SystemExit) as error:
            return reason(error)

    def _row(self, backbone: Backbone) -> Row:
        everywhere = SelectionScheme((0.0,) * self.exit_points)
        network = self.evaluator.network(Candidate(backbone, everywhere))
        if not isinstance(network, ExitNetwork):
            raise CandidateError(
                f"the evaluation returned a {type(network).__name__}; expected an ExitNetwork"
            )
        row = segment_costs(Anatomy.of(network, self.in_channels))
        for part, data in self.parts.items():
            row |= compact(part, collect_profile(network, data))
        return row


def segment_costs(anatomy: Anatomy) -> Row:
    """Return each kind of cost, (2N + 2,) int64: of the stages, the heads, the last exit."""
    segments = [*anatomy.stages, *(anatomy.heads[point] for point in sorted(anatomy.heads)), anatomy.last]
    return {n: np.array([getattr(segment, n) for segment in segments], dtype=np.int64) for n in SEGMENT_COSTS}


def compact(part: str, profile: ExitProfile) -> Row:
    """Return a profile as float16 confidences (N + 1, S), rounded to nearest, and bits (N + 1, ceil(S / 8)).

    Raises:
        CandidateError: A confidence is outside [0, 1].
    """
    confidence = profile.confidence
    if not ((confidence >= 0) & (confidence <= 1)).all():
        low, high = confidence.min(), confidence.max()
        raise CandidateError(f"confidences from {low:g} to {high:g}; a table holds those from 0 to 1")
    # Adding 0 turns -0 into 0, so that the bits are in the order of the numbers.
    rounded = np.ascontiguousarray(confidence.T).astype(np.float16) + np.float16(0)
    return {f"{part}.confidence": rounded, f"{part}.correct": np.packbits(profile.correct.T, axis=1)}
