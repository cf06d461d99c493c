"""Tables of benchmark records: `rich` tables for the console and Markdown for the documents."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, geometric_mean, median

from benchmarks import class_passes, false_alarms, foreign_suites, probes
from benchmarks.comparisons import FASTLIN
from benchmarks.foreign_suites import SUITE_SCORES
from benchmarks.inference import RECORD_KIND as INFERENCE
from fastlin.benchmarking.curve_tables import NOT_REACHED, REPORTED_SUBOPTIMALITIES
from fastlin.benchmarking.timing import classify_interval

# Matches the number of classes in a record's description of its data.
N_CLASSES = re.compile(r"([\d,]+) classes")
BOLD_ROW_STYLE = "bold red"
MIN_CONSOLE_WIDTH = 120
TIME_COLUMN = "time: fastlin (to the baseline's objective) vs baseline"
SCORE_KEYS = {"accuracy": "accuracy", "log loss": "log_loss"}


@dataclass(frozen=True)
class Table:
    """A table of strings. Rows in which fastlin is slower, or uses more memory than allowed, are bold."""

    title: str
    columns: list
    rows: list
    bold_mask: list


@dataclass(frozen=True)
class TableLayout:
    """Converts records to a table. `make_rows` yields each row of a record, a dict by column, and if it is bold."""

    title: str
    make_rows: Callable

    def tabulate(self, records):
        """Return the Table of one or more records, without columns that are empty in all rows."""
        rows, bold_mask = zip(*(shown for record in records for shown in self.make_rows(record)), strict=True)
        columns = [column for column in rows[0] if column == next(iter(rows[0])) or any(row[column] for row in rows)]
        return Table(
            self.title, columns, [[row[column] for column in columns] for row in rows], list(map(bool, bold_mask))
        )


def make_table(rows):
    """Return an untitled Table of rows, which are dicts by column. No row is bold."""
    return TableLayout("", lambda row: [(row, False)]).tabulate(rows)


def tabulate(records):
    """Return a table for each kind of record in `records`."""
    records_by_kind = {kind: [record for record in records.values() if record["kind"] == kind] for kind in KIND_LAYOUTS}
    return [KIND_LAYOUTS[kind].tabulate(kind_records) for kind, kind_records in records_by_kind.items() if kind_records]


def print_tables(tables, file=None):
    """Print tables with rich, at least MIN_CONSOLE_WIDTH characters wide."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    width = max(MIN_CONSOLE_WIDTH, Console(file=file).width)
    console = Console(file=file, width=width, markup=False, highlight=False)
    for table in tables:
        console.print(f"\n{table.title}")
        rich_table = RichTable(box=box.SIMPLE, pad_edge=False)
        for index, column in enumerate(table.columns):
            rich_table.add_column(
                column, justify="right" if _is_numeric_column(table, index) else "left", overflow="fold"
            )
        for row, is_bold in zip(table.rows, table.bold_mask, strict=True):
            rich_table.add_row(*row, style=BOLD_ROW_STYLE if is_bold else None)
        console.print(rich_table)


