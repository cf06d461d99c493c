"""Estimates of a model's coefficients, their covariance, and tests and tables that use them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastlin.coefficient_names import (
    MAX_LISTED_NAMES,
    NO_OMITTED_CATEGORIES,
    OmittedCategories,
    disambiguate_names,
    find_coefficient_indices,
    is_name_or_pair,
)
from fastlin.inference import profile, tables
from fastlin.inference.contrasts import SYMMETRIC_REFERENCE, Contrasts
from fastlin.inference.hessian import CholeskyFactor, find_active_columns
from fastlin.inference.hypotheses import (
    TestResult,
    WaldStatistics,
    check_confidence_level,
    compute_test,
    find_half_width_quantile,
)
from fastlin.inference.influence import Influence, compute_influence
from fastlin.inference.likelihood import Likelihood, compute_null_log_likelihood
from fastlin.inference.marginal_effects import MarginalEffects, compute_marginal_effects
from fastlin.inference.predictions import EncodeRows, PredictedProbabilities, predict_probabilities
from fastlin.objective.point import Point
from fastlin.typing import Array, FloatArray, IntArray, MatrixLike

COVARIANCE_LABELS = {
    "model": "model-based",
    "HC0": "robust (HC0)",
    "HC1": "robust (HC1)",
    "cluster": "cluster-robust, clusters",
}
PENALTY_LABELS = {
    "laplace": "posterior (Laplace approximation; the penalty is the prior)",
    "firth": "Firth's penalized likelihood",
    "sandwich": "of the penalized estimates, which are biased towards zero",
}


@dataclass(frozen=True, eq=False)
class InferenceBasis:
    """How an `Inference` was computed: the kind of `covariance`, and the `contrasts` of the parameters.

    `penalized` is "laplace", "sandwich", "firth" or None. `has_likelihood` is true if weights are
    frequencies and labels are not soft. `df_t` is the degrees of freedom of Student's t, or None for the
    normal distribution. `positions` (p,) are the indices of the reported columns, and `omitted_categories` are
    the categories without a coefficient. `point` is the optimum with the rows, or None after pickling.
    `max_std_error_inflation` contains the feature whose standard errors collinearity inflates most, and the inflation
    factor. The summary shows both. `encode_rows` validates and encodes new rows.
    """

    covariance: str
    penalized: str | None
    contrasts: Contrasts
    positions: IntArray
    point: Point | None
    encode_rows: EncodeRows
    omitted_categories: OmittedCategories = NO_OMITTED_CATEGORIES
    has_likelihood: bool = True
    df_t: float | None = None
    n_clusters: tuple[int, ...] = ()
    max_std_error_inflation: tuple[str, float] | None = None


@dataclass(frozen=True, eq=False)
class Inference(WaldStatistics):
    """Standard errors, tests and confidence intervals of coefficients, returned by `LogisticRegression.inference`.

    Arrays of estimates have K' rows and p columns. There is one row per class except the reference, or one row per
    class if coefficients are symmetric. The columns are the features, followed by the intercept if the model has one.

    The estimates are computed at the optimum, because the covariance is valid only there. The model's `coef_` is only
    accurate to its `tol`; `coef_error` measures the difference.

    Attributes
    ----------
    coef : ndarray of shape (K', p)
        The estimates.
    names, classes : ndarray of shapes (p,) and (K',)
        The names of the columns, and the class of each row. Names need not be unique: two columns of a table may have
        the same name. If a name passed to a method is ambiguous, an error lists unique alternatives.
    reference : object
        The class whose coefficients are zero, or "symmetric" if the coefficients of all classes sum to zero.
    log_likelihood : float
        The log-likelihood at the optimum, without the penalty.
    log_likelihood_null : float
        The log-likelihood of the null (intercept-only) model, even if the model itself has no intercept.
    n_samples : float
        The number of rows. With frequency weights, this is their sum. With sampling weights, it is the number of
        positive weights.
    df_model : float
        The number of coefficients without the intercepts. For a penalized model, this is the effective number: the
        trace of H^-1 F minus the number of intercepts, where H and F are the Hessians with and without the penalty.
    coef_error : float
        The largest difference between the model's `coef_` and `intercept_` and the estimates, in standard errors.
    distance_from_optimum : float
        The distance from the exact optimum, in standard errors from the inverse Hessian. This is a rigorous bound if
        the curvature of the likelihood provides one, otherwise the length of the next Newton step.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from fastlin import LogisticRegression
    >>> X, y = load_wine(return_X_y=True)
    >>> model = LogisticRegression(C=float("inf"), tol=1e-12).fit(X[:, 1:3], y)
    >>> inference = model.inference(X[:, 1:3], y)
    >>> inference.coef.shape
    (2, 3)
    >>> inference.conf_int().shape
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
    distance_from_optimum: float
    _covariance: FloatArray
    _basis: InferenceBasis

    @cached_property
    def std_errors(self) -> FloatArray:
        """Standard errors (K', p) of the estimates."""
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.diagonal(self._covariance)).reshape(self.coef.shape)

    @property
    def is_symmetric(self) -> bool:
        """Whether the coefficients of all classes sum to zero; false if the reference is a class named "symmetric"."""
        return self._basis.contrasts.reference is None

    @property
    def _wald_inputs(self):
        return self.coef, self.std_errors, self._basis.df_t

    @property
    def df_resid(self) -> float:
        """Residual degrees of freedom: the number of rows minus the number of coefficients and intercepts."""
        return self.n_samples - self._count_parameters()

    @property
    def aic(self) -> float:
        """Akaike's information criterion, 2 n_parameters - 2 log_likelihood.

        It is NaN for sampling weights and soft labels, which have no likelihood. For a penalized model, n_parameters is
        the effective number.
        """
        return self._compute_information_criterion(2.0)

    @property
    def bic(self) -> float:
        """Bayesian information criterion (Schwarz), log(n_samples) n_parameters - 2 log_likelihood; NaN like `aic`."""
        return self._compute_information_criterion(float(np.log(self.n_samples)))

    @property
    def pseudo_r2(self) -> float:
        """McFadden's pseudo R2, 1 - log_likelihood / log_likelihood_null."""
        return 1 - self.log_likelihood / self.log_likelihood_null

    def profile_conf_int(
        self, features: str | int | Sequence[str | tuple[str, Any] | int] | None = None, level: float = 0.95
    ) -> FloatArray:
        """Return profile likelihood confidence intervals of the estimates.

        An interval contains the values of a coefficient at which the log-likelihood, maximized over all other
        coefficients, is at most half a chi-squared quantile below its maximum (Venzon and Moolgavkar 1988). It is more
        accurate than the Wald interval if the likelihood is skewed, as with few rows or rare classes.

        Parameters
        ----------
        features : str, int, sequence or None
            The columns: `names`, pairs (column, category) for categories of categorical columns, or indices into
            `names`. None means all columns.
        level : float
            Confidence level, between 0 and 1.

        Returns
        -------
        ndarray of shape (K', len(features), 2)
            The lower and upper limits. A limit is infinite if the likelihood does not decrease that much.

        Raises
        ------
        ValueError
            The model is penalized, its covariance is robust, its weights are sampling weights, its labels are soft, or
            a name is unknown or ambiguous.
        RuntimeError
            The rows are not available, because the inference was pickled or because the rows are in Dask collections.
        """
        basis, is_firth = self._basis, self._basis.penalized == "firth"
        if not is_firth and (basis.penalized or basis.covariance != "model" or not basis.has_likelihood):
            raise ValueError(
                "Profile intervals need a likelihood: covariance='model', an unpenalized model, and labels that are "
                "not soft. Use conf_int for Wald intervals, or the bootstrap."
            )
        return self._likelihood_profile.compute_intervals(
            basis.positions[self._find_column_indices("features", features)], check_confidence_level(level)
        )

    def covariance_matrix(self) -> FloatArray:
        """Return the covariance matrix of the estimates, in the order of ``coef.ravel()``.

        Returns
        -------
        ndarray of shape (K' p, K' p)
            Entry (a p + i, b p + j) is the covariance of ``coef[a, i]`` and ``coef[b, j]``.
        """
        return self._covariance.copy()

    def wald_test(self, R: ArrayLike | Sequence[str | tuple[str, Any]], r: ArrayLike | None = None) -> TestResult:
        """Return the Wald test of q linear hypotheses, R coef = r.

        Parameters
        ----------
        R : array-like of shape (q, K' p) or (K' p,), str, or list of str and pairs
            One row per hypothesis, in the order of ``coef.ravel()``. Names of columns represent the hypotheses that the
            coefficients of these columns are zero in all classes. In a list, a pair (column, category) selects a
            category of a categorical column. Numbers are never interpreted as indices. To test coefficient 1 of 4, pass
            ``np.eye(4)[[1]]``.
        r : array-like of shape (q,) or None
            The values under the null hypothesis; None means zeros.

        Returns
        -------
        TestResult
            A chi-squared test with q degrees of freedom, or an F test if `use_t` was true.

        Raises
        ------
        ValueError
            R or r has the wrong shape, a name is unknown or ambiguous, or the hypotheses are linearly dependent.
        """
        matrix, name = self._parse_hypotheses(R)
        q = len(matrix)
        if r is not None:
            name = name.replace(" = 0", " = r")
        values = np.zeros(q) if r is None else np.atleast_1d(_read_numbers("r", r, f"one per row of R ({q})"))
        if values.shape != (q,):
            raise ValueError(f"r must hold one number per row of R, shape ({q},), got shape {values.shape}.")
        # Scaling a row does not change the hypothesis, and avoids overflow.
        largest = np.abs(matrix).max(axis=1)
        largest[largest == 0] = 1
        matrix = matrix / largest[:, None]
        covariance = np.einsum("qf,rf->qr", np.einsum("qe,ef->qf", matrix, self._covariance), matrix)
        factor = CholeskyFactor(covariance)
        if factor.dependent_column is not None:
            raise ValueError(
                f"Row {factor.dependent_column} of R is not an independent hypothesis: it depends on the rows before "
                "it, is zero, or there are fewer clusters than rows of R. Remove the row."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            difference = np.einsum("qe,e->q", matrix, self.coef.ravel()) - values / largest
            statistic = float(np.sum(difference * factor.solve(difference)))
        if not np.isfinite(statistic):
            raise ValueError(f"The test statistic is not finite: r is too far from R coef, got r={r!r}.")
        return compute_test(name, statistic, q, self._basis.df_t)

    def lr_test(self, smaller: Inference) -> TestResult:
        """Return the likelihood-ratio test of this model against a smaller model that is nested in it.

        Parameters
        ----------
        smaller : Inference
            The inference of a model with a subset of the columns, fitted to the same rows.

        Returns
        -------
        TestResult
            A chi-squared test. Its degrees of freedom are the difference between the numbers of parameters. The test is
            valid only if the model is correctly specified, even if `covariance` is robust.

        Raises
        ------
        TypeError
            `smaller` is not an Inference.
        ValueError
            One of the models is penalized or has sampling weights or soft labels, `smaller` does not have fewer
            parameters, or the models were fitted to different rows.
        """
        if not isinstance(smaller, Inference):
            raise TypeError(f"smaller must be the Inference of a model, got {type(smaller).__name__}.")
        for inference in (self, smaller):
            if inference._basis.penalized:
                raise ValueError(
                    "lr_test needs unpenalized models: a penalized fit does not maximize the likelihood. Fit both "
                    "models with C=inf."
                )
            if not inference._basis.has_likelihood:
                raise ValueError(
                    "lr_test needs a likelihood, which sampling weights and soft labels do not have; use wald_test."
                )
        df = self._count_parameters() - smaller._count_parameters()
        if smaller.n_samples != self.n_samples or not np.isclose(
            smaller.log_likelihood_null, self.log_likelihood_null, rtol=1e-9, atol=0
        ):
            raise ValueError(
                "smaller was fitted to different rows, classes, weights or offsets. Fit both models to the same data."
            )
        if not df > 0:
            n_parameters = self._count_parameters()
            raise ValueError(
                f"smaller must have fewer parameters than this model ({n_parameters:g}), got {n_parameters - df:g}."
            )
        statistic = 2 * (self.log_likelihood - smaller.log_likelihood)
        return compute_test("likelihood ratio", statistic, df)

    def marginal_effects(self, at: Literal["overall", "mean"] = "overall") -> MarginalEffects:
        """Return the marginal effects of the features on the probability of each class.

        The effects are derivatives, even for binary features. Their standard errors are computed with the delta method.
        This method reads the rows again.

        Parameters
        ----------
        at : {"overall", "mean"}
            "overall" averages the effects over the rows, with their weights; "mean" evaluates them at the mean of the
            rows and of their offsets.

        Returns
        -------
        MarginalEffects
            The effects, their standard errors and tests.

        Raises
        ------
        ValueError
            `at` is neither "overall" nor "mean", or there are too many classes and features.
        RuntimeError
            The rows are not available, because the inference was pickled or because the rows are in Dask collections.
        """
        basis = self._basis
        contrasts, positions = basis.contrasts, basis.positions
        shown = self._find_all_features("Marginal effects need")
        effects, std_errors = compute_marginal_effects(self._optimum_point, self._covariance, contrasts, positions, at)
        names, classes = self.names[: len(shown)], self._list_all_classes()
        return MarginalEffects(effects[:, shown], std_errors[:, shown], names, classes, at, basis.df_t)

    def predict(
        self, X_new: MatrixLike, level: float = 0.95, offset: ArrayLike | None = None
    ) -> PredictedProbabilities:
        """Return the predicted probabilities of new rows, with standard errors and confidence intervals.

        For two classes, the intervals are computed for the linear predictor, and for more classes for the log odds of
        each class against the rest, with the delta method. They are then converted to probabilities. An interval
        contains the probability of a row, not its label. With ``penalized="sandwich"`` and for Firth's method, the
        intervals do not include the bias of the estimates. The training data are not needed, so the method can be
        called after pickling.

        Parameters
        ----------
        X_new : array-like, sparse matrix or table of shape (n_samples, n_features)
            The rows, with the columns of the training data.
        level : float
            Confidence level of the intervals, between 0 and 1.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), or None
            Offsets of the rows, as in `LogisticRegression.decision_function`. None means no offsets.

        Returns
        -------
        PredictedProbabilities
            The probabilities, their standard errors and intervals. The probabilities are those of the estimates, which
            differ from `predict_proba` of the model by `coef_error`.

        Raises
        ------
        TypeError
            X_new is a `Blocks` object.
        ValueError
            X_new does not match the training data or has categories that did not occur there, `level` is not between 0
            and 1, or the inference does not have all columns.
        """
        basis = self._basis
        features, quantile = self._find_all_features("Predictions need"), find_half_width_quantile(level, basis.df_t)
        rows = basis.encode_rows(X_new, offset)
        rows = rows._replace(columns=rows.columns[features])
        values = predict_probabilities(rows, self.coef, self._covariance, basis.contrasts.reference, quantile)
        return PredictedProbabilities(*values, self._list_all_classes(), level)

    def influence(self) -> Influence:
        """Return the influence of each row: leverage, residuals, and approximate changes if the row is removed.

        This method reads the rows again. `Influence.dfbetas` has the columns of this inference; to limit its size, call
        `LogisticRegression.inference` with `features`. A penalty keeps its strength if a row is removed.

        Returns
        -------
        Influence
            Leverage, residuals, Cook's distances, dfbetas and leave-one-out probabilities.

        Raises
        ------
        ValueError
            The estimates are Firth's, or the model has more than 4,096 parameters.
        RuntimeError
            The rows are not available, because the inference was pickled or because the rows are in Dask collections.
        """
        basis = self._basis
        if basis.penalized == "firth":
            raise ValueError(
                "influence is not available for Firth's method, because its penalty depends on all rows. Refit the "
                "model without the row."
            )
        point = self._optimum_point
        weight_unit = self.n_samples / point.objective.rows.total_weight
        arrays = compute_influence(
            point, basis.contrasts, basis.positions, self.std_errors, self._count_parameters(), weight_unit
        )
        return Influence(**arrays, names=self.names, classes=self.classes)

    def table(self, level: float = 0.95) -> Any:
        """Return the estimates with their standard errors, tests and intervals, one row per estimate.

        Parameters
        ----------
        level : float
            Confidence level of the intervals, between 0 and 1.

        Returns
        -------
        pandas.DataFrame or dict of ndarray
            The columns class, feature, coef, std_error, z, p_value, lower and upper: a DataFrame indexed by class and
            feature (by feature if there are two classes), or a dict if pandas is not installed. For Firth's method, z
            is named z_wald, because p_value is from the penalized likelihood-ratio test.
        """
        return tables.build_dataframe(tables.tabulate_estimates(self, "coef", level), len(self.coef) > 1)

    def summary(self, level: float = 0.95) -> tables.Summary:
        """Return a report with facts about the fit, the likelihoods, and the table of estimates.

        Parameters
        ----------
        level : float
            Confidence level of the intervals, between 0 and 1.

        Returns
        -------
        str
            Plain text, which notebooks display as an HTML table.
        """
        columns = tables.tabulate_estimates(self, "coef", level)
        limits = (f"{100 * (0.5 + side * level):.4g}%" for side in (-0.5, 0.5))
        headers = [*(tables.COLUMN_HEADERS[key] for key in list(columns)[2:-2]), *limits]
        if self._basis.df_t is not None:
            headers[2] = "t"
        if not self._has_wald_p_values:
            headers[3] = "p (profile)"
        reference = "the mean of all classes" if self.is_symmetric else self.reference
        titles = [f"class {label} vs {reference}" for label in self.classes]
        return tables.write_summary(self._list_summary_facts(), titles, headers, columns)

    def __str__(self) -> str:
        """Return the summary."""
        return str(self.summary())

    def __repr__(self) -> str:
        """Return the number of coefficients and the kind of covariance."""
        n_rows, p = self.coef.shape
        return f"<Inference of {n_rows * p} coefficients, covariance={self._basis.covariance!r}>"

    def _repr_html_(self) -> str:
        return self.summary().html

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle, without the rows."""
        state = {name: value for name, value in vars(self).items() if name != "std_errors"}
        return {**state, "_basis": replace(self._basis, point=None)}

    def _find_all_features(self, subject):
        """Return the indices of the columns without the intercept. Raise a ValueError if columns are missing."""
        basis, contrasts = self._basis, self._basis.contrasts
        if basis.penalized != "firth" and not np.array_equal(basis.positions, np.arange(contrasts.n_columns)):
            raise ValueError(f"{subject} the covariance of all coefficients: call inference() for all columns.")
        return basis.positions[: len(basis.positions) - contrasts.fit_intercept]

    def _list_all_classes(self):
        """Return the classes of the model, including the reference."""
        index, classes = self._basis.contrasts.reference, self.classes
        if index is None:
            return classes
        return np.concatenate([classes[:index], np.array([self.reference]), classes[index:]])

    @property
    def _optimum_point(self):
        if self._basis.point is None:
            raise RuntimeError(
                "The rows are not available: an Inference does not keep them if it is pickled, or if they are in Dask "
                "collections. Call the model's inference method with rows in memory."
            )
        return self._basis.point

    @property
    def _likelihood_profile(self):
        basis, is_firth = self._basis, self._basis.penalized == "firth"
        objective = self._optimum_point.objective
        # Reference categories of categorical columns have no coefficients in Firth's model.
        free = np.isin(np.arange(objective.shape[1]), basis.positions) if is_firth else find_active_columns(objective)
        likelihood = Likelihood(objective, self.n_samples / objective.rows.total_weight, is_firth, free)
        n_parameters, max_profile_parameters = likelihood.positions.size, profile.MAX_PROFILE_PARAMETERS
        if n_parameters > max_profile_parameters and not is_firth:
            raise ValueError(
                f"The model has {n_parameters:,} parameters; profile intervals are limited to "
                f"{max_profile_parameters:,}. Use conf_int."
            )
        maximum = likelihood.at(likelihood.to_theta(self._optimum_point.parameters))
        if maximum is None:
            raise ValueError(
                "The information matrix at the maximum of the likelihood is not positive definite: columns of X are "
                "collinear, or the classes are separable. Remove columns, or use FirthLogisticRegression."
            )
        return profile.LikelihoodProfile(maximum, basis.contrasts)

    def _list_summary_facts(self):
        """Return the facts above the table of estimates, as a dict of strings."""
        basis = self._basis
        covariance = COVARIANCE_LABELS[basis.covariance]
        if basis.n_clusters:
            covariance += f": {', '.join(f'{n:,}' for n in basis.n_clusters)}"
        if basis.penalized:
            covariance += f"; {PENALTY_LABELS[basis.penalized]}"
        n_parameters, df_resid = tables.format_decimal(self._count_parameters()), tables.format_decimal(self.df_resid)
        summary_facts = {
            "rows": f"{self.n_samples:,.10g}",
            "parameters": f"{n_parameters}; residual degrees of freedom: {df_resid}",
            "log-likelihood": f"{self.log_likelihood:.4f}; null model: {self.log_likelihood_null:.4f}",
            "pseudo R2": f"{self.pseudo_r2:.6f} (McFadden)",
        }
        if np.isfinite(self.aic):
            summary_facts["AIC, BIC"] = f"{self.aic:.4f}, {self.bic:.4f}"
        summary_facts["std errors"] = covariance
        if not self._has_wald_p_values:
            summary_facts["p, intervals"] = "profile of the penalized likelihood; z: coef / std error"
        if basis.max_std_error_inflation is not None:
            name, std_error_inflation = basis.max_std_error_inflation
            summary_facts["collinearity"] = (
                f"inflates standard errors up to {std_error_inflation:.3g} times (most: {name})"
            )
        if basis.omitted_categories.reference_categories:
            summary_facts["reference categories"] = ", ".join(basis.omitted_categories.reference_categories)
        if basis.omitted_categories.unused_categories:
            shown, n_unlisted_categories = (
                basis.omitted_categories.unused_categories[:MAX_LISTED_NAMES],
                len(basis.omitted_categories.unused_categories) - MAX_LISTED_NAMES,
            )
            more = f" and {n_unlisted_categories:,} more" if n_unlisted_categories > 0 else ""
            summary_facts["omitted categories"] = f"{', '.join(shown)}{more} (no rows with a positive weight)"
        if basis.df_t is not None:
            summary_facts["distribution"] = f"Student's t with {basis.df_t:g} degrees of freedom"
        summary_facts["accuracy"] = (
            f"estimates within {self.distance_from_optimum:.1e} standard errors of the optimum, coef_ of the model "
            f"within {self.coef_error:.1e}"
        )
        return summary_facts

    def _count_parameters(self):
        """Return the number of parameters, including the intercepts."""
        return self.df_model + self._basis.contrasts.n_intercepts

    def _compute_information_criterion(self, weight):
        if not self._basis.has_likelihood:
            return np.nan
        return -2 * self.log_likelihood + weight * self._count_parameters()

    def _find_column_indices(self, argument, selection, allows_indices=True):
        """Return the indices of the reported columns that the value of an argument selects."""
        return find_coefficient_indices(argument, selection, self.names, self._basis.omitted_categories, allows_indices)

    def _parse_hypotheses(self, R):
        """Return R as an array (q, K' p), and the name of the test."""
        size = self.coef.size
        # Iterating over a DataFrame yields its column names, but R should contain its numbers.
        is_sequence = isinstance(R, Iterable) and not isinstance(R, str) and getattr(R, "ndim", 1) == 1
        entries = list(R) if is_sequence else [R]
        if entries and all(map(is_name_or_pair, entries)):
            indices = self._find_column_indices("R", R, allows_indices=False)
            # Symmetric coefficients sum to zero, so the last class adds no hypothesis.
            starts = np.arange(self._basis.contrasts.n_free_classes)[:, None] * len(self.names)
            return np.eye(size)[(starts + indices).ravel()], ", ".join(self.names[indices]) + " = 0"
        matrix = np.atleast_2d(_read_numbers("R", R, f"of shape (q, {size}), or names of columns"))
        if matrix.ndim != 2 or matrix.shape[1] != size or not len(matrix):
            raise ValueError(
                f"R must have shape (q, {size}), one column per entry of coef.ravel(), or be a list of names of "
                f"columns and pairs (column, category); got shape {np.shape(R)}. "
                f"{self._explain_hypothesis_matrix(matrix)}"
            )
        return matrix, "R coef = r"

    def _explain_hypothesis_matrix(self, numbers):
        """Return a sentence that explains how to write R for a column.

        It is the intended column if R is a valid index.
        """
        p = len(self.names)
        is_index = numbers.shape == (1, 1) and numbers[0, 0] in range(p)
        index = int(numbers[0, 0]) if is_index else 0
        rows = [a * p + index for a in range(self._basis.contrasts.n_free_classes)]
        name = disambiguate_names(self.names, self._basis.omitted_categories)[index]
        return (
            "Numbers multiply the estimates; they are not indices: "
            f"R=np.eye({self.coef.size})[{rows}] tests the coefficients of {name}."
        )


def collect_inference_fields(
    basis: InferenceBasis,
    point: Point,
    fitted: FloatArray,
    covariance: FloatArray,
    names: Array,
    classes: Array,
    weight: float,
) -> dict[str, Any]:
    """Return the fields of an Inference that follow from the optimum `point`.

    `fitted` contains the parameters (K, d + 1) of the model. `names` and `classes` contain the names of all columns,
    and all classes. `weight` is the total weight of the rows.
    """
    contrasts, positions, objective = basis.contrasts, basis.positions, point.objective
    coef, reference = contrasts.of(point.parameters)[:, positions], contrasts.reference
    errors = np.abs(contrasts.of(fitted)[:, positions] - coef).ravel() / np.sqrt(np.diagonal(covariance))
    return {
        "coef": coef,
        "names": names[positions],
        "classes": classes if reference is None else np.delete(classes, reference),
        "reference": SYMMETRIC_REFERENCE if reference is None else classes[reference],
        "log_likelihood": -weight * point.loss,
        "log_likelihood_null": compute_null_log_likelihood(objective, weight),
        "coef_error": float(np.fmax.reduce(errors, initial=0.0)),
        "_covariance": covariance,
        "_basis": basis,
    }


def _read_numbers(argument, value, requirement):
    """Return the value of an argument as an array of finite numbers."""
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{argument} must be finite numbers, {requirement}, got {value!r}.")
    return numbers
