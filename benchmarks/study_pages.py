"""What the documents show of the studies: the table of claims, pictures with their texts, and tables of the networks.

All of it is written from docs/studies/claims.json, which `benchmarks.claims` records.
"""

import json
from collections import Counter

from benchmarks.published import FOLDER
from benchmarks.tables import Table, write_markdown

RECORD = FOLDER.parent / "studies" / "claims.json"
# The parts of a study's results that are shown as tables, each with the heading of its first column.
SHOWN = {
    "cifar10_two_layer": {"runs": "two layers, 135 hidden units"},
    "cifar10_deep": {
        "mean_best_validation_accuracy_by_hidden_layers": "best validation accuracy, mean of 3 draws, by hidden layers",
        "points_gained_by_batch_norm_of_the_input": "points gained by batch norm of the input, two hidden layers",
        "points_lost_by_dropout": "points lost by dropout, two hidden layers",
    },
}


def read_record():
    """Return what was recorded of the studies."""
    return json.loads(RECORD.read_text(encoding="utf-8"))


def list_claims():
    """Return how many claims have which verdict, and the table of them."""
    rows = read_record()["claims"]
    counts = Counter(row["verdict"] for row in rows)
    columns = ["report", "task", "claim", "reported", "measured", "verdict"]
    names = ["reports", "task", "says", "reported", "here", "verdict"]
    table = Table("", columns, [[row[name] for name in names] for row in rows], [False] * len(rows))
    return f"{'; '.join(f'{name}: {count}' for name, count in counts.items())}.\n\n{write_markdown(table)}"


def show_study(study):
    """Return the pictures of a study, each with the text that says what it shows, and its tables."""
    record = read_record()
    parts = [f"![{alt}](studies/{file})" for file, alt in record["pictures"][study].items()]
    for merit, heading in SHOWN.get(study, {}).items():
        parts.append(write_markdown(_tabulate(record["merits"][study][merit], heading)))
    return "\n\n".join(parts)


def _tabulate(values, heading):
    """Return a Table of a dict of rows, or of single numbers in one row."""
    if all(isinstance(row, dict) for row in values.values()):
        columns = list(next(iter(values.values())))
        rows = [[name, *(_format(row[column]) for column in columns)] for name, row in values.items()]
    else:
        columns, rows = list(values), [["", *(f"{value:+.1f}".replace("-", "−") for value in values.values())]]
    titles = [heading, *(column.replace("_", " ") for column in columns)]
    return Table("", titles, rows, [False] * len(rows))


def _format(value):
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if value >= 1 else f"{value:.3f}"
