"""Tables of records, as rows of text: a function for each of KINDS; for the console by rich, for documents Markdown."""

from dataclasses import dataclass
from math import exp, log
from statistics import fmean, median

from benchmarks.inference import KIND as INFERENCE
from benchmarks.learning import find_accuracy, find_seconds
from benchmarks.probes import (
    KIND,
    SCIKIT_LEARN,
    TO_ITS_OBJECTIVE,
    TORCH,
    TORCH_TO_ITS_OBJECTIVE,
    TORCH_TO_OURS,
)
from benchmarks.races import FASTLIN
from benchmarks.ratios import is_slower
from benchmarks.sweeps import BY_DEFAULT, BY_IMPORT

BAD = "bold red"
LEAST_WIDTH = 120


@dataclass(frozen=True)
class Table:
    """A table as text, and which of its rows are bold, because fastlin is slower there or takes more than allowed."""

    title: str
    columns: list
    rows: list
    bold: list


def make_table(title, rows, bold=None):
    """Return the Table of rows, of which none is bold unless it is said."""
    bold = [False] * len(rows) if bold is None else [bool(each) for each in bold]
    return Table(title, list(rows[0]), [list(row.values()) for row in rows], bold)


def tabulate(records):
    """Return the tables of records, by the kind that they name; a kind without records has none."""
    by_kind = {kind: [record for record in records.values() if record["kind"] == kind] for kind in KINDS}
    return [KINDS[kind](of_kind) for kind, of_kind in by_kind.items() if of_kind]


def make_console(file=None):
    """Return a console of rich that is wide enough for the tables, whatever the terminal."""
    from rich.console import Console

    width = max(LEAST_WIDTH, Console(file=file).width)
    return Console(file=file, width=width, markup=False, highlight=False)


def print_tables(tables, console):
    """Print tables on a console of rich."""
    from rich import box
    from rich.table import Table as RichTable

    for table in tables:
        # As a title of rich's it would be broken to the width of the table.
        console.print(f"\n{table.title}")
        drawn = RichTable(box=box.SIMPLE, pad_edge=False)
        # The longest words of headings; where all of them do not fit, they are broken like those of cells.
        longest = [max(map(len, column.split() or [""])) for column in table.columns]
        fit = sum(longest) + 5 * len(longest) <= console.width
        for place, (column, width) in enumerate(zip(table.columns, longest, strict=True)):
            side = "right" if _is_numeric(table, place) else "left"
            drawn.add_column(column, justify=side, overflow="fold", min_width=width if fit else None)
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


def format_interval(record):
    """Return the ratio of a record, with its 95 % interval where it has one, or as the bound that it is."""
    interval = record.get("interval")
    ends = f" ({' to '.join(map(format_ratio, interval))})" if interval else ""
    return "≥ " * record.get("is_bound", False) + format_ratio(record["ratio"]) + ends


def find_geometric_mean(ratios):
    """Return the geometric mean of ratios."""
    return exp(fmean(map(log, ratios)))


def describe_case(record):
    """Return what a record measures, with its data and its threads where it is one."""
    words = ", ".join(filter(None, (record["title"], record.get("data", ""))))
    return f"{words}, 1 thread" if record.get("threads") == 1 else words


def list_sides(record):
    """Return what a record has of fastlin and of the peer."""
    return [record["contenders"][name] for name in (FASTLIN, record["peer"])]


def name_contender(record, name, text=None):
    """Return the name of a contender or another text, with its threads where they are not those of the record."""
    n_threads = record["contenders"][name].get("threads", record["threads"])
    return f"{text or name}{', 1 thread' * (n_threads != record['threads'])}"


def name_peer(record):
    """Return the name of a record's peer, with its number of threads."""
    return name_contender(record, record["peer"])


def compare_scores(record, score="accuracy"):
    """Return the accuracies or the log losses of fastlin and its peer, empty where nothing is predicted."""
    sides = list_sides(record)
    # Records of the first kind have the accuracy on the rows that were trained on.
    if any(side.get("log_loss") is None for side in sides):
        return ""
    # Tools that are asked for losses know no accuracy.
    return " / ".join(format(side[score], ".4f") for side in sides if side[score] is not None)


