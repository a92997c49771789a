"""Smooth functions of few weights, brought to their minimum: what is learned after training."""

from collections.abc import Callable, Sequence

import torch

_STEPS = 200


def minimise(weights: Sequence[torch.Tensor], loss: Callable[[], torch.Tensor]) -> None:
    """Change `weights` in place until `loss` is smallest nearby; for a convex loss, smallest at all.

    By L-BFGS with a line search that satisfies the strong Wolfe conditions, which draws nothing at random.

    Args:
        weights: Leaves that require a gradient, best in float64.
        loss: A scalar of them.
    """
    optimizer = torch.optim.LBFGS(
        weights, max_iter=_STEPS, tolerance_grad=1e-7, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        found = loss()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
