"""LogisticRegressionCV: cross-validated choice of C and l1_ratio with scikit-learn's interface."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn import get_config
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing

from fastlin.blocks.blocks import Blocks
from fastlin.estimators import scikit_learn
from fastlin.estimators.columns import iterate_finite_parts, validate_matrix
from fastlin.estimators.fit_reporting import (
    make_time_limit_check,
    restore_on_error,
    show_fits,
    warn_of_unconverged_fits,
)
from fastlin.estimators.folds import FoldFits, GridIndex, fit_path, take_test_rows
from fastlin.estimators.labels import (
    X_VAL_REQUIREMENT,
    are_soft_labels,
    choose_labels_and_weights,
    make_training_data,
    prefix_error_messages,
    validate_labels,
    validate_offset,
    validate_relative_weights,
    validate_test_labels,
    validate_training_data,
)
from fastlin.estimators.linear_predictions import (
    LinearPredictionMixin,
    ScoredRows,
    find_rowwise_scoring,
    join_block_outputs,
)
from fastlin.estimators.logistic_regression import LogisticRegression, PenalizedClassifier
from fastlin.estimators.parameters import (
    FIT_STACKLEVEL,
    Penalty,
    estimator,
    fitted,
    limit_jobs,
    parameter,
    resolve_inverse_strengths,
    resolve_l1_ratios,
    resolve_scoring,
    uses_alpha,
    warn_of_changing_defaults,
)
from fastlin.estimators.scikit_learn import check_parameters, refuse_metadata_without_routing, with_callbacks
from fastlin.estimators.summary import describe_coef, describe_convergence, describe_data
from fastlin.typing import FloatArray, IntArray, MatrixLike


@estimator
class LogisticRegressionCV(PenalizedClassifier):
    """Logistic or softmax regression with cross-validated C and l1_ratio.

    This class is a drop-in replacement for scikit-learn's estimator of the same name. In each fold, models are fitted
    along a path of C, from the strongest penalty to the weakest. Each fit starts from the previous solutions. All folds
    share one X and store only row indices. Folds run in parallel on `n_jobs` threads, and the results are bitwise
    identical for any number of threads.

    With ``solver="auto"``, each fit stops once J - J* is certified to be within the bound that `tol` sets, as in
    `LogisticRegression`. In the folds, this bound is relative to max(J, 1 % of the intercept-only objective). The
    attribute `certificates_` contains the certified bounds.

    A validation set, passed to `fit` as `X_val` and `y_val`, can replace the folds; X then contains the training rows.
    `fit` accepts an `offset` and soft labels, as in `LogisticRegression.fit`.

    Parameters
    ----------
    Cs : int or array-like of shape (n_Cs,), default=10
        Inverse strengths of the penalty. An integer n stands for n values on a log scale from 1e-4 to 1e4.
    alphas : int, array-like of shape (n_Cs,) or None, default=None
        Penalty strengths 1 / (C S), at least 0. This parameter replaces `Cs` in scikit-learn 1.10. An integer n stands
        for n values on a log scale from 1e-7 to 1e2. None means that `Cs` is used.
    l1_ratios : array-like of shape (n_l1_ratios,), default="warn"
        Elastic-net mixing parameters, from 0 (L2) to 1 (L1). Both "warn" and None mean (0.0,).
    cv : int, splitter, iterable of (train, test) or None, default=None
        Cross-validation splitting strategy: the number of stratified folds, a splitter of scikit-learn, or an iterable
        of folds. None means 5 stratified folds (fewer if no class has 5 rows), or no folds with `X_val`.
    penalty : {"l2", "l1", "elasticnet"}, default="deprecated"
        Deprecated as in scikit-learn 1.8: use `l1_ratios`.
    scoring : str, callable or None, default="warn"
        Scorer used to choose C and l1_ratio. None means accuracy. "warn" means the default of the installed
        scikit-learn: accuracy before version 1.11 (with a FutureWarning since 1.9) and "neg_log_loss" afterwards.
    refit : bool or "train", default=True
        Whether to refit the model to all rows of X and `X_val` with the best C and l1_ratio. "train" refits to the rows
        of X only and requires `X_val`. With False, the coefficients, C and l1_ratio are means over the best models of
        the folds or, with `X_val`, those of the best model. If `selection` is "one_standard_error", all folds then use
        the models at the chosen C.
    selection : {"best", "one_standard_error"}, default="best"
        Which C is chosen. "best" has the largest mean score. "one_standard_error" is the smallest C, at the best
        l1_ratio, whose mean score is within one standard error of the best mean score, as glmnet's lambda.1se. The
        standard error is the standard deviation of the scores of the folds at the best C (with the denominator n_folds
        - 1), divided by the square root of n_folds, so at least two folds are required.
    intercept_scaling : float, default=1.0
        Accepted for compatibility with scikit-learn. It has no effect, because no solver penalizes the intercept.
    use_legacy_attributes : bool, default="warn"
        Whether the attributes have the shapes of scikit-learn up to 1.9, with one entry per class. Otherwise, they have
        the shapes of scikit-learn 1.10, which are described below. "warn" means the shapes of the installed version,
        with its FutureWarning.
    time_limit : float or None, default=None
        Time in seconds, from the start of `fit`, after which no further fits start and running fits stop. C is then
        chosen among the values that have been fitted in all folds, and the refit follows. The fit at the first C of
        each fold always finishes. If fits were skipped, the result depends on the speed of the machine.
    dual : bool, default=False
        Accepted for compatibility with scikit-learn. It has no effect, because the primal problem has the same
        solution.
    tol : float, default=1e-4
        Stopping tolerance of each fit, as in `LogisticRegression`, except for the bound in the folds described above.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in `LogisticRegression`. As in scikit-learn, balanced weights are computed from all
        rows and not for each fold.
    random_state : int, RandomState or None, default=None
        Accepted for compatibility with scikit-learn. It has no effect, because the solvers use a fixed seed.
    solver : str, default="auto"
        Algorithm of the optimization, as in `LogisticRegression`.
    max_iter : int, default=1000
        Maximum number of iterations of each fit.
    verbose : int, default=0
        If above 0, a progress bar shows the number of fits, and the C and relative duality gap of the last fit.
    penalty_factors : array-like of shape (n_features,) or None, default=None
        Factors by which the penalties of the features are multiplied, as in `LogisticRegression`.
    group_lasso : bool, default=False
        Whether to replace the L1 penalty with a group lasso over the classes, as in `LogisticRegression`.
    lower_bounds, upper_bounds : float, dict or array-like of shape (n_features,) or that of `coef_`, default=None
        Bounds on the coefficients of all fits, as in `LogisticRegression`.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    n_jobs : int or None, default=None
        Total number of threads used in `fit` and predictions, as in joblib: -1 means all processors. None means all
        processors that are available to the process.
    categorical_features : "from_dtype", array-like or None, default=None
        Categorical columns of a table, as in `LogisticRegression`.
    missing_as_category : bool, default=False
        Whether missing values of a categorical column form their own category. Otherwise they raise an error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    Cs_ : ndarray of shape (n_Cs,)
        Inverse strengths of the penalty, sorted.
    alphas_, alpha_ : ndarray of shape (n_Cs,), float
        Penalty strengths 1 / (C S) that correspond to `Cs_` and `C_`, where S is the total weight of all rows of X.
    l1_ratios_ : ndarray of shape (n_l1_ratios,)
        Elastic-net mixing parameters.
    C_ : float
        The C that `selection` chooses. If `selection` is "best" and `refit` is False, it is the mean of the best C of
        each fold.
    C_best_ : float
        The C with the largest sum of scores over the folds; ties are resolved in favor of the smallest C.
    C_one_standard_error_ : float
        The smallest C whose mean score is within one standard error of that of `C_best_`. This attribute exists only
        with at least two folds.
    l1_ratio_ : float
        The best l1_ratio, chosen together with `C_`.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, in the dtype that `LogisticRegression` uses.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts, in the dtype of `coef_`; zeros if `fit_intercept` is False.
    coefs_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs, n_classes or 1, n_features + 1)
        Coefficients of each fit, followed by the intercept; the last axis has n_features if `fit_intercept` is False.
    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Score of each fit on the test rows of its fold. As in `coefs_paths_`, skipped fits have NaN.
    n_iter_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs), int32
        Number of iterations of each fit.
    objectives_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Objective J of each fit, over the training rows of its fold.
    certificates_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Certified upper bound on J - J* of each fit, in the units of J, or inf if there is none.
    certificate_ : float
        Certified upper bound on J - J* of the final model, in the units of J, over the rows of the refit. With
        ``refit=False`` and `X_val`, it is the bound of the best fit. With ``refit=False`` and several folds, this
        attribute does not exist, because the mean of several models is not the result of a fit.
    converged_ : bool
        Whether the last fit converged, as in `LogisticRegression`. This attribute exists if `certificate_` does.
    n_passes_ : float
        Number of passes of the refit over X. This attribute does not exist with ``refit=False``.
    history_ : list
        Iterations of the refit, as in `LogisticRegression`. This attribute does not exist with ``refit=False``.
    timed_out_ : bool
        Whether fits were skipped because of `time_limit`.
    fit_seconds_ : float
        Total duration of all fits in seconds.
    n_samples_fit_ : int
        Number of rows of X.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen during `fit`, if all of them are strings.
    categories_ : list of ndarray or None
        Categories of each column of X, in the order of their coefficients, or None for a numeric column. The category
        of missing values is NaN and comes last. This attribute exists only if there are categorical columns.

    See Also
    --------
    LogisticRegression : Fit a model for one value of C.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegressionCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegressionCV(l1_ratios=(0,), scoring="neg_log_loss", use_legacy_attributes=False).fit(X, y)
    >>> model.scores_.shape
    (5, 1, 10)
    >>> model.C_ > 1
    True
    """

    Cs: int | ArrayLike = parameter(default=10, accepts=["count", "array-like"])
    alphas: int | ArrayLike | None = parameter(default=None, accepts=["count", "array-like", None])
    l1_ratios: ArrayLike | None = parameter(default="warn", accepts=["array-like", None, "warn"])
    cv: Any = parameter(default=None, accepts=["cv_object"])
    penalty: Penalty | Literal["deprecated"] = parameter(default="deprecated", accepts=[Penalty, "deprecated"])
    scoring: str | Callable[..., float] | None = parameter(
        default="warn", accepts=[scikit_learn.StrOptions(set(get_scorer_names())), callable, None, "warn"]
    )
    refit: bool | Literal["train"] = parameter(default=True, accepts=["boolean", Literal["train"]])
    selection: Literal["best", "one_standard_error"] = parameter(
        default="best", accepts=[Literal["best", "one_standard_error"]]
    )
    intercept_scaling: float = parameter(default=1.0, accepts=["above 0"])
    use_legacy_attributes: bool | Literal["warn"] = parameter(default="warn", accepts=["boolean", "warn"])
    time_limit: float | None = parameter(default=None, accepts=["above 0", None])

    Cs_: FloatArray = fitted()
    alphas_: FloatArray = fitted()
    alpha_: float = fitted()
    C_best_: float = fitted()
    C_one_standard_error_: float = fitted()
    l1_ratios_: FloatArray = fitted()
    # With use_legacy_attributes, these attributes have one entry per class; coefs_paths_ and scores_ are then dicts.
    C_: float | Any = fitted()
    l1_ratio_: float | Any = fitted()
    coefs_paths_: FloatArray | Any = fitted()
    scores_: FloatArray | Any = fitted()
    n_iter_: IntArray = fitted()
    objectives_: FloatArray = fitted()
    certificates_: FloatArray = fitted()
    timed_out_: bool = fitted()

    _scikit_learn_name = "LogisticRegressionCV"

    # Sample weights that are passed to `score` are routed to the scorer.
    __metadata_request__score = {"sample_weight": UNUSED}

    def fit(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        X_val: MatrixLike | Blocks | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        offset_val: ArrayLike | None = None,
        **params: Any,
    ) -> Self:
        """Choose C and l1_ratio by cross-validation or on a validation set, and fit the model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            Training data, with finite values. `Blocks` of `fastlin.blocks` may be larger than memory; their folds are
            processed sequentially.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels of at least two classes: integers, strings or booleans; or soft labels, as in
            `LogisticRegression.fit`. With soft labels, the folds are stratified by the most probable class, and scores
            use the probabilities. y may be None only if X is a `Blocks` object with labels.
        sample_weight : array-like of shape (n_samples,) or None
            Sample weights of the fits. They are also passed to the scorer if metadata routing is disabled or if the
            scorer requests them. None means the weights in the Blocks, if any, or ones.
        offset, classes : array-like or None
            As in `LogisticRegression.fit`; the offsets are also used to compute scores. With an offset or soft labels,
            `scoring` must be "accuracy", "neg_log_loss" or None, because other scorers do not support them.
        X_val : array-like or sparse matrix of shape (n_validation_samples, n_features), Blocks or None
            Validation data on which C and l1_ratio are chosen, instead of folds. It must be dense, sparse or Blocks
            like X, but its dtype may differ. `cv` must then be None.
        y_val : array-like of shape (n_validation_samples,) or (n_validation_samples, n_classes)
            Labels or soft labels of the validation data. Labels that do not occur in y raise an error, unless the
            scorer uses predicted labels and `refit` is "train" or False. Rows with these labels then count as
            misclassified. y_val may be None only if `X_val` is a `Blocks` object with labels.
        sample_weight_val : array-like of shape (n_validation_samples,) or None
            Weights of the validation data, for the scorer and for the refit to all rows.
        offset_val : array-like or None
            Offsets of the validation data. They are required if there is an `offset`.
        **params
            Metadata for the splitter and the scorer, with metadata routing. Not supported with `X_val`.

        Returns
        -------
        self
            Fitted estimator.

        Raises
        ------
        ValueError
            As in `LogisticRegression.fit`; also if `Cs` is empty or contains values that are not positive, if l1_ratios
            are outside [0, 1], if a fold has no training rows of positive weight, or if the features or labels of the
            validation data differ from those of the training data.
        """
        read = partial(validate_training_data, offset=offset, classes=classes)
        validation_arguments = X_val, y_val, sample_weight_val, offset_val
        with restore_on_error(self):
            return self._fit(X, y, sample_weight, params, read, validation_arguments)

    def _fit(self, X, y, sample_weight, params, read=validate_training_data, validation_arguments=(None,) * 4):
        refuse_metadata_without_routing(params, self, "fit")
        check_parameters(self)
        is_time_over = make_time_limit_check(self.time_limit)
        l1_ratios = resolve_l1_ratios(self.penalty, self.l1_ratios)
        Cs = resolve_inverse_strengths(self)
        warn_of_changing_defaults(self.scoring, self.use_legacy_attributes)
        with limit_jobs(self.n_jobs):
            data = read(self, X, y, sample_weight)
            if sample_weight is None and isinstance(X, Blocks):
                sample_weight = X.sample_weight
            if sample_weight is not None:
                sample_weight = validate_relative_weights(sample_weight, data.y)
            if validation_arguments[0] is None:
                _check_arguments_without_validation_set(self.refit, *validation_arguments[1:])
                routed_metadata = self._route_metadata(sample_weight, params)
                folds = self._make_folds(X, data, routed_metadata.splitter.split)
            else:
                _check_arguments_with_validation_set(self.cv, params)
                validation = _prepare_validation_set(self, X, data, *validation_arguments)
                routed_metadata = self._route_metadata(validation.weights, {})
                folds = [(None, validation)]
            if self.selection == "one_standard_error" and len(folds) == 1:
                source = "one fold" if validation_arguments[0] is None else "a validation set"
                raise ValueError(
                    f"selection='one_standard_error' requires at least two folds, whose scores vary, got {source}; "
                    "set selection='best', or cv to at least two folds."
                )
            fits = FoldFits(len(folds), Cs, l1_ratios, data, self)
            convergence_of_fits = self._search_grid(
                X, y, sample_weight, data, folds, fits, routed_metadata.scorer.score, is_time_over
            )
        if convergence_of_fits is not None:
            warn_of_unconverged_fits(convergence_of_fits[0], convergence_of_fits[1], self, stacklevel=FIT_STACKLEVEL)
        self.n_samples_fit_ = data.matrix.shape[0]
        self.classes_ = data.classes
        self._set_penalties(Cs, data.sum_weights() * data.weight_unit)
        vars(self).pop("C_one_standard_error_", None)
        for selection, (_, c) in fits.find_selections().items():
            setattr(self, f"C_{selection}_", float(self.Cs_[c]))
        self.l1_ratios_ = l1_ratios
        self.coefs_paths_ = fits.coefs
        self.scores_ = fits.scores
        self.n_iter_ = fits.n_iter
        self.objectives_ = fits.objectives
        self.certificates_ = fits.certificates
        self.timed_out_ = not fits.is_finished.all()
        is_legacy = self.use_legacy_attributes
        if is_legacy == "warn":
            is_legacy = scikit_learn.SKLEARN_VERSION < (1, 10)
        if is_legacy:
            self._convert_to_legacy_shapes()
        return self

    def _set_penalties(self, inverse_strengths, total):
        """Set `Cs_`, `C_`, `alphas_` and `alpha_` from the Cs (or 1 / alphas) and the total weight of the rows."""
        inverse_strengths = np.append(inverse_strengths, self.C_)
        with np.errstate(divide="ignore", over="ignore"):
            Cs, inverse_strengths = (
                (inverse_strengths / total, inverse_strengths)
                if uses_alpha(self)
                else (inverse_strengths, inverse_strengths * total)
            )
            alphas = 1 / inverse_strengths
        self.Cs_, self.C_ = Cs[:-1], float(Cs[-1])
        self.alphas_, self.alpha_ = alphas[:-1], float(alphas[-1])

    def _describe_result(self):
        lines = {"data": describe_data(self)}
        if hasattr(self, "objectives_"):
            scores = next(iter(self.scores_.values())) if isinstance(self.scores_, dict) else self.scores_
            means = scores.mean(axis=0)
            best: Any = np.unravel_index(np.argmax(np.where(np.isnan(means), -np.inf, means)), means.shape)
            C, l1_ratio = np.ravel(self.C_)[0], np.ravel(self.l1_ratio_)[0]
            chosen: Any = np.argmin(np.abs(self.l1_ratios_ - l1_ratio)), np.argmin(np.abs(self.Cs_ - C))
            gap = np.max(self.certificates_[:, *chosen] / self.objectives_[:, *chosen])
            lines["chosen"] = f"C={C:.6g}, l1_ratio={l1_ratio:g}"
            if self.selection == "one_standard_error":
                lines["chosen"] += f" (score within one standard error of the best C={self.C_best_:.6g})"
            lines["best score"] = f"{means[best]:.6g} on the validation set"
            if len(scores) > 1:
                deviation = np.std([fold_scores[best] for fold_scores in scores])
                lines["best score"] = (
                    f"{means[best]:.6g} ± {deviation:.2g} (mean and standard deviation over {len(scores)} folds)"
                )
            n_fits = np.count_nonzero(np.isfinite(self.objectives_))
            limit = f" of {self.objectives_.size:,} within {self.time_limit:g} s" if self.timed_out_ else ""
            lines["fits"] = f"{n_fits:,}{limit}; largest relative duality gap at the chosen C: {gap:.1e}"
            if hasattr(self, "history_"):
                lines |= describe_convergence(self, len(self.history_))
        return {**lines, "coefficients": describe_coef(self)}

    def _measure_accuracy(self, X, y, sample_weight, **options):
        # The method `score` of this class uses the parameter `scoring`.
        return LinearPredictionMixin.score(self, X, y, sample_weight, **options)

    @with_callbacks
    def _search_grid(self, X, y, sample_weight, data, folds, fits, score_params, is_time_over):
        """Fit and score all folds, choose C and l1_ratio, and set the coefficients, with callbacks.

        A validation set is treated as a single fold, whose training rows are all rows. Return whether each fit
        converged and its number of iterations, or None if a callback stopped the fit.
        """
        from fastlin.estimators.batched_fits import fit_folds
        from fastlin.estimators.problem import Problem

        n_paths = len(folds) * len(fits.l1_ratios)
        tasks = self._begin_tasks(X, y, sample_weight, data.classes, n_paths + bool(self.refit))
        training_rows = [train for train, _ in folds]
        with show_fits(self, fits.scores.size + bool(self.refit)) as on_fit:
            fit_folds(self, data, training_rows, fits, tasks, on_fit, is_time_over)
            # Scorers need not be thread-safe, so they run after the threads have finished.
            for fold, (_, test_rows) in enumerate(folds):
                is_finished = fits.is_finished[fold]
                models = [_make_fold_model(fits, (fold, r, c)) for r, c in np.argwhere(is_finished)]
                fits.scores[fold, is_finished] = self._score_models(models, data, test_rows, score_params)
            converged, n_iter = fits.converged[fits.is_finished], fits.n_iter[fits.is_finished]
            if self.refit:
                if self.refit != "train" and isinstance(folds[0][1], ScoredRows):
                    data = _append_validation_rows(self, data, sample_weight, folds[0][1])
                self.C_, self.l1_ratio_, start = fits.average_at(fits.find_selections()[self.selection])
                # In scikit-learn liblinear has no warm start, so the refit equals a LogisticRegression with this C.
                initial = None if self.solver == "liblinear" else start
                path = tasks.begin_path(n_paths, 1, "refit")
                callbacks = on_fit, None, partial(tasks.begin_fit, path)
                [fit] = fit_path(Problem(self, data), np.array([self.C_]), self.l1_ratio_, *callbacks, start=initial)
                tasks.end(path)
                self.coef_, self.intercept_ = fit.coef, fit.intercept
                self._set_convergence_attributes(fit)
                converged = np.append(converged, fit.solution.converged)
                n_iter = np.append(n_iter, fit.solution.n_iter)
            else:
                self.C_, self.l1_ratio_, (self.coef_, self.intercept_) = fits.average_selected_fits(self.selection)
                # The mean of the models is not the result of a fit.
                for name in ("certificate_", "converged_", "n_passes_", "history_"):
                    vars(self).pop(name, None)
                if len(folds) == 1:
                    self.certificate_, self.converged_ = fits.get_best_fit_convergence()
        tasks.end_paths(np.max(n_iter), self.coef_, self.intercept_)
        # No warning is issued for a fit that was stopped by a callback.
        return None if tasks.is_stopped else (converged, n_iter)

    def _score_models(self, models, data, test_rows, params):
        """Return the scores of models on the test rows of a fold."""
        is_validation_set = isinstance(test_rows, ScoredRows)
        rows = test_rows._replace(params=params) if is_validation_set else take_test_rows(data, test_rows, params)
        return [rows.score(model, resolve_scoring(self.scoring)) for model in models]

    # The `score_params` are metadata for the scorer.
    def score(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        **score_params: Any,
    ) -> float:
        """Return the score of the model on test data, computed by the scorer `scoring` (accuracy by default).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            Test data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            True labels or soft labels. None is allowed only if X is a `Blocks` object with labels.
        sample_weight : array-like of shape (n_samples,) or None
            Sample weights. None means the weights in the Blocks, if any, or ones.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), or None
            Offsets of the decision function, as in `decision_function`. With an offset or soft labels, `scoring` must
            be "accuracy", "neg_log_loss" or None.
        **score_params
            Metadata for the scorer, with metadata routing.

        Returns
        -------
        score : float
            Score, larger for better models.
        """
        y, sample_weight = validate_test_labels(self, X, y, sample_weight)
        refuse_metadata_without_routing(score_params, self, "score")
        if sample_weight is not None:
            score_params["sample_weight"] = sample_weight
        if get_config()["enable_metadata_routing"]:
            score_params = process_routing(self, "score", **score_params).scorer.score
        scoring = resolve_scoring(self.scoring)
        if find_rowwise_scoring(scoring, y, offset) == "accuracy":
            # scikit-learn's scorer is much slower (docs/benchmarks/design-choices.md: accuracy scorer).
            return self._compute_accuracy(X, y, score_params.get("sample_weight"), offset)
        if offset is not None or are_soft_labels(y):
            return ScoredRows(X, y, self.classes_, offset, score_params).score(self, scoring)
        model = join_block_outputs(self) if isinstance(X, Blocks) else self
        return self._get_scorer()(model, X, y, **score_params)

    def get_metadata_routing(self) -> Any:
        """Return the metadata routing of this estimator to its splitter and its scorer.

        Returns
        -------
        routing : MetadataRouter
            The routing information, as in scikit-learn.
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(splitter=self.cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
            .add(
                scorer=self._get_scorer(),
                method_mapping=MethodMapping().add(caller="score", callee="score").add(caller="fit", callee="score"),
            )
        )

    def _get_scorer(self):
        """Return the scorer of the parameter `scoring`."""
        return get_scorer(resolve_scoring(self.scoring) or "accuracy")

    def _make_folds(self, X, data, split_params):
        """Validate `scoring`, and return the folds as pairs of training and test row indices."""
        find_rowwise_scoring(resolve_scoring(self.scoring), data.y, data.offsets)
        n = len(data.y)
        if isinstance(X, Blocks):
            # The splitter only needs the number of rows.
            X = np.empty((n, 0))
        elif not hasattr(self, "categories_"):
            # Without categorical columns, the validated X is passed to the splitter.
            X = data.matrix.X
        y = data.classes[data.labels] if are_soft_labels(data.y) else data.y
        # At least one class must have a row in each stratified fold.
        default = min(5, max(2, np.bincount(data.labels).max()))
        splitter = check_cv(default if self.cv is None else self.cv, y, classifier=True)
        folds = [[_convert_to_row_indices(rows, n) for rows in fold] for fold in splitter.split(X, y, **split_params)]
        if not folds:
            raise ValueError("cv yielded no folds; it must yield at least one pair of training and test indices")
        # Training rows are sorted so that they are read in memory order.
        return [(np.sort(train), test) for train, test in folds]

    def _route_metadata(self, sample_weight, params):
        """Return the metadata for the splitter and for the scorer."""
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", sample_weight=sample_weight, **params)
        score_params = {} if sample_weight is None else {"sample_weight": sample_weight}
        return Bunch(splitter=Bunch(split={}), scorer=Bunch(score=score_params))

    def _convert_to_legacy_shapes(self):
        """Convert the attributes to the shapes before scikit-learn 1.10: one entry per class, with l1_ratios last."""
        classes = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        last = 0 if self.l1_ratios is None or isinstance(self.l1_ratios, str) else slice(None)
        self.C_ = np.full(len(classes), self.C_)
        self.l1_ratio_ = np.full(len(classes), self.l1_ratio_)
        scores = self.scores_.swapaxes(1, 2)[:, :, last]
        self.scores_ = {label: scores for label in classes}
        coefs = np.moveaxis(self.coefs_paths_, (3, 2), (0, 2))[:, :, :, last]
        self.coefs_paths_ = dict(zip(classes, coefs, strict=True))
        self.n_iter_ = self.n_iter_.swapaxes(1, 2)[None, :, :, last]


