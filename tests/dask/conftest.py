"""Two worker processes on this machine, for the tests of a file that need them, and data in partitions."""

import time

import numpy as np
import pytest
from conftest import make_problem

pytest.importorskip("dask.array", reason="Dask is not installed")
pytest.importorskip("distributed", reason="dask.distributed is not installed")

# What scikit-learn's search warns of where it is not given.
QUIET = {"l1_ratios": (0,), "use_legacy_attributes": False}


@pytest.fixture(scope="module")
def client():
    """The client of a cluster of two processes with a thread each."""
    import dask
    from distributed import Client, LocalCluster

    with (
        # A worker that was killed may take longer than Dask's 15 seconds to be back where other tests run beside it.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


def cut(*arrays, rows=90):
    import dask.array

    return [dask.array.from_array(array, chunks=(rows, *array.shape[1:])) for array in arrays]


def assert_nothing_is_held(client):
    """Wait until the workers have let go of all data."""
    deadline = time.monotonic() + 10
    while any(client.has_what().values()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(client.has_what().values())


def make_rows(n=400, d=6, n_classes=4, dtype=np.float64):
    return make_problem(n, d, n_classes, dtype)[:3]
