"""LogisticRegression: scikit-learn's estimator, with its penalties and attributes, fitted by fastlin's solvers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from fastlin.blocks.blocks import Blocks
from fastlin.estimators.coefficients import read_coefficients
from fastlin.estimators.endings import (
    Tasks,
    describe_linear_model,
    kept_on_error,
    show_iterations,
    tell_all,
    warn_of_end,
)
from fastlin.estimators.parameters import (
    TO_THE_CALLER_OF_FIT,
    Penalty,
    estimator,
    fitted,
    limit_jobs,
    parameter,
    read_penalty,
)
from fastlin.estimators.penalised_classifier import PenalisedClassifier
from fastlin.estimators.scikit_learn import check_parameters, has_callbacks, with_callbacks
from fastlin.estimators.summary import describe_coef, describe_data
from fastlin.estimators.training_data import read_training_data
from fastlin.fitted import as_array, read_finite
from fastlin.tensors import to_numbers
from fastlin.typing import IntArray, MatrixLike

if TYPE_CHECKING:
    from fastlin.solvers.solution import Iteration


@estimator
class LogisticRegression(PenalisedClassifier):
    """Logistic regression for two classes and softmax regression for more, with L2, L1, elastic-net or group penalty.

    This is a drop-in for scikit-learn's estimator of the same name, with its objective::

        J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (1 / (C S)) sum_j f_j ((1 - r) ||W_.j||^2 / 2 + r ||W_.j||_1)

    Here s_i is the sample weight times the class weight of row i and S is their sum. An `offset` of `fit` is added to
    ``W x_i + b``, and soft labels y_i replace l by its mean over the classes, by their probabilities. l is the logistic
    loss for two classes, else the softmax cross-entropy. r is the `l1_ratio`, f_j = 1 are the `penalty_factors`, and
    ``W_.j`` the coefficients of feature j over the classes. The intercept b is not penalised.

    Dense data of float64, float32, uint8, int8, int16 and bool are read in place, in any memory layout, unless X is
    small; float16 and bfloat16 are copied to float32, other types to float64. An L1 penalty takes one copy, transposed.
    Tensors in the processor's memory are read as NumPy's arrays, which predictions are. CSR with int32 or int64 indices
    is used as it is, beside one transposed copy, or as a dense copy where a third of X is filled and the copy takes no
    more than X or 64 MB; other sparse containers are converted once.
    There is no need to standardise columns for the solver's sake, whatever their scale and offset. The same data give
    the same bits for any number of threads.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet", None}, default="deprecated"
        Deprecated as in scikit-learn 1.8: use `l1_ratio` and `C`.
    C : float, default=1.0
        Inverse strength of the penalty, above 0; ``np.inf`` means no penalty.
    l1_ratio : float, default=0.0
        Share of the L1 penalty, from 0 to 1: 0 is the L2 penalty, 1 is the L1 penalty, which puts coefficients to
        zero exactly, and what lies between is the elastic net.
    warm_start : bool, default=False
        Whether a fit starts from the coefficients of the last one.
    dual : bool, default=False
        Accepted where scikit-learn accepts it; the primal problem has the same solution.
    tol : float, default=1e-4
        With ``solver="auto"`` the fit stops when J is proven to lie within tol * min(J_0 - J, J) of its minimum. J_0
        is the objective of the intercepts alone, so that J_0 - J is what the features gain. The fit of a small table,
        whose passes take microseconds, goes on to a hundredth of a tol of 1e-6 and more. Where no proof exists
        (``C=np.inf``), half the square of the Newton decrement estimates the distance. With any other solver the fit
        stops when no entry of the gradient of J exceeds tol, as in scikit-learn, and that distance is estimated to be
        within tol, or within thirty times tol, but no more than 3e-3, where no entry exceeds tol for five iterations in
        a row and J is proven to lie within a third of its minimum.
    intercept_scaling : float, default=1
        Accepted and without effect: no solver penalises the intercept.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, by which the sample weights of its rows are multiplied. "balanced" gives every class the
        same total weight. None gives every class the weight 1.
    random_state : int, RandomState or None, default=None
        Accepted and without effect: what a solver draws has a fixed seed.
    solver : str, default="auto"
        "auto" chooses by the shape of the data. Of scikit-learn's names, "lbfgs", "newton-cg" and "newton-cholesky"
        are what they say; the last one runs up to 4,096 coefficients and 4e11 multiply-adds for the sums of its Hessian
        over the rows, and L-BFGS runs for more. "liblinear", "sag" and "saga" take the solver that "auto" would. All
        find the minimum of J. With `l1_ratio` above 0, and with bounds, every name stands for proximal Newton.
    max_iter : int, default=1000
        Largest number of iterations of the solver. Where it is 0, coefficients and intercept are zero, or with
        `warm_start` those of the last fit.
    verbose : int, default=0
        Above 0, a line with iteration, objective, gap to the optimum and seconds is shown.
    penalty_factors : array-like of shape (n_features,) or None, default=None
        The f_j, at least 0, by which both penalties of a feature are multiplied; a feature of factor 0 is not
        penalised. They are not rescaled. None means ones.
    group_by_class : bool, default=False
        Whether the group lasso over the classes replaces the L1 penalty: ||W_.j||_2 in place of ||W_.j||_1, without a
        factor of sqrt(K). A feature is then in or out for all classes at once.
    lower_bounds, upper_bounds : float, dict or array-like of shape (n_features,) or that of `coef_`, default=None
        Bounds of the coefficients in the columns as they are given; 0 as lower bound lets none be negative. Those of
        one dimension hold for all classes, and a dict has a number for each feature that it names. None in the place of
        all of them is no bound, and infinity none for a feature. Every name of a solver stands for proximal Newton
        then. Coefficients at a bound are exactly there; float32 ones are rounded to the inside. Not with
        `group_by_class`.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    n_jobs : int or None, default=None
        Number of threads of fits and predictions, as joblib counts (-1: all processors). None takes all processors
        that the process may use.
    categorical_features : "from_dtype", array-like or None, default=None
        The columns of a table whose values are levels rather than numbers, as scikit-learn's
        `HistGradientBoostingClassifier` takes them. "from_dtype" means pandas' categories, polars' Categorical and Enum
        and Arrow dictionaries; an array names columns, gives their numbers or is a mask. Each level has coefficients of
        its own, as after a one-hot encoding, which is never made. None reads X as scikit-learn does.
    missing_level : bool, default=False
        Whether the missing values of a categorical column are a level of their own. Otherwise they are an error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes, sorted.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, float32 for float32 data, else float64, and float64 with ``solver="liblinear"``. For three classes
        and more the intercepts sum to zero over the classes, and so do coefficients without an L1 penalty.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts in the type of `coef_`; zeros without `fit_intercept`.
    n_iter_ : ndarray of shape (1,), int32
        Number of iterations of the solver.
    certificate_ : float
        Upper bound on J - J*, the distance to the minimum; inf where none is known. With ``C=np.inf``, or a penalty
        factor of 0, Newton's steps with the whole Hessian give one, and so do fits in which each coefficient that is
        not penalised has both bounds.
    converged_ : bool
        Whether tol was reached, or the floor that rounding sets, in float32 that of `coef_` too; `summary` names it.
    n_passes_ : float
        Number of passes over X; a pass over a tenth of the rows counts as a tenth.
    history_ : list
        For each iteration `objective` (J), `bound` (on J - J*, proven where it was computed in float64), `gradient`
        (the largest entry of the gradient of J), `n_passes` and `seconds`, both from the start of the fit. Wide data
        are fitted in the space of their rows, where both are estimated: `bound` as if the intercept were stationary,
        `gradient` from above.
    fit_seconds_ : float
        Seconds that the fit took.
    n_samples_fit_ : int
        Number of rows of the fit.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X has names that are strings.
    categories_ : list of ndarray or None
        For each column of X its levels, in the order of their coefficients, or None for numbers. A level of missing
        values is the last, NaN. It exists where columns are categorical.

    See Also
    --------
    LogisticRegressionCV : Chooses C by cross-validation.
    logistic_path : Fits many values of C.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> LogisticRegression().fit(X, y).score(X, y)
    0.97...
    """

    penalty: Penalty | Literal["deprecated"] | None = parameter(
        default="deprecated", accepts=[Penalty, None, "deprecated"], kw_only=False
    )
    C: float = parameter(default=1.0, accepts=["above 0, or inf"])
    l1_ratio: float | None = parameter(default=0.0, accepts=["from 0 to 1", None])
    warm_start: bool = parameter(default=False, accepts=["boolean"])

    n_iter_: IntArray = fitted()
    certificate_: float = fitted()
    converged_: bool = fitted()
    n_passes_: float = fitted()
    history_: list[Iteration] = fitted()

    _scikit_learn_name = "LogisticRegression"

    def fit(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            Rows of finite numbers. Those of `fastlin.blocks` need not lie in memory.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels of at least two classes: numbers, strings or bools. Floats in at least two columns, not all of them 0
            or 1, are soft labels: the probability of each class, at least 0, which sum to one in each row within 1e-5.
            A row then counts as weighted copies of it would, one for each class. None only where X is Blocks that hold
            labels.
        sample_weight : array-like of shape (n_samples,) or None
            Weights of the rows, at least 0 and not all 0; None means ones.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), or None
            Finite numbers that are added to the scores of the rows: one for each row with two classes, else one for
            each row and class. Predictions take them anew. For Blocks it is an array of all rows.
        classes : array-like of shape (n_classes,) or None
            The classes of the columns of soft labels, sorted; None means numbers from 0 on. For other labels, those
            that y has: where it has others, or lacks one, that is an error.
        coef_init : array-like of shape (1, n_features) or (n_classes, n_features), or None
            Coefficients that the fit starts from, in the shape of `coef_`, whatever `warm_start` says. None means zeros
            where `intercept_init` is given, or else that the solver chooses its start. A start where J is larger than
            at the best intercepts alone is left out. What is outside of bounds starts at them.
        intercept_init : array-like of shape (1,) or (n_classes,), or None
            Intercepts that the fit starts from, likewise; without `fit_intercept` they do not count.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            For NaN or infinite values, wrong shapes, one class, continuous labels, soft labels that are no
            probabilities, sparse X whose index arrays point outside of X, and parameters out of range.
        """
        read = partial(read_training_data, offset=offset, classes=classes)
        with kept_on_error(self):
            return self._fit(X, y, sample_weight, coef_init, intercept_init, read)

    def _fit(self, X, y, sample_weight, coef_init, intercept_init, read=read_training_data):
        from fastlin.estimators.problem import Problem

        check_parameters(self)
        C, l1_ratio = read_penalty(self.penalty, self.C, self.l1_ratio)
        with limit_jobs(self.n_jobs):
            data = read(self, X, y, sample_weight)
            starts = self._starts(data, coef_init, intercept_init)
            problem = Problem(self, data)
            minimize = partial(problem.minimize, C, l1_ratio, starts)
            # scikit-learn's context of callbacks takes as long as reading X.
            is_watched = self.verbose or has_callbacks(self)
            fit = self._minimize_and_tell(minimize, X, y, sample_weight, data) if is_watched else minimize()
        solution = fit.solution
        if not solution.converged:
            warn_of_end(self, solution, stacklevel=TO_THE_CALLER_OF_FIT)
        self.n_samples_fit_ = data.matrix.shape[0]
        self.classes_ = data.classes
        self.coef_ = fit.coef
        self.intercept_ = fit.intercept
        self.n_iter_ = np.array([solution.n_iter], dtype=np.int32)
        self.n_passes_ = solution.n_passes
        self.certificate_ = fit.certificate
        self.converged_ = solution.converged
        self.history_ = solution.history
        return self

    def _describe_result(self):
        lines, gap = {"data": describe_data(self)}, 0.0
        # A model that was made from scikit-learn's has no fit, and a fit that needs no iteration no history.
        if getattr(self, "history_", None):
            objective = self.history_[-1].objective
            gap = self.certificate_ / objective if objective > 0 else np.inf
            proven = "without a bound on the distance from its minimum"
            if gap < np.inf:
                proven = f"proven within {gap:.1e} of its minimum, relative to it"
            lines["objective"] = f"{objective:.9g}, {proven}"
        if hasattr(self, "converged_"):
            # Other solvers ask for a small gradient, whatever the gap.
            floor = f" as far as {self.coef_.dtype} allows" if self.solver == "auto" and self.tol < gap < np.inf else ""
            # The last iteration knows nothing of the type of the coefficients.
            is_rounded = floor and self.history_ and self.history_[-1].bound < 0.5 * self.certificate_
            floor += "; X in float64 allows more" if is_rounded else ""
            lines["tol"] = f"{self.tol:g}, reached{floor}" if self.converged_ else f"{self.tol:g}, not reached"
            lines["iterations"] = f"{self.n_iter_[0]:,}, {self.n_passes_:.1f} passes over the data"
        return {**lines, "coefficients": describe_coef(self)}

    @with_callbacks
    def _minimize_and_tell(self, minimize, X, y, sample_weight, data):
        """Return the Fit that a function finds, and tell the callbacks, which get what `fit` was given."""
        describe = describe_linear_model(data.classes)
        tasks = Tasks(self, X, y, sample_weight, describe).begin_fit()
        count_read_bytes = data.matrix.count_read_bytes if isinstance(X, Blocks) else None
        with show_iterations(self.verbose, count_read_bytes) as show:
            fit = minimize(on_iteration=tell_all(show, tasks))
        if tasks is not None:
            tasks.end(fit.coef, fit.intercept)
        return fit

    def _starts(self, data, coef_init, intercept_init):
        """Return the points to start from, pairs of coef (K, d) and intercept (K,): those given, or the last fit's."""
        shape = 1 if len(data.classes) == 2 else len(data.classes), data.matrix.shape[1]
        given = {"coef_init": coef_init, "intercept_init": intercept_init}
        if coef_init is None and intercept_init is None:
            if not (self.warm_start and hasattr(self, "coef_")):
                return []
            found = getattr(self.coef_, "shape", None)
            if found != shape:
                raise ValueError(
                    f"warm_start needs coef_ of shape {shape}, but the last fit left {found}; make a new estimator for "
                    "data of another shape."
                )
            # Who sets coef_ and intercept_ to start from need not set classes_.
            _, coef, intercept = read_coefficients(self, shape[1], None if hasattr(self, "classes_") else data.classes)
            given = {"coef_": coef, "intercept_": intercept}
        reason, point = f", for {len(data.classes)} classes and {shape[1]} features", []
        for (name, values), expected in zip(given.items(), (shape, shape[:1]), strict=True):
            # What is not given begins at zero.
            values = np.zeros(expected) if values is None else to_numbers(as_array(name, values))
            point.append(read_finite(name, values, expected, reason).astype(np.float64))
        return [(point[0], point[1] if self.fit_intercept else np.zeros(shape[0]))]
