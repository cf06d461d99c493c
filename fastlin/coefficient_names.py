"""Names of coefficients, and the selection of coefficients by name, by pair (column, category), or by index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from fastlin.typing import Array, IntArray

# The maximum number of names in a message.
MAX_LISTED_NAMES = 5


class CoefficientName(str):
    """The name of a coefficient: "column_category" for a category of a categorical column, or "intercept".

    `column` and `category` distinguish coefficients with the same name; `column` is None for the intercept. The names
    of numerical columns are plain strings.
    """

    __slots__ = ("category", "column")

    column: str | None
    category: Any

    def __new__(cls, name: str, column: str | None = None, category: object = None) -> Self:
        """Return the name."""
        coefficient_name = super().__new__(cls, name)
        coefficient_name.column, coefficient_name.category = column, category
        return coefficient_name


INTERCEPT = CoefficientName("intercept")


class OmittedCategories(NamedTuple):
    """The names of categories without coefficients: reference categories and categories without rows."""

    reference_categories: Sequence[str] = ()
    unused_categories: Sequence[str] = ()


NO_OMITTED_CATEGORIES = OmittedCategories()


def append_intercept(names: Array, fit_intercept: bool) -> Array:
    """Return the names (d,) of columns as an array of objects. If there is an intercept, it is appended."""
    return np.array([*names, *([INTERCEPT] if fit_intercept else [])], object)


def are_intercepts(names: Array) -> Array:
    """Return a boolean for each of p names: whether it denotes the intercept. A column "intercept" does not."""
    return np.array([isinstance(name, CoefficientName) and name.column is None for name in names], bool)


def is_name_or_pair(value: object) -> bool:
    """Return whether a value is a name, or a pair (column, category)."""
    return isinstance(value, str) or (isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str))


def find_coefficient_indices(
    argument: str,
    selection: Any,
    names: Array,
    omitted_categories: OmittedCategories = NO_OMITTED_CATEGORIES,
    allows_indices: bool = True,
) -> IntArray:
    """Return the indices of the coefficients that `selection` selects. None selects all.

    `argument` is the name of the parameter, for error messages. A key is a name, a pair (column, category) or, if
    `allows_indices` is true, an index into the names (p,).

    Raises
    ------
    ValueError
        If a key is unknown or ambiguous, if a coefficient is selected twice, or if the selection is empty.
    """
    if selection is None:
        return np.arange(len(names))
    coefficient_lookup = _CoefficientLookup(argument, names, omitted_categories, allows_indices)
    keys = list(selection) if isinstance(selection, Iterable) and not isinstance(selection, str) else [selection]
    if (
        isinstance(selection, tuple)
        and coefficient_lookup.find(selection)
        and not all(map(coefficient_lookup.find, keys))
    ):
        raise ValueError(
            f"{argument}={selection!r} is a sequence of two names, which are not names of coefficients. Put a pair "
            f"(column, category) in a list: {argument}=[{selection!r}]."
        )
    indices = [coefficient_lookup.find_index(key) for key in keys]
    if not indices or len(set(indices)) < len(indices):
        raise ValueError(
            f"{argument} must be names of coefficients, at least one and each at most once, got {selection!r}."
        )
    return np.array(indices)


def disambiguate_names(names: Array, omitted_categories: OmittedCategories = NO_OMITTED_CATEGORIES) -> Array:
    """Return the names (p,) of coefficients. Each ambiguous name is replaced by a unique description."""
    coefficient_lookup = _CoefficientLookup("", names, omitted_categories, allows_indices=True)
    return np.array([coefficient_lookup.make_unique_name(index) for index in range(len(names))], object)


class _CoefficientLookup:
    """Coefficients that an argument may select, and categories without a coefficient, indexed by name and by pair."""

    def __init__(self, argument, names, omitted_categories, allows_indices):
        self._argument, self._allows_indices = argument, allows_indices
        self._n_coefficients, self._n_references = len(names), len(omitted_categories.reference_categories)
        # Categories without a coefficient come last.
        self._names = [*names, *omitted_categories.reference_categories, *omitted_categories.unused_categories]
        self._indices = defaultdict(list)
        for index, name in enumerate(self._names):
            self._indices[str(name)].append(index)
            if _has_category(name):
                self._indices[_normalize_coefficient_key((name.column, name.category))].append(index)

    def find(self, key):
        """Return the indices of all categories and coefficients that match a name or a pair."""
        try:
            return self._indices.get(_normalize_coefficient_key(key), [])
        except TypeError:
            # A value that is not hashable is neither a name nor a category.
            return []

    def find_index(self, key):
        """Return the index of the coefficient that a key selects. Raise a ValueError unless there is exactly one."""
        is_index = isinstance(key, (int, np.integer)) and not isinstance(key, bool)
        if is_index and self._allows_indices and 0 <= key < self._n_coefficients:
            return int(key)
        indices = self.find(key)
        if len(indices) == 1 and indices[0] < self._n_coefficients:
            return indices[0]
        raise ValueError(self._explain_failed_lookup(key, indices))

    def make_unique_name(self, index):
        """Return the name of a coefficient, or a description if the name is ambiguous."""
        name = str(self._names[index])
        return name if len(self._indices[name]) == 1 else self._describe_coefficient(index)

    def _explain_failed_lookup(self, key, indices):
        """Return the error message for a key that does not select one coefficient."""
        argument, n = self._argument, self._n_coefficients
        if not indices:
            listed_names = ", ".join(map(str, self._names[: min(n, MAX_LISTED_NAMES)]))
            more = f", ... {self._names[n - 1]}" if n > MAX_LISTED_NAMES else ""
            index = f" or indices from 0 to {n - 1}," if self._allows_indices else ""
            return (
                f"There is no coefficient {key!r}: {argument} must be names of coefficients, pairs (column, category),"
                f"{index} each at most once. The names are {listed_names}{more}."
            )
        if len(indices) == 1:
            omitted_category = self._describe_omitted_category(indices[0])
            return f"{argument} selects {key!r}, {omitted_category}, which has no coefficient. Remove it."
        matching_coefficients = "; ".join(self._describe_coefficient(index) for index in indices)
        kind = "name" if isinstance(key, str) else "pair"
        alternatives = self._suggest_alternatives(indices)
        return f"The {kind} {key!r} in {argument} is ambiguous: {matching_coefficients}. Use {alternatives}."

    def _describe_coefficient(self, index):
        """Return a description of a coefficient or category. For a category, it contains the pair."""
        name = self._names[index]
        if _has_category(name):
            return f"{(name.column, name.category)!r}, {self._describe_omitted_category(index)}"
        return f"{'the intercept' if isinstance(name, CoefficientName) else f'column {name!r}'}, index {index}"

    def _describe_omitted_category(self, index):
        """Return the index of a coefficient as a phrase, or the reason why a category has none."""
        if index < self._n_coefficients:
            return f"index {index}"
        is_reference_category = index < self._n_coefficients + self._n_references
        if is_reference_category:
            return "the reference category of its column"
        return "a category without rows of positive weight"

    def _suggest_alternatives(self, indices):
        """Return the alternatives to an ambiguous name."""
        index = next((index for index in indices if index < self._n_coefficients), None)
        names = [self._names[index] for index in indices]
        pairs = [(name.column, name.category) for name in names if _has_category(name)]
        pair = next((pair for pair in pairs if len(self.find(pair)) == 1), None)
        alternative_keys = (
            [] if pair is None else [f"the pair (column, category), for example {self._argument}=[{pair!r}]"]
        )
        if self._allows_indices:
            alternative_keys.append(f"the index, for example {self._argument}=[{index}]")
        else:
            alternative_keys.append(
                f"a matrix with a row for each class, whose index {index} selects column {index} for every class"
            )
        return " or ".join(alternative_keys)


def _has_category(name):
    return isinstance(name, CoefficientName) and name.column is not None


def _normalize_coefficient_key(key):
    """Return the key. If it is a pair with a missing category, the category is replaced by None."""
    if not (isinstance(key, tuple) and len(key) == 2):
        return key
    column, category = key
    try:
        is_missing = bool(category != category)
    except TypeError:
        # Comparisons with pandas.NA do not return a boolean.
        is_missing = True
    return column, None if is_missing else category
