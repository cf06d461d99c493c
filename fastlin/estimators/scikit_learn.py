"""The installed scikit-learn: its version, and the only private names in use, tested with 1.6.1 and 1.9.1."""

import inspect
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from sklearn.metrics import make_scorer
from sklearn.utils import metadata_routing, multiclass, validation

# The words in which `_parameter_constraints` says what a constructor accepts. BaseEstimator checks parameters against
# it, and so do scikit-learn's estimator checks.
from sklearn.utils._param_validation import Hidden as Hidden
from sklearn.utils._param_validation import Interval as Interval
from sklearn.utils._param_validation import Options as Options
from sklearn.utils._param_validation import StrOptions as StrOptions
from sklearn.utils._param_validation import validate_parameter_constraints

from fastlin.typing import Array

try:
    from sklearn import callback
except ImportError:
    # Before 1.9 there are no callbacks.
    callback = None

if TYPE_CHECKING:
    # scikit-learn has no types, and where a base is not known a constructor is taken to accept anything.
    class BaseEstimator:
        """What fastlin's estimators have of scikit-learn's bases."""

        __sklearn_tags__: Any
        densify: Any
        score: Any

        def __getattr__(self, name: str) -> Any:
            """Return any other attribute."""

    class CallbackSupportMixin(BaseEstimator):
        """The method set_callbacks."""

    class ClassifierMixin(BaseEstimator):
        """What makes an estimator a classifier."""

    class LinearClassifierMixin(ClassifierMixin):
        """Predictions from coefficients that sparsify has made sparse."""

    class SparseCoefMixin(BaseEstimator):
        """The methods sparsify and densify."""

    with_callbacks: Any
else:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.linear_model._base import LinearClassifierMixin as LinearClassifierMixin
    from sklearn.linear_model._base import SparseCoefMixin as SparseCoefMixin

    # In place of scikit-learn's, without set_callbacks.
    CallbackSupportMixin = callback.CallbackSupportMixin if callback else type("CallbackSupportMixin", (), {})
    with_callbacks = callback.with_callbacks if callback else lambda method: method

# The error for metadata that is passed while metadata routing is off.
refuse_metadata_without_routing = metadata_routing._raise_for_params
# Whether a call of partial_fit is the first one, and whether its classes are those of the first.
check_partial_fit_first_call = multiclass._check_partial_fit_first_call
# The rows of metadata that belong to a part of X, for metadata that has one entry a row.
select_metadata = validation._check_method_params
# The check of sample weights, with the messages that users know.
check_sample_weight = validation._check_sample_weight


class NotebookDisplay:
    """scikit-learn's display of an estimator in notebooks, followed by what `_display_fit` returns."""

    def _repr_html_inner(self):
        following: Any = super()
        return following._repr_html_inner() + self._display_fit()

    def _repr_mimebundle_(self, **kwargs):
        following: Any = super()
        bundle = following._repr_mimebundle_(**kwargs)
        # scikit-learn's setting `display` decides whether there is any.
        if "text/html" in bundle:
            bundle["text/html"] += self._display_fit()
        return bundle

    def _display_fit(self):
        raise NotImplementedError


# Defaults and deprecations follow this version: 1.8 and 1.9 say what changes in 1.10 and 1.11.
VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
PLAIN = frozenset({str, bool, int, float, np.float64, type(None)})


def has_callbacks(estimator: Any) -> bool:
    """Return whether `set_callbacks`, or an estimator around this one, has given it callbacks."""
    return bool(getattr(estimator, "_skl_callbacks", ()))


def begin_task_tree(estimator: Any, n_tasks: int, is_sequential: bool = True) -> Any:
    """Set up the callbacks of an estimator; return the context of its fit with at most n_tasks tasks."""
    return estimator._init_callback_context(max_subtasks=n_tasks, sequential_subtasks=is_sequential)


def check_parameters(estimator: Any) -> None:
    """Raise scikit-learn's error for a parameter of an estimator; values accepted once are not checked again.

    The dual problem may only be asked of liblinear, the one solver that has it.
    """
    values = attrgetter(*estimator._parameter_constraints)(estimator)
    # 1, 1.0 and True are equal, but not all of them are accepted.
    types = tuple(map(type, values))
    # Other values are not kept alive, and may have no hash.
    if PLAIN.issuperset(types):
        estimator_class: Any = type(estimator)
        _check_values(estimator_class, values, types)
    else:
        estimator._validate_params()
    if getattr(estimator, "dual", False) and estimator.solver != "liblinear":
        raise ValueError(f"Solver {estimator.solver} supports only dual=False, got dual={estimator.dual}")


@lru_cache(maxsize=128)
def _check_values(estimator_class: Any, values: Any, types: Any) -> None:
    constraints = estimator_class._parameter_constraints
    validate_parameter_constraints(constraints, dict(zip(constraints, values, strict=True)), estimator_class.__name__)


def give_labels(scorer: Any, classes: Array) -> Any:
    """Return a scorer whose metric is told all classes, where it has a parameter for them; else the scorer itself."""
    parameters = inspect.signature(scorer._score_func).parameters if hasattr(scorer, "_score_func") else {}
    if "labels" not in parameters:
        return scorer
    positive = {"pos_label": classes[-1]} if len(classes) == 2 and "pos_label" in parameters else {}
    return make_scorer(
        scorer._score_func,
        response_method=scorer._response_method,
        greater_is_better=scorer._sign == 1,
        **{"labels": classes, **positive, **scorer._kwargs},
    )
