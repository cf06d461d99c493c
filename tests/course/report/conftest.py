"""What a quick run of all studies of the course leaves behind, and pages of it."""

import json
import os
from html.parser import HTMLParser
from types import SimpleNamespace
from unittest import mock

import pytest
import threadpoolctl
from repository import read

from fastlin import cli, datasets
from fastlin.cli.results import choose_entries
from fastlin.course.report import write_page
from fastlin.course.studies import CIFAR10_STUDIES
from fastlin.course.studies.claims import evaluate_claims

# They have no end tag.
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """A page that was parsed: all its texts, its elements as (name, attributes), and its texts by their heading."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.text, self.elements, self.sections = "", [], {}
        self._open = []
        self.feed(self.source)
        self.close()
        assert self._open == [], "elements without an end"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "h2":
            self._heading = ""

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"</{tag}> ends another element, line {self.getpos()[0]}"
        if tag == "h2":
            self.sections[self._heading] = ""

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.text += data
        if "h2" in self._open:
            self._heading += data
        elif "section" in self._open and self.sections:
            self.sections[list(self.sections)[-1]] += data

    def find(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory):
    """The folder that a quick run of all studies of the course wrote, offline and without data."""
    folder, nothing = tmp_path_factory.mktemp("run"), datasets.DatasetNotFoundError("There is none.")
    with (
        mock.patch.object(datasets, "load_mnist", side_effect=nothing),
        mock.patch.dict(os.environ, {"COLUMNS": "100"}),
        # Beside other tests a second thread of BLAS would only wait.
        threadpoolctl.threadpool_limits(1),
    ):
        assert cli.main(["reproduce", "--quick", "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def report(quick_run):
    """The entries and the environment of that run, to be changed, and `write`, which writes a page of them."""
    results = json.loads((quick_run / "results.json").read_text(encoding="utf-8"))
    found = SimpleNamespace(entries=choose_entries(results, results), environment=results["environment"])

    def write(quick=True):
        """Write the page, of the same results as if they were those of whole studies if not quick, and parse it."""
        if not quick:
            for entry in found.entries.values():
                entry["parameters"]["quick"] = False
        path = quick_run / "page.html"
        try:
            write_page(path, found.entries, evaluate_claims(found.entries), found.environment)
            return Page(path)
        finally:
            path.unlink(missing_ok=True)

    found.write = write
    return found


@pytest.fixture
def whole(report, homework):
    report.entries |= homework
    return report.write(quick=False)


@pytest.fixture(scope="session")
def homework():
    """Entries of the homework, not to be changed. They have the published tables, the widest of the page."""
    metrics = json.loads(read("docs/studies/claims.json"))["metrics"]
    common = {"version": "0", "data": "cifar10", "seconds": 1.0, "earlier": True, "plots": []}
    parameters = {
        "data": "cifar10",
        "seed": 0,
        "quick": False,
        "train_images": 44_000,
        "components": 1200,
        "draws": 100,
    }
    return {study: {**common, "parameters": parameters, "metrics": metrics[study]} for study in CIFAR10_STUDIES}
