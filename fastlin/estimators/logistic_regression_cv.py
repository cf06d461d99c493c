"""LogisticRegressionCV: scikit-learn's choice of C and l1_ratio by cross-validation, on one X for all folds."""

import contextlib
import inspect
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegressionCV as ScikitLearnLogisticRegressionCV
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import check_cv
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metadata_routing import _manual_routing, _raise_for_params, _routing_enabled, process_routing
from sklearn.utils.validation import _check_method_params, _check_sample_weight

from fastlin.estimators.kept_on_error import kept_on_error
from fastlin.estimators.logistic_regression import SOLVERS, LogisticRegression
from fastlin.estimators.problem import Problem
from fastlin.estimators.progress import count_fits
from fastlin.estimators.regularization_path import WIDE, fit_along, read_Cs, warn_of_limits
from fastlin.estimators.training_data import read_training_data
from fastlin.kernels.machine.threads import count_threads, limit_threads


class LogisticRegressionCV(LogisticRegression, ScikitLearnLogisticRegressionCV):
    """Logistic or softmax regression with C and l1_ratio chosen by cross-validation: a drop-in for scikit-learn's.

    Each fold is fitted along C from the strongest penalty to the weakest, each fit started from those before. All folds
    read one X; a fold is a list of row numbers. Folds run side by side on the threads that `n_jobs` allows, and the
    results are the same to the last bit for any number.

    With ``solver="auto"`` a fold's fit ends where its excess over the minimum is *estimated* to be within tol * J (of
    1 % of J without features where J is less): by the certificate, or by the pace at which J falls, five iterations on
    end. `certificates_` tells what was proven. The last fit, of all rows, is proven as `LogisticRegression` is.

    Parameters
    ----------
    Cs : int or array-like of shape (n_Cs,), default=10
        So many values from 1e-4 to 1e4, evenly on a log scale; or the values, which are sorted.
    l1_ratios : array-like of shape (n_l1_ratios,), default="warn"
        From 0 (L2) to 1 (L1); "warn" and None mean (0.0,).
    fit_intercept : bool, default=True
    cv : int, splitter, iterable of (train, test) or None, default=None
        None: 5 stratified folds.
    dual : bool, default=False
        As `LogisticRegression` has it.
    penalty : {"l2", "l1", "elasticnet"}, default="deprecated"
        Deprecated as in scikit-learn 1.8: use `l1_ratios`.
    scoring : str, callable or None, default="warn"
        What chooses: any scorer; None means accuracy, and so does "warn", as in scikit-learn 1.9, with its warning that
        version 1.11 has "neg_log_loss" instead.
    solver, tol, max_iter, class_weight
        As `LogisticRegression` has them, but for what is said of tol above. Balanced weights are those of all rows, as
        in scikit-learn.
    n_jobs : int or None, default=None
        Number of threads in all, as joblib counts; None: all that the process may use.
    verbose : int, default=0
        Above 0, a progress bar over folds times Cs times l1_ratios.
    refit : bool, default=True
        Fit all rows at the best C and l1_ratio; else average the folds' coefficients, and Cs, where each was best.
    intercept_scaling, random_state
        Accepted and without effect.
    use_legacy_attributes : bool, default="warn"
        True: attributes in the shapes of scikit-learn up to 1.9. False, and "warn": in those of 1.10, below.
    penalty_factors, group_by_class
        As `LogisticRegression` has them.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    Cs_ : ndarray of shape (n_Cs,)
        Sorted.
    l1_ratios_ : ndarray of shape (n_l1_ratios,)
    C_, l1_ratio_ : float
        The best: the largest sum of scores over the folds, of equal ones the smallest C; means over the folds where
        ``refit=False``.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        float32 for float32 data, else float64.
    intercept_ : ndarray of shape (1,) or (n_classes,)
    coefs_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs, n_classes or 1, n_features + 1)
        Coefficients of each fit, the intercept last where there is one.
    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
    n_iter_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs), int32
    objectives_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        J of each fit over the fold's training rows.
    certificates_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Upper bound on J - J* of each fit; inf where none exists.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where X has string column names.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegressionCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegressionCV(scoring="neg_log_loss").fit(X, y)
    >>> model.scores_.shape
    (5, 1, 10)
    >>> model.C_ > 1
    True
    """

    _parameter_constraints = {
        **ScikitLearnLogisticRegressionCV._parameter_constraints,
        **{name: LogisticRegression._parameter_constraints[name] for name in ("penalty_factors", "group_by_class")},
        "solver": [StrOptions(SOLVERS)],
    }

    def __init__(
        self,
        *,
        Cs=10,
        l1_ratios="warn",
        fit_intercept=True,
        cv=None,
        dual=False,
        penalty="deprecated",
        scoring="warn",
        solver="auto",
        tol=1e-4,
        max_iter=1000,
        class_weight=None,
        n_jobs=None,
        verbose=0,
        refit=True,
        intercept_scaling=1.0,
        random_state=None,
        use_legacy_attributes="warn",
        penalty_factors=None,
        group_by_class=False,
    ):
        ScikitLearnLogisticRegressionCV.__init__(
            self,
            Cs=Cs,
            l1_ratios=l1_ratios,
            fit_intercept=fit_intercept,
            cv=cv,
            dual=dual,
            penalty=penalty,
            scoring=scoring,
            solver=solver,
            tol=tol,
            max_iter=max_iter,
            class_weight=class_weight,
            n_jobs=n_jobs,
            verbose=verbose,
            refit=refit,
            intercept_scaling=intercept_scaling,
            random_state=random_state,
            use_legacy_attributes=use_legacy_attributes,
        )
        self.penalty_factors = penalty_factors
        self.group_by_class = group_by_class

    def fit(self, X, y, sample_weight=None, **params):
        """Choose C and l1_ratio by cross-validation and fit the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,) or None
            For the fits, and for the scorer too where metadata routing is off or the scorer requests it.
        **params
            For the splitter and the scorer, with metadata routing.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For all that `LogisticRegression.fit` refuses, for Cs that are empty or hold anything but positive numbers,
            l1_ratios outside [0, 1] and folds without training rows of weight above zero.
        """
        with kept_on_error(self):
            return self._fit(X, y, sample_weight, params)

    def _fit(self, X, y, sample_weight, params):
        _raise_for_params(params, self, "fit")
        self._validate_params()
        l1_ratios = self._effective_l1_ratios()
        Cs = read_Cs(self.Cs)
        if isinstance(Cs, int):
            Cs = np.logspace(*WIDE, Cs)
        self._warn_of_defaults()
        data = read_training_data(self, X, y, sample_weight)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, data.matrix.X)
        routed = self._route(sample_weight, params)
        every_row = np.arange(len(data.y))
        splitter = check_cv(self.cv, data.y, classifier=True)
        # Sorted, a fold's rows are read in the order in which they lie.
        folds = [
            (np.sort(every_row[train]), every_row[test])
            for train, test in splitter.split(data.matrix.X, data.y, **routed.splitter.split)
        ]
        if not folds:
            raise ValueError("cv gave no folds; it must give at least one pair of training and test rows")
        fits = _Fits.empty((len(folds), len(l1_ratios), len(Cs)), data, self.fit_intercept)
        with (
            limit_threads(self._thread_limit()),
            count_fits(self.verbose, fits.scores.size + self.refit) as on_fit,
            contextlib.closing(self._walk_folds(data, folds, Cs, l1_ratios, fits, on_fit)) as walks,
        ):
            for fold, r in walks:
                # Here, not in the threads: any scorer may be called, always in the same order.
                score = _bind_scorer(self.scoring, data, folds[fold][1], sample_weight, routed.scorer.score)
                for c in range(len(Cs)):
                    model = _as_model(fits, (fold, r, c), data, Cs[c], l1_ratios[r])
                    fits.scores[fold, r, c] = score(model)
            if self.refit:
                r, c = _best(fits.scores.sum(axis=0))
                C, l1_ratio = Cs[c], l1_ratios[r]
                start = fits.coefs[:, r, c].mean(axis=0, dtype=np.float64)
                fit = Problem(self, data).minimize(C, l1_ratio, [fits.split(start)])
                coef, intercept = fit.coef, fit.intercept
                fits.converged = np.append(fits.converged, fit.solution.converged)
                if on_fit is not None:
                    on_fit()
            else:
                places = [(fold, *_best(scores)) for fold, scores in enumerate(fits.scores)]
                C = np.mean([Cs[c] for _, _, c in places])
                l1_ratio = np.mean([l1_ratios[r] for _, r, _ in places])
                coef, intercept = fits.split(np.mean([fits.coefs[place] for place in places], axis=0))
        warn_of_limits(fits.converged, self)
        self.classes_ = data.classes
        self.Cs_ = Cs
        self.l1_ratios_ = l1_ratios
        self.C_ = float(C)
        self.l1_ratio_ = float(l1_ratio)
        self.coef_ = coef
        self.intercept_ = intercept
        self.coefs_paths_ = fits.coefs
        self.scores_ = fits.scores
        self.n_iter_ = fits.n_iter
        self.objectives_ = fits.objectives
        self.certificates_ = fits.certificates
        if self.use_legacy_attributes is True:
            self._take_legacy_shapes()
        return self

    def _walk_folds(self, data, folds, Cs, l1_ratios, fits, on_fit):
        """Fit all folds and l1_ratios along the Cs, as many side by side as there are threads.

        Yields
        ------
        fold, r : int
            Whose fits are written down, in order.
        """
        stopped = threading.Event()

        def check_in(*_):
            if stopped.is_set():
                raise _Stopped

        def walk(fold, r, n_threads):
            with limit_threads(n_threads):
                problem = Problem(self, data, folds[fold][0])
                along = fit_along(problem, Cs, l1_ratios[r], proven=False, on_fit=on_fit, on_iteration=check_in)
                for c, fit in enumerate(along):
                    fits.enter((fold, r, c), fit)
            return fold, r

        n_threads, n_walks = count_threads(), len(folds) * len(l1_ratios)
        n_side_by_side = min(n_threads, n_walks)

        def count_own(place):
            """Return the threads of a walk: of the last ones, which are fewer than there are threads, more than one."""
            n_last = n_walks % n_side_by_side or n_side_by_side
            return n_threads // (n_last if place >= n_walks - n_last else n_side_by_side)

        # Threads, since all share X.
        with ThreadPoolExecutor(n_side_by_side) as pool:
            try:
                walks = [
                    pool.submit(walk, fold, r, count_own(fold * len(l1_ratios) + r))
                    for fold in range(len(folds))
                    for r in range(len(l1_ratios))
                ]
                for finished in walks:
                    yield finished.result()
            finally:
                # After an error or Ctrl-C what has not started never does, and what runs ends at its next iteration.
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _route(self, sample_weight, params):
        """Return what goes to the splitter and to the scorer."""
        if _routing_enabled():
            return process_routing(self, "fit", sample_weight=sample_weight, **params)
        score_params = dict(params)
        if sample_weight is not None:
            score_params["sample_weight"] = sample_weight
        return _manual_routing({"splitter": {}, "scorer": {"score": score_params}})

    def _warn_of_defaults(self):
        """Warn of defaults that mean something else in another version of scikit-learn."""
        if self.scoring == "warn":
            warnings.warn(
                "The default value of the parameter 'scoring' will change from None, that is accuracy, to "
                "'neg_log_loss', as in scikit-learn 1.11: another C may be chosen then. Set scoring='accuracy' or "
                "scoring='neg_log_loss'.",
                FutureWarning,
                stacklevel=4,
            )
        if self.use_legacy_attributes == "warn":
            warnings.warn(
                "C_, l1_ratio_, coefs_paths_, scores_ and n_iter_ have the shapes of scikit-learn 1.10, as with "
                "use_legacy_attributes=False. Set that, or True for the shapes that scikit-learn 1.9 has without it.",
                FutureWarning,
                stacklevel=4,
            )

    def _effective_l1_ratios(self):
        """Return the l1_ratios after the deprecated penalty, an array, with the warnings of scikit-learn 1.9."""
        l1_ratios = self.l1_ratios
        if l1_ratios is None:
            warnings.warn(
                "'l1_ratios=None' was deprecated in scikit-learn 1.8 and goes in 1.10. Use l1_ratios=(0,).",
                FutureWarning,
                stacklevel=4,
            )
        if self._has_no_l1_ratios():
            l1_ratios = (1.0,) if self.penalty == "l1" else (0.0,)
        if self.penalty != "deprecated":
            warnings.warn(
                "'penalty' was deprecated in scikit-learn 1.8 and goes in 1.10. Use l1_ratios=(0,) instead of "
                "penalty='l2', l1_ratios=(1,) instead of penalty='l1', l1_ratios of numbers from 0 to 1 instead of "
                "penalty='elasticnet', and Cs=(np.inf,) instead of penalty=None.",
                FutureWarning,
                stacklevel=4,
            )
        accepted = "l1_ratios must be a list of numbers between 0 and 1"
        if self.penalty == "elasticnet" and self._has_no_l1_ratios():
            raise ValueError(f"{accepted} where penalty='elasticnet'; got (l1_ratios={self.l1_ratios!r})")
        try:
            found = np.asarray(l1_ratios, np.float64)
        except (TypeError, ValueError):
            found = np.empty(0)
        if found.ndim != 1 or not found.size or not ((found >= 0) & (found <= 1)).all():
            raise ValueError(f"{accepted}; got (l1_ratios={self.l1_ratios!r})")
        if self.penalty in ("l1", "l2") and not self._has_no_l1_ratios():
            warnings.warn(
                f"l1_ratios parameter is only used when penalty is 'elasticnet'. Got (penalty={self.penalty})",
                stacklevel=4,
            )
            return np.array([{"l1": 1.0, "l2": 0.0}[self.penalty]])
        return found

    def _has_no_l1_ratios(self):
        return self.l1_ratios is None or isinstance(self.l1_ratios, str)

    def _take_legacy_shapes(self):
        """Give the attributes the shapes that scikit-learn had before 1.10: by class, l1_ratios last or left out."""
        classes = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        last = 0 if self._has_no_l1_ratios() else slice(None)
        self.C_ = np.full(len(classes), self.C_)
        self.l1_ratio_ = np.full(len(classes), self.l1_ratio_)
        scores = self.scores_.swapaxes(1, 2)[:, :, last]
        self.scores_ = {label: scores for label in classes}
        coefs = np.moveaxis(self.coefs_paths_, (3, 2), (0, 2))[:, :, :, last]
        self.coefs_paths_ = dict(zip(classes, coefs, strict=True))
        self.n_iter_ = self.n_iter_.swapaxes(1, 2)[None, :, :, last]


