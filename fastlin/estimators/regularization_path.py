"""Regularization paths, and the grids of C for them."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastlin.blocks.blocks import Blocks
from fastlin.estimators.columns import choose_dtype
from fastlin.estimators.fit_reporting import show_fits, warn_of_unconverged_fits
from fastlin.estimators.folds import FitResults, fit_path
from fastlin.estimators.labels import validate_training_data
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import C_GRID_EXPONENTS, limit_jobs, validate_Cs
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.typing import FloatArray, MatrixLike

if TYPE_CHECKING:
    from fastlin.estimators.problem import Problem

# Number of decades that a grid with an L1 penalty spans.
N_GRID_DECADES = 3
# Range of the smallest C of a grid, so that the grid is positive and finite for any scale of X and of the weights.
RANGE_OF_SMALLEST_C = np.nextafter(0.0, 1.0), np.finfo(np.float64).max / 10**N_GRID_DECADES
# The tol of the model without penalized features, which determines the smallest C.
NULL_MODEL_TOL = 1e-10
# Because of rounding, the first C of a grid is smaller by this fraction than the C at which the first coefficient
# enters the model.
SMALLEST_C_MARGINS = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-9}


@dataclass(frozen=True, eq=False)
class RegularizationPath:
    """Result of `logistic_path`: a regularization path of models for increasing C.

    Attributes
    ----------
    Cs : ndarray of shape (n_Cs,)
        Inverse strengths of the penalty, sorted from the strongest penalty to the weakest.
    l1_ratio : float
        Elastic-net mixing parameter.
    classes : ndarray of shape (n_classes,)
        Class labels, sorted.
    coefs : ndarray of shape (n_Cs, 1, n_features) for two classes, else (n_Cs, n_classes, n_features)
        Coefficients of each model, float32 for float32 data, otherwise float64.
    intercepts : ndarray of shape (n_Cs, 1) or (n_Cs, n_classes)
        Intercepts of each model, in the dtype of `coefs`.
    objectives : ndarray of shape (n_Cs,)
        Objective J of each model.
    certificates : ndarray of shape (n_Cs,)
        Certified upper bound on J - J* of each model, in the units of J, or inf if there is none.
    n_nonzeros : ndarray of shape (n_Cs,), int64
        Number of nonzero coefficients of each model, over all classes.
    n_iter : ndarray of shape (n_Cs,), int32
        Number of iterations of each fit.
    converged : ndarray of shape (n_Cs,), bool
        Whether each fit reached tol, or the best accuracy that rounding error permits.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import fastlin
    >>> path = fastlin.logistic_path(*load_iris(return_X_y=True), Cs=5)
    >>> path.n_nonzeros[0]  # at the first C of an L1 path all coefficients are zero
    np.int64(0)
    >>> bool(path.converged.all())
    True
    """

    Cs: np.ndarray
    l1_ratio: float
    classes: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray
    objectives: np.ndarray
    certificates: np.ndarray
    n_nonzeros: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray

    def __repr__(self) -> str:
        """Return a table with one line per C."""
        from fastlin.inference.tables import format_columns

        names = "Cs", "objectives", "certificates", "n_nonzeros", "n_iter", "converged"
        n_classes, d = len(self.classes), self.coefs.shape[2]
        title = f"RegularizationPath of {d} features and {n_classes} classes, l1_ratio={self.l1_ratio:g}"
        return f"{title}\n{format_columns({name: getattr(self, name) for name in names})}"


def logistic_path(
    X: MatrixLike | Blocks,
    y: ArrayLike | None = None,
    *,
    Cs: int | ArrayLike = 50,
    l1_ratio: float = 1.0,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    **parameters: Any,
) -> RegularizationPath:
    """Compute a regularization path of logistic or softmax regression: models for many values of C, with warm starts.

    Parameters
    ----------
    X, y, sample_weight, offset, classes
        As in `LogisticRegression.fit`.
    Cs : int or array-like of shape (n_Cs,), default=50
        Inverse strengths of the penalty, in any order. An integer n stands for n values on a log scale. With
        ``l1_ratio=0``, they range from 1e-4 to 1e4. Otherwise, they span three decades and start at the largest C for
        which all penalized coefficients are zero. The first model then contains only the intercept (and unpenalized
        features), and models for any larger C have nonzero coefficients.
    l1_ratio : float, default=1.0
        Elastic-net mixing parameter, from 0 (L2) to 1 (L1).
    **parameters
        Other parameters of `LogisticRegression`, except `C`, `alpha`, `penalty` and `warm_start`. With `verbose` above
        0, a progress bar shows the number of fits.

    Returns
    -------
    path : RegularizationPath
        Result with one model for each C.

    Raises
    ------
    ValueError
        If `Cs` is empty or contains values that are not positive numbers, and as in `LogisticRegression.fit`.
    TypeError
        If parameters that do not exist are passed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import fastlin
    >>> path = fastlin.logistic_path(*load_iris(return_X_y=True), Cs=[10.0, 0.1, 1.0], l1_ratio=0.0)
    >>> path.Cs
    array([ 0.1,  1. , 10. ])
    >>> path.coefs.shape
    (3, 3, 4)
    """
    from fastlin.estimators.problem import Problem

    if not (isinstance(l1_ratio, Real) and 0 <= l1_ratio <= 1):
        raise ValueError(f"l1_ratio must be a number from 0 to 1, got {l1_ratio!r}")
    for name in ("C", "alpha", "penalty", "warm_start"):
        if name in parameters:
            raise TypeError(f"logistic_path does not accept {name}; use Cs and l1_ratio instead")
    estimator = LogisticRegression(l1_ratio=l1_ratio, **parameters)
    check_parameters(estimator)
    Cs = validate_Cs(Cs)
    with limit_jobs(estimator.n_jobs):
        data = validate_training_data(estimator, X, y, sample_weight, offset, classes)
        problem = Problem(estimator, data)
        start = None
        if isinstance(Cs, int):
            Cs, start = choose_C_grid(problem, Cs, l1_ratio)
        fits = FitResults((len(Cs),), data, estimator)
        with show_fits(estimator, len(Cs)) as on_fit:
            # Only the results are stored, because a Fit also contains the solver's state for the next fit.
            for c, fit in enumerate(fit_path(problem, Cs, l1_ratio, on_fit, start=start)):
                fits.record(c, fit)
    warn_of_unconverged_fits(fits.converged, fits.n_iter, estimator, stacklevel=3)
    return RegularizationPath(
        Cs=Cs,
        l1_ratio=float(l1_ratio),
        classes=data.classes,
        coefs=fits.coef,
        intercepts=fits.intercept,
        n_nonzeros=np.count_nonzero(fits.coef, axis=(1, 2)),
        **{name: getattr(fits, name) for name in ("objectives", "certificates", "n_iter", "converged")},
    )


def choose_C_grid(
    problem: Problem, n_Cs: int, l1_ratio: float
) -> tuple[FloatArray, tuple[FloatArray, FloatArray] | None]:
    """Return `n_Cs` values of C, and the starting point (coef, intercept) of the first fit, or None.

    Zero coefficients are optimal if |g_kj| <= l1 f_j or, with group_lasso, ||g_.j|| <= l1 f_j. Here g is the gradient
    of the mean loss at zero, and l1 = l1_ratio / (C S). The first C of the grid attains equality, except for a margin
    for rounding errors.
    """
    if l1_ratio == 0:
        return np.logspace(*C_GRID_EXPONENTS, n_Cs), None
    # At the first C of the grid, all penalized coefficients are zero.
    bounds = problem.bounds
    if bounds is not None and ((bounds[0] > 0) | (bounds[1] < 0)).any():
        raise ValueError(
            "Cs must be a list of numbers if lower_bounds or upper_bounds exclude zero, because a grid starts where "
            "all penalized coefficients are zero."
        )
    null = problem.minimize(0.0, 1.0, tol=NULL_MODEL_TOL)
    slopes = problem.slopes(*null.start)
    if bounds is not None:
        slopes = np.where(((slopes < 0) & (bounds[1] > 0)) | ((slopes > 0) & (bounds[0] < 0)), slopes, 0.0)
    sizes = np.sqrt(np.einsum("kj,kj->j", slopes, slopes)) if problem.group_lasso else np.abs(slopes).max(axis=0)
    factors = problem.penalty_factors
    with np.errstate(over="ignore"):
        entry_penalties = sizes if factors is None else sizes[factors > 0] / factors[factors > 0]
    largest = entry_penalties.max(initial=0)
    if not largest > 0:
        # The penalized coefficients are zero for every C.
        return np.logspace(*C_GRID_EXPONENTS, n_Cs), null.start
    margin = SMALLEST_C_MARGINS[np.dtype(choose_dtype(problem.data.matrix, problem.estimator.solver))]
    smallest = np.clip(
        problem.convert_between_C_and_penalty(float(largest) / l1_ratio) * (1 - margin), *RANGE_OF_SMALLEST_C
    )
    return smallest * np.logspace(0, N_GRID_DECADES, n_Cs), null.start
