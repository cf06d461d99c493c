"""Tables of the results of `measure_curves`: seconds, ratios with verdicts, reasons for missing ratios, and scores."""

from collections.abc import Mapping
from math import inf
from typing import Any

from fastlin.benchmarking import timing
from fastlin.benchmarking.candidate import COMPARED_SUBOPTIMALITY

# The seconds until each of these relative suboptimalities are reported.
STRICT_SUBOPTIMALITY = "1e-6"
REPORTED_SUBOPTIMALITIES = ("1e-2", COMPARED_SUBOPTIMALITY, STRICT_SUBOPTIMALITY)
# The entry of a table for a suboptimality that no fit reached.
NOT_REACHED = "–"
# What the reference is if the time of another baseline is longer, shorter or even.
REFERENCE_VERDICTS = {"longer": "faster", "shorter": "slower", "even": "even"}


def summarize_curves(comparison: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a row per baseline of a result of `measure_curves`.

    The columns are the seconds until each of REPORTED_SUBOPTIMALITIES, the ratio of the time to that of the reference,
    and a verdict. If the compared fits were repeated, the ratio has an interval, which determines whether the reference
    is faster, slower or even. A value that was not reached is "–"; `explain_missing_ratios` gives the reasons.
    """
    return {name: _summarize_curve(name, comparison) for name in comparison["points"]}


def _summarize_curve(name, comparison):
    points = comparison["points"][name]
    seconds = {target: _find_seconds_to_reach(points, target) for target in REPORTED_SUBOPTIMALITIES}
    # The times of the compared fits are medians over all repetitions. A stricter target does not take less time.
    compared_seconds = comparison["compared_seconds"]
    if name in compared_seconds:
        seconds[COMPARED_SUBOPTIMALITY] = compared_seconds[name]
    if NOT_REACHED not in (seconds[STRICT_SUBOPTIMALITY], seconds[COMPARED_SUBOPTIMALITY]):
        seconds[STRICT_SUBOPTIMALITY] = max(seconds[STRICT_SUBOPTIMALITY], seconds[COMPARED_SUBOPTIMALITY])
    ratio, verdict = NOT_REACHED, NOT_REACHED
    if name in comparison["repetitions"]:
        repetitions = comparison["repetitions"][name]
        low, high = repetitions["interval"]
        ratio = f"{repetitions['ratio']:.3g} ({low:.3g} to {high:.3g})"
        verdict = REFERENCE_VERDICTS[timing.classify_interval((low, high))]
    elif name in compared_seconds and comparison["reference"] in compared_seconds:
        ratio = compared_seconds[name] / compared_seconds[comparison["reference"]]
    row = {**seconds, "time ratio": ratio, f"{comparison['reference']} is": verdict}
    return {column: _round(value) if isinstance(value, float) else value for column, value in row.items()}


def _round(value):
    """Return a time or a ratio with three significant digits."""
    return float(f"{value:.3g}")


def explain_missing_ratios(comparison: Mapping[str, Any]) -> dict[str, str]:
    """Return, for each baseline that was excluded, failed or ran out of time, what happened to it.

    If only a later fit of a baseline failed, it may have a ratio.
    """
    reasons = {name: f"excluded: {reason}" for name, reason in comparison["left_out"].items()}
    for name, reason in comparison["failed"].items():
        reasons[name] = f"{'a later fit failed' if comparison['points'][name] else 'failed'}: {reason}"
    reference, compared_seconds = comparison["reference"], comparison["compared_seconds"]
    for name, points in comparison["points"].items():
        if name in reasons or name in compared_seconds:
            continue
        if name in comparison["cut_off"]:
            reasons[name] = f"time over after effort {comparison['cut_off'][name]}"
        elif name in comparison["stopped"]:
            seconds = comparison["stopped"][name]
            ratio = seconds / compared_seconds.get(reference, inf)
            # A bound below one would say nothing.
            bound = f", ≥ {ratio:.3g} × {reference}'s time" if ratio > 1 else ""
            reasons[name] = f"stopped after {seconds:.3g} s{bound}"
        elif not points:
            reasons[name] = "no time was left for a fit"
        else:
            reasons[name] = f"did not reach {COMPARED_SUBOPTIMALITY} with its last effort"
    return reasons


def summarize_scores(comparison: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a row per baseline: the held-out scores of its last fit."""
    return {
        name: {score: points[-1].get(score, NOT_REACHED) if points else NOT_REACHED for score in comparison["scores"]}
        for name, points in comparison["points"].items()
    }


def _find_seconds_to_reach(points, suboptimality):
    limit = float(suboptimality)
    return min((point["seconds"] for point in points if point.get("suboptimality", 0.0) <= limit), default=NOT_REACHED)
