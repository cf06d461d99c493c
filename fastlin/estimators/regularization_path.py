"""Many fits along C, from the strongest penalty to the weakest, each started from those before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastlin.estimators.declaration import Solver
from fastlin.estimators.endings import warn_of_limits
from fastlin.estimators.listeners import Listener, count_fits
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import limit_jobs
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.estimators.training_data import read_training_data
from fastlin.typing import ClassWeight, FloatArray, MatrixLike

if TYPE_CHECKING:
    from fastlin.estimators.problem import Fit, Problem

# Without an L1 penalty C lies between these powers of 10, as in scikit-learn; with one it spans so many decades.
WIDE = -4, 4
DECADES = 3
# Where C grows by no more than this, the line through the last two solutions needs no comparison with the last.
FINE = 1.5
# The tol of the model without penalised features, from which the grid begins.
NULL_TOL = 1e-10


@dataclass(frozen=True, eq=False)
class RegularizationPath:
    """Models along C, as `logistic_path` returns them.

    Attributes
    ----------
    Cs : ndarray of shape (n_Cs,)
        Inverse strengths of the penalty, sorted from the strongest penalty to the weakest.
    l1_ratio : float
        Share of the L1 penalty.
    classes : ndarray of shape (n_classes,)
        Labels of the classes, sorted.
    coefs : ndarray of shape (n_Cs, 1, n_features) for two classes, else (n_Cs, n_classes, n_features)
        Coefficients of each model, float32 for float32 data, else float64.
    intercepts : ndarray of shape (n_Cs, 1) or (n_Cs, n_classes)
        Intercepts of each model in the type of `coefs`.
    objectives : ndarray of shape (n_Cs,)
        J of each model.
    certificates : ndarray of shape (n_Cs,)
        Upper bound on J - J* of each model; inf where none is known.
    n_nonzeros : ndarray of shape (n_Cs,), int64
        Number of coefficients that are not zero, over all classes.
    n_iter : ndarray of shape (n_Cs,), int32
        Number of iterations of each fit.
    converged : ndarray of shape (n_Cs,), bool
        Whether each fit reached tol, or the floor that rounding sets.

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


