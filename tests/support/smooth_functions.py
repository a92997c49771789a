"""A function of genomes for the tests of surrogate models."""

import numpy as np

from edanas.surrogates.arrays import Array


def smooth(count: int, seed: int, genes: int = 8) -> tuple[Array, Array]:
    """Integer genomes and a smooth saturating function of them, in millions as MACs are."""
    genomes = np.random.default_rng(seed).integers(0, 3, (count, genes)).astype(float)
    gain = genomes @ np.linspace(0.2, 1.0, genes) + 0.2 * genomes[:, 0] * genomes[:, 1]
    return genomes, 1e7 * (1 - np.exp(-gain / 4))
