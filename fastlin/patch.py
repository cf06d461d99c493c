"""Patch scikit-learn's classes to use fastlin: `patch_sklearn`, and ``python -m fastlin.patch script.py``.

Methods are replaced in place, so earlier imports, subclasses and pickles of the classes continue to work. If fastlin
does not support the parameters or data, the patched class falls back to scikit-learn. If other packages wrap the
methods later, the wrappers call fastlin's methods.
"""

from __future__ import annotations

import argparse
import inspect
import logging
import math
import runpy
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from joblib import parallel_config
from joblib.externals.loky.backend import reduction
from joblib.parallel import BatchedCalls
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from fastlin import estimators
from fastlin.estimators.labels import encode_labels, parse_label_columns
from fastlin.estimators.linear_predictions import LinearPredictionMixin
from fastlin.estimators.scikit_learn import check_parameters, has_callbacks

__all__ = ["Report", "patch_sklearn", "report", "unpatch_sklearn"]

LOGGER = logging.getLogger("fastlin")
PREDICTION_METHODS = "decision_function", "predict", "predict_proba", "predict_log_proba"
# The default of max_iter in scikit-learn, and the default in fastlin, which replaces it.
SCIKIT_LEARN_MAX_ITER, FASTLIN_MAX_ITER = 100, 1000
# fastlin has solvers with these names, whose tol bounds the gradient, as in scikit-learn.
NEWTON_SOLVERS = "newton-cg", "newton-cholesky"
# For any tol, scikit-learn's lbfgs stops if a step decreases J by less than this fraction of J.
MIN_RELATIVE_LOSS_DECREASE = 64 * float(np.finfo(np.float64).eps)
# An X with at most this number of entries is fitted to rounding accuracy, which takes one or two more Newton steps.
SMALL_TABLE_SIZE = 100_000
MAX_FALLBACK_REASONS = 100
# Fitted attributes that scikit-learn's estimators do not have.
FASTLIN_ATTRIBUTES = (
    "certificate_",
    "converged_",
    "n_passes_",
    "n_samples_fit_",
    "objectives_",
    "certificates_",
    "timed_out_",
    "C_best_",
    "C_one_standard_error_",
)


def _make_fastlin_estimator(name, estimator, **changed):
    """Return fastlin's estimator with the attributes of scikit-learn's estimator. `changed` replaces some of them."""
    fastlin_estimator = getattr(estimators, name)()
    vars(fastlin_estimator).update({**vars(estimator), **changed})
    return fastlin_estimator


def _choose_parameters(estimator, X):
    """Return the parameters whose meaning differs in fastlin.

    scikit-learn's `tol` bounds the gradient, and fastlin's `tol` bounds the suboptimality of J. The suboptimality is of
    the order of the squared gradient, so fastlin uses the square of scikit-learn's `tol`. A small X is fitted to
    rounding accuracy.
    """
    uses_newton = estimator.solver in NEWTON_SOLVERS
    # If alpha replaces C in the installed version of scikit-learn, the default of C may be a string or None.
    defaults_without_alpha = {"C": 1.0, "Cs": 10}
    tol = estimator.tol if uses_newton else max(estimator.tol**2, MIN_RELATIVE_LOSS_DECREASE)
    return {
        # Newton steps are reproducible: two steps give the same result as one step followed by a warm-started step.
        "solver": estimator.solver if uses_newton else "auto",
        # Warnings contain the name of this solver.
        "asked_solver": estimator.solver,
        "tol": MIN_RELATIVE_LOSS_DECREASE if math.prod(np.shape(X)) <= SMALL_TABLE_SIZE else tol,
        "max_iter": FASTLIN_MAX_ITER if estimator.max_iter == SCIKIT_LEARN_MAX_ITER else estimator.max_iter,
        # The primal problem has the same solution as the dual problem.
        "dual": estimator.dual and estimator.solver != "liblinear",
        **{
            name: value
            for name, value in defaults_without_alpha.items()
            if isinstance(getattr(estimator, name, 0), str | None)
        },
    }


def _fall_back_to_scikit_learn_if(is_unsupported, reason):
    """If `is_unsupported` is true, raise the error that makes a fit fall back to scikit-learn."""
    if is_unsupported:
        raise NotImplementedError(reason)


