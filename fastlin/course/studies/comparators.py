"""Comparators of claims. Each maps the metrics of a study and its arguments in claims.toml to a verdict.

String arguments are paths of metrics, such as "by_lambda/1/roughness".
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from scipy import stats

from fastlin.course.text_templates import find

CONFIRMED, NOT_CONFIRMED, CONTRADICTED = "confirmed", "not confirmed", "contradicted"
DEPENDS_ON_THE_MEASURE, DEPENDS_ON_THE_SETTING = "depends on the measure", "depends on the setting"
SHOWS_SIGNS = "shows signs"

Metrics: TypeAlias = Mapping[str, Any]
# A number, or the path of a number in the metrics.
NumberOrPath: TypeAlias = float | str
# The fraction of orders or seeds that must agree.
MIN_AGREEMENT = 0.8
# Slopes differ significantly if their difference exceeds this number of standard errors.
N_STANDARD_ERRORS = 2


def _read_numbers(metrics, numbers):
    """Return numbers with paths replaced by their values. The path of a dict is replaced by all values of the dict."""
    items = [find(metrics, number) if isinstance(number, str) else number for number in numbers]
    return [value for item in items for value in (item.values() if isinstance(item, Mapping) else (item,))]


def within(metrics: Metrics, *, values: Sequence[NumberOrPath], of: Sequence[NumberOrPath], by: float) -> str:
    """Confirm if each value is within `by` of its reference in `of`. A single reference applies to all values."""
    measured, references = _read_numbers(metrics, values), _read_numbers(metrics, of)
    if len(references) == 1:
        references *= len(measured)
    is_near = [
        value is not None and abs(value - reference) <= by
        for value, reference in zip(measured, references, strict=True)
    ]
    return CONFIRMED if all(is_near) else CONTRADICTED


def between(metrics: Metrics, *, values: Sequence[NumberOrPath], lowest: float, highest: float) -> str:
    """Confirm if all values are in [lowest, highest], contradict if none is.

    Otherwise, the verdict is "depends on the setting".
    """
    is_inside = [lowest <= value <= highest for value in _read_numbers(metrics, values)]
    return CONFIRMED if all(is_inside) else DEPENDS_ON_THE_SETTING if any(is_inside) else CONTRADICTED


def fraction(
    metrics: Metrics,
    *,
    part: NumberOrPath,
    of: NumberOrPath,
    confirmed_from: float,
    contradicted_to: float,
    min_number: int = 1,
    otherwise: str = NOT_CONFIRMED,
) -> str:
    """Confirm if `part` / `of` is at least `confirmed_from`, contradict if it is at most `contradicted_to`.

    If `of` is less than `min_number`, the claim is not confirmed. In all other cases, the verdict is `otherwise`.
    """
    numerator, number = _read_numbers(metrics, (part, of))
    if number < min_number:
        return NOT_CONFIRMED
    ratio = numerator / number
    return CONFIRMED if ratio >= confirmed_from else CONTRADICTED if ratio <= contradicted_to else otherwise


def measures(metrics: Metrics, *, rows: str) -> str:
    """Confirm if all measures agree with the claim. If only some agree, the verdict is "depends on the measure".

    A measure agrees (disagrees) if at least the fraction MIN_AGREEMENT of the shuffled orders is better (worse).
    """
    measured = find(metrics, rows).values()
    agreements = [row["better"] >= MIN_AGREEMENT * row["of"] for row in measured]
    disagreements = [row["worse"] >= MIN_AGREEMENT * row["of"] for row in measured]
    if all(agreements):
        return CONFIRMED
    if any(agreements):
        return DEPENDS_ON_THE_MEASURE
    return CONTRADICTED if any(disagreements) else NOT_CONFIRMED


def falls(metrics: Metrics, *, values: str) -> str:
    """Confirm if a quantity decreases as the penalty increases.

    The path `values` leads to the values of the quantity, from the strongest penalty to no penalty.
    """
    value_increases = [
        weakly_penalized - strongly_penalized
        for strongly_penalized, weakly_penalized in itertools.pairwise(find(metrics, values).values())
    ]
    # A diverged training run gives NaN, which is neither an increase nor a decrease.
    if any(value_increase > 0 for value_increase in value_increases) and all(
        value_increase >= 0 for value_increase in value_increases
    ):
        return CONFIRMED
    return CONTRADICTED if all(value_increase < 0 for value_increase in value_increases) else NOT_CONFIRMED


def significant(metrics: Metrics, *, value: str, error: str, of: str) -> str:
    """Confirm if the 95 % confidence interval of a mean gain is above 0, contradict if it is below 0.

    The interval is that of Student's t distribution for `of` seeds.
    """
    gain, standard_error, n_seeds = _read_numbers(metrics, (value, error, of))
    half_width = float(stats.t.ppf(0.975, n_seeds - 1)) * standard_error
    return CONFIRMED if gain > half_width else CONTRADICTED if gain < -half_width else NOT_CONFIRMED


def plateau(metrics: Metrics, *, before: str, after: str, training: str) -> str:
    """Confirm if the training accuracy increases significantly after a step but the validation accuracy does not.

    The verdict is "shows signs" if the later validation slope is significantly smaller than both the earlier validation
    slope and the training slope.
    """
    earlier_slope, later_slope, training_slope = (find(metrics, path) for path in (before, after, training))
    zero_slope = {"change": 0.0, "error": 0.0}
    if not _exceeds_significantly(training_slope, zero_slope):
        return CONTRADICTED
    if not _exceeds_significantly(later_slope, zero_slope):
        return CONFIRMED
    return (
        SHOWS_SIGNS
        if _exceeds_significantly(earlier_slope, later_slope) and _exceeds_significantly(training_slope, later_slope)
        else CONTRADICTED
    )


def _exceeds_significantly(slope, other):
    """Return whether a slope is significantly larger than another slope."""
    return slope["change"] - other["change"] > N_STANDARD_ERRORS * math.hypot(slope["error"], other["error"])


def overfits(metrics: Metrics, *, rise: str, by: float, gap: str, growth: str, error: str) -> str:
    """Confirm if the validation loss rises above its minimum by at least the fraction `by`.

    If only a positive gap grows significantly, the verdict is "shows signs".
    """
    relative_rise, width, change, standard_error = _read_numbers(metrics, (rise, gap, growth, error))
    if relative_rise >= by:
        return CONFIRMED
    return SHOWS_SIGNS if width > 0 and change > N_STANDARD_ERRORS * standard_error else CONTRADICTED


COMPARATORS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (within, between, fraction, measures, falls, significant, plateau, overfits)
}
