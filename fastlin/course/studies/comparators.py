"""The comparators of the claims: each compares what a study measured with what a report says, and gives a verdict.

A comparator is a function from the merits of a study, and the arguments that stand in claims.toml, to a verdict. A text
among the arguments is a path into the merits, with a stroke between the keys: "by_lambda/1/roughness".
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

CONFIRMED, NOT_CONFIRMED, CONTRADICTED = "confirmed", "not confirmed", "contradicted"
DEPENDS_ON_THE_MEASURE, DEPENDS_ON_THE_SETTING = "depends on the measure", "depends on the setting"
SHOWS_SIGNS = "shows signs"

Merits: TypeAlias = Mapping[str, Any]
# A number, or the path of one.
Number: TypeAlias = float | str
# Of orders or seeds, this part has to agree.
ENOUGH = 0.8
# A slope or a mean differs from zero where it is so many standard errors away.
STANDARD_ERRORS = 2


def find(merits: Merits, path: str) -> Any:
    """Return what stands at a path in merits.

    Raises
    ------
    KeyError
        The study has not measured it; the error holds the path.
    """
    found: Any = merits
    for key in path.split("/"):
        if not isinstance(found, Mapping) or key not in found:
            raise KeyError(path)
        found = found[key]
    return found


def _read(merits, numbers):
    """Return numbers, or what stands at their paths; a path of a dict stands for all of its values."""
    found = [find(merits, number) if isinstance(number, str) else number for number in numbers]
    return [value for one in found for value in (one.values() if isinstance(one, Mapping) else (one,))]


def within(merits: Merits, *, values: Sequence[Number], of: Sequence[Number], by: float) -> str:
    """Confirm where each value is within `by` of its reference, the only one of all values or one for each."""
    measured, references = _read(merits, values), _read(merits, of)
    if len(references) == 1:
        references *= len(measured)
    near = [value is not None and abs(value - ref) <= by for value, ref in zip(measured, references, strict=True)]
    return CONFIRMED if all(near) else CONTRADICTED


def between(merits: Merits, *, values: Sequence[Number], lowest: float, highest: float) -> str:
    """Confirm where all values lie between two numbers, contradict where none does; else it depends on the setting."""
    inside = [lowest <= value <= highest for value in _read(merits, values)]
    return CONFIRMED if all(inside) else DEPENDS_ON_THE_SETTING if any(inside) else CONTRADICTED


def share(
    merits: Merits,
    *,
    part: Number,
    of: Number,
    confirmed_from: float,
    contradicted_to: float,
    least: int = 1,
    otherwise: str = NOT_CONFIRMED,
) -> str:
    """Confirm where a part of a number is large enough, contradict where it is small; `least` is the least number."""
    counted, number = _read(merits, (part, of))
    if number < least:
        return NOT_CONFIRMED
    ratio = counted / number
    return CONFIRMED if ratio >= confirmed_from else CONTRADICTED if ratio <= contradicted_to else otherwise


def measures(merits: Merits, *, rows: str) -> str:
    """Judge by several measures, each of which says how many of its orders are better and worse.

    A measure agrees where at least four of five orders are better, and disagrees where as many are worse.
    """
    found = find(merits, rows).values()
    agree = [row["better"] >= ENOUGH * row["of"] for row in found]
    disagree = [row["worse"] >= ENOUGH * row["of"] for row in found]
    if all(agree):
        return CONFIRMED
    if any(agree) and any(disagree):
        return DEPENDS_ON_THE_MEASURE
    return NOT_CONFIRMED if any(agree) or not any(disagree) else CONTRADICTED


def falls(merits: Merits, *, values: str) -> str:
    """Judge whether a quantity, which is given from the strongest penalty to none, falls as the penalty grows."""
    rises = [weak - strong for strong, weak in itertools.pairwise(find(merits, values).values())]
    # A training that diverged has no number, which is neither a rise nor a fall.
    if any(rise > 0 for rise in rises) and all(rise >= 0 for rise in rises):
        return CONFIRMED
    return CONTRADICTED if all(rise < 0 for rise in rises) else NOT_CONFIRMED


def significant(merits: Merits, *, value: str, error: str) -> str:
    """Confirm a gain of more than two standard errors, and contradict such a loss."""
    gain, unit = _read(merits, (value, error))
    return (
        CONFIRMED
        if gain > STANDARD_ERRORS * unit
        else CONTRADICTED
        if gain < -STANDARD_ERRORS * unit
        else NOT_CONFIRMED
    )


def plateau(merits: Merits, *, slopes: str, training: str) -> str:
    """Judge whether the slope of a validation accuracy ends while the training accuracy still rises.

    It is confirmed where the former is not significantly above zero, and shows signs where it is less than half of the
    latter.
    """
    validation, rising = find(merits, slopes), find(merits, training)
    if rising["change"] <= STANDARD_ERRORS * rising["error"]:
        return CONTRADICTED
    if validation["change"] <= STANDARD_ERRORS * validation["error"]:
        return CONFIRMED
    return SHOWS_SIGNS if validation["change"] < rising["change"] / 2 else CONTRADICTED


def overfits(merits: Merits, *, rise: str, by: float, gap: str, growth: str, error: str) -> str:
    """Judge signs of overfitting: confirm where the validation loss rises again by a part of it.

    A training accuracy above the validation accuracy whose distance still grows significantly shows signs.
    """
    rises, distance, change, unit = _read(merits, (rise, gap, growth, error))
    if rises >= by:
        return CONFIRMED
    return SHOWS_SIGNS if distance > 0 and change > STANDARD_ERRORS * unit else CONTRADICTED


COMPARATORS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (within, between, share, measures, falls, significant, plateau, overfits)
}
