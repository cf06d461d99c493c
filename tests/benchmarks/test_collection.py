"""What pytest collects: benchmarks with --benchmark-only, and nothing else of them without it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def collect(*options):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in finished.stdout.splitlines() if "::" in line]


@pytest.mark.thorough
def test_the_literal_command_collects_benchmarks_alone():
    names = collect("--benchmark-only")
    assert {name.partition("::")[0] for name in names} == {"benchmarks/pytest/test_speed.py"}
    assert "benchmarks/pytest/test_speed.py::test_race[digits]" in names
    assert "benchmarks/pytest/test_speed.py::test_everyday[iris, raw]" in names
    assert not any("[limit" in name for name in names)


@pytest.mark.slow
def test_whole_benchmarks_have_every_case():
    names = collect("--benchmark-only", "--full")
    assert "benchmarks/pytest/test_speed.py::test_case[limit-step]" in names
    assert "benchmarks/pytest/test_speed.py::test_case[memory-text]" in names
