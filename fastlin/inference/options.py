"""The validated parameters of `LogisticRegression.inference`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from fastlin.coefficient_names import OmittedCategories, append_intercept, disambiguate_names
from fastlin.inference.contrasts import find_reference
from fastlin.typing import Array

ACCEPTED: dict[str, tuple[str | None, ...]] = {
    "covariance": ("model", "HC0", "HC1", "cluster"),
    "penalized": ("laplace", "sandwich", None),
    "weight_type": ("frequency", "sampling"),
}


class WeightInfo(NamedTuple):
    """The kind of the weights, "frequency" or "sampling", their unit, and whether there are class weights."""

    kind: str
    unit: float
    has_class_weights: bool


@dataclass(frozen=True, eq=False)
class InferenceOptions:
    """The validated parameters of `LogisticRegression.inference`.

    `reference` is the index of a class, or None for symmetric coefficients. `names` (d,) are the names of the columns,
    and `features` selects the reported columns; None means all. `omitted_categories` are the categories without a
    coefficient. `clusters` contains the cluster numbers of the rows, one array per key. `stacklevel` is the stack level
    of warnings, relative to `compute_inference`.
    """

    covariance: str
    penalized: str | None
    use_t: bool
    features: Sequence[Any] | None
    reference: int | None
    classes: Array
    names: Array
    omitted_categories: OmittedCategories
    clusters: list[Array]
    weights: WeightInfo
    tol: float
    stacklevel: int

    @property
    def power(self) -> int:
        """The power of the weights in robust covariances."""
        return 1 if self.weights.kind == "frequency" else 2

    @cached_property
    def display_names(self) -> Array:
        """Unique names (d,) of the columns, for messages and the summary."""
        # A column may have the same name as the intercept, so the intercept's name is included, as the last name.
        return disambiguate_names(append_intercept(self.names, True), self.omitted_categories)[:-1]


def check_options(classes: Array, reference: Any, **options: Any) -> InferenceOptions:
    """Return the InferenceOptions, with the index of the reference class.

    Raise a ValueError if an option is invalid.
    """
    for name, accepted_values in ACCEPTED.items():
        value = options["weights"].kind if name == "weight_type" else options[name]
        if not (value is None or isinstance(value, str)) or value not in accepted_values:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, accepted_values))}, got {value!r}.")
    if not isinstance(options["use_t"], (bool, np.bool_)):
        raise ValueError(f"use_t must be True or False, got {options['use_t']!r}.")
    if (options["covariance"] == "cluster") != bool(options["clusters"]):
        raise ValueError(
            "clusters and covariance='cluster' require each other, got covariance="
            f"{options['covariance']!r} with{'' if options['clusters'] else 'out'} clusters."
        )
    return InferenceOptions(reference=find_reference(reference, classes), classes=classes, **options)