def _check_support(estimator, X):
    """Raise an error if fastlin does not support the parameters or the data."""
    # This also validates parameters that fastlin ignores.
    check_parameters(estimator)
    _fall_back_to_scikit_learn_if(_uses_array_api(X), "array_api_dispatch is set, and X is not a NumPy array")
    # This parameter exists before scikit-learn 1.8.
    multi_class = getattr(estimator, "multi_class", "auto")
    _fall_back_to_scikit_learn_if(multi_class not in ("deprecated", "auto"), f"multi_class={multi_class!r}")


def _uses_array_api(X):
    is_supported = isinstance(X, (np.ndarray, list, tuple)) or sparse.issparse(X) or hasattr(X, "columns")
    return not is_supported and get_config()["array_api_dispatch"]


def _prepare_linear_fit(name, _, estimator, X, y, sample_weight=None, **params):
    """Return two functions for LogisticRegression or LogisticRegressionCV: one fits a model, one stores it."""
    _check_support(estimator, X)
    _fall_back_to_scikit_learn_if(
        parse_label_columns(y)[1] is not None, "soft labels, which scikit-learn does not support"
    )
    changed = _choose_parameters(estimator, X)
    if estimator.solver == "liblinear":
        X, y = _append_penalized_intercept(estimator, X, y)
        changed |= {"fit_intercept": False, "warm_start": False}
    model = _make_fastlin_estimator(name, estimator, **changed)
    extra_fit_arguments = (None, None) if name == "LogisticRegression" else (params,)
    return partial(model._fit, X, y, sample_weight, *extra_fit_arguments), partial(_store_linear_fit, estimator)


def _append_penalized_intercept(estimator, X, y):
    """Return X and y. If there is an intercept, append a column to X, because liblinear penalizes the intercept."""
    X, y = validate_data(estimator, X, y, accept_sparse="csr", dtype=np.float64)
    _fall_back_to_scikit_learn_if(len(np.unique(y)) > 2, "liblinear with three or more classes")
    if estimator.fit_intercept:
        ones = np.full((X.shape[0], 1), float(estimator.intercept_scaling))
        X = sparse.hstack([X, ones], format="csr") if sparse.issparse(X) else np.hstack([X, ones])
    return X, y


def _copy_fitted_attributes(estimator, model, omitted_attributes=()):
    """Copy the fitted attributes of a model to an estimator. Their names begin or end with an underscore."""
    attributes = {name: value for name, value in vars(model).items() if "_" in (name[0], name[-1])}
    vars(estimator).update({name: value for name, value in attributes.items() if name not in omitted_attributes})


def _store_linear_fit(estimator, model):
    """Copy the fitted attributes of a model to a linear estimator, including liblinear's intercept."""
    # Without history_, the estimator can be unpickled where fastlin is not installed.
    omitted_attributes = {"history_"}
    if not hasattr(estimator, "alphas"):
        omitted_attributes |= {"alphas_", "alpha_"}
    if estimator.solver == "liblinear":
        omitted_attributes |= {"n_features_in_", "feature_names_in_"}
        if estimator.fit_intercept:
            scaling = estimator.intercept_scaling
            model.intercept_ = scaling * model.coef_[:, -1]
            model.coef_ = model.coef_[:, :-1].copy()
            paths = getattr(model, "coefs_paths_", {})
            for path in paths.values() if isinstance(paths, dict) else [paths]:
                path[..., -1] *= scaling
    _copy_fitted_attributes(estimator, model, omitted_attributes)


def _prepare_network_fit(_, estimator, X, *labels_and_weights):
    """Return two functions for MLPClassifier: one fits a model, one stores it."""
    _check_support(estimator, X)
    _fall_back_to_scikit_learn_if(estimator.warm_start, "warm_start continues from scikit-learn's own state")
    # scikit-learn computes in the dtype of X.
    dtype = "float32" if getattr(X, "dtype", None) == np.float32 else "float64"
    model = _make_fastlin_estimator("MLPClassifier", estimator, dtype=dtype)
    return partial(model.fit, X, *labels_and_weights), partial(_store_network_fit, estimator)


def _store_network_fit(estimator, model):
    """Copy the fitted attributes of a model to an MLPClassifier."""
    sklearn_model = model.to_sklearn()
    sklearn_model._no_improvement_count = model._no_improvement_count
    _copy_fitted_attributes(estimator, sklearn_model)


def _record_fit(self, X, y, sample_weight=None):
    """Record the data instead of fitting. The clones of a meta-estimator have this `fit`."""
    # This module is imported here, because it imports Numba.
    from fastlin.estimators.batched_fits import pack_fit_task

    self.classes_, labels = encode_labels(np.ravel(y))
    _fall_back_to_scikit_learn_if(len(self.classes_) != 2, f"{len(self.classes_)} classes in one of the fits")
    validate_data(self, X, skip_check_array=True)
    self.n_samples_fit_, self.recorded_ = len(labels), (X, pack_fit_task(labels, sample_weight))
    return self


