"""Compare surrogate models with the settings of the paper's public code: Kendall's tau and seconds.

Both sides fit the same archives of a synthetic search space: 50 genes as in OFA MobileNetV3 with four exit
points, an accuracy with saturation, interactions and noise, and multiply-adds that are products of genes.
Both rank the same 1,000 unseen candidates by their true values. Figures are means over objectives and
repeats. Adaptive switching over the four models is then timed for both objectives together. Its time with the
public settings is computed as 11 fits (ten folds and one on everything) of each model.

    python benchmarks/surrogates.py            # several minutes
    python benchmarks/surrogates.py --quick    # fewer trees, epochs and repeats on the public side
"""

import argparse
import copy
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import torch
from scipy.interpolate import RBFInterpolator
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from sklearn.tree import DecisionTreeRegressor
from threadpoolctl import threadpool_limits
from torch import nn

from edanas.core.contracts import SurrogateModel
from edanas.surrogates.adaptive import AdaptiveSwitching, kendall_tau
from edanas.surrogates.builtin import edanas_surrogate_models

Array = npt.NDArray[np.float64]
POOL = ("rbf", "mlp", "cart", "gp")
STAGES, LAYERS, EXITS = 5, 4, 4


# --- The synthetic search space ---


def sample(rng: np.random.Generator, count: int) -> Array:
    """Return (count, 50) canonical genomes of 0 to 2.

    The genes are 5 x (depth, 4 kernels, 4 expansions), 4 thresholds, resolution.
    """
    genomes = rng.integers(0, 3, (count, STAGES * 9 + EXITS + 1))
    for stage in range(STAGES):
        depth = genomes[:, 9 * stage] + 2
        for layer in range(LAYERS):
            unexpressed = layer >= depth
            genomes[unexpressed, 9 * stage + 1 + layer] = 0
            genomes[unexpressed, 9 * stage + 5 + layer] = 0
    return genomes.astype(float)


def objectives(genomes: Array) -> tuple[Array, Array]:
    """Return the true accuracy and ADA_MACS of each genome, without noise."""
    g = genomes.astype(int)
    blocks = g[:, : STAGES * 9].reshape(-1, STAGES, 9)
    depth, kernel = blocks[:, :, :1] + 2, 3 + 2 * blocks[:, :, 1:5]
    expand = np.array([3, 4, 6])[blocks[:, :, 5:9]]
    runs = np.arange(LAYERS) < depth
    resolution = np.array([0.75, 0.875, 1.0])[g[:, -1], None]
    channels = np.array([24, 40, 80, 112, 160])[:, None]
    area = (32 * np.array([1.0, 0.5, 0.25, 0.25, 0.125])) ** 2
    layer_macs = runs * expand * channels * (2 * channels + kernel**2)
    macs = np.cumsum(layer_macs.sum(2) * area * resolution**2, axis=1)
    layer_gain = runs * np.log(expand) * (1 + 0.15 * kernel / 7)
    stage_gain = layer_gain.sum(2) * np.array([0.6, 0.8, 1.0, 1.1, 0.9])
    gain = np.cumsum(stage_gain, axis=1) * (0.6 + 0.4 * resolution)
    accuracy = 0.95 - 0.55 * np.exp(-gain / 7)

    left, mean_accuracy, mean_macs = np.ones(len(g)), np.zeros(len(g)), np.zeros(len(g))
    for point in range(EXITS):
        placed = g[:, STAGES * 9 + point] < 2
        threshold = np.array([0.1, 0.2, 1.0])[g[:, STAGES * 9 + point]]
        confident = np.clip((accuracy[:, point] - 0.45) * 1.9, 0, 1) ** (1 + 3 * threshold)
        leaving = left * placed * confident
        mean_accuracy += leaving * np.minimum(accuracy[:, point] * (1.03 + 0.2 * threshold), 0.97)
        mean_macs += leaving * macs[:, point]
        left = left - leaving
    return mean_accuracy + left * accuracy[:, -1], mean_macs + left * macs[:, -1]


# --- The public code's settings, as its notes describe them ---


def public_rbf(X: Array, y: Array, unseen: Array, _rng: np.random.Generator) -> Array:
    """Cubic kernel, linear tail, smoothing 1e-6, unscaled."""
    return RBFInterpolator(X, y, kernel="cubic", degree=1, smoothing=1e-6)(unseen)


