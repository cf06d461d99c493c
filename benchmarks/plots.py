"""The published figures. Each file contains a hash of its records. A test compares the hash with the record files."""

import shutil
import tempfile
from pathlib import Path
from statistics import geometric_mean

import numpy as np

from benchmarks.comparisons import FASTLIN, find_suboptimalities
from benchmarks.published import digest_records, format_machine_title
from benchmarks.tables import format_ratio, format_value, is_tie
from fastlin.course.figures import draw as plot_study
from fastlin.course.studies.settings import Results
from fastlin.figures.benchmarks import compute_fraction, compute_profile
from fastlin.figures.style import STYLE, label_log_axis, make_figure, make_subplots

# Color-blind safe colors of Okabe and Ito.
COLORS = "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
MARKERS = "o", "s", "^", "D", "v", "P"
LINE_STYLES = {"n": ("rows n", "#D55E00", "o"), "d": ("features d", "#0072B2", "s"), "K": ("classes K", "#009E73", "^")}
MAX_TICK_LABELS = 5
AXIS_LABELS = {"std_ratio": "ratio of standard deviations"}
# Figure sizes in inches that are legible on a phone.
FIGURE_WIDTH = 7
# The ratio with full color in a map, and the ratio above which text is white.
FULL_COLOR_RATIO, DARK_COLOR_RATIO = 8, 3.5
SOURCE_KEY = "Source"
# The largest factor of a performance profile (Dolan and Moré 2002), the maximum relative suboptimality of a success,
# and the minimum number of problems for a curve.
MAX_TIME_FACTOR, MAX_SUBOPTIMALITY, MIN_PROBLEMS = 100, 1e-4, 10
FASTEST_BASELINE = "the fastest baseline of each problem"


def list_plots(machines):
    """Return a dict from the file name of each figure to its drawing function, machine and record."""
    plots = {}
    for name, machine in machines.items():
        for record in machine["records"].values():
            if record["kind"] in PLOT_FUNCTIONS:
                records = {"machine": machine["machine"], "record": record}
                plots[f"{name}-{record['kind']}.png"] = PLOT_FUNCTIONS[record["kind"]], records
        problems = list_library_results(machine)
        if len(problems) >= MIN_PROBLEMS:
            plots[f"{name}-profile.png"] = plot_profile, {"machine": machine["machine"], "record": problems}
    return plots


def save_plots(machines, folder):
    """Save all figures of the machines in a folder. Figures whose records have not changed are not redrawn."""
    import matplotlib as mpl
    from PIL import Image, PngImagePlugin

    for name, (plot_figure, records) in list_plots(machines).items():
        path, png_info = folder / name, PngImagePlugin.PngInfo()
        if not path.exists() or read_records_digest(path) != digest_records(records):
            with mpl.rc_context(STYLE):
                plot_figure(path, **records)
            png_info.add_text(SOURCE_KEY, digest_records(records))
            with Image.open(path) as image:
                image.save(path, pnginfo=png_info)


def read_records_digest(path):
    """Return the hash of a figure's records, or None."""
    from PIL import Image

    with Image.open(path) as image:
        return image.text.get(SOURCE_KEY)


def plot_pass_scaling(path, machine, record):
    """Draw the time of a pass vs rows, features and classes relative to a base, with a line of slope 1."""
    base, factors = record["base"], record["factors"]
    figure, axes = make_subplots(1, 1, FIGURE_WIDTH, 6.4)
    base_seconds = float(np.median([times[0] for times in record["seconds"].values()]))
    line_ends = np.array([factors[0], factors[-1]])
    axes.plot(
        line_ends,
        1e3 * base_seconds * line_ends,
        color="gray",
        linestyle="--",
        linewidth=2,
        label="proportional (slope 1)",
    )
    for size, times in record["seconds"].items():
        name, color, marker = LINE_STYLES[size]
        slope = np.polyfit(np.log(factors), np.log(times), 1)[0]
        label = f"{name} from {base[size]:,} to {factors[-1] * base[size]:,} (slope {slope:.2f})"
        axes.plot(factors, 1e3 * np.array(times), color=color, marker=marker, markersize=9, linewidth=2.4, label=label)
    axes.set(xscale="log", yscale="log", xlabel="size relative to the base", ylabel="milliseconds per pass")
    axes.set_xticks(factors, [f"× {factor}" for factor in factors])
    axes.xaxis.set_minor_formatter("")
    label_log_axis(axes.yaxis)
    axes.set_title(
        f"Time of a pass for loss and gradient, float64\n{machine['processor']}, {record['threads']} threads\n"
        f"base: n = {base['n']:,}, d = {base['d']:,}, K = {base['K']:,}",
        wrap=True,
    )
    axes.legend(loc="upper left")
    figure.savefig(path)


