"""Processes import the fastlin of the one that starts them, wherever that lies."""

from pathlib import Path

import fastlin
from benchmarks import processes
from benchmarks.processes import ROOT, run_python

PRINT = "import fastlin, benchmarks; print(fastlin.__file__); print(benchmarks.__path__[0])"


def test_a_process_imports_the_same_fastlin():
    assert run_python("-c", PRINT).split() == [fastlin.__file__, str(ROOT / "benchmarks")]


def test_an_installed_fastlin_comes_before_that_of_the_checkout(tmp_path, monkeypatch):
    installed = tmp_path / "fastlin" / "__init__.py"
    installed.parent.mkdir()
    installed.touch()
    monkeypatch.setattr(processes, "FASTLIN_ROOT", tmp_path)
    found, benchmarks = run_python("-c", PRINT).split()
    assert Path(found) == installed
    assert Path(benchmarks) == ROOT / "benchmarks"