def public_cart(X: Array, y: Array, unseen: Array, rng: np.random.Generator, trees: int) -> Array:
    """Unpruned trees, each on a random subset of the genes of uniform size."""
    total = np.zeros(len(unseen))
    for number in range(trees):
        genes = rng.choice(X.shape[1], rng.integers(1, X.shape[1] + 1), replace=False)
        tree = DecisionTreeRegressor(random_state=number).fit(X[:, genes], y)
        total += tree.predict(unseen[:, genes])
    return total / trees


def public_mlp(X: Array, y: Array, unseen: Array, rng: np.random.Generator, epochs: int) -> Array:
    """D-300-300-300-1, dropout 0.2, Adam 8e-4 with a cosine, smooth L1, full batches, best weights."""
    mean, scale, low, high = X.mean(0), X.std(0), y.mean(), y.std()
    order, check = rng.permutation(len(y)), len(y) // 5
    inputs = torch.from_numpy((X - mean) / scale).float()[order]
    targets = torch.from_numpy((y - low) / high).float()[order, None]
    torch.manual_seed(int(rng.integers(2**31)))
    layers: list[nn.Module] = []
    for width_in in (X.shape[1], 300, 300):
        layers += [nn.Linear(width_in, 300), nn.ReLU(), nn.Dropout(0.2)]
    net, loss, lowest = nn.Sequential(*layers, nn.Linear(300, 1)), nn.SmoothL1Loss(), math.inf
    optimiser = torch.optim.Adam(net.parameters(), lr=8e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        net.train()
        optimiser.zero_grad()
        loss(net(inputs[check:]), targets[check:]).backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            validation = float(loss(net.eval()(inputs[:check]), targets[:check]))
        if validation < lowest:
            lowest, best = validation, copy.deepcopy(net.state_dict())
    net.load_state_dict(best)
    with torch.no_grad():
        return net.eval()(torch.from_numpy((unseen - mean) / scale).float())[:, 0].double().numpy()


def public_gp(X: Array, y: Array, unseen: Array, _rng: np.random.Generator) -> Array:
    """Kriging: isotropic Gaussian correlation in [1e-5, 100], linear trend by generalised least squares."""
    mean, scale = X.mean(0), X.std(0)
    Z, U, z = (X - mean) / scale, (unseen - mean) / scale, (y - y.mean()) / y.std()
    squares, F = cdist(Z, Z, "sqeuclidean"), np.column_stack([np.ones(len(Z)), Z])

    def solved(exponent: float) -> tuple[float, Array, Array]:
        L = cholesky(np.exp(-(10**exponent) * squares) + 1e-6 * np.eye(len(Z)), lower=True)
        A, b = np.split(solve_triangular(L, np.column_stack([F, z]), lower=True), [-1], axis=1)
        slopes = np.linalg.lstsq(A, b, rcond=None)[0]
        rest = b - A @ slopes
        weights = solve_triangular(L, rest, lower=True, trans="T")
        return len(z) * math.log((rest**2).mean()) + 2 * np.log(np.diag(L)).sum(), slopes, weights

    exponents = np.linspace(-5, 2, 15)
    start = exponents[np.argmin([solved(exponent)[0] for exponent in exponents])]
    bounds = (max(start - 0.5, -5), min(start + 0.5, 2))
    best = minimize_scalar(lambda exponent: solved(exponent)[0], bounds=bounds, method="bounded").x
    _, slopes, weights = solved(best)
    trend = np.column_stack([np.ones(len(U)), U]) @ slopes
    return (trend + np.exp(-(10**best) * cdist(U, Z, "sqeuclidean")) @ weights)[:, 0]


# --- The comparison ---


@dataclass
class Cell:
    """Kendall's taus on unseen candidates, and seconds of one fit with its predictions."""

    taus: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, truth: Array, predict: Callable[..., Array], *data: object) -> None:
        """Time `predict(*data)`, and compare its order with that of `truth`."""
        started = time.perf_counter()
        predicted = predict(*data)
        self.seconds.append(time.perf_counter() - started)
        self.taus.append(kendall_tau(predicted, truth))


def our_fit(make: Callable[[int], SurrogateModel], seed: int, X: Array, y: Array, unseen: Array) -> Array:
    """Fit one of our models and return its predictions."""
    return make(seed).fit(X, y).predict(unseen)


