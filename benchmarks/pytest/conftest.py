"""What the pytest-benchmark files share: which runs are smoke runs, and how missing data become a skip."""

import os

import pytest

SMOKE = os.environ.get("FASTLIN_BENCHMARK_SMOKE") == "1"


def pytest_configure(config):
    """Allow a benchmark that is skipped, or whose comparison fails, to leave its fixture unused."""
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used:pytest.PytestWarning")


@pytest.fixture
def smoke():
    """Whether this is a smoke run: on small data, with every comparison of results and no bound on a ratio of times."""
    return SMOKE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Turn NotImplementedError into a skip; asv wants the benchmarks to report missing data by that error."""
    try:
        return (yield)
    except NotImplementedError as error:
        pytest.skip(str(error))