def _convert_to_row_indices(rows, n):
    """Return the row indices of a fold; `rows` contains indices, or is a boolean mask of all n rows."""
    try:
        return np.arange(n)[rows]
    except IndexError as error:
        raise ValueError(
            f"cv must yield row indices from 0 to {n - 1}, or boolean masks of {n} rows: {error}"
        ) from error


def _prepare_validation_set(estimator, X, data, X_val, y_val, sample_weight_val, offset_val):
    """Return the validated ScoredRows of a validation set; data are the TrainingData of the training rows."""
    classes = data.classes
    if isinstance(X_val, Blocks):
        y_val, sample_weight_val = choose_labels_and_weights(X_val, y_val, sample_weight_val, "_val")
    if y_val is None:
        raise ValueError("X_val and y_val must be given together, got only X_val; only Blocks may contain labels.")
    with prefix_error_messages(X_VAL_REQUIREMENT):
        matrix = validate_matrix(estimator, X_val, reset=False, ensure_all_finite=False, allows_blocks=True)
        if not matrix.shape[0]:
            raise ValueError("there are 0 rows")
        for _ in iterate_finite_parts(estimator, matrix):
            pass
        if (expected := _describe_container(X)) != (actual := _describe_container(X_val)):
            raise ValueError(f"expected {expected} as for X, got {actual}")
    with prefix_error_messages("y_val must contain one label per row of X_val"):
        y = validate_labels(estimator, y_val, matrix.shape[0], suffix="_val")
        if are_soft_labels(y) and y.shape[1] != len(classes):
            raise ValueError(f"y has {len(classes)} classes, but y_val has the shape {y.shape}.")
    unseen_labels = [] if are_soft_labels(y) else _find_unseen_labels(estimator, np.unique(y).tolist(), classes)
    if (data.offsets is None) != (offset_val is None):
        name = "offset" if offset_val is None else "offset_val"
        raise ValueError(f"offset and offset_val must be given together, got only {name}.")
    offsets = validate_offset(offset_val, len(y), len(classes), "offset_val", "X_val")
    find_rowwise_scoring(resolve_scoring(estimator.scoring), y, offsets)
    with prefix_error_messages(
        "sample_weight_val must be one finite number of at least 0 for each row of X_val, not all 0"
    ):
        weights = validate_relative_weights(sample_weight_val, y)
        if weights is not None and not weights.any():
            raise ValueError("all of them are 0")
    if unseen_labels:
        classes = np.union1d(classes, y)
    elif not are_soft_labels(y):
        y = y.astype(classes.dtype, copy=False)
    rows = matrix.blocks if isinstance(X_val, Blocks) else matrix.X
    return ScoredRows(rows, y, classes, offsets, {}, matrix, weights)


