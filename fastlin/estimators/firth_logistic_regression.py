"""FirthLogisticRegression: logistic and softmax regression with Firth's bias-reducing penalty, and its inference."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fastlin.blocks.blocks import Blocks
from fastlin.coefficient_names import append_intercept, disambiguate_names
from fastlin.estimators.columns import choose_dtype, name_coefficients
from fastlin.estimators.fit_reporting import restore_on_error
from fastlin.estimators.labels import TrainingData, validate_training_data
from fastlin.estimators.linear_predictions import LinearPredictionMixin, validate_coefficients
from fastlin.estimators.logistic_regression import BootstrapMixin, LogisticRegression, prepare_fit_data
from fastlin.estimators.parameters import estimator, fitted, limit_jobs, parameter
from fastlin.estimators.problem import OmittedCategoryIndices, Problem, count_concurrent_fits, find_omitted_categories
from fastlin.estimators.row_encoding import RowEncoder
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.estimators.summary import FitSummary, describe_coef, describe_data
from fastlin.exceptions import ConvergenceWarning
from fastlin.inference.bootstrap import RefitOptions, ResampleFit
from fastlin.inference.collinearity import check_collinearity
from fastlin.inference.firth_inference import FirthInference, compute_firth_inference
from fastlin.inference.likelihood import Likelihood, LikelihoodState
from fastlin.inference.profile import maximize_likelihood
from fastlin.typing import FloatArray, MatrixLike

# The stopping tolerance of bootstrap refits, in standard errors.
BOOTSTRAP_TOL = 1e-3


@estimator
class FirthLogisticRegression(BootstrapMixin, FitSummary, LinearPredictionMixin):
    """Logistic or softmax regression with Firth's penalized likelihood, for few rows, rare classes and separated data.

    The fit maximizes the penalized log-likelihood::

        l(W, b) + (1/2) log det I(W, b)

    Here l is the log-likelihood sum_i s_i log p_i(y_i), and I is the Fisher information. The sample weight s_i is the
    number of rows that row i represents. The penalty removes the O(1/n) bias of the maximum likelihood estimates [1]_,
    including those of softmax regression [2]_. The estimates are finite even if the classes are separable [3]_. They
    are equivariant under linear transformations of the columns and changes of the reference class. Each iteration needs
    about n p^2 (K - 1)^2 multiplications, where p is the number of columns including the intercept.

    X can be dense, sparse, `Blocks` or a table with categorical columns, as in `LogisticRegression`. The reference
    category of a categorical column is its first category with rows of positive weight. The coefficients of reference
    categories, and of categories without such rows, are zero. In a model without an intercept, the first categorical
    column has no reference category. The results are bitwise identical for any number of threads.

    Parameters
    ----------
    tol : float, default=1e-6
        Stopping tolerance. The fit stops when the next step, I^-1 times the penalized score, would not change any
        linear combination of the coefficients by more than tol times its standard error.
    max_iter : int, default=200
        Maximum number of steps. Each step is halved until the penalized likelihood does not decrease.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    n_jobs : int or None, default=None
        Number of threads used in `fit` and predictions, as in joblib: -1 means all processors. None means all
        processors that are available to the process.
    categorical_features : "from_dtype", array-like or None, default=None
        Categorical columns of a table, as in `LogisticRegression`.
    missing_as_category : bool, default=False
        Whether missing values of a categorical column form their own category. Otherwise they raise an error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, float32 for float32 data and otherwise float64. With three or more classes, the coefficients and
        the intercepts sum to zero over the classes.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts, in the dtype of `coef_`; zeros if `fit_intercept` is False.
    n_iter_ : int
        Number of steps.
    converged_ : bool
        Whether the fit reached `tol`, or the best accuracy that rounding error permits.
    newton_decrement_ : float
        Length of the next Newton step in standard errors: the largest change of any linear combination of
        coefficients, relative to its standard error.
    penalized_log_likelihood_ : float
        Maximum of l + (log det I) / 2, where I is the Fisher information matrix of the coefficients of the original
        columns.
    log_likelihood_ : float
        Log-likelihood l at the estimates.
    fit_seconds_ : float
        Duration of the fit in seconds.
    n_samples_fit_ : int
        Number of rows in the training data.
    n_features_in_, feature_names_in_ : int and ndarray of shape (n_features,)
        Number and names of the features seen during `fit`; the names exist only if all of them are strings.
    categories_ : list of ndarray or None
        Categories of each column of X, in the order of their coefficients, or None for a numeric column. This attribute
        exists only if there are categorical columns.

    See Also
    --------
    LogisticRegression : Logistic regression with L2, L1 or elastic-net penalty, or without a penalty.

    References
    ----------
    .. [1] D. Firth (1993). Bias reduction of maximum likelihood estimates. Biometrika 80(1), 27-38.
    .. [2] I. Kosmidis and D. Firth (2011). Multinomial logit bias reduction via the Poisson log-linear model.
       Biometrika 98(3), 755-759.
    .. [3] G. Heinze and M. Schemper (2002). A solution to the problem of separation in logistic regression.
       Statistics in Medicine 21(16), 2409-2419.

    Examples
    --------
    >>> from fastlin import FirthLogisticRegression
    >>> X, y = [[1.0], [2.0], [3.0], [4.0]], [0, 0, 1, 1]
    >>> FirthLogisticRegression().fit(X, y).coef_.round(2)
    array([[1.31]])
    """

    tol: float = parameter(default=1e-6, accepts=["at least 0"])
    max_iter: int = parameter(default=200, accepts=["count"])

    n_iter_: int = fitted()
    converged_: bool = fitted()
    newton_decrement_: float = fitted()
    penalized_log_likelihood_: float = fitted()
    log_likelihood_: float = fitted()

    def fit(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Fit the model to the training data.

        Parameters
        ----------
        X, y : array-like
            Training data (including Blocks) and labels or soft labels, as in `LogisticRegression.fit`. Multilabel y is
            not supported.
        sample_weight : array-like of shape (n_samples,) or None
            Number of rows that each row represents, at least 0 and not all 0. None means that all weights are one.
            Unlike in `LogisticRegression`, the scale of the weights matters. For example, doubling all weights has the
            same effect as duplicating all rows.
        offset, classes : array-like or None
            Offsets of the decision function, and class labels of soft labels, as in `LogisticRegression.fit`.

        Returns
        -------
        self
            Fitted estimator.

        Raises
        ------
        ValueError
            If the data contain NaN or infinite values, if shapes are inconsistent, if y has a single class or
            continuous labels, if columns are linearly dependent, if the information matrix is too large, or if a
            parameter is invalid.
        """
        check_parameters(self)
        with restore_on_error(self), limit_jobs(self.n_jobs):
            data = validate_training_data(self, X, y, sample_weight, offset, classes)
            solution = maximize_likelihood(self._make_initial_state(data), self.tol, self.max_iter)
            state, likelihood = solution.state, solution.state.likelihood
            coef, intercept = state.extract_coefficients(choose_dtype(data.matrix, "auto"))
            if not solution.converged:
                warnings.warn(
                    f"The fit stopped after {solution.n_iter} iterations, before it reached tol={self.tol}: the next "
                    f"step would be {solution.newton_decrement:.2g} standard errors long. Increase max_iter (now "
                    f"{self.max_iter}) or tol.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            self.n_samples_fit_ = data.matrix.shape[0]
            self.classes_ = data.classes
            self.coef_, self.intercept_ = coef, intercept
            self.n_iter_, self.converged_, self.newton_decrement_ = (
                solution.n_iter,
                solution.converged,
                solution.newton_decrement,
            )
            self.log_likelihood_ = state.log_likelihood
            self.penalized_log_likelihood_ = likelihood.unscale_log_likelihood(state)
        return self

    def inference(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        *,
        reference: Any = None,
    ) -> FirthInference:
        """Compute standard errors, tests and confidence intervals of the coefficients.

        Standard errors are computed from the inverse Fisher information at the estimates. The p-values are those of
        penalized likelihood ratio tests, and the confidence intervals are those of the profile penalized likelihood.

        Parameters
        ----------
        X, y, sample_weight, offset : array-like
            Data on which this model was trained, as in `fit`. Soft labels are not supported.
        reference : object
            The reference class, whose coefficients are zero; None means the first of `classes_`. "symmetric" reports
            the coefficients of all classes, which sum to zero as in `coef_`.

        Returns
        -------
        FirthInference
            The estimates, their standard errors, tests and intervals.

        Raises
        ------
        ValueError
            If the data do not match the model.
        """
        with prepare_fit_data(self, X, y, sample_weight, offset) as data:
            classes, *coefficients = validate_coefficients(self)
            names, omitted = name_coefficients(self), find_omitted_categories(data, self.fit_intercept)
            initial_state = self._make_initial_state(data, coefficients)
            encode_rows = RowEncoder.from_model(self, np.arange(len(names)), omitted.unused_categories)
            return compute_firth_inference(initial_state, classes, names, omitted.name(names), reference, encode_rows)

    def _prepare_refits(self, data: TrainingData) -> RefitOptions:
        _, *coefficients = validate_coefficients(self)
        # The model cannot be fitted to a resample that lacks a category.
        omitted = find_omitted_categories(data, self.fit_intercept)

        def finish(begin, tol):
            solution = maximize_likelihood(begin, tol, self.max_iter)
            return ResampleFit(*solution.state.extract_coefficients(np.float64), np.inf, solution.converged)

        def refit(weights, check):
            _, begin = self._evaluate(replace(data, weights=weights), omitted, coefficients)
            return None if begin is None else finish(begin, BOOTSTRAP_TOL)

        initial_state = self._make_initial_state(data, coefficients)
        best, objective = finish(initial_state, self.tol), initial_state.likelihood.objective
        coefficients, point = list(best[:2]), None
        if objective.stores_probabilities:
            point = objective.at(
                objective.coordinates.to_parameters(*coefficients), out=objective.make_probability_buffer()
            )
        n_concurrent_fits = count_concurrent_fits(data.matrix, objective.shape, True)
        return RefitOptions(refit, best, point, initial_state.likelihood.free, n_concurrent_fits)

    def _evaluate(
        self, data: TrainingData, omitted: OmittedCategoryIndices, coefficients: Sequence[FloatArray] | None = None
    ) -> tuple[Likelihood, LikelihoodState | None]:
        """Return the Likelihood of `data`, and its state at `coefficients` or at the default starting point.

        Omitted categories have no coefficients. The state, a LikelihoodState, is None if the likelihood is not finite.
        """
        plain = LogisticRegression(C=np.inf, fit_intercept=self.fit_intercept)
        objective = Problem(plain, data).objective(np.inf, 0.0)
        K, size = objective.shape
        if not objective.budget.allows_hessian(max(1, K - 1) * size, 0):
            raise ValueError(
                f"The model has {K * size:,} parameters, so its information matrix is too large for Firth's penalty. "
                "Use fewer features or classes."
            )
        if not (objective.class_weights > 0).all():
            raise ValueError("FirthLogisticRegression requires rows of positive weight in each class.")
        is_free = np.ones(size, bool)
        is_free[omitted.reference_categories] = is_free[omitted.unused_categories] = False
        is_free[-1] = self.fit_intercept
        likelihood = Likelihood(objective, data.weight_unit, True, is_free)
        coordinates = objective.coordinates
        parameters = objective.start() if coefficients is None else coordinates.to_parameters(*coefficients)
        return likelihood, likelihood.at(likelihood.to_theta(parameters))

    def _make_initial_state(
        self, data: TrainingData, coefficients: Sequence[FloatArray] | None = None
    ) -> LikelihoodState:
        """Return the state from `_evaluate`. If it is None, raise a ValueError that names any collinear columns."""
        omitted = find_omitted_categories(data, self.fit_intercept)
        likelihood, state = self._evaluate(data, omitted, coefficients)
        if state is None:
            names, free = name_coefficients(self), likelihood.free
            columns = append_intercept(names[free[:-1]], self.fit_intercept)
            names[free[:-1]] = disambiguate_names(columns, omitted.name(names))[: np.count_nonzero(free[:-1])]
            check_collinearity(likelihood.objective, names, free)
            raise ValueError(
                "FirthLogisticRegression has no starting point, because the Fisher information is zero or overflows. "
                "Check the size of the offset, the range of the sample weights, and the scale of X."
            )
        return state

    def _describe_result(self):
        reached = "reached" if self.converged_ else "not reached"
        return {
            "data": describe_data(self),
            "penalized log-likelihood": f"{self.penalized_log_likelihood_:.9g}",
            "tol": f"{self.tol:g}, {reached}; the next step is {self.newton_decrement_:.1e} standard errors long",
            "iterations": f"{self.n_iter_:,}",
            "coefficients": describe_coef(self),
        }
