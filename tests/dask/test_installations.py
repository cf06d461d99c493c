"""What is installed on the workers, beside what the client has."""

import asyncio

import pytest

from fastlin.dask.cluster import check_workers, describe_installation


class FakeClient:
    """A client whose workers answer what they are told to, but for those that are told nothing."""

    def __init__(self, **answers):
        self.answers = answers

    def nthreads(self):
        return dict.fromkeys(self.answers, 1)

    def sync(self, function):
        return asyncio.run(function())

    async def run(self, function, workers, on_error):
        [address] = workers
        if self.answers[address] is None:
            await asyncio.Event().wait()
        return {address: self.answers[address]}


def test_workers_with_the_same_versions_and_workers_that_are_lost_pass():
    own = describe_installation()
    assert own.keys() >= {"fastlin", "numba", "numpy", "scikit-learn"}
    assert check_workers(FakeClient(a=own, b=OSError("lost"), c=TimeoutError()), 60.0) == {"a"}
    assert check_workers(FakeClient(), 60.0) == set()
    # One that is stopped never answers.
    assert check_workers(FakeClient(a=None, b=own), 0.01) == {"b"}


@pytest.mark.parametrize("package", ["fastlin", "numba", "numpy", "scikit-learn"])
def test_another_version_is_named_with_the_worker_and_both_versions(package):
    own = describe_installation()
    client = FakeClient(a=own, b={**own, package: "0.0.1"})
    with pytest.raises(RuntimeError, match=rf"The worker b has {package} 0\.0\.1, but the client has {own[package]}\."):
        check_workers(client, 60.0)
    assert check_workers(client, 60.0, ["a"]) == {"a"}


def test_a_worker_without_fastlin_is_named():
    missing = ModuleNotFoundError("No module named 'fastlin'")
    with pytest.raises(
        RuntimeError, match=r"The worker b cannot say .* No module named 'fastlin'.* pip install"
    ) as raised:
        check_workers(FakeClient(b=missing), 60.0)
    assert raised.value.__cause__ is missing
