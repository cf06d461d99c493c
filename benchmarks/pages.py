"""The documents that show published figures: blocks of README.md and pages of docs/, written from the files alone.

A block stands between two comments, of which the first names it. `write_pages` replaces what is between them.
"""

import re
from pathlib import Path

from benchmarks.bounds import find_broken_bounds, read_bounds
from benchmarks.everyday import GRID
from benchmarks.inference import KIND as INFERENCE
from benchmarks.intervals import is_even, is_slower
from benchmarks.machine import call_machine
from benchmarks.pictures import choose_pictures, list_tried
from benchmarks.probes import KIND as PROBE
from benchmarks.races import FASTLIN
from benchmarks.scaling import list_losses
from benchmarks.scikit_learn_cases import KIND
from benchmarks.study_pages import list_claims, show_study
from benchmarks.suite import EVERYDAY, RACE_RECORDS
from benchmarks.sweeps import BY_DEFAULT
from benchmarks.tables import (
    KINDS,
    Table,
    average_accuracies,
    compare_scores,
    describe_case,
    find_geometric_mean,
    format_interval,
    format_ratio,
    format_seconds,
    name_peer,
    tabulate_everyday,
    tabulate_everyday_problems,
    tabulate_probe_fits,
    tabulate_probe_sweeps,
    tabulate_races,
    write_markdown,
)

ROOT = Path(__file__).parent.parent
PAGES = (
    "index",
    "benchmarks",
    "benchmarks/everyday",
    "benchmarks/inference",
    "benchmarks/machine",
    "benchmarks/races",
    "benchmarks/sweeps",
    "claims",
    "probing-embeddings",
    "studies",
)
DOCUMENTS = ROOT / "README.md", *(ROOT / "docs" / f"{page}.md" for page in PAGES)
BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
# A block of this name shows a study.
STUDY = "study-"
# The rows of README's table, the lost races among them; docs/benchmarks/races.md shows all.
CHOSEN = (
    "mnist-float64",
    EVERYDAY,
    "two-classes",
    "text",
    "cross-validation",
    "mini-batches-sgd",
    "course-float64",
    "probe-100",
    "probe-1000",
)
# The races of linear probes, which are run with solver="lbfgs" too, by this ending of their names.
PROBES, BY_LBFGS = ("probe-10", "probe-100", "probe-600", "probe-1000"), "-lbfgs"
# What README calls the records that are not races, by their kinds.
OTHER_KINDS = {
    "everyday": "everyday problems",
    KIND: "cases of scikit-learn's issues and suites",
    "sweep": "sweeps",
    PROBE: "single probes by the defaults of both",
    INFERENCE: "fits with standard errors",
}

