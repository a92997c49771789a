"""The conformance suite for threshold setters."""

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import Answers, Calibration, Rescaling, ThresholdChoice, ThresholdSetter
from edanas.core.costs import Costs
from edanas.core.errors import CandidateError, type_of
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.exits.criteria import ScoreMargin
from edanas.testing.conformance import ConformanceError, reported_call, require

COSTS = Costs(stages=(100, 150, 200, 250, 300), heads=(7, 5, 11, 3), last=20)
"""Costs of the suite's networks, from 107 to 1,046 multiply-adds for a sample."""

_CLASSES = 4
_SCHEMES = (
    (0.1, 0.2, 0.1, 0.5),
    (None, 0.3, None, 0.3),
    (None, None, 0.7, None),
)


def check_setter(setter: ThresholdSetter) -> None:
    """Check a threshold setter against its contract: valid thresholds, the same at each call.

    The suite's networks have four exit points, the costs `COSTS`, and 12 to 150 calibration samples. The
    setter may raise a `CandidateError` for some of the networks, but not for all.

    Raises:
        ConformanceError: The threshold setter breaks its contract.

    Example:
        >>> class AsSearched(ThresholdSetter):
        ...     resets = False
        ...     def choose(self, calibration):
        ...         return ThresholdChoice(calibration.scheme)
        >>> check_setter(AsSearched())
    """
    choices = 0
    for scheme in _SCHEMES:
        for samples, levels in ((12, 0), (60, 6), (150, 0)):
            context = f"{samples} samples, exits {SelectionScheme(scheme).placed}"
            choices += _check(setter, toy_calibration(scheme, samples, levels), context)
    require(setter, choices, "refuses all calibrations by a CandidateError; expected a choice for some")


def toy_calibration(
    thresholds: Sequence[float | None], samples: int, levels: int = 0, seed: int = 0
) -> Calibration:
    """Return a calibration with random logits: later exits are more accurate, and all are overconfident.

    Args:
        thresholds: The searched threshold of each of the four exit points, or `None` for no exit there.
        samples: Number of calibration samples.
        levels: Logits are rounded to multiples of 1 / `levels`, which makes ties; 0, the default = no
            rounding.
        seed: The seed of the logits, by default 0.
    """
    scheme = SelectionScheme(tuple(thresholds))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, _CLASSES, samples)
    strength = np.array([1.0 + 0.5 * at for at in (*scheme.placed, len(scheme.thresholds))])
    evidence = strength[None, :] - 1.2 * rng.normal(size=(samples, 1))
    logits = rng.normal(size=(samples, len(strength), _CLASSES))
    logits[np.arange(samples), :, labels] += evidence
    logits = np.round(logits * levels) / levels if levels else logits
    scaled = (3.0 * logits).astype(np.float32)

    def tempered(temperatures: Sequence[float]) -> ExitProfile:
        scale = np.array(temperatures, dtype=np.float32)[:, None]
        return _profile(scheme.placed, scaled / scale, labels)

    def rescaled(rescalings: Sequence[Rescaling]) -> ExitProfile:
        changed = scaled.copy()
        for at, (factors, offsets) in enumerate(rescalings):
            changed[:, at] *= np.array(factors, dtype=np.float32)
            changed[:, at] += np.array(offsets, dtype=np.float32)
        return _profile(scheme.placed, changed, labels)

    profile = _profile(scheme.placed, scaled, labels)
    return Calibration(
        profile=profile,
        costs=COSTS,
        scheme=scheme,
        given_up=0.0,
        answers=lambda: Answers(scaled.copy(), labels.copy()),
        tempered=tempered,
        assigned=lambda _: (profile, (1 / len(strength),) * len(strength)),
        rescaled=rescaled,
    )


def _profile(
    points: tuple[int, ...], logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> ExitProfile:
    flat = torch.from_numpy(logits.reshape(-1, _CLASSES))
    confidence = ScoreMargin()(flat).numpy().reshape(logits.shape[:2])
    return ExitProfile(points, confidence, logits.argmax(axis=2) == labels[:, None])


def _check(setter: ThresholdSetter, calibration: Calibration, context: str) -> bool:
    """Check the choice of a setter for a calibration, and return False if the setter makes none."""
    before = calibration.profile.confidence.copy(), calibration.profile.correct.copy()
    choice, again = _choice(setter, calibration, context), _choice(setter, calibration, context)
    same = all(
        np.array_equal(a, b)
        for a, b in zip(before, (calibration.profile.confidence, calibration.profile.correct), strict=True)
    )
    require(setter, same, f"{context}: changes the exit profile")
    require(setter, choice == again, f"{context}: chooses {choice}, then {again} for the same calibration")
    if choice is None:
        return False
    if not setter.resets:
        require(
            setter,
            choice.scheme == calibration.scheme,
            f"{context}: `resets` is False, but it gives {choice.scheme}; expected the searched thresholds",
        )
    placed = choice.scheme.placed
    require(
        setter,
        placed == calibration.scheme.placed,
        f"{context}: places exits at {placed}; expected {calibration.scheme.placed}",
    )
    _check_exact(setter, [t for t in choice.scheme.thresholds if t is not None], f"{context}: thresholds")
    _check_temperatures(setter, choice, calibration, context)
    with reported_call(setter, f"{context}: its notes as JSON"):
        read = json.loads(json.dumps(dict(choice.notes), allow_nan=False))
    require(
        setter,
        read == dict(choice.notes),
        f"{context}: its notes {dict(choice.notes)} change on a trip through JSON",
    )
    return True


def _check_temperatures(
    setter: ThresholdSetter, choice: ThresholdChoice, calibration: Calibration, context: str
) -> None:
    """Check that there is no temperature, or a valid temperature for each exit."""
    exits, temperatures = calibration.profile.confidence.shape[1], choice.temperatures
    require(
        setter,
        not temperatures or len(temperatures) == exits,
        f"{context}: {len(temperatures)} temperatures; expected none, or one for each of {exits} exits",
    )
    good = all(0.0 < each < float("inf") for each in temperatures)
    require(setter, good, f"{context}: temperatures {temperatures}; allowed: above 0")
    _check_exact(setter, temperatures, f"{context}: temperatures")


def _check_exact(setter: ThresholdSetter, values: Sequence[float], context: str) -> None:
    """Check that values are exact in float32, so that all forms of a network have equal thresholds."""
    inexact = [each for each in values if float(np.float32(each)) != each]
    require(setter, setter.resets is False or not inexact, f"{context} {inexact} are not exact in float32")


def _choice(setter: ThresholdSetter, calibration: Calibration, context: str) -> ThresholdChoice | None:
    with reported_call(setter, f"{context}: choosing"):
        try:
            choice: object = setter.choose(calibration)
        except CandidateError:
            return None
    if not isinstance(choice, ThresholdChoice):
        raise ConformanceError(
            f"{type(setter).__name__}: {context}: gives {type_of(choice)}; expected a ThresholdChoice"
        )
    return choice