def _prepare_meta_estimator(original_method, meta_estimator, X, y, sample_weight=None, **params):
    """Return two functions for a meta-estimator: one fits its estimators, one stores them."""
    from fastlin.estimators.batched_fits import fit_tasks

    check_parameters(meta_estimator)
    inner, recording_estimator = meta_estimator.estimator, copy(meta_estimator)
    _check_support(inner, X)
    is_unsupported = inner.solver == "liblinear" or inner.warm_start or isinstance(inner.class_weight, Mapping)
    _fall_back_to_scikit_learn_if(is_unsupported, "batched fits with liblinear, warm_start or a dict as class_weight")
    has_callbacks_or_routing = has_callbacks(inner) or get_config()["enable_metadata_routing"]
    _fall_back_to_scikit_learn_if(has_callbacks_or_routing, "batched fits with callbacks or metadata routing")
    supported_values = {"max_features": 1.0, "bootstrap_features": False, "oob_score": False, "warm_start": False}
    is_unsupported = any(getattr(meta_estimator, name, value) != value for name, value in supported_values.items())
    _fall_back_to_scikit_learn_if(
        is_unsupported, "BaggingClassifier with subsets of the features, oob_score or warm_start"
    )
    recording_estimator.estimator, inner_class = clone(inner), type(inner)
    # Copying is faster than cloning, because scikit-learn inspects the constructor when it clones.
    recorder_class = type(inner_class.__name__, (inner_class,), {"fit": _record_fit, "__sklearn_clone__": copy})
    recording_estimator.estimator.__class__ = recorder_class
    if sample_weight is not None:
        params["sample_weight"] = sample_weight
    generator = check_random_state(getattr(meta_estimator, "random_state", None))
    state = generator.get_state()
    try:
        # The backend is sequential, because clones in other processes would be lost. Validation is skipped, because
        # the inner estimator has already been validated.
        with parallel_config("sequential"), config_context(skip_parameter_validation=True):
            original_method(recording_estimator, X, y, **params)
        fits = [fit for fit in recording_estimator.estimators_ if type(fit) is recorder_class]
        rows, tasks = zip(*(vars(fit).pop("recorded_") for fit in fits), strict=True) if fits else ([], [])
        _fall_back_to_scikit_learn_if(
            not fits or any(fitted_X is not rows[0] for fitted_X in rows), "fits with different rows"
        )
    except BaseException:
        # A fallback to scikit-learn must use the same random numbers.
        generator.set_state(state)
        raise
    model = clone(inner)
    if not isinstance(inner, estimators.LogisticRegression):
        model = _make_fastlin_estimator("LogisticRegression", model, **_choose_parameters(model, rows[0]))
    run = partial(fit_tasks, model, rows[0], lambda k: tasks[k](), len(fits), sample_weight)
    return run, partial(_store_meta_estimator, meta_estimator, recording_estimator, fits, model)


def _store_meta_estimator(meta_estimator, recording_estimator, fits, model, results):
    """Copy the fitted attributes to a meta-estimator, and the results of the batched fits to its estimators."""
    for k, fitted_estimator in enumerate(fits):
        fitted_estimator.__class__ = type(meta_estimator.estimator)
        _copy_fitted_attributes(fitted_estimator, model)
        fitted_estimator.coef_, fitted_estimator.intercept_ = results.coef[k].copy(), results.intercept[k].copy()
        fitted_estimator.n_iter_, fitted_estimator.certificate_ = (
            results.n_iter[k : k + 1],
            float(results.certificates[k]),
        )
        fitted_estimator.converged_ = bool(results.converged[k])
    original_estimators = {
        name: meta_estimator.estimator for name in ("estimator", "estimator_") if hasattr(recording_estimator, name)
    }
    vars(meta_estimator).update({**vars(recording_estimator), **original_estimators})


class PatchedClass(NamedTuple):
    """A scikit-learn class: its module, a function that prepares fits, and whether it is a meta-estimator."""

    module: str
    prepare_fit: Callable[..., Any]
    is_meta_estimator: bool = False


