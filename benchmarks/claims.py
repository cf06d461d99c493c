"""The published verdicts on the reports' claims. ``python -m benchmarks.publish --claims RESULTS`` records a run.

RESULTS is the output folder of `fastlin reproduce` on MNIST with the CIFAR-10 studies named. The claims, metrics and
figures are stored in docs/studies.
"""

import json
import shutil
from collections import Counter
from pathlib import Path

from benchmarks.published import RECORDS_FOLDER
from benchmarks.tables import format_markdown, make_table
from fastlin.cli.results import choose_report_entries, read_results
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.claims import NOT_RUN, evaluate_claims

RECORD_FILE = RECORDS_FOLDER.parent / "studies" / "claims.json"
# Metrics that are shown as tables, and the header of the first column of each table.
SHOWN_METRICS = {
    "cifar10_two_layer": {"runs": "two layers, 135 hidden units"},
    "cifar10_deep": {
        "mean_best_validation_accuracy_by_hidden_layers": "best validation accuracy, mean of 3 draws, by hidden layers",
        "points_gained_by_batch_norm_of_the_input": "points gained by batch norm of the input, two hidden layers",
        "points_lost_by_dropout": "points lost by dropout, two hidden layers",
    },
}
# Wider tables do not fit on a phone.
MAX_COLUMNS = 7
# Figures that are not published, because tables contain the same data.
OMITTED_FIGURES = ("images.png",)


def record_claims(results, path=RECORD_FILE):
    """Evaluate the claims with results.json in the folder `results`, and store claims, metrics and figures."""
    stored_results = read_results(results / "results.json")
    entry_titles = [f"mnist.{name}" for name in STUDIES] + [f"cifar10.{name}" for name in CIFAR10_STUDIES]
    report_entries = choose_report_entries(stored_results, [title for title in entry_titles if title in stored_results])
    rows = evaluate_claims(report_entries)
    missing_studies = sorted({row["study"] for row in rows if row["verdict"] == NOT_RUN})
    if missing_studies:
        raise SystemExit(f"{results / 'results.json'} lacks the metrics of these studies: {', '.join(missing_studies)}")
    plots = {study: {} for study in report_entries}
    for study, report_entry in report_entries.items():
        for plot in report_entry["plots"]:
            name = Path(plot["file"]).name
            if name in OMITTED_FIGURES:
                continue
            plots[study][name] = plot["alt"]
            shutil.copyfile(results / plot["file"], path.parent / name)
    record = {
        # The folders and the name of the system are private.
        "environment": {
            name: value for name, value in stored_results["environment"].items() if name not in ("cache", "platform")
        },
        "claims": rows,
        "metrics": {study: report_entry["metrics"] for study, report_entry in report_entries.items()},
        "plots": plots,
    }
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_record():
    """Return the record of the studies."""
    return json.loads(RECORD_FILE.read_text(encoding="utf-8"))


def tabulate_claims():
    """Return the number of claims per verdict and the table of claims."""
    rows = read_record()["claims"]
    counts = Counter(row["verdict"] for row in rows)
    names = {"report": "reports", "claim": "says", "measured": "here"}
    columns = "report", "task", "claim", "reported", "measured", "verdict"
    table = make_table([{column: row[names.get(column, column)] for column in columns} for row in rows])
    return f"{'; '.join(f'{name}: {count}' for name, count in counts.items())}.\n\n{format_markdown(table)}"


def format_study(study):
    """Return the figures of a study with their alternative texts, and the tables of the study, in Markdown."""
    record = read_record()
    sections = [
        f"![{alternative_text}](studies/{image_file})"
        for image_file, alternative_text in record["plots"][study].items()
    ]
    for metric, heading in SHOWN_METRICS.get(study, {}).items():
        sections += map(format_markdown, _tabulate(record["metrics"][study][metric], heading))
    return "\n\n".join(sections)


def _tabulate(values, heading):
    """Yield the Tables of a dict of rows, or of a dict of numbers; rows that are too long become columns."""
    if not all(isinstance(row, dict) for row in values.values()):
        values = {name: {"points": f"{value:+.1f}".replace("-", "−")} for name, value in values.items()}
    first, *_ = values.values()
    if len(first) >= MAX_COLUMNS:
        values = {column: {name: row[column] for name, row in values.items()} for column in first}
        first, *_ = values.values()
    for begin in range(0, len(first), MAX_COLUMNS - 1):
        columns = list(first)[begin : begin + MAX_COLUMNS - 1]
        yield make_table(
            [
                {
                    heading: name.replace("_", " "),
                    **{column.replace("_", " "): _format(row[column]) for column in columns},
                }
                for name, row in values.items()
            ]
        )


def _format(value):
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if value >= 1 else f"{value:.3f}"
