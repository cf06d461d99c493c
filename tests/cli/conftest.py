"""The program in this process, and as a process of its own, in an empty folder, offline and without data."""

import dataclasses
import os
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from fastlin import cli, datasets
from fastlin.cli import fit_and_predict, studies
from fastlin.kernels.machine.cache_folder import cache_folder

OFFLINE = {
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "FASTLIN_DATA": "",
    "COLUMNS": "100",
}


@dataclasses.dataclass
class Finished:
    """What a run of the program left behind: its exit status and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def digits(monkeypatch):
    """Let the program find no data set, without looking for one."""

    def find_nothing(*arguments, folder=None):
        raise datasets.DatasetNotFoundError("There is no data set in this test.")

    monkeypatch.setattr(datasets, "load_mnist", find_nothing)
    monkeypatch.setattr(datasets, "load_cifar10", find_nothing)


@pytest.fixture
def no_page(monkeypatch):
    """Let the program write no page, since the templates need what real studies find; return what it would show."""
    shown = []

    def note(path, entries, claims, environment, failed):
        shown.append((path, entries, claims))

    monkeypatch.setattr(studies, "write_page", note)
    return shown


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the program in this process; return what it left behind."""
    monkeypatch.chdir(tmp_path)
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)

    def run(*arguments):
        capsys.readouterr()
        status = cli.main(list(arguments))
        return Finished(status, *capsys.readouterr())

    return run


@pytest.fixture
def run_process(fastlin_program, tmp_path):
    """Run the program as a process of its own; compiled code is taken from where this process has it."""

    def run(*arguments, **environment):
        variables = {**os.environ, **OFFLINE, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        variables.setdefault("NUMBA_CACHE_DIR", str(cache_folder().parent.parent))
        return subprocess.run(
            [*fastlin_program, *arguments],
            cwd=tmp_path,
            env={**variables, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def table():
    """Return flights with a column of texts, two of numbers, and labels."""
    n_rows, generator = 200, np.random.default_rng(0)
    carrier = generator.choice(["AA", "UA", None], n_rows, p=[0.5, 0.4, 0.1])
    delay = generator.normal(size=n_rows).round(3)
    late = np.where(delay + (carrier == "UA") + generator.normal(size=n_rows) > 0.5, "late", "on time")
    return pa.table({"carrier": carrier, "delay": delay, "day": np.arange(n_rows) % 7, "end": late})


@pytest.fixture
def files(table, run, tmp_path):
    """Write the table in both formats into the folder that the program runs in."""
    pyarrow.csv.write_csv(table, tmp_path / "flights.csv")
    pyarrow.parquet.write_table(table, tmp_path / "flights.parquet")
    return tmp_path


@pytest.fixture
def no_pictures(monkeypatch):
    """Let the program draw nothing, which takes longer than all else."""
    monkeypatch.setattr(fit_and_predict, "embed", lambda *arguments: "")
