"""The threshold setter `risk`: a loss against the last exit that stays within a limit, with a guarantee."""

from collections.abc import Callable
from typing import Literal

from edanas.core.contracts import Calibration, ThresholdChoice, ThresholdSetter
from edanas.core.errors import CandidateError, ConfigError, near_miss
from edanas.core.hookspecs import hookimpl
from edanas.thresholds.budgets import parse_fraction
from edanas.thresholds.risk_control import (
    Form,
    Losses,
    Order,
    Risk,
    SafeScheme,
    accuracy_losses,
    brier_losses,
    safe_scheme,
)

RISK_NOTES = "risk"
"""Key of a network's description for the loss, its limit and bound, the guarantee and the samples."""

_CHOICES = {
    "loss": ("accuracy", "brier"),
    "form": ("upper-bound", "conformal"),
    "order": ("bins", "shared"),
}


class RiskControlled(ThresholdSetter):
    """The cheapest thresholds whose mean loss against the last exit is within a limit, with a guarantee.

    The loss of a sample is the error of the exit where the sample exits, minus the error of the last exit.
    The guarantee holds for new samples of the distribution of the calibration samples, whatever the
    distribution is. It does not hold after a drift. Schemes are tested in an order of falling thresholds; see
    `edanas.thresholds.risk_control`.

    Exits are not removed afterwards, because the guarantee holds for the tested thresholds only.

    Source: Jazbec, Timans and others, "Fast yet safe: Early-exiting with risk control", NeurIPS 2024. There
    all exits share one threshold (`order = "shared"`); by default, thresholds follow from the accuracy in
    bins of confidence, after PCEE, which costs less on 1,000 samples or more (`benchmarks/risk.py`).

    Args:
        max_drop: Largest mean loss: a fraction, or a text such as `1%`.
        confidence: Probability of the guarantee: a fraction, or a text such as `95%`. It is the probability
            over draws of the calibration samples.
        loss: `accuracy`, or `brier`: half the squared distance between class probabilities and label.
        form: `upper-bound` for the guarantee with probability `confidence`. `conformal` guarantees the mean
            over all draws of the calibration samples, and ignores `confidence`.
        order: `bins`, or `shared` for one threshold at all exits. `bins` tests half of the samples.

    Raises:
        ConfigError: An option is out of range.
    """

    fixed = True

    def __init__(
        self,
        max_drop: str | float = 0.01,
        confidence: str | float = 0.95,
        loss: Literal["accuracy", "brier"] = "accuracy",
        form: Form = "upper-bound",
        order: Order = "bins",
    ) -> None:
        for name, choice in (("loss", loss), ("form", form), ("order", order)):
            if choice not in _CHOICES[name]:
                raise ConfigError(
                    f"final_thresholds.{name}: found '{choice}'.{near_miss(choice, _CHOICES[name])}"
                )
        try:
            limit = parse_fraction("max_drop", max_drop, "0.01 or 1%")
            probability = parse_fraction("confidence", confidence, "0.95 or 95%")
        except ConfigError as error:
            raise ConfigError(f"final_thresholds.{error}") from error
        self.loss, self.risk = loss, Risk(limit, probability, form, order)
        self.least_samples = self.risk.least_samples

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        profile = calibration.profile
        safe = safe_scheme(profile, self._losses(calibration), len(calibration.scheme.thresholds), self.risk)
        if safe.scheme is None:
            raise CandidateError(unsafe_message(self.risk, safe, len(profile)))
        notes = {
            "loss": self.loss,
            "form": self.risk.form,
            "max_drop": self.risk.limit,
            "confidence": self.risk.confidence if self.risk.form == "upper-bound" else None,
            "bound": safe.bound,
            "samples": safe.samples,
        }
        return ThresholdChoice(safe.scheme, notes={RISK_NOTES: notes})

    def _losses(self, calibration: Calibration) -> Losses:
        if self.loss == "accuracy":
            return accuracy_losses(calibration.profile)
        answers = calibration.answers()
        return brier_losses(answers.logits if answers.outputs is None else answers.outputs, answers.labels)


def unsafe_message(risk: Risk, safe: SafeScheme, samples: int) -> str:
    """Return the message for a limit that no scheme keeps.

    Args:
        risk: The limit and the guarantee.
        safe: The result, without a scheme.
        samples: Number of calibration samples.
    """
    limit = f"{100 * risk.limit:g}%"
    guarantee = f" with {100 * risk.confidence:g}% confidence" if risk.form == "upper-bound" else ""
    return (
        f"max_drop: found {limit}{guarantee}; possible on these {samples:,} samples: {100 * safe.bound:.2f}% "
        f"or more; {limit} needs at least {risk.least_samples:,} samples"
    )


@hookimpl
def edanas_threshold_setters() -> dict[str, Callable[..., ThresholdSetter]]:
    """Register the setter by name."""
    return {"risk": RiskControlled}
