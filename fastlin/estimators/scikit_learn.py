"""Compatibility with the installed scikit-learn: its version and private names (tested with versions 1.6.1 and 1.9.1).

No other module of fastlin uses private names of scikit-learn.
"""

import inspect
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from sklearn.metrics import make_scorer
from sklearn.utils import metadata_routing, multiclass, validation

# Constraints in `_parameter_constraints`, which are used by BaseEstimator and by scikit-learn's estimator checks.
from sklearn.utils._param_validation import Hidden as Hidden
from sklearn.utils._param_validation import Interval as Interval
from sklearn.utils._param_validation import Options as Options
from sklearn.utils._param_validation import StrOptions as StrOptions
from sklearn.utils._param_validation import validate_parameter_constraints

from fastlin.typing import Array

try:
    from sklearn import callback
except ImportError:
    # Callbacks are new in scikit-learn 1.9.
    callback = None

if TYPE_CHECKING:
    # scikit-learn has no type hints. With an untyped base class, any constructor call would pass type checking.
    class BaseEstimator:
        """The attributes that fastlin's estimators inherit from scikit-learn."""

        __sklearn_tags__: Any
        densify: Any
        score: Any

        def __getattr__(self, name: str) -> Any:
            """Return any other attribute."""

    class CallbackSupportMixin(BaseEstimator):
        """Mixin with the method set_callbacks."""

    class ClassifierMixin(BaseEstimator):
        """Mixin of classifiers."""

    class LinearClassifierMixin(ClassifierMixin):
        """Mixin of linear classifiers."""

    class SparseCoefMixin(BaseEstimator):
        """Mixin with the methods sparsify and densify."""

    with_callbacks: Any
else:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.linear_model._base import LinearClassifierMixin as LinearClassifierMixin
    from sklearn.linear_model._base import SparseCoefMixin as SparseCoefMixin

    # Before scikit-learn 1.9, this is an empty mixin without set_callbacks.
    CallbackSupportMixin = callback.CallbackSupportMixin if callback else type("CallbackSupportMixin", (), {})
    with_callbacks = callback.with_callbacks if callback else lambda method: method

# This function raises scikit-learn's error if metadata are passed while metadata routing is disabled.
refuse_metadata_without_routing = metadata_routing._raise_for_params
# This function returns whether a call of partial_fit is the first; it raises an error if its classes have changed.
check_partial_fit_first_call = multiclass._check_partial_fit_first_call
# This function returns the metadata of a subset of the rows.
select_metadata = validation._check_method_params
# This function validates sample weights, with scikit-learn's error messages.
check_sample_weight = validation._check_sample_weight


class NotebookDisplay:
    """Mixin that appends the result of `_make_fit_html` to scikit-learn's notebook display of an estimator."""

    def _repr_html_inner(self):
        parent: Any = super()
        return parent._repr_html_inner() + self._make_fit_html()

    def _repr_mimebundle_(self, **kwargs):
        parent: Any = super()
        mime_bundle = parent._repr_mimebundle_(**kwargs)
        # scikit-learn's setting `display` determines whether the display is HTML.
        if "text/html" in mime_bundle:
            mime_bundle["text/html"] += self._make_fit_html()
        return mime_bundle

    def _make_fit_html(self):
        raise NotImplementedError


# The version of scikit-learn that determines defaults and deprecation warnings.
SKLEARN_VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
CACHEABLE_TYPES = frozenset({str, bool, int, float, np.float64, type(None)})


def has_callbacks(estimator: Any) -> bool:
    """Return whether an estimator has callbacks, set by `set_callbacks` or by an enclosing estimator."""
    return bool(getattr(estimator, "_skl_callbacks", ()))


def begin_task_tree(estimator: Any, n_tasks: int, are_tasks_sequential: bool = True) -> Any:
    """Set up the callbacks of an estimator. Return the context of its fit, which has at most `n_tasks` tasks."""
    return estimator._init_callback_context(max_subtasks=n_tasks, sequential_subtasks=are_tasks_sequential)


def check_parameters(estimator: Any) -> None:
    """Raise scikit-learn's error if a parameter of an estimator is invalid; results for valid values are cached.

    As in scikit-learn, dual=True is valid only with liblinear.
    """
    names = tuple(estimator._parameter_constraints)
    # attrgetter returns a tuple only for two or more names.
    values = attrgetter(*names)(estimator) if len(names) > 1 else (getattr(estimator, names[0]),)
    # The types are part of the cache key, because 1, 1.0 and True are equal but not all valid.
    types = tuple(map(type, values))
    # Values of other types are not cached, because they may be large or not hashable.
    if CACHEABLE_TYPES.issuperset(types):
        estimator_class: Any = type(estimator)
        _check_parameter_values(estimator_class, values, types)
    else:
        estimator._validate_params()
    if getattr(estimator, "dual", False) and estimator.solver != "liblinear":
        raise ValueError(f"Solver {estimator.solver} supports only dual=False, got dual={estimator.dual}")


@lru_cache(maxsize=128)
def _check_parameter_values(estimator_class: Any, values: Any, types: Any) -> None:
    constraints = estimator_class._parameter_constraints
    validate_parameter_constraints(constraints, dict(zip(constraints, values, strict=True)), estimator_class.__name__)


def add_labels_to_scorer(scorer: Any, classes: Array) -> Any:
    """Return a scorer that passes the classes to its metric as `labels`, if the metric has this parameter."""
    parameters = inspect.signature(scorer._score_func).parameters if hasattr(scorer, "_score_func") else {}
    if "labels" not in parameters:
        return scorer
    pos_label_argument = {"pos_label": classes[-1]} if len(classes) == 2 and "pos_label" in parameters else {}
    return make_scorer(
        scorer._score_func,
        response_method=scorer._response_method,
        greater_is_better=scorer._sign == 1,
        **{"labels": classes, **pos_label_argument, **scorer._kwargs},
    )
