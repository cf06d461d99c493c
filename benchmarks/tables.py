"""Tables of records as text, by the kinds of records: for the console by rich, for documents Markdown."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, geometric_mean, median

from benchmarks import probes
from benchmarks.comparisons import FASTLIN
from benchmarks.inference import KIND as INFERENCE
from benchmarks.sweeps import BY_DEFAULT, BY_IMPORT

# Of the data of a record in words.
N_CLASSES = re.compile(r"([\d,]+) classes")
BAD = "bold red"
MIN_WIDTH = 120
SCORES = {"accuracy": "accuracy", "log loss": "log_loss"}


@dataclass(frozen=True)
class Table:
    """A table as text, and which of its rows are bold, because fastlin is slower there or takes more than allowed."""

    title: str
    columns: list
    rows: list
    bold: list


@dataclass(frozen=True)
class Layout:
    """How records become a table; `show` yields the rows of a record by heading, each with whether it is bold."""

    title: str
    show: Callable

    def tabulate(self, records):
        """Return the Table of records, of which there is one at least, without further columns that no row fills."""
        rows, bold = zip(*(shown for record in records for shown in self.show(record)), strict=True)
        columns = [column for column in rows[0] if column == next(iter(rows[0])) or any(row[column] for row in rows)]
        return Table(self.title, columns, [[row[column] for column in columns] for row in rows], list(map(bool, bold)))


def make_table(rows):
    """Return the Table of rows by heading, without a title and none of them bold."""
    return Layout("", lambda row: [(row, False)]).tabulate(rows)


def tabulate(records):
    """Return the tables of records, by the kind that they name; a kind without records has none."""
    by_kind = {kind: [record for record in records.values() if record["kind"] == kind] for kind in KINDS}
    return [KINDS[kind].tabulate(of_kind) for kind, of_kind in by_kind.items() if of_kind]


def print_tables(tables, file=None):
    """Print tables by rich, wide enough whatever the terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    width = max(MIN_WIDTH, Console(file=file).width)
    console = Console(file=file, width=width, markup=False, highlight=False)
    for table in tables:
        console.print(f"\n{table.title}")
        drawn = RichTable(box=box.SIMPLE, pad_edge=False)
        for place, column in enumerate(table.columns):
            drawn.add_column(column, justify="right" if _is_numeric(table, place) else "left", overflow="fold")
        for row, is_bold in zip(table.rows, table.bold, strict=True):
            drawn.add_row(*row, style=BAD if is_bold else None)
        console.print(drawn)


