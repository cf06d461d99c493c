"""LogisticRegression: scikit-learn's estimator, fitted through one fused walk over the data per iteration."""

import warnings

import joblib
import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, assert_all_finite, check_is_fitted, validate_data

from fastlin.estimators.progress import show_iterations
from fastlin.kernels.threads import limit_threads
from fastlin.objective import LinearObjective, compute_scores, find_best_class, measure_columns
from fastlin.solvers import choose
from fastlin.solvers.stopping import SEPARABLE

# The types that are read as they are; anything else becomes float64.
DTYPES = [np.float64, np.float32, np.uint8, np.int8, np.int16, np.int32, np.bool_]
# Whole numbers as labels are counted rather than sorted where they span no more than this, or the number of rows.
LABEL_RANGE = 10_000
SOLVERS = {"auto", "lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"}


class LogisticRegression(ScikitLearnLogisticRegression):
    """Logistic regression for two classes, softmax regression for more, with an L2 penalty: a drop-in.

    It minimises the objective of scikit-learn's estimator of the same name::

        J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (1 / (2 C S)) ||W||^2

    with s_i the sample weight times the class weight of row i, S their sum, l the logistic loss (two classes) or
    the softmax cross-entropy; the intercept b is not penalised. Dense data of float64, float32, uint8, int8, int16,
    int32 and bool are used in place, in any memory layout, without a copy. Columns of any scale and offset are dealt
    with: there is no need to standardise them for the solver's sake. The same data give the same bits for any number
    of threads.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet", None}, default="deprecated"
        Deprecated as in scikit-learn 1.8: use `l1_ratio` and `C`.
    C : float, default=1.0
        Inverse strength of the penalty, > 0; ``np.inf`` means none.
    l1_ratio : float, default=0.0
        Only 0 is built so far: a larger one raises NotImplementedError.
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
        "auto" would. All find the minimum of J.
    max_iter : int, default=1000
        Iterations of the solver.
    verbose : int, default=0
        Above 0, a line with iteration, objective, gap to the optimum and seconds.
    warm_start : bool, default=False
        Start from the last fit's coefficients.
    n_jobs : int or None, default=None
        Number of threads, as joblib counts (-1: all processors); None: all that the process may use.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        float32 for float32 data, else float64. For three classes and more they sum to zero over the classes.
    intercept_ : ndarray of shape (1,) or (n_classes,)
    n_iter_ : ndarray of shape (1,), int32
    certificate_ : float
        Upper bound on J - J*, the distance to the minimum; inf where none exists (``C=np.inf``).
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
    ):
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
        X : array-like of shape (n_samples, n_features)
            Dense and finite.
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
            For NaN or infinite values, wrong shapes, one class, continuous labels, and parameters out of range.
        NotImplementedError
            For sparse X and for an L1 or elastic-net penalty.
        """
        before = self.__dict__.copy()
        try:
            return self._fit(X, y, sample_weight)
        except BaseException:
            # Also n_features_in_ of the last fit, which the checks of X overwrite.
            self.__dict__ = before
            raise

    def _fit(self, X, y, sample_weight):
        self._validate_params()
        C = self._effective_C()
        if sparse.issparse(X):
            raise NotImplementedError(
                "fastlin.LogisticRegression does not fit sparse X yet; pass X.toarray() if that fits into memory, "
                "or use sklearn.linear_model.LogisticRegression."
            )
        X, y = validate_data(self, X, y, dtype=DTYPES, ensure_all_finite=False)
        classes, labels = _encode(y)
        n_classes = len(classes)
        if n_classes < 2:
            raise ValueError(
                f"LogisticRegression needs samples of at least 2 classes in y, but y contains only one class: "
                f"{classes[0]}"
            )
        if self.solver == "liblinear" and n_classes > 2:
            raise ValueError(
                "The 'liblinear' solver does not support multiclass classification (n_classes >= 3), as in "
                "scikit-learn; use solver='auto', or wrap the estimator in a OneVsRestClassifier."
            )
        weights = self._row_weights(X, y, classes, labels, sample_weight)
        total, unit = float(len(y)), 1.0
        if weights is not None:
            # Only their ratios count below: of order one they survive float32, and their sum does not overflow.
            unit = 2.0 ** np.floor(np.log2(weights.max()))
            weights /= unit
            total = float(weights.sum())
        # C = inf gives 0; a C so small that this overflows is as good as the largest finite penalty.
        l2 = min(1.0 / C / total / unit, np.finfo(np.float64).max)
        with limit_threads(None if self.n_jobs is None else joblib.effective_n_jobs(self.n_jobs)):
            columns = measure_columns(X, weights)
            if not columns.finite:
                assert_all_finite(X, estimator_name=type(self).__name__, input_name="X")
            objective = LinearObjective(
                X, labels, n_classes, weights=weights, l2=l2, fit_intercept=self.fit_intercept, columns=columns
            )
            try:
                with show_iterations(self.verbose) as on_iteration:
                    solution = choose.minimize(
                        objective,
                        self._start(objective),
                        solver=self.solver,
                        tol=self.tol,
                        max_iter=self.max_iter,
                        on_iteration=on_iteration,
                    )
                dtype = np.float32 if X.dtype == np.float32 else np.float64
                coef, intercept, certificate = objective.finish(solution, dtype)
            except OverflowError as error:
                largest = columns.largest.max()
                raise ValueError(
                    f"X {'overflows' if largest > 1 else 'underflows'}: its values reach {largest:.3g}, so that sums "
                    f"over its rows or the coefficients leave the range of {X.dtype}. Scale X, for instance with "
                    "sklearn.preprocessing.StandardScaler."
                ) from error
        if not solution.converged:
            warnings.warn(self._describe_end(solution), ConvergenceWarning, stacklevel=3)
        self.classes_ = classes
        self.coef_ = coef
        self.intercept_ = intercept
        self.n_iter_ = np.array([solution.n_iter], dtype=np.int32)
        self.n_passes_ = objective.n_passes
        self.certificate_ = certificate
        self.converged_ = solution.converged
        self.history_ = solution.history
        return self

    def _describe_end(self, solution):
        """Return what to say of a fit that did not reach tol."""
        if solution.message == SEPARABLE:
            return (
                f"The classes are separable: without a penalty (C={self.C}) the objective falls towards 0 and the "
                f"coefficients grow without end. The fit stopped at an objective of {solution.value:.3g}, where every "
                "row is classified right; use a finite C."
            )
        relative = solution.certificate / solution.value if solution.value > 0 else np.inf
        reached = (
            f"the objective is proven to be within {relative:.2g} of its minimum, relative to it"
            if np.isfinite(relative)
            else "without a penalty there is no bound on the distance to the minimum"
        )
        return (
            f"The fit stopped after {solution.n_iter} iterations before it reached tol={self.tol} "
            f"({solution.message}); {reached}. Raise max_iter (now {self.max_iter}) or tol."
        )

    def decision_function(self, X):
        """Return the scores ``X coef_' + intercept_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes)
        """
        check_is_fitted(self)
        if sparse.issparse(X) or sparse.issparse(self.coef_):
            return super().decision_function(X)
        scores = compute_scores(*self._prepare_scoring(X))
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X):
        """Return the class of the largest score of each row.

        The scores of all rows are never held at once.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        if sparse.issparse(X) or sparse.issparse(self.coef_):
            return super().predict(X)
        return self.classes_[find_best_class(*self._prepare_scoring(X))]

    def _prepare_scoring(self, X):
        """Return X, coefficients and intercept in the types that scores are computed from."""
        X = validate_data(self, X, dtype=DTYPES, reset=False)
        dtype = np.float32 if X.dtype == self.coef_.dtype == np.float32 else np.float64
        return X, self.coef_.astype(dtype), np.atleast_1d(self.intercept_)

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
        tags.input_tags.sparse = False
        tags.array_api_support = False
        return tags

    def _effective_C(self):
        """Return C after the deprecated penalty, with the warnings and errors of scikit-learn 1.9."""
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
        if l1_ratio != 0:
            raise NotImplementedError(
                f"fastlin.LogisticRegression does not fit L1 or elastic-net penalties yet (penalty={penalty!r}, "
                f"l1_ratio={self.l1_ratio}); use l1_ratio=0, or sklearn.linear_model.LogisticRegression."
            )
        if self.dual and self.solver != "liblinear":
            raise ValueError(f"Solver {self.solver} supports only dual=False, got dual={self.dual}")
        return C

    def _row_weights(self, X, y, classes, labels, sample_weight):
        """Return sample weight times class weight per row, float64, or None where every row counts alike."""
        if sample_weight is None and self.class_weight is None:
            return None
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, copy=True, ensure_non_negative=True)
        if self.class_weight is not None:
            with np.errstate(divide="ignore"):
                class_weights = compute_class_weight(
                    self.class_weight, classes=classes, y=y, sample_weight=None if sample_weight is None else weights
                )
            if self.class_weight == "balanced" and not np.isfinite(class_weights).all():
                raise ValueError(
                    f"class_weight='balanced' needs rows of weight above zero in every class, but sample_weight leaves "
                    f"none in class {classes[~np.isfinite(class_weights)][0]}"
                )
            if not (np.isfinite(class_weights).all() and (class_weights >= 0).all()):
                raise ValueError(f"class_weight must hold finite numbers of at least 0, got {self.class_weight!r}")
            weights *= class_weights[labels]
        if not weights.any():
            raise ValueError(
                "Every row has weight zero: sample_weight and class_weight must leave some rows above zero."
            )
        return weights

    def _start(self, objective):
        """Return the parameters of the last fit with warm_start, else None."""
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        shape = objective.n_rows_coef, objective.X.shape[1]
        coef = self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_
        if coef.shape != shape:
            raise ValueError(
                f"warm_start needs coef_ of shape {shape}, but the last fit left {coef.shape}; make a new "
                "estimator for data of another shape."
            )
        intercept = self.intercept_ if self.fit_intercept else np.zeros(shape[0])
        return objective.to_parameters(coef.astype(np.float64), np.asarray(intercept, np.float64))


def _encode(y):
    """Return the classes in order and the number of each row's class; y with one label a row."""
    if y.dtype.kind in "iub" and y.size:
        smallest, largest = int(y.min()), int(y.max())
        if largest - smallest < max(LABEL_RANGE, len(y)) and largest <= np.iinfo(np.int64).max:
            # Counting takes a tenth of sorting: 6 against 60 ms for a million labels.
            places = y.astype(np.int64) - smallest
            present = np.bincount(places) > 0
            classes = (np.flatnonzero(present) + smallest).astype(y.dtype)
            if len(classes) <= len(y) // 2:
                return classes, (np.cumsum(present) - 1)[places]
    check_classification_targets(y)
    return np.unique(y, return_inverse=True)
