"""Write published measurements to the documents. Each generated block is between two comments."""

import re
from functools import partial
from pathlib import Path
from statistics import geometric_mean

from benchmarks import tables
from benchmarks.bounds import describe_violations, read_bounds
from benchmarks.claims import format_study, tabulate_claims
from benchmarks.class_passes import RECORD_KIND as CLASS_PASSES
from benchmarks.everyday import GRID_GROUP
from benchmarks.false_alarms import RECORD_KIND as FALSE_ALARMS
from benchmarks.foreign_suites import RECORD_KIND as SUITE
from benchmarks.inference import RECORD_KIND as INFERENCE
from benchmarks.plots import list_plots
from benchmarks.probes import RECORD_KIND as PROBE
from benchmarks.published import format_machine_title
from benchmarks.suite import COMPARISONS_BY_RECORD, EVERYDAY_FITS

ROOT = Path(__file__).parent.parent
BLOCK_PATTERN = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
DOCUMENTS = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs").glob("*/*.md")))
    if BLOCK_PATTERN.search(path.read_text(encoding="utf-8"))
]
STUDY_BLOCK_PREFIX = "study-"
# The rows of the README's table and their titles in this table.
README_ROW_TITLES = {
    "mnist-float64": "MNIST",
    EVERYDAY_FITS: "tables of 300 to 100,000 rows and 5 to 100 columns",
    "two-classes": "generated data",
    "text": "generated sparse text",
    "cross-validation": "cross-validation on MNIST, 10 values of C × 5 folds",
}
# The rows of the table in docs/benchmarks.md, including lost ones. docs/benchmarks/comparisons.md has all rows.
CHOSEN_COMPARISONS = {
    **README_ROW_TITLES,
    "mini-batches-sgd": "mini-batches of 128, 5 epochs, MNIST",
    "course-float64": "the course's softmax training, 50 epochs",
    "many-labels-embeddings": "100 labels, 10 values of C each, embeddings",
    "probe-100-chosen": "generated embeddings, C = 1,000",
    "probe-1000-chosen": "generated embeddings, C = 1,000",
}
SCIKIT_LEARN_CASES_KIND = "scikit-learn's cases"
OTHER_KINDS = {
    "everyday": "everyday problems",
    SCIKIT_LEARN_CASES_KIND: "cases of scikit-learn's issues and suites",
    "sweep": "sweeps",
    PROBE: "single probes with the defaults of both",
    INFERENCE: "fits with standard errors",
}

EVERYDAY_MAP_CAPTION = "Times faster than the fastest baseline, by rows, columns and number of classes"
PROFILES_CAPTION = "Fraction of the everyday problems that each solver finishes within a factor of the fastest time"
SCALING_CAPTION = "Fit time against rows, features, classes, density, C, standard deviation of the columns and threads"
PASSES_CAPTION = "Milliseconds per pass against rows, features and classes"
BASELINES_CAPTION = "Suboptimality of the objective against fit time, one curve per library"
EXCLUSION_REASON = "because the log loss of both models on held-out rows is higher than that of a uniform guess"
# Reasons why fastlin is slower, with the relative difference of the objectives.
EARLY_STOP_REASON = (
    "scikit-learn stops earlier, at an objective that is higher than fastlin's by a factor of 1 + {:.0e}."
)
CERTIFICATE_REASON = (
    "The certificate takes the rest of the time; scikit-learn's objective is higher by a factor of 1 + {:.0e}."
)
SCORING_REASON = "Most of the time is scikit-learn's overhead per fit: it clones, scores and times each model."
# The table includes a baseline's objective if it is at least this multiple of fastlin's objective.
MIN_SHOWN_OBJECTIVE_RATIO = 1.1
SLOWER_REASONS = {
    "thousand-classes": EARLY_STOP_REASON,
    "probe-10": CERTIFICATE_REASON,
    "many-folds": SCORING_REASON,
    "many-grid": SCORING_REASON,
    "many-labels-embeddings": "scikit-learn's fits at large C stop far from the optimum, as the log losses show.",
    "predict-dataframe": "pandas stores columns contiguously; a row-major array takes 1.7 ms.",
}


def write_pages(machines):
    """Rewrite the blocks of all documents with the machines that `published.read_machines` returns."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        document.write_text(fill_blocks(text, machines), encoding="utf-8")


def fill_blocks(text, machines):
    """Return the text of a document after rewriting its blocks from the machines' records."""

    def replace_block(match):
        block_name = match[2].removeprefix(STUDY_BLOCK_PREFIX)
        content = BLOCK_FUNCTIONS[block_name](machines) if block_name == match[2] else format_study(block_name)
        return f"{match[1]}{content}\n{match[3]}"

    return BLOCK_PATTERN.sub(replace_block, text)


def make_block_function(format_machine, missing_text="No machine has been measured yet.", is_titled=True):
    """Return a function that lists the output of `format_machine` for each machine under the machine's name."""

    def format_all_machines(machines):
        paragraphs = []
        for name, machine in machines.items():
            machine_paragraphs = [paragraph for paragraph in format_machine(name, machine) if paragraph]
            paragraphs += [f"{_format_title(machine)}:"] * bool(is_titled and machine_paragraphs) + machine_paragraphs
        return "\n\n".join(paragraphs) or missing_text

    return format_all_machines


def format_comparisons(name, machine):
    """Yield the table of a machine's comparisons, and the reasons why fastlin is slower in some of them."""
    comparisons = _select_comparisons(machine)
    slower_cases = [
        f"- {tables.describe_case(record)}: "
        + SLOWER_REASONS.get(COMPARISONS_BY_RECORD[name], "the reason is not known yet.").format(
            -record["objective_difference"]
        )
        for name, record in comparisons.items()
        if tables.is_slower(record)
    ]
    yield _format_table(tables.KIND_LAYOUTS["comparison"], comparisons.values())
    if slower_cases:
        yield "fastlin is slower in these:\n\n" + "\n".join(slower_cases)
    yield _list_excluded_records(machine, "comparison")


def _format_table(layout, records):
    records = list(records)
    return tables.format_markdown(layout.tabulate(records)) if records else ""


def _select_comparisons(machine):
    counted_records, _ = split_records(machine)
    return {name: counted_records[name] for name in COMPARISONS_BY_RECORD if name in counted_records}


def split_records(machine):
    """Return a machine's valid records, and the records on data that no model predicts better than a guess."""
    records = machine["records"]
    # Single probes have no scores of their own, but a comparison uses the same data.
    data = {name: (record.get("title"), record.get("data")) for name, record in records.items()}
    worse_than_guess_data = {data[name] for name, record in records.items() if tables.is_worse_than_a_guess(record)}
    excluded_records = {name: record for name, record in records.items() if data[name] in worse_than_guess_data}
    return {name: record for name, record in records.items() if name not in excluded_records}, excluded_records


def _list_excluded_records(machine, kind):
    """Return a list of the excluded records of a kind, with the reason, or ""."""
    _, excluded_records = split_records(machine)
    lines = [f"- {tables.describe_case(record)}" for record in excluded_records.values() if record["kind"] == kind]
    return f"These are not counted, {EXCLUSION_REASON}:\n\n" + "\n".join(lines) if lines else ""


def summarize_comparisons(machines, titles=CHOSEN_COMPARISONS):
    """Return a table of comparisons and the cases that are slower, from the machine with the most chosen comparisons.

    Of several such machines, the one with the latest result is chosen.
    """

    def rank(machine):
        dates = [record["date"] for name, record in machine["records"].items() if name in CHOSEN_COMPARISONS]
        return len(dates), max(dates, default="")

    machine = max(machines.values(), key=rank)
    counted_records, excluded_records = split_records(machine)
    rows = [
        _summarize_everyday(record, title) if name == EVERYDAY_FITS else _summarize_comparison(record, title)
        for name, title in titles.items()
        if (record := counted_records.get(name))
    ]
    *count_phrases, last_phrase = _count_slower_cases(machine)
    sentences = [f"fastlin is slower on {' and on '.join(filter(None, (', on '.join(count_phrases), last_phrase)))}."]
    n_excluded = sum(record["kind"] == "comparison" for record in excluded_records.values())
    if n_excluded:
        counted_phrase = "comparisons are" if n_excluded > 1 else "comparison is"
        sentences.append(f"{n_excluded} {counted_phrase} not counted, {EXCLUSION_REASON}.")
    return "\n\n".join(
        (f"{_format_title(machine)}:", tables.format_markdown(tables.make_table(rows)), " ".join(sentences))
    )


def _count_slower_cases(machine):
    """Return phrases that count the cases of each kind in which fastlin is slower, with the names of comparisons."""
    counted_records, _ = split_records(machine)
    comparisons = list(_select_comparisons(machine).values())
    slower_comparisons = [tables.describe_case(record) for record in comparisons if tables.is_slower(record)]
    names = f" ({'; '.join(slower_comparisons)})" if slower_comparisons else ""
    count_phrases = [f"{len(slower_comparisons)} of {len(comparisons)} comparisons{names}"]
    for kind, description in OTHER_KINDS.items():
        kind_records = [record for record in counted_records.values() if record["kind"] == kind]
        problems = [problem for record in kind_records for problem in record.get("problems", [record])]
        if problems:
            count_phrases.append(f"{sum(map(tables.is_slower, problems))} of {len(problems)} {description}")
    return count_phrases


def _summarize_comparison(record, title):
    return {
        "problem": ", ".join(filter(None, (title, record.get("data", "")))),
        tables.TIME_COLUMN: tables.format_compared_seconds(record),
        "fastlin is": _describe_speed(record),
        "accuracy": tables.format_compared_scores(record),
        "baseline": _describe_baseline(record),
    }


def _describe_baseline(record):
    """Return the name of the baseline; append its objective relative to fastlin's if this is much higher."""
    fastlin_objective, baseline_objective = (
        side.get("objective") for side in tables.list_compared_measurements(record)
    )
    is_much_higher = (
        fastlin_objective and baseline_objective and baseline_objective > MIN_SHOWN_OBJECTIVE_RATIO * fastlin_objective
    )
    name = tables.label_baseline(record)
    return (
        f"{name}, which stops at {baseline_objective / fastlin_objective:.1f} × fastlin's objective"
        if is_much_higher
        else name
    )


def _summarize_everyday(record, title):
    problems = [problem for problem in record["problems"] if problem["group"] == GRID_GROUP]
    ratios = [problem["ratio"] for problem in problems]
    slower_count_text = f"slower on {sum(map(tables.is_slower, problems))} of {len(problems)}"
    speedup = tables.format_ratio(geometric_mean(problem["scikit_learn_ratio"] for problem in problems))
    return {
        "problem": f"{len(problems)} {title}",
        tables.TIME_COLUMN: "",
        "fastlin is": f"{_describe_speed({'ratio': geometric_mean(ratios)})} (geometric mean); "
        f"{slower_count_text}; lowest ratio {tables.format_ratio(min(ratios))}",
        "accuracy": tables.format_mean_accuracies(problems),
        "baseline": f"the fastest library on each table ({speedup} × faster than scikit-learn's fastest solver)",
    }


def _describe_speed(record):
    """Return "2.0 × faster", "even", or in bold "2.0 × slower" with the inverse ratio. An interval may follow."""
    if tables.is_tie(record):
        return f"even: {tables.format_interval(record)}"
    if tables.is_slower(record):
        interval = record.get("interval") or ()
        slowdown_record = {
            "ratio": 1 / record["ratio"],
            "interval": [1 / interval_end for interval_end in reversed(interval)],
        }
        return f"**{tables.format_interval(slowdown_record)} × slower**"
    return f"{tables.format_interval(record)} × faster"


def _format_title(machine):
    return format_machine_title(machine["machine"])


def tabulate_kind(name, machine, kind, layout):
    """Return the table of the records of a kind, and a list of the excluded records, if there are any."""
    counted_records, _ = split_records(machine)
    return [
        _format_table(layout, (record for record in counted_records.values() if record["kind"] == kind)),
        _list_excluded_records(machine, kind),
    ]


def embed_figure(name, machine, kind, description, folder=""):
    """Return the Markdown of a figure in a folder."""
    return f"![{description}, {_format_title(machine)}]({folder}{name}-{kind}.png)"


def format_everyday(name, machine):
    """Yield the map and the table of a machine's groups of everyday problems."""
    record = machine["records"].get(EVERYDAY_FITS)
    if record is None:
        return
    yield f"{_format_title(machine)}:"
    yield _format_table(tables.KIND_LAYOUTS["everyday"], [record])
    yield embed_figure(name, machine, "everyday", EVERYDAY_MAP_CAPTION, "benchmarks/")


def format_violated_bounds(name, machine):
    """Return a list of the performance limits that the results of one machine violate."""
    violations = describe_violations(read_bounds(), machine["records"], machine["machine"]["level"])
    return ["\n".join(f"- {violation}" for violation in violations)]


def list_slower_points(record):
    """Yield a line for each point of a scaling record at which a baseline is faster than fastlin."""
    for sweep in record["sweeps"]:
        for point in sweep["points"]:
            sweep_setting = f"{sweep['label']} {tables.format_value(point['value'])}"
            default, baseline = point["default"], point["baseline"]
            if baseline and tables.is_slower(baseline):
                yield f"- {sweep_setting}: {baseline['name']} takes {baseline['ratio']:.2f} × the time"
            elif tables.is_slower(default):
                description = (
                    f"takes {default['ratio']:.2f} × the time, but stops {default['suboptimality']:.0e} higher"
                )
                yield f"- {sweep_setting}: {default['name']} {description}"


def format_scaling(name, machine):
    """Yield the figure of fit times of a machine, and the points at which fastlin is slower."""
    record = machine["records"].get("scaling")
    if record is None:
        return
    slower_points = list(list_slower_points(record))
    n_points = sum(len(sweep["points"]) for sweep in record["sweeps"])
    yield embed_figure(name, machine, "scaling", SCALING_CAPTION)
    if slower_points:
        yield f"On {_format_title(machine)}, a baseline is faster at {len(slower_points)} of {n_points} points:"
        yield "\n".join(slower_points)
    else:
        yield f"On {_format_title(machine)}, fastlin is the fastest at all {n_points} points."


def embed_available_figure(name, machine, kind, description, folder=""):
    """Yield the Markdown of a figure, if the machine's records include this kind."""
    if f"{name}-{kind}.png" in list_plots({name: machine}):
        yield embed_figure(name, machine, kind, description, folder)


def describe_runs(name, machine):
    """Yield the dates and the package versions of a machine's measurements."""
    records = machine["records"].values()
    dates = sorted({record["date"] for record in records})
    versions = {}
    for record in records:
        for package, version in record["versions"].items():
            versions.setdefault(package, set()).add(version)
    version_list = ", ".join(
        f"{package} {' and '.join(sorted(version_numbers))}" for package, version_numbers in versions.items()
    )
    date_range = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    yield f"- {_format_title(machine)}, {machine['machine']['level']}: {date_range}. {version_list}."


def _make_figure_block(kind, description, folder="benchmarks/"):
    """Return a function that embeds the figures of one kind for all machines."""
    return make_block_function(
        partial(embed_available_figure, kind=kind, description=description, folder=folder), "", is_titled=False
    )


TABLE_KINDS = {
    "scikit-learn-cases": SCIKIT_LEARN_CASES_KIND,
    "sweeps": "sweep",
    "probe-times": PROBE,
    "inference": INFERENCE,
    "limits": "limit",
    "class-passes": CLASS_PASSES,
    "memory": "memory",
    "first-use": "first use",
    "ablation": "ablation",
    "false-alarms": FALSE_ALARMS,
    "suites": SUITE,
}
BLOCK_FUNCTIONS = {
    "comparisons": make_block_function(format_comparisons),
    "readme-comparisons": partial(summarize_comparisons, titles=README_ROW_TITLES),
    "chosen-comparisons": summarize_comparisons,
    "everyday": make_block_function(format_everyday, is_titled=False),
    "everyday-problems": make_block_function(partial(tabulate_kind, kind="everyday", layout=tables.EVERYDAY_LAYOUT)),
    **{
        name: make_block_function(partial(tabulate_kind, kind=kind, layout=tables.KIND_LAYOUTS[kind]))
        for name, kind in TABLE_KINDS.items()
    },
    "scaling": make_block_function(format_scaling, is_titled=False),
    "passes": _make_figure_block("passes", PASSES_CAPTION, ""),
    "profiles": _make_figure_block("profile", PROFILES_CAPTION),
    "baselines": _make_figure_block("baselines", BASELINES_CAPTION),
    "claims": lambda machines: tabulate_claims(),
    "runs": make_block_function(describe_runs, is_titled=False),
}
format_all_violated_bounds = make_block_function(format_violated_bounds, "All bounds are kept.")
