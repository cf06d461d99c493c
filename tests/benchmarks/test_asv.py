"""The suite that asv runs, tested with simulated comparisons, and the asv plugin."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from benchmark_records import make_comparison
from conftest import assert_raises
from repository import ROOT

from benchmarks import asv_history, asv_suite
from benchmarks.asv_suite import CHOSEN_COMPARISONS, OTHERS, PEAK_MEMORY_COMPARISONS, Comparisons
from benchmarks.suite import COMPARISONS
from benchmarks.suite import OTHERS as OTHER_CASES


def test_cases_of_the_history_exist():
    assert set(CHOSEN_COMPARISONS) <= COMPARISONS.keys()
    assert {case for case, *_ in OTHERS.values()} <= OTHER_CASES.keys()
    for comparison in PEAK_MEMORY_COMPARISONS:
        assert any(name.startswith("scikit-learn") for name in COMPARISONS[comparison].baselines), comparison


@pytest.mark.parametrize("case", ["iris", "an epoch of mini-batches", "an epoch of a network"])
def test_every_case_of_the_history_runs(case):
    history = asv_history.History()
    history.setup(case)
    history.time_call(case)


def test_the_history_imports_fastlin_only():
    """Other releases are compared too: they may lack internal modules."""
    tree = ast.parse(Path(asv_history.__file__).read_text(encoding="utf-8"))
    imported_modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported_modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported_modules if name.split(".")[0] in ("fastlin", "benchmarks")} == {"fastlin"}


def make_record(**changes):
    return make_comparison(theirs=4.0, **{"objective_difference": -1e-3, **changes})


def test_a_comparison_is_run_once_for_all_its_numbers(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    # Numbers are rounded.
    unrounded_number, calls = 0.8556799999999999, []
    record = make_record(ratio=1 / unrounded_number)
    record["libraries"]["fastlin"] |= {"seconds": unrounded_number, "objective": unrounded_number}
    record["libraries"]["scikit-learn"] |= {"accuracy": None, "log_loss": unrounded_number}
    monkeypatch.setattr(
        asv_suite, "measure", lambda comparison, is_full_run: calls.append(comparison) or {comparison: record}
    )
    actual = {}
    for what in Comparisons.params[1]:
        comparisons = Comparisons()
        if what == "the baseline's accuracy":
            assert_raises("the case does not measure", comparisons.setup, "digits", what, error=NotImplementedError)
            continue
        comparisons.setup("digits", what)
        actual[what] = comparisons.track_result("digits", what)
    assert calls == ["digits"]
    assert actual == {
        "time over the baseline's": 0.8557,
        "objective above the baseline's": 0.0,
        "fastlin's seconds": 0.8557,
        "the baseline's seconds": 4.0,
        "fastlin's accuracy": 0.9,
        "fastlin's log loss": 0.25,
        "the baseline's log loss": 0.8557,
        "fastlin's objective": 0.85568,
        "the baseline's objective": 0.5,
    }


@pytest.mark.parametrize(
    ("answer", "error_type", "words"),
    [
        ({"side_effect": NotImplementedError("no data")}, NotImplementedError, "no data"),
        ({"side_effect": OSError("no disk")}, RuntimeError, "no disk"),
        # Unequal results give no number.
        ({"return_value": {"digits": make_record(failure="too high")}}, RuntimeError, "too high"),
    ],
)
def test_every_metric_of_a_failed_comparison_raises_its_error(monkeypatch, tmp_path, answer, error_type, words):
    for measure in (Mock(**answer), pytest.fail):
        monkeypatch.setattr(asv_suite, "measure", measure)
        assert_raises(words, asv_suite.load_or_measure_records, "digits", tmp_path, error=error_type)


def test_other_cases_report_the_numbers_in_their_records(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    records = {
        "limit-step": {"speed_fraction": 0.85568},
        "memory-text": {"fit_bytes": 12_345_678, "baseline_bytes": None},
        "pass-scaling": {"seconds": {"n": [1.0, 2.0, 3.0, 4.0, 5.0]}},
    }
    first_use_records = {"import": {"libraries": {"fastlin": {"seconds": 0.25}}}}
    # Only whole measurements include the first fit after an installation.
    measured = {(case, False): {case: record} for case, record in records.items()} | {
        ("first-use", True): first_use_records
    }
    monkeypatch.setattr(asv_suite, "measure", lambda case, is_full_run: measured[case, is_full_run])

    def track_value(what):
        others = asv_suite.Others()
        others.setup(what)
        return others.track_number(what)

    assert track_value("limit-step, fraction of the limit's speed") == 0.8557
    assert track_value("memory-text, bytes in addition to X") == 12_350_000
    assert_raises(
        "the case does not measure", track_value, "memory-text, bytes of scikit-learn", error=NotImplementedError
    )
    assert track_value("pass, n × 10, seconds") == 5.0
    assert track_value("import, seconds") == 0.25


def test_asv_does_not_read_the_benchmark_folder_as_a_commit_range():
    pytest.importorskip("asv", reason="asv is of the extra bench.")
    from asv.config import Config

    from benchmarks.asv_plugins import names

    paths, conf = ["benchmarks", "./benchmarks/", "HEAD", "HEAD~1..HEAD", None], Config.load()
    assert [names._is_benchmark_folder(conf, each) for each in paths] == [True, True, False, False, False]


# The output that asv stores for four parameter values of a benchmark. Only the second value was measured.
ASV_OUTPUT = """For parameters: 'mnist-float64', "the baseline's seconds"
asv: skipped: NotImplementedError("MNIST is not on disk: it's in no folder.") 

