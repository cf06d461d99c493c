"""LogisticRegression: scikit-learn's estimator, with its penalties and attributes, fitted by fastlin's solvers."""

import warnings

import joblib
import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from fastlin.estimators.kept_on_error import kept_on_error
from fastlin.estimators.problem import Problem
from fastlin.estimators.progress import show_iterations
from fastlin.estimators.training_data import read_matrix, read_training_data
from fastlin.kernels.machine.threads import limit_threads
from fastlin.matrices import as_matrix
from fastlin.solvers.stopping import SEPARABLE

SOLVERS = {"auto", "lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"}


class LogisticRegression(ScikitLearnLogisticRegression):
    """Logistic regression for two classes, softmax regression for more, with L2, L1, elastic-net or group penalty.

    A drop-in for scikit-learn's estimator of the same name, with its objective::

        J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (1 / (C S)) sum_j f_j ((1 - r) ||W_.j||^2 / 2 + r ||W_.j||_1)

    with s_i the sample weight times the class weight of row i, S their sum, l the logistic loss (two classes) or
    the softmax cross-entropy, r the `l1_ratio`, f_j = 1 the `penalty_factors`, W_.j the coefficients of feature j over
    the classes; the intercept b is not penalised. Dense data of float64, float32, uint8, int8, int16, int32 and bool
    are used in place, in any memory layout, without a copy; an L1 penalty takes one, transposed. Sparse data of real
    numbers are never made dense: CSR with int32 or int64 indices is used as it is, beside one transposed copy; other
    containers are converted once. Columns of any scale and offset are dealt with: there is no need to standardise them
    for the solver's sake. The same data give the same bits for any number of threads.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet", None}, default="deprecated"
        Deprecated as in scikit-learn 1.8: use `l1_ratio` and `C`.
    C : float, default=1.0
        Inverse strength of the penalty, > 0; ``np.inf`` means none.
    l1_ratio : float, default=0.0
        From 0 to 1: 0 is the L2 penalty, 1 is L1, which puts coefficients to zero exactly, between them both.
    dual : bool, default=False
        Accepted where scikit-learn accepts it; the primal problem has the same solution.
    tol : float, default=1e-4
        With ``solver="auto"`` the fit stops when J is proven to lie within tol * J of its minimum; where no proof
        exists (``C=np.inf``), when half the square of the Newton decrement, an estimate of that distance, is below.
        With any other solver: when no entry of the gradient of J exceeds tol, as scikit-learn's lbfgs and newton-cg.
    fit_intercept : bool, default=True
    intercept_scaling : float, default=1
        Accepted and without effect: no solver penalises the intercept.
    class_weight : dict, "balanced" or None, default=None
    random_state : int, RandomState or None, default=None
        Accepted and without effect: no solver draws random numbers.
    solver : str, default="auto"
        "auto" picks by the shape of the data. Of scikit-learn's names "lbfgs", "newton-cg" and "newton-cholesky" (up
        to 4,096 coefficients, then L-BFGS) are what they say; "liblinear", "sag" and "saga" take the solver that
        "auto" would. All find the minimum of J. With `l1_ratio` above 0 every name stands for proximal Newton.
    max_iter : int, default=1000
        Iterations of the solver.
    verbose : int, default=0
        Above 0, a line with iteration, objective, gap to the optimum and seconds.
    warm_start : bool, default=False
        Start from the last fit's coefficients.
    n_jobs : int or None, default=None
        Number of threads, as joblib counts (-1: all processors); None: all that the process may use.
    penalty_factors : array-like of shape (n_features,) or None, default=None
        f_j >= 0, by which both penalties of a feature are multiplied; 0: not penalised. They are not rescaled. None
        means ones.
    group_by_class : bool, default=False
        The group lasso over the classes: ||W_.j||_2 in place of ||W_.j||_1 (without a factor of sqrt(K)), so that a
        feature is in or out for all classes at once.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        float32 for float32 data, else float64. For three classes and more the intercepts sum to zero over the classes,
        and so do coefficients that no L1 penalty weighs.
    intercept_ : ndarray of shape (1,) or (n_classes,)
    n_iter_ : ndarray of shape (1,), int32
    certificate_ : float
        Upper bound on J - J*, the distance to the minimum; inf where none exists (``C=np.inf``, or a penalty factor of
        0).
    converged_ : bool
        Whether tol was reached, or the floor that rounding sets.
    n_passes_ : float
        Walks over X; a walk over a tenth of the rows is a tenth.
    history_ : list
        Per iteration ``objective`` (J), ``bound`` (on J - J*: proven where computed in float64), ``gradient`` (its
        largest entry), ``n_passes`` and ``seconds``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where X has string column names.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> LogisticRegression().fit(X, y).score(X, y)
    0.97...
    """

    _parameter_constraints = {
        **ScikitLearnLogisticRegression._parameter_constraints,
        "solver": [StrOptions(SOLVERS)],
        "penalty_factors": ["array-like", None],
        "group_by_class": ["boolean"],
    }

    def __init__(
        self,
        penalty="deprecated",
        *,
        C=1.0,
        l1_ratio=0.0,
        dual=False,
        tol=1e-4,
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        random_state=None,
        solver="auto",
        max_iter=1000,
        verbose=0,
        warm_start=False,
        n_jobs=None,
        penalty_factors=None,
        group_by_class=False,
    ):
        self.penalty_factors = penalty_factors
        self.group_by_class = group_by_class
        super().__init__(
            penalty,
            C=C,
            l1_ratio=l1_ratio,
            dual=dual,
            tol=tol,
            fit_intercept=fit_intercept,
            intercept_scaling=intercept_scaling,
            class_weight=class_weight,
            random_state=random_state,
            solver=solver,
            max_iter=max_iter,
            verbose=verbose,
            warm_start=warm_start,
            n_jobs=n_jobs,
        )

    def fit(self, X, y, sample_weight=None):
        """Fit the model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Finite.
        y : array-like of shape (n_samples,)
            Labels: numbers, strings or bools, of at least two classes.
        sample_weight : array-like of shape (n_samples,) or None
            At least 0 and not all 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For NaN or infinite values, wrong shapes, one class, continuous labels, sparse X whose index arrays point
            outside of it, and parameters out of range.
        """
        with kept_on_error(self):
            return self._fit(X, y, sample_weight)

    def _fit(self, X, y, sample_weight):
        self._validate_params()
        C, l1_ratio = self._effective_penalty()
        data = read_training_data(self, X, y, sample_weight)
        with limit_threads(self._thread_limit()), show_iterations(self.verbose) as on_iteration:
            problem = Problem(self, data)
            fit = problem.minimize(C, l1_ratio, self._starts(data), on_iteration)
        solution = fit.solution
        if not solution.converged:
            warnings.warn(self._describe_end(solution), ConvergenceWarning, stacklevel=3)
        self.classes_ = data.classes
        self.coef_ = fit.coef
        self.intercept_ = fit.intercept
        self.n_iter_ = np.array([solution.n_iter], dtype=np.int32)
        self.n_passes_ = solution.n_passes
        self.certificate_ = fit.certificate
        self.converged_ = solution.converged
        self.history_ = solution.history
        return self

    def _describe_end(self, solution):
        """Return what to say of a fit that did not reach tol."""
        if solution.message == SEPARABLE:
            return (
                f"The classes are separable by features without a penalty (C={self.C}, or a penalty factor of 0): the "
                "objective falls towards 0 and the coefficients grow without end. The fit stopped at an objective of "
                f"{solution.value:.3g}, where every row is classified right; use a finite C and factors above 0."
            )
        relative = solution.certificate / solution.value if solution.value > 0 else np.inf
        reached = (
            f"the objective is proven to be within {relative:.2g} of its minimum, relative to it"
            if np.isfinite(relative)
            else "where some coefficient has no penalty there is no bound on the distance to the minimum"
        )
        return (
            f"The fit stopped after {solution.n_iter} iterations before it reached tol={self.tol} "
            f"({solution.message}); {reached}. Raise max_iter (now {self.max_iter}) or tol."
        )

    def decision_function(self, X):
        """Return the scores ``X coef_' + intercept_``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes)
        """
        check_is_fitted(self)
        if sparse.issparse(self.coef_):
            return super().decision_function(as_matrix(X).X if sparse.issparse(X) else X)
        matrix, coef, intercept = self._prepare_scoring(X)
        scores = matrix.compute_scores(coef, intercept)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X):
        """Return the class of the largest score of each row.

        The scores of all rows are never held at once.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        if sparse.issparse(self.coef_):
            return super().predict(as_matrix(X).X if sparse.issparse(X) else X)
        matrix, coef, intercept = self._prepare_scoring(X)
        return self.classes_[matrix.find_best_class(coef, intercept)]

    def _prepare_scoring(self, X):
        """Return X as a matrix, coefficients and intercept in the types that scores are computed from."""
        matrix = read_matrix(self, X, reset=False)
        dtype = np.float32 if matrix.dtype == self.coef_.dtype == np.float32 else np.float64
        return matrix, self.coef_.astype(dtype), np.atleast_1d(self.intercept_)

    def set_callbacks(self, *callbacks):
        """Warn: callbacks are not called by any of fastlin's solvers yet."""
        warnings.warn(
            "fastlin.LogisticRegression does not call callbacks yet; verbose=1 prints a line per iteration, and "
            "history_ holds them.",
            stacklevel=2,
        )
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = False
        return tags

    def _effective_penalty(self):
        """Return C and l1_ratio after the deprecated penalty, with the warnings and errors of scikit-learn 1.9."""
        penalty, C, l1_ratio = self.penalty, self.C, self.l1_ratio
        if penalty != "deprecated":
            warnings.warn(
                "'penalty' was deprecated in scikit-learn 1.8 and goes in 1.10. Use l1_ratio=0 instead of "
                "penalty='l2', l1_ratio=1 instead of penalty='l1', l1_ratio between 0 and 1 instead of "
                "penalty='elasticnet', and C=np.inf instead of penalty=None.",
                FutureWarning,
                stacklevel=4,
            )
        if l1_ratio is None:
            if penalty == "elasticnet":
                raise ValueError("l1_ratio must be a number from 0 to 1 where penalty='elasticnet', got None.")
            warnings.warn(
                "'l1_ratio=None' was deprecated in scikit-learn 1.8 and goes in 1.10. Use a number from 0 to 1.",
                FutureWarning,
                stacklevel=4,
            )
            l1_ratio = 0
        if penalty is None and C != 1.0:
            warnings.warn("Setting penalty=None will ignore the C and l1_ratio parameters", stacklevel=4)
        if (penalty == "l2" and l1_ratio != 0) or (penalty == "l1" and l1_ratio != 1):
            warnings.warn(
                f"Inconsistent values: penalty={penalty!r} with l1_ratio={l1_ratio}; the penalty counts. Use l1_ratio "
                "alone.",
                stacklevel=4,
            )
        if penalty is None or (penalty == "deprecated" and C == np.inf):
            C, l1_ratio = np.inf, 0
        elif penalty in ("l1", "l2"):
            l1_ratio = {"l1": 1, "l2": 0}[penalty]
        return C, l1_ratio

    def _starts(self, data):
        """Return a list of coef (K, d) and intercept (K,) of the last fit with warm_start, else an empty one."""
        if not (self.warm_start and hasattr(self, "coef_")):
            return []
        shape = 1 if len(data.classes) == 2 else len(data.classes), data.matrix.shape[1]
        coef = self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_
        if coef.shape != shape:
            raise ValueError(
                f"warm_start needs coef_ of shape {shape}, but the last fit left {coef.shape}; make a new "
                "estimator for data of another shape."
            )
        intercept = self.intercept_ if self.fit_intercept else np.zeros(shape[0])
        return [(coef.astype(np.float64), np.asarray(intercept, np.float64))]

    def _thread_limit(self):
        """Return how many threads n_jobs allows, or None where it does not say."""
        return None if self.n_jobs is None else joblib.effective_n_jobs(self.n_jobs)
