"""Plots of benchmarks: suboptimality vs time, and performance profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.figures.style import COLORS, get_current_axes, label_log_axis
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The lowest suboptimality that is plotted.
MIN_PLOTTED_SUBOPTIMALITY = 1e-10
MARKERS = "osD^vP*X<>"


def plot_suboptimality(problem: Mapping[str, Any], axes: Axes | None = None) -> Axes:
    """Plot the relative suboptimality vs the fit time, one curve per baseline, on log axes, and return the axes.

    `problem` is one of the problems of a `BenchmarkResult`. A ValueError is raised if it has no objective.
    """
    if problem["optimum"] is None:
        raise ValueError(f"The problem {problem['name']!r} has no objective, so there is no suboptimality to plot.")
    axes = axes or get_current_axes()
    for i, (name, points) in enumerate(problem["points"].items()):
        style: dict[str, Any] = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)]}
        plot_curve(points, axes, label=name, **style)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="fit time in seconds (left is better)",
        ylabel="relative suboptimality",
        title=f"{problem['name']}, {problem['samples']:,} × {problem['features']:,}",
    )
    label_log_axis(axes.xaxis)
    axes.legend()
    return axes


def plot_curve(
    points: Sequence[Mapping[str, Any]],
    axes: Axes,
    lowest: float = MIN_PLOTTED_SUBOPTIMALITY,
    *,
    label: str,
    color: str,
    marker: str,
    **style: Any,
) -> None:
    """Plot the points of a curve. The line omits points for which a faster fit is at least as accurate.

    Lower suboptimalities are plotted at `lowest`. `style` contains other arguments of `Axes.plot`.
    """
    fastest_points: list[Mapping[str, Any]] = []
    for point in sorted(points, key=lambda point: (point["seconds"], point["suboptimality"])):
        if not fastest_points or point["suboptimality"] < fastest_points[-1]["suboptimality"]:
            fastest_points.append(point)
    for selected_points, form in ((fastest_points, {"label": label}), (points, {"linestyle": "none"})):
        seconds, suboptimality = ([point[key] for point in selected_points] for key in ("seconds", "suboptimality"))
        options: dict[str, Any] = {"color": color, "marker": marker, **form, **style}
        axes.plot(seconds, np.maximum(suboptimality, lowest), **options)


def plot_profile(problems: Sequence[Mapping[str, Any]], axes: Axes | None = None) -> Axes:
    """Plot, for each baseline, the fraction of problems that it finishes within a factor of the fastest time.

    The time of a baseline is that of its first fit with a relative suboptimality of at most 1e-4 or, without an
    objective, that of the fit with its last effort (performance profile: Dolan and Moré 2002). The axes are returned.
    """
    axes = axes or get_current_axes()
    names = list(dict.fromkeys(name for problem in problems for name in problem["points"]))
    seconds = [{name: problem["compared_seconds"].get(name, np.inf) for name in names} for problem in problems]
    profile = compute_profile(seconds)
    largest = max([2.0, *(1.2 * ratio for ratios in profile.values() for ratio in ratios if np.isfinite(ratio))])
    for i, (name, ratios) in enumerate(profile.items()):
        factors = np.array([1.0, *ratios[np.isfinite(ratios)], largest])
        style: dict[str, Any] = {"color": COLORS[i % len(COLORS)], "label": name}
        axes.step(factors, compute_fraction(ratios, factors), where="post", **style)
    axes.set(
        xscale="log",
        ylim=(0, 1.05),
        xlabel="time divided by the fastest time",
        ylabel="fraction of the problems",
        title=f"{len(problems)} problems",
    )
    label_log_axis(axes.xaxis)
    axes.legend()
    return axes


def compute_profile(problems: Sequence[Mapping[str, float]]) -> dict[str, FloatArray]:
    """Return the sorted ratios of each baseline's times to the fastest times (Dolan and Moré 2002, section 2).

    Each problem contains the seconds of its baselines by name. The time and the ratio of a failure are infinite.
    """
    ratios: dict[str, list[float]] = {}
    for problem in problems:
        fastest_seconds = min(problem.values(), default=np.inf)
        for name, seconds in problem.items():
            ratios.setdefault(name, []).append(seconds / fastest_seconds if np.isfinite(seconds) else np.inf)
    return {name: np.sort(values) for name, values in ratios.items()}


def compute_fraction(ratios: FloatArray, factors: FloatArray) -> FloatArray:
    """Return, for each factor, the fraction of sorted ratios that are at most this factor."""
    return np.searchsorted(ratios, factors, side="right") / len(ratios)
