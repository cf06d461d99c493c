"""Write published measurements to the documents. Each generated block is between two comments."""

import re
from functools import partial
from pathlib import Path
from statistics import geometric_mean

from benchmarks import tables
from benchmarks.bounds import find_violated_bounds, read_bounds
from benchmarks.claims import list_claims, show_study
from benchmarks.everyday import GRID
from benchmarks.inference import KIND as INFERENCE
from benchmarks.plots import choose_plots
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
# The rows of the README's table and their titles in this table.
README_ROWS = {
    "mnist-float64": "MNIST",
    EVERYDAY: "tables of 300 to 100,000 rows and 5 to 100 columns",
    "two-classes": "generated data",
    "text": "generated sparse text",
    "cross-validation": "cross-validation on MNIST, 10 values of C × 5 folds",
}
# The rows of the table in docs/benchmarks.md, including lost ones. docs/benchmarks/comparisons.md has all rows.
CHOSEN = {
    **README_ROWS,
    "mini-batches-sgd": "mini-batches of 128, 5 epochs, MNIST",
    "course-float64": "the course's softmax training, 50 epochs",
    "many-labels-embeddings": "100 labels, 10 values of C each, embeddings",
    "probe-100": "generated linear probe",
    "probe-1000": "generated linear probe",
}
# The comparisons of linear probes. Each also runs with solver="lbfgs", and this suffix is added to its name.
PROBES, BY_LBFGS = ("probe-10", "probe-100", "probe-600", "probe-1000"), "-lbfgs"
CASES_OF_SCIKIT_LEARN = "scikit-learn's cases"
OTHER_KINDS = {
    "everyday": "everyday problems",
    CASES_OF_SCIKIT_LEARN: "cases of scikit-learn's issues and suites",
    "sweep": "sweeps",
    PROBE: "single probes with the defaults of both",
    INFERENCE: "fits with standard errors",
}

EVERYDAY_MAP_CAPTION = "Times faster than the fastest baseline, by rows, columns and number of classes"
PROFILES_CAPTION = "Fraction of the everyday problems that each solver finishes within a factor of the fastest time"
SCALING_CAPTION = "Fit time against rows, features, classes, density, C, standard deviation of the columns and threads"
PASSES_CAPTION = "Milliseconds per pass against rows, features and classes"
BASELINES_CAPTION = "Suboptimality of the objective against fit time, one curve per library"
WORSE_THAN_A_GUESS = "because the log loss of both models on held-out rows is higher than that of a uniform guess"
# Reasons why fastlin is slower, with the relative gap between the objectives.
STOPS_EARLIER = "scikit-learn stops earlier, at an objective that is higher than fastlin's by a factor of 1 + {:.0e}."
CERTIFIES = "The certificate takes the rest of the time; scikit-learn's objective is higher by a factor of 1 + {:.0e}."
SCORES = "Most of the time is scikit-learn's overhead per fit: it clones, scores and times each model."
# The table includes a baseline's objective if it is at least this multiple of fastlin's objective.
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
    "many-labels-embeddings": "scikit-learn's fits at large C stop far from the optimum, as the log losses show.",
    "predict-frame": "pandas stores columns contiguously; a row-major array takes 1.7 ms.",
}


def write_pages(machines):
    """Rewrite the blocks of all documents with the machines that `published.read_machines` returns."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        document.write_text(fill_blocks(text, machines), encoding="utf-8")


def fill_blocks(text, machines):
    """Return the text of a document after rewriting its blocks from the machines' records."""

    def fill(match):
        study = match[2].removeprefix(STUDY)
        content = BLOCKS[study](machines) if study == match[2] else show_study(study)
        return f"{match[1]}{content}\n{match[3]}"

    return BLOCK.sub(fill, text)


def for_each_machine(show, missing="No machine has been measured yet.", is_titled=True):
    """Return a function that lists the output of `show` for each machine under the machine's name."""

    def show_all(machines):
        parts = []
        for name, machine in machines.items():
            contents = [part for part in show(name, machine) if part]
            parts += [f"{_call(machine)}:"] * bool(is_titled and contents) + contents
        return "\n\n".join(parts) or missing

    return show_all


def show_comparisons(name, machine):
    """Yield the table of a machine's comparisons, and the reasons why fastlin is slower in some of them."""
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
    yield _list_excluded(machine, "comparison")


def _write(layout, records):
    records = list(records)
    return tables.write_markdown(layout.tabulate(records)) if records else ""


def _select_comparisons(machine):
    counted, _ = split_records(machine)
    return {name: counted[name] for name in COMPARISON_RECORDS if name in counted}