PATCHED_CLASSES = {
    "LogisticRegression": PatchedClass("sklearn.linear_model", partial(_prepare_linear_fit, "LogisticRegression")),
    "LogisticRegressionCV": PatchedClass("sklearn.linear_model", partial(_prepare_linear_fit, "LogisticRegressionCV")),
    "BaggingClassifier": PatchedClass("sklearn.ensemble", _prepare_meta_estimator, is_meta_estimator=True),
    "OneVsRestClassifier": PatchedClass("sklearn.multiclass", _prepare_meta_estimator, is_meta_estimator=True),
    "MultiOutputClassifier": PatchedClass("sklearn.multioutput", _prepare_meta_estimator, is_meta_estimator=True),
    "MLPClassifier": PatchedClass("sklearn.neural_network", _prepare_network_fit),
}
# `patch_sklearn` patches networks only if `names` contains their class.
DEFAULT_CLASS_NAMES = [name for name in PATCHED_CLASSES if name != "MLPClassifier"]


def _find_class(name):
    return getattr(import_module(PATCHED_CLASSES[name].module), name)


def _has_logistic_regressions(meta_estimator):
    """Return whether a meta-estimator fits fastlin's LogisticRegression, or scikit-learn's while it is patched."""
    inner_class = type(meta_estimator.estimator)
    is_patched = inner_class is _find_class("LogisticRegression") and "LogisticRegression" in _replacement_methods
    return inner_class is estimators.LogisticRegression or is_patched


def _make_fit(name, original_method):
    _, prepare_fit, is_meta_estimator = PATCHED_CLASSES[name]
    signature = inspect.signature(original_method)

    @wraps(original_method)
    def fit(self, *args, **kwargs):
        # Another package may still call this method after the patch has been removed.
        is_active = _replacement_methods.get(name, {}).get("fit") is fit
        if not is_active or (is_meta_estimator and not _has_logistic_regressions(self)):
            return original_method(self, *args, **kwargs)
        try:
            arguments = signature.bind(self, *args, **kwargs)
            run, store = prepare_fit(original_method, *arguments.args, **arguments.kwargs)
            # The functions are called directly, because the stacklevel of warnings must lead to the user's call of fit.
            store(run())
            _count_fit(name)
            return self
        except Warning:
            # A warning filter has turned a warning into an error.
            raise
        except Exception as error:
            reason = f"{error}".partition("\n")[0] or type(error).__name__
        # If scikit-learn raises an error as well, the fit is not counted.
        original_method(self, *args, **kwargs)
        for attribute in FASTLIN_ATTRIBUTES:
            vars(self).pop(attribute, None)
        LOGGER.info("%s.fit: fallback to scikit-learn: %s", name, reason)
        _count_fit(name, reason)
        return self

    return fit


def _make_prediction_method(name, original_method):
    method = getattr(LinearPredictionMixin, name)

    @wraps(original_method)
    def predict(self, X):
        # A subclass may have overridden a method that other methods call, and the patch may have been removed.
        methods = _replacement_methods.get("LogisticRegression", {})
        is_unmodified = all(
            getattr(type(self), attribute) is methods.get(attribute) for attribute in PREDICTION_METHODS
        )
        if not is_unmodified or _uses_array_api(X):
            return original_method(self, X)
        try:
            return method(_make_fastlin_estimator("LogisticRegression", self), X)
        except Exception:
            return original_method(self, X)

    return predict


# The replacement methods of each patched class.
_replacement_methods: dict[str, dict[str, Any]] = {}
# For each class, the holders of the patch: calls of patch_sklearn and, in joblib's workers, the parent process.
_patch_holders: dict[str, set[object]] = {name: set() for name in PATCHED_CLASSES}
_lock = threading.RLock()


@dataclass(frozen=True)
class Report:
    """Numbers of fits of patched classes by fastlin and by scikit-learn in this process.

    Attributes
    ----------
    fastlin : dict of str to int
        Number of fits by fastlin for each class.
    scikit_learn : dict of str to int
        Number of fits that fell back to scikit-learn for each class.
    reasons : dict of str to int
        Reasons for the fallbacks, with their counts.

    Examples
    --------
    >>> from fastlin.patch import Report
    >>> print(Report({"LogisticRegression": 42}, {"LogisticRegression": 1}, {"multi_class='ovr'": 1}))
    fits of                   by fastlin   by scikit-learn
    LogisticRegression                42                 1
    1 × multi_class='ovr'
    """

    fastlin: dict[str, int]
    scikit_learn: dict[str, int]
    reasons: dict[str, int]

    def __str__(self) -> str:
        """Return a table of the counts, followed by the reasons."""
        lines = [f"{'fits of':<24}{'by fastlin':>12}{'by scikit-learn':>18}"]
        lines += [f"{name:<24}{self.fastlin[name]:>12,}{self.scikit_learn[name]:>18,}" for name in self.fastlin]
        return "\n".join([*lines, *(f"{count:,} × {reason}" for reason, count in self.reasons.items())])


