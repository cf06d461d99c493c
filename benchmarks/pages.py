"""The documents that show published figures: blocks between two comments, of which the first names the block."""

import re
from functools import partial
from pathlib import Path
from statistics import geometric_mean

from benchmarks import tables
from benchmarks.bounds import find_broken_bounds, read_bounds
from benchmarks.claims import list_claims, show_study
from benchmarks.comparisons import FASTLIN
from benchmarks.everyday import GRID
from benchmarks.inference import KIND as INFERENCE
from benchmarks.plots import ALLOWED, MIN_PROBLEMS, choose_plots, list_tried
from benchmarks.probes import KIND as PROBE
from benchmarks.published import call_machine
from benchmarks.suite import COMPARISON_RECORDS, EVERYDAY
from benchmarks.sweeps import BY_DEFAULT

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
DOCUMENTS = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs").glob("*/*.md")))
    if BLOCK.search(path.read_text(encoding="utf-8"))
]
STUDY = "study-"
# The rows of README's table, the lost comparisons among them; docs/benchmarks/comparisons.md shows all.
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
# The comparisons of linear probes, which are run with solver="lbfgs" too, by this ending of their names.
PROBES, BY_LBFGS = ("probe-10", "probe-100", "probe-600", "probe-1000"), "-lbfgs"
CASES_OF_SCIKIT_LEARN = "scikit-learn's cases"
OTHER_KINDS = {
    "everyday": "everyday problems",
    CASES_OF_SCIKIT_LEARN: "cases of scikit-learn's issues and suites",
    "sweep": "sweeps",
    PROBE: "single probes by the defaults of both",
    INFERENCE: "fits with standard errors",
}

PROFILE = f"""The performance profile (Dolan and Moré 2002) shows the part of the problems that a solver solves within a
factor of the fastest time. A solver that ends above the lowest objective by more than {ALLOWED:g} of it has failed
there. The problems are those of this page and scikit-learn's cases. Older runs kept only the fastest baseline of
each problem and scikit-learn's default."""
EVERYDAY_MAP = "Times as fast as the fastest baseline, by rows and columns, for 2, 4 and 10 classes"
PROFILES = "Part of the problems that each solver solves within a factor of the fastest"
GROWTH = "Seconds of whole fits against rows, features, classes, density, C, spread of columns and threads"
PASSES = "Milliseconds of a pass against rows, features and classes"
BASELINES = "Excess of the objective against seconds of a fit, a curve for each library"
WORSE_THAN_A_GUESS = "because both models predict held-out rows worse than a uniform guess, by their log loss"
# What the documents say where fastlin is slower, with the gap between the objectives.
STOPS_EARLIER = "scikit-learn stops at an objective that is higher by {:.0e} of it than fastlin's."
CERTIFIES = "The proof takes the rest of fastlin's time; scikit-learn's objective is higher by {:.0e} of it."
SCORES = "Most of the time is scikit-learn's own, which clones, scores and times each model between the fits."
# A baseline's objective over fastlin's from which on the table of README says so.
FAR_ABOVE = 1.1
WHY_SLOWER = {
    "thousand-classes": STOPS_EARLIER,
    "probe-1000": STOPS_EARLIER,
    "probe-1000-lbfgs": STOPS_EARLIER,
    "probe-600": STOPS_EARLIER,
    "probe-600-lbfgs": STOPS_EARLIER,
    "probe-100": CERTIFIES,
    "probe-10": CERTIFIES,
    "many-folds": SCORES,
    "many-grid": SCORES,
    "many-labels-embeddings": "scikit-learn's fits at large C end early, far above their minimum: see the log losses.",
    "predict-frame": "A frame lies column by column; an array, whose rows lie in one piece, takes 1.7 ms.",
}


def write_pages(machines):
    """Write the blocks of the documents again, from what `published.read_machines` returns."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        document.write_text(fill_blocks(text, machines), encoding="utf-8")


def fill_blocks(text, machines):
    """Return the text of a document with its blocks written from the machines."""

    def fill(match):
        study = match[2].removeprefix(STUDY)
        content = BLOCKS[study](machines) if study == match[2] else show_study(study)
        return f"{match[1]}{content}\n{match[3]}"

    return BLOCK.sub(fill, text)


def of_each(show, missing="No machine has been measured yet.", is_titled=True):
    """Return the function from the machines to what another lists of each, below its title, by name and content."""

    def show_all(machines):
        parts = []
        for name, machine in machines.items():
            shown = [part for part in show(name, machine) if part]
            parts += [f"{_call(machine)}:"] * bool(is_titled and shown) + shown
        return "\n\n".join(parts) or missing

    return show_all


def show_comparisons(name, machine):
    """Yield the table of comparisons of a machine, and a sentence on each that is slower."""
    comparisons = _select_comparisons(machine)
    slower = [
        f"- {tables.describe_case(record)}: "
        + WHY_SLOWER.get(COMPARISON_RECORDS[name], "the reason is not known yet.").format(-record["gap"])
        for name, record in comparisons.items()
        if tables.is_slower(record)
    ]
    yield _write(tables.KINDS["comparison"], comparisons.values())
    if slower:
        yield "fastlin is slower in these:\n\n" + "\n".join(slower)
    yield _list_left_out(machine, "comparison")


def _write(layout, records):
    records = list(records)
    return tables.write_markdown(layout.tabulate(records)) if records else ""


def _select_comparisons(machine):
    counted, _ = split_records(machine)
    return {name: counted[name] for name in COMPARISON_RECORDS if name in counted}


def split_records(machine):
    """Return the records of a machine that count, and those of data that no model predicts better than a guess."""
    records = machine["records"]
    # Single probes have no scores of their own; they are of the same data as comparisons.
    data = {name: (record.get("title"), record.get("data")) for name, record in records.items()}
    guessed = {data[name] for name, record in records.items() if tables.is_worse_than_a_guess(record)}
    left_out = {name: record for name, record in records.items() if data[name] in guessed}
    return {name: record for name, record in records.items() if name not in left_out}, left_out


def _list_left_out(machine, kind):
    """Return a list of the records of a kind that do not count, with the reason, or ""."""
    _, left_out = split_records(machine)
    lines = [f"- {tables.describe_case(record)}" for record in left_out.values() if record["kind"] == kind]
    return f"These are not counted, {WORSE_THAN_A_GUESS}:\n\n" + "\n".join(lines) if lines else ""


def choose_comparisons(machines):
    """Return the table of README, of the machine that was last measured in its comparisons, and a list of what is lost."""
    chosen = [each for each in machines.values() if not each["records"].keys().isdisjoint(CHOSEN)]
    machine = max(
        chosen, key=lambda each: max(each["records"][name]["date"] for name in each["records"].keys() & CHOSEN)
    )
    counted, left_out = split_records(machine)
    rows = [
        _summarize_everyday(record) if name == EVERYDAY else _summarize_comparison(record)
        for name in CHOSEN
        if (record := counted.get(name))
    ]
    columns = ["", "accuracy: fastlin / baseline", "fastlin is", "seconds", "baseline"]
    table = tables.make_table([dict(zip(columns, row, strict=True)) for row in rows])
    parts = [f"{_call(machine)}:", tables.write_markdown(table), "fastlin is slower in", _list_lost(machine)]
    n_comparisons = sum(record["kind"] == "comparison" for record in left_out.values())
    if n_comparisons:
        parts.append(
            f"{n_comparisons} comparison{'s are' if n_comparisons > 1 else ' is'} not counted, {WORSE_THAN_A_GUESS}."
        )
    return "\n\n".join(parts)


def _list_lost(machine):
    """Return a line on the comparisons that are lost, and one on how many are of each other kind."""
    counted, _ = split_records(machine)
    comparisons = list(_select_comparisons(machine).values())
    lost = [tables.describe_case(record) for record in comparisons if tables.is_slower(record)]
    counts = []
    for kind, words in OTHER_KINDS.items():
        of_kind = [record for record in counted.values() if record["kind"] == kind]
        problems = [problem for record in of_kind for problem in record.get("problems", [record])]
        if problems:
            counts.append(f"{sum(map(tables.is_slower, problems))} of {len(problems)} {words}")
    lines = [f"- {len(lost)} of {len(comparisons)} comparisons{': ' * bool(lost)}{'; '.join(lost)}"]
    if counts:
        lines.append(f"- {', '.join(counts)}")
    return "\n".join(lines)


def _summarize_comparison(record):
    seconds = f"{tables.say_seconds(record, FASTLIN)} for {tables.say_seconds(record, record['baseline'])}"
    return (
        tables.describe_case(record),
        tables.compare_scores(record),
        _say_times(record),
        seconds,
        _describe_baseline(record),
    )


def _describe_baseline(record):
    """Return the name of the baseline of a comparison, and by how much it stops above fastlin's objective where that is far."""
    ours, theirs = (side.get("objective") for side in tables.list_sides(record))
    is_far = ours and theirs and theirs > FAR_ABOVE * ours
    return tables.name_baseline(record) + (
        f", which stops at {theirs / ours:.1f} × fastlin's objective" if is_far else ""
    )


def _summarize_everyday(record):
    problems = [problem for problem in record["problems"] if problem["group"] == GRID]
    ratios = [problem["ratio"] for problem in problems]
    mean, worst = _say_times({"ratio": geometric_mean(ratios)}), tables.format_ratio(min(ratios))
    alone = tables.format_ratio(geometric_mean(problem["scikit_learn_ratio"] for problem in problems))
    return (
        f"{len(problems)} everyday tables, 300 to 100,000 rows, 5 to 100 columns",
        tables.average_accuracies(problems),
        f"{mean} in the mean, {worst} in the worst, {sum(map(tables.is_slower, problems))} lost",
        "",
        f"the fastest of several; scikit-learn's best: {alone}",
    )


def _say_times(record):
    """Return the ratio of a record in words; where fastlin is slower it is turned round, and bold."""
    if tables.is_even(record):
        return f"even: {tables.format_interval(record)}"
    if tables.is_slower(record):
        ends = record.get("interval") or ()
        turned = {"ratio": 1 / record["ratio"], "interval": [1 / end for end in reversed(ends)]}
        return f"**{tables.format_interval(turned)} × slower**"
    return f"{tables.format_interval(record)} × faster"


def _call(machine):
    return call_machine(machine["machine"])


def list_kind(name, machine, kind, layout):
    """Return the table of the records of a kind, and a list of those that do not count, if there are any."""
    counted, _ = split_records(machine)
    return [
        _write(layout, (record for record in counted.values() if record["kind"] == kind)),
        _list_left_out(machine, kind),
    ]


def show_probes(name, machine):
    """Return the tables of sweeps on validation rows, and of single probes, of a machine."""
    records, _ = split_records(machine)
    sweeps = [record for record in records.values() if BY_DEFAULT in record.get("libraries", ())]
    pairs = [(records[name], records[name + BY_LBFGS]) for name in PROBES if records.keys() >= {name, name + BY_LBFGS}]
    return _write(tables.SHORT_SWEEPS, sweeps), _write(tables.PROBE_FITS, pairs)


def draw(name, machine, kind, text, folder=""):
    """Return the picture of a kind, with the folder that it lies in."""
    return f"![{text}, {_call(machine)}]({folder}{name}-{kind}.png)"


def show_everyday(name, machine):
    """Yield the pictures and the table of groups of a machine."""
    record = machine["records"].get(EVERYDAY)
    if record is None:
        return
    yield draw(name, machine, "everyday", EVERYDAY_MAP, "benchmarks/")
    if len(list_tried(machine)) >= MIN_PROBLEMS:
        yield draw(name, machine, "profile", PROFILES, "benchmarks/")
        yield PROFILE
    yield f"{_call(machine)}:"
    yield _write(tables.KINDS["everyday"], [record])


def find_missed_bounds(name, machine):
    """Return a list of the bounds that are not kept of a machine."""
    broken = find_broken_bounds(read_bounds(), machine["records"], machine["machine"]["level"])
    return ["\n".join(f"- {sentence}" for sentence in broken)]


def list_losses(record):
    """Yield a line for each point at which a baseline is faster than fastlin."""
    for sweep in record["sweeps"]:
        for point in sweep["points"]:
            place = f"{sweep['label']} {tables.format_value(point['value'])}"
            default, baseline = point["default"], point["baseline"]
            if baseline and tables.is_slower(baseline):
                yield f"- {place}: {baseline['name']} takes {baseline['ratio']:.2f} of the time"
            elif tables.is_slower(default):
                words = f"takes {default['ratio']:.2f} of the time, and stops {default['suboptimality']:.0e} higher"
                yield f"- {place}: {default['name']} {words}"


def show_scaling(name, machine):
    """Yield the page of panels of a machine, and what is slower there."""
    record = machine["records"].get("scaling")
    if record is None:
        return
    losses = list(list_losses(record))
    n_points = sum(len(sweep["points"]) for sweep in record["sweeps"])
    yield draw(name, machine, "scaling", GROWTH)
    if losses:
        yield f"On {_call(machine)}, a baseline is faster at {len(losses)} of {n_points} points:"
        yield "\n".join(losses)
    else:
        yield f"On {_call(machine)}, fastlin is the fastest at all {n_points} points."


def show_plot(name, machine, kind, text, folder=""):
    """Yield the picture of a kind, if there is one, with the folder that it lies in."""
    if f"{name}-{kind}.png" in choose_plots({name: machine}):
        yield draw(name, machine, kind, text, folder)


def describe_runs(name, machine):
    """Yield when and with which versions a machine was measured."""
    records = machine["records"].values()
    dates = sorted({record["date"] for record in records})
    versions = {}
    for record in records:
        for package, version in record["versions"].items():
            versions.setdefault(package, set()).add(version)
    words = ", ".join(f"{package} {' and '.join(sorted(found))}" for package, found in versions.items())
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    yield f"- {_call(machine)}, {machine['machine']['level']}: {when}. {words}."


TABLES = {
    "scikit-learn-cases": CASES_OF_SCIKIT_LEARN,
    "sweeps": "sweep",
    "probe-times": PROBE,
    "inference": INFERENCE,
    "limits": "limit",
    "memory": "memory",
    "first-use": "first use",
    "ablation": "ablation",
}
BLOCKS = {
    "comparisons": of_each(show_comparisons),
    "chosen-comparisons": choose_comparisons,
    "everyday": of_each(show_everyday, is_titled=False),
    "everyday-problems": of_each(partial(list_kind, kind="everyday", layout=tables.PROBLEMS)),
    "probes": of_each(show_probes),
    **{name: of_each(partial(list_kind, kind=kind, layout=tables.KINDS[kind])) for name, kind in TABLES.items()},
    "scaling": of_each(show_scaling, is_titled=False),
    "passes": of_each(partial(show_plot, kind="passes", text=PASSES), "", is_titled=False),
    "baselines": of_each(
        partial(show_plot, kind="baselines", text=BASELINES, folder="benchmarks/"), "", is_titled=False
    ),
    "claims": lambda machines: list_claims(),
    "runs": of_each(describe_runs, is_titled=False),
}
list_missed_bounds = of_each(find_missed_bounds, "All bounds are kept.")
