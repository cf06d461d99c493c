"""What is installed on the workers, beside what the client has."""

import pytest

from fastlin.dask.installations import check_workers, describe_installation


class FakeClient:
    """A client whose workers answer what they are told to."""

    def __init__(self, **answers):
        self.answers = answers

    def run(self, function, workers, on_error):
        return {address: each for address, each in self.answers.items() if workers is None or address in workers}


def test_workers_with_the_same_versions_and_workers_that_are_lost_pass():
    own = describe_installation()
    assert own.keys() >= {"fastlin", "numba", "numpy", "scikit-learn"}
    assert check_workers(FakeClient(a=own, b=OSError("lost"), c=TimeoutError())) == {"a"}
    assert check_workers(FakeClient()) == set()


@pytest.mark.parametrize("package", ["fastlin", "numba", "numpy", "scikit-learn"])
def test_another_version_is_named_with_the_worker_and_both_versions(package):
    own = describe_installation()
    client = FakeClient(a=own, b={**own, package: "0.0.1"})
    with pytest.raises(RuntimeError, match=rf"The worker b has {package} 0\.0\.1, but the client has {own[package]}\."):
        check_workers(client)
    assert check_workers(client, ["a"]) == {"a"}


def test_a_worker_without_fastlin_is_named():
    missing = ModuleNotFoundError("No module named 'fastlin'")
    with pytest.raises(
        RuntimeError, match=r"The worker b cannot say .* No module named 'fastlin'.* pip install"
    ) as raised:
        check_workers(FakeClient(b=missing))
    assert raised.value.__cause__ is missing
