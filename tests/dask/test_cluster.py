"""Fits whose workers are lost, paused or killed while they run."""

import itertools
import os
import signal
import threading
import time
from concurrent.futures import CancelledError
from unittest.mock import Mock

import dask.array
import numpy as np
import pytest
from conftest import assert_raises
from distributed import Client, Event, KilledWorker, LocalCluster, Status

from fastlin.dask import LogisticRegression, LogisticRegressionCV
from fastlin.dask import cluster as module
from fastlin.dask.cluster import Cluster, ShardHandle, find_running_workers
from fastlin.exceptions import DataChangedError, NoWorkersError, WorkersLostError

from .conftest import QUIET_CV_PARAMETERS, assert_nothing_is_held, cut, make_rows

# Windows does not define SIGKILL; there, SIGTERM terminates a process immediately.
KILL_SIGNAL = getattr(signal, "SIGKILL", signal.SIGTERM)

# Workers are processes, which take seconds to start.
pytestmark = pytest.mark.thorough


def fit(model=None, **options):
    return (model or LogisticRegression()).fit(*cut(*make_rows()), **options)


@pytest.fixture(scope="module")
def expected(client):
    return fit()


@pytest.fixture
def pids(client):
    """Return the process ids of two workers per address; a test removes the workers that it kills."""
    client.wait_for_workers(2, timeout=60)
    return client.run(os.getpid)


@pytest.fixture
def act_before_calls(monkeypatch):
    """Return a function that patches a method of the Shards so that each call of the method first calls `action`."""
    call = Cluster._call_until_complete

    def patch(method, action):
        def run_action_and_call(self, called, *arguments):
            if called == method:
                action()
            return call(self, called, *arguments)

        monkeypatch.setattr(Cluster, "_call_until_complete", run_action_and_call)

    return patch


def kill_worker(pids):
    if pids:
        os.kill(pids.popitem()[1], KILL_SIGNAL)
        pids.clear()


class KillOnUnpickle:
    """An argument that kills the worker that unpickles it, while the client waits for the result of the call."""

    def __init__(self, pid):
        self.pid = pid

    def __reduce__(self):
        return os.kill, (self.pid, KILL_SIGNAL)


@pytest.mark.parametrize("number", [0, 5])
def test_a_worker_killed_during_a_pass_changes_no_bit(pids, expected, monkeypatch, number):
    n_calls, losses, call = itertools.count(), [], ShardHandle.call

    async def kill_during_call(self, client, *arguments):
        # Each pass calls two workers.
        if next(n_calls) != 2 * number:
            return await call(self, client, *arguments)
        losses.append(await call(self, client, *arguments, KillOnUnpickle(pids[self.address])))
        return losses[0]

    monkeypatch.setattr(ShardHandle, "call", kill_during_call)
    result = fit()
    [loss] = losses
    assert isinstance(loss, module.WORKER_LOSS_ERRORS)
    np.testing.assert_array_equal(result.coef_, expected.coef_)
    assert result.certificate_ == expected.certificate_
    assert result.n_passes_ == expected.n_passes_


@pytest.mark.slow
def test_labels_that_change_after_a_worker_is_lost_raise_an_error(client, pids, act_before_calls, tmp_path):
    (rows, y), mark, model = cut(*make_rows()[:2]), tmp_path / "mark", LogisticRegression()

    def change_after_loss(part):
        # A label between two of the others.
        return np.where((part == 1) & mark.exists(), 3, 2 * part)

    act_before_calls("sum", lambda: mark.touch() or kill_worker(pids))
    message = r"Partition \d was computed again.* \[0, 2, 4, 6\] before, and \[0, 3, 4, 6\] now"
    with pytest.raises(DataChangedError, match=message):
        model.fit(rows, y.map_blocks(change_after_loss, dtype=y.dtype))
    assert not pids
    assert not hasattr(model, "coef_")
    assert_nothing_is_held(client)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "n_jobs"), [("score", 1), ("sum", 2)])
def test_a_worker_killed_between_passes_changes_nothing(pids, act_before_calls, method, n_jobs):
    model = LogisticRegressionCV(Cs=3, cv=2, scoring="accuracy", n_jobs=n_jobs, **QUIET_CV_PARAMETERS)
    expected, threads = fit(model).scores_, set()

    def kill():
        threads.add(threading.get_ident())
        # With n_jobs=2, wait until both folds are being fitted.
        if len(threads) == n_jobs:
            kill_worker(pids)

    act_before_calls(method, kill)
    np.testing.assert_array_equal(fit(model).scores_, expected)
    assert not pids


@pytest.mark.slow
def test_a_worker_killed_while_its_shard_is_created_changes_no_bit(pids, expected, monkeypatch):
    original_wait_for = module.wait_for

    def wait_and_kill(futures, *others):
        original_wait_for(futures, *others)
        if futures[0].key.startswith("Shard") and pids:
            kill_worker(pids)
            time.sleep(0.5)

    monkeypatch.setattr(module, "wait_for", wait_and_kill)
    np.testing.assert_array_equal(fit().coef_, expected.coef_)
    assert not pids