def split_records(machine):
    """Return a machine's valid records, and the records on data that no model predicts better than a guess."""
    records = machine["records"]
    # Single probes have no scores of their own, but a comparison uses the same data.
    data = {name: (record.get("title"), record.get("data")) for name, record in records.items()}
    unpredictable = {data[name] for name, record in records.items() if tables.is_worse_than_a_guess(record)}
    excluded = {name: record for name, record in records.items() if data[name] in unpredictable}
    return {name: record for name, record in records.items() if name not in excluded}, excluded


def _list_excluded(machine, kind):
    """Return a list of the excluded records of a kind, with the reason, or ""."""
    _, excluded = split_records(machine)
    lines = [f"- {tables.describe_case(record)}" for record in excluded.values() if record["kind"] == kind]
    return f"These are not counted, {WORSE_THAN_A_GUESS}:\n\n" + "\n".join(lines) if lines else ""


def summarize_comparisons(machines, titles=CHOSEN):
    """Return a table of chosen comparisons from the machine with the latest of them, and the cases that are slower."""
    measured = [machine for machine in machines.values() if not machine["records"].keys().isdisjoint(titles)]
    machine = max(
        measured,
        key=lambda machine: max(machine["records"][name]["date"] for name in machine["records"].keys() & titles.keys()),
    )
    counted, excluded = split_records(machine)
    rows = [
        _summarize_everyday(record, title) if name == EVERYDAY else _summarize_comparison(record, title)
        for name, title in titles.items()
        if (record := counted.get(name))
    ]
    sentences = [f"fastlin is slower on {' and on '.join(_count_losses(machine))}."]
    n_excluded = sum(record["kind"] == "comparison" for record in excluded.values())
    if n_excluded:
        noun = "comparisons are" if n_excluded > 1 else "comparison is"
        sentences.append(f"{n_excluded} {noun} not counted, {WORSE_THAN_A_GUESS}.")
    return "\n\n".join((f"{_call(machine)}:", tables.write_markdown(tables.make_table(rows)), " ".join(sentences)))


def _count_losses(machine):
    """Return phrases that count the cases of each kind in which fastlin is slower, with the names of comparisons."""
    counted, _ = split_records(machine)
    comparisons = list(_select_comparisons(machine).values())
    losses = [tables.describe_case(record) for record in comparisons if tables.is_slower(record)]
    names = f" ({'; '.join(losses)})" if losses else ""
    counts = [f"{len(losses)} of {len(comparisons)} comparisons{names}"]
    for kind, description in OTHER_KINDS.items():
        of_kind = [record for record in counted.values() if record["kind"] == kind]
        problems = [problem for record in of_kind for problem in record.get("problems", [record])]
        if problems:
            counts.append(f"{sum(map(tables.is_slower, problems))} of {len(problems)} {description}")
    return counts


def _summarize_comparison(record, title):
    return {
        "problem": ", ".join(filter(None, (title, record.get("data", "")))),
        "time: fastlin vs baseline": tables.compare_seconds(record),
        "fastlin is": _describe_speed(record),
        "accuracy": tables.compare_scores(record),
        "baseline": _describe_baseline(record),
    }


def _describe_baseline(record):
    """Return the name of the baseline; append its objective relative to fastlin's if this is much higher."""
    ours, theirs = (side.get("objective") for side in tables.list_pair(record))
    is_far = ours and theirs and theirs > FAR_ABOVE * ours
    name = tables.name_baseline(record)
    return f"{name}, which stops at {theirs / ours:.1f} × fastlin's objective" if is_far else name


def _summarize_everyday(record, title):
    problems = [problem for problem in record["problems"] if problem["group"] == GRID]
    ratios = [problem["ratio"] for problem in problems]
    losses = f"slower on {sum(map(tables.is_slower, problems))} of {len(problems)}"
    alone = tables.format_ratio(geometric_mean(problem["scikit_learn_ratio"] for problem in problems))
    return {
        "problem": f"{len(problems)} {title}",
        "time: fastlin vs baseline": "",
        "fastlin is": f"{_describe_speed({'ratio': geometric_mean(ratios)})} (geometric mean); "
        f"{losses} ({tables.format_ratio(min(ratios))} ×)",
        "accuracy": tables.average_accuracies(problems),
        "baseline": f"the fastest library on each table ({alone} × faster than scikit-learn's fastest solver)",
    }


def _describe_speed(record):
    """Return "2.0 × faster", "even", or in bold "2.0 × slower" with the inverse ratio. An interval may follow."""
    if tables.is_even(record):
        return f"even: {tables.format_interval(record)}"
    if tables.is_slower(record):
        interval = record.get("interval") or ()
        inverted = {"ratio": 1 / record["ratio"], "interval": [1 / end for end in reversed(interval)]}
        return f"**{tables.format_interval(inverted)} × slower**"
    return f"{tables.format_interval(record)} × faster"


def _call(machine):
    return call_machine(machine["machine"])


def tabulate_kind(name, machine, kind, layout):
    """Return the table of the records of a kind, and a list of the excluded records, if there are any."""
    counted, _ = split_records(machine)
    return [
        _write(layout, (record for record in counted.values() if record["kind"] == kind)),
        _list_excluded(machine, kind),
    ]


