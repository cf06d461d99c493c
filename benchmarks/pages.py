"""The documents that show published figures: blocks of README.md and docs/benchmarks.md, written from the files alone.

A block stands between two comments, of which the first names it. `write_pages` replaces what is between them.
"""

import re
from pathlib import Path

from benchmarks.bounds import find_broken_bounds, read_bounds
from benchmarks.machine import call_machine
from benchmarks.pictures import choose_pictures
from benchmarks.races import FASTLIN
from benchmarks.scaling import list_losses
from benchmarks.suite import EVERYDAY, RACE_RECORDS, RACES
from benchmarks.tables import (
    KINDS,
    Table,
    compare_scores,
    describe_case,
    format_ratio,
    format_seconds,
    name_peer,
    tabulate_everyday,
    tabulate_everyday_problems,
    write_markdown,
)

ROOT = Path(__file__).parent.parent
DOCUMENTS = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"
BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
# The races that README shows; docs/benchmarks.md shows all.
CHOSEN = (
    "mnist-float64",
    "mnist-uint8",
    "mnist-cyanure",
    "letter",
    "two-classes",
    "thousand-classes",
    "text",
    "news",
    "text-l1",
    "cross-validation",
    "epoch-scikit-learn",
)


# What the documents say where fastlin is slower, with the gap between the objectives.
STOPS_EARLIER = "scikit-learn stops at an objective that is higher by {:.0e} of it than fastlin's."
PROVES = "The proof takes the rest of fastlin's time; scikit-learn's objective is higher by {:.0e} of it."
WHY_SLOWER = {
    "thousand-classes": STOPS_EARLIER,
    "probe-1000": STOPS_EARLIER,
    "probe-1000-lbfgs": STOPS_EARLIER,
    "probe-100": PROVES,
    "probe-10": PROVES,
    "predict-frame": "A frame lies column by column; an array, whose rows lie in one piece, takes 1.7 ms.",
}


def write_pages(machines, documents=DOCUMENTS):
    """Write the blocks of the documents anew, from what `published.read_machines` returns."""
    for document in documents:
        text = document.read_text(encoding="utf-8")
        document.write_text(fill_blocks(text, machines), encoding="utf-8")


def fill_blocks(text, machines):
    """Return the text of a document with its blocks written from the machines."""

    def fill(match):
        return f"{match[1]}{BLOCKS[match[2]](machines)}\n{match[3]}"

    return BLOCK.sub(fill, text)


def compare_machines(machines, names=tuple(RACE_RECORDS)):
    """Return a table of races with a column for each machine, slower ones bold, and a sentence on why for each.

    The fastest peer of a race may be another one on another machine; a cell then names its own. Accuracies and log
    losses are those of the first machine that has them; on another they differ by rounding alone, or by the peer.
    """
    rows, reasons = {}, []
    for name in names:
        for place, machine in enumerate(machines.values()):
            record = machine["records"].get(name)
            if record is None:
                continue
            case, peer = describe_case(record), name_peer(record)
            cells = rows.setdefault((name, case), [case, peer, *([""] * len(machines)), "", ""])
            if cells[1] == peer and not cells[-1]:
                cells[-2:] = compare_scores(record)
            cells[2 + place] = _write_result(record) + ("" if cells[1] == peer else f" ({peer})")
            if record["ratio"] < 1:
                why = WHY_SLOWER.get(RACE_RECORDS[name], "the reason is not known yet.").format(-record["gap"])
                reasons.append(f"- {describe_case(record)}, on {_call(machine)}: {why}")
    columns = ["", "peer", *(_call(machine) for machine in machines.values()), "accuracies", "log losses"]
    parts = [write_markdown(Table("", columns, list(rows.values()), [False] * len(rows)))]
    if reasons:
        parts.append("fastlin is slower in these:\n\n" + "\n".join(dict.fromkeys(reasons)))
    return "\n\n".join(parts)


def choose_races(machines):
    """Return the table of README: the races that were chosen, as they are run today."""
    today = {}
    for name, machine in machines.items():
        records = {
            race: record
            for race in CHOSEN
            if (record := machine["records"].get(race)) and record["title"] == RACES[race].title
        }
        today[name] = {**machine, "records": records}
    return compare_machines({name: machine for name, machine in today.items() if machine["records"]}, CHOSEN)


def _write_result(record):
    ours, theirs = (format_seconds(record["contenders"][name]["seconds"]) for name in (FASTLIN, record["peer"]))
    ratio = format_ratio(record["ratio"])
    return f"{ours} against {theirs}: {'**' + ratio + '**' if record['ratio'] < 1 else ratio}"