def _append_validation_rows(estimator, data, sample_weight, validation):
    """Return the TrainingData of the training and validation rows combined; missing weights are set to one."""
    from fastlin.estimators.problem import join_matrices

    parts = sample_weight, validation.weights
    weights = None
    if any(part is not None for part in parts):
        lengths = len(data.labels), len(validation.y)
        weights = np.concatenate([np.ones(n) if w is None else w for n, w in zip(lengths, parts, strict=True)])
    classes, offsets = data.classes, None
    if data.offsets is not None and validation.offsets is not None:
        offsets = np.concatenate([data.offsets, validation.offsets])
    matrix = join_matrices(data.matrix, validation.matrix)
    if are_soft_labels(data.y) or are_soft_labels(validation.y):
        soft_labels = [
            y if are_soft_labels(y) else (y[:, None] == classes).astype(np.float64) for y in (data.y, validation.y)
        ]
        return make_training_data(estimator, matrix, np.concatenate(soft_labels), weights, offsets, classes)
    y = np.concatenate([data.y.astype(classes.dtype, copy=False), validation.y])
    return make_training_data(estimator, matrix, y, weights, offsets)


def _check_arguments_without_validation_set(refit, y_val, sample_weight_val, offset_val):
    """Raise a ValueError for arguments and parameters that require X_val."""
    for name, value in (("y_val", y_val), ("sample_weight_val", sample_weight_val), ("offset_val", offset_val)):
        if value is not None:
            raise ValueError(f"X_val and y_val must be given together, got only {name}")
    if refit == "train":
        raise ValueError("refit='train' requires X_val; it must be True or False with cross-validation folds.")


