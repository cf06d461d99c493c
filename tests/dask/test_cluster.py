"""Workers that are lost while a fit runs."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from distributed import Client, LocalCluster

from fastlin.dask import LogisticRegression, LogisticRegressionCV
from fastlin.dask import cluster as module
from fastlin.dask.cluster import Cluster

from .conftest import assert_nothing_is_held, cut, make_rows


@pytest.fixture(scope="module")
def expected(client):
    return LogisticRegression().fit(*cut(*make_rows()))


def kill(client, address):
    [pid] = client.run(os.getpid, workers=[address]).values()
    os.kill(pid, signal.SIGKILL)


def wait_for_workers(client):
    client.wait_for_workers(2, timeout=60)


@pytest.mark.parametrize("number", [0, 1, 5])
def test_a_worker_that_is_killed_in_a_pass_changes_no_bit(client, expected, monkeypatch, number):
    wait_for_workers(client)
    n_calls, is_killed, answer = 0, [], Cluster._await

    def kill_and_await(self, shard, coming):
        nonlocal n_calls
        n_calls += 1
        # Each call has two answers.
        if n_calls == 2 * number + 1:
            kill(client, shard.address)
            is_killed.append(shard.address)
        return answer(self, shard, coming)

    monkeypatch.setattr(Cluster, "_await", kill_and_await)
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
