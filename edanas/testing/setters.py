"""The conformance suite of threshold setters."""

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import Answers, Calibration, ThresholdChoice, ThresholdSetter
from edanas.core.costs import Costs
from edanas.core.errors import CandidateError
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.exits.criteria import ScoreMargin
from edanas.testing.conformance import ConformanceError, reported_call, require

COSTS = Costs(stages=(100, 150, 200, 250, 300), heads=(7, 5, 11, 3), last=20)
"""Of the networks that setters are checked on: 107 multiply-adds at least, 1,046 at most."""

_CLASSES = 4
_SCHEMES = (
    (0.1, 0.2, 0.1, 0.5),
    (None, 0.3, None, 0.3),
    (None, None, 0.7, None),
)


def check_setter(setter: ThresholdSetter) -> None:
    """Hold a threshold setter against its contract: valid thresholds for the exits that stand, always alike.

    It is given networks of four exit points that cost `COSTS`, with 12 to 150 calibration samples; on some
    of them it may say that what was asked cannot be had.

    Raises:
        ConformanceError: Something does not hold.
    """
    answered = 0
    for scheme in _SCHEMES:
        for samples, levels in ((12, 0), (60, 6), (150, 0)):
            what = f"{samples} samples, exits {SelectionScheme(scheme).placed}"
            answered += _check(setter, toy_calibration(scheme, samples, levels), what)
    require(setter, answered, "refuses all calibrations; expected an answer to some")


def toy_calibration(
    thresholds: Sequence[float | None], samples: int, levels: int = 0, seed: int = 0
) -> Calibration:
    """A calibration that needs no network: later exits are right more often, and those too sure of it.

    Args:
        thresholds: As searched, one for each of the four exit points; exits with a head are those that stand.
        samples: S.
        levels: Logits are rounded to so many steps between whole numbers, so that some tie; 0 = not at all.
        seed: Samples follow from it.
    """
    scheme = SelectionScheme(tuple(thresholds))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, _CLASSES, samples)
    strength = np.array([1.0 + 0.5 * at for at in (*scheme.placed, len(scheme.thresholds))])
    evidence = strength[None, :] - 1.2 * rng.normal(size=(samples, 1))
    logits = rng.normal(size=(samples, len(strength), _CLASSES))
    logits[np.arange(samples), :, labels] += evidence
    logits = np.round(logits * levels) / levels if levels else logits
    found = (3.0 * logits).astype(np.float32)

    def tempered(temperatures: Sequence[float]) -> ExitProfile:
        scale = np.array(temperatures, dtype=np.float32)[:, None]
        return _profile(scheme.placed, found / scale, labels)

    return Calibration(
        profile=_profile(scheme.placed, found, labels),
        costs=COSTS,
        scheme=scheme,
        given_up=0.0,
        answers=lambda: Answers(found.copy(), labels.copy()),
        tempered=tempered,
    )


def _profile(
    points: tuple[int, ...], logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> ExitProfile:
    flat = torch.from_numpy(logits.reshape(-1, _CLASSES))
    confidence = ScoreMargin()(flat).numpy().reshape(logits.shape[:2])
    return ExitProfile(points, confidence, logits.argmax(axis=2) == labels[:, None])


def _check(setter: ThresholdSetter, given: Calibration, what: str) -> bool:
    """Whether it answered; a refusal is an answer of another kind."""
    before = given.profile.confidence.copy(), given.profile.correct.copy()
    choice, again = _choice(setter, given, what), _choice(setter, given, what)
    same = all(
        np.array_equal(a, b)
        for a, b in zip(before, (given.profile.confidence, given.profile.correct), strict=True)
    )
    require(setter, same, f"{what}: changes the profile")
    require(setter, choice == again, f"{what}: chooses {choice}, then {again} for the same calibration")
    if choice is None:
        return False
    if not setter.resets:
        require(setter, choice.scheme == given.scheme, f"{what}: resets nothing, but gives {choice.scheme}")
    placed = choice.scheme.placed
    require(setter, placed == given.scheme.placed, f"{what}: places {placed}; expected {given.scheme.placed}")
    _check_exact(setter, [t for t in choice.scheme.thresholds if t is not None], f"{what}: thresholds")
    _check_temperatures(setter, choice, given, what)
    with reported_call(setter, f"{what}: its notes as JSON"):
        read = json.loads(json.dumps(dict(choice.notes), allow_nan=False))
    require(setter, read == dict(choice.notes), f"{what}: its notes are other ones after a trip through JSON")
    return True


def _check_temperatures(
    setter: ThresholdSetter, choice: ThresholdChoice, given: Calibration, what: str
) -> None:
    exits, found = given.profile.confidence.shape[1], choice.temperatures
    require(
        setter,
        not found or len(found) == exits,
        f"{what}: {len(found)} temperatures; expected none, or one for each of {exits} exits",
    )
    good = all(0.0 < each < float("inf") for each in found)
    require(setter, good, f"{what}: temperatures {found}; allowed: above 0")
    _check_exact(setter, found, f"{what}: temperatures")


def _check_exact(setter: ThresholdSetter, values: Sequence[float], what: str) -> None:
    """A network compares in float32; what lets a sample go in one place must not hold it in another."""
    wrong = [each for each in values if float(np.float32(each)) != each]
    require(setter, setter.resets is False or not wrong, f"{what} {wrong} are not exact in float32")


def _choice(setter: ThresholdSetter, given: Calibration, what: str) -> ThresholdChoice | None:
    with reported_call(setter, f"{what}: choosing"):
        try:
            found: object = setter.choose(given)
        except CandidateError:
            return None
    if not isinstance(found, ThresholdChoice):
        raise ConformanceError(
            f"{type(setter).__name__}: {what}: gives a {type(found).__name__}; expected a ThresholdChoice"
        )
    return found