def plot_scaling(path, machine, record):
    """Draw fit times of fastlin, scikit-learn's default and the fastest baseline, with one panel per sweep."""
    sweeps = record["sweeps"]
    # One panel is left for the legend.
    n_columns = 2
    n_rows = -(-(len(sweeps) + 1) // n_columns)
    figure, panels = make_subplots(n_rows, n_columns, FIGURE_WIDTH + 1, 3.9 * n_rows)
    for panel, sweep in zip(panels.flat, sweeps, strict=False):
        points = sweep["points"]
        values = [point["value"] for point in points]
        fastlin_seconds = [point["seconds"] for point in points]
        # The fastest baseline was measured in another comparison, so its time is computed from its ratio.
        lines = {
            "fastlin, certified to 1e-4": fastlin_seconds,
            "scikit-learn's default,\nany accuracy": [point["default"]["seconds"] for point in points],
            "scikit-learn's fastest solver\nthat reaches 1e-4": [
                point["baseline"]["ratio"] * seconds if point["baseline"] else np.nan
                for point, seconds in zip(points, fastlin_seconds, strict=True)
            ],
        }
        for i, (name, seconds) in enumerate(lines.items()):
            marker_size, line_width, line_style = (8, 3, "-") if i == 0 else (6, 1.8, "--" if i == 1 else "-")
            style = {"color": COLORS[i], "marker": MARKERS[i], "markersize": marker_size}
            panel.plot(values, seconds, label=name, linewidth=line_width, linestyle=line_style, **style)
        annotation_style = {"xytext": (0, -18), "textcoords": "offset points", "ha": "center", "color": COLORS[0]}
        for point, value, seconds in zip(points, values, fastlin_seconds, strict=True):
            panel.annotate(f"{point['n_passes']:.0f}", (value, seconds), **annotation_style)
        panel.set(xscale="log", yscale="log", xlabel=AXIS_LABELS.get(sweep["name"], sweep["label"]))
        panel.margins(y=0.15)
        panel.set_title(_describe_base(sweep["base"]), fontsize="medium")
        tick_values = values[:: 1 + len(values) // MAX_TICK_LABELS]
        panel.set_xticks(tick_values, [format_value(value) for value in tick_values])
        panel.xaxis.set_minor_formatter("")
        label_log_axis(panel.yaxis, (1, 2, 5) if max(fastlin_seconds) < 10 * min(fastlin_seconds) else (1,))
    for panel in list(panels.flat)[len(sweeps) :]:
        panel.set_axis_off()
    for panel in panels.flat[::n_columns]:
        panel.set_ylabel("fit time in seconds")
    figure.suptitle(
        f"Fit time, {machine['processor']}, {record['threads']} threads\n"
        "Numbers below the points: fastlin's passes over X",
        wrap=True,
    )
    panels.flat[-1].legend(*panels.flat[0].get_legend_handles_labels(), loc="center")
    figure.savefig(path)


def _describe_base(base):
    parts = [f"{name} = {format_value(base[name])}" for name in ("n", "d", "K", "C") if name in base]
    if base.get("density", 1) < 1:
        parts.append(f"density {format_value(base['density'])}")
    return ", ".join(parts)


def plot_everyday(path, machine, record):
    """Draw maps of the speedup over the fastest baseline vs rows and columns, one per number of classes."""
    from matplotlib.colors import LogNorm

    problems = [problem for problem in record["problems"] if problem["shape"]]
    sizes = [sorted({problem["shape"][axis] for problem in problems}) for axis in range(3)]
    row_counts, column_counts, class_counts = sizes
    figure = make_figure(FIGURE_WIDTH, 1 + (1.2 + 0.5 * len(column_counts)) * len(class_counts))
    panels = figure.subplots(len(class_counts), 1, sharex=True, squeeze=False)[:, 0]
    for panel, n_classes in zip(panels, class_counts, strict=True):
        ratios, shaded_ratios = np.full((2, len(column_counts), len(row_counts)), np.nan)
        for problem in problems:
            n, d, K = problem["shape"]
            if n_classes == K:
                cell_index = column_counts.index(d), row_counts.index(n)
                ratios[cell_index], shaded_ratios[cell_index] = (
                    problem["ratio"],
                    1 if is_tie(problem) else problem["ratio"],
                )
        # On a log scale, blue means faster and red means slower. Problems without a clear winner are white.
        panel.imshow(
            shaded_ratios, cmap="RdBu", norm=LogNorm(1 / FULL_COLOR_RATIO, FULL_COLOR_RATIO, clip=True), aspect="auto"
        )
        for (i, j), ratio in np.ndenumerate(ratios):
            if np.isfinite(ratio):
                is_dark = not 1 / DARK_COLOR_RATIO <= shaded_ratios[i, j] <= DARK_COLOR_RATIO
                color = "white" if is_dark else "black"
                panel.text(j, i, format_ratio(ratio), ha="center", va="center", color=color)
        mean_ratio = geometric_mean(ratios[np.isfinite(ratios)])
        panel.set_title(f"{n_classes} classes, geometric mean {format_ratio(mean_ratio)}")
        panel.set(ylabel="columns", yticks=range(len(column_counts)), yticklabels=column_counts)
        panel.set_xticks(range(len(row_counts)), [f"{n:,}" for n in row_counts])
        panel.grid(visible=False)
    panels[-1].set_xlabel("rows")
    figure.suptitle(
        f"Times faster than the fastest baseline, default settings\n{format_machine_title(machine)}", wrap=True
    )
    figure.savefig(path)


def list_library_results(machine):
    """Return the seconds and suboptimality of each library for each problem, from the records with many problems.

    Older records only contain scikit-learn's default and the fastest baseline.
    """
    problems = [problem for record in machine["records"].values() for problem in record.get("problems", ())]
    return [
        problem.get("tried") or _list_libraries(problem)
        for problem in problems
        if "tried" in problem or "default" in problem
    ]


def _list_libraries(problem):
    libraries = problem["libraries"]
    suboptimalities = find_suboptimalities(libraries)
    names = {FASTLIN: FASTLIN, problem["default"]: problem["default"], FASTEST_BASELINE: problem["baseline"]}
    return {
        shown_name: {"seconds": libraries[name]["seconds"], "suboptimality": suboptimalities[name]}
        for shown_name, name in names.items()
    }


def list_seconds(problems):
    """Return, for each problem, a dict from the solvers to their seconds, which are infinite for a failure.

    The names of the solvers are without their settings.
    """
    return [
        {
            name.partition(", ")[0]: result["seconds"] if result["suboptimality"] <= MAX_SUBOPTIMALITY else np.inf
            for name, result in library_results.items()
        }
        for library_results in problems
    ]


def plot_profile(path, machine, record):
    """Draw the performance profile of each solver."""
    from matplotlib.ticker import PercentFormatter

    profile = compute_profile(list_seconds(record))
    names = sorted(profile, key=lambda name: -len(profile[name]))
    curves = {name: profile[name] for name in names if len(profile[name]) >= MIN_PROBLEMS}
    figure, axes = make_subplots(1, 1, FIGURE_WIDTH, 7.4)
    # fastlin is first, because it has times for all problems, and it has its own color.
    styles = [(COLORS[0], "-"), *((color, line_style) for line_style in ("-", "--", ":") for color in COLORS[1:])]
    for (name, ratios), (color, line_style) in zip(curves.items(), styles, strict=False):
        factors = np.concatenate([[1], ratios[ratios <= MAX_TIME_FACTOR], [MAX_TIME_FACTOR]])
        style = {"color": color, "linestyle": line_style, "linewidth": 3 if name == FASTLIN else 1.8}
        label = f"{name}, {len(ratios)}"
        axes.step(factors, compute_fraction(ratios, factors), where="post", label=label, **style)
    axes.set(
        xscale="log",
        xlabel="time relative to the fastest solver",
        ylabel="fraction of the problems",
        ylim=(-0.02, 1.02),
    )
    ticks = 1, 2, 5, 10, 20, 50, MAX_TIME_FACTOR
    axes.set_xticks(ticks, [f"× {tick}" for tick in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title(
        f"Problems solved within a factor of the fastest time\n{format_machine_title(machine)}",
        wrap=True,
    )
    figure.legend(
        loc="outside lower center",
        ncols=2,
        title=f"solver, number of problems\n(failed if the objective is {MAX_SUBOPTIMALITY:g} above the lowest)",
    )
    figure.savefig(path)


def plot_baselines(path, machine, record):
    """Draw suboptimality vs fit time, like `fastlin compare --baselines`."""
    with tempfile.TemporaryDirectory() as folder:
        plot_study("baselines", Results(record["parameters"], {}, {"problems": record["problems"]}), Path(folder))
        shutil.copyfile(Path(folder, "baselines.png"), path)


PLOT_FUNCTIONS = {
    "everyday": plot_everyday,
    "scaling": plot_scaling,
    "passes": plot_pass_scaling,
    "baselines": plot_baselines,
}
