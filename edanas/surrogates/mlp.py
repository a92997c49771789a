"""The surrogate model `mlp`: a multilayer perceptron; a cross-validation trains all its networks at once."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from torch.optim.adam import adam

from edanas.core.contracts import SurrogateModel
from edanas.surrogates.arrays import Array, Indices, Standardiser, at_least, training_set


class MLP(SurrogateModel):
    """A multilayer perceptron with three hidden layers of 64 units, on standardised genes and values.

    The network has ReLU activations and dropout. It is trained by Adam with a cosine schedule on the smooth
    L1 loss. The time grows with the number of steps, not with the number of samples.

    The paper's public code uses 300 units in a layer, full batches, a learning rate of 8e-4, and a fifth of
    the samples to choose the best weights. Here, all samples are used for training, because a fifth would be
    only tens of samples. Small batches and a high learning rate need tens of steps instead of thousands. In
    `benchmarks/surrogates.py`, 64 units rank new candidates as well as 300 units.

    Args:
        seed: Determines initial weights, dropout and batches.
        steps: Number of steps of the optimiser, 1 or more.
        batch_size: Number of samples in a step, 1 or more.
        learning_rate: Initial learning rate of Adam, which falls to 0 along a cosine.
        dropout: Share of hidden units that are dropped in a step, from 0 to 0.99.
        width: Number of units in each hidden layer, 1 or more.

    Example:
        >>> genomes = np.arange(20.0)[:, None]
        >>> model = MLP(steps=80).fit(genomes, genomes[:, 0])
        >>> low, high = model.predict(np.array([[2.0], [17.0]]))
        >>> bool(low < high)
        True
    """

    def __init__(
        self,
        seed: int = 0,
        steps: int = 160,
        batch_size: int = 32,
        learning_rate: float = 1e-2,
        dropout: float = 0.2,
        width: int = 64,
    ) -> None:
        at_least("mlp", "steps", steps, 1)
        at_least("mlp", "batch_size", batch_size, 1)
        at_least("mlp", "learning_rate", learning_rate, 0.0)
        at_least("mlp", "dropout", dropout, 0.0)
        at_least("mlp", "1 - dropout", 1.0 - dropout, 0.01)
        at_least("mlp", "width", width, 1)
        self.seed = seed
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.width = width

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`."""
        X, y = training_set(genomes, values)
        self._inputs, self._outputs = Standardiser.of(X), Standardiser.of(y)
        self._network = self._train(self._inputs(X), self._outputs(y)[None], [np.arange(len(y))])
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`."""
        X = torch.from_numpy(self._inputs(np.asarray(genomes, dtype=np.float64))).float()
        output = _forward(self._network, X[None])[0]
        return self._outputs.back(output.double().numpy())

    def cross_validate(self, genomes: Array, values: Array, folds: Sequence[Indices]) -> Array:
        """See `SurrogateModel.cross_validate`; the networks of all folds are trained at once."""
        X, y = training_set(genomes, values)
        inputs = Standardiser.of(X)(X)
        rests = [np.setdiff1d(np.arange(len(y)), fold) for fold in folds]
        scales = [Standardiser.of(y[rest]) for rest in rests]
        network = self._train(inputs, np.stack([scale(y) for scale in scales]), rests)
        held_out = np.empty(len(y))
        for at, (fold, scale) in enumerate(zip(folds, scales, strict=True)):
            own = [parameter[at : at + 1] for parameter in network]
            output = _forward(own, torch.from_numpy(inputs[fold]).float()[None])[0]
            held_out[fold] = scale.back(output.double().numpy())
        return held_out

    def _train(self, X: Array, y: Array, rests: Sequence[Indices]) -> list[torch.Tensor]:
        """Return the parameters of F trained networks, in the layout of `_forward`.

        Args:
            X: Standardised genes of all samples, (n, D).
            y: Standardised values of all samples, one row for each network, (F, n).
            rests: Positions of the training samples of each network.
        """
        rng = np.random.default_rng(self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        batches = np.stack([_batches(rng, rest, self.steps, self.batch_size) for rest in rests], axis=1)
        inputs, targets = torch.from_numpy(X).float(), torch.from_numpy(y).float()
        rows = torch.arange(len(rests))[:, None]
        network = _initial(generator, len(rests), (X.shape[1], self.width, self.width, self.width, 1))
        masks = self._masks(generator, batches.shape[2])
        gradients = [torch.empty_like(parameter) for parameter in network]
        adam = _Adam(network, gradients)
        for step, batch in enumerate(torch.from_numpy(batches)):
            _set_gradients(gradients, network, inputs[batch], targets[rows, batch], masks[step])
            adam.step(self.learning_rate * _cosine(step / self.steps))
        return network

    def _masks(self, generator: torch.Generator, batch: int) -> torch.Tensor:
        """Return dropout masks, (steps, 3, B, width): of each step and hidden layer, for all networks."""
        share = 1.0 - self.dropout
        draws = torch.rand(self.steps, 3, batch, self.width, generator=generator)
        return (draws < share).float().div_(share)


def _forward(network: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the outputs (F, B) of F networks for batches of B inputs, (F, B, D).

    Args:
        network: For each layer, the weights (F, in, out) and the biases (F, 1, out) of all networks.
        x: Inputs of each network, (F, B, D).
    """
    *hidden, (weight, bias) = zip(network[::2], network[1::2], strict=True)
    for inner, offset in hidden:
        x = torch.baddbmm(offset, x, inner).relu_()
    return torch.baddbmm(bias, x, weight).squeeze(2)


class _Adam:
    """Adam (Kingma and Ba, ICLR 2015) as a function on tensors.

    The first optimiser object of a process imports torch's compiler, which takes seconds.

    Args:
        parameters: Tensors that `step` updates.
        gradients: Gradients of the parameters, which `step` reads.
    """

    def __init__(self, parameters: list[torch.Tensor], gradients: list[torch.Tensor]) -> None:
        means, squares = ([torch.zeros_like(each) for each in parameters] for _ in range(2))
        steps = [torch.zeros(()) for _ in parameters]
        largest: list[torch.Tensor] = []  # of AMSGrad, which is off
        self._tensors = parameters, gradients, means, squares, largest, steps

    def step(self, learning_rate: float) -> None:
        """Update the parameters once."""
        adam(
            *self._tensors,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


def _set_gradients(
    gradients: Sequence[torch.Tensor],
    network: Sequence[torch.Tensor],
    x: torch.Tensor,
    targets: torch.Tensor,
    masks: torch.Tensor,
) -> None:
    """Write the gradients of each network's mean smooth L1 loss to `gradients`.

    Autograd would take twice as long on matrices of this size.

    Args:
        gradients: Tensors in the layout of `network`, which are overwritten.
        network: Parameters in the layout of `_forward`.
        x: Inputs of each network, (F, B, D).
        targets: Targets of each network, (F, B).
        masks: Dropout masks of the hidden layers, (3, B, width).
    """
    weights, biases = network[::2], network[1::2]
    values = [x]
    for weight, bias, mask in zip(weights, biases, masks, strict=False):
        values.append(torch.baddbmm(bias, values[-1], weight).relu_().mul_(mask))
    errors = torch.baddbmm(biases[-1], values[-1], weights[-1]).sub_(targets[..., None])
    slopes = errors.clamp_(-1.0, 1.0).div_(targets.shape[1])
    for layer in reversed(range(len(weights))):
        torch.bmm(values[layer].mT, slopes, out=gradients[2 * layer])
        torch.sum(slopes, dim=1, keepdim=True, out=gradients[2 * layer + 1])
        if layer:
            slopes = torch.bmm(slopes, weights[layer].mT).mul_(masks[layer - 1]).mul_(values[layer] > 0)


def _initial(generator: torch.Generator, networks: int, sizes: Sequence[int]) -> list[torch.Tensor]:
    """Return initial parameters, equal for all networks, in the layout of `_forward`.

    The parameters of a layer are uniform between -1 / sqrt(inputs) and 1 / sqrt(inputs).

    Args:
        generator: The only source of randomness.
        networks: Number of networks.
        sizes: Number of inputs of the network, then of units in each layer.
    """
    parameters = []
    for inputs, outputs in pairwise(sizes):
        bound = 1.0 / math.sqrt(max(inputs, 1))
        for rows in (inputs, 1):
            drawn = torch.empty(1, rows, outputs).uniform_(-bound, bound, generator=generator)
            parameters.append(drawn.repeat(networks, 1, 1))
    return parameters


def _batches(rng: np.random.Generator, samples: Indices, steps: int, size: int) -> Indices:
    """Return the positions of the samples in each batch, (steps, size), from random permutations in a row."""
    rounds = -(-steps * size // len(samples))
    return np.concatenate([rng.permutation(samples) for _ in range(rounds)])[: steps * size].reshape(
        steps, size
    )


def _cosine(share: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * share))
