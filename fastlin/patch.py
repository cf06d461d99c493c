"""scikit-learn's classes run by fastlin: `patch_sklearn`, and ``python -m fastlin.patch script.py``.

Methods are replaced in place, so names that were imported before, subclasses and pickles go on as they were. What
fastlin refuses, scikit-learn fits. Methods that another package puts around them later are called around fastlin's.
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
from fastlin.estimators.labels import encode_labels, read_label_columns
from fastlin.estimators.linear_predictions import LinearPredictions
from fastlin.estimators.scikit_learn import check_parameters, has_callbacks

__all__ = ["Report", "patch_sklearn", "report", "unpatch_sklearn"]

LOGGER = logging.getLogger("fastlin")
PREDICTIONS = "decision_function", "predict", "predict_proba", "predict_log_proba"
# scikit-learn's default of max_iter, and ours, which takes its place as it does where an import is changed.
DEFAULT_MAX_ITER, MAX_ITER = 100, 1000
# These are run as they are named, and their tol bounds the gradient as scikit-learn's does.
NEWTON_SOLVERS = "newton-cg", "newton-cholesky"
# scikit-learn's lbfgs ends where a step lowers J by less than this part of J, whatever tol is.
MIN_DECREASE = 64 * float(np.finfo(np.float64).eps)
# Tables of no more entries are small: Newton's method, which most of them get, then takes one or two steps more.
SMALL_TABLE = 100_000
MAX_REASONS = 100
# What fits leave that scikit-learn's do not.
FASTLIN_ATTRIBUTES = (
    "certificate_",
    "converged_",
    "n_passes_",
    "n_samples_fit_",
    "objectives_",
    "certificates_",
    "timed_out_",
)


def _translate(name, estimator, **changed):
    """Return fastlin's estimator with the attributes of scikit-learn's, but for those that are changed."""
    made = getattr(estimators, name)()
    vars(made).update({**vars(estimator), **changed})
    return made


def _choose_parameters(estimator, X):
    """Return the parameters that mean other things here.

    scikit-learn's tol bounds the gradient, whose square is of the order of J's excess: so the square of tol bounds that
    excess here. Small tables are fitted as exactly as rounding allows.
    """
    is_by_newton = estimator.solver in NEWTON_SOLVERS
    # Versions in which alpha replaces C may have a word for its default, or None.
    replaced = {"C": 1.0, "Cs": 10}
    tol = estimator.tol if is_by_newton else max(estimator.tol**2, MIN_DECREASE)
    return {
        # Two steps of Newton's method are the same as one and, from a warm start, one more.
        "solver": estimator.solver if is_by_newton else "auto",
        # Warnings speak of this one.
        "asked_solver": estimator.solver,
        "tol": MIN_DECREASE if math.prod(np.shape(X)) <= SMALL_TABLE else tol,
        "max_iter": MAX_ITER if estimator.max_iter == DEFAULT_MAX_ITER else estimator.max_iter,
        # The primal problem has the same solution.
        "dual": estimator.dual and estimator.solver != "liblinear",
        **{name: value for name, value in replaced.items() if isinstance(getattr(estimator, name, 0), str | None)},
    }


def _fall_back_if(is_unknown, reason):
    """Raise an error that leaves a fit to scikit-learn."""
    if is_unknown:
        raise NotImplementedError(reason)


def _check(estimator, X):
    """Raise an error for parameters and data that fastlin does not take."""
    # Of all parameters, also those that fastlin does not look at.
    check_parameters(estimator)
    _fall_back_if(_is_of_array_api(X), "array_api_dispatch is set, and X is no NumPy array")
    # Before scikit-learn 1.8.
    multi_class = getattr(estimator, "multi_class", "auto")
    _fall_back_if(multi_class not in ("deprecated", "auto"), f"multi_class={multi_class!r}")


def _is_of_array_api(X):
    is_known = isinstance(X, (np.ndarray, list, tuple)) or sparse.issparse(X) or hasattr(X, "columns")
    return not is_known and get_config()["array_api_dispatch"]


def _prepare_linear(name, _, estimator, X, y, sample_weight=None, **params):
    """Return what fits a model for LogisticRegression or LogisticRegressionCV, and what keeps the model."""
    _check(estimator, X)
    _fall_back_if(read_label_columns(y)[1] is not None, "soft labels, which scikit-learn refuses")
    changed = _choose_parameters(estimator, X)
    if estimator.solver == "liblinear":
        X, y = _penalize_intercept(estimator, X, y)
        changed |= {"fit_intercept": False, "warm_start": False}
    model = _translate(name, estimator, **changed)
    starts_or_params = (None, None) if name == "LogisticRegression" else (params,)
    return partial(model._fit, X, y, sample_weight, *starts_or_params), partial(_store_linear, estimator)


def _penalize_intercept(estimator, X, y):
    """Return data of a fit whose last coefficient is liblinear's intercept, which is penalized."""
    X, y = validate_data(estimator, X, y, accept_sparse="csr", dtype=np.float64)
    _fall_back_if(len(np.unique(y)) > 2, "liblinear with three classes and more")
    if estimator.fit_intercept:
        ones = np.full((X.shape[0], 1), float(estimator.intercept_scaling))
        X = sparse.hstack([X, ones], format="csr") if sparse.issparse(X) else np.hstack([X, ones])
    return X, y