# The numbers of fits by fastlin and by scikit-learn for each class, and the reasons for fits by scikit-learn.
_fastlin_fit_counts, _scikit_learn_fit_counts, _fallback_counts = Counter[str](), Counter[str](), Counter[str]()


def _count_fit(name, reason=None):
    """Add one to the number of fits of a class by fastlin or, if there is a reason, by scikit-learn."""
    with _lock:
        (_scikit_learn_fit_counts if reason else _fastlin_fit_counts)[name] += 1
        if reason:
            _fallback_counts[
                reason
                if reason in _fallback_counts or len(_fallback_counts) < MAX_FALLBACK_REASONS
                else "other reasons"
            ] += 1


def _is_scikit_learn_function(function):
    return type(function) is FunctionType and function.__globals__["__name__"].startswith("sklearn.")


def _replace_methods(name):
    patched_class = _find_class(name)
    if not _is_scikit_learn_function(patched_class.fit):
        warnings.warn(
            f"{name}.fit has been replaced by another package, whose method is not called for fits by fastlin. Call "
            "patch_sklearn before that package patches scikit-learn.",
            stacklevel=5,
        )
    methods = {"fit": _make_fit(name, patched_class.fit)}
    # LogisticRegressionCV inherits its predictions from LogisticRegression.
    if name == "LogisticRegression" and all(
        _is_scikit_learn_function(getattr(patched_class, method)) for method in PREDICTION_METHODS
    ):
        methods |= {
            method: _make_prediction_method(method, getattr(patched_class, method)) for method in PREDICTION_METHODS
        }
    _replacement_methods[name] = methods
    for attribute, method in methods.items():
        setattr(patched_class, attribute, method)


def _restore_methods(name):
    patched_class, methods = _find_class(name), _replacement_methods.pop(name)
    active_methods = {
        attribute: method for attribute, method in methods.items() if vars(patched_class).get(attribute) is method
    }
    for attribute, method in active_methods.items():
        if getattr(super(patched_class, patched_class), attribute, None) is method.__wrapped__:
            delattr(patched_class, attribute)
        else:
            setattr(patched_class, attribute, method.__wrapped__)
    if len(active_methods) < len(methods):
        warnings.warn(
            f"Another package has replaced methods of scikit-learn's {name} after patch_sklearn. They remain in place, "
            "but fits no longer use fastlin.",
            stacklevel=4,
        )


def _update_patches(patch_holder, names):
    """Set the classes that a holder requires. Patch the classes that any holder requires, and restore the others."""
    with _lock:
        for name, holders in _patch_holders.items():
            (holders.add if name in names else holders.discard)(patch_holder)
            if bool(holders) != (name in _replacement_methods):
                (_replace_methods if holders else _restore_methods)(name)


def _reduce_joblib_batch(batch):
    """Return the pickled form of a batch of joblib. Unpickling it patches the same classes in the worker process."""
    batch_constructor, arguments = batch.__reduce__()
    return _make_joblib_batch, (tuple(_replacement_methods), batch_constructor, arguments)


def _make_joblib_batch(names, batch_constructor, arguments):
    _update_patches("parent process", names)
    return batch_constructor(*arguments)


def _validate_names(names, default):
    error_prefix = f"names must be among {', '.join(map(repr, PATCHED_CLASSES))}, got"
    class_names = default if names is None else [names] if isinstance(names, str) else names
    if not isinstance(class_names, Iterable):
        raise TypeError(f"{error_prefix} {names!r}")
    class_names = list(class_names)
    for name in class_names:
        if name not in list(PATCHED_CLASSES):
            raise ValueError(f"{error_prefix} {name!r}")
    return class_names


@dataclass(eq=False)
class _PatchContext(AbstractContextManager[None]):
    """The context manager of one call of `patch_sklearn`. It restores the classes at the end of the block."""

    names: list[str]

    def __enter__(self):
        # If the context manager is entered again, it patches again.
        _update_patches(self, self.names)

    def __exit__(self, *error):
        _update_patches(self, ())


