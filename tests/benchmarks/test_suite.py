"""Every case runs on tiny problems and is published; pytest collects the benchmarks on request."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from benchmark_records import RUN, make_machine
from conftest import marked
from repository import ROOT

from benchmarks import ablation, inference, limits, memory, passes, processes, scaling, sweeps
from benchmarks.comparisons import FASTLIN, load_problem, run_comparison, shorten
from benchmarks.pages import BLOCKS
from benchmarks.plots import draw_plots, read_source
from benchmarks.suite import BASELINES, COLLECTIONS, COMPARISONS, OTHERS, measure
from benchmarks.tables import tabulate

# Only this case compiles a pass over bytes.
BYTES_CASE = "limit-pass-uint8"
# These numbers of rows suffice for the classes of each problem.
ROWS = {"text-l1": 40, "digits": 400, "one-hot": 400, "course-float64": 700, "course-float32": 700}
# Numbers of rows for cases that are not comparisons.
FEW_ROWS = {
    **dict.fromkeys(sweeps.CASES, 80),
    **dict.fromkeys(inference.CASES, 600),
    **dict.fromkeys(limits.LIMITS, 60),
    **dict.fromkeys(memory.CASES, 150),
}
# One ablation is enough.
OTHER_ABLATIONS = ablation.CASES.keys() - {"ablation-descent"}
TINY = [
    name for name in OTHERS if name not in {BASELINES, BYTES_CASE, *OTHER_ABLATIONS} and not name.startswith("probe")
]
WHOLE = {"test_case[limit-step]", "test_case[memory-text]"}


@pytest.mark.thorough
@pytest.mark.parametrize("name", COMPARISONS)
def test_every_comparison_runs(name):
    rows = ROWS.get(name, 200)
    comparison = replace(
        COMPARISONS[name], rows=rows, within=float("inf"), warm_up_rows=min(rows, COMPARISONS[name].warm_up_rows)
    )
    try:
        problem = load_problem(comparison)
    except NotImplementedError as error:
        pytest.skip(str(error))
    record = run_comparison(shorten(comparison), problem).describe()
    assert json.loads(json.dumps(record)) == record
    assert {FASTLIN, record["baseline"]} <= record["libraries"].keys()
    (table,) = tabulate({name: record})
    assert table.rows[0][0].startswith(COMPARISONS[name].title)


@pytest.fixture
def tiny(monkeypatch):
    """Make cases other than comparisons small, and start no processes."""
    monkeypatch.setattr(sweeps, "SMALL_COLUMNS", 30)
    monkeypatch.setattr(sweeps, "count_threads", lambda: 1)
    monkeypatch.setattr(inference, "WITH_MEMORY", "")
    monkeypatch.setattr(memory, "call_in_process", lambda *fit: 10**7)
    monkeypatch.setattr(processes, "run_first", lambda module, cache: [1.0, 2.0])
    monkeypatch.setattr(passes, "SMALL_BASE", {"n": 20, "d": 2, "K": 3})
    panels = [replace(each, few_values=each.few_values[:1], base={**each.base, "n": 200}) for each in scaling.SWEEPS]
    monkeypatch.setattr(scaling, "SWEEPS", [panels[1], panels[3]])


@pytest.mark.parametrize("name", [*TINY, *marked(pytest.mark.thorough, BYTES_CASE)])
def test_every_other_case_is_measured_and_published(name, tiny, tmp_path):
    try:
        if name in FEW_ROWS:
            records = {name: replace(OTHERS[name], rows=FEW_ROWS[name])()}
        elif name in COLLECTIONS:
            cases = [case for case in COLLECTIONS[name].cases if "iris" in case.name or case.shape == (100, 10, 2)]
            records = {name: replace(COLLECTIONS[name], cases=cases).measure()}
        else:
            records = measure(name)
    except NotImplementedError as error:
        pytest.skip(str(error))
    assert json.loads(json.dumps(records)) == records
    assert not any(record.get("failure") for record in records.values())
    if name.startswith("sweep-small"):
        ours, theirs = records[name]["libraries"].values()
        assert ours["validation"] == pytest.approx(theirs["validation"], rel=0.02)
        assert ours["C"] == theirs["C"]
    contents = {"a": {"machine": make_machine(), "records": {each: record | RUN for each, record in records.items()}}}
    kinds = {record["kind"] for record in records.values()}
    if kinds <= {"scaling", "passes"}:
        draw_plots(contents, tmp_path)
        (plot,) = tmp_path.glob("*.png")
        assert read_source(plot)
    else:
        assert tabulate(records)
    excluded = {"readme-comparisons", "chosen-comparisons", "claims", "runs"}
    shown = {block: show(contents) for block, show in BLOCKS.items() if block not in excluded}
    empty = {block: show({}) for block, show in BLOCKS.items() if block in shown}
    assert any(shown[block] != empty[block] for block in shown)


@pytest.mark.parametrize("options", [*marked(pytest.mark.thorough, []), *marked(pytest.mark.slow, ["--full"])], ids=str)
def test_benchmark_only_collects_benchmarks_and_full_ones_on_request(options):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "--benchmark-only"]
    finished = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    files, names = zip(*(line.split("::") for line in finished.stdout.splitlines() if "::" in line), strict=True)
    assert set(files) == {"benchmarks/pytest/test_speed.py"}
    assert {"test_comparison[digits]", "test_everyday[iris, raw]"} <= set(names)
    assert WHOLE <= set(names) if options else not any("[limit" in name for name in names)
