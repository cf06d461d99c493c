"""Tables of records, as rows of text: for the console by rich, for the documents in Markdown."""

from dataclasses import dataclass
from math import exp, log
from statistics import fmean, median

from benchmarks.inference import KIND as INFERENCE
from benchmarks.intervals import is_slower
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
from benchmarks.sweeps import BY_DEFAULT, BY_IMPORT

BAD = "bold red"
LEAST_WIDTH = 120


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes
    ----------
    title : str
        Its heading.
    columns : list of str
        The headings of its columns.
    rows : list of list of str
        Its cells.
    bold : list of bool
        Which of the rows are bold, because fastlin is slower there or takes more than allowed.
    """

    title: str
    columns: list
    rows: list
    bold: list


def tabulate(records):
    """Return the tables of records, by the kind that they name; a kind without records has none."""
    tables = []
    for kind, make in KINDS.items():
        of_kind = [record for record in records.values() if record["kind"] == kind]
        if of_kind:
            tables.append(make(of_kind))
    return tables


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


def describe_case(record):
    """Return what a record measures, with its data and its threads where it is one."""
    words = ", ".join(filter(None, (record["title"], record.get("data", ""))))
    return f"{words}, 1 thread" if record.get("threads") == 1 else words


def _is_numeric(table, place):
    cells = [row[place] for row in table.rows]
    return place > 0 and all(not cell or cell[0].isdigit() or cell[0] in "+-−≥>" for cell in cells)


def name_peer(record):
    """Return the name of a race's peer, with its number of threads where it is not that of the race."""
    n_threads = record["contenders"][record["peer"]].get("threads", record["threads"])
    return record["peer"] if n_threads == record["threads"] else f"{record['peer']}, 1 thread"


def compare_scores(record):
    """Return the accuracies and the log losses of fastlin and its peer, as text, empty where nothing is predicted."""
    sides = [record["contenders"][name] for name in (FASTLIN, record["peer"])]
    # Records of the first kind have the accuracy on the rows that were trained on.
    if any(side.get("log_loss") is None for side in sides):
        return "", ""
    # Tools that are asked for losses know no accuracy.
    texts = (
        [format(side[name], ".4f") for side in sides if side[name] is not None] for name in ("accuracy", "log_loss")
    )
    return tuple(" / ".join(text) for text in texts)


def average_accuracies(records):
    """Return the mean accuracies of fastlin and of the peer of each record, as text."""
    pairs = [[record["contenders"][name]["accuracy"] for name in (FASTLIN, record["peer"])] for record in records]
    return " / ".join(f"{fmean(side):.4f}" for side in zip(*pairs, strict=True))


def tabulate_races(records):
    """Return the table of races."""
    rows = []
    for record in records:
        ours, theirs = (record["contenders"][name] for name in (FASTLIN, record["peer"]))
        rows.append(
            [
                describe_case(record),
                *compare_scores(record),
                format_interval(record),
                format_seconds(ours["seconds"]),
                format_seconds(theirs["seconds"]),
                name_peer(record),
                f"{record['gap']:+.0e}",
            ]
        )
    columns = ["case", "accuracies", "log losses", "times faster", "fastlin", "peer's time", "peer", "objective gap"]
    bold = [is_slower(record) or bool(record["fault"]) for record in records]
    title = "fastlin and its peers, bold where it is slower; ratios with 95 % intervals, scores on rows not trained on"
    return Table(title, columns, rows, bold)


def tabulate_limits(records):
    """Return the table of what limits fastlin."""
    rows = [
        [
            describe_case(record),
            format_seconds(record["contenders"][FASTLIN]["seconds"]),
            record["limit"],
            format_seconds(record["contenders"][record["limit"]]["seconds"]),
            " to ".join(f"{part:.0%}" for part in record.get("part_interval") or [record["part"]]),
        ]
        for record in records
    ]
    columns = ["what", "fastlin", "what limits it", "takes", "part of the limit's speed"]
    return Table("fastlin and the limit of the machine", columns, rows, [False] * len(rows))


