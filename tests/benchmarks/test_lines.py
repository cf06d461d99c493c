"""The lines that `pytest --benchmark-only` prints: one per benchmark, as soon as it ends."""

import shutil
import subprocess
import sys

import pytest
from benchmark_records import make_comparison
from repository import ROOT

from benchmarks.tables import summarize

LIBRARIES = {"fastlin": {"seconds": 0.02, "threads": 2}, "its arithmetic": {"seconds": 0.01, "threads": 2}}
# The second benchmark ends only after the test has read the line of the first.
BENCHMARK_FILE = """
from pathlib import Path
from time import monotonic, sleep

import pytest

COMPARISON = {comparison!r}


@pytest.mark.parametrize("name", ["digits", "waits"])
def test_comparison(benchmark, keep, name):
    end = monotonic() + 60
    while name == "waits" and not Path({seen!r}).exists():
        assert monotonic() < end, "no line was printed as the first benchmark ended"
        sleep(0.01)
    benchmark.pedantic(keep, ({{name: COMPARISON}},), rounds=1)


@pytest.mark.parametrize("name", ["mnist"])
def test_missing(benchmark, name):
    raise NotImplementedError("MNIST is not on disk.\\nIts files are: ...")


@pytest.mark.parametrize("name", ["letter"])
def test_failure(benchmark, keep, name):
    keep({{name: {{**COMPARISON, "failure": "too high"}}}})
"""


# Importing the suite in a new process takes seconds.
@pytest.mark.thorough
@pytest.mark.parametrize("options", [["-q"], ["-v"]], ids=str)
def test_a_line_is_printed_as_each_benchmark_ends(options, tmp_path, monkeypatch):
    shutil.copy(ROOT / "benchmarks" / "pytest" / "conftest.py", tmp_path)
    seen, comparison = tmp_path / "seen", make_comparison(0.02, 0.3, interval=[13.0, 16.0])
    file, settings = tmp_path / "test_made_up.py", tmp_path / "pytest.ini"
    file.write_text(BENCHMARK_FILE.format(comparison=comparison, seen=str(seen)), encoding="utf-8")
    settings.write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(settings), "-p", "no:cacheprovider", "--benchmark-only"]
    # In a process that runs some of the tests, pytest-benchmark would be disabled.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    with subprocess.Popen([*command, *options, str(file)], cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8") as run:
        lines = []
        for line in run.stdout:
            lines.append(line.rstrip())
            if line.startswith("[1/4] "):
                seen.touch()
    faster_case_line = "digits, 10 × 2: 20 ms, 15 (13 to 16) times as fast as scikit-learn"
    assert [line for line in lines if line.startswith("[")] == [
        f"[1/4] {faster_case_line}",
        f"[2/4] waits: {faster_case_line}",
        "[3/4] mnist: skipped: MNIST is not on disk.",
        "[4/4] letter: failed: letter: too high",
    ]
    assert run.returncode == 1
    assert "1 failed, 2 passed, 1 skipped" in lines[-1]
    # pytest prints no dots, and the tables are at the end.
    assert not [line for line in lines if set(line) & {"."} and set(line) <= set(".sF")]
    assert any("times faster" in line for line in lines)


def test_records_of_every_kind_are_summarized():
    limit = {
        "kind": "limit",
        "title": "a pass",
        "limit": "its arithmetic",
        "speed_fraction": 0.5,
        "libraries": LIBRARIES,
    }
    for record, line in (
        ({**limit, "threads": 2}, "a pass: 20 ms, 50% of the speed of its arithmetic"),
        ({"kind": "memory", "title": "a fit", "fit_bytes": 3 * 10**6}, "a fit: 3.0 MB in addition to X"),
        ({"kind": "ablation", "title": "a path", "gains": {}}, "a path: measured"),
        ({"kind": "scaling"}, "scaling: measured"),
    ):
        assert summarize(record) == line
