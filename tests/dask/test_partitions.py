"""The assignment of partitions to workers, and the requirements of a fit: a client, labels, equal installations."""

import asyncio
import importlib
import sys
from types import SimpleNamespace

import dask.dataframe
import distributed
import pytest
from conftest import assert_raises

from fastlin.dask import LogisticRegression
from fastlin.dask.cluster import Cluster, check_workers, describe_installation

from .conftest import assert_nothing_is_held, cut, make_rows


def test_missing_labels_client_or_dask_raise_clear_errors(monkeypatch):
    X, y, _ = cut(*make_rows())
    for labels, message in ((y, "There is no Dask client"), (None, "requires y to be passed")):
        with pytest.raises(ValueError, match=message):
            LogisticRegression().fit(X, labels)
    for name in [name for name in sys.modules if name.startswith("fastlin.dask")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[dask\]' in a checkout of fastlin"):
        importlib.import_module("fastlin.dask")


@pytest.mark.thorough
def test_the_error_names_data_that_dask_cannot_compute(client):
    X, y, _ = make_rows(n=100, n_classes=2)
    dask_X, dask_y = cut(X, y, rows=50)
    persisted = dask_X.persist()
    client.cancel(distributed.futures_of(persisted))
    message = (
        "Dask cannot compute {}: some partitions were persisted on another cluster, .* Create the collection again"
    )
    assert_raises(message.format("X"), LogisticRegression().fit, persisted, dask_y)
    labels = dask_y.persist()
    client.cancel(distributed.futures_of(labels))
    assert_raises(message.format("X and y"), LogisticRegression().fit, persisted, labels)
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster, set_as_default=False) as other:
        labels = other.persist(dask_y)
        assert_raises(message.format("y"), LogisticRegression().fit, dask_X, labels, client=client)
    # Another client of the same cluster has the data.
    with distributed.Client(client.scheduler.address, set_as_default=False) as second:
        assert LogisticRegression().fit(second.persist(dask_X), dask_y, client=client).converged_
    assert_nothing_is_held(client)


@pytest.mark.thorough
def test_workers_get_consecutive_partitions_unless_the_data_are_persisted(client, monkeypatch):
    node_counts, call = [], Cluster._call_until_complete

    def count_nodes(self, method, *arguments):
        results = call(self, method, *arguments)
        if method == "sum":
            node_counts.append(sum(map(len, results)))
        return results

    monkeypatch.setattr(Cluster, "_call_until_complete", count_nodes)
    dask_X, dask_y = cut(*make_rows()[:2], rows=20)
    LogisticRegression(max_iter=1, tol=1.0).fit(dask_X, dask_y)
    # Two consecutive halves of 20 partitions are five nodes, and alternating partitions are 14 nodes. An idle worker
    # may take over a task.
    assert node_counts[0] <= 9
    second = max(client.nthreads())
    for data in (dask_X, dask.dataframe.from_dask_array(dask_X, columns=list("abcdef"))):
        node_counts.clear()
        LogisticRegression(max_iter=1, tol=1.0).fit(client.persist(data, workers=[second]), dask_y)
        assert node_counts[0] <= 5


def make_client(**worker_responses):
    """Return a client whose workers return the responses; a worker with the response None never responds."""

    async def run(function, workers, on_error):
        if worker_responses[workers[0]] is None:
            await asyncio.Event().wait()
        return {workers[0]: worker_responses[workers[0]]}

    return SimpleNamespace(nthreads=lambda: worker_responses, sync=lambda function: asyncio.run(function()), run=run)


def test_the_error_names_a_worker_without_fastlin():
    installation = describe_installation()
    assert check_workers(make_client(a=installation, b=OSError("lost"), c=TimeoutError()), 60.0) == {"a"}
    assert check_workers(make_client(), 60.0) == set()
    # A stopped worker never responds.
    assert check_workers(make_client(a=None, b=installation), 0.01) == {"b"}
    missing = ModuleNotFoundError("No module named 'fastlin'")
    message = r"The versions installed on the worker b cannot be read .* No module named 'fastlin'.* pip install"
    with pytest.raises(RuntimeError, match=message) as raised:
        check_workers(make_client(b=missing), 60.0)
    assert raised.value.__cause__ is missing


@pytest.mark.parametrize("package", ["fastlin", "numba", "numpy", "scikit-learn", "kernels with hash"])
def test_the_error_names_a_worker_with_another_version(package):
    installation = describe_installation()
    client = make_client(a=installation, b={**installation, package: "0.0.1"})
    with pytest.raises(
        RuntimeError, match=rf"The worker b has {package} 0\.0\.1, but the client has {installation[package]}\."
    ):
        check_workers(client, 60.0)
    assert check_workers(client, 60.0, ["a"]) == {"a"}
