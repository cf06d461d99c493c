"""FirthLogisticRegression: logistic and softmax regression with Firth's bias-reducing penalty."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fastlin.blocks.blocks import Blocks
from fastlin.coefficient_names import append_intercept, describe_each
from fastlin.estimators.columns import choose_dtype, name_coefficients
from fastlin.estimators.labels import TrainingData, read_training_data
from fastlin.estimators.linear_predictions import LinearPredictions, read_coefficients
from fastlin.estimators.logistic_regression import LogisticRegression, Resampling, reading_known_data
from fastlin.estimators.parameters import estimator, fitted, limit_jobs, parameter
from fastlin.estimators.problem import LevelsLeftOut, Problem, count_fits_at_once, find_left_out
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.estimators.stop_reasons import restored_on_error
from fastlin.estimators.summary import FitSummary, describe_coef, describe_data
from fastlin.exceptions import ConvergenceWarning
from fastlin.inference.bootstrap import Refits, ResampleFit
from fastlin.inference.collinearity import check_collinearity
from fastlin.inference.firth_inference import FirthInference, compute_firth_inference
from fastlin.inference.likelihood import Likelihood, State
from fastlin.inference.profile import maximize
from fastlin.typing import FloatArray, MatrixLike

# By how much of its standard error a coefficient of a resample would still move.
RESAMPLED_TOL = 1e-3


@estimator
class FirthLogisticRegression(Resampling, FitSummary, LinearPredictions):
    """Logistic and softmax regression by Firth's penalized likelihood, for few rows, rare classes and separated data.

    The fit maximizes::

        l(W, b) + (1/2) log det I(W, b)

    Here l is the log-likelihood, sum_i s_i log p_i(y_i), s_i the sample weight of a row, which counts as that many
    rows, and I its Fisher information. The penalty takes away the bias of order 1/n that the maximum of the likelihood
    has [1]_, for softmax too [2]_. Its maximum is finite also where the classes are separable [3]_. A linear map of the
    columns, or another reference class, changes coefficients as it does without a penalty. A sum of n p^2 (K - 1)^2
    products is made in each iteration, p being the number of columns with the intercept.

    Dense and sparse data, blocks, and tables with categorical columns are read as `LogisticRegression` reads them. The
    coefficients of the first level of a categorical column that has rows with a weight are zero, except for the first
    such column of a model without an intercept. So are those of levels without such rows. The same data give the same
    bits for any number of threads.

    Parameters
    ----------
    tol : float, default=1e-6
        The fit stops when the next step, I^-1 times the penalized score, would move neither a coefficient nor a linear
        function of them by more than tol of its standard error.
    max_iter : int, default=200
        Largest number of steps. A step is halved until the penalized likelihood does not fall.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    n_jobs : int or None, default=None
        Number of threads of fits and predictions, as joblib counts (-1: all processors). None takes all processors
        that the process may use.
    categorical_features : "from_dtype", array-like or None, default=None
        The columns of a table whose values are levels rather than numbers, as `LogisticRegression` takes them.
    missing_as_category : bool, default=False
        Whether the missing values of a categorical column are a level of their own. Otherwise they are an error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes, sorted.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, float32 for float32 data, else float64. For three classes and more they and the intercepts sum to
        zero over the classes.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts in the type of `coef_`; zeros without `fit_intercept`.
    n_iter_ : int
        Number of steps.
    converged_ : bool
        Whether tol was reached, or the floor that rounding sets.
    distance_ : float
        By how many standard errors the next step would move what it moves most.
    penalized_log_likelihood_ : float
        The maximum, l + log det I / 2, with I by the coefficients of the columns as given.
    log_likelihood_ : float
        l at its maximum.
    fit_seconds_ : float
        Seconds that the fit took.
    n_samples_fit_ : int
        Number of rows of the fit.
    n_features_in_, feature_names_in_ : int and ndarray of shape (n_features,)
        Number of features of X, and their names, where X has names that are strings.
    categories_ : list of ndarray or None
        For each column of X its levels, in the order of their coefficients, or None for numbers. It exists where
        columns are categorical.

    See Also
    --------
    LogisticRegression : Penalizes the size of coefficients.

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
    distance_: float = fitted()
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
        """Fit the model.

        Parameters
        ----------
        X, y : array-like
            Rows, or Blocks, and labels or soft labels as `LogisticRegression.fit` takes them; not several labels a row.
        sample_weight : array-like of shape (n_samples,) or None
            How many rows each row stands for, at least 0 and not all 0; None means ones. Other than with
            `LogisticRegression` a common factor of them counts, as that many more rows do.
        offset, classes : array-like or None
            Numbers added to the scores, and the classes of soft labels, as `LogisticRegression.fit` takes them.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            For NaN or infinite values, wrong shapes, one class, continuous labels, columns that depend linearly on
            others, an information matrix that is too large, and parameters out of range.
        """
        check_parameters(self)
        with restored_on_error(self), limit_jobs(self.n_jobs):
            data = read_training_data(self, X, y, sample_weight, offset, classes)
            found = maximize(self._begin(data), self.tol, self.max_iter)
            state, likelihood = found.state, found.state.likelihood
            coef, intercept = state.read_off(choose_dtype(data.matrix, "auto"))
            if not found.converged:
                warnings.warn(
                    f"The fit stopped after {found.n_iter} iterations, before tol={self.tol} was reached: the next "
                    f"step would move some coefficient by {found.distance:.2g} of its standard error. Raise max_iter "
                    f"(now {self.max_iter}) or tol.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            self.n_samples_fit_ = data.matrix.shape[0]
            self.classes_ = data.classes
            self.coef_, self.intercept_ = coef, intercept
            self.n_iter_, self.converged_, self.distance_ = found.n_iter, found.converged, found.distance
            self.log_likelihood_ = state.log_likelihood
            self.penalized_log_likelihood_ = likelihood.convert_value(state)
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
        """Return standard errors, tests and intervals of the coefficients.

        Standard errors come from the inverse information at the estimates, p-values and intervals from the penalized
        likelihood and its profile.

        Parameters
        ----------
        X, y, sample_weight, offset : array-like
            The rows of the fit, their labels, weights and offsets, as `fit` takes them; no soft labels.
        reference : object
            The class whose coefficients are zero; None means the first of `classes_`. "symmetric" reports
            coefficients of all classes, which sum to zero, as `coef_` does.

        Returns
        -------
        FirthInference
            The estimates, their errors, and the likelihoods.

        Raises
        ------
        ValueError
            The rows do not fit the model.
        """
        with reading_known_data(self, X, y, sample_weight, offset) as data:
            classes, *found = read_coefficients(self)
            names, levels = name_coefficients(self), find_left_out(data, self.fit_intercept)
            return compute_firth_inference(self._begin(data, found), classes, names, levels.name(names), reference)

    def _prepare_refits(self, data: TrainingData) -> Refits:
        _, *found = read_coefficients(self)
        # A resample without a row of some level has no fit.
        levels = find_left_out(data, self.fit_intercept)

        def finish(begin, tol):
            end = maximize(begin, tol, self.max_iter)
            return ResampleFit(*end.state.read_off(np.float64), np.inf, end.converged)

        def refit(weights, check):
            _, begin = self._evaluate(replace(data, weights=weights), levels, found)
            return None if begin is None else finish(begin, RESAMPLED_TOL)

        whole = self._begin(data, found)
        best, objective = finish(whole, self.tol), whole.likelihood.objective
        found, point = list(best[:2]), None
        if objective.keeps_probabilities:
            point = objective.at(objective.coordinates.to_parameters(*found), out=objective.make_buffer())
        at_once = count_fits_at_once(data.matrix, objective.shape, True)
        return Refits(refit, best, point, whole.likelihood.free, at_once)

    def _evaluate(
        self, data: TrainingData, levels: LevelsLeftOut, found: Sequence[FloatArray] | None = None
    ) -> tuple[Likelihood, State | None]:
        """Return the penalized likelihood of data, and its State at coefficients and intercepts, or at the start.

        The levels that are left out have no coefficients.
        """
        plain = LogisticRegression(C=np.inf, fit_intercept=self.fit_intercept)
        objective = Problem(plain, data).objective(np.inf, 0.0)
        K, size = objective.shape
        if not objective.budget.holds_hessian(max(1, K - 1) * size, 0):
            raise ValueError(
                f"The model has {K * size:,} parameters, whose information is too large for Firth's penalty; it takes "
                "fewer features or classes."
            )
        if not (objective.class_weights > 0).all():
            raise ValueError("FirthLogisticRegression needs rows of weight above zero in each of the classes.")
        free = np.ones(size, bool)
        free[levels.references] = free[levels.unused] = False
        free[-1] = self.fit_intercept
        likelihood = Likelihood(objective, data.weight_unit, True, free)
        parameters = objective.start() if found is None else objective.coordinates.to_parameters(*found)
        return likelihood, likelihood.at(likelihood.to_theta(parameters))

    def _begin(self, data: TrainingData, found: Sequence[FloatArray] | None = None) -> State:
        """Return the State of `_evaluate`; ValueError: there is none, and which columns depend on others, if any."""
        levels = find_left_out(data, self.fit_intercept)
        likelihood, state = self._evaluate(data, levels, found)
        if state is None:
            names, free = name_coefficients(self), likelihood.free
            columns = append_intercept(names[free[:-1]], self.fit_intercept)
            names[free[:-1]] = describe_each(columns, levels.name(names))[: np.count_nonzero(free[:-1])]
            check_collinearity(likelihood.objective, names, free)
            raise ValueError(
                "FirthLogisticRegression finds no start: the information of the rows is zero, or overflows, by the "
                "size of the offset, by weights of far different sizes, or by the scale of X."
            )
        return state

    def _describe_result(self):
        reached = "reached" if self.converged_ else "not reached"
        return {
            "data": describe_data(self),
            "penalized log-likelihood": f"{self.penalized_log_likelihood_:.9g}",
            "tol": f"{self.tol:g}, {reached}; the next step moves by {self.distance_:.1e} standard errors",
            "iterations": f"{self.n_iter_:,}",
            "coefficients": describe_coef(self),
        }
