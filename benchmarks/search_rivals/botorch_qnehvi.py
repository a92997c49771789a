"""BoTorch's noisy expected hypervolume improvement in batches, after its multi-objective tutorial.

Each objective has a Gaussian process (`SingleTaskGP`, default kernel and prior, inputs scaled to the unit
cube, outcomes standardised). `qLogNoisyExpectedHypervolumeImprovement` uses 128 quasi-random samples and the
function's reference point. `optimize_acqf_mixed_alternating` maximises it over the integers, with the
tutorial's 10 restarts and 512 raw samples. The first points are Sobol's: the tutorial's 2 (D + 1), and at
most `MOST_INITIAL`, since more would fill the smaller budgets.
"""

import warnings

import numpy as np

from search_rivals import Options, Recorder

MOST_INITIAL = 40


def qnehvi(function, record: Recorder, seed: int, options: Options) -> None:
    """Run qNEHVI as the module describes."""
    import torch
    from botorch.optim.optimize_mixed import optimize_acqf_mixed_alternating

    warnings.simplefilter("ignore")
    torch.manual_seed(seed)
    counts = function.space.counts
    X = _first(counts, seed)
    Y = record(X.round().numpy().astype(np.int64))
    bounds = torch.stack([torch.zeros(len(counts)), torch.as_tensor(counts - 1)]).double()
    grid = {i: list(range(int(count))) for i, count in enumerate(counts) if count > 1}
    while True:
        acquisition = _acquisition(X, torch.as_tensor(Y), bounds, torch.as_tensor(function.reference), seed)
        points, _ = optimize_acqf_mixed_alternating(
            acquisition, bounds, discrete_dims=grid, q=options.batch, num_restarts=10, raw_samples=512
        )
        Y = np.concatenate([Y, record(points.round().numpy().astype(np.int64))])
        X = torch.cat([X, points.round().double()])


def _first(counts, seed: int):
    import torch

    size = min(2 * (len(counts) + 1), MOST_INITIAL)
    unit = torch.quasirandom.SobolEngine(len(counts), scramble=True, seed=seed).draw(size).double()
    return torch.minimum((unit * torch.as_tensor(counts)).floor(), torch.as_tensor(counts - 1).double())


def _acquisition(X, Y, bounds, reference, seed: int):
    """Return the acquisition function on (n, D) integer points and their (n, J) minimised values."""
    import torch
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.models.transforms import Normalize, Standardize
    from botorch.sampling.normal import SobolQMCNormalSampler
    from gpytorch.mlls import SumMarginalLogLikelihood

    models = [
        SingleTaskGP(
            X,
            -Y[:, [j]],
            outcome_transform=Standardize(m=1),
            input_transform=Normalize(d=X.shape[1], bounds=bounds),
        )
        for j in range(Y.shape[1])
    ]
    model = ModelListGP(*models)
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
    return qLogNoisyExpectedHypervolumeImprovement(
        model=model,
        ref_point=(-reference).tolist(),
        X_baseline=X,
        prune_baseline=True,
        sampler=SobolQMCNormalSampler(sample_shape=torch.Size([128]), seed=seed),
    )