def _check_arguments_with_validation_set(cv, params):
    """Raise a ValueError for parameters and metadata that are not supported with X_val."""
    if cv is not None:
        raise ValueError(f"cv must be None with X_val, which replaces the folds, got {cv!r}")
    if params:
        raise ValueError(f"With X_val fit accepts no metadata except weights, got {', '.join(params)}")


def _find_unseen_labels(estimator, labels, classes):
    """Return the validation labels that are not in `classes`; raise a ValueError if they cannot be scored."""
    seen_labels = set(classes.tolist())
    unseen_labels = [label for label in labels if label not in seen_labels]
    response_method = getattr(get_scorer(resolve_scoring(estimator.scoring)), "_response_method", "predict")
    # A scorer of predicted labels can treat such rows as misclassified, unless a refit uses them.
    can_score_unseen = response_method == "predict" and estimator.refit in (False, "train")
    if len(unseen_labels) == len(labels) or (unseen_labels and not can_score_unseen):
        raise ValueError(
            f"y_val contains the label {unseen_labels[0]!r}, which does not occur in y; the labels of y are "
            f"{classes.tolist()!r:.200}. Remove these rows, or add such rows to X; with scoring='accuracy' and "
            "refit='train' or False they count as misclassified."
        )
    return unseen_labels


def _describe_container(X):
    """Return the kind of X (for example, sparse) for error messages."""
    if isinstance(X, Blocks):
        return f"{'sparse' if X.is_sparse else 'dense'} blocks"
    return f"{'sparse' if sparse.issparse(X) else 'dense'} rows"


def _make_fold_model(fits: FoldFits, position: GridIndex) -> LogisticRegression:
    """Return the fit at an index as an estimator for scorers."""
    _, r, c = position
    model = LogisticRegression(C=fits.Cs[c], l1_ratio=fits.l1_ratios[r])
    model.classes_ = fits.classes
    model.coef_, model.intercept_ = fits.coef[position], fits.intercept[position]
    model.n_features_in_ = model.coef_.shape[1]
    return model