def _call(machine):
    by_hand = [record.get("by_hand", False) for record in machine["records"].values()]
    how = ", taken by hand" if all(by_hand) else ", in part taken by hand" if any(by_hand) else ""
    return f"{call_machine(machine['machine'])}{how}"


def list_kind(machines, kind):
    """Return the tables of a kind, one for each machine that has records of it."""
    parts = []
    for machine in machines.values():
        records = [record for record in machine["records"].values() if record["kind"] == kind]
        if records:
            parts.append(f"{_call(machine)}:\n\n{write_markdown(KINDS[kind](records))}")
    return "\n\n".join(parts) or "No machine has been measured yet."


def show_everyday(machines):
    """Return the map, the table of groups and that of problems of each machine."""
    parts = []
    for name, machine in machines.items():
        record = machine["records"].get(EVERYDAY)
        if record is None:
            continue
        text = "Times as fast as the fastest peer, by rows and columns, for 2, 4 and 10 classes"
        parts += [
            f"![{text}, {_call(machine)}](benchmarks/{name}-everyday.png)",
            f"{_call(machine)}:",
            write_markdown(tabulate_everyday([record])),
            write_markdown(tabulate_everyday_problems([record])),
        ]
    return "\n\n".join(parts) or "No machine has been measured yet."


def list_missed_bounds(machines):
    """Return a list of the bounds that are not kept, machine by machine."""
    bounds, parts = read_bounds(), []
    for machine in machines.values():
        broken = [
            sentence
            for name, record in machine["records"].items()
            for sentence in find_broken_bounds(bounds, name, record, machine["machine"]["level"])
        ]
        if broken:
            parts.append(f"{_call(machine)}:\n\n" + "\n".join(f"- {sentence}" for sentence in broken))
    return "\n\n".join(parts) or "All bounds are kept."


def show_scaling(machines):
    """Return the page of panels of each machine, and what is slower there."""
    parts = []
    for name, machine in machines.items():
        record = machine["records"].get("scaling")
        if record is None:
            continue
        losses = list_losses(record)
        n_points = sum(len(sweep["points"]) for sweep in record["sweeps"])
        text = "Seconds of whole fits against rows, features, classes, density, C, spread of columns and threads"
        parts.append(f"![{text}, {_call(machine)}](benchmarks/{name}-scaling.png)")
        parts.append(
            f"On {_call(machine)}, a peer is faster at {len(losses)} of {n_points} points:\n\n"
            + "\n".join(f"- {sentence}" for sentence in losses)
            if losses
            else f"On {_call(machine)}, fastlin is the fastest at all {n_points} points."
        )
    return "\n\n".join(parts) or "No machine has been measured yet."


def list_pictures(machines):
    """Return the other pictures of single machines."""
    texts = {
        "passes": "Milliseconds of a pass against rows, features and classes",
        "peers": "Excess of the objective against seconds of a fit, a curve for each library",
    }
    lines = []
    for name in choose_pictures(machines):
        machine, _, kind = name.removesuffix(".png").rpartition("-")
        if machine and kind in texts:
            lines.append(f"![{texts[kind]}, {_call(machines[machine])}](benchmarks/{name})")
    return "\n\n".join(lines)


def list_runs(machines):
    """Return for each machine when and with which versions it was measured."""
    lines = []
    for machine in machines.values():
        dates = sorted({record["date"] for record in machine["records"].values()})
        versions = {}
        for record in machine["records"].values():
            for package, version in record.get("versions", {}).items():
                versions.setdefault(package, set()).add(version)
        words = ", ".join(f"{package} {' and '.join(sorted(found))}" for package, found in versions.items())
        when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        line = f"- {_call(machine)}, {machine['machine']['level']}: {when}. {words or 'Versions were not kept'}."
        held_back = [record["held_back_by"] for record in machine["records"].values() if "held_back_by" in record]
        if held_back:
            settings = ", ".join(sorted({f"`{name}={value}`" for each in held_back for name, value in each.items()}))
            line += f" {len(held_back)} records were taken with {settings}, which holds back the peers."
        lines.append(line)
    return "\n".join(lines)


BLOCKS = {
    "races": compare_machines,
    "chosen-races": choose_races,
    "everyday": show_everyday,
    "learning": lambda machines: list_kind(machines, "learning"),
    "limits": lambda machines: list_kind(machines, "limit"),
    "memory": lambda machines: list_kind(machines, "memory"),
    "first-use": lambda machines: list_kind(machines, "first use"),
    "bounds": list_missed_bounds,
    "scaling": show_scaling,
    "pictures": list_pictures,
    "runs": list_runs,
}
