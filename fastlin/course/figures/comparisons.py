"""Draws fastlin and scikit-learn, accuracy against seconds of training, and all peers."""

import numpy as np

from fastlin.figures.style import COLORS, STYLE, Drawing, StudyResults, count_nouns, name_data, open_figure

# Colour and marker of each contender. The colour-blind can tell these colours apart (Okabe and Ito 2008, and Tol's
# wine); the solvers of one library share a hue.
CONTENDERS = {
    "fastlin": ("#D55E00", "o"),
    "scikit-learn lbfgs": ("#0072B2", "s"),
    "scikit-learn newton-cg": ("#56B4E9", "D"),
    "scikit-learn newton-cholesky": ("#0072B2", "^"),
    "scikit-learn-intelex": ("#E69F00", "v"),
    "cyanure": ("#009E73", "P"),
    "snapml": ("#CC79A7", "X"),
    "skglm": ("#000000", "*"),
    "glum": ("#882255", "<"),
    "statsmodels": ("#882255", "p"),
    "torch": ("#808080", ">"),
}
# The bar of a part of fastlin's fit: a paler shade of fastlin's colour.
PALE = "#EE9A5C"


def draw_compare(results: StudyResults) -> Drawing:
    """Draw a bar of seconds for each contender, with the objective, accuracy and log loss that it reached."""
    figure, axes = open_figure(1, 1, width=10, height=4.2)
    merits, parameters = results.merits, results.parameters
    bars = []
    for name, row in merits["contenders"].items():
        faster = f", {merits['speedup_whole_fit']:.1f} times as fast" if name == "fastlin" else ""
        label = (
            f"{row['seconds']:.3g} s{faster}\nobjective {row['objective']:,.6g}\n"
            f"accuracy {row['test_accuracy']:.4f}, log loss {row['test_log_loss']:.4f}"
        )
        color = COLORS[1] if name == "fastlin" else "tab:gray"
        bars.append((f"{name}\n{count_nouns(row['threads'], 'thread')}", row["seconds"], label, color))
    seconds = merits["fastlin_seconds_to_scikit_learn_objective"]
    if seconds is not None:
        label = f"{seconds:.3g} s, {merits['speedup_at_equal_objective']:.1f} times as fast"
        threads = count_nouns(merits["contenders"]["fastlin"]["threads"], "thread")
        bars.append((f"fastlin, {threads}, until\nscikit-learn's objective", seconds, label, PALE))
    longest = max(bar[1] for bar in bars)
    for place, (_, seconds, label, color) in enumerate(bars):
        axes.barh(place, seconds, color=color)
        inside = {"ha": "right", "color": "black" if color == PALE else "white"}, -0.01
        beside = {"ha": "left", "color": "black"}, 0.01
        style, distance = inside if seconds > 0.55 * longest else beside
        axes.text(seconds + distance * longest, place, label, va="center", **style)
    axes.set_yticks(range(len(bars)), [bar[0] for bar in bars])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    repeats = parameters["repeats"]
    axes.set(
        xlabel=f"seconds of a fit ({'one fit' if repeats == 1 else f'median of {repeats} or more'}), less is better"
    )
    return Drawing(
        figure,
        f"{name_data(results)}, {parameters['samples']:,} × {parameters['features']}, "
        f"{parameters['classes']} classes: LogisticRegression, {parameters['dtype']}, C = {parameters['C']:g}",
        "Seconds of a whole fit of LogisticRegression, and the seconds after which fastlin's objective was as "
        "low as that at which scikit-learn stopped.",
        "Bars: " + "; ".join(f"{name}: {label}".replace("\n", ", ") for name, _, label, _ in bars) + ".",
    )