class _Stopped(Exception):
    """Ends a fit that nobody waits for."""


@dataclass(eq=False)
class _Fits:
    """What each fit of each fold left, as the estimator's attributes have it."""

    coefs: np.ndarray
    scores: np.ndarray
    objectives: np.ndarray
    certificates: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray
    fit_intercept: bool

    @classmethod
    def empty(cls, shape, data, fit_intercept):
        """Return room for fits (n_folds, n_l1_ratios, n_Cs)."""
        K, d = 1 if len(data.classes) == 2 else len(data.classes), data.matrix.shape[1]
        dtype = np.float32 if data.matrix.dtype == np.float32 else np.float64
        coefs = np.empty((*shape, K, d + fit_intercept), dtype)
        scores, objectives, certificates = (np.empty(shape) for _ in range(3))
        n_iter, converged = np.empty(shape, np.int32), np.empty(shape, bool)
        return cls(coefs, scores, objectives, certificates, n_iter, converged, fit_intercept)

    def enter(self, place, fit):
        """Write down a fit at a place (fold, l1_ratio, C)."""
        coef, intercept = self.split(self.coefs[place])
        coef[:] = fit.coef
        if self.fit_intercept:
            intercept[:] = fit.intercept
        self.objectives[place] = fit.solution.value
        self.certificates[place] = fit.certificate
        self.n_iter[place] = fit.solution.n_iter
        self.converged[place] = fit.solution.converged

    def split(self, coefs):
        """Return coef and intercept of an entry of `coefs`, (K, n_features + 1) or without an intercept."""
        if self.fit_intercept:
            return coefs[:, :-1], coefs[:, -1]
        return coefs, np.zeros(len(coefs), coefs.dtype)