def show_probes(name, machine):
    """Return the tables of a machine's sweeps on validation rows, and of its single probes."""
    records, _ = split_records(machine)
    sweeps = [record for record in records.values() if BY_DEFAULT in record.get("libraries", ())]
    pairs = [(records[name], records[name + BY_LBFGS]) for name in PROBES if records.keys() >= {name, name + BY_LBFGS}]
    return _write(tables.SHORT_SWEEPS, sweeps), _write(tables.PROBE_FITS, pairs)


def embed_figure(name, machine, kind, description, folder=""):
    """Return the Markdown of a figure in a folder."""
    return f"![{description}, {_call(machine)}]({folder}{name}-{kind}.png)"


def show_everyday(name, machine):
    """Yield the map and the table of a machine's groups of everyday problems."""
    record = machine["records"].get(EVERYDAY)
    if record is None:
        return
    yield f"{_call(machine)}:"
    yield _write(tables.KINDS["everyday"], [record])
    yield embed_figure(name, machine, "everyday", EVERYDAY_MAP_CAPTION, "benchmarks/")


def find_missed_bounds(name, machine):
    """Return a list of the bounds that a machine's records violate."""
    violations = find_violated_bounds(read_bounds(), machine["records"], machine["machine"]["level"])
    return ["\n".join(f"- {sentence}" for sentence in violations)]


def list_losses(record):
    """Yield a line for each point of a scaling record at which a baseline is faster than fastlin."""
    for sweep in record["sweeps"]:
        for point in sweep["points"]:
            setting = f"{sweep['label']} {tables.format_value(point['value'])}"
            default, baseline = point["default"], point["baseline"]
            if baseline and tables.is_slower(baseline):
                yield f"- {setting}: {baseline['name']} takes {baseline['ratio']:.2f} × the time"
            elif tables.is_slower(default):
                description = (
                    f"takes {default['ratio']:.2f} × the time, but stops {default['suboptimality']:.0e} higher"
                )
                yield f"- {setting}: {default['name']} {description}"


def show_scaling(name, machine):
    """Yield the figure of fit times of a machine, and the points at which fastlin is slower."""
    record = machine["records"].get("scaling")
    if record is None:
        return
    losses = list(list_losses(record))
    n_points = sum(len(sweep["points"]) for sweep in record["sweeps"])
    yield embed_figure(name, machine, "scaling", SCALING_CAPTION)
    if losses:
        yield f"On {_call(machine)}, a baseline is faster at {len(losses)} of {n_points} points:"
        yield "\n".join(losses)
    else:
        yield f"On {_call(machine)}, fastlin is the fastest at all {n_points} points."


def show_plot(name, machine, kind, description, folder=""):
    """Yield the Markdown of a figure, if the machine's records include this kind."""
    if f"{name}-{kind}.png" in choose_plots({name: machine}):
        yield embed_figure(name, machine, kind, description, folder)


def describe_runs(name, machine):
    """Yield the dates and the package versions of a machine's measurements."""
    records = machine["records"].values()
    dates = sorted({record["date"] for record in records})
    versions = {}
    for record in records:
        for package, version in record["versions"].items():
            versions.setdefault(package, set()).add(version)
    listed = ", ".join(f"{package} {' and '.join(sorted(numbers))}" for package, numbers in versions.items())
    period = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    yield f"- {_call(machine)}, {machine['machine']['level']}: {period}. {listed}."


def _show_plots(kind, description, folder="benchmarks/"):
    """Return a function that embeds the figures of one kind for all machines."""
    return for_each_machine(partial(show_plot, kind=kind, description=description, folder=folder), "", is_titled=False)


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
    "comparisons": for_each_machine(show_comparisons),
    "readme-comparisons": partial(summarize_comparisons, titles=README_ROWS),
    "chosen-comparisons": summarize_comparisons,
    "everyday": for_each_machine(show_everyday, is_titled=False),
    "everyday-problems": for_each_machine(partial(tabulate_kind, kind="everyday", layout=tables.PROBLEMS)),
    "probes": for_each_machine(show_probes),
    **{
        name: for_each_machine(partial(tabulate_kind, kind=kind, layout=tables.KINDS[kind]))
        for name, kind in TABLES.items()
    },
    "scaling": for_each_machine(show_scaling, is_titled=False),
    "passes": _show_plots("passes", PASSES_CAPTION, ""),
    "profiles": _show_plots("profile", PROFILES_CAPTION),
    "baselines": _show_plots("baselines", BASELINES_CAPTION),
    "claims": lambda machines: list_claims(),
    "runs": for_each_machine(describe_runs, is_titled=False),
}
list_missed_bounds = for_each_machine(find_missed_bounds, "All bounds are kept.")
