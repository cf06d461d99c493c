"""What is known of the coefficients of a model: estimates, their covariance, and the tests and tables made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastlin.coefficient_names import NOTHING_LEFT_OUT, LeftOut, describe_each, find_indices, is_asked_by_name
from fastlin.inference import profile, tables
from fastlin.inference.contrasts import SYMMETRIC, Contrasts
from fastlin.inference.hessian import Factor, find_parts
from fastlin.inference.hypotheses import TestResult, WaldTested, check_level, compare
from fastlin.inference.likelihood import Likelihood, find_null_likelihood
from fastlin.inference.marginal_effects import MarginalEffects, find_marginal_effects
from fastlin.objective.point import Point
from fastlin.typing import Array, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Basis:
    """What an `Inference` rests on: the kind of `covariance`, and the `contrasts` that come from the parameters.

    `penalized` is "laplace", "sandwich" or None. `is_likelihood` says that rows count as often as their weights say.
    `df_t` are the degrees of freedom of Student's t, None for the normal distribution. `positions` (p,) are the reported
    columns, and `left_out` the levels without a coefficient. `point` is the optimum with the rows, None after pickling.
    `max_inflated` is a feature, as the summary writes it, whose errors related columns inflate most, and by how much.
    """

    covariance: str
    penalized: str | None
    contrasts: Contrasts
    positions: IntArray
    point: Point | None
    left_out: LeftOut = NOTHING_LEFT_OUT
    is_likelihood: bool = True
    df_t: float | None = None
    n_clusters: tuple[int, ...] = ()
    max_inflated: tuple[str, float] | None = None


@dataclass(frozen=True, eq=False)
class Inference(WaldTested):
    """Standard errors, tests and intervals of the coefficients of a model. `LogisticRegression.inference` makes it.

    Arrays of estimates have a row for each of the K' classes but the reference (one row for two classes; all classes
    where coefficients are symmetric), and p columns: the features, and last the intercept, if there is one.

    The estimates are those at the optimum, which is where the covariance holds, and not the `coef_` of the model, which
    lie within its tol. `coef_error` says how far these are away.

    Attributes
    ----------
    coef : ndarray of shape (K', p)
        The estimates.
    names, classes : ndarray of shapes (p,) and (K',)
        The names of the columns, and the class of each row. Names need not be unique: a table has two columns or levels
        of one name. A method that is given such a name raises an error that lists what tells the columns apart.
    reference : object
        The class whose coefficients are zero, or "symmetric" if the coefficients of all classes sum to zero.
    log_likelihood : float
        The log-likelihood at the optimum, without the penalty.
    log_likelihood_null : float
        The log-likelihood of a model of intercepts alone, whether the model itself has them or not.
    n_samples : float
        The number of rows; with frequency weights their sum, and with importance weights the rows that have some.
    df_model : float
        The number of coefficients without the intercepts. For a penalized model the effective number, the trace of
        H^-1 F with the Hessians H with and F without the penalty, less the intercepts' part.
    coef_error : float
        How far `coef_` and `intercept_` of the model are from the estimates: the largest difference, in standard
        errors.
    distance : float
        How far the estimates may be from the true optimum, in standard errors by the inverse Hessian. It is a bound
        where the smallest curvature of the likelihood gives one, and otherwise the size of the step that is left.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from fastlin import LogisticRegression
    >>> X, y = load_wine(return_X_y=True)
    >>> model = LogisticRegression(C=float("inf"), tol=1e-12).fit(X[:, 1:3], y)
    >>> found = model.inference(X[:, 1:3], y)
    >>> found.coef.shape
    (2, 3)
    >>> found.conf_int().shape
    (2, 3, 2)
    """

    coef: FloatArray
    names: Array
    classes: Array
    reference: Any
    log_likelihood: float
    log_likelihood_null: float
    n_samples: float
    df_model: float
    coef_error: float
    distance: float
    _covariance: FloatArray
    _basis: Basis

    @cached_property
    def std_errors(self) -> FloatArray:
        """The standard errors of the estimates, (K', p)."""
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.diagonal(self._covariance)).reshape(self.coef.shape)

    @property
    def is_symmetric(self) -> bool:
        """Whether the coefficients of all classes sum to zero; a class may be labeled "symmetric" itself."""
        return self._basis.contrasts.reference is None

    @property
    def _to_test(self):
        return self.coef, self.std_errors, self._basis.df_t

    @property
    def df_resid(self) -> float:
        """The number of rows less the number of coefficients and intercepts."""
        return self.n_samples - self._count_parameters()

    @property
    def aic(self) -> float:
        """Akaike's criterion, -2 log-likelihood + 2 parameters; NaN where there is no likelihood (importance weights).

        The parameters of a penalized model are counted by their effective number.
        """
        return self._penalize(2.0)

    @property
    def bic(self) -> float:
        """Schwarz's criterion, as `aic` with log(n_samples) in place of 2."""
        return self._penalize(float(np.log(self.n_samples)))

    @property
    def pseudo_r2(self) -> float:
        """McFadden's pseudo R2, 1 - log-likelihood / log_likelihood_null."""
        return 1 - self.log_likelihood / self.log_likelihood_null

    def profile_conf_int(
        self, features: str | int | Sequence[str | tuple[str, Any] | int] | None = None, level: float = 0.95
    ) -> FloatArray:
        """Return the confidence intervals of the estimates by the profile of the likelihood.

        An interval holds the values of a coefficient at which the likelihood, maximized over all others, is not less
        than its maximum by more than half the quantile of chi-squared (Venzon and Moolgavkar 1988). It is better than
        Wald's where the likelihood is skew, with few rows or rare classes.

        Parameters
        ----------
        features : str, int, sequence or None
            The columns whose intervals are wanted: `names`, pairs (column, level) for levels of categorical columns,
            or indices among `names`. None means all.
        level : float
            How often an interval covers the true value, between 0 and 1.

        Returns
        -------
        ndarray of shape (K', len(features), 2)
            The lower and the upper ends; infinite where the likelihood never falls so far.

        Raises
        ------
        ValueError
            The model is penalized, its covariance is robust, its labels are soft, or a name stands for no column or
            for several.
        RuntimeError
            The rows are not at hand any more, since the inference was pickled or they lie on other machines.
        """
        basis, is_firth = self._basis, self._basis.penalized == "firth"
        if not is_firth and (basis.penalized or basis.covariance != "model" or not basis.is_likelihood):
            raise ValueError(
                "profile_conf_int follows from the likelihood: it needs covariance='model', a model without penalty, "
                "and labels that are draws."
            )
        return self._profile.find_ends(basis.positions[self._find("features", features)], check_level(level))

    def covariance_matrix(self) -> FloatArray:
        """Return the covariance of the estimates, class by class.

        Returns
        -------
        ndarray of shape (K' p, K' p)
            Entry (a p + i, b p + j) is the covariance of ``coef[a, i]`` and ``coef[b, j]``.
        """
        return self._covariance.copy()

    def wald_test(self, R: ArrayLike | Sequence[str | tuple[str, Any]], r: ArrayLike | None = None) -> TestResult:
        """Test q linear hypotheses, R times the estimates equal to r.

        Parameters
        ----------
        R : array-like of shape (q, K' p) or (K' p,), str, or list of str and pairs
            The coefficients of each hypothesis, over the estimates class by class. A name of a column, or several,
            stands for the hypothesis that all coefficients of these columns are zero in all classes. In a list a pair
            (column, level) names a level of a categorical column. Numbers are never indices: for the coefficient of
            index 1 among 4 give ``np.eye(4)[[1]]``.
        r : array-like of shape (q,) or None
            The values; None means zeros.

        Returns
        -------
        TestResult
            By chi-squared with q degrees of freedom, or by F with `use_t`.

        Raises
        ------
        ValueError
            R or r is of another shape, a name stands for no column or for several, or hypotheses depend on each other.
        """
        matrix, name = self._read_hypotheses(R)
        q = len(matrix)
        if r is not None:
            name = name.replace(" = 0", " = r")
        given = np.zeros(q) if r is None else r
        values = np.atleast_1d(_read_numbers("r", given, f"one for each of the {q} rows of R"))
        if values.shape != (q,):
            raise ValueError(f"r must hold one number for each of the {q} rows of R, got the shape {values.shape}.")
        # Only the ratios of the numbers of a row matter.
        largest = np.abs(matrix).max(axis=1)
        largest[largest == 0] = 1
        matrix = matrix / largest[:, None]
        covariance = np.einsum("qf,rf->qr", np.einsum("qe,ef->qf", matrix, self._covariance), matrix)
        factor = Factor(covariance)
        if factor.first_dependent is not None:
            raise ValueError(
                f"Row {factor.first_dependent} of R is no hypothesis of its own: it follows from those before it, "
                "names no estimate, or there are fewer clusters than rows of R."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            distance = np.einsum("qe,e->q", matrix, self.coef.ravel()) - values / largest
            statistic = float(np.sum(distance * factor.solve(distance)))
        if not np.isfinite(statistic):
            raise ValueError(f"r must be near enough to R coef for a finite statistic, got {r!r}.")
        return compare(name, statistic, q, self._basis.df_t)

    def lr_test(self, smaller: Inference) -> TestResult:
        """Test whether this model fits better than a smaller one that it contains, by the ratio of their likelihoods.

        Parameters
        ----------
        smaller : Inference
            That of a model with some of the columns, fitted to the same rows.

        Returns
        -------
        TestResult
            By chi-squared with the difference of the numbers of parameters as degrees of freedom, which is right where
            the model is, whatever the covariance.

        Raises
        ------
        TypeError
            It is no Inference.
        ValueError
            One of the models is penalized or has importance weights, both have the same number of parameters, or they
            were fitted to different rows.
        """
        if not isinstance(smaller, Inference):
            raise TypeError(f"smaller must be the Inference of a model, got {type(smaller).__name__}.")
        for one in (self, smaller):
            if one._basis.penalized:
                raise ValueError("lr_test compares likelihoods at their maxima, which penalized models do not reach.")
            if not one._basis.is_likelihood:
                raise ValueError(
                    "lr_test needs likelihoods, which importance weights and soft labels do not have; use wald_test."
                )
        df = self._count_parameters() - smaller._count_parameters()
        if smaller.n_samples != self.n_samples or not np.isclose(
            smaller.log_likelihood_null, self.log_likelihood_null, rtol=1e-9, atol=0
        ):
            raise ValueError("smaller was fitted to other rows, classes, weights or offsets than this model.")
        if not df > 0:
            raise ValueError(f"smaller must have fewer parameters than {self._count_parameters():g}, got {-df:g} more.")
        statistic = 2 * (self.log_likelihood - smaller.log_likelihood)
        return compare("likelihood ratio", statistic, df)

    def marginal_effects(self, at: Literal["overall", "mean"] = "overall") -> MarginalEffects:
        """Return by how much the probability of each class rises with each feature.

        The effects are derivatives, also of features that are 0 or 1. Their standard errors come from the delta
        method. The rows are read again.

        Parameters
        ----------
        at : {"overall", "mean"}
            "overall" is the mean of the effects over the rows, each by its weight, and "mean" the effect at the mean of
            the rows and of their offsets.

        Returns
        -------
        MarginalEffects

        Raises
        ------
        ValueError
            `at` is something else, or there are too many classes and features.
        RuntimeError
            The rows are not at hand: the inference was pickled, or the rows lie on the workers of a cluster.
        """
        basis = self._basis
        contrasts, positions = basis.contrasts, basis.positions
        if basis.penalized != "firth" and not np.array_equal(positions, np.arange(contrasts.n_columns)):
            raise ValueError("Marginal effects need the covariance of all coefficients: leave features out.")
        effects, errors = find_marginal_effects(self._point, self._covariance, contrasts, positions, at)
        shown, reference, classes = (
            positions[: len(positions) - contrasts.fit_intercept],
            contrasts.reference,
            self.classes,
        )
        if reference is not None:
            classes = np.concatenate([classes[:reference], np.array([self.reference]), classes[reference:]])
        names = self.names[: len(shown)]
        return MarginalEffects(effects[:, shown], errors[:, shown], names, classes, at, basis.df_t)

    def table(self, level: float = 0.95) -> Any:
        """Return the estimates with their errors, tests and intervals, a line for each.

        Parameters
        ----------
        level : float
            That of the intervals.

        Returns
        -------
        pandas.DataFrame or dict of ndarray
            The columns class, feature, coef, std_error, z, p_value, lower and upper; a frame where pandas is installed,
            indexed by class and feature, or by feature for two classes.
        """
        return tables.index_dataframe(tables.find_columns(self, "coef", self.coef, level), len(self.coef) > 1)

    def summary(self, level: float = 0.95) -> tables.Text:
        """Return a report: what was fitted, the likelihoods, and the table.

        Parameters
        ----------
        level : float
            That of the intervals.

        Returns
        -------
        str
            Plain text, which shows itself as a table in notebooks.
        """
        return tables.write_summary(self, level)

    def __str__(self) -> str:
        """Return the summary."""
        return str(self.summary())

    def __repr__(self) -> str:
        """Return the number of coefficients and the kind of their covariance."""
        n_rows, p = self.coef.shape
        return f"<Inference of {n_rows * p} coefficients, covariance={self._basis.covariance!r}>"

    def _repr_html_(self) -> str:
        return self.summary().html

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, without the rows."""
        state = {name: value for name, value in vars(self).items() if name != "std_errors"}
        return {**state, "_basis": replace(self._basis, point=None)}

    @property
    def _point(self):
        if self._basis.point is None:
            raise RuntimeError(
                "The rows are not at hand, which an Inference leaves behind where it is pickled, and where they lie on "
                "the workers of a cluster: ask the model for its inference of rows in memory."
            )
        return self._basis.point

    @property
    def _profile(self):
        basis, is_firth = self._basis, self._basis.penalized == "firth"
        objective = self._point.objective
        # First levels of categorical columns have no coefficients in Firth's model.
        free = np.isin(np.arange(objective.shape[1]), basis.positions) if is_firth else find_parts(objective)
        likelihood = Likelihood(objective, self.n_samples / objective.rows.total_weight, is_firth, free)
        n_parameters, most = likelihood.positions.size, profile.MAX_PROFILED
        if n_parameters > most and not is_firth:
            raise ValueError(
                f"The model has {n_parameters:,} parameters, and profiles are made for up to {most:,}; use conf_int."
            )
        maximum = likelihood.at(likelihood.to_theta(self._point.parameters))
        if maximum is None:
            raise ValueError(
                "The likelihood has no maximum with a definite information: columns of X depend on each other, or the "
                "classes are separable."
            )
        return profile.Profile(maximum, basis.contrasts)

    def _count_parameters(self):
        """Return how many parameters there are, with the intercepts."""
        return self.df_model + self._basis.contrasts.n_intercepts

    def _penalize(self, each):
        if not self._basis.is_likelihood:
            return np.nan
        return -2 * self.log_likelihood + each * self._count_parameters()

    def _find(self, argument, wanted, by_index=True):
        """Return the indices of the reported columns that an argument asks for."""
        return find_indices(argument, wanted, self.names, self._basis.left_out, by_index)

    def _read_hypotheses(self, R):
        """Return R as an array (q, K' p), and the name of the test."""
        size = self.coef.size
        # A DataFrame yields the names of its columns, but it holds numbers.
        is_sequence = isinstance(R, Iterable) and not isinstance(R, str) and getattr(R, "ndim", 1) == 1
        given = list(R) if is_sequence else [R]
        if given and all(map(is_asked_by_name, given)):
            indices = self._find("R", R, by_index=False)
            # Symmetric coefficients of all classes but the last fix the last one's.
            starts = np.arange(self._basis.contrasts.n_free)[:, None] * len(self.names)
            own = (starts + indices).ravel()
            return np.equal.outer(own, np.arange(size)) * 1.0, ", ".join(self.names[indices]) + " = 0"
        matrix = np.atleast_2d(_read_numbers("R", R, f"of shape (q, {size}), or names of columns"))
        if matrix.ndim != 2 or matrix.shape[1] != size or not len(matrix):
            raise ValueError(
                f"R must be of shape (q, {size}), a column for each of the estimates class by class, or names of "
                f"columns and pairs (column, level) in a list; got the shape {np.shape(R)}. "
                f"{self._explain_rows(matrix)}"
            )
        return matrix, "R coef = r"

    def _explain_rows(self, numbers):
        """Return what numbers in R mean, and the rows for one column: that of an index, if it may be meant."""
        p = len(self.names)
        is_index = numbers.shape == (1, 1) and numbers[0, 0] in range(p)
        index = int(numbers[0, 0]) if is_index else 0
        rows = [a * p + index for a in range(self._basis.contrasts.n_free)]
        name = describe_each(self.names, self._basis.left_out)[index]
        return (
            "Numbers are factors of the estimates, not indices: "
            f"R=np.eye({self.coef.size})[{rows}] tests the coefficients of {name}."
        )


def report(
    basis: Basis, point: Point, given: FloatArray, covariance: FloatArray, names: Array, classes: Array, weight: float
) -> dict[str, Any]:
    """Return what an optimum tells an Inference: names and classes are of all columns and classes, weight of all rows.

    given are the parameters (K, d + 1) of the model.
    """
    contrasts, positions, objective = basis.contrasts, basis.positions, point.objective
    coef, reference = contrasts.of(point.parameters)[:, positions], contrasts.reference
    away = np.abs(contrasts.of(given)[:, positions] - coef).ravel() / np.sqrt(np.diagonal(covariance))
    return {
        "coef": coef,
        "names": names[positions],
        "classes": classes if reference is None else np.delete(classes, reference),
        "reference": SYMMETRIC if reference is None else classes[reference],
        "log_likelihood": -weight * point.loss,
        "log_likelihood_null": find_null_likelihood(objective, weight),
        "coef_error": float(np.fmax.reduce(away, initial=0.0)),
        "_covariance": covariance,
        "_basis": basis,
    }


def _read_numbers(argument, given, accepted):
    """Return an argument as an array of finite numbers."""
    try:
        numbers = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{argument} must be finite numbers, {accepted}, got {given!r}.")
    return numbers