def format_markdown(table):
    """Return a table in Markdown, without its title."""
    alignments = [" ---: " if _is_numeric_column(table, index) else " --- " for index in range(len(table.columns))]
    lines = [f"| {' | '.join(table.columns)} |", f"|{'|'.join(alignments)}|"]
    for row, is_bold in zip(table.rows, table.bold_mask, strict=True):
        cells = [f"**{cell}**" if is_bold and cell else cell for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _is_numeric_column(table, index):
    cells = [row[index] for row in table.rows]
    return index > 0 and all(not cell or cell[0].isdigit() or cell[0] in "+-−≥>" for cell in cells)


def format_seconds(seconds):
    """Return a time with three significant digits, in milliseconds below 0.1 s."""
    return f"{1e3 * seconds:.3g} ms" if seconds < 0.1 else f"{seconds:.3g} s"


def format_ratio(ratio):
    """Return a ratio with two significant digits."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 1.95 else f"{ratio:.2f}"


def format_value(value):
    """Return a number as a string, in scientific notation if it is below 1 or at least 1e5."""
    return f"{value:,.0f}" if 1 <= value < 1e5 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def is_slower(record):
    """Return whether fastlin is slower, according to the interval of the ratio or, without an interval, the ratio."""
    return _classify_ratio(record) == "shorter"


def is_tie(record):
    """Return whether the interval of a record's ratio, or else the ratio, does not show that one library is faster."""
    return _classify_ratio(record) == "even"


def _classify_ratio(record):
    """Return whether the baseline's time is "longer" or "shorter" than fastlin's, or "even"."""
    return classify_interval(record.get("interval") or [record["ratio"]] * 2)


def is_worse_than_a_guess(record):
    """Return whether the held-out log losses of fastlin and of the baseline both exceed the loss of a uniform guess.

    Times of models that nobody would use are not informative. The result is False for records without an accuracy,
    which measure passes, permuted labels or folds.
    """
    classes = N_CLASSES.search(record.get("data", ""))
    if classes is None or "baseline" not in record:
        return False
    compared_measurements = list_compared_measurements(record)
    if any(side.get("accuracy") is None for side in compared_measurements):
        return False
    return min(side["log_loss"] for side in compared_measurements) > math.log(int(classes[1].replace(",", "")))


def format_interval(record):
    """Return the ratio of a record with its 95 % interval, if it has one, or marked as a lower bound."""
    interval = record.get("interval")
    ends = f" ({' to '.join(map(format_ratio, interval))})" if interval else ""
    return "≥ " * record.get("is_bound", False) + format_ratio(record["ratio"]) + ends


def describe_case(record):
    """Return what a record measures: its title, its data, and "1 thread" if it ran on one."""
    description = ", ".join(filter(None, (record["title"], record.get("data", ""))))
    return f"{description}, 1 thread" if record.get("threads") == 1 else description


def summarize(record):
    """Return a record in one line: fastlin's time or memory and, if present, the speed relative to the baseline."""
    parts = []
    if FASTLIN in record.get("libraries", {}):
        parts.append(format_library_seconds(record, FASTLIN))
    if "fit_bytes" in record:
        parts.append(f"{record['fit_bytes'] / 1e6:.1f} MB in addition to X")
    if "speed_fraction" in record:
        parts.append(f"{record['speed_fraction']:.0%} of the speed of {record['limit']}")
    if "ratio" in record and "baseline" in record:
        parts.append(f"{format_interval(record)} times as fast as {label_baseline(record)}")
    name = describe_case(record) if "title" in record else record["kind"]
    return f"{name}: {', '.join(parts) or 'measured'}"


def list_compared_measurements(record):
    """Return a record's measurements of fastlin and of the baseline."""
    return [record["libraries"][name] for name in (FASTLIN, record["baseline"])]


def label_library(record, name, label=None):
    """Return a label, by default the name of a library, with ", 1 thread" if the library ran on fewer threads."""
    n_threads = record["libraries"][name].get("threads", record["threads"])
    return f"{label or name}{', 1 thread' * (n_threads != record['threads'])}"


def label_baseline(record):
    """Return the name of a record's baseline, with its number of threads."""
    return label_library(record, record["baseline"])


def format_compared_scores(record, score="accuracy"):
    """Return the accuracies or the log losses of fastlin and the baseline, or "" without predictions."""
    # Cases that only measure losses store no accuracy.
    return " vs ".join(
        format(side[score], ".4f") for side in list_compared_measurements(record) if side[score] is not None
    )


def format_mean_accuracies(records):
    """Return the mean accuracies of fastlin and of the baselines over records."""
    pairs = [[side["accuracy"] for side in list_compared_measurements(record)] for record in records]
    return " vs ".join(f"{fmean(side):.4f}" for side in zip(*pairs, strict=True))


def format_library_seconds(record, name):
    """Return the time of a library, with ">" if its fit was cut off."""
    library = record["libraries"][name]
    return "> " * library.get("is_cut_off", False) + format_seconds(library["seconds"])


def format_compared_seconds(record):
    """Return the times of fastlin and of the baseline, with fastlin's time to the baseline's objective if measured."""
    ours, theirs = (format_library_seconds(record, name) for name in (FASTLIN, record["baseline"]))
    seconds_to_objective = record.get("seconds_to_baseline_objective")
    parenthesis = ""
    if seconds_to_objective is not None:
        # The whole fit reaches the objective too. Its time is a median of repetitions, so it may be shorter.
        seconds_to_objective = min(seconds_to_objective, record["libraries"][FASTLIN]["seconds"])
        parenthesis = f" ({format_seconds(seconds_to_objective)})"
    return f"{ours}{parenthesis} vs {theirs}"


def make_comparison_rows(record):
    """Yield the row of a comparison."""
    row = {
        "case": describe_case(record),
        "accuracy": format_compared_scores(record),
        "log loss": format_compared_scores(record, "log_loss"),
        "times faster": format_interval(record),
        TIME_COLUMN: format_compared_seconds(record),
        "baseline": label_baseline(record),
        "objective difference": f"{record['objective_difference']:+.0e}",
    }
    yield row, is_slower(record) or record["failure"]


def make_suite_rows(record):
    """Yield a row for each baseline of each problem of a foreign suite."""
    for name, problem in record["problems"].items():
        for baseline, values in problem["rows"].items():
            *seconds, ratio, _ = values.values()
            scores = problem["scores"].get(baseline, {})
            row = {
                "problem": f"{name}, {problem['samples']:,} × {problem['features']:,}",
                "baseline": baseline,
                **{
                    f"time to {suboptimality}": format_seconds(each) if isinstance(each, float) else each
                    for suboptimality, each in zip(REPORTED_SUBOPTIMALITIES, seconds, strict=True)
                },
                "time ratio": _format_suite_ratio(baseline, ratio, problem),
                "held out": ", ".join(f"{score} {scores[score]:.4f}" for score in SUITE_SCORES if score in scores),
            }
            yield row, False


def _format_suite_ratio(baseline, ratio, problem):
    reason = problem["reasons"].get(baseline)
    if baseline == problem["reference"]:
        return f"reference; {reason}" if reason else "reference"
    if ratio == NOT_REACHED:
        return reason or ratio
    text = f"{ratio:.3g}" if isinstance(ratio, float) else ratio
    return f"{text}; {reason}" if reason else text


def make_hardware_limit_rows(record):
    """Yield the row of an operation and of the hardware limit that bounds its speed."""
    speed_fractions = record.get("speed_fraction_interval") or [record["speed_fraction"]]
    row = {
        "operation": describe_case(record),
        "fastlin": format_library_seconds(record, FASTLIN),
        "limited by": record["limit"],
        "time at the limit": format_library_seconds(record, record["limit"]),
        "fraction of the limit's speed": " to ".join(f"{speed_fraction:.0%}" for speed_fraction in speed_fractions),
    }
    yield row, False


def make_class_pass_rows(record):
    """Yield the row of a pass over many classes on one thread."""
    seconds = {name: measurement["seconds"] for name, measurement in record["libraries"].items()}
    # In a short run, noise may exceed the time of the products.
    product_seconds = max(seconds[FASTLIN] - seconds[class_passes.SOFTMAX], 1e-9)
    blas_ratio = seconds[class_passes.BLAS] / product_seconds
    row = {
        "pass": describe_case(record),
        "time": format_seconds(seconds[FASTLIN]),
        "multiply-adds per second": f"{record['n_multiply_adds'] / seconds[FASTLIN] / 1e9:.0f} billion",
        "softmax, fraction of the time": f"{seconds[class_passes.SOFTMAX] / seconds[FASTLIN]:.0%}",
        "speed of the products / BLAS": f"{blas_ratio:.2f}",
        "passes of a fit": "; ".join(
            f"C = {float(C):,g}: {n_passes:.0f}" for C, n_passes in record["n_passes"].items()
        ),
    }
    yield row, False


def make_memory_rows(record):
    """Yield the row of the peak memory of a fit."""
    names = {"X": "X_bytes", "fit": "fit_bytes", "allowed": "allowed_bytes", "scikit-learn": "baseline_bytes"}
    sizes = {column: record.get(name) for column, name in names.items()}
    row = {column: f"{size / 1e6:.1f} MB" if size else "" for column, size in sizes.items()}
    yield {"case": describe_case(record), **row}, record["fit_bytes"] > record["allowed_bytes"]


def make_first_use_rows(record):
    """Yield the row of the first import or fit of a process."""
    ours, theirs = (record["libraries"][name]["seconds"] for name in (FASTLIN, probes.SCIKIT_LEARN))
    row = {
        "operation": describe_case(record),
        FASTLIN: f"{ours:.2f} s",
        probes.SCIKIT_LEARN: f"{theirs:.2f} s",
        "difference": f"{ours - theirs:+.2f} s",
    }
    yield row, False


def make_group_rows(record):
    """Yield a row for each group of everyday problems."""
    problems_by_group = {}
    for problem in record["problems"]:
        problems_by_group.setdefault(problem["group"], []).append(problem)
    for group, problems in problems_by_group.items():
        slowest_problem = min(problems, key=lambda problem: problem["ratio"])
        errors = zip(
            *([side["coef_error"] for side in list_compared_measurements(problem)] for problem in problems), strict=True
        )
        baseline_mean_ratio, scikit_learn_mean_ratio, default_mean_ratio = (
            format_ratio(geometric_mean(problem[ratio] for problem in problems))
            for ratio in ("ratio", "scikit_learn_ratio", "default_ratio")
        )
        row = {
            "problems": f"{GROUP_TITLES.get(group, group)}, {len(problems)}",
            "accuracy": format_mean_accuracies(problems),
            "times faster (mean)": baseline_mean_ratio,
            "vs scikit-learn: fastest solver, default": f"{scikit_learn_mean_ratio}, {default_mean_ratio}",
            "slower on": f"{sum(map(is_slower, problems))}; lowest ratio {format_ratio(slowest_problem['ratio'])} on "
            f"{slowest_problem['title']}",
            "max coefficient error (median, worst)": " vs ".join(
                f"{median(side):.0e}, {max(side):.0e}" for side in errors
            ),
            "less accurate": f"{sum(problem['is_above'] or problem['is_worse'] for problem in problems)}",
        }
        yield row, False


def make_problem_rows(record):
    """Yield a row for each everyday problem, bold if fastlin is slower."""
    for problem in record["problems"]:
        row = {
            "problem": problem["title"],
            "accuracy": format_compared_scores(problem),
            "times faster": format_interval(problem),
            "than the default": format_ratio(problem["default_ratio"]),
            TIME_COLUMN: format_compared_seconds(problem),
            "fastest baseline": label_baseline(problem),
            "objective difference; coefficient error": f"{problem['objective_difference']:+.0e}; "
            + " vs ".join(f"{side['coef_error']:.0e}" for side in list_compared_measurements(problem)),
        }
        yield row, is_slower(problem)


def make_sweep_rows(record):
    """Yield a row for each method of a sweep, bold if fastlin is slower than the baseline."""
    theirs = record["libraries"][record["baseline"]]["seconds"]
    for name, method in record["libraries"].items():
        ratio, is_baseline = theirs / method["seconds"], name == record["baseline"]
        ratio_record = {"ratio": ratio, "is_bound": record.get("is_bound", False)}
        fitted_count_suffix = f" ({method['n_measured']} of {record['n_Cs']} C)" * (
            method["n_measured"] < record["n_Cs"]
        )
        row = {
            "sweep": describe_case(record),
            "method": label_library(record, name),
            "time": format_library_seconds(record, name) + fitted_count_suffix,
            "times faster": "" if is_baseline or method.get("is_cut_off") else format_interval(ratio_record),
            "chosen C (validation score)": f"{method['C']:.2g} ({method['validation']:.4f})",
            **{column: "" if method[key] is None else f"{method[key]:.4f}" for column, key in SCORE_KEYS.items()},
        }
        yield row, record["failure"] or (is_slower({"ratio": ratio}) and not is_baseline)


def make_probe_rows(record):
    """Yield the row of a single probe with the defaults of both libraries, bold if fastlin's whole fit is slower."""
    ours, theirs, torch_measurement = (
        record["libraries"][name] for name in (FASTLIN, probes.SCIKIT_LEARN, probes.TORCH)
    )
    seconds_to_scikit_learn, ratio = (
        ours["seconds_to_scikit_learn"],
        record["ratios"][probes.RATIO_TO_SCIKIT_LEARN_OBJECTIVE],
    )
    time_to_objective = "not reached" if seconds_to_scikit_learn is None else format_seconds(seconds_to_scikit_learn)
    torch_time_to_scikit_learn = _format_torch_time(
        torch_measurement, "seconds_to_scikit_learn", record["ratios"][probes.TORCH_RATIO_TO_SCIKIT_LEARN_OBJECTIVE]
    )
    torch_time_to_fastlin = _format_torch_time(
        torch_measurement, "seconds_to_fastlin", record["ratios"][probes.TORCH_RATIO_TO_FASTLIN_OBJECTIVE]
    )
    scikit_learn_time = label_library(record, probes.SCIKIT_LEARN, format_library_seconds(record, probes.SCIKIT_LEARN))
    row = {
        "probe": record["data"],
        "fastlin (certified gap)": f"{format_library_seconds(record, FASTLIN)} ({ours['certified_gap']:.0e})",
        "scikit-learn (objective difference)": (
            f"{scikit_learn_time} ({theirs['objective'] / ours['objective'] - 1:+.0e})"
        ),
        "times faster": format_interval(record),
        "fastlin to scikit-learn's objective (times faster)": time_to_objective
        + ("" if ratio is None else f" ({format_ratio(ratio)})"),
        "PyTorch to it (fastlin: times faster)": torch_time_to_scikit_learn,
        "PyTorch to within 1e-4 of fastlin's (fastlin: times faster)": torch_time_to_fastlin,
    }
    yield row, is_slower(record)


def _format_torch_time(torch_measurement, key, ratio):
    """Return PyTorch's time to an objective and a time ratio, as lower bounds if the objective was not reached."""
    seconds, bound_prefix = (
        (torch_measurement["seconds"], "over ") if torch_measurement[key] is None else (torch_measurement[key], "")
    )
    return bound_prefix + format_seconds(seconds) + ("" if ratio is None else f" ({bound_prefix}{format_ratio(ratio)})")


def make_inference_rows(record):
    """Yield a row for each baseline of a fit with standard errors, bold if fastlin is slower."""
    baselines, ours = dict(record["libraries"]), record["libraries"][FASTLIN]
    del baselines[FASTLIN]
    best = {name.partition(", ")[0]: name for name in sorted(baselines, key=lambda name: -baselines[name]["seconds"])}
    for name in best.values():
        theirs = baselines[name]
        ratio = theirs["seconds"] / ours["seconds"]
        sizes = [side["additional_bytes"] for side in (ours, theirs) if "additional_bytes" in side]
        row = {
            "fit and table": describe_case(record),
            "baseline": label_library(record, name),
            "time": f"{format_seconds(ours['seconds'])} vs {format_seconds(theirs['seconds'])}",
            "times faster": format_ratio(ratio),
            "objective difference": f"{ours['objective'] / theirs['objective'] - 1:+.0e}",
            "difference of standard errors; coefficients": "; ".join(
                f"{theirs[name]:.0e}" for name in ("error_difference", "coef_difference")
            ),
            "memory in addition to X": " vs ".join(f"{size / 1e6:.0f} MB" for size in sizes) * (len(sizes) == 2),
        }
        yield row, record["failure"] or is_slower({"ratio": ratio})


def make_ablation_rows(record):
    """Yield the row of an optimization that was disabled."""
    gains = list(record["gains"].values())
    row = {
        "optimization": record["title"],
        "disabled in": f"`{record['switch']}`",
        "problems": str(len(gains)),
        "times faster (mean)": format_ratio(geometric_mean(gains)) if gains else "",
        "min": format_ratio(min(gains)) if gains else "",
        "max": format_ratio(max(gains)) if gains else "",
    }
    yield row, False


def make_false_alarm_rows(record):
    """Yield a row for each condition in which estimators were compared with themselves."""
    for condition, counts in record["counts"].items():
        n_compared = sum(counts.values()) - counts["not compared"]
        n_false_alarms = counts["faster"] + counts["slower"]
        row = {
            "machine": condition,
            "comparisons": str(n_compared),
            "faster": str(counts["faster"]),
            "slower": str(counts["slower"]),
            "false alarms": f"{100 * n_false_alarms / n_compared:.1f} %" if n_compared else "",
            "too little time": str(counts["not compared"]),
        }
        yield row, False


EVERYDAY_LAYOUT = TableLayout("Everyday problems", make_problem_rows)
# The names of the groups of everyday problems in the documents.
GROUP_TITLES = {"ill-conditioned": "ill-conditioned features"}
KIND_LAYOUTS = {
    "comparison": TableLayout(
        "fastlin vs baselines, bold if fastlin is slower; ratios with 95 % intervals, scores on held-out rows",
        make_comparison_rows,
    ),
    "limit": TableLayout("fastlin and the limits of the hardware", make_hardware_limit_rows),
    class_passes.RECORD_KIND: TableLayout("Passes over many classes", make_class_pass_rows),
    "memory": TableLayout("Peak memory of a fit in addition to X", make_memory_rows),
    "first use": TableLayout("First use", make_first_use_rows),
    "everyday": TableLayout(
        "Everyday fits: times faster than the baselines, each library with its defaults; geometric means",
        make_group_rows,
    ),
    "scikit-learn's cases": EVERYDAY_LAYOUT,
    "sweep": TableLayout(
        "Sweeps over C; the validation score chooses C, accuracies and log losses are on held-out rows", make_sweep_rows
    ),
    probes.RECORD_KIND: TableLayout(
        "Single probes with the defaults of both libraries, and the times to each other's final objective",
        make_probe_rows,
    ),
    "ablation": TableLayout(
        "Ablations: fit time with one optimization disabled, divided by the time with it", make_ablation_rows
    ),
    false_alarms.RECORD_KIND: TableLayout("An estimator compared with itself", make_false_alarm_rows),
    foreign_suites.RECORD_KIND: TableLayout("Suites of other projects", make_suite_rows),
    INFERENCE: TableLayout("Fits with standard errors, and their baselines", make_inference_rows),
}
