"""LogisticRegression, with scikit-learn's parameters and attributes, and the base classes of the linear classifiers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn import linear_model
from sklearn.utils.validation import check_is_fitted

from fastlin.blocks.blocks import Blocks
from fastlin.coefficient_names import NO_OMITTED_CATEGORIES
from fastlin.containers.fitted import as_array, validate_finite_array
from fastlin.containers.tensors import convert_to_float
from fastlin.estimators.columns import name_coefficients
from fastlin.estimators.fit_reporting import (
    CallbackTasks,
    combine_listeners,
    restore_on_error,
    show_iterations,
    warn_if_not_converged,
)
from fastlin.estimators.labels import (
    choose_labels_and_weights,
    make_training_data,
    parse_label_columns,
    validate_rows,
    validate_training_data,
)
from fastlin.estimators.linear_predictions import (
    LinearPredictionMixin,
    check_coefficients,
    is_multilabel,
    validate_classes,
    validate_coefficients,
)
from fastlin.estimators.parameters import (
    FIT_STACKLEVEL,
    BoundsLike,
    Penalty,
    Solver,
    draw_seed,
    estimator,
    fitted,
    invert_alpha,
    limit_jobs,
    parameter,
    resolve_penalty,
    uses_alpha,
    validate_bounds,
    validate_penalty_factors,
)
from fastlin.estimators.scikit_learn import CallbackSupportMixin, check_parameters, has_callbacks, with_callbacks
from fastlin.estimators.summary import FitSummary, copy_linear_model, describe_coef, describe_convergence, describe_data
from fastlin.exceptions import ConvergenceWarning
from fastlin.typing import Array, ClassWeight, IntArray, MatrixLike, RandomState

if TYPE_CHECKING:
    from fastlin.estimators.labels import TrainingData
    from fastlin.inference.bootstrap import Bootstrap, RefitOptions
    from fastlin.inference.inference import Inference
    from fastlin.solvers.solution import Iteration


@contextmanager
def prepare_fit_data(model: Any, X: Any, y: Any, sample_weight: Any, offset: Any) -> Iterator[TrainingData]:
    """Yield the TrainingData on which a fitted model was trained; the ``with`` block runs on its `n_jobs` threads."""
    check_is_fitted(model)
    validate_classes(model)
    # NumPy's warnings are not needed, because the results are checked for overflow.
    with limit_jobs(model.n_jobs), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        matrix, y, sample_weight = validate_rows(model, X, y, sample_weight, reset=False)
        check_coefficients(model, matrix.shape[1])
        # Use a copy, because the validation sets attributes.
        yield make_training_data(copy(model), matrix, y, sample_weight, offset, model.classes_)


@estimator
class BootstrapMixin:
    """Mixin with the method `bootstrap` and the parameters of the linear classifiers that accept any kind of X."""

    fit_intercept: bool = parameter(default=True, accepts=["boolean"])
    n_jobs: int | None = parameter(default=None, accepts=[None, "integer"])
    categorical_features: Literal["from_dtype"] | ArrayLike | None = parameter(
        default=None, accepts=["from_dtype", "array-like", None]
    )
    missing_as_category: bool = parameter(default=False, accepts=["boolean"])

    n_samples_fit_: int = fitted()
    categories_: list[Array | None] = fitted()

    def bootstrap(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        *,
        n_resamples: int = 1000,
        random_state: RandomState = None,
        clusters: ArrayLike | None = None,
    ) -> Bootstrap:
        """Bootstrap the fit: refit the model to resamples of the rows.

        Each resample consists of n_samples rows drawn with replacement. The refits use the parameters of this model
        and, after cross-validation, the selected C and l1_ratio. Each refit starts from the coefficients of this model
        and stops within a hundredth of a standard error of its optimum. A certificate, if there is one, guarantees this
        accuracy. Refits run in parallel on `n_jobs` threads, and the result does not depend on the number of threads. A
        resample that lacks a class is drawn again.

        Refits of `FirthLogisticRegression` have no certificate and stop within a thousandth of a standard error.
        Resamples with linearly dependent columns are also drawn again. The acceleration of the BCa intervals ignores
        the penalty.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            Data on which this model was trained.
        y : array-like of shape (n_samples,)
            Training labels. None is allowed only if X is a `Blocks` object with labels.
        sample_weight : array-like of shape (n_samples,) or None
            Sample weights of the training data. None means that all weights are one. A row keeps its weight each time
            it is drawn, and ``class_weight="balanced"`` is recomputed for each resample.
        offset : array-like or None
            Offsets of the training data.
        n_resamples : int, default=1000
            Number of resamples, at least 2.
        random_state : int, RandomState or None, default=None
            Seed of the resamples. The first m resamples are the same for any larger n_resamples.
        clusters : array-like of shape (n_samples,) or None
            Cluster of each row. If given, whole clusters are drawn instead of single rows.

        Returns
        -------
        Bootstrap
            Coefficients and certificates of the refits, with standard errors and confidence intervals.

        Raises
        ------
        ValueError
            If the data do not match the model, if a class is so rare that too many resamples lack it, or if `clusters`
            does not contain one value per row, with at least two distinct values.

        Warns
        -----
        ConvergenceWarning
            If some refits did not reach this accuracy.
        """
        from fastlin.inference.bootstrap import Resampler, collect_fits, fit_resamples
        from fastlin.inference.covariances import encode_single_key

        if isinstance(n_resamples, bool) or not isinstance(n_resamples, (int, np.integer)) or n_resamples < 2:
            raise ValueError(f"n_resamples must be an integer of at least 2, got {n_resamples!r}")
        n_resamples = int(n_resamples)
        model: Any = copy(self)
        # Class weights are computed for each resample.
        model.class_weight = None
        with prepare_fit_data(model, X, y, sample_weight, offset) as data:
            cluster_codes = None if clusters is None else encode_single_key(clusters, len(data.labels))
            resampler = Resampler(draw_seed(random_state), data.labels, data.weights, data.targets, cluster_codes)
            refits = self._prepare_refits(data)
            bootstrap = collect_fits(fit_resamples(refits, resampler, n_resamples), n_resamples, refits, cluster_codes)
        n_unconverged = n_resamples - np.count_nonzero(bootstrap.converged)
        if n_unconverged:
            warnings.warn(
                f"{n_unconverged} of {n_resamples} refits stopped before they converged; see the attributes "
                "`converged` and `certificates` of the result. Increase max_iter. With C=inf the classes of some "
                "resamples may be separable, and their coefficients then grow without bound: use a finite C.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return bootstrap

    def _prepare_refits(self, data: TrainingData) -> RefitOptions:
        """Return the RefitOptions for resamples of the rows of data."""
        raise NotImplementedError


@estimator
class PenalizedClassifier(CallbackSupportMixin, FitSummary, BootstrapMixin, LinearPredictionMixin):
    """Base class of the linear classifiers that minimize a penalized mean loss."""

    dual: bool = parameter(default=False, accepts=["boolean"])
    tol: float = parameter(default=1e-4, accepts=["at least 0"])
    intercept_scaling: float = parameter(default=1, accepts=["above 0"])
    class_weight: ClassWeight = parameter(default=None, accepts=[dict, "balanced", None])
    random_state: RandomState = parameter(default=None, accepts=["random_state"])
    solver: Solver = parameter(default="auto", accepts=[Solver])
    max_iter: int = parameter(default=1000, accepts=["count or 0"])
    verbose: int = parameter(default=0, accepts=["verbose"])
    penalty_factors: ArrayLike | None = parameter(default=None, accepts=["array-like", None])
    group_lasso: bool = parameter(default=False, accepts=["boolean"])
    lower_bounds: BoundsLike = parameter(default=None, accepts=[Real, dict, "array-like", None])
    upper_bounds: BoundsLike = parameter(default=None, accepts=[Real, dict, "array-like", None])

    certificate_: float = fitted()
    converged_: bool = fitted()
    n_passes_: float = fitted()
    history_: list[Iteration] = fitted()

    # The name of the class, identical in both packages.
    _scikit_learn_name: ClassVar[str]

    def to_sklearn(self) -> Any:
        """Convert this fitted model to scikit-learn's estimator of the same name.

        Returns
        -------
        model : estimator of sklearn.linear_model or sklearn.pipeline.Pipeline
            A fitted model with the same coefficients. Parameters at their default value get scikit-learn's default.
            Parameters that scikit-learn does not have are dropped. Before scikit-learn 1.10, `alpha` is converted to C
            = 1 / (alpha n), for n rows of weight 1.

            For a model with categorical columns, it is a pipeline of a `ColumnTransformer` with a `OneHotEncoder`, and
            of this model, whose coefficients are in the order of the encoded columns. The probabilities are the same,
            also for unseen categories. If missing values are a category, they must be NaN, or in columns of strings NaN
            or None. Otherwise, they count as unseen categories.

        Raises
        ------
        ValueError
            If the categories of a column are neither strings nor numbers.
        """
        destination_class = getattr(linear_model, self._scikit_learn_name)
        if not hasattr(self, "categories_"):
            return copy_linear_model(self, destination_class)
        from fastlin.estimators.encoding_pipeline import make_encoding_pipeline

        return make_encoding_pipeline(self, destination_class)

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """Convert a fitted model of scikit-learn's estimator of the same name to this class.

        Parameters
        ----------
        model : estimator of sklearn.linear_model
            A fitted estimator whose class has the same name as this one.

        Returns
        -------
        model : LogisticRegression or LogisticRegressionCV
            A fitted model with the same coefficients. It has no `certificate_`, because only `fit` computes one.

        Raises
        ------
        TypeError
            If the model is an instance of another class.
        """
        return copy_linear_model(model, cls)

    def inference(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        *,
        covariance: Literal["model", "HC0", "HC1", "cluster"] = "model",
        clusters: ArrayLike | Sequence[ArrayLike] | None = None,
        reference: Any = None,
        penalized: Literal["laplace", "sandwich"] | None = None,
        use_t: bool = False,
        weight_type: Literal["frequency", "sampling"] = "frequency",
        features: Sequence[str | tuple[str, Any] | int] | None = None,
    ) -> Inference:
        """Compute standard errors, tests and confidence intervals of the coefficients.

        Categories of categorical columns that have no rows of positive weight are omitted, and `Inference.summary`
        lists them. Without a penalty, the first remaining category is the reference category.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            Data on which this model was trained.
        y : array-like of shape (n_samples,)
            Training labels. None is allowed only if X is a `Blocks` object with labels.
        sample_weight : array-like of shape (n_samples,) or None
            Sample weights of the training data. None means that all weights are one.
        offset : array-like or None
            Offsets of the training data.
        covariance : {"model", "HC0", "HC1", "cluster"}
            "model" is the inverse of the Fisher information, which is valid if the model is correctly specified. "HC0"
            is the sandwich estimator, which is robust to misspecification (Huber 1967, White 1982); "HC1" is HC0 times
            n / (n - q) for n rows and q parameters. "cluster" is robust to dependence within clusters and includes the
            factor G / (G - 1) (n - 1) / (n - q) for G clusters. With several keys, it is the multiway estimator of
            Cameron, Gelbach and Miller (2011), which applies this factor to each combination of keys.
        clusters : array-like of shape (n_samples,) or (n_samples, n_keys), or None
            Cluster of each row, for ``covariance="cluster"``.
        reference : object
            The reference class, whose coefficients are zero; None means the first of `classes_`. "symmetric" reports
            the coefficients of all classes, which sum to zero as in `coef_`.
        penalized : {"laplace", "sandwich"} or None
            Interpretation of the standard errors of a penalized model. "laplace" treats the penalty as a normal prior
            and reports posterior standard deviations from the Laplace approximation. "sandwich" reports sampling
            standard deviations of the penalized estimates, which do not include their bias.
        use_t : bool
            Whether to use Student's t instead of the normal distribution, and the F distribution instead of
            chi-squared. The degrees of freedom are n - q or, if ``covariance="cluster"``, G - 1 for the key with the
            fewest clusters.
        weight_type : {"frequency", "sampling"}
            Interpretation of `sample_weight`. "frequency" weights are the numbers of identical rows that each row
            represents. "sampling" weights are sampling (probability) weights, which require a robust covariance.
            `class_weight` is always treated as importance weights.
        features : sequence or None
            Columns to report: names (including "intercept"), pairs (column, category) for categories of categorical
            columns, or indices into the names that are reported by default. A name that belongs to several columns
            raises an error. None means all columns. `features` is required for a model with more than 4,096 parameters.
            In that case, the covariance is computed by conjugate gradients and must be "model", "HC0" or "HC1".

        Returns
        -------
        Inference
            The estimates, their covariance, and the tests and tables derived from them.

        Raises
        ------
        ValueError
            If the data do not match the model, if the model has an L1 penalty, if it is penalized and `penalized` is
            None, if the covariance does not support the weights, if there are more than 4,096 parameters and `features`
            is None, or if `features` does not identify columns uniquely.

        Warns
        -----
        InferenceWarning
            If `coef_` is more than a hundredth of a standard error away from the optimum. The results refer to the
            optimum.
        """
        with prepare_fit_data(self, X, y, sample_weight, offset) as data:
            inference_choices = {"covariance": covariance, "penalized": penalized, "use_t": use_t, "features": features}
            return self._compute_inference(
                data, clusters=clusters, reference=reference, weight_type=weight_type, **inference_choices
            )

    def _set_convergence_attributes(self, fit):
        """Set the attributes that describe the convergence of a Fit."""
        self.certificate_, self.converged_ = fit.certificate, fit.solution.converged
        self.n_passes_, self.history_ = fit.solution.n_passes, fit.solution.history

    def _prepare_refits(self, data):
        from fastlin.estimators.batched_fits import prepare_refits

        return prepare_refits(self, data, *self._get_fitted_penalty())

    def _compute_inference(self, data, *, clusters=None, reference=None, weight_type="frequency", **inference_choices):
        """Return the Inference computed from `data`, with the arguments that the caller passed to `inference`."""
        from fastlin.estimators.problem import Problem, apply_reference_coding, find_omitted_categories
        from fastlin.estimators.row_encoding import RowEncoder
        from fastlin.inference.covariances import encode_clusters
        from fastlin.inference.estimation import compute_inference
        from fastlin.inference.options import WeightInfo, check_options

        # Use a copy, because the validation sets attributes.
        model: Any = copy(self)
        classes, coef, intercept = validate_coefficients(model)
        C, l1_ratio = self._get_fitted_penalty()
        if model.penalty_factors is not None and not np.any(model.penalty_factors):
            # With these factors no coefficient is penalized.
            C = np.inf
        names, omitted_names = name_coefficients(model), NO_OMITTED_CATEGORIES
        omitted = find_omitted_categories(data, model.fit_intercept)
        if C < np.inf:
            # The penalty identifies the coefficients of all categories that have rows, so there are no reference
            # categories.
            omitted = omitted._replace(reference_categories=omitted.reference_categories[:0])
        _remove_bounds(model, data, coef, names, omitted.unused_categories)
        columns = np.arange(len(names))
        if hasattr(model, "categories_"):
            matrix = data.matrix
            data, coef, intercept, columns = apply_reference_coding(data, omitted, coef, intercept)
            names, omitted_names = names[columns], omitted.name(names)
            if model.penalty_factors is not None:
                model.penalty_factors = validate_penalty_factors(model.penalty_factors, matrix)[columns]
        inference_options = check_options(
            classes,
            reference,
            weights=WeightInfo(weight_type, data.weight_unit, model.class_weight is not None),
            names=names,
            omitted_categories=omitted_names,
            clusters=[] if clusters is None else encode_clusters(clusters, data.matrix.shape[0]),
            tol=model.tol,
            stacklevel=FIT_STACKLEVEL + 1,
            **{"covariance": "model", "penalized": None, "use_t": False, "features": None, **inference_choices},
        )
        objective = Problem(model, data).objective(C, l1_ratio)
        encode_rows = RowEncoder.from_model(model, columns, omitted.unused_categories)
        return compute_inference(objective, coef, intercept, inference_options, encode_rows)

    def _begin_tasks(self, X, y, sample_weight, classes, n_paths=None):
        """Return the CallbackTasks of a fit with these classes."""

        def describe(n_iter, coef, intercept):
            return {"classes_": classes, "coef_": coef, "intercept_": intercept, "n_iter_": np.array([n_iter])}

        return CallbackTasks(self, X, y, sample_weight, describe, n_paths)

    def _get_fitted_penalty(self):
        """Return the C (or 1 / alpha) and the l1_ratio of the fit."""
        model: Any = self
        if hasattr(model, "C_"):
            if not model.refit:
                raise ValueError(
                    "The model was fitted with refit=False, so its coefficients are means over the folds and not the "
                    "optimum of any objective; inference needs a model with refit=True or 'train'."
                )
            C = invert_alpha(np.ravel(model.alpha_)[0]) if uses_alpha(model) else np.ravel(model.C_)[0]
            return float(C), float(np.ravel(model.l1_ratio_)[0])
        with warnings.catch_warnings():
            # The fit has already issued these warnings.
            warnings.simplefilter("ignore")
            return resolve_penalty(model)


def _remove_bounds(model, data, coef, names, unused_categories):
    """Remove the bounds from a copy of a model; raise a ValueError if one is active, except for unused categories."""
    bounds = validate_bounds(model, data.matrix, len(coef))
    if bounds is not None:
        is_at_bound = ((coef <= bounds[0]) | (coef >= bounds[1])).any(axis=0)
        is_at_bound[unused_categories] = False
        if is_at_bound.any():
            bounded_names = ", ".join(map(str, names[is_at_bound][:5])) + (", ..." if is_at_bound.sum() > 5 else "")
            raise ValueError(
                f"The coefficients of {bounded_names} are at their lower_bounds or upper_bounds, where estimates are "
                "not asymptotically normal, so standard errors are not valid. Refit without these bounds."
            )
    model.lower_bounds = model.upper_bounds = None


@estimator
class LogisticRegression(PenalizedClassifier):
    """Logistic regression (two classes) or softmax regression (more), with L2, L1, elastic-net or group-lasso penalty.

    This class is a drop-in replacement for scikit-learn's estimator of the same name. It minimizes the same objective::

        J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (1 / (C S)) sum_j f_j ((1 - r) ||W_.j||^2 / 2 + r ||W_.j||_1)

    Here s_i is the sample weight times the class weight of row i, and S is the sum of all s_i. The loss l is the
    logistic loss for two classes and the softmax cross-entropy for more. r is `l1_ratio`, f_j are the `penalty_factors`
    (1 by default), and ``W_.j`` are the coefficients of feature j for all classes. The intercept b is not penalized. If
    an `offset` is passed to `fit`, it is added to ``W x_i + b``. With soft labels, l is the expected loss under the
    given class probabilities.

    Each fit computes `certificate_`, a certified upper bound on J - J*, where J* is the minimum of J.

    Dense X of type float64, float32, uint8, int8, int16 or bool is read in place in any memory layout, unless it is
    small. float16 and bfloat16 are converted to float32, and other types to float64. An L1 penalty requires one
    transposed copy. CPU tensors are read as NumPy arrays. Predictions are always NumPy arrays. CSR matrices with int32
    or int64 indices are read in place and require one transposed copy. If at least a third of the entries are nonzero
    and the dense array takes no more memory than X or 64 MB, X is converted to a dense array instead. Other sparse
    formats are converted once. Features need not be standardized for the solvers to converge. The results are bitwise
    identical for any number of threads.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet", None}, default="deprecated"
        Deprecated as in scikit-learn 1.8: use `l1_ratio` and `C`.
    C : float, default=1.0
        Inverse strength of the penalty, above 0; ``np.inf`` means no penalty.
    alpha : float or "1/n_samples", default="1/n_samples"
        Penalty strength 1 / (C S), at least 0. This parameter replaces C in scikit-learn 1.10. With "1/n_samples", C
        sets the strength.
    l1_ratio : float, default=0.0
        Elastic-net mixing parameter, from 0 to 1. 0 is the L2 penalty, and 1 is the L1 penalty, which makes some
        coefficients exactly zero. Values in between combine both penalties.
    warm_start : bool, default=False
        Whether to start from the coefficients of the previous fit.
    dual : bool, default=False
        Accepted for compatibility with scikit-learn. It has no effect, because the primal problem has the same
        solution.
    tol : float, default=1e-4
        Stopping tolerance. With ``solver="auto"``, the fit stops once J - J* is certified to be at most
        ``tol * min(J_0 - J, J)``, where J_0 is the objective of the intercept-only (null) model. If there is no
        certificate, as with ``C=np.inf``, half the squared Newton decrement is used as an estimate of J - J*. If tol is
        at least 1e-6, problems that are so small that a pass takes microseconds are solved to a hundredth of tol.
        With any other solver, the largest absolute entry of the gradient of J must be at most tol, as in scikit-learn.
        In addition, the estimate of J - J* must satisfy the bound above. Once the gradient has been within tol for five
        iterations and J - J* is certified to be at most J* / 3, this bound uses thirty times tol (up to 3e-3) instead
        of tol.
    intercept_scaling : float, default=1
        Accepted for compatibility with scikit-learn. It has no effect, because no solver penalizes the intercept.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, which multiply the sample weights. "balanced" gives all classes the same total weight.
        None gives all classes the weight one.
    random_state : int, RandomState or None, default=None
        Accepted for compatibility with scikit-learn. It has no effect, because the solvers use a fixed seed.
    solver : str, default="auto"
        Algorithm of the optimization. "auto" selects a solver based on the shape of the data. "lbfgs", "newton-cg" and
        "newton-cholesky" select the methods of these names. However, L-BFGS replaces "newton-cholesky" for more than
        4,096 coefficients or more than 4e11 multiply-adds per Hessian. "liblinear", "newton-cd", "newton-cd-gram",
        "sag" and "saga" are equivalent to "auto". All solvers minimize J. With `l1_ratio` above 0 or with bounds,
        proximal Newton is always used.
    max_iter : int, default=1000
        Maximum number of iterations of the solver. With 0, the coefficients and the intercept are zero or, with
        `warm_start`, taken from the previous fit.
    verbose : int, default=0
        If above 0, a progress line shows the iteration, the objective, the relative duality gap and the elapsed
        seconds.
    penalty_factors : array-like of shape (n_features,) or None, default=None
        Factors f_j, at least 0, by which the penalties of the features are multiplied. A feature with factor 0 is not
        penalized. The factors are not rescaled. None means that all factors are one.
    group_lasso : bool, default=False
        Whether to replace the L1 penalty with a group lasso over the classes: ||W_.j||_2 instead of ||W_.j||_1, without
        a factor of sqrt(K). The coefficients of a feature are then zero either for all classes or for none.
    lower_bounds, upper_bounds : float, dict or array-like of shape (n_features,) or that of `coef_`, default=None
        Bounds on the coefficients; for example, a lower bound of 0 forbids negative coefficients. A one-dimensional
        array applies to all classes, and a dict maps names of features to bounds. None means no bounds, and an infinite
        value means no bound for that feature. Coefficients at a bound equal the bound exactly; in float32, they are
        rounded towards the interior. Bounds are not supported with `group_lasso`.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    n_jobs : int or None, default=None
        Number of threads used in `fit` and predictions, as in joblib: -1 means all processors. None means all
        processors that are available to the process.
    categorical_features : "from_dtype", array-like or None, default=None
        Categorical columns of a table, as in scikit-learn's `HistGradientBoostingClassifier`. "from_dtype" selects the
        columns with a categorical dtype of pandas or polars, Arrow dictionaries, and columns of strings or bytes. An
        array contains column names, column indices or a boolean mask. Each category gets its own coefficients, as with
        a one-hot encoding, which is never materialized. None means that X must be numeric, as in scikit-learn; dates
        and times raise an error.
    missing_as_category : bool, default=False
        Whether missing values of a categorical column form their own category. Otherwise they raise an error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or (n_labels,)
        Sorted class labels or, for multilabel y, the column indices of the labels.
    coef_ : ndarray of shape (1, n_features), (n_classes, n_features) or (n_labels, n_features)
        Coefficients, float32 for float32 data unless ``solver="liblinear"``, and otherwise float64. With three or more
        classes, the intercepts sum to zero over the classes, and so do the coefficients unless there is an L1 penalty.
    intercept_ : ndarray of shape (1,), (n_classes,) or (n_labels,)
        Intercepts, in the dtype of `coef_`; zeros if `fit_intercept` is False. For multilabel y, a label that is
        present in all training rows has the intercept inf, and a label that is present in none has the intercept -inf.
        The coefficients of both are zero.
    n_iter_ : ndarray of shape (1,) or (n_labels,), int32
        Number of iterations of the solver.
    certificate_ : float, or ndarray of shape (n_labels,)
        Certified upper bound on J - J* (a duality gap), in the units of J; inf if there is none. `summary` also reports
        it relative to J, in the line "duality gap". With ``C=np.inf`` or a penalty factor of 0, the bound is finite if
        the solver took Newton steps with the full Hessian, or if each unpenalized coefficient has a lower and an upper
        bound.
    converged_ : bool
        Whether the fit reached `tol`, or the best accuracy that rounding error (of J, or of float32 coefficients)
        permits; `summary` reports which.
    n_passes_ : float
        Number of passes over X; a pass over a tenth of the rows counts as 0.1. Not available for multilabel y.
    history_ : list
        A record of each iteration, with `objective` (J), `bound` (on J - J*), `gradient` (the largest absolute entry of
        the gradient of J), and `n_passes` and `seconds` since the start of the fit. `bound` is certified in the last
        iteration, where it is computed in float64; in earlier iterations, it is an estimate. Wide data are fitted in
        the space of their rows. For such data, `bound` assumes a stationary intercept, and `gradient` is an upper
        bound. Not available for multilabel y.
    fit_seconds_ : float
        Duration of the fit in seconds.
    multilabel_ : bool
        True for multilabel y. This attribute does not exist otherwise.
    n_samples_fit_ : int
        Number of rows in the training data.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen during `fit`, if all of them are strings.
    categories_ : list of ndarray or None
        Categories of each column of X, in the order of their coefficients, or None for a numeric column. The category
        of missing values is NaN and comes last. This attribute exists only if there are categorical columns.

    See Also
    --------
    LogisticRegressionCV : Choose C by cross-validation.
    logistic_path : Fit models for many values of C.

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
    alpha: float | Literal["1/n_samples"] = parameter(default="1/n_samples", accepts=["at least 0", "1/n_samples"])
    l1_ratio: float | None = parameter(default=0.0, accepts=["from 0 to 1", None])
    warm_start: bool = parameter(default=False, accepts=["boolean"])

    multilabel_: bool = fitted()
    n_iter_: IntArray = fitted()

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
        """Fit the model to the training data.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            Training data, with finite values. `Blocks` of `fastlin.blocks` may be larger than memory.
        y : array-like of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            Labels of at least two classes: integers, strings or booleans. Alternatively:

            - Soft labels: an array of floats with at least two columns, not all 0 or 1. Each row contains the
              class probabilities, which are nonnegative and sum to one within 1e-5. A row stands for one weighted copy
              per class.
            - Multilabel y: an array or sparse matrix of zeros and ones with at least two columns, unless `classes` is
              given. A binary model is fitted to each label. `offset`, `coef_init` and `intercept_init` are not
              supported. As in scikit-learn's `OneVsRestClassifier`, a label with the same value in all rows of positive
              weight has this value in all predictions, and a warning is issued.

            y may be None only if X is a `Blocks` object with labels.
        sample_weight : array-like of shape (n_samples,) or None
            Sample weights, at least 0 and not all 0. None means that all weights are one.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), or None
            Finite values that are added to the decision function: one per row for two classes, otherwise one per row
            and class. Predictions require their own offsets. For Blocks, pass a single array for all rows.
        classes : array-like of shape (n_classes,) or None
            Sorted class labels of the columns of soft labels; the soft labels may then all be 0 or 1. None means
            0, 1, ... For plain labels, `classes` must equal the classes found in y.
        coef_init : array-like of shape (1, n_features) or (n_classes, n_features), or None
            Initial coefficients, in the shape of `coef_`. They take precedence over `warm_start`. None means zeros if
            `intercept_init` is given; otherwise the solver chooses the starting point. A starting point with a larger J
            than the intercept-only model is ignored. Values outside of the bounds are clipped.
        intercept_init : array-like of shape (1,) or (n_classes,), or None
            Initial intercepts, with the same rules as `coef_init`. They are ignored if `fit_intercept` is False.

        Returns
        -------
        self
            Fitted estimator.

        Raises
        ------
        ValueError
            If the data contain NaN or infinite values, if shapes are inconsistent, if y has a single class or
            continuous labels, if soft labels are not probabilities, if indices of sparse X are out of range, or if a
            parameter is invalid.

        Warns
        -----
        ConvergenceWarning
            If the fit stopped before it reached `tol`.
        UserWarning
            If a label of a multilabel y has the same value in all rows of positive weight.
        """
        read = partial(validate_training_data, offset=offset, classes=classes)
        unsupported_arguments = {"offset": offset, "coef_init": coef_init, "intercept_init": intercept_init}
        with restore_on_error(self):
            indicators, _ = parse_label_columns(
                choose_labels_and_weights(X, y, None)[0] if isinstance(X, Blocks) else y
            )
            if indicators is not None and classes is None:
                from fastlin.estimators.batched_fits import fit_multilabel

                return fit_multilabel(self, X, indicators, sample_weight, unsupported_arguments)
            return self._fit(X, y, sample_weight, coef_init, intercept_init, read)

    def _fit(self, X, y, sample_weight, coef_init, intercept_init, read=validate_training_data):
        from fastlin.estimators.problem import Problem

        check_parameters(self)
        C, l1_ratio = resolve_penalty(self)
        with limit_jobs(self.n_jobs):
            data = read(self, X, y, sample_weight)
            shape = 1 if len(data.classes) == 2 else len(data.classes), data.matrix.shape[1]
            starts = self._choose_starting_points(shape, data.classes, coef_init, intercept_init)
            problem = Problem(self, data)
            minimize = partial(problem.minimize, C, l1_ratio, starts)
            # Creating scikit-learn's callback context takes as long as reading a small X.
            should_report_progress = self.verbose or has_callbacks(self)
            fit = (
                self._minimize_with_callbacks(minimize, X, y, sample_weight, data)
                if should_report_progress
                else minimize()
            )
        solution = fit.solution
        if not solution.converged:
            warn_if_not_converged(self, solution, stacklevel=FIT_STACKLEVEL)
        self.n_samples_fit_ = data.matrix.shape[0]
        vars(self).pop("multilabel_", None)
        self.classes_ = data.classes
        self.coef_ = fit.coef
        self.intercept_ = fit.intercept
        self.n_iter_ = np.array([solution.n_iter], dtype=np.int32)
        self._set_convergence_attributes(fit)
        return self

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags, which declare support for multilabel y."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _describe_result(self):
        lines = {"data": describe_data(self)}
        if is_multilabel(self):
            convergence_text = "reached for all labels" if self.converged_ else "not reached for some labels"
            lines["tol"] = f"{self.tol:g}, {convergence_text}"
            lines["iterations"] = f"{self.n_iter_.min():,} to {self.n_iter_.max():,} per label"
            return {**lines, "coefficients": describe_coef(self)}
        if hasattr(self, "converged_"):
            lines |= describe_convergence(self, int(self.n_iter_[0]))
        return {**lines, "coefficients": describe_coef(self)}

    @with_callbacks
    def _minimize_with_callbacks(self, minimize, X, y, sample_weight, data):
        """Call a function that minimizes J, with a progress line and scikit-learn's callbacks, and return its Fit."""
        tasks = self._begin_tasks(X, y, sample_weight, data.classes).begin_fit()
        count_read_bytes = data.matrix.count_read_bytes if isinstance(X, Blocks) else None
        with show_iterations(self.verbose, count_read_bytes) as show:
            fit = minimize(on_iteration=combine_listeners(show, tasks))
        if tasks is not None:
            tasks.end(fit.coef, fit.intercept)
        return fit

    def _choose_starting_points(self, shape, classes=None, coef_init=None, intercept_init=None):
        """Return the starting points from the arguments or from the previous fit.

        Each starting point is a pair of coef, with shape (K, d), and intercept, with shape (K,). `shape` is (K, d), and
        `classes` is None for multilabel y.
        """
        values = {"coef_init": coef_init, "intercept_init": intercept_init}
        if coef_init is None and intercept_init is None:
            if not (self.warm_start and hasattr(self, "coef_")) or is_multilabel(self) != (classes is None):
                return []
            coef_shape = getattr(self.coef_, "shape", None)
            if coef_shape != shape:
                raise ValueError(
                    f"warm_start=True needs coef_ of shape {shape}, but the previous fit left {coef_shape}. Create a "
                    "new estimator for data of another shape."
                )
            # For a warm start, users may set coef_ and intercept_ without classes_.
            labels = np.arange(shape[0]) if classes is None else None if hasattr(self, "classes_") else classes
            _, coef, intercept = validate_coefficients(self, shape[1], labels)
            if classes is None:
                # The intercept of a label that was constant is infinite, so it is replaced by zero.
                intercept = np.where(np.isinf(intercept), 0.0, intercept)
            values = {"coef_": coef, "intercept_": intercept}
        targets = f"{shape[0]} labels" if classes is None else f"{len(classes)} classes"
        reason, point = f", for {targets} and {shape[1]} features", []
        for (name, array), expected in zip(values.items(), (shape, shape[:1]), strict=True):
            # A missing argument means zeros.
            array = np.zeros(expected) if array is None else convert_to_float(as_array(name, array))
            point.append(validate_finite_array(name, array, expected, reason).astype(np.float64))
        return [(point[0], point[1] if self.fit_intercept else np.zeros(shape[0]))]
