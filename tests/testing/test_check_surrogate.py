"""The suite finds what is wrong with a surrogate model."""

from typing import Any, Self

import numpy as np
import pytest

from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.errors import EdanasError
from edanas.surrogates.exit_profiles import ExitProfiles
from edanas.testing import ConformanceError, check_surrogate
from edanas.testing.toy_search import LinearSurrogate


class Model(LinearSurrogate):
    """Sound; subclasses break one thing."""

    def __init__(self, seed: int) -> None:
        self.seed = seed


class Silent(Model):
    def fit(self, genomes: Any, values: Any) -> Self:
        super().fit(genomes, values)
        return None  # type: ignore[return-value]


class Column(Model):
    def predict(self, genomes: Any) -> Any:
        return super().predict(genomes)[:, None]


class Listed(Model):
    def predict(self, genomes: Any) -> Any:
        return super().predict(genomes).tolist()


class Batchwise(Model):
    """Predicts relative to the other genomes."""

    def predict(self, genomes: Any) -> Any:
        values = super().predict(genomes)
        return values - values.mean()


class Ignorant(Model):
    """Learns the mean alone."""

    def predict(self, genomes: Any) -> Any:
        return np.full(len(genomes), super().predict(genomes).mean() * 0 + 1.0)


class Jittery(Model):
    """Draws from an unseeded generator."""

    def predict(self, genomes: Any) -> Any:
        return super().predict(genomes) + np.random.default_rng().normal(0, 1, len(genomes))


class Global(Model):
    def fit(self, genomes: Any, values: Any) -> Self:
        np.random.rand()  # noqa: NPY002 - the fault
        return super().fit(genomes, values)


class Reseeding(Model):
    def fit(self, genomes: Any, values: Any) -> Self:
        import torch

        torch.manual_seed(self.seed)
        return super().fit(genomes, values)


class Scaling(Model):
    """Divides by a spread that may be 0."""

    def fit(self, genomes: Any, values: Any) -> Self:
        with np.errstate(all="ignore"):
            return super().fit(genomes, (values - values.mean()) / values.std())


class Picky(Model):
    def fit(self, genomes: Any, values: Any) -> Self:
        if len(values) < 3:
            raise ValueError("three samples are needed")
        return super().fit(genomes, values)


class InPlace(Model):
    def fit(self, genomes: Any, values: Any) -> Self:
        super().fit(genomes, values)
        values -= values.mean()
        return self


class Leaking(Model):
    """Cross-validates on what it was fitted on."""

    def cross_validate(self, genomes: Any, values: Any, folds: Any) -> Any:
        return self.fit(genomes, values).predict(genomes)


class Unordered(Model):
    """Returns the folds' predictions one after the other, and not in the samples' order."""

    def cross_validate(self, genomes: Any, values: Any, folds: Any) -> Any:
        return super().cross_validate(genomes, values, folds)[np.concatenate(folds)]


class ByFold(Model):
    def cross_validate(self, genomes: Any, values: Any, folds: Any) -> Any:
        return np.ones(len(folds))


def test_a_sound_model_passes() -> None:
    check_surrogate(Model)


class Peeking(ExitProfiles):
    """Reads the profiles of unseen candidates."""

    def predict(self, genomes: Any) -> Any:
        insight = self._insight
        if insight is None:
            return super().predict(genomes)
        mean = [insight.profiles[row.tobytes()].correct.mean() for row in genomes.astype(np.int64)]
        return np.array(mean)


class PeekingAcrossFolds(ExitProfiles):
    """Reads the profiles of the fold that it predicts."""

    def cross_validate(self, genomes: Any, values: Any, folds: Any) -> Any:
        if self._insight is None:
            return super().cross_validate(genomes, values, folds)
        return self.fit(genomes, values).predict(genomes)


class Deaf(ExitProfiles):
    """Raises a KeyError without profiles."""

    def inform(self, insight: ExitInsight) -> None:
        if not insight.profiles:
            raise KeyError("profiles")
        super().inform(insight)


class Demanding(ExitProfiles):
    """Cannot do without profiles, and says so."""

    def inform(self, insight: ExitInsight) -> None:
        if not insight.profiles:
            raise EdanasError("no exit profiles to learn from")
        super().inform(insight)


def test_a_model_may_need_exit_profiles_if_it_says_so() -> None:
    check_surrogate(Demanding)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            Peeking,
            "predictions change by up to .* with the exit profiles of candidates that are not in `fit`",
        ),
        (PeekingAcrossFolds, "predictions of a fold change by up to .* with the fold's own exit profiles"),
        (Deaf, "fit and predict with exit profiles raises KeyError"),
        (Silent, "Silent: fit returns None; expected the model itself"),
        (Column, r"shape \(40, 1\); expected \(40,\)"),
        (Listed, "a list, not an array"),
        (Batchwise, "for a genome in a batch and .* for it alone"),
        (Ignorant, "Kendall's tau on unseen genomes of an additive function is 0.00"),
        (Jittery, "two models of one seed, fitted to equal data, differ"),
        (Global, "draws from the global generator of numpy"),
        (Reseeding, "draws from the global generator of torch"),
        (Scaling, "after values of 0, the same genomes: .*nan"),
        (Picky, "fit on two samples .* raises ValueError: three samples are needed"),
        (InPlace, "fit changes its arguments"),
        (Leaking, "the predictions of a fold change by up to .* with the fold's own values"),
        (Unordered, "cross_validate: "),
        (ByFold, r"cross_validate: shape \(4,\); expected \(40,\)"),
    ],
)
def test_a_fault_is_found(make: type[SurrogateModel], text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_surrogate(make)
