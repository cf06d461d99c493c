"""Prior correction of intercepts for case-control sampling, oversampling and undersampling."""

from __future__ import annotations

from copy import copy
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from fastlin.containers.tensors import view_as_numpy
from fastlin.typing import FloatArray

Model = TypeVar("Model")
# Largest deviation of the sum of the class fractions from one.
FRACTION_SUM_TOL = 1e-6


def correct_prior(intercept: Model, population_fraction: ArrayLike, sample_fraction: ArrayLike) -> Model | Any:
    """Return the intercept, or a copy of the model, corrected for the class fractions of the population.

    If sampling depended on the class alone, as in case-control studies or with over- or undersampling, the coefficients
    of the features are valid for the population and only the intercepts need a correction. For class k with fraction
    t_k in the population and m_k in the sample, the intercept becomes b_k + log(t_k / m_k). For two classes, the
    intercept becomes::

        b - log((1 - t) / t * m / (1 - m))

    (King and Zeng 2001, equation 7). Standard errors of the other coefficients do not change. The correction is not
    valid for penalized models, including Firth's: their coefficients depend on the sample's class fractions.

    Parameters
    ----------
    intercept : float, array-like of shape (1,) or (n_classes,), or fitted model
        The intercept of a two-class model, the intercepts of three or more classes, or a model with `intercept_`.
    population_fraction : float or array-like of shape (n_classes,)
        Fraction of each class in the population. For two classes, a float is the fraction of the second class.
    sample_fraction : float or array-like of shape (n_classes,)
        Fraction of each class in the training data, or in its total weight if the fit used class weights.

    Returns
    -------
    float, ndarray or model
        The corrected intercepts, with the shape of the input, or a shallow copy of the model with the corrected
        `intercept_`. For three or more classes, the sum of the intercepts does not change.

    Raises
    ------
    ValueError
        Fractions are not between 0 and 1 or do not sum to one, or their number differs from the number of classes.

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
        raise ValueError(
            "correct_prior does not support multilabel models, because their labels are not exclusive: correct each "
            "entry of intercept_ separately."
        )
    if hasattr(intercept, "intercept_"):
        model: Any = copy(intercept)
        model.intercept_ = correct_prior(np.asarray(model.intercept_), population_fraction, sample_fraction)
        return model
    intercepts = np.asarray(view_as_numpy(intercept, "intercept"))
    has_valid_shape = intercepts.dtype.kind in "fiu" and intercepts.ndim < 2 and intercepts.size not in (0, 2)
    if not has_valid_shape or not np.isfinite(intercepts).all():
        raise ValueError(
            "intercept must be a finite number, an array of shape (1,), an array of shape (n_classes,) for three or "
            f"more classes, or a fitted model, got {intercept!r}."
        )
    n_classes = max(2, intercepts.size)
    population_fractions = _check_fractions("population_fraction", population_fraction, n_classes)
    sample = _check_fractions("sample_fraction", sample_fraction, n_classes)
    intercept_corrections = np.log(population_fractions) - np.log(sample)
    intercept_corrections = (
        intercept_corrections[1:] - intercept_corrections[:1]
        if n_classes == 2
        else intercept_corrections - intercept_corrections.mean()
    )
    dtype = intercepts.dtype if intercepts.dtype.kind == "f" else np.float64
    corrected_intercepts = (
        intercepts + intercept_corrections.reshape(intercepts.shape if intercepts.ndim else ())
    ).astype(dtype)
    return float(corrected_intercepts) if not intercepts.ndim else corrected_intercepts


def _check_fractions(name: str, value: ArrayLike, n_classes: int) -> FloatArray:
    """Return the fraction of each class, (n_classes,)."""
    value = view_as_numpy(value, name)
    try:
        fractions = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers, got {value!r}.") from error
    if fractions.ndim == 0 and n_classes == 2:
        fractions = np.array([1 - fractions, fractions])
    if fractions.shape != (n_classes,):
        binary_hint = ", or be one number for the second class" if n_classes == 2 else ""
        raise ValueError(f"{name} must hold one fraction per class ({n_classes}){binary_hint}, got {value!r}.")
    if not ((fractions > 0) & (fractions < 1)).all():
        raise ValueError(f"{name} must be between 0 and 1 for each class, got {value!r}.")
    if not abs(fractions.sum() - 1) <= FRACTION_SUM_TOL:
        raise ValueError(f"{name} must sum to one over the classes, got the sum {fractions.sum():.6g}.")
    return fractions
