import numpy as np
import pytest

from edanas.core.contracts import ThresholdChoice, ThresholdSetter
from edanas.core.errors import CandidateError
from edanas.core.types import SelectionScheme
from edanas.testing import ConformanceError, check_setter


def setter(choose, *, resets=True) -> ThresholdSetter:
    return type("Mine", (ThresholdSetter,), {"choose": lambda self, known: choose(known), "resets": resets})()


def at(known, value):
    return SelectionScheme(tuple(None if t is None else value for t in known.scheme.thresholds))


def test_a_sound_setter_passes():
    check_setter(setter(lambda known: ThresholdChoice(at(known, 0.5))))
    check_setter(setter(lambda known: ThresholdChoice(known.scheme), resets=False))


def _changing(known):
    known.profile.confidence[0, 0] = 0.0
    return ThresholdChoice(at(known, 0.5))


def _picky(known):
    raise CandidateError("never")


DICE = np.random.default_rng(0)


def _moody(known):
    return ThresholdChoice(at(known, float(DICE.integers(0, 99)) / 128))


def _everywhere(known):
    return ThresholdChoice(SelectionScheme((0.5,) * 4))


def _frozen(known):
    return ThresholdChoice(at(known, 0.5), (0.0,) * known.profile.confidence.shape[1])


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda known: known.scheme, "gives a SelectionScheme; expected a ThresholdChoice"),
        (
            lambda known: ThresholdChoice(SelectionScheme((0.5,) * 4)),
            r"places exits at \(0, 1, 2, 3\); expected \(1, 3\)",
        ),
        (lambda known: ThresholdChoice(at(known, 0.1)), "thresholds .* are not exact in float32"),
        (lambda known: ThresholdChoice(at(known, 0.5), (2.0,)), "1 temperatures; expected none, or one for"),
        (
            lambda known: ThresholdChoice(at(known, 0.5), (0.0,) * known.profile.confidence.shape[1]),
            "above 0",
        ),
        (lambda known: ThresholdChoice(at(known, 0.5), (), {"a": {1}}), "its notes as JSON raises TypeError"),
        (
            lambda known: ThresholdChoice(at(known, 0.5), (), {"a": (1,)}),
            "its notes .* change on a trip through JSON",
        ),
        (lambda known: 1 / 0, "choosing raises ZeroDivisionError"),
        (_changing, "changes the exit profile"),
        (_picky, "refuses all calibrations by a CandidateError"),
        (_moody, "for the same calibration"),
    ],
)
def test_a_broken_contract_is_reported(choose, message):
    with pytest.raises(ConformanceError, match=message):
        check_setter(setter(choose))


def test_a_setter_without_resets_must_keep_the_searched_thresholds():
    with pytest.raises(
        ConformanceError, match=r"`resets` is False, but it gives .*; expected the searched thresholds"
    ):
        check_setter(setter(lambda known: ThresholdChoice(at(known, 0.5)), resets=False))
