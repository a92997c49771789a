"""
A confidence criterion of your own
==================================

A sample exits if the exit's confidence reaches the threshold. A confidence criterion maps logits to a number
from 0 to 1, larger for more confident. The paper uses the margin between the two most likely classes. This
page writes another one: the probability that two draws from the class probabilities agree.
"""

import torch
from matplotlib import pyplot as plt

from edanas import hookimpl
from edanas.core.contracts import ConfidenceCriterion
from edanas.exits.criteria import ScoreMargin
from edanas.testing import ConformanceError, check_criterion

# %%
# Implementation
# --------------
# A criterion is a class with one method. The arguments of its constructor are its options in the settings,
# e.g. ``--set criterion.temperature=2.0``: annotate each one and give it a default.


class Agreement(ConfidenceCriterion):
    """Probability that two draws from the class probabilities agree.

    Args:
        temperature: Divisor of the logits; larger = less confident.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> confidence (B,)."""
        bounded = torch.nan_to_num(logits / self.temperature)
        return torch.softmax(bounded, dim=1).square().sum(dim=1).clamp(max=1.0)


Agreement()(torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [9.0, 0.0, 0.0]]))

# %%
# Conformance
# -----------
# The suites that test the built-in implementations are public. This one checks shapes, range, order,
# single samples against batches, and infinite logits. It returns nothing if all checks pass.

check_criterion(Agreement())

# %%
# For a criterion without scaling, the error names the failing input.


class LargestLogit(ConfidenceCriterion):
    """The largest logit, which may be any number."""

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> numbers (B,)."""
        return logits.amax(dim=1)


try:
    check_criterion(LargestLogit())
except ConformanceError as error:
    print(error)

# %%
# Comparison with the score margin
# --------------------------------
# Of ten classes, one leads a second, and both lead the rest. If two classes are close, the
# margin is small, however unlikely the others are; agreement stays near one half there. The same threshold
# therefore has another effect with each criterion.

ahead = torch.linspace(0, 6, 100)
figure, axis = plt.subplots(figsize=(6, 3.5))
for second, style in ((5.0, "-"), (0.0, "--")):
    logits = torch.zeros(len(ahead), 10)
    logits[:, 0], logits[:, 1] = second + ahead, second
    axis.plot(ahead, ScoreMargin()(logits), "C0" + style, label=f"score margin, second at {second:g}")
    axis.plot(ahead, Agreement()(logits), "C1" + style, label=f"agreement, second at {second:g}")
axis.set_xlabel("lead of the largest logit over the second")
axis.set_ylabel("confidence")
axis.legend()
figure.tight_layout()
plt.show()

# %%
# Registration
# ------------
# A hook gives the class a name. In a package, this function is in the module that an entry point of the
# group ``edanas`` names; once the package is installed, ``--set criterion=agreement`` selects it. The page
# "Write a plugin" shows the whole package.


@hookimpl
def edanas_confidence_criteria() -> dict[str, type[ConfidenceCriterion]]:
    """Confidence criteria by name."""
    return {"agreement": Agreement}


print(edanas_confidence_criteria())