# What the documents say where fastlin is slower, with the gap between the objectives.
STOPS_EARLIER = "scikit-learn stops at an objective that is higher by {:.0e} of it than fastlin's."
PROVES = "The proof takes the rest of fastlin's time; scikit-learn's objective is higher by {:.0e} of it."
WHY_SLOWER = {
    "thousand-classes": STOPS_EARLIER,
    "probe-1000": STOPS_EARLIER,
    "probe-1000-lbfgs": STOPS_EARLIER,
    "probe-600": STOPS_EARLIER,
    "probe-600-lbfgs": STOPS_EARLIER,
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
        study = match[2].removeprefix(STUDY)
        content = BLOCKS[study](machines) if study == match[2] else show_study(study)
        return f"{match[1]}{content}\n{match[3]}"

    return BLOCK.sub(fill, text)


def show_races(machines):
    """Return the table of races of each machine, with a sentence on each that is slower."""
    parts = []
    for machine in machines.values():
        races = _select_races(machine)
        if not races:
            continue
        parts += [f"{_call(machine)}:", write_markdown(tabulate_races(list(races.values())))]
        slower = [
            f"- {describe_case(record)}: "
            + WHY_SLOWER.get(RACE_RECORDS[name], "the reason is not known yet.").format(-record["gap"])
            for name, record in races.items()
            if is_slower(record)
        ]
        if slower:
            parts.append("fastlin is slower in these:\n\n" + "\n".join(slower))
    return "\n\n".join(parts)


def _select_races(machine):
    return {name: machine["records"][name] for name in RACE_RECORDS if name in machine["records"]}


def choose_races(machines):
    """Return the table of README, of the machine that was measured last, and a list of what is lost."""
    machine = max(machines.values(), key=lambda machine: max(record["date"] for record in machine["records"].values()))
    rows = [
        _summarise_everyday(record) if name == EVERYDAY else _summarise_race(record)
        for name in CHOSEN
        if (record := machine["records"].get(name))
    ]
    columns = ["", "accuracy: fastlin / peer", "fastlin is", "seconds", "peer"]
    table = write_markdown(Table("", columns, rows, [False] * len(rows)))
    return f"{_call(machine)}:\n\n{table}\n\nfastlin is slower in\n\n{_list_lost(machine)}"


def _list_lost(machine):
    """Return a line on the races that are lost, with their names, and one on how many are of each other kind."""
    races = list(_select_races(machine).values())
    lost = [describe_case(record) for record in races if is_slower(record)]
    counts = []
    for kind, words in OTHER_KINDS.items():
        of_kind = [record for record in machine["records"].values() if record["kind"] == kind]
        problems = [problem for record in of_kind for problem in record.get("problems", [record])]
        if problems:
            counts.append(f"{sum(map(is_slower, problems))} of {len(problems)} {words}")
    lines = [f"- {len(lost)} of {len(races)} races{': ' * bool(lost)}{'; '.join(lost)}"]
    if counts:
        lines.append(f"- {', '.join(counts)}")
    return "\n".join(lines)


def _summarise_race(record):
    ours, theirs = (format_seconds(record["contenders"][name]["seconds"]) for name in (FASTLIN, record["peer"]))
    return [
        describe_case(record),
        compare_scores(record)[0],
        _say_times(record),
        f"{ours} for {theirs}",
        name_peer(record),
    ]


def _summarise_everyday(record):
    problems = [problem for problem in record["problems"] if problem["group"] == GRID]
    ratios = [problem["ratio"] for problem in problems]
    sizes = "300 to 100,000 rows, 5 to 100 columns"
    worst = f"{format_ratio(min(ratios))} in the worst, {sum(map(is_slower, problems))} lost"
    alone = format_ratio(find_geometric_mean([problem["scikit_learn_ratio"] for problem in problems]))
    return [
        f"{len(problems)} everyday tables, {sizes}",
        average_accuracies(problems),
        f"{_say_times({'ratio': find_geometric_mean(ratios)})} in the mean, {worst}",
        "",
        f"the fastest of several; scikit-learn's best: {alone}",
    ]


def _say_times(record):
    """Return the ratio of a record in words; where fastlin is slower it is turned round, and bold."""
    if is_even(record):
        return f"even: {format_interval(record)}"
    if is_slower(record):
        ends = record.get("interval") or ()
        turned = {"ratio": 1 / record["ratio"], "interval": [1 / end for end in reversed(ends)]}
        return f"**{format_interval(turned)} × slower**"
    return f"{format_interval(record)} × faster"


def _call(machine):
    return call_machine(machine["machine"])


def list_kind(machines, kind, tabulate=None):
    """Return the tables of a kind, one for each machine that has records of it, by a function other than its own."""
    parts, tabulate = [], tabulate or KINDS[kind]
    for machine in machines.values():
        records = [record for record in machine["records"].values() if record["kind"] == kind]
        if records:
            parts.append(f"{_call(machine)}:\n\n{write_markdown(tabulate(records))}")
    return "\n\n".join(parts) or "No machine has been measured yet."


def show_probes(machines):
    """Return the tables of sweeps on validation rows, and of single probes, of each machine."""
    parts = []
    for machine in machines.values():
        records = machine["records"]
        sweeps = [record for record in records.values() if BY_DEFAULT in record.get("contenders", ())]
        pairs = [
            (records[name], records[name + BY_LBFGS]) for name in PROBES if records.keys() >= {name, name + BY_LBFGS}
        ]
        if sweeps or pairs:
            parts.append(f"{_call(machine)}:")
        if sweeps:
            parts.append(write_markdown(tabulate_probe_sweeps(sweeps)))
        if pairs:
            parts.append(write_markdown(tabulate_probe_fits(pairs)))
    return "\n\n".join(parts) or "No machine has been measured yet."


def show_everyday(machines):
    """Return the pictures and the table of groups of each machine."""
    parts = []
    for name, machine in machines.items():
        record = machine["records"].get(EVERYDAY)
        if record is None:
            continue
        text = "Times as fast as the fastest peer, by rows and columns, for 2, 4 and 10 classes"
        parts.append(f"![{text}, {_call(machine)}](benchmarks/{name}-everyday.png)")
        if list_tried(machine):
            text = "Part of the problems that each solver solves within a factor of the fastest"
            parts.append(f"![{text}, {_call(machine)}](benchmarks/{name}-profile.png)")
        parts += [f"{_call(machine)}:", write_markdown(tabulate_everyday([record]))]
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
        parts.append(f"![{text}, {_call(machine)}]({name}-scaling.png)")
        parts.append(
            f"On {_call(machine)}, a peer is faster at {len(losses)} of {n_points} points:\n\n"
            + "\n".join(f"- {sentence}" for sentence in losses)
            if losses
            else f"On {_call(machine)}, fastlin is the fastest at all {n_points} points."
        )
    return "\n\n".join(parts) or "No machine has been measured yet."


def list_pictures(machines, kind, text, folder=""):
    """Return the pictures of a kind, one for each machine that has one, with the folder that they lie in."""
    lines = []
    for name in choose_pictures(machines):
        machine, _, found = name.removesuffix(".png").rpartition("-")
        if found == kind:
            lines.append(f"![{text}, {_call(machines[machine])}]({folder}{name})")
    return "\n\n".join(lines)


def show_passes(machines):
    """Return the pictures of passes."""
    return list_pictures(machines, "passes", "Milliseconds of a pass against rows, features and classes")


def show_peers(machines):
    """Return the pictures of what the libraries reach by when."""
    text = "Excess of the objective against seconds of a fit, a curve for each library"
    return list_pictures(machines, "peers", text, "benchmarks/")


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
    "races": show_races,
    "chosen-races": choose_races,
    "everyday": show_everyday,
    "everyday-problems": lambda machines: list_kind(machines, "everyday", tabulate_everyday_problems),
    "scikit-learn-cases": lambda machines: list_kind(machines, KIND),
    "probes": show_probes,
    "sweeps": lambda machines: list_kind(machines, "sweep"),
    "probe-times": lambda machines: list_kind(machines, PROBE),
    "inference": lambda machines: list_kind(machines, INFERENCE),
    "learning": lambda machines: list_kind(machines, "learning"),
    "limits": lambda machines: list_kind(machines, "limit"),
    "memory": lambda machines: list_kind(machines, "memory"),
    "first-use": lambda machines: list_kind(machines, "first use"),
    "scaling": show_scaling,
    "passes": show_passes,
    "peers": show_peers,
    "claims": lambda machines: list_claims(),
    "runs": list_runs,
}
