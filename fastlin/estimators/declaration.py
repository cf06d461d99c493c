"""The parameters of an estimator, each declared once: its type, its default, and what it accepts."""

import math
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, TypeVar, dataclass_transform, get_args

from fastlin.estimators.scikit_learn import Hidden, Interval, Options, StrOptions

Declared = TypeVar("Declared", bound=type)
Penalty: TypeAlias = Literal["l1", "l2", "elasticnet"]
Activation: TypeAlias = Literal["identity", "logistic", "relu", "tanh"]
Normalization: TypeAlias = Literal["input", "hidden", "both"]
Initialization: TypeAlias = Literal["xavier", "he", "normal"]
# Who takes the steps of a network, the courses of a learning rate, and the types that a training computes in.
Rule: TypeAlias = Literal["adam", "sgd", "lbfgs"]
Course: TypeAlias = Literal["constant", "invscaling", "adaptive", "cosine"]
Precision: TypeAlias = Literal["float32", "float64"]

# What several parameters accept, in the words of scikit-learn's `_parameter_constraints`.
ABOVE_ZERO = Interval(Real, 0, None, closed="neither")
AT_LEAST_ZERO = Interval(Real, 0, None, closed="left")
FROM_ZERO_BELOW_ONE = Interval(Real, 0, 1, closed="left")
BETWEEN_ZERO_AND_ONE = Interval(Real, 0, 1, closed="neither")
ABOVE_ZERO_UP_TO_ONE = Interval(Real, 0, 1, closed="right")
COUNT, COUNT_OR_ZERO = Interval(Integral, 1, None, closed="left"), Interval(Integral, 0, None, closed="left")
NEVER, NOT = Options(Real, {math.inf}), Options(bool, {False})
DEPRECATED, WARN = Hidden(StrOptions({"deprecated"})), Hidden(StrOptions({"warn"}))
CLASS_WEIGHT = [dict, StrOptions({"balanced"}), None]
N_JOBS = [None, Integral]
CATEGORICAL_FEATURES = [StrOptions({"from_dtype"}), "array-like", None]


def parameter(*, default: Any, accepts: list[Any], kw_only: bool = True) -> Any:
    """Return the declaration of a parameter: its default, what it accepts, and whether it needs its name."""
    return field(default=default, metadata={"accepts": accepts}, kw_only=kw_only)


def one_of(names: Any) -> StrOptions:
    """Return what accepts the names of a Literal."""
    return StrOptions(set(get_args(names)))


def fitted(*, init: Literal[False] = False) -> Any:
    """Return the declaration of an attribute that a fit sets."""
    return field(init=init)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(parameter, fitted))
def estimator(declared: Declared) -> Declared:
    """Give a class the constructor of its parameters, which sets them, and the constraints that they are held to."""
    made: Any = dataclass(kw_only=True, eq=False, repr=False, match_args=False)(declared)
    declared_here = [each for each in fields(made) if each.init]
    made._parameter_constraints = {each.name: each.metadata["accepts"] for each in declared_here}
    # The constructor knows the defaults, and a class does not have what only its instances mean.
    for each in declared_here:
        delattr(made, each.name)
    return made
