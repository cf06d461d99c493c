"""Many fits along C, from the strongest penalty to the weakest, each started from those before."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastlin.blocks.blocks import Blocks
from fastlin.estimators.endings import warn_of_limits
from fastlin.estimators.folds import FoldFits, fit_along, read_Cs
from fastlin.estimators.listeners import count_fits
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import limit_jobs
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.estimators.training_data import read_training_data
from fastlin.typing import FloatArray, MatrixLike

if TYPE_CHECKING:
    from fastlin.estimators.problem import Problem

# Without an L1 penalty C lies between these powers of 10, as in scikit-learn; with one it spans so many decades.
WIDE = -4, 4
DECADES = 3
# Where the least C of a grid lies, so that all of it is above zero and finite, whatever the scale of X and the weights.
RANGE = np.nextafter(0.0, 1.0), np.finfo(np.float64).max / 10**DECADES
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

    def __repr__(self) -> str:
        """Return the models, a line for each C."""
        from fastlin.inference.tables import lay_out_columns

        names = "Cs", "objectives", "certificates", "n_nonzeros", "n_iter", "converged"
        n_classes, d = len(self.classes), self.coefs.shape[2]
        title = f"path of {d} features and {n_classes} classes, l1_ratio={self.l1_ratio:g}"
        return f"{title}\n{lay_out_columns({name: getattr(self, name) for name in names})}"


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
    """Fit logistic or softmax regression for many C, each model started from the one before.

    Parameters
    ----------
    X, y, sample_weight, offset, classes
        As `LogisticRegression.fit` has them.
    Cs : int or array-like of shape (n_Cs,), default=50
        The inverse strengths of the penalty, in any order, or how many of them: then they are spaced evenly on a log
        scale. With ``l1_ratio=0`` they run from 1e-4 to 1e4. Otherwise they span three decades from the largest C at
        which every penalised coefficient is zero: the first model is that of the intercept (and of features with
        factor 0) alone, and any larger C has a coefficient that is not zero.
    l1_ratio : float, default=1.0
        Share of the L1 penalty, from 0 (L2) to 1 (L1).
    **parameters
        Other parameters of `LogisticRegression`, but `C`, `penalty` and `warm_start`. With `verbose` above 0 a progress
        bar over the Cs is shown.

    Returns
    -------
    path : RegularizationPath
        The models, one for each C.

    Raises
    ------
    ValueError
        For Cs that are empty, not positive, NaN or not numbers, and for all that `LogisticRegression.fit` refuses.
    TypeError
        For other parameters.

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
    for name in ("C", "penalty", "warm_start"):
        if name in parameters:
            raise TypeError(f"logistic_path takes no {name}: Cs and l1_ratio say what is fitted")
    estimator = LogisticRegression(l1_ratio=l1_ratio, **parameters)
    check_parameters(estimator)
    Cs = read_Cs(Cs)
    with limit_jobs(estimator.n_jobs):
        data = read_training_data(estimator, X, y, sample_weight, offset, classes)
        problem = Problem(estimator, data)
        start = None
        if isinstance(Cs, int):
            Cs, start = choose_grid(problem, Cs, l1_ratio)
        fits = FoldFits(1, Cs, np.array([l1_ratio]), data, estimator)
        with count_fits(estimator.verbose, len(Cs)) as on_fit:
            # The fits themselves are not kept: they hold what the next one begins with.
            for c, fit in enumerate(fit_along(problem, Cs, l1_ratio, on_fit, start=start)):
                fits.record((0, 0, c), fit)
    warn_of_limits(fits.converged, fits.n_iter, estimator, stacklevel=3)
    coefs, intercepts = fits.split(fits.coefs[0, 0])
    return RegularizationPath(
        Cs=Cs,
        l1_ratio=float(l1_ratio),
        classes=data.classes,
        coefs=coefs,
        intercepts=intercepts,
        objectives=fits.objectives[0, 0],
        certificates=fits.certificates[0, 0],
        n_nonzeros=np.count_nonzero(coefs, axis=(1, 2)),
        n_iter=fits.n_iter[0, 0],
        converged=fits.converged[0, 0],
    )


def choose_grid(
    problem: Problem, n_Cs: int, l1_ratio: float
) -> tuple[FloatArray, tuple[FloatArray, FloatArray] | None]:
    """Return n_Cs values of C, and the coef and intercept from which the first fit starts, or None.

    Let W be zero except for features without a penalty, and g the gradient of the mean loss by the coefficients. By the
    subgradient of the penalty the zeros are optimal as long as |g_kj| <= l1 f_j for all k and j, or with group_by_class
    ||g_.j|| <= l1 f_j, where l1 = l1_ratio / (C S). The grid begins where one of these holds with equality. Slopes that
    lead out of the bounds do not count.

    Raises
    ------
    ValueError
        The bounds exclude zero, where no C of an L1 penalty leaves all coefficients at zero.
    """
    if l1_ratio == 0:
        return np.logspace(*WIDE, n_Cs), None
    # The largest penalty leaves no penalised coefficient.
    bounds = problem.bounds
    if bounds is not None and ((bounds[0] > 0) | (bounds[1] < 0)).any():
        raise ValueError(
            "Cs must be a list of numbers where lower_bounds or upper_bounds exclude zero: the grid begins where all "
            "penalised coefficients are zero."
        )
    null = problem.minimize(0.0, 1.0, tol=NULL_TOL)
    slopes = problem.slopes(*null.start)
    if bounds is not None:
        slopes = np.where(((slopes < 0) & (bounds[1] > 0)) | ((slopes > 0) & (bounds[0] < 0)), slopes, 0.0)
    sizes = np.sqrt(np.einsum("kj,kj->j", slopes, slopes)) if problem.group_by_class else np.abs(slopes).max(axis=0)
    factors = problem.penalty_factors
    with np.errstate(over="ignore"):
        thresholds = sizes if factors is None else sizes[factors > 0] / factors[factors > 0]
    largest = thresholds.max(initial=0)
    if not largest > 0:
        # At every C the penalised coefficients are zero.
        return np.logspace(*WIDE, n_Cs), null.start
    least = np.clip(problem.invert(float(largest) / l1_ratio), *RANGE)
    return least * np.logspace(0, DECADES, n_Cs), null.start