def _best(scores):
    """Return the place (l1_ratio, C) of the largest of the scores (n_l1_ratios, n_Cs), of equal ones the first by C."""
    # A score that some fold does not have chooses nothing.
    by_C = np.where(np.isnan(scores), -np.inf, scores).T
    c, r = np.unravel_index(np.argmax(by_C), by_C.shape)
    return r, c


def _as_model(fits, place, data, C, l1_ratio):
    """Return the fit at a place as the estimator that scorers take."""
    model = LogisticRegression(C=C, l1_ratio=l1_ratio)
    model.classes_ = data.classes
    model.coef_, model.intercept_ = fits.split(fits.coefs[place])
    model.n_features_in_ = data.matrix.shape[1]
    return model


def _bind_scorer(scoring, data, test, sample_weight, score_params):
    """Return what scores a model on the test rows of a fold."""
    X, y = data.matrix.X[test], data.y[test]
    scorer = get_scorer(None if scoring == "warn" else scoring)
    if scorer is None:
        weights = None if sample_weight is None else sample_weight[test]
        return lambda model: model.score(X, y, sample_weight=weights)
    params = _check_method_params(X=data.matrix.X, params=score_params, indices=test)
    signature = inspect.signature(scorer._score_func).parameters if hasattr(scorer, "_score_func") else {}
    if "labels" in signature:
        # The test rows need not hold every class.
        positive = {"pos_label": data.classes[-1]} if len(data.classes) == 2 and "pos_label" in signature else {}
        scorer = make_scorer(
            scorer._score_func,
            response_method=scorer._response_method,
            greater_is_better=scorer._sign == 1,
            **{"labels": data.classes, **positive, **scorer._kwargs},
        )
    return lambda model: scorer(model, X, y, **params)
