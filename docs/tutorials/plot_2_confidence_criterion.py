"""
A confidence criterion of your own
==================================

An early exit answers if it is sure enough. What "sure" means is a confidence criterion: logits in, one number
from 0 to 1 out, larger for surer. The paper takes the margin between the two most likely classes. Here is
another one: how likely two draws from the class probabilities agree.
"""

import torch
from matplotlib import pyplot as plt

from edanas import hookimpl
from edanas.core.contracts import ConfidenceCriterion
from edanas.exits.criteria import ScoreMargin
from edanas.testing import ConformanceError, check_criterion

# %%
# Write it
# --------
# One class, one method. The arguments of its constructor are the options that users set, with
# ``--set criterion.temperature=2.0``, say: annotate them and give each a default.


class Agreement(ConfidenceCriterion):
    """How likely two draws from the class probabilities agree.

    Args:
        temperature: What logits are divided by first; larger = less sure.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> confidence (B,)."""
        bounded = torch.nan_to_num(logits / self.temperature)
        return torch.softmax(bounded, dim=1).square().sum(dim=1).clamp(max=1.0)


Agreement()(torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [9.0, 0.0, 0.0]]))

# %%
# Hold it against the contract
# ----------------------------
# The suites that the built-in implementations are tested with are there for yours: shapes, range, order,
# single samples against batches, infinite logits. Silence is good news.

check_criterion(Agreement())

# %%
# A criterion that forgets to scale is told so, with the input it fails on.


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
# What it changes
# ---------------
# Ten classes, of which one is ahead of a second, and both of the rest. Where two classes are close, the
# margin is small however unlikely the others are; agreement stays near a half there. So the same threshold
# means different things to the two, and thresholds belong to their criterion.

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
# Make it known
# -------------
# A hook gives the class a name. In a package, this function stands in the module that an entry point of the
# group ``edanas`` names; once that package is installed, ``--set criterion=agreement`` chooses it. The whole
# package is on the page "Write a plugin".


@hookimpl
def edanas_confidence_criteria() -> dict[str, type[ConfidenceCriterion]]:
    """Confidence criteria by name."""
    return {"agreement": Agreement}


print(edanas_confidence_criteria())
