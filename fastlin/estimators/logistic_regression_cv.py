"""LogisticRegressionCV: scikit-learn's choice of C and l1_ratio by cross-validation, on one X for all folds."""

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
from fastlin.estimators.columns import check_parts, read_matrix
from fastlin.estimators.folds import FoldFits, fit_path, take_test_rows
from fastlin.estimators.labels import (
    X_VAL_REQUIREMENT,
    are_soft,
    choose_labels_and_weights,
    make_training_data,
    prefix_errors,
    read_labels,
    read_offset,
    read_relative_weights,
    read_scored,
    read_training_data,
)
from fastlin.estimators.linear_predictions import LinearPredictions, ScoredRows, join_block_outputs, check_row_scoring
from fastlin.estimators.logistic_regression import PenalizedClassifier
from fastlin.estimators.parameters import (
    STACKLEVEL_OF_FIT,
    Penalty,
    estimator,
    fitted,
    uses_alpha,
    limit_jobs,
    parameter,
    read_inverses,
    read_l1_ratios,
    read_scoring,
    warn_of_defaults,
)
from fastlin.estimators.scikit_learn import check_parameters, refuse_metadata_without_routing, with_callbacks
from fastlin.estimators.fit_reporting import count_fits, make_time_limit, restore_on_error, warn_of_unconverged_fits
from fastlin.estimators.summary import describe_coef, describe_data, describe_convergence
from fastlin.typing import FloatArray, IntArray, MatrixLike