def logistic_path(
    X: MatrixLike,
    y: ArrayLike,
    *,
    Cs: int | ArrayLike = 50,
    l1_ratio: float = 1.0,
    penalty_factors: ArrayLike | None = None,
    group_by_class: bool = False,
    fit_intercept: bool = True,
    tol: float = 1e-4,
    max_iter: int = 1000,
    solver: Solver = "auto",
    class_weight: ClassWeight = None,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> RegularizationPath:
    """Fit logistic or softmax regression for many C, each model started from the one before.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows of finite numbers.
    y : array-like of shape (n_samples,)
        Labels of at least two classes: numbers, strings or bools.
    Cs : int or array-like of shape (n_Cs,), default=50
        The inverse strengths of the penalty, in any order, or how many of them: then they are spaced evenly on a log
        scale. With ``l1_ratio=0`` they run from 1e-4 to 1e4. Otherwise they span three decades from the largest C at
        which every penalised coefficient is zero: the first model is that of the intercept (and of features with
        factor 0) alone, and any larger C has a coefficient that is not zero.
    l1_ratio : float, default=1.0
        Share of the L1 penalty, from 0 (L2) to 1 (L1).
    penalty_factors, group_by_class, fit_intercept, tol, max_iter, solver, class_weight, n_jobs
        As `LogisticRegression` has them.
    sample_weight : array-like of shape (n_samples,) or None
        Weights of the rows, at least 0 and not all 0; None means ones.
    verbose : int, default=0
        Above 0, a progress bar over the Cs is shown.

    Returns
    -------
    path : RegularizationPath
        The models, one for each C.

    Raises
    ------
    ValueError
        For Cs that are empty, not positive, NaN or not numbers, and for all that `LogisticRegression.fit` refuses.

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
    estimator = LogisticRegression(
        l1_ratio=l1_ratio,
        fit_intercept=fit_intercept,
        tol=tol,
        max_iter=max_iter,
        solver=solver,
        class_weight=class_weight,
        n_jobs=n_jobs,
        penalty_factors=penalty_factors,
        group_by_class=group_by_class,
        verbose=verbose,
    )
    check_parameters(estimator)
    Cs = read_Cs(Cs)
    with limit_jobs(n_jobs):
        data = read_training_data(estimator, X, y, sample_weight)
        problem = Problem(estimator, data)
        start = None
        if isinstance(Cs, int):
            Cs, start = choose_grid(problem, Cs, l1_ratio)
        with count_fits(verbose, len(Cs)) as on_fit:
            # The fits themselves are not kept: they hold what the next one begins with.
            models = [
                (
                    fit.coef,
                    fit.intercept,
                    fit.solution.value,
                    fit.certificate,
                    fit.solution.n_iter,
                    fit.solution.converged,
                )
                for fit in fit_along(problem, Cs, l1_ratio, start=start, on_fit=on_fit)
            ]
    coefs, intercepts, objectives, certificates, n_iter, converged = (
        np.array(each) for each in zip(*models, strict=True)
    )
    warn_of_limits(converged, n_iter, estimator, stacklevel=3)
    return RegularizationPath(
        Cs=Cs,
        l1_ratio=float(l1_ratio),
        classes=data.classes,
        coefs=coefs,
        intercepts=intercepts,
        objectives=objectives,
        certificates=certificates,
        n_nonzeros=np.count_nonzero(coefs, axis=(1, 2)),
        n_iter=n_iter.astype(np.int32),
        converged=converged,
    )


def fit_along(
    problem: Problem,
    Cs: FloatArray,
    l1_ratio: float,
    *,
    start: tuple[FloatArray, FloatArray] | None = None,
    proven: bool = True,
    on_fit: Callable[[Fit], object] | None = None,
    on_iteration: Listener | None = None,
) -> Iterator[Fit]:
    """Yield the Fit of a Problem at each of the Cs in turn, each started from those before.

    A fit starts from the last solution, or from the point on the line through the last two solutions as functions of
    log C, where J is lower there. Once the rows are nearly separated, coefficients grow evenly along that line. On
    MNIST at C = 1e4, 0.9 decades from C to C, the last solution is 70 % above the minimum, the point on the line 0.1 %.

    Parameters
    ----------
    Cs : ndarray of shape (n_Cs,)
        Inverse strengths of the penalty in ascending order: solutions grow from few and small coefficients.
    start : tuple of ndarray or None
        The coef and intercept from which the first fit starts.
    proven, on_iteration
        Whether the certificate alone ends a fit, and what hears of iterations, as `choose.minimize` has them.
    on_fit : callable or None
        Called with each Fit.
    """
    log_Cs = np.log(Cs)
    before: tuple[FloatArray, FloatArray] | None = None
    last, nearby = start, None
    for c, C in enumerate(Cs):
        starts = [] if last is None else [last]
        if before is not None and last is not None and c > 1 and log_Cs[c - 2] < log_Cs[c - 1] and log_Cs[c] < np.inf:
            ahead = (log_Cs[c] - log_Cs[c - 1]) / (log_Cs[c - 1] - log_Cs[c - 2])
            coef, intercept = (b + ahead * (b - a) for a, b in zip(before, last, strict=True))
            line = coef, intercept
            starts = [line] if C <= FINE * Cs[c - 1] else [last, line]
        fit = problem.minimize(C, l1_ratio, starts, on_iteration, proven=proven, nearby=nearby)
        before, last, nearby = last, fit.start, fit.solution
        if on_fit is not None:
            on_fit(fit)
        yield fit


def read_Cs(Cs: Any) -> int | FloatArray:
    """Return the number of Cs that is asked for, an int, or the given Cs, a sorted float64 array.

    Raises
    ------
    ValueError
        Where there are none, or they are not numbers above 0 in one dimension.
    """
    accepted = "Cs must be a whole number of at least 1, or a list of numbers above 0 (inf: no penalty)"
    if isinstance(Cs, Integral) and not isinstance(Cs, bool) and int(Cs) >= 1:
        return int(Cs)
    try:
        grid = np.asarray(Cs, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{accepted}; got {Cs!r}") from None
    if grid.ndim != 1:
        raise ValueError(f"{accepted}; got {Cs!r}")
    if not grid.size:
        raise ValueError(f"{accepted}; got an empty one")
    if not (grid > 0).all():
        raise ValueError(f"{accepted}; got one that holds {grid[~(grid > 0)][0]:g}")
    return np.sort(grid)


def choose_grid(
    problem: Problem, n_Cs: int, l1_ratio: float
) -> tuple[FloatArray, tuple[FloatArray, FloatArray] | None]:
    """Return n_Cs values of C, and the coef and intercept from which the first fit starts, or None.

    Let W be zero except for features without a penalty, and g the gradient of the mean loss by the coefficients. By the
    subgradient of the penalty the zeros are optimal as long as |g_kj| <= l1 f_j for all k and j, or with group_by_class
    ||g_.j|| <= l1 f_j, where l1 = l1_ratio / (C S). The grid begins where one of these holds with equality.
    """
    if l1_ratio == 0:
        return np.logspace(*WIDE, n_Cs), None
    # The largest penalty leaves no penalised coefficient.
    null = problem.minimize(0.0, 1.0, tol=NULL_TOL)
    slopes = problem.slopes(*null.start)
    sizes = np.sqrt(np.einsum("kj,kj->j", slopes, slopes)) if problem.group_by_class else np.abs(slopes).max(axis=0)
    factors = problem.penalty_factors
    thresholds = sizes if factors is None else sizes[factors > 0] / factors[factors > 0]
    largest = thresholds.max(initial=0)
    if not largest > 0:
        # At every C the penalised coefficients are zero.
        return np.logspace(*WIDE, n_Cs), null.start
    return problem.invert(largest / l1_ratio) * np.logspace(0, DECADES, n_Cs), null.start