For parameters: 'mnist-float64', 'objective'
a warning

For parameters: 'mnist-uint8, 1 thread', 'objective'
asv: skipped: NotImplementedError("MNIST is not on disk: it's in no folder.") 

For parameters: 'pass-float64', 'accuracy'
asv: skipped: NotImplementedError('the case does not measure this number.')"""  # noqa: W291


def test_asv_prints_why_a_result_is_not_available(monkeypatch, capsys):
    pytest.importorskip("asv", reason="asv is of the extra bench.")
    from asv import runner
    from asv_runner.benchmarks._base import Benchmark

    from benchmarks.asv_plugins import names

    # This is how asv_runner writes what `setup` raises.
    def setup(comparison, what):
        raise NotImplementedError("MNIST is not on disk: it's in no folder.")

    skipped_benchmark = SimpleNamespace(
        _current_params=("mnist-float64", "objective"), _skip_tuples=(), _setups=[setup], _build_params=lambda: (1, 2)
    )
    assert Benchmark.do_setup(skipped_benchmark)
    assert capsys.readouterr().out.strip() == ASV_OUTPUT.splitlines()[1].strip()
    # Other failures are not listed.
    assert names.find_skip_reasons("For parameters: 'digits', 'objective'\nRuntimeError: too high") == {}
    assert names.find_skip_reasons("asv: skipped: NotImplementedError('no data')") == {"no data": []}
    logged_messages = []
    monkeypatch.setattr(
        runner, "log_benchmark_result", lambda results, benchmark, show_stderr: logged_messages.append("table")
    )
    for owner, name in (
        (names.Run, "run_from_conf_args"),
        (names.Machine, "get_defaults"),
        (names.MachineCommand, "run"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(names.Machine, "hardcoded_machine_name", None)
    monkeypatch.setattr(names.log, "info", lambda text, **options: logged_messages.append(text))
    names.setup()
    runner.log_benchmark_result(SimpleNamespace(stderr={"Comparisons": ASV_OUTPUT}), {"name": "Comparisons"})
    assert logged_messages == [
        "table",
        "n/a: MNIST is not on disk: it's in no folder. (mnist-float64; mnist-uint8, 1 thread)",
        "n/a: the case does not measure this number. (pass-float64)",
    ]
    logged_messages.clear()
    runner.log_benchmark_result(SimpleNamespace(stderr={}), {"name": "History"})
    assert logged_messages == ["table"]


def test_asv_takes_no_other_function_for_a_benchmark():
    # asv reads all modules of the folder, and its benchmarks are recognized by their names.
    pattern = re.compile(r"^(?:def|class) (?:time|timeraw|track|mem|peakmem)_", re.MULTILINE | re.IGNORECASE)
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").rglob("*.py")}
    assert [name for name, text in sources.items() if pattern.search(text)] == []
