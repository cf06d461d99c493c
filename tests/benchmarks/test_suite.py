"""Every case runs on tiny problems and is published; pytest collects the benchmarks on request."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from benchmark_records import RUN_RECORD, make_machine
from conftest import mark_params
from repository import ROOT

from benchmarks import (
    ablation,
    class_passes,
    foreign_suites,
    inference,
    limits,
    memory,
    passes,
    processes,
    scaling,
    sweeps,
)
from benchmarks.comparisons import FASTLIN, load_problem, run_comparison, shorten_comparison
from benchmarks.pages import BLOCK_FUNCTIONS
from benchmarks.plots import read_records_digest, save_plots
from benchmarks.suite import BASELINES, COMPARISONS, OTHERS, PROBLEM_COLLECTIONS, measure
from benchmarks.tables import tabulate

# Only this case compiles a pass over bytes.
UINT8_PASS_CASE = "limit-pass-uint8"
# With these numbers of rows, every class occurs in each problem.
N_ROWS_PER_COMPARISON = {"text-l1": 40, "digits": 400, "one-hot": 400, "course-float64": 700, "course-float32": 700}
# Numbers of rows for cases that are not comparisons.
N_ROWS_PER_CASE = {
    **dict.fromkeys(sweeps.CASES, 80),
    **dict.fromkeys(inference.CASES, 600),
    **dict.fromkeys(limits.LIMIT_CASES, 60),
    **dict.fromkeys(memory.CASES, 150),
    **dict.fromkeys(class_passes.CASES, 60),
}
# One ablation is enough.
OTHER_ABLATIONS = ablation.CASES.keys() - {"ablation-descent"}
SMALL_CASES = [
    name
    for name in OTHERS
    if name not in {BASELINES, UINT8_PASS_CASE, *OTHER_ABLATIONS, *foreign_suites.CASES}
    and not name.startswith("probe")
]
FULL_BENCHMARKS = {"test_case[limit-step]", "test_case[memory-text]"}


@pytest.mark.thorough
@pytest.mark.parametrize("name", COMPARISONS)
def test_every_comparison_runs(name):
    rows = N_ROWS_PER_COMPARISON.get(name, 200)
    comparison = replace(
        COMPARISONS[name], rows=rows, within=float("inf"), n_warm_up_rows=min(rows, COMPARISONS[name].n_warm_up_rows)
    )
    try:
        problem = load_problem(comparison)
    except NotImplementedError as error:
        pytest.skip(str(error))
    record = run_comparison(shorten_comparison(comparison), problem).describe()
    assert json.loads(json.dumps(record)) == record
    assert {FASTLIN, record["baseline"]} <= record["libraries"].keys()
    (table,) = tabulate({name: record})
    assert table.rows[0][0].startswith(COMPARISONS[name].title)


@pytest.fixture
def tiny(monkeypatch):
    """Make cases other than comparisons small, and start no processes."""
    monkeypatch.setattr(inference, "MEMORY_CASE", "")
    monkeypatch.setattr(memory, "call_in_process", lambda *fit: 10**7)
    monkeypatch.setattr(processes, "measure_import_and_fit", lambda module, cache: [1.0, 2.0])
    monkeypatch.setattr(passes, "SMALL_BASE_SIZES", {"n": 20, "d": 2, "K": 3})
    panels = [
        replace(each, short_values=each.short_values[:1], base={**each.base, "n": 200}) for each in scaling.SWEEPS
    ]
    monkeypatch.setattr(scaling, "SWEEPS", [panels[1], panels[3]])


@pytest.mark.parametrize(
    "name", [*SMALL_CASES, *mark_params(pytest.mark.thorough, UINT8_PASS_CASE, *foreign_suites.CASES)]
)
def test_every_other_case_is_measured_and_published(name, tiny, tmp_path):
    try:
        if name in N_ROWS_PER_CASE:
            records = {name: replace(OTHERS[name], rows=N_ROWS_PER_CASE[name])()}
        elif name in PROBLEM_COLLECTIONS:
            cases = [
                case for case in PROBLEM_COLLECTIONS[name].cases if "iris" in case.name or case.shape == (100, 10, 2)
            ]
            records = {name: replace(PROBLEM_COLLECTIONS[name], cases=cases).measure()}
        else:
            records = measure(name)
    except NotImplementedError as error:
        pytest.skip(str(error))
    assert json.loads(json.dumps(records)) == records
    assert not any(record.get("failure") for record in records.values())
    contents = {
        "a": {"machine": make_machine(), "records": {each: record | RUN_RECORD for each, record in records.items()}}
    }
    kinds = {record["kind"] for record in records.values()}
    if kinds <= {"scaling", "passes"}:
        save_plots(contents, tmp_path)
        (plot,) = tmp_path.glob("*.png")
        assert read_records_digest(plot)
    else:
        assert tabulate(records)
    excluded = {"readme-comparisons", "chosen-comparisons", "claims", "runs"}
    shown = {block: show(contents) for block, show in BLOCK_FUNCTIONS.items() if block not in excluded}
    empty_blocks = {block: show({}) for block, show in BLOCK_FUNCTIONS.items() if block in shown}
    assert any(shown[block] != empty_blocks[block] for block in shown)


def test_every_ablation_replaces_an_existing_attribute():
    patches = ablation.DISABLING_PATCHES
    assert [title for title, (owner, name, _) in patches.items() if not hasattr(owner, name)] == []


@pytest.mark.parametrize(
    "options", [*mark_params(pytest.mark.thorough, []), *mark_params(pytest.mark.slow, ["--full"])], ids=str
)
def test_benchmark_options_select_the_collected_benchmarks(options):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "--benchmark-only"]
    completed_process = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    files, names = zip(
        *(line.split("::") for line in completed_process.stdout.splitlines() if "::" in line), strict=True
    )
    assert set(files) == {"benchmarks/pytest/test_speed.py"}
    assert {"test_comparison[digits]", "test_everyday[iris, raw]"} <= set(names)
    assert FULL_BENCHMARKS <= set(names) if options else not any("[limit" in name for name in names)