def average_accuracies(records):
    """Return the mean accuracies of fastlin and of the peer of each record, as text."""
    pairs = [[side["accuracy"] for side in list_sides(record)] for record in records]
    return " / ".join(f"{fmean(side):.4f}" for side in zip(*pairs, strict=True))


def say_seconds(record, name):
    """Return the seconds of a contender, with a sign where it was cut off."""
    contender = record["contenders"][name]
    return "> " * contender.get("is_cut_off", False) + format_seconds(contender["seconds"])


def _show_ratio(record):
    """Return the columns that all races have."""
    return {
        "accuracies": compare_scores(record),
        "log losses": compare_scores(record, "log_loss"),
        "times faster": format_interval(record),
    }


def tabulate_races(records):
    """Return the table of races."""
    rows = [
        {
            "case": describe_case(record),
            **_show_ratio(record),
            "fastlin": say_seconds(record, FASTLIN),
            "peer's time": say_seconds(record, record["peer"]),
            "peer": name_peer(record),
            "objective gap": f"{record['gap']:+.0e}",
        }
        for record in records
    ]
    title = "fastlin and its peers, bold where it is slower; ratios with 95 % intervals, scores on rows not trained on"
    return make_table(title, rows, [is_slower(record) or record["fault"] for record in records])


def tabulate_limits(records):
    """Return the table of what limits fastlin."""
    rows = [
        {
            "what": describe_case(record),
            "fastlin": say_seconds(record, FASTLIN),
            "what limits it": record["limit"],
            "takes": say_seconds(record, record["limit"]),
            "part of the limit's speed": " to ".join(
                f"{part:.0%}" for part in record.get("part_interval") or [record["part"]]
            ),
        }
        for record in records
    ]
    return make_table("fastlin and the limit of the machine", rows)


def tabulate_memory(records):
    """Return the table of memory."""
    columns = {"X": "X_bytes", "the fit": "fit_bytes", "allowed": "allowed_bytes"}
    if any(record.get("peer_bytes") for record in records):
        columns["scikit-learn's"] = "peer_bytes"
    rows = [
        {"case": describe_case(record)}
        | {title: f"{record[name] / 1e6:.1f} MB" if record.get(name) else "" for title, name in columns.items()}
        for record in records
    ]
    bold = [record["fit_bytes"] > record["allowed_bytes"] for record in records]
    return make_table("What a fit takes in addition to X at its peak", rows, bold)


def tabulate_first_use(records):
    """Return the table of the first use."""
    rows = []
    for record in records:
        ours, theirs = (record["contenders"][name]["seconds"] for name in (FASTLIN, SCIKIT_LEARN))
        seconds = {FASTLIN: f"{ours:.2f} s", SCIKIT_LEARN: f"{theirs:.2f} s", "difference": f"{ours - theirs:+.2f} s"}
        rows.append({"what": describe_case(record), **seconds})
    return make_table("The first use", rows)


