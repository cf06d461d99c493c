"""Fixtures that run the program in this process, in an empty folder, offline and without data sets."""

import subprocess
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from fastlin import cli, datasets
from fastlin.cli import studies
from fastlin.course import figures

UNREACHABLE_ADDRESS = "http://127.0.0.1:9"
CHURN_SIZES = {"churn": 2_000, "val": 1_500, "new": 1_000}
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


def make_churn_table(n_rows, seed):
    """Return customers as a DataFrame: missing numbers and strings, dates, booleans, and 1.4 % of positive labels."""
    generator = np.random.default_rng(seed)
    age = generator.integers(18, 90, n_rows).astype(float)
    age[generator.random(n_rows) < 0.05] = np.nan
    income = generator.lognormal(3, 0.6, n_rows).round(2)
    income[generator.random(n_rows) < 0.1] = np.nan
    plan = generator.choice(["basic", "plus", "pro", None], n_rows, p=[0.5, 0.3, 0.18, 0.02])
    days = generator.integers(0, 1400, n_rows)
    calls = generator.poisson(2, n_rows)
    score = 0.8 * calls + 1.5 * (plan == "basic") - days / 500 - 0.5 * np.isnan(age) + generator.logistic(size=n_rows)
    # The labels are the largest scores, so the fraction of positives is exact.
    is_positive = score >= np.sort(score)[-round(0.014 * n_rows)]
    return pd.DataFrame(
        {
            "customer": [f"c{i:06d}" for i in range(n_rows)],
            "age": age,
            "income": income,
            "plan": plan,
            "region": generator.choice([f"r{k:02d}" for k in range(20)], n_rows),
            "signup": pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D"),
            "calls": calls,
            "autopay": generator.choice([True, False], n_rows),
            "churned": np.where(is_positive, "yes", "no"),
        }
    )


@pytest.fixture
def churn(run, tmp_path):
    """Write three tables of customers into the working folder of the program, and return them as a dict."""
    tables = {name: make_churn_table(n_rows, seed) for seed, (name, n_rows) in enumerate(CHURN_SIZES.items())}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return tables
