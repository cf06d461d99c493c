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
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastlin.kernels.threads import limit_threads
from fastlin.objective import LinearObjective, compute_scores
from fastlin.solvers import lbfgs

# The types that are read as they are; anything else becomes float64.
DTYPES = [np.float64, np.float32, np.uint8]
SOLVERS = {"auto", "lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"}


class LogisticRegression(ScikitLearnLogisticRegression):
    """Logistic regression for two classes, softmax regression for more, with an L2 penalty: a drop-in.

    It minimises the objective of scikit-learn's estimator of the same name::

        J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (1 / (2 C S)) ||W||^2

    with s_i the sample weight times the class weight of row i, S their sum, l the logistic loss (two classes) or
    the softmax cross-entropy; the intercept b is not penalised. float64, float32 and uint8 data in C order are
    used in place, without a copy; float32 data are multiplied in float32 and summed in float64, uint8 data are
    worked on in float64. The same data give the same bits for any number of threads.

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
        The fit stops when no entry of the gradient of J exceeds this.
    fit_intercept : bool, default=True
    intercept_scaling : float, default=1
        Accepted and without effect: no solver penalises the intercept.
    class_weight : dict, "balanced" or None, default=None
    random_state : int, RandomState or None, default=None
        Accepted and without effect: no solver draws random numbers.
    solver : str, default="auto"
        "auto", or any solver name of scikit-learn. All minimise J, today by L-BFGS.
    max_iter : int, default=1000
    verbose : int, default=0
        Above 0, a line per iteration: objective and largest gradient entry.
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
    n_passes_ : int
        Walks over X.
    history_ : list
        Per iteration the objective J, the largest gradient entry (``gradient``), ``n_passes`` and ``seconds``.
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
        self._validate_params()
        C = self._effective_C()
        if sparse.issparse(X):
            raise NotImplementedError(
                "fastlin.LogisticRegression does not fit sparse X yet; pass X.toarray() if that fits into memory, "
                "or use sklearn.linear_model.LogisticRegression."
            )
        X, y = validate_data(self, X, y, dtype=DTYPES, order="C")
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
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
        total = float(len(y))
        if weights is not None:
            total = float(weights.sum())
            # Only their ratios count below: of order one they survive float32.
            weights /= 2.0 ** np.floor(np.log2(weights.max()))
        # C = inf gives 0; a C so small that this overflows is as good as the largest finite penalty.
        l2 = min(1.0 / C / total, np.finfo(np.float64).max)
        objective = LinearObjective(
            X, labels.astype(np.int64), n_classes, weights=weights, l2=l2, fit_intercept=self.fit_intercept
        )
        try:
            with limit_threads(None if self.n_jobs is None else joblib.effective_n_jobs(self.n_jobs)):
                solution = lbfgs.minimize(
                    objective,
                    *self._start(objective.n_rows_coef, X.shape[1]),
                    tol=self.tol,
                    max_iter=self.max_iter,
                    on_iteration=_print_iteration if self.verbose else None,
                )
        except OverflowError as error:
            raise ValueError(
                f"X overflows: its values reach {objective.scale:.3g}, so that sums over its rows are infinite in "
                f"{X.dtype}. Scale X, for instance with sklearn.preprocessing.StandardScaler."
            ) from error
        if not solution.converged:
            warnings.warn(
                f"The fit stopped after {solution.n_iter} iterations before it reached tol={self.tol} "
                f"({solution.message}). Raise max_iter (now {self.max_iter}) or scale the features, for "
                "instance with sklearn.preprocessing.StandardScaler.",
                ConvergenceWarning,
                stacklevel=2,
            )
        dtype = objective.dtype
        self.classes_ = classes
        self.coef_ = solution.coef.astype(dtype)
        self.intercept_ = solution.intercept.astype(dtype)
        self.n_iter_ = np.array([solution.n_iter], dtype=np.int32)
        self.n_passes_ = objective.n_passes
        self.history_ = solution.history
        return self

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
        X = validate_data(self, X, dtype=DTYPES, order="C", reset=False)
        dtype = np.float32 if X.dtype == self.coef_.dtype == np.float32 else np.float64
        scores = compute_scores(X, self.coef_.astype(dtype), np.atleast_1d(self.intercept_))
        return scores[:, 0] if scores.shape[1] == 1 else scores

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
                stacklevel=3,
            )
        if l1_ratio is None:
            if penalty == "elasticnet":
                raise ValueError("l1_ratio must be a number from 0 to 1 where penalty='elasticnet', got None.")
            warnings.warn(
                "'l1_ratio=None' was deprecated in scikit-learn 1.8 and goes in 1.10. Use a number from 0 to 1.",
                FutureWarning,
                stacklevel=3,
            )
            l1_ratio = 0
        if penalty is None and C != 1.0:
            warnings.warn("Setting penalty=None will ignore the C and l1_ratio parameters", stacklevel=3)
        if (penalty == "l2" and l1_ratio != 0) or (penalty == "l1" and l1_ratio != 1):
            warnings.warn(
                f"Inconsistent values: penalty={penalty!r} with l1_ratio={l1_ratio}; the penalty counts. Use l1_ratio "
                "alone.",
                stacklevel=3,
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

    def _start(self, n_rows_coef, n_features):
        """Return coefficients and intercept to start from: zeros, or the last fit's with warm_start."""
        coef, intercept = np.zeros((n_rows_coef, n_features)), np.zeros(n_rows_coef)
        if self.warm_start and hasattr(self, "coef_"):
            last = self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_
            if last.shape != coef.shape:
                raise ValueError(
                    f"warm_start needs coef_ of shape {coef.shape}, but the last fit left {last.shape}; make a new "
                    "estimator for data of another shape."
                )
            coef = last
            if self.fit_intercept:
                intercept = self.intercept_
        return coef, intercept


def _print_iteration(n_iter, iteration):
    print(
        f"iteration {n_iter:4d}  objective {iteration.objective:.9g}  largest gradient entry {iteration.gradient:.3g}  "
        f"{iteration.seconds:.2f} s",
        flush=True,
    )
