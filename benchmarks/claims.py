"""The published verdicts on the claims of the reports: ``python -m benchmarks.claims RESULTS`` records a run.

RESULTS is a folder that `fastlin reproduce` wrote, with MNIST and, named, with the studies of CIFAR-10. Studies of
minutes to hours are run once and recorded: docs/studies has the rows of the table, the merits and the pictures.
"""

import json
import shutil
import sys
from pathlib import Path

from benchmarks.pages import CLAIMS, ROOT, write_pages
from benchmarks.published import read_machines
from fastlin.cli.results import choose_entries, read_results
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.claims import NOT_RUN, judge_claims

FOLDER = ROOT / "docs" / "studies"


def record_claims(results, folder=FOLDER):
    """Judge the claims by the results.json of a folder; keep rows, merits and pictures in docs/studies."""
    content = read_results(results / "results.json")
    # Those of other data sets are left out.
    titles = [f"mnist.{name}" for name in STUDIES] + [f"cifar10.{name}" for name in CIFAR10_STUDIES]
    entries = choose_entries(content, [title for title in titles if title in content])
    rows = judge_claims(entries)
    missing = sorted({row["study"] for row in rows if row["verdict"] == NOT_RUN})
    if missing:
        raise SystemExit(f"{results / 'results.json'} lacks what these studies measure: {', '.join(missing)}")
    pictures = [picture for entry in entries.values() for picture in entry["pictures"]]
    for picture in pictures:
        shutil.copyfile(results / picture["file"], folder / Path(picture["file"]).name)
    record = {
        "environment": content["environment"],
        "claims": rows,
        "merits": {study: entry["merits"] for study, entry in entries.items()},
        "pictures": {Path(picture["file"]).name: picture["alt"] for picture in pictures},
    }
    (folder / CLAIMS.name).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record_claims(Path(sys.argv[1]))
    write_pages(read_machines())