def draw_learning(results: StudyResults) -> Drawing:
    """Draw the accuracy on rows that were not trained on against the seconds of a training, for each contender."""
    from matplotlib.ticker import LogLocator

    figure, axes = open_figure(1, 1, width=10, height=6)
    points, parameters = results.series["points"], results.parameters
    trainings = {
        name: _describe_trainings(row, parameters["units"][name], parameters["threads"][name])
        for name, row in points.items()
    }
    for place, (name, row) in enumerate(points.items()):
        seconds, accuracies = ([point[measure] for point in row] for measure in ("seconds", "accuracy"))
        is_ours = not name.startswith("scikit-learn")
        axes.plot(
            seconds,
            accuracies,
            color=COLORS[place],
            marker="osD^"[place],
            markersize=9,
            linewidth=3 if is_ours else 1.8,
            linestyle="-" if is_ours else "--",
            label=f"{name}\n{trainings[name]}",
        )
    axes.set(xscale="log", xlabel="seconds of a whole training, further left is better", ylabel="accuracy")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    figure.legend(loc="outside lower center", ncols=2)
    ends = {name: row[-1] for name, row in points.items()}
    return Drawing(
        figure,
        f"{name_data(results)}, {parameters['samples']:,} × {parameters['features']}: accuracy on "
        f"{parameters['test_samples']:,} rows that were not trained on",
        "Accuracy against the seconds of a training; each point is a training from the start: "
        + "; ".join(f"{name}, {training}" for name, training in trainings.items())
        + ".",
        "Curves that end with "
        + "; ".join(f"{name}: {end['accuracy']:.4f} after {end['seconds']:.3g} s" for name, end in ends.items())
        + ".",
    )


def _describe_trainings(points, unit, n_threads):
    """Return the points of a curve in words, such as "1 to 20 epochs, 2 threads" or "tol 0.1 to 0.0001, 1 thread"."""
    efforts = f"{points[0]['effort']:g} to {points[-1]['effort']:g}"
    return f"{f'tol {efforts}' if unit == 'tol' else f'{efforts} {unit}'}, {count_nouns(n_threads, 'thread')}"


def draw_peers(results: StudyResults) -> Drawing:
    """Draw the excess of the objective against the seconds of a fit, one panel for each problem."""
    problems, parameters = results.series["problems"], results.parameters
    figure, axes = open_figure(1, len(problems), width=3 + 6.5 * len(problems), height=7.6)
    floor = parameters["floor"]
    panels = np.atleast_1d(axes)
    lines = {}
    for panel, problem in zip(panels, problems, strict=True):
        # fastlin's curve is drawn last, so that it lies on top of the others.
        for name, points in reversed(problem["points"].items()):
            color, marker = CONTENDERS[name]
            seconds, excess = ([point[measure] for point in points] for measure in ("seconds", "excess"))
            size, width = (9, 3.5) if name == "fastlin" else (7, 1.6)
            style = {"color": color, "marker": marker, "markersize": size, "linewidth": width}
            line = "--" if name == "scikit-learn newton-cholesky" else "-"
            (lines[name],) = panel.plot(seconds, np.maximum(excess, floor), line, **style)
        panel.set(xscale="log", yscale="log")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.axhspan(floor / 10, floor, color="black", alpha=0.08, linewidth=0)
        counted = f" counted as the optimum: {floor:.0e} or less"
        panel.text(0.01, floor, counted, va="top", transform=panel.get_yaxis_transform())
        left_out = f"not in this panel: {', '.join(problem['left_out'])}" if problem["left_out"] else ""
        panel.set(
            xlabel=f"seconds of a whole fit\n{left_out}",
            title=f"{name_data(results)}, {problem['samples']:,} × {problem['features']}, {problem['name']}, "
            f"{'with' if problem['intercept'] else 'no'} intercept",
        )
    top = max(panel.get_ylim()[1] for panel in panels)
    for panel in panels:
        panel.set_ylim(floor / 6, top)
    panels[0].set_ylabel("excess over the optimum, (J − J*) / J*\n(J*: the lowest J of any fit)")
    names = [name for name in CONTENDERS if name in lines]
    n_columns, size = 5 if len(problems) > 1 else 2, STYLE["font.size"]
    handles = [lines[name] for name in names]
    figure.legend(handles, names, loc="outside lower center", ncols=n_columns, fontsize=size)
    return Drawing(
        figure,
        f"Time to the optimum, further left is better: {parameters['dtype']}, C = {parameters['C']:g}, "
        f"{count_nouns(parameters['threads'], 'thread')}, a peer on one where that is faster\n"
        f"each point is a fit from the start; a curve ends at the optimum or after {parameters['budget']:g} s of fits",
        "The excess of the objective over the optimum against the seconds of a whole fit, for each library.",
        "Curves that end with " + "; ".join(map(_describe_ends, problems)) + ".",
    )


def _describe_ends(problem):
    """Return where each curve of a problem ends."""
    ends = {name: points[-1] for name, points in problem["points"].items()}
    return f"{problem['name']}: " + ", ".join(
        f"{name} {point['excess']:.0e} above the optimum after {point['seconds']:.3g} s" for name, point in ends.items()
    )
