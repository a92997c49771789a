"""Plain NumPy arrays of numbers out of one array, tensor, image, table or nested list."""

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import DataError
from edanas.data.decoding import upright_pixels


def as_array(value: Any) -> npt.NDArray[Any]:
    """Return an array, a torch tensor, a table, an image of Pillow or nested lists as a plain NumPy array.

    Masked values and missing values of pandas become NaN. An array of Python's numbers becomes an array of
    their common type.

    Raises:
        DataError: NumPy cannot hold the value, or it is a sparse matrix.

    Example:
        >>> as_array(np.ma.array([1, 2], mask=[False, True])).tolist()
        [1.0, nan]
    """
    if hasattr(value, "detach"):
        return _of_tensor(value)
    if hasattr(value, "getexif"):
        return upright_pixels(value)
    if hasattr(value, "toarray"):
        raise DataError(
            f"samples: found a sparse {type(value).__name__}; allowed: a dense array, as `toarray()` returns"
        )
    if isinstance(value, np.ma.MaskedArray):
        return _unmasked(value)
    if hasattr(value, "to_numpy") and not hasattr(value, "to_pylist"):  # pyarrow's refuses lists and gaps
        value = value.to_numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"samples: found lists of unequal length in one sample ({error})") from error
    return _of_objects(array) if array.dtype == np.dtype(object) and array.ndim else array


def is_missing(value: Any) -> bool:
    """Return True for `None` and for the missing values of pandas, `NA` and `NaT`.

    Example:
        >>> is_missing(None), is_missing(float("nan"))
        (True, False)
    """
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def is_number(value: Any) -> bool:
    """Return True for real numbers and missing values."""
    return isinstance(value, Real | np.bool_) or is_missing(value)


def _of_tensor(value: Any) -> npt.NDArray[Any]:
    try:
        tensor = value.detach().cpu()
        tensor = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
        array: npt.NDArray[Any] = tensor.resolve_conj().resolve_neg().numpy()
    except (RuntimeError, TypeError) as error:
        raise DataError(f"samples: {error}; allowed: dense tensors of real numbers") from error
    return array


def _unmasked(array: "np.ma.MaskedArray[Any, Any]") -> npt.NDArray[Any]:
    if array.dtype.kind not in "biuf" or not np.ma.getmaskarray(array).any():
        return np.asarray(array.data)
    dtype = array.dtype if array.dtype.kind == "f" else np.float64
    return np.asarray(np.where(np.ma.getmaskarray(array), np.nan, array.data).astype(dtype))


def _of_objects(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array of Python's numbers as an array of numbers; other objects stay."""
    values = array.reshape(-1).tolist()
    if not all(map(is_number, values)):
        return array
    return np.array([np.nan if is_missing(each) else each for each in values]).reshape(array.shape)