@estimator
class LogisticRegressionCV(PenalizedClassifier):
    """Logistic or softmax regression with C and l1_ratio chosen by cross-validation: a drop-in for scikit-learn's.

    Each fold is fitted along C from the strongest penalty to the weakest, each fit started from those before. All folds
    read one X; a fold is a list of row numbers. Folds run side by side on the threads that `n_jobs` allows, and the
    results are the same to the last bit for any number of threads.

    With ``solver="auto"`` each fit ends where J is proven to lie within tol of its minimum, as in `LogisticRegression`.
    Where J is below 1 % of the objective without features, that 1 % takes its place, but in the last fit.
    `certificates_` has the proven distances.

    A validation set, which `fit` takes as `X_val` and `y_val`, takes the place of folds. X has the training rows.
    `fit` takes an `offset` and soft labels, as in `LogisticRegression.fit`.

    Parameters
    ----------
    Cs : int or array-like of shape (n_Cs,), default=10
        The inverse strengths of the penalty, which are sorted, or how many of them: then they are spaced evenly on a
        log scale from 1e-4 to 1e4.
    alphas : int, array-like of shape (n_Cs,) or None, default=None
        The strengths 1 / (C S), at least 0, by which scikit-learn 1.10 replaces `Cs`, or how many of them: then they
        are spaced evenly on a log scale from 1e-7 to 1e2. None leaves them to `Cs`.
    l1_ratios : array-like of shape (n_l1_ratios,), default="warn"
        Shares of the L1 penalty, from 0 (L2) to 1 (L1); "warn" and None mean (0.0,).
    cv : int, splitter, iterable of (train, test) or None, default=None
        How the rows are split into folds: the number of stratified folds, a splitter of scikit-learn, or the folds
        themselves. None means 5 stratified folds, fewer where no class has 5 rows, or none with `X_val`.
    penalty : {"l2", "l1", "elasticnet"}, default="deprecated"
        Deprecated as in scikit-learn 1.8: use `l1_ratios`.
    scoring : str, callable or None, default="warn"
        The scorer that chooses. None means accuracy. "warn" means what the installed scikit-learn takes: accuracy
        before version 1.11, from 1.9 on with its warning, and "neg_log_loss" from there on.
    refit : bool or "train", default=True
        Whether all rows, of X and of `X_val`, are fitted together at the best C and l1_ratio. "train" fits the rows
        of X alone, and needs `X_val`. Otherwise the model is the mean of the folds' fits, and of their C and l1_ratio,
        where each fold was best; with `X_val` it is the best of the fits.
    intercept_scaling : float, default=1.0
        Accepted and without effect: no solver penalizes the intercept.
    use_legacy_attributes : bool, default="warn"
        Whether the attributes have the shapes of scikit-learn up to 1.9, with an entry for each class. The shapes of
        1.10 are described below. "warn" means the shapes of the installed version, with its warning.
    time_limit : float or None, default=None
        Seconds from the start of `fit` after which no fit begins and running fits end. The best C among those that all
        folds have finished is chosen, and the last fit follows. The first C of each fold is always finished. Where
        fits have been left out, the result depends on the machine.
    dual : bool, default=False
        Accepted where scikit-learn accepts it; the primal problem has the same solution.
    tol : float, default=1e-4
        When a fit stops, as in `LogisticRegression`, with the exception above.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as in `LogisticRegression`. Balanced weights come from all rows, as in scikit-learn.
    random_state : int, RandomState or None, default=None
        Accepted and without effect: a solver draws with a fixed seed.
    solver : str, default="auto"
        The solver of all fits, as in `LogisticRegression`.
    max_iter : int, default=1000
        Largest number of iterations of each fit.
    verbose : int, default=0
        Above 0, a progress bar over folds times Cs times l1_ratios is shown, with C and gap of the last fit.
    penalty_factors : array-like of shape (n_features,) or None, default=None
        Factors on both penalties of each feature, as in `LogisticRegression`.
    group_lasso : bool, default=False
        Whether the group lasso over the classes replaces the L1 penalty, as in `LogisticRegression`.
    lower_bounds, upper_bounds : float, dict or array-like of shape (n_features,) or that of `coef_`, default=None
        Bounds of the coefficients in all fits, as in `LogisticRegression`.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    n_jobs : int or None, default=None
        Number of threads of fits and predictions in all, as joblib counts (-1: all processors). None takes all
        processors that the process may use.
    categorical_features : "from_dtype", array-like or None, default=None
        The columns of a table whose values are levels rather than numbers, as `LogisticRegression` takes them.
    missing_as_category : bool, default=False
        Whether the missing values of a categorical column are a level of their own. Otherwise they are an error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes, sorted.
    Cs_ : ndarray of shape (n_Cs,)
        The inverse strengths of the penalty, sorted.
    alphas_, alpha_ : ndarray of shape (n_Cs,), float
        The strengths of the penalty at `Cs_` and `C_`, with the weight S of all rows of X.
    l1_ratios_ : ndarray of shape (n_l1_ratios,)
        The shares of the L1 penalty.
    C_ : float
        The best C, with the largest sum of scores over the folds, and of equal sums the smallest C; the mean over the
        folds with ``refit=False``.
    l1_ratio_ : float
        The best l1_ratio, chosen with `C_`.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients in the type that `LogisticRegression` gives them.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts in the type of `coef_`; zeros without `fit_intercept`.
    coefs_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs, n_classes or 1, n_features + 1)
        Coefficients of each fit, the intercept last; without `fit_intercept` the last axis has n_features.
    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Score of each fit on the fold's test rows; NaN, as in `coefs_paths_`, where `time_limit` has left the fit out.
    n_iter_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs), int32
        Number of iterations of each fit.
    objectives_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        J of each fit over the fold's training rows.
    certificates_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Upper bound on J - J* of each fit; inf where none is known.
    certificate_ : float
        Upper bound on J - J* of the model over the rows of the last fit, as in `LogisticRegression`. With
        ``refit=False`` and `X_val` it belongs to the best fit. With ``refit=False`` and several folds it does not
        exist, because no fit led to the mean of their models.
    converged_ : bool
        Whether the last fit reached tol, as in `LogisticRegression`; it exists where `certificate_` does.
    n_passes_ : float
        Number of passes over X of the last fit; does not exist with ``refit=False``.
    history_ : list
        The iterations of the last fit, as in `LogisticRegression`; does not exist with ``refit=False``.
    timed_out_ : bool
        Whether `time_limit` has left out fits.
    fit_seconds_ : float
        Seconds that all fits took together.
    n_samples_fit_ : int
        Number of rows of X.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X has names that are strings.
    categories_ : list of ndarray or None
        For each column of X its levels, in the order of their coefficients, or None for numbers. A level of missing
        values is the last, NaN. It exists where columns are categorical.

    See Also
    --------
    LogisticRegression : Fits one value of C.

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
    intercept_scaling: float = parameter(default=1.0, accepts=["above 0"])
    use_legacy_attributes: bool | Literal["warn"] = parameter(default="warn", accepts=["boolean", "warn"])
    time_limit: float | None = parameter(default=None, accepts=["above 0", None])

    Cs_: FloatArray = fitted()
    alphas_: FloatArray = fitted()
    alpha_: float = fitted()
    l1_ratios_: FloatArray = fitted()
    # With use_legacy_attributes these have an entry for each class, two of them in a dict.
    C_: float | Any = fitted()
    l1_ratio_: float | Any = fitted()
    coefs_paths_: FloatArray | Any = fitted()
    scores_: FloatArray | Any = fitted()
    n_iter_: IntArray = fitted()
    objectives_: FloatArray = fitted()
    certificates_: FloatArray = fitted()
    timed_out_: bool = fitted()

    _scikit_learn_name = "LogisticRegressionCV"

    # Weights passed to `score` go to the scorer, which requests them or not.
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
        """Choose C and l1_ratio by cross-validation, or on a validation set, and fit the model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            Rows of finite numbers. Those of `fastlin.blocks` need not lie in memory; their folds are fitted one after
            the other.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels of at least two classes: numbers, strings or bools; or soft labels, as `LogisticRegression.fit` takes
            them. Of these folds see the most probable classes, and scores the probabilities. None only where X is
            Blocks that hold labels.
        sample_weight : array-like of shape (n_samples,) or None
            Weights of the rows in the fits. The scorer has them too where metadata routing is off or the scorer
            requests them. None means those that Blocks hold, or ones.
        offset, classes : array-like or None
            As `LogisticRegression.fit` has them; folds and scores have the offsets of their rows. With them, or with
            soft labels, `scoring` must be "accuracy", "neg_log_loss" or None: no other scorer sees them.
        X_val : array-like or sparse matrix of shape (n_validation_samples, n_features), Blocks or None
            The rows that choose, in place of folds: of the kind that X is, and of any type. `cv` must be None.
        y_val : array-like of shape (n_validation_samples,) or (n_validation_samples, n_classes)
            Their labels, which may be soft whatever y is. Those that y lacks count as wrong where the scorer takes
            predicted labels and `refit` is "train" or False, and are an error elsewhere. None only where `X_val` is
            Blocks that hold them.
        sample_weight_val : array-like of shape (n_validation_samples,) or None
            Their weights, for the scorer and for the fit of all rows, as `sample_weight` has them for folds.
        offset_val : array-like or None
            Their offsets, which must be there where there is an offset.
        **params
            Metadata for the splitter and the scorer, with metadata routing; none with `X_val`.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            For all that `LogisticRegression.fit` refuses, for Cs that are empty or hold anything but positive numbers,
            l1_ratios outside [0, 1], folds without training rows of weight above zero, and validation rows with other
            columns or labels than the training rows.
        """
        read = partial(read_training_data, offset=offset, classes=classes)
        given_val = X_val, y_val, sample_weight_val, offset_val
        with restore_on_error(self):
            return self._fit(X, y, sample_weight, params, read, given_val)

    def _fit(self, X, y, sample_weight, params, read=read_training_data, given_val=(None,) * 4):
        refuse_metadata_without_routing(params, self, "fit")
        check_parameters(self)
        is_over = make_time_limit(self.time_limit)
        l1_ratios = read_l1_ratios(self.penalty, self.l1_ratios)
        Cs = read_inverses(self)
        warn_of_defaults(self.scoring, self.use_legacy_attributes)
        with limit_jobs(self.n_jobs):
            data = read(self, X, y, sample_weight)
            if sample_weight is None and isinstance(X, Blocks):
                sample_weight = X.sample_weight
            if sample_weight is not None:
                sample_weight = read_relative_weights(sample_weight, data.y)
            if given_val[0] is None:
                _check_without_validation_set(self.refit, *given_val[1:])
                routed = self._route(sample_weight, params)
                folds = self._split(X, data, routed.splitter.split)
            else:
                _check_with_validation_set(self.cv, params)
                validation = _read_validation_set(self, X, data, *given_val)
                routed = self._route(validation.weights, {})
                folds = [(None, validation)]
            fits = FoldFits(len(folds), Cs, l1_ratios, data, self)
            missed = self._choose(X, y, sample_weight, data, folds, fits, routed.scorer.score, is_over)
        if missed is not None:
            warn_of_unconverged_fits(missed[0], missed[1], self, stacklevel=STACKLEVEL_OF_FIT)
        self.n_samples_fit_ = data.matrix.shape[0]
        self.classes_ = data.classes
        self._set_penalties(Cs, data.sum_weights() * data.weight_unit)
        self.l1_ratios_ = l1_ratios
        self.coefs_paths_ = fits.coefs
        self.scores_ = fits.scores
        self.n_iter_ = fits.n_iter
        self.objectives_ = fits.objectives
        self.certificates_ = fits.certificates
        self.timed_out_ = not fits.finished.all()
        is_legacy = self.use_legacy_attributes
        if is_legacy == "warn":
            is_legacy = scikit_learn.VERSION < (1, 10)
        if is_legacy:
            self._take_legacy_shapes()
        return self

    def _set_penalties(self, inverses, total):
        """Set Cs and alphas from Cs, or 1 / alpha, and the total weight of the rows; C_ is one of them so far."""
        inverses = np.append(inverses, self.C_)
        with np.errstate(divide="ignore", over="ignore"):
            Cs, inverses = (inverses / total, inverses) if uses_alpha(self) else (inverses, inverses * total)
            alphas = 1 / inverses
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
            lines["choice"] = f"C={C:.6g}, l1_ratio={l1_ratio:g}"
            lines["score"] = f"{means[best]:.6g} at best, on the validation rows"
            if len(scores) > 1:
                standard_deviation = np.std([each[best] for each in scores])
                lines["score"] = (
                    f"{means[best]:.6g} ± {standard_deviation:.2g} at best, mean and deviation of {len(scores)} folds"
                )
            n_fits = np.count_nonzero(np.isfinite(self.objectives_))
            limit = f" of {self.objectives_.size:,} within {self.time_limit:g} s" if self.timed_out_ else ""
            lines["fits"] = f"{n_fits:,}{limit}, those of the choice proven within {gap:.1e} of their minimum"
            if hasattr(self, "history_"):
                lines |= describe_convergence(self, len(self.history_))
        return {**lines, "coefficients": describe_coef(self)}

    def _measure_accuracy(self, X, y, sample_weight, **given):
        # The method of this class takes what `scoring` says.
        return LinearPredictions.score(self, X, y, sample_weight, **given)

    @with_callbacks
    def _choose(self, X, y, sample_weight, data, folds, fits, score_params, is_over):
        """Fill the fits of all folds and their scores, choose C, l1_ratio and the model, and tell the callbacks.

        A validation set is a fold of all rows. Return the convergence and iterations of fits, or None if stopped.
        """
        from fastlin.estimators.batched_fits import fit_folds
        from fastlin.estimators.problem import Problem

        n_paths = len(folds) * len(fits.l1_ratios)
        tasks = self._begin_tasks(X, y, sample_weight, data.classes, n_paths + bool(self.refit))
        training_rows = [train for train, _ in folds]
        with count_fits(self, fits.scores.size + bool(self.refit)) as on_fit:
            fit_folds(self, data, training_rows, fits, tasks, on_fit, is_over)
            # Scorers are called here and not in the threads, so that any scorer works.
            for fold, (_, test_rows) in enumerate(folds):
                is_finished = fits.finished[fold]
                models = [fits.model((fold, r, c)) for r, c in np.argwhere(is_finished)]
                fits.scores[fold, is_finished] = self._score_models(models, data, test_rows, score_params)
            converged, n_iter = fits.converged[fits.finished], fits.n_iter[fits.finished]
            if self.refit:
                if self.refit != "train" and isinstance(folds[0][1], ScoredRows):
                    data = _join_data(self, data, sample_weight, folds[0][1])
                self.C_, self.l1_ratio_, start = fits.best()
                # Liblinear takes no start, so scikit-learn's search and its LogisticRegression give the same model.
                given = None if self.solver == "liblinear" else start
                path = tasks.begin_path(n_paths, 1, "refit")
                told = on_fit, None, partial(tasks.begin_fit, path)
                [fit] = fit_path(Problem(self, data), np.array([self.C_]), self.l1_ratio_, *told, start=given)
                tasks.end(path)
                self.coef_, self.intercept_ = fit.coef, fit.intercept
                self._set_convergence_attributes(fit)
                converged = np.append(converged, fit.solution.converged)
                n_iter = np.append(n_iter, fit.solution.n_iter)
            else:
                self.C_, self.l1_ratio_, (self.coef_, self.intercept_) = fits.mean_of_best()
                # No fit has led to a mean of models.
                for name in ("certificate_", "converged_", "n_passes_", "history_"):
                    vars(self).pop(name, None)
                if len(folds) == 1:
                    self.certificate_, self.converged_ = fits.convergence_of_best()
        tasks.end_paths(np.max(n_iter), self.coef_, self.intercept_)
        # A stop that a callback asked for needs no warning.
        return None if tasks.is_stopped else (converged, n_iter)

    def _score_models(self, models, data, test_rows, params):
        """Return the scores of models on the test rows of a fold."""
        is_read = isinstance(test_rows, ScoredRows)
        rows = test_rows._replace(params=params) if is_read else take_test_rows(data, test_rows, params)
        return [rows.score(model, read_scoring(self.scoring)) for model in models]

    # The scorer may take more.
    def score(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        **score_params: Any,
    ) -> float:
        """Return the score by `scoring`, which is accuracy where it was left out.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            The rows to classify.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Their labels, or soft labels. None only where X is Blocks that hold them.
        sample_weight : array-like of shape (n_samples,) or None
            Weights of the rows; None means those that Blocks hold, or ones.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), or None
            Numbers added to the scores, as in `decision_function`. With it, or with soft labels, `scoring` must be
            "accuracy", "neg_log_loss" or None.
        **score_params
            Metadata for the scorer, with metadata routing.

        Returns
        -------
        score : float
            Larger for better models.
        """
        y, sample_weight = read_scored(self, X, y, sample_weight)
        refuse_metadata_without_routing(score_params, self, "score")
        if sample_weight is not None:
            score_params["sample_weight"] = sample_weight
        if get_config()["enable_metadata_routing"]:
            score_params = process_routing(self, "score", **score_params).scorer.score
        scoring = read_scoring(self.scoring)
        if check_row_scoring(scoring, y, offset) == "accuracy":
            # scikit-learn's scorer takes a millisecond.
            return self._find_accuracy(X, y, score_params.get("sample_weight"), offset)
        if offset is not None or are_soft(y):
            return ScoredRows(X, y, self.classes_, offset, score_params).score(self, scoring)
        model = join_block_outputs(self) if isinstance(X, Blocks) else self
        return self._get_scorer()(model, X, y, **score_params)

    def get_metadata_routing(self) -> Any:
        """Return how metadata reach the splitter and the scorer.

        Returns
        -------
        routing : MetadataRouter
            The routes, as scikit-learn describes them.
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
        """Return the scorer that `scoring` names."""
        return get_scorer(read_scoring(self.scoring) or "accuracy")

    def _split(self, X, data, split_params):
        """Return the folds, pairs of the numbers of training rows and of test rows, once `scoring` sees them all."""
        check_row_scoring(read_scoring(self.scoring), data.y, data.offsets)
        n = len(data.y)
        if isinstance(X, Blocks):
            # A splitter sees how many rows there are, and finds no columns to look at.
            X = np.empty((n, 0))
        elif not hasattr(self, "categories_"):
            # It can read a table as it came, not as a matrix of its columns.
            X = data.matrix.X
        y = data.classes[data.labels] if are_soft(data.y) else data.y
        # No fold of a class can be empty.
        default = min(5, max(2, np.bincount(data.labels).max()))
        splitter = check_cv(default if self.cv is None else self.cv, y, classifier=True)
        folds = [[_number_rows(rows, n) for rows in fold] for fold in splitter.split(X, y, **split_params)]
        if not folds:
            raise ValueError("cv gave no folds; it must give at least one pair of training and test rows")
        # Sorted, a fold's rows are read in the order in which they lie.
        return [(np.sort(train), test) for train, test in folds]

    def _route(self, sample_weight, params):
        """Return what goes to the splitter and to the scorer."""
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", sample_weight=sample_weight, **params)
        score_params = {} if sample_weight is None else {"sample_weight": sample_weight}
        return Bunch(splitter=Bunch(split={}), scorer=Bunch(score=score_params))

    def _take_legacy_shapes(self):
        """Give the attributes the shapes that scikit-learn had before 1.10: by class, l1_ratios last or left out."""
        classes = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        last = 0 if self.l1_ratios is None or isinstance(self.l1_ratios, str) else slice(None)
        self.C_ = np.full(len(classes), self.C_)
        self.l1_ratio_ = np.full(len(classes), self.l1_ratio_)
        scores = self.scores_.swapaxes(1, 2)[:, :, last]
        self.scores_ = {label: scores for label in classes}
        coefs = np.moveaxis(self.coefs_paths_, (3, 2), (0, 2))[:, :, :, last]
        self.coefs_paths_ = dict(zip(classes, coefs, strict=True))
        self.n_iter_ = self.n_iter_.swapaxes(1, 2)[None, :, :, last]


