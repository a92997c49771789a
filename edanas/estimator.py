"""The class `EarlyExitClassifier`: a search for an early-exit network as an estimator of scikit-learn."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from edanas.api import search
from edanas.core.errors import ConfigError, DataError, EdanasError
from edanas.core.progress import Silent
from edanas.data.class_labels import ClassLabels, plain_labels
from edanas.data.load_samples import as_images
from edanas.data.pixel_range import pixel_range
from edanas.data.sample_arrays import samples_of
from edanas.data.sample_layout import SERIES, layout_of
from edanas.data.sound_reading import as_sound
from edanas.data.spectrogram import RAW
from edanas.model.loading import load
from edanas.model.probabilities import exit_probabilities
from edanas.model.sound_inputs import front_end_of
from edanas.thresholds.budgets import bound

_LARGEST_SEED = 2**31 - 1


class InputError(EdanasError, ValueError):
    """Samples, labels or parameters of an estimator are wrong; a `ValueError`, as scikit-learn expects."""


class EarlyExitClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose `fit` searches for an early-exit network with `edanas.search`, and keeps the best.

    Args:
        plugin: Name of the bundle; by default `signal-sm` for series, and `mbv3-sm` for images.
        time_limit: Time limit of `fit` in seconds; `None`, the default, = the limit of the preset, if any.
        preset: Name of a preset of the bundle, e.g. `quick`; by default the bundle's own choice.
        settings: Further settings of the search by their dotted names; none by default.
        max_macs: Largest number of executed multiply-adds for one sample, on average, of the network that
            is kept: a number, or a text such as `1M`. By default there is no bound.
        out: The run folder. `None`, the default, = a temporary folder that `fit` deletes.
        random_state: Seed of all random numbers: a whole number, 0 by default, a generator of NumPy, or
            `None` for another seed in each call.
        verbose: Show progress; `False` by default.

    Attributes:
        classes_: The K labels, sorted as by `np.unique`.
        network_: The network, an `edanas.model.eenn.EENN`.
        result_: The `edanas.Result` of the search.
        n_features_in_: Length of the series of a table (N, L); absent for samples of other shapes.

    Example:
        >>> classifier = EarlyExitClassifier(time_limit=300)
        >>> classifier.get_params()["time_limit"]
        300
        >>> classifier.fit(X_train, y_train).score(X_test, y_test)  # doctest: +SKIP
        0.97
    """

    def __init__(
        self,
        plugin: str | None = None,
        time_limit: float | None = None,
        *,
        preset: str | None = None,
        settings: Mapping[str, Any] | None = None,
        max_macs: str | float | None = None,
        out: str | Path | None = None,
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ) -> None:
        self.plugin = plugin
        self.time_limit = time_limit
        self.preset = preset
        self.settings = settings
        self.max_macs = max_macs
        self.out = out
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Search for early-exit networks on labelled samples, and keep the best one.

        The search divides the samples into its own train, calibration, validation and test part.

        Args:
            X: Series (N, L), (N, C, L) or (N, L, C), or a list of series (C, L_i). Images are (N, C, H, W),
                (N, H, W, C) or (N, H, W); see `edanas.search`. A table of N rows and L columns counts as N
                series, unless its cells are series and its columns channels.
            y: One label (N,) for each sample: texts, whole numbers or booleans.

        Raises:
            InputError: Samples, labels or parameters are wrong; it is a `ValueError`, too.
            EdanasError: No network could be trained.
        """
        with _as_input_errors():
            bound("max_macs", self.max_macs)  # a wrong bound is an error before the search
            y = validate_data(self, X="no_validation", y=y)
            X = self._checked(X, reset=True)
            check_consistent_length(X, y)
            check_classification_targets(y)
            ClassLabels.of(y)
            self.classes_ = np.unique(y)
            if len(self.classes_) < 2:
                name = self.classes_.tolist()[0]
                raise DataError(f"y: found 1 class, {name!r}; allowed: 2 classes or more")
            self._read(X)
            if self.out is not None:
                self._search(X, y, Path(self.out))
            else:
                with tempfile.TemporaryDirectory(prefix="edanas-") as folder:
                    self._search(X, y, Path(folder) / "run")
        return self

    def predict(self, X: Any, *, return_exits: bool = False) -> Any:
        """Return the predicted label (N,) of each sample.

        Args:
            X: Samples as in `fit`.
            return_exits: True to return the exits as well; `False` by default.

        Returns:
            The labels or, with `return_exits`, the labels and the exit point (N,) at which each sample exits:
            1 for the first, and the number of exit points plus 1 for the last exit.

        Raises:
            InputError: The samples do not fit the network.
        """
        check_is_fitted(self)
        with _as_input_errors():
            prediction = self.network_.predict(self._inputs(X))
        labels = self.classes_[np.argsort(self._columns())[prediction.label.numpy()]]
        return (labels, prediction.exit.numpy() + 1) if return_exits else labels

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the probabilities (N, K) of the classes, in the order of `classes_`.

        They are those of the exit at which each sample exits.

        Args:
            X: Samples as in `fit`.

        Raises:
            InputError: The samples do not fit the network.
        """
        check_is_fitted(self)
        with _as_input_errors():
            probabilities = exit_probabilities(self.network_, self._inputs(X))
        return probabilities.numpy()[:, self._columns()]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _columns(self) -> npt.NDArray[np.int64]:
        """Return the network's class of each label of `classes_`."""
        number = {label: index for index, label in enumerate(self.network_.labels)}
        return np.array([number[value] for value in plain_labels(self.classes_)])

    def _search(self, X: Any, y: npt.NDArray[Any], folder: Path) -> None:
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(_LARGEST_SEED)
        self.result_ = search(
            (X, y),
            self.plugin or ("signal-sm" if self._layout in SERIES else None),
            out=folder,
            seed=int(seed),
            preset=self.preset,
            time_limit=self.time_limit,
            settings=self.settings or {},
            progress=None if self.verbose else Silent(),
        )
        self.network_ = load(folder / self.result_.best(max_macs=self.max_macs)["model"])

    def _read(self, X: Any) -> None:
        """Store the order of the axes and, for images, the values of black and white pixels."""
        settings, samples = self.settings or {}, samples_of(X)
        self._layout = layout_of(samples, str(settings.get("data.layout", "auto")))
        if self._layout not in SERIES:
            self._range = pixel_range(samples, settings.get("data.range", ()), self._layout)

    def _inputs(self, X: Any) -> Any:
        """Return checked samples in the form that the network reads; images become bytes, as in `fit`."""
        X = self._checked(X, reset=False)
        if not isinstance(X, list) and X.ndim != len(self._layout):
            raise DataError(
                f"X: found shape {X.shape}; allowed: ({', '.join(self._layout)}), the axes of the samples in "
                "`fit`"
            )
        if (front_end := front_end_of(self.network_)) is not None:
            pictures = np.stack([front_end.picture(as_sound(np.asarray(each))) for each in X])
            return pictures if front_end.kind == RAW else pictures[:, None]
        if self._layout == "NLC":
            return [each.T for each in X] if isinstance(X, list) else X.swapaxes(1, 2)
        if self._layout in SERIES:
            return X
        network = self.network_
        channels = "grey" if len(network.mean) == 1 else "rgb"
        size = network.image_size or network.resolution
        return as_images(samples_of(X), self._layout, self._range, size, channels)

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Return checked samples: an array, or a list of arrays of unequal shapes.

        Args:
            X: Samples as in `fit`.
            reset: True to store the number of columns of a table; false to compare it.
        """
        if hasattr(X, "detach"):
            X = X.detach().cpu().numpy()
        if _holds_series(X):
            samples = samples_of(X, "X")
            return [samples[row] for row in range(len(samples))]
        if _is_ragged(X):
            return [np.asarray(each) for each in X]
        X = X if hasattr(X, "ndim") else np.asarray(X)
        if X.ndim in (3, 4):
            return check_array(X, allow_nd=True, ensure_all_finite=False, estimator=self)
        shortest = 2 if reset else 1
        return validate_data(self, X, reset=reset, ensure_all_finite=False, ensure_min_features=shortest)


def _holds_series(X: Any) -> bool:
    """Return True for a table of pandas whose cells are series."""
    return hasattr(X, "iat") and X.ndim == 2 and X.size > 0 and len(getattr(X.iat[0, 0], "shape", ())) == 1


def _is_ragged(X: Any) -> bool:
    """Return True for a list or an object array (N,) of arrays, whose shapes may differ."""
    if not isinstance(X, list | tuple) and not (
        isinstance(X, np.ndarray) and X.dtype == np.dtype(object) and X.ndim == 1
    ):
        return False
    return len(X) > 0 and all(hasattr(each, "shape") and len(each.shape) > 0 for each in X)


@contextmanager
def _as_input_errors() -> Iterator[None]:
    """Raise errors in data and settings as `InputError`."""
    try:
        yield
    except (ConfigError, DataError) as error:
        raise InputError(str(error)) from error
