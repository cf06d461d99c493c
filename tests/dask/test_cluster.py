"""Workers that are lost while a fit runs."""

import asyncio
import os
import signal
import threading
import time

import dask.array
import numpy as np
import pytest
from distributed import Client, LocalCluster

from fastlin.dask import LogisticRegression, LogisticRegressionCV
from fastlin.dask import cluster as module
from fastlin.dask.cluster import Cluster, Placed
from fastlin.exceptions import DataChangedError

from .conftest import assert_nothing_is_held, cut, make_rows

# On Windows every signal ends a process at once, and this one has no name.
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


@pytest.fixture(scope="module")
def expected(client):
    return LogisticRegression().fit(*cut(*make_rows()))


def kill(client, address):
    [pid] = client.run(os.getpid, workers=[address]).values()
    os.kill(pid, KILL)


def wait_for_workers(client):
    client.wait_for_workers(2, timeout=60)


@pytest.mark.parametrize("number", [0, 5])
def test_a_worker_that_is_killed_in_a_pass_changes_no_bit(client, expected, monkeypatch, number):
    wait_for_workers(client)
    n_calls, is_killed, ask, pids = 0, [], Placed.ask, client.run(os.getpid)

    async def kill_and_ask(self, *arguments):
        nonlocal n_calls
        n_calls += 1
        # Each call asks two workers.
        if n_calls == 2 * number + 1:
            asyncio.get_running_loop().call_later(0.001, os.kill, pids[self.address], KILL)
            is_killed.append(self.address)
        return await ask(self, *arguments)

    monkeypatch.setattr(Placed, "ask", kill_and_ask)
    found = LogisticRegression().fit(*cut(*make_rows()))
    assert is_killed
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    assert found.certificate_ == expected.certificate_
    assert found.n_passes_ == expected.n_passes_


def test_a_worker_that_is_killed_while_data_are_read_changes_no_bit(client, expected):
    wait_for_workers(client)
    X, y, weights = cut(*make_rows())
    slow = X.map_blocks(lambda part: (time.sleep(0.5), part)[1], dtype=X.dtype)
    address = min(client.nthreads())
    threading.Timer(0.8, kill, (client, address)).start()
    found = LogisticRegression().fit(slow, y, weights)
    np.testing.assert_array_equal(found.coef_, expected.coef_)


def test_labels_that_change_once_a_worker_is_lost_are_an_error(client, monkeypatch, tmp_path):
    wait_for_workers(client)
    X, y, _ = make_rows()
    np.save(tmp_path / "y.npy", 2 * y)
    [rows] = cut(X)

    def read_labels(path, block_info=None):
        [(first, last)] = block_info[None]["array-location"]
        return np.load(path)[first:last]

    labels = dask.array.map_blocks(read_labels, tmp_path / "y.npy", chunks=rows.chunks[:1], dtype=y.dtype)
    pids, call = client.run(os.getpid), Cluster._call

    def change_and_call(self, method, arguments):
        if method == "evaluate" and pids:
            # A label between two of the others.
            np.save(tmp_path / "y.npy", np.where(y == 1, 3, 2 * y))
            os.kill(pids.popitem()[1], KILL)
            pids.clear()
        return call(self, method, arguments)

    monkeypatch.setattr(Cluster, "_call", change_and_call)
    model = LogisticRegression()
    with pytest.raises(DataChangedError, match=r"Partition \d was .* which were \[0, 2, 4, 6\] and are \[0, 3, 4, 6\]"):
        model.fit(rows, labels)
    assert not pids
    assert not hasattr(model, "coef_")
    assert_nothing_is_held(client)


@pytest.mark.parametrize("method", ["open", "close"])
def test_a_worker_that_is_killed_between_passes_changes_nothing(client, monkeypatch, method):
    wait_for_workers(client)
    model = LogisticRegressionCV(Cs=[0.1, 1], cv=2, l1_ratios=(0,), scoring="accuracy", use_legacy_attributes=False)
    expected = model.fit(*cut(*make_rows())).scores_
    pids, call = client.run(os.getpid), Cluster._call

    def kill_and_call(self, called, arguments):
        if called == method and pids:
            os.kill(pids.popitem()[1], KILL)
            pids.clear()
        return call(self, called, arguments)

    wait_for_workers(client)
    monkeypatch.setattr(Cluster, "_call", kill_and_call)
    np.testing.assert_array_equal(model.fit(*cut(*make_rows())).scores_, expected)
    assert not pids