def write_markdown(table):
    """Return a table in Markdown, without its title."""
    marks = [" ---: " if _is_numeric(table, place) else " --- " for place in range(len(table.columns))]
    lines = [f"| {' | '.join(table.columns)} |", f"|{'|'.join(marks)}|"]
    for row, is_bold in zip(table.rows, table.bold, strict=True):
        cells = [f"**{cell}**" if is_bold and cell else cell for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _is_numeric(table, place):
    cells = [row[place] for row in table.rows]
    return place > 0 and all(not cell or cell[0].isdigit() or cell[0] in "+-−≥>" for cell in cells)


def format_seconds(seconds):
    """Return seconds with three digits, in milliseconds below a tenth."""
    return f"{1e3 * seconds:.3g} ms" if seconds < 0.1 else f"{seconds:.3g} s"


def format_ratio(ratio):
    """Return a ratio with two digits."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 1.95 else f"{ratio:.2f}"


def format_value(value):
    """Return a number as text, a power of ten with its exponent where that is shorter."""
    return f"{value:,.0f}" if 1 <= value < 1e5 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def is_slower(record):
    """Return whether fastlin is slower in a record: by the whole interval of its ratio, or by the ratio without one."""
    interval = record.get("interval")
    return record["ratio"] < 1 if interval is None else interval[1] < 1


def is_even(record):
    """Return whether the interval of a record's ratio holds 1, so that no library is faster."""
    interval = record.get("interval")
    return interval is not None and interval[0] <= 1 <= interval[1]


def is_worse_than_a_guess(record):
    """Return whether the log losses of fastlin and of the baseline on held-out rows exceed that of a uniform guess.

    Nobody would use such models, so the seconds of their fits say little. Records without an accuracy do not count:
    they are of passes, of permuted labels, or of folds.
    """
    classes = N_CLASSES.search(record.get("data", ""))
    if classes is None or "baseline" not in record:
        return False
    sides = list_sides(record)
    if any(side.get("accuracy") is None for side in sides):
        return False
    return min(side["log_loss"] for side in sides) > math.log(int(classes[1].replace(",", "")))


def format_interval(record):
    """Return the ratio of a record, with its 95 % interval where it has one, or as the bound that it is."""
    interval = record.get("interval")
    ends = f" ({' to '.join(map(format_ratio, interval))})" if interval else ""
    return "≥ " * record.get("is_bound", False) + format_ratio(record["ratio"]) + ends


def describe_case(record):
    """Return what a record measures, with its data and its threads where it is one."""
    words = ", ".join(filter(None, (record["title"], record.get("data", ""))))
    return f"{words}, 1 thread" if record.get("threads") == 1 else words


def summarize(record):
    """Return a record in a line: fastlin's seconds or memory, and the ratio to the baseline, if it has them."""
    parts = []
    if FASTLIN in record.get("libraries", {}):
        parts.append(say_seconds(record, FASTLIN))
    if "fit_bytes" in record:
        parts.append(f"{record['fit_bytes'] / 1e6:.1f} MB beside X")
    if "part" in record:
        parts.append(f"{record['part']:.0%} of the speed of {record['limit']}")
    if "ratio" in record and "baseline" in record:
        parts.append(f"{format_interval(record)} times as fast as {name_baseline(record)}")
    name = describe_case(record) if "title" in record else record["kind"]
    return f"{name}: {', '.join(parts) or 'measured'}"


def list_sides(record):
    """Return what a record has of fastlin and of the baseline."""
    return [record["libraries"][name] for name in (FASTLIN, record["baseline"])]


def name_library(record, name, text=None):
    """Return the name of a library or another text, with its threads where they are not those of the record."""
    n_threads = record["libraries"][name].get("threads", record["threads"])
    return f"{text or name}{', 1 thread' * (n_threads != record['threads'])}"


def name_baseline(record):
    """Return the name of a record's baseline, with its number of threads."""
    return name_library(record, record["baseline"])


def compare_scores(record, score="accuracy"):
    """Return the accuracies or the log losses of fastlin and its baseline, empty where nothing is predicted."""
    sides = list_sides(record)
    # Tools that are asked for losses know no accuracy.
    return " / ".join(format(side[score], ".4f") for side in sides if side[score] is not None)


def average_accuracies(records):
    """Return the mean accuracies of fastlin and of the baseline of each record, as text."""
    pairs = [[side["accuracy"] for side in list_sides(record)] for record in records]
    return " / ".join(f"{fmean(side):.4f}" for side in zip(*pairs, strict=True))


def say_seconds(record, name):
    """Return the seconds of a library, with a sign where it was cut off."""
    library = record["libraries"][name]
    return "> " * library.get("is_cut_off", False) + format_seconds(library["seconds"])


def _show_ratio(record):
    return {
        "accuracies": compare_scores(record),
        "log losses": compare_scores(record, "log_loss"),
        "times faster": format_interval(record),
    }


def show_comparison(record):
    """Yield the row of a comparison."""
    row = {
        "case": describe_case(record),
        **_show_ratio(record),
        "fastlin": say_seconds(record, FASTLIN),
        "baseline's time": say_seconds(record, record["baseline"]),
        "baseline": name_baseline(record),
        "objective gap": f"{record['gap']:+.0e}",
    }
    yield row, is_slower(record) or record["failure"]


def show_limit(record):
    """Yield the row of what limits fastlin."""
    parts = record.get("part_interval") or [record["part"]]
    row = {
        "what": describe_case(record),
        "fastlin": say_seconds(record, FASTLIN),
        "what limits it": record["limit"],
        "takes": say_seconds(record, record["limit"]),
        "part of the limit's speed": " to ".join(f"{part:.0%}" for part in parts),
    }
    yield row, False


def show_memory(record):
    """Yield the row of the memory of a fit."""
    names = {"X": "X_bytes", "the fit": "fit_bytes", "allowed": "allowed_bytes", "scikit-learn's": "peer_bytes"}
    sizes = {title: record.get(name) for title, name in names.items()}
    row = {title: f"{size / 1e6:.1f} MB" if size else "" for title, size in sizes.items()}
    yield {"case": describe_case(record), **row}, record["fit_bytes"] > record["allowed_bytes"]


def show_first_use(record):
    """Yield the row of a first use."""
    ours, theirs = (record["libraries"][name]["seconds"] for name in (FASTLIN, probes.SCIKIT_LEARN))
    row = {
        "what": describe_case(record),
        FASTLIN: f"{ours:.2f} s",
        probes.SCIKIT_LEARN: f"{theirs:.2f} s",
        "difference": f"{ours - theirs:+.2f} s",
    }
    yield row, False


def show_groups(record):
    """Yield a row for each group of everyday problems."""
    groups = {}
    for problem in record["problems"]:
        groups.setdefault(problem["group"], []).append(problem)
    for group, problems in groups.items():
        worst = min(problems, key=lambda problem: problem["ratio"])
        errors = list(zip(*([side["coef_error"] for side in list_sides(each)] for each in problems), strict=True))
        best, scikit_learn, default = (
            format_ratio(geometric_mean(problem[what] for problem in problems))
            for what in ("ratio", "scikit_learn_ratio", "default_ratio")
        )
        row = {
            "problems": f"{group}, {len(problems)}",
            "mean accuracies": average_accuracies(problems),
            "times faster than the fastest, mean": best,
            "than scikit-learn's best": scikit_learn,
            "than its default": default,
            "worst": f"{format_ratio(worst['ratio'])}: {worst['title']}",
            "slower": f"{sum(map(is_slower, problems))}",
            "objective above": f"{sum(problem['is_above'] for problem in problems)}",
            "coefs off, median": " / ".join(f"{median(side):.0e}" for side in errors),
            "off, worst": " / ".join(f"{max(side):.0e}" for side in errors),
            "clearly worse": f"{sum(problem['is_worse'] for problem in problems)}",
        }
        yield row, False


def show_problems(record):
    """Yield a row for each everyday problem, bold where fastlin is slower."""
    for problem in record["problems"]:
        row = {
            "problem": problem["title"],
            **_show_ratio(problem),
            "than the default": format_ratio(problem["default_ratio"]),
            "fastlin": say_seconds(problem, FASTLIN),
            "baseline's time": say_seconds(problem, problem["baseline"]),
            "fastest baseline": name_baseline(problem),
            "objective gap": f"{problem['gap']:+.0e}",
            "coefficients off": " / ".join(f"{side['coef_error']:.0e}" for side in list_sides(problem)),
        }
        yield row, is_slower(problem)


def show_sweep(record):
    """Yield a row for each way of a sweep, bold where a way of fastlin's is slower than the baseline."""
    theirs = record["libraries"][record["baseline"]]["seconds"]
    for name, way in record["libraries"].items():
        ratio, is_baseline = theirs / way["seconds"], name == record["baseline"]
        shown = {"ratio": ratio, "is_bound": record.get("is_bound", False)}
        row = {
            "sweep": describe_case(record),
            "way": name_library(record, name),
            "C measured": f"{way['n_measured']} of {record['n_Cs']}",
            "seconds": say_seconds(record, name),
            "times faster": "" if is_baseline or way.get("is_cut_off") else format_interval(shown),
            "chosen C": f"{way['C']:.2g}",
            "its score": f"{way['validation']:.4f}",
            **{what: "" if way[key] is None else f"{way[key]:.4f}" for what, key in SCORES.items()},
        }
        yield row, record["failure"] or (ratio < 1 and not is_baseline)


def show_short_sweep(record):
    """Yield the one row of a sweep that chooses C on validation rows."""
    row = {
        "sweep": record["data"],
        "one call": say_seconds(record, FASTLIN),
        "fit by fit": say_seconds(record, BY_DEFAULT),
        "the import alone": say_seconds(record, BY_IMPORT),
        "scikit-learn": say_seconds(record, record["baseline"]),
        "times faster": format_interval(record),
        "best scores": " / ".join(f"{side['validation']:.4f}" for side in list_sides(record)),
    }
    yield row, is_slower(record) or record["failure"]


def show_probe_fits(pair):
    """Yield the row of a single probe, of two comparisons: to the proof, and with solver="lbfgs"."""
    certified, by_lbfgs = pair
    row = {
        "fit": describe_case(certified).partition(", ")[2],
        "to the proof": say_seconds(certified, FASTLIN),
        "by lbfgs": say_seconds(by_lbfgs, FASTLIN),
        "scikit-learn": say_seconds(certified, certified["baseline"]),
        "objective gap": f"{certified['gap']:+.0e}",
        "gap by lbfgs": f"{by_lbfgs['gap']:+.0e}",
        "accuracies": compare_scores(certified),
    }
    yield row, is_slower(certified)


def show_probe(record):
    """Yield the row of a single probe by the defaults of both libraries, bold where fastlin's whole fit is slower."""
    ours, theirs, torch = (record["libraries"][name] for name in (FASTLIN, probes.SCIKIT_LEARN, probes.TORCH))
    to_theirs, ratio = ours["seconds_to_scikit_learn"], record["ratios"][probes.TO_ITS_OBJECTIVE]
    by_torch = _say_reached(torch, "seconds_to_scikit_learn", record["ratios"][probes.TORCH_TO_ITS_OBJECTIVE])
    by_torch += _say_reached(torch, "seconds_to_fastlin", record["ratios"][probes.TORCH_TO_OURS])
    row = {
        "probe": record["data"],
        "fastlin": say_seconds(record, FASTLIN),
        "proven gap": f"{ours['certified_gap']:.0e}",
        "scikit-learn": name_library(record, probes.SCIKIT_LEARN, say_seconds(record, probes.SCIKIT_LEARN)),
        "its objective above": f"{theirs['objective'] / ours['objective'] - 1:+.0e}",
        "times faster": format_interval(record),
        "fastlin to its objective": "not reached" if to_theirs is None else format_seconds(to_theirs),
        "times faster to it": "" if ratio is None else format_ratio(ratio),
        "PyTorch to its objective": by_torch[0],
        "times faster than that": by_torch[1],
        "PyTorch to fastlin's": by_torch[2],
        "times faster than PyTorch": by_torch[3],
    }
    yield row, is_slower(record)


def _say_reached(torch, what, ratio):
    """Return PyTorch's seconds to an objective and their ratio to fastlin's; both are least values if it failed."""
    seconds, over = (torch["seconds"], "over ") if torch[what] is None else (torch[what], "")
    return over + format_seconds(seconds), "" if ratio is None else over + format_ratio(ratio)


def show_inference(record):
    """Yield a row for each baseline of a fit with standard errors, bold where fastlin is slower."""
    baselines, ours = dict(record["libraries"]), record["libraries"][FASTLIN]
    del baselines[FASTLIN]
    best = {name.partition(", ")[0]: name for name in sorted(baselines, key=lambda name: -baselines[name]["seconds"])}
    for name in best.values():
        theirs = baselines[name]
        ratio = theirs["seconds"] / ours["seconds"]
        sides = [side["bytes_beside_X"] for side in (ours, theirs) if "bytes_beside_X" in side]
        row = {
            "fit and table": describe_case(record),
            "fastlin": format_seconds(ours["seconds"]),
            "baseline": name_library(record, name),
            "its time": format_seconds(theirs["seconds"]),
            "times faster": format_ratio(ratio),
            "objective gap": f"{ours['objective'] / theirs['objective'] - 1:+.0e}",
            "standard errors apart": f"{theirs['errors_apart']:.0e}",
            "coefficients apart, in standard errors": f"{theirs['coef_apart']:.0e}",
            "in addition to X": " / ".join(f"{side / 1e6:.0f} MB" for side in sides) if len(sides) == 2 else "",
        }
        yield row, record["failure"] or ratio < 1


def show_ablations(record):
    """Yield the row of a special path of the solvers."""
    gains = list(record["gains"].values())
    row = {
        "path": record["title"],
        "switched off by": f"`{record['switch']}`",
        "problems": str(len(gains)),
        "times as fast, mean": format_ratio(geometric_mean(gains)) if gains else "",
        "least": format_ratio(min(gains)) if gains else "",
        "most": format_ratio(max(gains)) if gains else "",
    }
    yield row, False


PROBLEMS = Layout("Everyday problems", show_problems)
SHORT_SWEEPS = Layout("Sweeps over C on validation rows", show_short_sweep)
PROBE_FITS = Layout("Single probes", show_probe_fits)
KINDS = {
    "comparison": Layout(
        "fastlin and its baselines, bold where it is slower; ratios with 95 % intervals, scores on rows not trained on",
        show_comparison,
    ),
    "limit": Layout("fastlin and the limit of the machine", show_limit),
    "memory": Layout("What a fit takes in addition to X at its peak", show_memory),
    "first use": Layout("The first use", show_first_use),
    "everyday": Layout(
        "Everyday fits: how many times as fast as baselines, by the defaults of all; means are geometric", show_groups
    ),
    "scikit-learn's cases": PROBLEMS,
    "sweep": Layout(
        "Sweeps over C; the score chooses C, accuracies and log losses are of rows not trained on", show_sweep
    ),
    probes.KIND: Layout(
        "Single probes by the defaults of both, and the seconds to the objectives where they end", show_probe
    ),
    "ablation": Layout("What special paths of the solvers gain over the problems that they change", show_ablations),
    INFERENCE: Layout("Fits with standard errors, and their baselines", show_inference),
}