def tabulate_memory(records):
    """Return the table of memory."""
    columns = {"X": "X_bytes", "the fit": "fit_bytes", "allowed": "allowed_bytes"}
    if any(record.get("peer_bytes") for record in records):
        columns["scikit-learn's"] = "peer_bytes"
    rows = [
        [
            describe_case(record),
            *(f"{record[name] / 1e6:.1f} MB" if record.get(name) else "" for name in columns.values()),
        ]
        for record in records
    ]
    bold = [record["fit_bytes"] > record["allowed_bytes"] for record in records]
    return Table("What a fit takes in addition to X at its peak", ["case", *columns], rows, bold)


def tabulate_first_use(records):
    """Return the table of the first use."""
    rows, bold = [], []
    for record in records:
        ours, theirs = (record["contenders"][name]["seconds"] for name in (FASTLIN, "scikit-learn"))
        rows.append([describe_case(record), f"{ours:.2f} s", f"{theirs:.2f} s", f"{ours - theirs:+.2f} s"])
        bold.append(False)
    return Table("The first use", ["what", "fastlin", "scikit-learn", "difference"], rows, bold)


def write_everyday(problem):
    """Return a line on one problem of everyday."""
    ours, theirs = (problem["contenders"][name] for name in (FASTLIN, problem["peer"]))
    peer = f"{problem['peer'].removeprefix('scikit-learn ')}/{theirs['threads']}"
    return (
        f"{problem['title']:36} {format_seconds(ours['seconds']):>8} {format_seconds(theirs['seconds']):>8} {peer:>17} "
        f"{format_ratio(problem['ratio']):>5}  default {format_ratio(problem['default_ratio']):>5}  "
        f"gap {problem['gap']:+.0e}  coef {ours['coef_error']:.0e} {theirs['coef_error']:.0e}"
        f"{' worse' * problem['is_worse']}{' above' * problem['is_above']} {problem['fault']}".rstrip()
    )


def find_geometric_mean(ratios):
    """Return the geometric mean of ratios."""
    return exp(fmean(map(log, ratios)))


def tabulate_everyday(records):
    """Return the table of everyday fits, a row for each group of problems."""
    groups = {}
    for record in records:
        for problem in record["problems"]:
            groups.setdefault(problem["group"], []).append(problem)
    rows = []
    for group, problems in groups.items():
        worst = min(problems, key=lambda problem: problem["ratio"])
        sides = [
            [problem["contenders"][name]["coef_error"] for problem, name in zip(problems, names, strict=True)]
            for names in ([FASTLIN] * len(problems), [problem["peer"] for problem in problems])
        ]
        rows.append(
            [
                f"{group}, {len(problems)}",
                average_accuracies(problems),
                *(
                    format_ratio(find_geometric_mean(problem[what] for problem in problems))
                    for what in ("ratio", "scikit_learn_ratio", "default_ratio")
                ),
                f"{format_ratio(worst['ratio'])}: {worst['title']}",
                f"{sum(map(is_slower, problems))}",
                f"{sum(problem['is_above'] for problem in problems)}",
                " / ".join(f"{median(errors):.0e}" for errors in sides),
                " / ".join(f"{max(errors):.0e}" for errors in sides),
                f"{sum(problem['is_worse'] for problem in problems)}",
            ]
        )
    columns = [
        "problems",
        "mean accuracies",
        "times faster than the fastest, mean",
        "than scikit-learn's best",
        "than its default",
        "worst",
        "slower",
        "objective above",
        "coefs off, median",
        "off, worst",
        "clearly worse",
    ]
    title = "Everyday fits: how many times as fast as peers, by the defaults of all; means are geometric"
    return Table(title, columns, rows, [False] * len(rows))