def _number_rows(rows, n):
    """Return the numbers of the rows of a fold, which may be a mask of all n rows."""
    try:
        return np.arange(n)[rows]
    except IndexError as error:
        raise ValueError(f"cv must give folds of numbers from 0 to {n - 1}, or masks of {n} rows: {error}") from error


def _read_validation_set(estimator, X, data, X_val, y_val, sample_weight_val, offset_val):
    """Return the validation rows of a fit whose training rows X have been read, for any metadata."""
    classes = data.classes
    if isinstance(X_val, Blocks):
        y_val, sample_weight_val = choose_labels_and_weights(X_val, y_val, sample_weight_val, "_val")
    if y_val is None:
        raise ValueError("X_val and y_val must be given together, got only X_val; only Blocks may hold their labels.")
    with prefix_errors(X_VAL_REQUIREMENT):
        matrix = read_matrix(estimator, X_val, reset=False, ensure_all_finite=False, takes_blocks=True)
        if not matrix.shape[0]:
            raise ValueError("there are 0 rows")
        for _ in check_parts(estimator, matrix):
            pass
        if (expected := _name_kind(X)) != (found_kind := _name_kind(X_val)):
            raise ValueError(f"they must be {expected}, as X is, got {found_kind}")
    with prefix_errors("y_val must be one label for each row of X_val"):
        y = read_labels(estimator, y_val, matrix.shape[0], suffix="_val")
        if are_soft(y) and y.shape[1] != len(classes):
            raise ValueError(f"y has {len(classes)} classes, but y_val the shape {y.shape}.")
        found = None if are_soft(y) else np.unique(y).tolist()
    unknown = [] if found is None else _find_other_labels(estimator, found, classes)
    if (data.offsets is None) != (offset_val is None):
        given = "offset" if offset_val is None else "offset_val"
        raise ValueError(f"offset and offset_val must be given together, got only {given}.")
    offsets = read_offset(offset_val, len(y), len(classes), "offset_val", "X_val")
    check_row_scoring(read_scoring(estimator.scoring), y, offsets)
    with prefix_errors("sample_weight_val must be one finite number of at least 0 for each row of X_val, not all 0"):
        weights = read_relative_weights(sample_weight_val, y)
        if weights is not None and not weights.any():
            raise ValueError("all of them are 0")
    if unknown:
        classes = np.union1d(classes, y)
    elif not are_soft(y):
        y = y.astype(classes.dtype, copy=False)
    rows = matrix.blocks if isinstance(X_val, Blocks) else matrix.X
    return ScoredRows(rows, y, classes, offsets, {}, matrix, weights)


