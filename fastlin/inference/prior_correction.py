"""The intercept of a model that was fitted to rows drawn by their classes, corrected to the classes' true shares."""

from __future__ import annotations

from copy import copy
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from fastlin.tensors import read_in_place
from fastlin.typing import FloatArray

Model = TypeVar("Model")
# By how much shares of all classes may miss a sum of one.
ROUNDED = 1e-6


def correct_prior(intercept: Model, population_fraction: ArrayLike, sample_fraction: ArrayLike) -> Model | Any:
    """Return an intercept, or a model with it, for a population whose classes have other shares than in the sample.

    Where rows were drawn by their class alone, as in case-control studies or when a rare class was oversampled, the
    coefficients of the features hold for the population, and only the intercepts do not. With the share t_k of class k
    in the population and m_k in the sample, intercept b_k becomes b_k + log(t_k / m_k); for two classes that is::

        b - log((1 - t) / t * m / (1 - m))

    (King and Zeng 2001, equation 7). Standard errors of the coefficients stay. With a penalty, or Firth's, the
    coefficients hold for the sample only.

    Parameters
    ----------
    intercept : float, array-like of shape (1,) or (n_classes,), or fitted model
        The intercept of the second of two classes, or the intercepts of more classes; or a model with `intercept_`.
    population_fraction : float or array-like of shape (n_classes,)
        The part of the population that each class has; for two classes a number may stand for the second.
    sample_fraction : float or array-like of shape (n_classes,)
        The part of the rows of the fit, or of their weights with class weights, that each class has, likewise.

    Returns
    -------
    float, ndarray or model
        The corrected intercepts, in the shape that they were given. For more than two classes their sum stays
        the same. For a model a shallow copy with other `intercept_`.

    Raises
    ------
    ValueError
        Shares are not between 0 and 1, do not sum to one, or differ in number from the intercepts.

    References
    ----------
    .. [1] G. King and L. Zeng (2001). Logistic Regression in Rare Events Data. Political Analysis 9(2), 137-163.

    Examples
    --------
    >>> from fastlin.inference import correct_prior
    >>> round(correct_prior(0.3, population_fraction=0.01, sample_fraction=0.5), 3)
    -4.295
    """
    if getattr(intercept, "multilabel_", False):
        raise ValueError("A model of several labels a row has no shares of classes: correct each intercept alone.")
    if hasattr(intercept, "intercept_"):
        model: Any = copy(intercept)
        model.intercept_ = correct_prior(np.asarray(model.intercept_), population_fraction, sample_fraction)
        return model
    given = np.asarray(read_in_place(intercept, "intercept"))
    is_shaped = given.dtype.kind in "fiu" and given.ndim < 2 and given.size not in (0, 2)
    if not is_shaped or not np.isfinite(given).all():
        raise ValueError(
            "intercept must be a finite number, an array of the shape (1,) or (n_classes,) for three classes or more, "
            f"or a fitted model, got {intercept!r}"
        )
    n_classes = max(2, given.size)
    population = _read_shares("population_fraction", population_fraction, n_classes)
    sample = _read_shares("sample_fraction", sample_fraction, n_classes)
    moves = np.log(population) - np.log(sample)
    moves = moves[1:] - moves[:1] if n_classes == 2 else moves - moves.mean()
    dtype = given.dtype if given.dtype.kind == "f" else np.float64
    corrected = (given + moves.reshape(given.shape if given.ndim else ())).astype(dtype)
    return float(corrected) if not given.ndim else corrected


def _read_shares(name: str, given: ArrayLike, n_classes: int) -> FloatArray:
    """Return the share of each class, (n_classes,)."""
    given = read_in_place(given, name)
    try:
        fractions = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers, got {given!r}") from error
    if fractions.ndim == 0 and n_classes == 2:
        fractions = np.array([1 - fractions, fractions])
    if fractions.shape != (n_classes,):
        number = ", or one number for the second class" if n_classes == 2 else ""
        raise ValueError(f"{name} must hold the share of each of {n_classes} classes{number}, got {given!r}")
    if not ((fractions > 0) & (fractions < 1)).all():
        raise ValueError(f"{name} must be between 0 and 1 for each class, got {given!r}")
    if not abs(fractions.sum() - 1) <= ROUNDED:
        raise ValueError(f"{name} must sum to one over the classes, got {fractions.sum():.6g}")
    return fractions
