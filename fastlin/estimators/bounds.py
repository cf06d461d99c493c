"""The parameters `lower_bounds` and `upper_bounds` as arrays in the shape of `coef_`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastlin.tensors import read_in_place
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.matrices import Matrix

GivenBounds: TypeAlias = float | ArrayLike | Mapping[str, float] | None


def read_bounds(estimator: LinearEstimator, matrix: Matrix, n_rows_coef: int) -> tuple[FloatArray, FloatArray] | None:
    """Return the lower and the upper bounds of the coefficients, (K, d) each, or None where none is finite.

    Raises
    ------
    ValueError
        They are of another shape, hold NaN, leave nothing between them or name unknown features, or the penalty is
        grouped.
    """
    if estimator.lower_bounds is None and estimator.upper_bounds is None:
        return None
    shape = n_rows_coef, matrix.shape[1]
    widths = getattr(matrix, "widths", np.ones(shape[1], np.int64))
    lower = _read(estimator, "lower_bounds", estimator.lower_bounds, -np.inf, shape, widths)
    upper = _read(estimator, "upper_bounds", estimator.upper_bounds, np.inf, shape, widths)
    wrong = (lower > upper) | (lower == np.inf) | (upper == -np.inf)
    if wrong.any():
        k, j = np.argwhere(wrong)[0]
        raise ValueError(
            f"lower_bounds must be at most upper_bounds, and leave finite numbers between them, got {lower[k, j]} and "
            f"{upper[k, j]} for feature {j}{f' of class {k}' if n_rows_coef > 1 else ''}"
        )
    if np.isinf(lower).all() and np.isinf(upper).all():
        return None
    if estimator.group_by_class:
        raise ValueError("group_by_class must be False where lower_bounds or upper_bounds are given, got True")
    return lower, upper


def _read(estimator, name, given, missing, shape, widths):
    """Return bounds of a name as an array of a shape (K, d); `missing` is none."""
    if given is None:
        return np.full(shape, missing)
    if isinstance(given, Mapping):
        given = _read_names(estimator, name, given, missing)
    given = read_in_place(given, name)
    try:
        bounds = np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number or numbers in the shape of coef_, got {given!r}") from None
    if np.isnan(bounds).any():
        raise ValueError(f"{name} must not hold NaN or None; {missing} means no bound")
    if len(widths) < shape[1] and bounds.shape in ((len(widths),), (shape[0], len(widths))):
        # Of a table whose columns have several coefficients.
        bounds = np.repeat(bounds, widths, axis=-1)
    if bounds.shape not in ((), shape[1:], shape):
        columns = f" or the {len(widths)} columns" if len(widths) < shape[1] else ""
        raise ValueError(
            f"{name} must be a number, hold one for each of the {shape[1]} features{columns}, or have the shape of "
            f"coef_, {shape}; got the shape {bounds.shape}"
        )
    return np.broadcast_to(bounds, shape).copy()


def _read_names(estimator: Any, name: str, given: Mapping[str, float], missing: float) -> list[float]:
    """Return the bounds of each column of X that are given by its name."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        raise ValueError(f"{name} names features, but the columns of X have no names; give an array")
    unknown = [each for each in given if each not in set(names)]
    if unknown:
        raise ValueError(f"{name} names {unknown[0]!r}, but X has the columns {list(names)}")
    return [given.get(each, missing) for each in names]