def tabulate_everyday(records):
    """Return the table of everyday fits, a row for each group of problems."""
    groups = {}
    for record in records:
        for problem in record["problems"]:
            groups.setdefault(problem["group"], []).append(problem)
    rows = []
    for group, problems in groups.items():
        worst = min(problems, key=lambda problem: problem["ratio"])
        errors = list(zip(*([side["coef_error"] for side in list_sides(each)] for each in problems), strict=True))
        best, scikit_learn, default = (
            format_ratio(find_geometric_mean(problem[what] for problem in problems))
            for what in ("ratio", "scikit_learn_ratio", "default_ratio")
        )
        rows.append(
            {
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
        )
    return make_table(
        "Everyday fits: how many times as fast as peers, by the defaults of all; means are geometric", rows
    )


def tabulate_everyday_problems(records):
    """Return the table of everyday fits, a row for each problem, bold where fastlin is slower."""
    problems = [problem for record in records for problem in record["problems"]]
    rows = [
        {
            "problem": problem["title"],
            **_show_ratio(problem),
            "than the default": format_ratio(problem["default_ratio"]),
            "fastlin": say_seconds(problem, FASTLIN),
            "peer's time": say_seconds(problem, problem["peer"]),
            "fastest peer": name_peer(problem),
            "objective gap": f"{problem['gap']:+.0e}",
            "coefficients off": " / ".join(f"{side['coef_error']:.0e}" for side in list_sides(problem)),
        }
        for problem in problems
    ]
    return make_table(records[0]["title"], rows, map(is_slower, problems))


def tabulate_learning(records):
    """Return the table of seconds to an accuracy, a row for each contender and mark."""
    rows, bold = [], []
    for record in records:
        for mark, reached in record["marks"].items():
            for name, points in record["contenders"].items():
                seconds = find_seconds(points, reached["accuracy"])
                accuracy = find_accuracy(points, reached["seconds"])
                sooner = "" if seconds is None else format_ratio(reached["seconds"] / seconds)
                rows.append(
                    {
                        "what": f"{name}, {record['data']}",
                        "the mark": f"{mark}: {reached['accuracy']:.4f} after {format_seconds(reached['seconds'])}",
                        "its accuracy after": "not reached" if seconds is None else format_seconds(seconds),
                        "times sooner": sooner,
                        "accuracy in its time": "no epoch" if accuracy is None else f"{accuracy:.4f}",
                    }
                )
                bold.append(sooner != "" and float(sooner) < 1)
    return make_table("Seconds to an accuracy on rows not trained on, and the accuracy in as many seconds", rows, bold)


def tabulate_sweeps(records):
    """Return the table of sweeps over C, a row for each way, bold where a way of fastlin's is slower than the peer."""
    rows, bold = [], []
    for record in records:
        theirs = record["contenders"][record["peer"]]["seconds"]
        for name, way in record["contenders"].items():
            ratio, is_peer = theirs / way["seconds"], name == record["peer"]
            shown = {"ratio": ratio, "is_bound": record.get("is_bound", False)}
            scores = ("" if way[what] is None else f"{way[what]:.4f}" for what in ("accuracy", "log_loss"))
            rows.append(
                {
                    "sweep": describe_case(record),
                    "way": name_contender(record, name),
                    "C measured": f"{way['n_measured']} of {record['n_Cs']}",
                    "seconds": say_seconds(record, name),
                    "times faster": "" if is_peer or way.get("is_cut_off") else format_interval(shown),
                    "chosen C": f"{way['C']:.2g}",
                    "its score": f"{way['validation']:.4f}",
                    **dict(zip(("accuracy", "log loss"), scores, strict=True)),
                }
            )
            bold.append(record["fault"] or (ratio < 1 and not is_peer))
    title = "Sweeps over C; the score chooses C, accuracies and log losses are of rows not trained on"
    return make_table(title, rows, bold)


def tabulate_probe_sweeps(records):
    """Return the short table of sweeps that choose C on validation rows, a row for each size."""
    rows = [
        {
            "sweep": record["data"],
            "one call": say_seconds(record, FASTLIN),
            "fit by fit": say_seconds(record, BY_DEFAULT),
            "the import alone": say_seconds(record, BY_IMPORT),
            "scikit-learn": say_seconds(record, record["peer"]),
            "times faster": format_interval(record),
            "best scores": " / ".join(f"{side['validation']:.4f}" for side in list_sides(record)),
        }
        for record in records
    ]
    return make_table("Sweeps over C on validation rows", rows, [is_slower(each) or each["fault"] for each in records])


def tabulate_probe_fits(pairs):
    """Return the table of single probes, of pairs of races: to the proof, and with solver="lbfgs"."""
    rows = [
        {
            "fit": describe_case(proven).partition(", ")[2],
            "to the proof": say_seconds(proven, FASTLIN),
            "by lbfgs": say_seconds(by_lbfgs, FASTLIN),
            "scikit-learn": say_seconds(proven, proven["peer"]),
            "objective gap": f"{proven['gap']:+.0e}",
            "gap by lbfgs": f"{by_lbfgs['gap']:+.0e}",
            "accuracies": compare_scores(proven),
        }
        for proven, by_lbfgs in pairs
    ]
    return make_table("Single probes", rows, [is_slower(proven) for proven, _ in pairs])


def tabulate_probe_times(records):
    """Return the table of single probes by the defaults of both libraries, bold where fastlin's whole fit is slower."""
    rows = []
    for record in records:
        ours, theirs, torch = (record["contenders"][name] for name in (FASTLIN, SCIKIT_LEARN, TORCH))
        to_theirs, ratio = ours["seconds_to_scikit_learn"], record["ratios"][TO_ITS_OBJECTIVE]
        by_torch = _say_reached(torch, "seconds_to_scikit_learn", record["ratios"][TORCH_TO_ITS_OBJECTIVE])
        by_torch += _say_reached(torch, "seconds_to_fastlin", record["ratios"][TORCH_TO_OURS])
        rows.append(
            {
                "probe": record["data"],
                "fastlin": say_seconds(record, FASTLIN),
                "proven gap": f"{ours['proven_gap']:.0e}",
                "scikit-learn": name_contender(record, SCIKIT_LEARN, say_seconds(record, SCIKIT_LEARN)),
                "its objective above": f"{theirs['objective'] / ours['objective'] - 1:+.0e}",
                "times faster": format_interval(record),
                "fastlin to its objective": "not reached" if to_theirs is None else format_seconds(to_theirs),
                "times faster to it": "" if ratio is None else format_ratio(ratio),
                "PyTorch to its objective": by_torch[0],
                "times faster than that": by_torch[1],
                "PyTorch to fastlin's": by_torch[2],
                "times faster than PyTorch": by_torch[3],
            }
        )
    title = "Single probes by the defaults of both, and the seconds to the objectives where they end"
    return make_table(title, rows, map(is_slower, records))


def _say_reached(torch, what, ratio):
    """Return PyTorch's seconds to an objective and their ratio to fastlin's; both are least values if it failed."""
    seconds, over = (torch["seconds"], "over ") if torch[what] is None else (torch[what], "")
    return over + format_seconds(seconds), "" if ratio is None else over + format_ratio(ratio)


def tabulate_inference(records):
    """Return the table of fits with standard errors, a row for each peer, bold where fastlin is slower."""
    rows, bold = [], []
    for record in records:
        peers, ours = dict(record["contenders"]), record["contenders"][FASTLIN]
        del peers[FASTLIN]
        # The best way of each peer.
        best = {name.partition(", ")[0]: name for name in sorted(peers, key=lambda name: -peers[name]["seconds"])}
        for name in best.values():
            theirs = peers[name]
            ratio = theirs["seconds"] / ours["seconds"]
            # In records of before, some times of peers were measured on a part of the fits, and multiplied.
            part = f", {theirs['n_measured']:,} fits measured" if "n_measured" in theirs else ""
            sides = [side["bytes_beside_X"] for side in (ours, theirs) if "bytes_beside_X" in side]
            rows.append(
                {
                    "fit and table": describe_case(record),
                    "fastlin": format_seconds(ours["seconds"]),
                    "peer": name_contender(record, name, name + part),
                    "its time": format_seconds(theirs["seconds"]),
                    "times faster": format_ratio(ratio),
                    "objective gap": f"{ours['objective'] / theirs['objective'] - 1:+.0e}",
                    "standard errors apart": f"{theirs['errors_apart']:.0e}",
                    "coefficients apart, in standard errors": f"{theirs['coef_apart']:.0e}",
                    "in addition to X": " / ".join(f"{side / 1e6:.0f} MB" for side in sides) if len(sides) == 2 else "",
                }
            )
            bold.append(record["fault"] or ratio < 1)
    return make_table("Fits with standard errors, and their peers", rows, bold)


KINDS = {
    "race": tabulate_races,
    "limit": tabulate_limits,
    "memory": tabulate_memory,
    "first use": tabulate_first_use,
    "everyday": tabulate_everyday,
    "scikit-learn's cases": tabulate_everyday_problems,
    "sweep": tabulate_sweeps,
    KIND: tabulate_probe_times,
    INFERENCE: tabulate_inference,
    "learning": tabulate_learning,
}
