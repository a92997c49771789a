"""Ranges of all features of a network on calibration samples, from which the scales of integers follow."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx

from edanas.deploy.c_code.graph import Part

_NUMBERS = 4096
"""Largest number of values of one operator and batch that the search for the best range reads."""

_SHRINKS = np.linspace(1.0, 0.3, 29)
"""Candidates for the width of a range as a fraction of the observed width."""


class Observations:
    """Minimum, maximum and a sample of the values of each operator.

    Example:
        >>> observed = Observations()
        >>> observed.add("x", np.array([0.0, 2.0]))
        >>> observed.range("x")
        (0.0, 2.0)
    """

    def __init__(self) -> None:
        self._values: dict[str, list[npt.NDArray[np.float32]]] = {}

    def add(self, name: str, values: npt.NDArray[Any]) -> None:
        """Add values of an operator; of many values, an even sample and the two extremes."""
        flat = values.ravel().astype(np.float32)
        step = max(1, len(flat) // _NUMBERS)
        extremes = np.array([flat.min(), flat.max()], dtype=np.float32)
        self._values.setdefault(name, []).append(np.concatenate([extremes, flat[::step]]))

    def range(self, name: str) -> tuple[float, float]:
        """Return the range of an operator's values that 256 numbers express with the least squared error.

        The range contains 0. It is narrower than the observed range if rare large values would make the steps
        of all others coarse.
        """
        values = np.concatenate(self._values[name]).astype(np.float64)
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        errors = [_squared_error(values, low * shrink, high * shrink) for shrink in _SHRINKS]
        shrink = float(_SHRINKS[int(np.argmin(errors))])
        return low * shrink, high * shrink


def scale_and_zero(low: float, high: float) -> tuple[float, int]:
    """Return the scale and the zero point of 256 numbers for a range that contains 0.

    Example:
        >>> scale_and_zero(0.0, 2.55)[1]
        -128
    """
    if high <= low:
        return 1.0, 0
    scale = (high - low) / 255
    return scale, int(np.clip(round(-128 - low / scale), -128, 127))


def _squared_error(values: npt.NDArray[np.float64], low: float, high: float) -> float:
    scale, zero = scale_and_zero(low, high)
    numbers = np.clip(np.round(values / scale) + zero, -128, 127)
    return float(np.square((numbers - zero) * scale - values).mean())


def observe(part: Part, batch: torch.Tensor, observations: Observations) -> torch.Tensor:
    """Run a part on a batch of the size of its example, record its values, and return its output."""
    with torch.no_grad():
        result = _Recorder(part, observations).run(batch)
    output: torch.Tensor = result[0] if isinstance(result, tuple | list) else result
    return output


class _Recorder(fx.Interpreter):
    """Runs a graph and records the values of a part's operators."""

    def __init__(self, part: Part, observations: Observations) -> None:
        super().__init__(part.module)
        self._names = {op.name.removeprefix(f"{part.prefix}_"): op.name for op in part.ops}
        self._observations = observations
        self._channels = {op.name: op.shape[2] for op in part.ops if op.kind in ("input", "mean")}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        name = self._names.get(n.name)
        if name is not None:
            values = result[0] if isinstance(result, tuple | list) else result
            # A head's input and its mean have a mask as last channel, which the operators leave out.
            channels = self._channels.get(name, values.shape[1])
            self._observations.add(name, values[:, :channels].detach().numpy())
        return result
