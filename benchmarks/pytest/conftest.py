"""Hooks for `pytest --benchmark-only`: options, skips for missing data, a line per benchmark, and tables."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import BLAS_LIMIT_VARIABLES
from benchmarks.bounds import describe_violations, read_bounds
from benchmarks.published import describe_machine, find_instruction_set_level, format_machine_title
from benchmarks.suite import COMPARISONS, OTHERS, PROBLEM_COLLECTIONS, QUICK_CASES
from benchmarks.tables import print_tables, summarize, tabulate

# Keys for the records of the session and of one benchmark.
SESSION_RECORDS_KEY, BENCHMARK_RECORDS_KEY = pytest.StashKey(), pytest.StashKey()
# Key for the number of finished benchmarks.
N_FINISHED_KEY = pytest.StashKey()
BENCHMARK_FOLDER = Path(__file__).parent


def pytest_addoption(parser):
    """Add command-line options for the benchmarks."""
    group = parser.getgroup("fastlin's benchmarks")
    group.addoption("--full", action="store_true", help="benchmarks: use all rows and run every case")
    group.addoption("--hold-bounds", action="store_true", help="benchmarks: --full, and assert benchmarks/bounds.json")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Restart without the variables that limit BLAS, because tests/conftest.py has already loaded NumPy."""
    if config.getoption("benchmark_only", False) and any(variable in os.environ for variable in BLAS_LIMIT_VARIABLES):
        environment = {name: value for name, value in os.environ.items() if name not in BLAS_LIMIT_VARIABLES}
        os.execve(sys.executable, sys.orig_argv, environment)


def pytest_configure(config):
    """Collect benchmarks with --benchmark-only and tests without it, unless the user names folders."""
    config.stash[SESSION_RECORDS_KEY], config.stash[N_FINISHED_KEY] = {}, 0
    # pytest-benchmark's table would mix microseconds and minutes.
    config.option.benchmark_quiet = True
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used:pytest.PytestWarning")
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        should_run_benchmarks = config.getoption("benchmark_only", False)
        config.args = [
            path for path in config.args if (Path(path).resolve() == BENCHMARK_FOLDER) == should_run_benchmarks
        ]


def _is_full_run(config):
    return config.getoption("full") or config.getoption("hold_bounds")


@pytest.fixture
def is_full_run(request):
    """Whether benchmarks use all rows."""
    return _is_full_run(request.config)


def pytest_generate_tests(metafunc):
    """Parametrize the tests with comparisons, everyday problems and quick cases, or with all cases for --full."""
    is_full_run = _is_full_run(metafunc.config)
    if "comparison" in metafunc.fixturenames:
        metafunc.parametrize("comparison", COMPARISONS)
    if "case" in metafunc.fixturenames:
        metafunc.parametrize(
            "case", [case for case in (OTHERS if is_full_run else QUICK_CASES) if case not in PROBLEM_COLLECTIONS]
        )
    if "problem" in metafunc.fixturenames:
        problems = [
            pytest.param(name, replace(collection, cases=(case,)), id=case.name)
            for name, collection in PROBLEM_COLLECTIONS.items()
            for case in collection.cases
            if is_full_run or case.is_short
        ]
        metafunc.parametrize(("collection", "problem"), problems)


@pytest.fixture
def keep(request, benchmark):
    """Return a function that checks records and stores them for the tables. --hold-bounds also checks bounds."""

    def store_records(records):
        stored_records = request.config.stash[SESSION_RECORDS_KEY]
        request.node.stash[BENCHMARK_RECORDS_KEY] = [
            problem
            for name, record in records.items()
            for problem in (record["problems"] if name in PROBLEM_COLLECTIONS else [record])
        ]
        benchmark.extra_info.update(records)
        for name, record in records.items():
            # Each test of a collection measures one problem.
            earlier_problems = stored_records.get(name, {}).get("problems", []) if name in PROBLEM_COLLECTIONS else []
            stored_records[name] = (
                {**record, "problems": earlier_problems + record["problems"]} if earlier_problems else record
            )
            problems = record.get("problems", [record])
            failures = [problem["failure"] for problem in problems if problem.get("failure")]
            assert not failures, f"{name}: {'; '.join(failures)}"
            assert record.get("fit_bytes", 0) <= record.get("allowed_bytes", 0)
        if request.config.getoption("hold_bounds"):
            violations = describe_violations(read_bounds(), records, find_instruction_set_level())
            assert not violations, "\n".join(violations)

    return store_records


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip a benchmark that raises a NotImplementedError. For asv, benchmarks raise this error if data are missing."""
    try:
        return (yield)
    except NotImplementedError as error:
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Print the result of a benchmark immediately, because the session takes minutes."""
    report = yield
    reporter = item.config.pluginmanager.get_plugin("terminalreporter")
    # A benchmark is not finished after a successful setup or teardown.
    is_finished = call.when == "call" or not report.passed
    if is_finished and reporter is not None and item.config.getoption("benchmark_only"):
        report.has_line = True
        item.config.stash[N_FINISHED_KEY] += 1
        for line in _describe_outcome(item, call, report):
            reporter.ensure_newline()
            reporter.write_line(f"[{item.config.stash[N_FINISHED_KEY]}/{item.session.testscollected}] {line}")
        # Flushing makes the lines visible in a file immediately.
        reporter.flush()
    return report


def _describe_outcome(item, call, report):
    """Yield the lines of a finished benchmark: its records, or the reason for a skip or a failure."""
    name = item.name.partition("[")[2].removesuffix("]")
    if not report.passed:
        reason, _, _ = str(call.excinfo.value).partition("\n")
        yield f"{name}: {report.outcome}: {reason}"
        return
    for record in item.stash[BENCHMARK_RECORDS_KEY]:
        line = summarize(record)
        yield line if line.startswith(f"{name}, ") else f"{name}: {line}"


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(report):
    """Omit the status letter of a benchmark, because each benchmark has its own line."""
    category, letter, word = yield
    return (category, "", "") if getattr(report, "has_line", False) else (category, letter, word)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    """Print the tables below pytest-benchmark's tables."""
    records = config.stash[SESSION_RECORDS_KEY]
    if not records:
        return
    machine, file = describe_machine(), terminalreporter._tw._file
    print(f"\n{format_machine_title(machine)}, {machine['level']}", file=file)
    print_tables(tabulate(records), file)
