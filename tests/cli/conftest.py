"""Fixtures that run the program in this process, in an empty folder, offline and without data sets."""

import subprocess
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from fastlin import cli, datasets
from fastlin.cli import studies
from fastlin.course import figures

UNREACHABLE_ADDRESS = "http://127.0.0.1:9"
OFFLINE_ENVIRONMENT = {
    "http_proxy": UNREACHABLE_ADDRESS,
    "https_proxy": UNREACHABLE_ADDRESS,
    "FASTLIN_DATA": "",
    "COLUMNS": "100",
}


@pytest.fixture
def digits(monkeypatch):
    """Make every data set unavailable, without a search."""
    for loader_name in ("load_mnist", "load_cifar10"):
        monkeypatch.setattr(datasets, loader_name, Mock(side_effect=datasets.DatasetNotFoundError("There is none.")))


@pytest.fixture
def page_calls(monkeypatch):
    """Skip writing the report, whose templates need the results of real studies; return the calls."""
    calls = []
    monkeypatch.setattr(studies, "write_page", lambda path, entries, *others: calls.append((path, entries)))
    return calls


@pytest.fixture
def skip_plots(monkeypatch):
    """Skip drawing, which takes longer than everything else."""
    monkeypatch.setattr(figures, "draw", lambda *arguments: [])


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the program in this process, check its exit status and return the completed process."""
    monkeypatch.chdir(tmp_path)
    for name, value in OFFLINE_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def run(*arguments, status=0):
        capsys.readouterr()
        completed_process = subprocess.CompletedProcess(arguments, cli.main(list(arguments)), *capsys.readouterr())
        assert completed_process.returncode == status, completed_process
        return completed_process

    return run


@pytest.fixture
def assert_error(run, tmp_path):
    """Run an invalid call: it must exit with status 2, print one line with the message, and change no file."""

    def read_all_files():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def assert_error(message, *arguments):
        before = read_all_files()
        completed_process = run(*arguments, status=2)
        assert message in completed_process.stderr
        assert completed_process.stderr.startswith("fastlin: ") and completed_process.stderr.count("\n") == 1
        assert read_all_files() == before
        return completed_process

    return assert_error


@pytest.fixture
def table():
    """Return flights with a text column, two numeric columns, and labels."""
    n_rows, generator = 200, np.random.default_rng(0)
    carriers = generator.choice(["AA", "UA", None], n_rows, p=[0.5, 0.4, 0.1])
    delays = generator.normal(size=n_rows).round(3)
    arrival_labels = np.where(delays + (carriers == "UA") + generator.normal(size=n_rows) > 0.5, "late", "on time")
    return pa.table({"carrier": carriers, "delay": delays, "day": np.arange(n_rows) % 7, "end": arrival_labels})


@pytest.fixture
def files(table, run, tmp_path):
    """Write the table in both formats into the working folder of the program."""
    pyarrow.csv.write_csv(table, tmp_path / "flights.csv")
    pyarrow.parquet.write_table(table, tmp_path / "flights.parquet")
    return tmp_path