def _copy_fitted_attributes(estimator, model, left_out=()):
    """Give an estimator what its model has learned: names that begin or end with an underscore are no parameters."""
    learned = {name: value for name, value in vars(model).items() if "_" in (name[0], name[-1])}
    vars(estimator).update({name: value for name, value in learned.items() if name not in left_out})


def _store_linear(estimator, model):
    """Give an estimator what its model has learned, in the shapes of its solver."""
    # A pickle of the estimator needs no fastlin.
    left_out = {"history_"}
    if not hasattr(estimator, "alphas"):
        left_out |= {"alphas_", "alpha_"}
    if estimator.solver == "liblinear":
        left_out |= {"n_features_in_", "feature_names_in_"}
        if estimator.fit_intercept:
            scaling = estimator.intercept_scaling
            model.intercept_ = scaling * model.coef_[:, -1]
            model.coef_ = model.coef_[:, :-1].copy()
            paths = getattr(model, "coefs_paths_", {})
            for path in paths.values() if isinstance(paths, dict) else [paths]:
                path[..., -1] *= scaling
    _copy_fitted_attributes(estimator, model, left_out)


def _prepare_network(_, estimator, X, *labels_and_weights):
    """Return what fits a model for MLPClassifier, and what keeps the model."""
    _check(estimator, X)
    _fall_back_if(estimator.warm_start, "warm_start goes on from scikit-learn's own state")
    # scikit-learn computes in the type of X.
    dtype = "float32" if getattr(X, "dtype", None) == np.float32 else "float64"
    model = _translate("MLPClassifier", estimator, dtype=dtype)
    return partial(model.fit, X, *labels_and_weights), partial(_store_network, estimator)


def _store_network(estimator, model):
    """Give an estimator what its model has learned."""
    made = model.to_sklearn()
    made._no_improvement_count = model._no_improvement_count
    _copy_fitted_attributes(estimator, made)


def _record_fit(self, X, y, sample_weight=None):
    """Note rows, labels and weights: the `fit` of what a tool makes copies of, so that all are fitted side by side."""
    # Its import needs Numba, which takes 0.3 s.
    from fastlin.estimators.batched_fits import pack

    self.classes_, labels = encode_labels(np.ravel(y))
    _fall_back_if(len(self.classes_) != 2, f"{len(self.classes_)} classes in one of many fits")
    validate_data(self, X, skip_check_array=True)
    self.n_samples_fit_, self.recorded_ = len(labels), (X, pack(labels, sample_weight))
    return self


