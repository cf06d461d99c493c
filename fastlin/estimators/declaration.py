"""The parameters of an estimator, each declared once: its type, its default, and what it accepts."""

import math
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, TypeVar, dataclass_transform, get_args, get_origin

from fastlin.estimators.scikit_learn import Hidden, Interval, Options, StrOptions

Declared = TypeVar("Declared", bound=type)
Solver: TypeAlias = Literal["auto", "lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"]
Penalty: TypeAlias = Literal["l1", "l2", "elasticnet"]
Activation: TypeAlias = Literal["identity", "logistic", "relu", "tanh"]
Normalization: TypeAlias = Literal["input", "hidden", "both"]
Initialization: TypeAlias = Literal["xavier", "he", "normal"]
# Who takes the steps of a network, the courses of a learning rate, and the types that a training computes in.
Rule: TypeAlias = Literal["adam", "sgd", "lbfgs"]
Course: TypeAlias = Literal["constant", "invscaling", "adaptive", "cosine"]
Precision: TypeAlias = Literal["float32", "float64"]

# What the words of a declaration mean; any other word is one of scikit-learn's `_parameter_constraints`.
WORDS = {
    "above 0": Interval(Real, 0, None, closed="neither"),
    "above 0, or inf": Interval(Real, 0, None, closed="right"),
    "at least 0": Interval(Real, 0, None, closed="left"),
    "from 0 to 1": Interval(Real, 0, 1, closed="both"),
    "from 0 to below 1": Interval(Real, 0, 1, closed="left"),
    "above 0 to 1": Interval(Real, 0, 1, closed="right"),
    "between 0 and 1": Interval(Real, 0, 1, closed="neither"),
    "whole number": Integral,
    "count": Interval(Integral, 1, None, closed="left"),
    "count or 0": Interval(Integral, 0, None, closed="left"),
    "inf": Options(Real, {math.inf}),
    "never": Options(bool, {False}),
    "deprecated": Hidden(StrOptions({"deprecated"})),
    "warn": Hidden(StrOptions({"warn"})),
    **{name: StrOptions({name}) for name in ("auto", "balanced", "from_dtype")},
}


def parameter(*, default: Any, accepts: list[Any], kw_only: bool = True) -> Any:
    """Return the declaration of a parameter: its default, what it accepts, and whether it needs its name.

    What it accepts are words, Literals for the names in them, and constraints of scikit-learn.
    """
    constraints = [StrOptions(set(get_args(each))) if get_origin(each) is Literal else each for each in accepts]
    constraints = [WORDS.get(each, each) if isinstance(each, str) else each for each in constraints]
    return field(default=default, metadata={"accepts": constraints}, kw_only=kw_only)


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
