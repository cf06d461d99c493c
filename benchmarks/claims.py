"""The published verdicts on the claims of the reports: ``python -m benchmarks.claims RESULTS`` records a run.

RESULTS is a folder that `fastlin reproduce` wrote, with MNIST and, named, with the studies of CIFAR-10. Studies of
minutes to hours are run once and recorded: docs/studies has the rows of the table, the merits and the pictures.
"""

import json
import shutil
import sys
from pathlib import Path

from benchmarks.pages import write_pages
from benchmarks.published import read_machines
from benchmarks.study_pages import RECORD
from fastlin.cli.results import choose_entries, read_results
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.claims import NOT_RUN, judge_claims

# The tables hold what these show.
LEFT_OUT = "images.png", "compare.png", "cifar10_deep_curves.png", "cifar10_few_layers.png"


def record_claims(results, path=RECORD):
    """Judge the claims by the results.json of a folder; keep rows and merits in a file, and pictures in its folder."""
    content = read_results(results / "results.json")
    # Those of other data sets are left out.
    titles = [f"mnist.{name}" for name in STUDIES] + [f"cifar10.{name}" for name in CIFAR10_STUDIES]
    entries = choose_entries(content, [title for title in titles if title in content])
    rows = judge_claims(entries)
    missing = sorted({row["study"] for row in rows if row["verdict"] == NOT_RUN})
    if missing:
        raise SystemExit(f"{results / 'results.json'} lacks what these studies measure: {', '.join(missing)}")
    pictures = {study: {} for study in entries}
    for study, entry in entries.items():
        for picture in entry["pictures"]:
            name = Path(picture["file"]).name
            if name in LEFT_OUT:
                continue
            pictures[study][name] = picture["alt"]
            shutil.copyfile(results / picture["file"], path.parent / name)
    record = {
        # Folders and the system's name belong to whoever ran this.
        "environment": {
            name: value
            for name, value in content["environment"].items()
            if name not in ("cache", "cache_megabytes", "platform")
        },
        "claims": rows,
        "merits": {study: entry["merits"] for study, entry in entries.items()},
        "pictures": pictures,
    }
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record_claims(Path(sys.argv[1]))
    write_pages(read_machines())