def _prepare_tool(original, tool, X, y, sample_weight=None, **params):
    """Return what fits the estimators of a tool, and what keeps them in it."""
    from fastlin.estimators.batched_fits import fit_tasks

    check_parameters(tool)
    inner, recorded = tool.estimator, copy(tool)
    _check(inner, X)
    is_other = inner.solver == "liblinear" or inner.warm_start or isinstance(inner.class_weight, Mapping)
    _fall_back_if(is_other, "many fits by liblinear, with warm_start or with weights of some classes")
    is_told = has_callbacks(inner) or get_config()["enable_metadata_routing"]
    _fall_back_if(is_told, "many fits with callbacks or metadata routing")
    whole = {"max_features": 1.0, "bootstrap_features": False, "oob_score": False, "warm_start": False}
    is_part = any(getattr(tool, name, value) != value for name, value in whole.items())
    _fall_back_if(is_part, "BaggingClassifier with parts of the columns, oob_score or warm_start")
    recorded.estimator, kind = clone(inner), type(inner)
    # A clone takes 70 microseconds more than a copy, since scikit-learn inspects the constructor.
    recorder_class = type(kind.__name__, (kind,), {"fit": _record_fit, "__sklearn_clone__": copy})
    recorded.estimator.__class__ = recorder_class
    if sample_weight is not None:
        params["sample_weight"] = sample_weight
    generator = check_random_state(getattr(tool, "random_state", None))
    state = generator.get_state()
    try:
        # What is noted stays in this process, and the tool's own estimator has been checked.
        with parallel_config("sequential"), config_context(skip_parameter_validation=True):
            original(recorded, X, y, **params)
        fits = [each for each in recorded.estimators_ if type(each) is recorder_class]
        rows, tasks = zip(*(vars(each).pop("recorded_") for each in fits), strict=True) if fits else ([], [])
        _fall_back_if(not fits or any(each is not rows[0] for each in rows), "fits of different rows")
    except BaseException:
        # scikit-learn's own fit draws the same.
        generator.set_state(state)
        raise
    model = clone(inner)
    if not isinstance(inner, estimators.LogisticRegression):
        model = _translate("LogisticRegression", model, **_choose_parameters(model, rows[0]))
    run = partial(fit_tasks, model, rows[0], lambda k: tasks[k](), len(fits), sample_weight)
    return run, partial(_store_tool, tool, recorded, fits, model)


def _store_tool(tool, recorded, fits, model, found):
    """Give a tool what it has noted, with estimators that have learned from the Fits of a model."""
    for k, fitted in enumerate(fits):
        fitted.__class__ = type(tool.estimator)
        _copy_fitted_attributes(fitted, model)
        fitted.coef_, fitted.intercept_ = found.coef[k].copy(), found.intercept[k].copy()
        fitted.n_iter_, fitted.certificate_ = found.n_iter[k : k + 1], float(found.certificates[k])
        fitted.converged_ = bool(found.converged[k])
    given = {name: tool.estimator for name in ("estimator", "estimator_") if hasattr(recorded, name)}
    vars(tool).update({**vars(recorded), **given})


class Patched(NamedTuple):
    """Where scikit-learn has a class, what prepares its fits, and whether these are fits of a tool's estimators."""

    module: str
    prepare: Callable[..., Any]
    is_tool: bool = False


PATCHED = {
    "LogisticRegression": Patched("sklearn.linear_model", partial(_prepare_linear, "LogisticRegression")),
    "LogisticRegressionCV": Patched("sklearn.linear_model", partial(_prepare_linear, "LogisticRegressionCV")),
    "BaggingClassifier": Patched("sklearn.ensemble", _prepare_tool, is_tool=True),
    "OneVsRestClassifier": Patched("sklearn.multiclass", _prepare_tool, is_tool=True),
    "MultiOutputClassifier": Patched("sklearn.multioutput", _prepare_tool, is_tool=True),
    "MLPClassifier": Patched("sklearn.neural_network", _prepare_network),
}
# Networks are patched by name alone.
DEFAULT = [name for name in PATCHED if name != "MLPClassifier"]


def _find_class(name):
    return getattr(import_module(PATCHED[name].module), name)


def _has_logistic_regressions(tool):
    """Say whether a tool fits logistic regressions of fastlin, or of scikit-learn while these are patched."""
    kind = type(tool.estimator)
    is_patched = kind is _find_class("LogisticRegression") and "LogisticRegression" in _replaced
    return kind is estimators.LogisticRegression or is_patched


def _make_fit(name, original):
    _, prepare, is_tool = PATCHED[name]
    signature = inspect.signature(original)

    @wraps(original)
    def fit(self, *args, **kwargs):
        # Another package may call this method after the end of the patch.
        is_in_use = _replaced.get(name, {}).get("fit") is fit
        if not is_in_use or (is_tool and not _has_logistic_regressions(self)):
            return original(self, *args, **kwargs)
        try:
            given = signature.bind(self, *args, **kwargs)
            run, store = prepare(original, *given.args, **given.kwargs)
            # Called without a frame between, so that warnings name the line of the user's fit.
            store(run())
            _count(name)
            return self
        except Warning:
            # A filter has made an error of it.
            raise
        except Exception as error:
            reason = f"{error}".partition("\n")[0] or type(error).__name__
        # Where this raises, scikit-learn refuses as well.
        original(self, *args, **kwargs)
        for each in FASTLIN_ATTRIBUTES:
            vars(self).pop(each, None)
        LOGGER.info("%s.fit: fallback to scikit-learn: %s", name, reason)
        _count(name, reason)
        return self

    return fit


