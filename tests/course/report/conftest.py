"""A quick run of all studies of the course, and parsed reports of its results."""

import json
import os
from html.parser import HTMLParser
from types import SimpleNamespace
from unittest import mock

import pytest
import threadpoolctl
from repository import read

from fastlin import cli, datasets
from fastlin.cli.results import choose_report_entries
from fastlin.course.report import write_page
from fastlin.course.studies import CIFAR10_STUDIES
from fastlin.course.studies.claims import evaluate_claims

# Elements without an end tag.
VOID_ELEMENTS = {"meta", "img", "br", "hr", "link", "input"}


class ParsedPage(HTMLParser):
    """A parsed page: its text, its elements as (name, attributes), and the text of each section by its heading."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.text, self.elements, self.sections = "", [], {}
        self._open = []
        self.feed(self.source)
        self.close()
        assert self._open == [], "elements without an end tag"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID_ELEMENTS:
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
    """The output folder of a quick run of all studies of the course, offline and without data sets."""
    folder, missing_data_error = tmp_path_factory.mktemp("run"), datasets.DatasetNotFoundError("There is none.")
    with (
        mock.patch.object(datasets, "load_mnist", side_effect=missing_data_error),
        mock.patch.dict(os.environ, {"COLUMNS": "100"}),
        # With other tests running, a second BLAS thread would only wait.
        threadpoolctl.threadpool_limits(1),
    ):
        assert cli.main(["reproduce", "--quick", "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def report(quick_run):
    """Return the tuple (entries, environment, write) for the quick run. A test may change the entries."""
    results = json.loads((quick_run / "results.json").read_text(encoding="utf-8"))
    report = SimpleNamespace(entries=choose_report_entries(results, results), environment=results["environment"])

    def write(quick=True):
        """Write and parse the report. If `quick` is False, it presents the results as those of full studies."""
        if not quick:
            for entry in report.entries.values():
                entry["parameters"]["quick"] = False
        path = quick_run / "page.html"
        try:
            write_page(path, report.entries, evaluate_claims(report.entries), report.environment)
            return ParsedPage(path)
        finally:
            path.unlink(missing_ok=True)

    report.write = write
    return report


@pytest.fixture
def full_page(report, homework_entries):
    report.entries |= homework_entries
    return report.write(quick=False)


@pytest.fixture(scope="session")
def homework_entries():
    """Entries of the homework with the published tables, the widest of the page. Tests must not change them."""
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
