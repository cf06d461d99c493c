"""What pytest collects: benchmarks with --benchmark-only, and nothing else of them without it."""

import subprocess
import sys

import pytest
from conftest import marked
from repository import ROOT

WHOLE = {"test_case[limit-step]", "test_case[memory-text]"}


@pytest.mark.parametrize("options", [*marked(pytest.mark.thorough, []), *marked(pytest.mark.slow, ["--full"])], ids=str)
def test_the_literal_command_collects_benchmarks_alone_and_the_whole_ones_where_they_are_asked_for(options):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "--benchmark-only"]
    finished = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    files, names = zip(*(line.split("::") for line in finished.stdout.splitlines() if "::" in line), strict=True)
    assert set(files) == {"benchmarks/pytest/test_speed.py"}
    assert {"test_race[digits]", "test_everyday[iris, raw]"} <= set(names)
    assert WHOLE <= set(names) if options else not any("[limit" in name for name in names)
