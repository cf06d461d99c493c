"""Names of coefficients, and the coefficients that users ask for by name, by column and level, or by index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from fastlin.typing import Array, IntArray

# A message lists no more names than this.
MAX_SHOWN = 5


class CoefficientName(str):
    """The name of the coefficient of a level of a categorical column, which is "column_level", or of the intercept.

    `column` and `level` tell apart what has the same name; the intercept has no column. The names of columns of
    numbers are plain strings.
    """

    __slots__ = ("column", "level")

    column: str | None
    level: Any

    def __new__(cls, name: str, column: str | None = None, level: object = None) -> Self:
        """Return the name."""
        made = super().__new__(cls, name)
        made.column, made.level = column, level
        return made


INTERCEPT = CoefficientName("intercept")


class LeftOut(NamedTuple):
    """The names of levels of categorical columns that have no coefficients: references, and levels without rows."""

    references: Sequence[str] = ()
    unused: Sequence[str] = ()


NOTHING_LEFT_OUT = LeftOut()


def append_intercept(names: Array, fit_intercept: bool) -> Array:
    """Return the names of columns (d,) and, last, of the intercept if there is one, an array of objects."""
    return np.array([*names, *([INTERCEPT] if fit_intercept else [])], object)


def are_intercepts(names: Array) -> Array:
    """Return which of some names are the intercept's, (p,) bool; a column may have the same name."""
    return np.array([isinstance(name, CoefficientName) and name.column is None for name in names], bool)


def is_asked_by_name(asked: object) -> bool:
    """Return whether a value is a name, or a pair of the name of a column and a level."""
    return isinstance(asked, str) or (isinstance(asked, tuple) and len(asked) == 2 and isinstance(asked[0], str))


def find_indices(
    argument: str, wanted: Any, names: Array, left_out: LeftOut = NOTHING_LEFT_OUT, by_index: bool = True
) -> IntArray:
    """Return the indices of the coefficients that an argument asks for, all of them for None.

    Each is asked for by its name, by a pair of column and level or, if `by_index`, by its index among the names (p,).

    Raises
    ------
    ValueError
        A name stands for no coefficient, or for several, which the message tells apart. Or a coefficient is asked for
        twice, or none is.
    """
    if wanted is None:
        return np.arange(len(names))
    lookup = _Lookup(argument, names, left_out, by_index)
    asked = list(wanted) if isinstance(wanted, Iterable) and not isinstance(wanted, str) else [wanted]
    if isinstance(wanted, tuple) and lookup.find(wanted) and not all(map(lookup.find, asked)):
        raise ValueError(
            f"{argument}={wanted!r} is a sequence of two names, which are no coefficients. A pair of column and level "
            f"stands in a list: {argument}=[{wanted!r}]."
        )
    found = [lookup.find_index(each) for each in asked]
    if not found or len(set(found)) < len(found):
        raise ValueError(
            f"{argument} must be names of coefficients, at least one, and each of them once; got {wanted!r}."
        )
    return np.array(found)


def describe_each(names: Array, left_out: LeftOut = NOTHING_LEFT_OUT) -> Array:
    """Return the names of coefficients (p,), in place of a shared one what tells the coefficients apart."""
    lookup = _Lookup("", names, left_out, by_index=True)
    return np.array([lookup.describe_uniquely(index) for index in range(len(names))], object)


class _Lookup:
    """The coefficients that an argument may ask for, and levels without one, by their names and pairs."""

    def __init__(self, argument, names, left_out, by_index):
        self._argument, self._by_index = argument, by_index
        self._n_coefficients, self._n_references = len(names), len(left_out.references)
        # Levels without a coefficient come last.
        self._names = [*names, *left_out.references, *left_out.unused]
        self._indices = defaultdict(list)
        for index, name in enumerate(self._names):
            self._indices[str(name)].append(index)
            if _has_level(name):
                self._indices[_as_key((name.column, name.level))].append(index)

    def find(self, asked):
        """Return the indices of all that a name or a pair stands for."""
        try:
            return self._indices.get(_as_key(asked), [])
        except TypeError:
            # What has no hash is neither a name nor a level.
            return []

    def find_index(self, asked):
        """Return the index of the one coefficient that is asked for."""
        is_index = isinstance(asked, (int, np.integer)) and not isinstance(asked, bool)
        if is_index and self._by_index and 0 <= asked < self._n_coefficients:
            return int(asked)
        found = self.find(asked)
        if len(found) == 1 and found[0] < self._n_coefficients:
            return found[0]
        raise ValueError(self._explain(asked, found))

    def describe_uniquely(self, index):
        """Return the name of a coefficient, or what tells it apart from others of that name."""
        name = str(self._names[index])
        return name if len(self._indices[name]) == 1 else self._describe(index)

    def _explain(self, asked, found):
        """Return the message for what stands for no coefficient, or for several."""
        argument, n = self._argument, self._n_coefficients
        if not found:
            shown = ", ".join(map(str, self._names[: min(n, MAX_SHOWN)]))
            more = f", ... {self._names[n - 1]}" if n > MAX_SHOWN else ""
            index = f" or indices from 0 to {n - 1}," if self._by_index else ""
            return (
                f"There is no coefficient {asked!r}: {argument} must be names of coefficients, pairs (column, level),"
                f"{index} each of them once. The names are {shown}{more}."
            )
        if len(found) == 1:
            return f"{argument} asks for {asked!r}, {self._say_kind(found[0])}, which has no coefficient. Leave it out."
        candidates = "; ".join(self._describe(index) for index in found)
        kind = "name" if isinstance(asked, str) else "pair"
        return f"The {kind} {asked!r} in {argument} is not unique: {candidates}. Give {self._advise(found)}."

    def _describe(self, index):
        """Return what an index stands for, as a pair if it is a level."""
        name = self._names[index]
        if _has_level(name):
            return f"{(name.column, name.level)!r}, {self._say_kind(index)}"
        return f"{'the intercept' if isinstance(name, CoefficientName) else f'column {name!r}'}, index {index}"

    def _say_kind(self, index):
        """Return the index of a coefficient in words, or why a level has none."""
        if index < self._n_coefficients:
            return f"index {index}"
        is_reference = index < self._n_coefficients + self._n_references
        return "the reference level of its column" if is_reference else "a level without rows that have a weight"

    def _advise(self, found):
        """Return what to give in place of a name that is not unique."""
        index = next((index for index in found if index < self._n_coefficients), None)
        pairs = [(name.column, name.level) for name in (self._names[index] for index in found) if _has_level(name)]
        pair = next((pair for pair in pairs if len(self.find(pair)) == 1), None)
        ways = [] if pair is None else [f"the pair of column and level, for instance {self._argument}=[{pair!r}]"]
        if self._by_index:
            ways.append(f"the index, for instance {self._argument}=[{index}]")
        else:
            ways.append(f"rows of numbers, in which index {index} is column {index} of each class")
        return " or ".join(ways)


def _has_level(name):
    return isinstance(name, CoefficientName) and name.column is not None


def _as_key(asked):
    """Return a name, or a pair, whose level is None where it is a missing value."""
    if not (isinstance(asked, tuple) and len(asked) == 2):
        return asked
    column, level = asked
    try:
        is_missing = bool(level != level)
    except TypeError:
        # Comparisons of pandas' NA have no truth value.
        is_missing = True
    return column, None if is_missing else level
