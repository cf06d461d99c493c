"""Fixtures and helpers for Dask: a cluster of two local worker processes, shared per file, and partitioned data."""

import time

import numpy as np
import pytest
from conftest import make_problem

pytest.importorskip("dask.array", reason="Dask is not installed")
pytest.importorskip("distributed", reason="dask.distributed is not installed")

# scikit-learn's search warns without these arguments.
QUIET_CV_PARAMETERS = {"l1_ratios": (0,), "use_legacy_attributes": False}


@pytest.fixture(scope="module")
def client():
    """Yield the client of a cluster of two processes with one thread each."""
    import dask
    from distributed import Client, LocalCluster

    with (
        # A killed worker may need longer than Dask's 15 seconds to restart while other tests run.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


def cut(*arrays, rows=90):
    import dask.array

    return [dask.array.from_array(array, chunks=(rows, *array.shape[1:])) for array in arrays]


def assert_nothing_is_held(client):
    """Check that the workers release all data within ten seconds."""
    deadline = time.monotonic() + 10
    while any(client.has_what().values()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(client.has_what().values())


def make_rows(n=400, d=6, n_classes=4, dtype=np.float64):
    return make_problem(n, d, n_classes, dtype)[:3]
