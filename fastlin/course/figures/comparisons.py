"""Figures of accuracy vs training time, and of suboptimality vs fit time for all baselines."""

from itertools import cycle
from textwrap import fill
from typing import Any

from fastlin.figures.benchmarks import plot_curve
from fastlin.figures.style import COLORS, format_count, label_log_axis, make_figure, make_subplots

# Color and marker of each library. The colors are color-blind safe (Okabe and Ito 2008, and Tol's wine and teal). The
# solvers of one library have the same hue.
LIBRARIES = {
    "fastlin": ("#D55E00", "o"),
    "scikit-learn lbfgs": ("#0072B2", "s"),
    "scikit-learn newton-cg": ("#56B4E9", "D"),
    "scikit-learn newton-cholesky": ("#0072B2", "^"),
    "scikit-learn-intelex": ("#E69F00", "v"),
    "cyanure": ("#009E73", "P"),
    "snapml": ("#CC79A7", "X"),
    "skglm": ("#000000", "*"),
    "glum": ("#882255", "<"),
    "adelie": ("#44AA99", "h"),
    "statsmodels": ("#882255", "p"),
    "torch": ("#808080", ">"),
}
# The colors and markers of baselines that are not in this list.
OTHER_BASELINES = ("#999933", "d"), ("#332288", "H"), ("#CC6677", "8"), ("#661100", "p")
# Numbers of characters that fit the width of a panel in `draw_baselines`, and of a column of its legend.
MAX_PANEL_CHARACTERS, MAX_LABEL_CHARACTERS = 80, 40


def draw_learning(results: Any) -> Any:
    """Draw test accuracy vs training time in seconds for each library."""
    figure, axes = make_subplots(1, 1, width=10, height=6)
    parameters = results.parameters
    for i, (name, points) in enumerate(results.series["points"].items()):
        seconds, accuracies = ([point[measure] for point in points] for measure in ("seconds", "accuracy"))
        description = _describe_curve(points, parameters["units"][name], parameters["threads"][name])
        line, width = ("--", 1.8) if name.startswith("scikit-learn") else ("-", 3)
        style = {"color": COLORS[i], "marker": "osD^"[i], "markersize": 9, "linewidth": width}
        axes.plot(seconds, accuracies, line, label=f"{name}\n{description}", **style)
    axes.set(xscale="log", xlabel="training time in seconds (left is better)", ylabel="test accuracy")
    label_log_axis(axes.xaxis)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _describe_curve(points, unit, n_threads):
    """Return a label for the points of a curve, such as "1 to 20 epochs, 2 threads" or "tol 0.1 to 0.001, 1 thread"."""
    efforts = f"{points[0]['effort']:g} to {points[-1]['effort']:g}"
    return f"{f'tol {efforts}' if unit == 'tol' else f'{efforts} {unit}'}, {format_count(n_threads, 'thread')}"


def draw_baselines(results: Any) -> Any:
    """Draw relative suboptimality vs fit time in seconds, with one panel per problem."""
    problems, lowest_drawn_value = results.series["problems"], results.parameters["floor"]
    figure = make_figure(8, 1.6 + 5.2 * len(problems))
    panels = figure.subplots(len(problems), 1, sharey=True, squeeze=False)[:, 0]
    for panel in panels[1:]:
        panel.set_ylabel("(J − J*) / J*")
    other_styles = cycle(OTHER_BASELINES)
    names = dict.fromkeys(name for problem in problems for name in problem["points"])
    styles = {name: LIBRARIES.get(name) or next(other_styles) for name in names}
    for panel, problem in zip(panels, problems, strict=True):
        for name, points in problem["points"].items():
            color, marker = styles[name]
            # The curve of fastlin is drawn on top of the others.
            size, width, drawing_order = (9, 3.5, 3) if name == "fastlin" else (7, 1.6, 2)
            plot_curve(
                points,
                panel,
                lowest_drawn_value,
                label=fill(name, MAX_LABEL_CHARACTERS, break_on_hyphens=False),
                color=color,
                marker=marker,
                markersize=size,
                linewidth=width,
                zorder=drawing_order,
            )
        panel.axhspan(lowest_drawn_value / 10, lowest_drawn_value, color="black", alpha=0.08, linewidth=0)
        panel.text(
            0.01,
            lowest_drawn_value,
            f" optimal: {lowest_drawn_value:.0e} or less",
            va="top",
            transform=panel.get_yaxis_transform(),
        )
        left_out = f"excluded: {', '.join(problem['left_out'])}" if problem["left_out"] else ""
        intercept = "with" if problem["intercept"] else "no"
        panel.set(
            xscale="log",
            yscale="log",
            xlabel=f"fit time in seconds\n{fill(left_out, MAX_PANEL_CHARACTERS, break_on_hyphens=False)}",
            title=f"{problem['samples']:,} × {problem['features']:,}, {problem['name']}, {intercept} intercept",
        )
        label_log_axis(panel.xaxis)
    panels[0].set_ylim(bottom=lowest_drawn_value / 6)
    panels[0].set_ylabel("relative suboptimality (J − J*) / J*\n(J*: lowest J of any fit)")
    return figure
