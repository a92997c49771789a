"""Minimisation of smooth functions of few weights, e.g. of a temperature that is fitted after training."""

from collections.abc import Callable, Sequence

import torch

_STEPS = 200


def minimise(weights: Sequence[torch.Tensor], loss: Callable[[], torch.Tensor]) -> None:
    """Change `weights` in place to a local minimum of `loss`; for a convex loss, the global minimum.

    The method is L-BFGS with a line search that satisfies the strong Wolfe conditions. It is deterministic.

    Args:
        weights: Leaf tensors that require a gradient, preferably in float64.
        loss: Computes a scalar from the current `weights`.

    Example:
        >>> weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        >>> minimise([weight], lambda: ((weight - 3.0) ** 2).sum())
        >>> round(weight.item(), 3)
        3.0
    """
    optimizer = torch.optim.LBFGS(
        weights, max_iter=_STEPS, tolerance_grad=1e-7, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