def test_a_worker_that_is_killed_while_its_shard_is_placed_changes_no_bit(client, expected, monkeypatch):
    wait_for_workers(client)
    pids, wait = client.run(os.getpid), module.wait_for

    def wait_and_kill(futures, *others):
        wait(futures, *others)
        if futures[0].key.startswith("Shard") and pids:
            os.kill(pids.popitem()[1], KILL)
            pids.clear()
            time.sleep(0.5)

    monkeypatch.setattr(module, "wait_for", wait_and_kill)
    np.testing.assert_array_equal(LogisticRegression().fit(*cut(*make_rows())).coef_, expected.coef_)
    assert not pids


def test_folds_side_by_side_survive_too(client, monkeypatch):
    wait_for_workers(client)
    model = LogisticRegressionCV(Cs=3, cv=2, l1_ratios=(0,), scoring="accuracy", use_legacy_attributes=False)
    expected = model.fit(*cut(*make_rows())).scores_
    threading.Timer(0.3, kill, (client, min(client.nthreads()))).start()
    np.testing.assert_array_equal(model.fit(*cut(*make_rows())).scores_, expected)


def test_a_cluster_without_workers_is_an_error_and_no_hang(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    X, y, _ = make_rows()
    with (
        LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
        pytest.raises(RuntimeError, match=r"no workers for 0\.5 seconds"),
    ):
        LogisticRegression().fit(*cut(X, y), client=client, worker_timeout=0.5)


def test_a_fit_that_loses_its_last_worker_is_an_error_and_no_hang(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    call = Cluster._call
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):

        def leave_and_call(self, method, arguments):
            if method == "evaluate":
                cluster.scale(0)
                while client.nthreads():
                    time.sleep(0.01)
            return call(self, method, arguments)

        monkeypatch.setattr(Cluster, "_call", leave_and_call)
        with pytest.raises(RuntimeError, match=r"no workers for 0\.5 seconds"):
            LogisticRegression().fit(*cut(*make_rows()), client=client, worker_timeout=0.5)


def test_a_client_that_is_closed_is_an_error(client, monkeypatch):
    with Client(client.scheduler.address, set_as_default=False) as other:

        def close_and_call(self, method, arguments):
            if method == "evaluate":
                other.close()
            return call(self, method, arguments)

        call = Cluster._call
        monkeypatch.setattr(Cluster, "_call", close_and_call)
        with pytest.raises(RuntimeError, match="closed") as raised:
            LogisticRegression().fit(*cut(*make_rows()), client=other)
        assert raised.value.__context__ is None


def test_tasks_that_fit_wait_for_no_thread_of_their_own(client, expected):
    wait_for_workers(client)

    def fit(number):
        return LogisticRegression(C=1.0).fit(*cut(*make_rows())).coef_

    # As many tasks as the workers have threads.
    for coef in client.gather(client.map(fit, range(2), pure=False)):
        np.testing.assert_array_equal(coef, expected.coef_)


def test_what_a_worker_cannot_do_is_raised_here(client, monkeypatch):
    wait_for_workers(client)

    def fail(self, method, *arguments):
        return call(self, "no_such_method" if method == "evaluate" else method, *arguments)

    call = Cluster.call
    monkeypatch.setattr(Cluster, "call", fail)
    with pytest.raises(AttributeError, match="no_such_method"):
        LogisticRegression().fit(*cut(*make_rows()))


def test_an_interrupted_fit_frees_the_workers(client, expected, monkeypatch):
    wait_for_workers(client)
    n_calls = 0

    def interrupt(self, method, *arguments):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 6:
            raise KeyboardInterrupt
        return call(self, method, *arguments)

    call = Cluster.call
    monkeypatch.setattr(Cluster, "call", interrupt)
    model = LogisticRegression()
    with pytest.raises(KeyboardInterrupt):
        model.fit(*cut(*make_rows()))
    assert not hasattr(model, "n_features_in_")
    assert_nothing_is_held(client)
