"""The comparators of the claims: each compares what a study measured with what a report says, and gives a verdict.

A comparator is a function from the merits of a study, and the arguments that stand in claims.toml, to a verdict. A text
among the arguments is a path into the merits, with a stroke between the keys: "by_lambda/1/roughness".
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from scipy import stats

CONFIRMED, NOT_CONFIRMED, CONTRADICTED = "confirmed", "not confirmed", "contradicted"
DEPENDS_ON_THE_MEASURE, DEPENDS_ON_THE_SETTING = "depends on the measure", "depends on the setting"
SHOWS_SIGNS = "shows signs"

Merits: TypeAlias = Mapping[str, Any]
# A number, or the path of one.
Number: TypeAlias = float | str
# Of orders or seeds, this part has to agree.
ENOUGH = 0.8
# Slopes differ where they are this number of standard errors apart.
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

    A measure agrees where at least four of five orders are better, and disagrees where as many are worse. Where only
    some measures agree, the verdict depends on the measure.
    """
    found = find(merits, rows).values()
    agree = [row["better"] >= ENOUGH * row["of"] for row in found]
    disagree = [row["worse"] >= ENOUGH * row["of"] for row in found]
    if all(agree):
        return CONFIRMED
    if any(agree):
        return DEPENDS_ON_THE_MEASURE
    return CONTRADICTED if any(disagree) else NOT_CONFIRMED


def falls(merits: Merits, *, values: str) -> str:
    """Judge whether a quantity, which is given from the strongest penalty to none, falls as the penalty grows."""
    rises = [weak - strong for strong, weak in itertools.pairwise(find(merits, values).values())]
    # A training that diverged has no number, which is neither a rise nor a fall.
    if any(rise > 0 for rise in rises) and all(rise >= 0 for rise in rises):
        return CONFIRMED
    return CONTRADICTED if all(rise < 0 for rise in rises) else NOT_CONFIRMED


def significant(merits: Merits, *, value: str, error: str, of: str) -> str:
    """Confirm a mean gain whose confidence interval of 95 % lies above zero, and contradict one that lies below.

    `of` is the path of the number of seeds: with few of them the interval is that of Student's t.
    """
    gain, unit, n_seeds = _read(merits, (value, error, of))
    half = float(stats.t.ppf(0.975, n_seeds - 1)) * unit
    return CONFIRMED if gain > half else CONTRADICTED if gain < -half else NOT_CONFIRMED


def plateau(merits: Merits, *, before: str, after: str, training: str) -> str:
    """Judge whether a validation accuracy stops rising while the training accuracy still rises, by slopes with errors.

    It is confirmed where the slope after the step is not significantly above zero. It shows signs where that slope is
    significantly below the one before the step and below that of the training accuracy.
    """
    earlier, later, rising = (find(merits, path) for path in (before, after, training))
    nothing = {"change": 0.0, "error": 0.0}
    if not _exceeds(rising, nothing):
        return CONTRADICTED
    if not _exceeds(later, nothing):
        return CONFIRMED
    return SHOWS_SIGNS if _exceeds(earlier, later) and _exceeds(rising, later) else CONTRADICTED


def _exceeds(slope, other):
    """Say whether a slope is significantly above another one."""
    return slope["change"] - other["change"] > STANDARD_ERRORS * math.hypot(slope["error"], other["error"])


def overfits(merits: Merits, *, rise: str, by: float, gap: str, growth: str, error: str) -> str:
    """Judge whether the signs of overfitting are those of overfitting: the validation loss rises again by a part of it.

    A training accuracy above the validation accuracy, with a distance that still grows significantly, only shows signs.
    """
    rises, distance, change, unit = _read(merits, (rise, gap, growth, error))
    if rises >= by:
        return CONFIRMED
    return SHOWS_SIGNS if distance > 0 and change > STANDARD_ERRORS * unit else CONTRADICTED


COMPARATORS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (within, between, share, measures, falls, significant, plateau, overfits)
}