def tabulate_everyday_problems(records):
    """Return the table of everyday fits, a row for each problem, bold where fastlin is slower."""
    problems = [problem for record in records for problem in record["problems"]]
    rows = []
    for problem in problems:
        ours, theirs = (problem["contenders"][name] for name in (FASTLIN, problem["peer"]))
        rows.append(
            [
                problem["title"],
                *compare_scores(problem),
                format_interval(problem),
                format_ratio(problem["default_ratio"]),
                format_seconds(ours["seconds"]),
                format_seconds(theirs["seconds"]),
                name_peer(problem),
                f"{problem['gap']:+.0e}",
                f"{ours['coef_error']:.0e} / {theirs['coef_error']:.0e}",
            ]
        )
    columns = [
        "problem",
        "accuracies",
        "log losses",
        "times faster",
        "than the default",
        "fastlin",
        "peer's time",
        "fastest peer",
        "objective gap",
        "coefficients off",
    ]
    return Table(records[0]["title"], columns, rows, [is_slower(problem) for problem in problems])


def tabulate_learning(records):
    """Return the table of seconds to an accuracy, a row for each contender and mark."""
    rows = []
    for record in records:
        for mark, reached in record["marks"].items():
            for name, points in record["contenders"].items():
                seconds = find_seconds(points, reached["accuracy"])
                accuracy = find_accuracy(points, reached["seconds"])
                rows.append(
                    [
                        f"{name}, {record['data']}",
                        f"{mark}: {reached['accuracy']:.4f} after {format_seconds(reached['seconds'])}",
                        "not reached" if seconds is None else format_seconds(seconds),
                        "" if seconds is None else format_ratio(reached["seconds"] / seconds),
                        "no epoch" if accuracy is None else f"{accuracy:.4f}",
                    ]
                )
    columns = ["what", "the mark", "its accuracy after", "times sooner", "accuracy in its time"]
    title = "Seconds to an accuracy on rows not trained on, and the accuracy in as many seconds"
    return Table(title, columns, rows, [row[3] != "" and float(row[3]) < 1 for row in rows])


def tabulate_sweeps(records):
    """Return the table of sweeps over C, a row for each way, bold where a way of fastlin's is slower than the peer."""
    rows, bold = [], []
    for record in records:
        theirs = record["contenders"][record["peer"]]["seconds"]
        for name, way in record["contenders"].items():
            ratio = theirs / way["seconds"]
            is_peer = name == record["peer"]
            rows.append(
                [
                    describe_case(record),
                    f"{name}, 1 thread" if way["threads"] < record["threads"] else name,
                    f"{way['n_measured']} of {record['n_Cs']}",
                    _say_seconds(way),
                    ""
                    if is_peer or way.get("is_cut_off")
                    else format_interval({"ratio": ratio, "is_bound": record.get("is_bound", False)}),
                    f"{way['C']:.2g}",
                    f"{way['validation']:.4f}",
                    *("" if way[what] is None else f"{way[what]:.4f}" for what in ("accuracy", "log_loss")),
                ]
            )
            bold.append(bool(record["fault"]) or (ratio < 1 and not is_peer))
    columns = ["sweep", "way", "C measured", "seconds", "times faster", "chosen C", "its score", "accuracy", "log loss"]
    title = "Sweeps over C; the score chooses C, accuracies and log losses are of rows not trained on"
    return Table(title, columns, rows, bold)


def _say_seconds(way):
    """Return the seconds of a way of a sweep, with a sign where it was cut off."""
    return "> " * way.get("is_cut_off", False) + format_seconds(way["seconds"])


def tabulate_probe_sweeps(records):
    """Return the short table of sweeps that choose C on validation rows, a row for each size."""
    rows, bold = [], []
    for record in records:
        ways = record["contenders"]
        rows.append(
            [
                record["data"],
                *(_say_seconds(ways[name]) for name in (FASTLIN, BY_DEFAULT, BY_IMPORT, record["peer"])),
                format_interval(record),
                " / ".join(f"{ways[name]['validation']:.4f}" for name in (FASTLIN, record["peer"])),
            ]
        )
        bold.append(bool(record["fault"]) or is_slower(record))
    columns = ["sweep", "one call", "fit by fit", "the import alone", "scikit-learn", "times faster", "best scores"]
    return Table("Sweeps over C on validation rows", columns, rows, bold)