def _make_prediction(name, original):
    method = getattr(LinearPredictions, name)

    @wraps(original)
    def predict(self, X):
        # In a subclass each method may build on another one that it overrides, and the patch may have ended.
        ours = _replaced.get("LogisticRegression", {})
        is_plain = all(getattr(type(self), each) is ours.get(each) for each in PREDICTIONS)
        if not is_plain or _is_of_array_api(X):
            return original(self, X)
        try:
            return method(_translate("LogisticRegression", self), X)
        except Exception:
            return original(self, X)

    return predict


# What replaces which methods of each name, wrapped around what was there.
_replaced: dict[str, dict[str, Any]] = {}
# What asked for each name: calls of patch_sklearn, and the process that sends work to this one.
_holders: dict[str, set[object]] = {name: set() for name in PATCHED}
_lock = threading.RLock()


@dataclass(frozen=True)
class Report:
    """What became of the fits of patched classes in this process.

    Attributes
    ----------
    fastlin : dict of str to int
        By class, how many fits fastlin ran.
    scikit_learn : dict of str to int
        By class, how many fits scikit-learn ran.
    reasons : dict of str to int
        Why it ran them, and how often.

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
        """Return a table of the counts, and the reasons."""
        lines = [f"{'fits of':<24}{'by fastlin':>12}{'by scikit-learn':>18}"]
        lines += [f"{name:<24}{self.fastlin[name]:>12,}{self.scikit_learn[name]:>18,}" for name in self.fastlin]
        return "\n".join([*lines, *(f"{count:,} × {reason}" for reason, count in self.reasons.items())])


# The fits by class that fastlin ran and that scikit-learn ran, and why it did.
_fits_of_fastlin, _fits_of_scikit_learn, _reasons = Counter[str](), Counter[str](), Counter[str]()


def _count(name, reason=None):
    """Count a fit of a class by fastlin or, for a reason, by scikit-learn."""
    with _lock:
        (_fits_of_scikit_learn if reason else _fits_of_fastlin)[name] += 1
        if reason:
            _reasons[reason if reason in _reasons or len(_reasons) < MAX_REASONS else "other reasons"] += 1


def _is_of_scikit_learn(function):
    return type(function) is FunctionType and function.__globals__["__name__"].startswith("sklearn.")


def _replace(name):
    patched = _find_class(name)
    if not _is_of_scikit_learn(patched.fit):
        warnings.warn(
            f"{name}.fit is that of another package, which is not called where fastlin fits: call patch_sklearn first.",
            stacklevel=5,
        )
    methods = {"fit": _make_fit(name, patched.fit)}
    # LogisticRegressionCV inherits its predictions from LogisticRegression.
    if name == "LogisticRegression" and all(_is_of_scikit_learn(getattr(patched, each)) for each in PREDICTIONS):
        methods |= {each: _make_prediction(each, getattr(patched, each)) for each in PREDICTIONS}
    _replaced[name] = methods
    for attribute, made in methods.items():
        setattr(patched, attribute, made)


def _put_back(name):
    patched, methods = _find_class(name), _replaced.pop(name)
    still_ours = {attribute: made for attribute, made in methods.items() if vars(patched).get(attribute) is made}
    for attribute, made in still_ours.items():
        if getattr(super(patched, patched), attribute, None) is made.__wrapped__:
            delattr(patched, attribute)
        else:
            setattr(patched, attribute, made.__wrapped__)
    if len(still_ours) < len(methods):
        warnings.warn(
            f"Another package has replaced methods of scikit-learn's {name} since patch_sklearn did. They stay, and "
            "models are scikit-learn's again.",
            stacklevel=4,
        )


def _update_patches(holder, names):
    """Note which classes a holder asks for; replace the methods of what anyone asks for, and put the others back."""
    with _lock:
        for name, holders in _holders.items():
            (holders.add if name in names else holders.discard)(holder)
            if bool(holders) != (name in _replaced):
                (_replace if holders else _put_back)(name)


def _reduce_batch(batch):
    """Return how joblib's processes make a batch of calls, once the same classes are patched there."""
    make, arguments = batch.__reduce__()
    return _make_batch, (tuple(_replaced), make, arguments)


def _make_batch(names, make, arguments):
    _update_patches("the process that sends work", names)
    return make(*arguments)