def patch_sklearn(names: str | Iterable[str] | None = None) -> AbstractContextManager[None]:
    """Patch scikit-learn's classes so that fastlin does their fitting and prediction.

    The classes, their parameters and their pickles remain scikit-learn's. "newton-cg" and "newton-cholesky" select
    fastlin's solvers of these names, and other solvers are replaced by ``solver="auto"`` with the square of `tol`.
    Tables with up to 100,000 entries are fitted to rounding accuracy. `BaggingClassifier`, `OneVsRestClassifier` and
    `MultiOutputClassifier` fit such models, and fastlin's models, in batches. If fastlin does not support the
    parameters or data, the patched class falls back to scikit-learn, and the logger "fastlin" records the reason at
    level INFO. Worker processes of joblib are patched as well; other processes need their own call.

    Parameters
    ----------
    names : str, iterable of str or None, default=None
        Names of classes, among "LogisticRegression", "LogisticRegressionCV", "BaggingClassifier",
        "OneVsRestClassifier", "MultiOutputClassifier" and "MLPClassifier". None means all except the last one.

    Returns
    -------
    context : context manager
        In ``with patch_sklearn():``, the patch is active in all threads until the end of the block.

    Raises
    ------
    ValueError
        If a name is not one of these.

    Examples
    --------
    >>> import fastlin
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> with fastlin.patch_sklearn():
    ...     model = LogisticRegression().fit(*load_iris(return_X_y=True))
    >>> type(model).__module__.split(".")[0]
    'sklearn'
    >>> model.certificate_ < 1e-8
    True
    """
    patch = _PatchContext(_validate_names(names, DEFAULT_CLASS_NAMES))
    # The reducer remains registered, so that classes in running worker processes are also restored.
    reduction.register(BatchedCalls, _reduce_joblib_batch)
    patch.__enter__()
    return patch


def unpatch_sklearn(names: str | Iterable[str] | None = None) -> None:
    """Restore the original methods of scikit-learn's classes, no matter how often they were patched.

    Parameters
    ----------
    names : str, iterable of str or None, default=None
        Names of classes, as in `patch_sklearn`; None means all.

    Raises
    ------
    ValueError
        If a name is not one of these.

    Examples
    --------
    >>> import fastlin
    >>> fastlin.unpatch_sklearn()
    """
    with _lock:
        for name in _validate_names(names, PATCHED_CLASSES):
            _patch_holders[name].clear()
        _update_patches(None, ())


def report() -> Report:
    """Return the numbers of fits of patched classes by fastlin and by scikit-learn since the start of the process.

    Fits that raised an error in both, and fits in other processes, are not counted.

    Returns
    -------
    report : Report
        The counts for each class; `print` shows them as a table.

    Examples
    --------
    >>> import fastlin
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> before = fastlin.patch.report().fastlin["LogisticRegression"]
    >>> with fastlin.patch_sklearn():
    ...     model = LogisticRegression().fit(*load_iris(return_X_y=True))
    >>> fastlin.patch.report().fastlin["LogisticRegression"] - before
    1
    """
    with _lock:
        fastlin_counts, scikit_learn_counts = (
            {name: fits[name] for name in PATCHED_CLASSES} for fits in (_fastlin_fit_counts, _scikit_learn_fit_counts)
        )
        return Report(fastlin_counts, scikit_learn_counts, dict(_fallback_counts.most_common()))


def run_program(arguments: list[str]) -> None:
    """Run a script or a module as ``python`` does, with scikit-learn's classes patched."""
    parser = argparse.ArgumentParser(
        prog="python -m fastlin.patch",
        description="Run a Python program with scikit-learn's classes patched to use fastlin.",
    )
    add = parser.add_argument
    add("-v", "--verbose", action="store_true", help="log fallbacks to scikit-learn, and print counts at the end")
    add("-m", dest="is_module", action="store_true", help="run a module")
    add("name", help="the script, or the name of the module")
    add("args", nargs=argparse.REMAINDER, help="the program's arguments")
    options = parser.parse_args(arguments)
    if options.verbose:
        logging.basicConfig()
        LOGGER.setLevel(logging.INFO)
    sys.argv = [options.name, *options.args]
    patch_sklearn()
    try:
        if options.is_module:
            runpy.run_module(options.name, run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(options.name).resolve().parent)
            runpy.run_path(options.name, run_name="__main__")
    finally:
        if options.verbose:
            print(report(), file=sys.stderr)


if __name__ == "__main__":
    # The imported module is run, because this file is another module, __main__, with its own counts.
    import fastlin.patch

    fastlin.patch.run_program(sys.argv[1:])