def _join_data(estimator, data, sample_weight, validation):
    """Return the TrainingData of training and validation rows together; rows without weights have ones."""
    from fastlin.estimators.problem import join_matrices

    given = sample_weight, validation.weights
    weights = None
    if any(each is not None for each in given):
        lengths = len(data.labels), len(validation.y)
        weights = np.concatenate([np.ones(n) if w is None else w for n, w in zip(lengths, given, strict=True)])
    classes, offsets = data.classes, None
    if data.offsets is not None and validation.offsets is not None:
        offsets = np.concatenate([data.offsets, validation.offsets])
    matrix = join_matrices(data.matrix, validation.matrix)
    if are_soft(data.y) or are_soft(validation.y):
        soft = [y if are_soft(y) else (y[:, None] == classes).astype(np.float64) for y in (data.y, validation.y)]
        return make_training_data(estimator, matrix, np.concatenate(soft), weights, offsets, classes)
    y = np.concatenate([data.y.astype(classes.dtype, copy=False), validation.y])
    return make_training_data(estimator, matrix, y, weights, offsets)


def _check_without_validation_set(refit, y_val, sample_weight_val, offset_val):
    """Raise a ValueError for what is of no use without X_val."""
    for name, given in (("y_val", y_val), ("sample_weight_val", sample_weight_val), ("offset_val", offset_val)):
        if given is not None:
            raise ValueError(f"X_val and y_val must be given together, got only {name}")
    if refit == "train":
        raise ValueError("refit must be True or False with folds, whose training rows differ; 'train' is for X_val.")


