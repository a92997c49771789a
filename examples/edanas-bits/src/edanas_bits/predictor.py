"""APQ's predictor: it learns from float networks first, and transfers to networks with few bits."""

from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.errors import ConfigError
from torch import nn
from torch.nn import functional as F

FLOAT = "quantised"
"""Name of the variable that is 0 for a float network."""

Array = npt.NDArray[np.float64]


class Perceptron(nn.Module):
    """A perceptron with two hidden layers, which reads structure and bit-widths by separate weights.

    The weights of the bit-widths start at 0, so that a perceptron that is trained on float networks predicts
    the float value for each bit-width.

    Args:
        structure: Number of genes of the structure.
        bits: Number of genes of bit-widths.
        width: Number of units in each hidden layer.
    """

    def __init__(self, structure: int, bits: int, width: int) -> None:
        super().__init__()
        self.structure = nn.Linear(structure, width)
        self.bits = nn.Linear(bits, width, bias=False)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        nn.init.zeros_(self.bits.weight)

    def forward(self, structure: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
        """Genes of structure (n, S) and of bit-widths (n, B) -> predictions (n,)."""
        out: torch.Tensor = self.rest(self.structure(structure) + self.bits(bits))
        return out[:, 0]


class TransferredPredictor(SurrogateModel):
    """The quantisation-aware predictor of APQ, transferred from a predictor of float networks.

    A perceptron learns the values of float networks, which are cheap: their weights are inherited and not
    rounded. It then goes on learning with the candidates that have bit-widths, whose genes are additional
    inputs. So few such candidates suffice. Float networks are those with the choice 0 of `quantised`, a
    variable of the supernet `bits` with `float_too`. Without them, all candidates are learned at once.

    Wang and others, APQ: Joint Search for Network Architecture, Pruning and Quantization Policy, CVPR 2020,
    Section 3.2. The perceptron has 400 units there, for thousands of candidates.

    Args:
        seed: Determines the initial weights.
        steps: Number of steps of Adam in each of the two trainings, by default 200.
        width: Number of units in each hidden layer, by default 64.
        rate: Learning rate of the first training; that of the second is a third of it.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(self, seed: int = 0, steps: int = 200, width: int = 64, rate: float = 0.01) -> None:
        for option, value in (("steps", steps), ("width", width), ("rate", rate)):
            if value <= 0:
                raise ConfigError(f"surrogates.{option}: found {value}; allowed: above 0")
        self.seed, self.steps, self.width, self.rate = seed, steps, width, rate
        self.flag, self.bits = -1, np.zeros(0, dtype=np.int64)

    def inform(self, insight: ExitInsight) -> None:
        """Find the genes of bit-widths; no profile is read."""
        names = [variable.name for variable in insight.space.variables]
        self.flag = names.index(FLOAT) if FLOAT in names else -1
        endings = (".bits", ".activations")
        self.bits = np.array([at for at, name in enumerate(names) if name.endswith(endings)], dtype=np.int64)

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`."""
        self._centre, self._scale = genomes.mean(axis=0), np.maximum(genomes.std(axis=0), 1e-9)
        self._mean, self._deviation = float(values.mean()), max(float(values.std()), 1e-12)
        structure, bits, is_float = self._inputs(genomes)
        targets = torch.from_numpy((values - self._mean) / self._deviation).float()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._network = Perceptron(structure.shape[1], bits.shape[1], self.width)
            rate = self.rate
            if is_float.any() and not is_float.all():
                self._train(structure[is_float], bits[is_float], targets[is_float], rate)
                rate /= 3
            self._train(structure, bits, targets, rate)
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`."""
        structure, bits, _ = self._inputs(genomes)
        with torch.no_grad():
            outputs = self._network(structure, bits).double().numpy()
        return np.asarray(outputs * self._deviation + self._mean)

    def _train(self, structure: torch.Tensor, bits: torch.Tensor, targets: torch.Tensor, rate: float) -> None:
        optimizer = torch.optim.Adam(self._network.parameters(), rate, weight_decay=1e-4)
        with torch.enable_grad():
            for _ in range(self.steps):
                optimizer.zero_grad()
                F.smooth_l1_loss(self._network(structure, bits), targets).backward()
                optimizer.step()

    def _inputs(self, genomes: Array) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return standardised genes of the structure and of bit-widths, and whether a network is float."""
        scaled = torch.from_numpy((genomes - self._centre) / self._scale).float()
        is_float = torch.zeros(len(genomes), dtype=torch.bool)
        if self.flag >= 0:
            is_float = torch.from_numpy(genomes[:, self.flag] == 0)
        special = [*self.bits.tolist(), *([self.flag] if self.flag >= 0 else [])]
        rest = [at for at in range(genomes.shape[1]) if at not in special]
        bits = torch.where(is_float[:, None], 0.0, scaled[:, special])
        if not special:  # a supernet without bit-widths
            bits = torch.zeros(len(genomes), 1)
        return scaled[:, rest], bits, is_float