def _read_names(names, default):
    accepted = f"names must be among {', '.join(map(repr, PATCHED))}, got"
    given = default if names is None else [names] if isinstance(names, str) else names
    if not isinstance(given, Iterable):
        raise TypeError(f"{accepted} {names!r}")
    given = list(given)
    for name in given:
        if name not in list(PATCHED):
            raise ValueError(f"{accepted} {name!r}")
    return given


@dataclass(eq=False)
class _Patch(AbstractContextManager[None]):
    """What one call of `patch_sklearn` asked for, which ends with the ``with`` block that it may open."""

    names: list[str]

    def __enter__(self):
        # The second block of one call patches as well.
        _update_patches(self, self.names)

    def __exit__(self, *error):
        _update_patches(self, ())


def patch_sklearn(names: str | Iterable[str] | None = None) -> AbstractContextManager[None]:
    """Let fastlin fit the models of scikit-learn's classes, whoever makes them, and predict.

    The classes remain scikit-learn's, with its parameters, and so do their pickles. "newton-cg" and "newton-cholesky"
    mean what they say, and any other solver's name stands for `solver="auto"` at the square of `tol`. Tables of up to
    100,000 entries are fitted as exactly as rounding allows. `BaggingClassifier`, `OneVsRestClassifier` and
    `MultiOutputClassifier` of such models, or of fastlin's own, make all fits side by side. What fastlin refuses is
    fitted by scikit-learn; the logger "fastlin" gets a line of level INFO with the reason. joblib's processes follow,
    others need a call of their own.

    Parameters
    ----------
    names : str, iterable of str or None, default=None
        Among "LogisticRegression", "LogisticRegressionCV", "BaggingClassifier", "OneVsRestClassifier",
        "MultiOutputClassifier" and "MLPClassifier". None means all but the last one.

    Returns
    -------
    context : context manager
        ``with patch_sklearn():`` patches until the end of the block, in all threads.

    Raises
    ------
    ValueError
        A name is none of these.

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
    patch = _Patch(_read_names(names, DEFAULT))
    # The reducer stays, since processes that have been started follow an end as well.
    reduction.register(BatchedCalls, _reduce_batch)
    patch.__enter__()
    return patch


def unpatch_sklearn(names: str | Iterable[str] | None = None) -> None:
    """Give scikit-learn's classes their own methods back, however often they were patched.

    Parameters
    ----------
    names : str, iterable of str or None, default=None
        As `patch_sklearn` takes them; None means all.

    Raises
    ------
    ValueError
        A name is none of these.

    Examples
    --------
    >>> import fastlin
    >>> fastlin.unpatch_sklearn()
    """
    with _lock:
        for name in _read_names(names, PATCHED):
            _holders[name].clear()
        _update_patches(None, ())


def report() -> Report:
    """Return how many fits of patched classes fastlin and scikit-learn ran, since the start of the process.

    Fits that both refuse do not count, nor do fits in other processes.

    Returns
    -------
    report : Report
        The counts by class; `print` shows them as a table.

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
        ours, theirs = ({name: fits[name] for name in PATCHED} for fits in (_fits_of_fastlin, _fits_of_scikit_learn))
        return Report(ours, theirs, dict(_reasons.most_common()))


def run_program(arguments: list[str]) -> None:
    """Run a script or a module as ``python`` does, with scikit-learn's classes patched."""
    parser = argparse.ArgumentParser(
        prog="python -m fastlin.patch",
        description="Runs a Python program, in which fastlin fits the models of scikit-learn's classes.",
    )
    add = parser.add_argument
    add("-v", "--verbose", action="store_true", help="log what scikit-learn fits, and count at the end")
    add("-m", dest="is_module", action="store_true", help="run a module")
    add("name", help="the script, or the name of the module")
    add("args", nargs=argparse.REMAINDER, help="the program's arguments")
    given = parser.parse_args(arguments)
    if given.verbose:
        logging.basicConfig()
        LOGGER.setLevel(logging.INFO)
    sys.argv = [given.name, *given.args]
    patch_sklearn()
    try:
        if given.is_module:
            runpy.run_module(given.name, run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(given.name).resolve().parent)
            runpy.run_path(given.name, run_name="__main__")
    finally:
        if given.verbose:
            print(report(), file=sys.stderr)


if __name__ == "__main__":
    # This file is the module __main__ here; the report is kept in fastlin.patch.
    import fastlin.patch

    fastlin.patch.run_program(sys.argv[1:])