def tabulate_probe_fits(pairs):
    """Return the table of single probes, of pairs of races: to the proof, and with solver="lbfgs"."""
    rows = [
        [
            describe_case(proven).partition(", ")[2],
            *(format_seconds(race["contenders"][FASTLIN]["seconds"]) for race in (proven, by_lbfgs)),
            format_seconds(proven["contenders"][proven["peer"]]["seconds"]),
            *(f"{race['gap']:+.0e}" for race in (proven, by_lbfgs)),
            compare_scores(proven)[0],
        ]
        for proven, by_lbfgs in pairs
    ]
    columns = ["fit", "to the proof", "by lbfgs", "scikit-learn", "objective gap", "by lbfgs", "accuracies"]
    bold = [is_slower(proven) for proven, _ in pairs]
    return Table("Single probes", columns, rows, bold)


def tabulate_probe_times(records):
    """Return the table of single probes by the defaults of both libraries, bold where fastlin's whole fit is slower."""
    rows = []
    for record in records:
        ours, theirs, torch = (record["contenders"][name] for name in (FASTLIN, SCIKIT_LEARN, TORCH))
        to_theirs, ratio = ours["seconds_to_scikit_learn"], record["ratios"][TO_ITS_OBJECTIVE]
        rows.append(
            [
                record["data"],
                format_seconds(ours["seconds"]),
                f"{ours['proven_gap']:.0e}",
                format_seconds(theirs["seconds"]) + (", 1 thread" if theirs["threads"] < record["threads"] else ""),
                f"{theirs['objective'] / ours['objective'] - 1:+.0e}",
                format_interval(record),
                "not reached" if to_theirs is None else format_seconds(to_theirs),
                "" if ratio is None else format_ratio(ratio),
                *_say_reached(torch, "seconds_to_scikit_learn", record["ratios"][TORCH_TO_ITS_OBJECTIVE]),
                *_say_reached(torch, "seconds_to_fastlin", record["ratios"][TORCH_TO_OURS]),
            ]
        )
    columns = [
        "probe",
        "fastlin",
        "proven gap",
        "scikit-learn",
        "its objective above",
        "times faster",
        "fastlin to its objective",
        "times faster",
        "PyTorch to its objective",
        "times faster",
        "PyTorch to fastlin's",
        "times faster",
    ]
    title = "Single probes by the defaults of both, and the seconds to the objectives where they end"
    return Table(title, columns, rows, [is_slower(record) for record in records])


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
            if "n_measured" in theirs:
                name += f", {theirs['n_measured']:,} fits measured"
            sides = [side["bytes_beside_X"] for side in (ours, theirs) if "bytes_beside_X" in side]
            rows.append(
                [
                    describe_case(record),
                    format_seconds(ours["seconds"]),
                    f"{name}, 1 thread" if theirs["threads"] < record["threads"] else name,
                    format_seconds(theirs["seconds"]),
                    format_ratio(ratio),
                    f"{ours['objective'] / theirs['objective'] - 1:+.0e}",
                    f"{theirs['errors_apart']:.0e}",
                    f"{theirs['coef_apart']:.0e}",
                    " / ".join(f"{side / 1e6:.0f} MB" for side in sides) if len(sides) == 2 else "",
                ]
            )
            bold.append(bool(record["fault"]) or ratio < 1)
    columns = [
        "fit and table",
        "fastlin",
        "peer",
        "its time",
        "times faster",
        "objective gap",
        "standard errors apart",
        "coefficients apart, in standard errors",
        "in addition to X",
    ]
    return Table("Fits with standard errors, and their peers", columns, rows, bold)


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