def _check_with_validation_set(cv, params):
    """Raise a ValueError for what has no meaning with X_val: folds, and metadata, which are those of the rows of X."""
    if cv is not None:
        raise ValueError(f"cv must be None with X_val, which takes the place of folds, got {cv!r}")
    if params:
        raise ValueError(f"fit takes no metadata but weights with X_val, got {', '.join(params)}")


def _find_other_labels(estimator, found, classes):
    """Return which labels of validation rows are none of the classes, once they may be scored."""
    known = set(classes.tolist())
    unknown = [label for label in found if label not in known]
    response = getattr(get_scorer(read_scoring(estimator.scoring)), "_response_method", "predict")
    # These take predictions alone, and no fit has the rows.
    are_met = response == "predict" and estimator.refit in (False, "train")
    if len(unknown) == len(found) or (unknown and not are_met):
        raise ValueError(
            f"y_val holds {unknown[0]!r}, which is no label of y; its labels are {classes.tolist()!r:.200}. Leave "
            "these rows out, or add such rows to X; with scoring='accuracy' and refit='train' or False they count as "
            "wrong."
        )
    return unknown


def _name_kind(X):
    """Return in words what kind of rows X is."""
    if isinstance(X, Blocks):
        return f"{'sparse' if X.is_sparse else 'dense'} blocks"
    return f"{'sparse' if sparse.issparse(X) else 'dense'} rows"
