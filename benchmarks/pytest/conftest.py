"""What the pytest-benchmark files share: which runs are smoke runs, and how data that are missing are skipped."""

import os

import pytest

SMOKE = os.environ.get("FASTLIN_BENCHMARK_SMOKE") == "1"


def pytest_configure(config):
    """Let a benchmark that is skipped, or whose comparison fails, leave its fixture unused."""
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used:pytest.PytestWarning")


@pytest.fixture
def smoke():
    """Say whether this is a smoke run: small data, every comparison of results, no bound on a ratio of times."""
    return SMOKE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip where a data set is not on disk, which the benchmarks report as NotImplementedError, as asv wants it."""
    try:
        return (yield)
    except NotImplementedError as error:
        pytest.skip(str(error))