@pytest.fixture
def two_workers(monkeypatch):
    """Yield a cluster of two workers in this process, which only a test can pause, and its client."""
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "silence_logs": 50}
    with (
        dask.config.set({f"distributed.worker.memory.{name}": False for name in ("pause", "spill", "target")}),
        LocalCluster(**options, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield cluster, client


def pause(worker, client):
    worker.status = Status.paused
    while worker.address in find_running_workers(client):
        time.sleep(0.01)


def close_workers(cluster, client):
    cluster.scale(0)
    while client.nthreads():
        time.sleep(0.01)


def test_paused_workers_raise_an_error_instead_of_hanging(two_workers):
    cluster, client = two_workers
    for worker in cluster.workers.values():
        pause(worker, client)
    model = LogisticRegression()
    address = min(worker.address for worker in cluster.workers.values())
    with pytest.raises(NoWorkersError, match=rf"no workers for 0\.5 seconds that accept .* Dask has paused {address}"):
        fit(model, client=client, worker_timeout=0.5)
    assert not hasattr(model, "coef_")


def test_tasks_of_other_users_do_not_count_as_progress(two_workers):
    cluster, client = two_workers
    first, second = cluster.workers.values()
    # Tasks on which a future depends do count, for example those that read a collection.
    end_event = Event(client=client)
    waiting = client.submit(lambda: end_event.wait(timeout=60), workers=[second.address], pure=False)
    dependent_task = client.submit(id, waiting)
    while not client.processing()[second.address]:
        time.sleep(0.01)
    assert module._are_futures_in_progress([dependent_task], client)
    pause(first, client)
    future = client.submit(id, 0, workers=[first.address], pure=False)
    assert_raises("no workers for 0", module.wait_for, [future], client, 0.3, error=NoWorkersError)
    assert not waiting.done()
    end_event.set()


def test_a_shard_on_another_worker_is_called_there(expected, two_workers, monkeypatch):
    cluster, client = two_workers
    first, second = cluster.workers.values()
    shard_addresses, original_who_has = [], client.who_has

    def pause_first_worker(futures):
        # The parts are in memory; the Shards are created next.
        holders = original_who_has(futures)
        if first.status == Status.running:
            assert {address for addresses in holders.values() for address in addresses} == {
                first.address,
                second.address,
            }
            pause(first, client)
        return holders

    monkeypatch.setattr(client, "who_has", pause_first_worker)
    monkeypatch.setattr(
        module, "ShardHandle", lambda address, *others: shard_addresses.append(address) or ShardHandle(address, *others)
    )
    result = fit(client=client)
    assert first.status == Status.paused
    assert shard_addresses == [second.address] * 2
    np.testing.assert_array_equal(result.coef_, expected.coef_)


@pytest.mark.slow
def test_versions_of_workers_that_join_during_a_fit_are_checked(two_workers, act_before_calls, monkeypatch):
    cluster, client = two_workers
    compared, check = [], module.check_workers
    monkeypatch.setattr(
        module, "check_workers", lambda client, timeout, new: compared.extend(new) or check(client, timeout, new)
    )
    before = set(client.nthreads())

    def change():
        if before & client.nthreads().keys():
            close_workers(cluster, client)
            cluster.scale(1)

    act_before_calls("sum", change)
    fit(client=client)
    assert compared == list(client.nthreads())
    assert not before & set(compared)


@pytest.mark.slow
def test_the_error_names_a_worker_with_other_kernels(client, pids, monkeypatch):
    monkeypatch.setattr(module, "hash_sources", lambda: "other")
    assert_raises(r"The worker tcp://\S+ has kernels with hash \w+, but .* has other", fit, error=RuntimeError)
    assert_nothing_is_held(client)


def test_cancelled_tasks_raise_a_clear_error(pids, monkeypatch):
    wait = module.wait_for
    monkeypatch.setattr(
        module, "wait_for", lambda futures, *others: others[0].cancel(futures) or wait(futures, *others)
    )
    with pytest.raises(WorkersLostError, match="Tasks of the fit were cancelled") as raised:
        fit()
    assert isinstance(raised.value.__cause__, CancelledError)


@pytest.mark.slow
def test_a_partition_that_kills_every_worker_raises_a_clear_error():
    X, y, _ = make_rows()
    dask_X, dask_y = cut(X, y)
    killing_rows = dask_X.map_blocks(lambda part: os.kill(os.getpid(), KILL_SIGNAL), dtype=X.dtype, meta=X[:0])
    options = {"n_workers": 1, "threads_per_worker": 1, "silence_logs": 60, "scheduler_kwargs": {"allowed_failures": 0}}
    with (
        LocalCluster(**options, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        pytest.raises(WorkersLostError, match=r"Several workers died while they computed tasks of the fit") as raised,
    ):
        LogisticRegression().fit(killing_rows, dask_y, client=client)
    assert isinstance(raised.value.__cause__, KilledWorker)


def test_the_loss_of_the_last_worker_raises_an_error_instead_of_hanging(two_workers, act_before_calls):
    cluster, client = two_workers
    act_before_calls("sum", lambda: close_workers(cluster, client))
    assert_raises(r"no workers for 0\.5 seconds", fit, client=client, worker_timeout=0.5, error=NoWorkersError)


@pytest.mark.slow
def test_a_closed_client_raises_an_error(client, act_before_calls):
    with Client(client.scheduler.address, set_as_default=False) as other:
        act_before_calls("sum", other.close)
        with pytest.raises(RuntimeError, match="closed") as raised:
            fit(client=other)
        assert raised.value.__context__ is None


def test_fits_inside_tasks_do_not_deadlock(client, pids, expected):
    # There are as many tasks as the workers have threads.
    for result in client.gather(client.map(lambda number: fit().coef_, range(2), pure=False)):
        np.testing.assert_array_equal(result, expected.coef_)


def test_an_interrupted_fit_frees_the_workers(client, pids, act_before_calls):
    model = LogisticRegression()
    ends = itertools.chain(5 * [None], [KeyboardInterrupt], itertools.repeat(None))
    act_before_calls("sum", Mock(side_effect=ends))
    assert_raises(None, fit, model, error=KeyboardInterrupt)
    assert not hasattr(model, "n_features_in_")
    assert_nothing_is_held(client)