def compare(size: int, repeats: int, seed: int, trees: int, epochs: int) -> None:
    """Print one archive size: a row for each model, and one for adaptive switching."""
    ours = edanas_surrogate_models()
    public: dict[str, Callable[..., Array]] = {
        "rbf": public_rbf,
        "mlp": lambda *data: public_mlp(*data, epochs=epochs),
        "cart": lambda *data: public_cart(*data, trees=trees),
        "gp": public_gp,
    }
    theirs_at, ours_at = ({name: Cell() for name in ours} for _ in range(2))
    switched = Cell()
    switch_seconds, chosen = [], []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, size, repeat])
        X, unseen = sample(rng, size), sample(rng, 1000)
        accuracy, macs = objectives(X)
        archives = (accuracy + rng.normal(0, 0.004, size), macs)
        for y, truth in zip(archives, objectives(unseen), strict=True):
            for name, make in ours.items():
                if name in public:
                    theirs_at[name].add(truth, public[name], X, y, unseen, rng)
                ours_at[name].add(truth, our_fit, make, repeat, X, y, unseen)
        started = time.perf_counter()
        fitted = [AdaptiveSwitching({n: ours[n] for n in POOL}, seed=repeat).fit(X, y) for y in archives]
        switch_seconds.append(time.perf_counter() - started)
        chosen += [model.chosen for model in fitted]
        for model, truth in zip(fitted, objectives(unseen), strict=True):
            switched.add(truth, model.predict, unseen)
    for name in ours:
        print(row(size, name, theirs_at[name], ours_at[name]))
    public_seconds = 2 * 11 * sum(float(np.mean(theirs_at[name].seconds)) for name in POOL)
    mean_seconds = float(np.mean(switch_seconds))
    print(
        f"{size:>7}  switching, both objectives: {mean_seconds:.2f} s (slowest {max(switch_seconds):.2f} s); "
        f"public settings {public_seconds:.0f} s by 22 fits of each: {public_seconds / mean_seconds:.0f}x; "
        f"tau {np.mean(switched.taus):.3f}; chosen {', '.join(chosen)}\n"
    )


def row(size: int, name: str, theirs: Cell, ours: Cell) -> str:
    """Return one line of the table."""
    tau, seconds = np.mean(ours.taus), np.mean(ours.seconds)
    if not theirs.taus:
        return f"{size:>7}  {name:<8} {'-':>9} {tau:>9.3f} {'':>8} {'-':>11} {seconds:>9.3f}"
    gain, ratio = tau - np.mean(theirs.taus), np.mean(theirs.seconds) / seconds
    return (
        f"{size:>7}  {name:<8} {np.mean(theirs.taus):>9.3f} {tau:>9.3f} {gain:>+8.3f} "
        f"{np.mean(theirs.seconds):>11.3f} {seconds:>9.3f} {ratio:>7.1f}"
    )


def main() -> None:
    """Read the flags, print machine and versions, then the table."""
    parser = argparse.ArgumentParser(description="Compare surrogate models with the public code's settings.")
    parser.add_argument("--quick", action="store_true", help="500 trees, 300 epochs and one repeat publicly")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch and BLAS, on both sides")
    parser.add_argument("--archives", type=int, nargs="+", default=[54, 100, 220, 340])
    flags = parser.parse_args()
    trees, epochs, repeats = (500, 300, 1) if flags.quick else (5000, 2000, flags.repeats)
    names = ("numpy", "scipy", "scikit-learn", "torch", "xgboost")
    libraries = ", ".join(f"{name} {version(name)}" for name in names)
    cores = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"machine: {platform.platform()}, {cores}; python {platform.python_version()}, {libraries}")
    print(f"seed {flags.seed}, {repeats} repeat(s) x 2 objectives, {flags.threads} thread(s)")
    print(f"public side: {trees} trees, {epochs} epochs, RBF and GP as described; ours: the defaults")
    print("tau: Kendall's, on 1,000 unseen candidates without noise; seconds: one fit and its predictions\n")
    head = f"{'public':>9} {'ours':>9} {'gain':>8} {'public s':>11} {'ours s':>9} {'ratio':>7}"
    print(f"archive  {'model':<8} {head}")
    with threadpool_limits(flags.threads):
        for size in flags.archives:
            compare(size, repeats, flags.seed, trees, epochs)


if __name__ == "__main__":
    main()
