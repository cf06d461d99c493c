"""Calls to all workers of a Dask cluster that store partitions, and recovery if workers are lost.

The scheduler recomputes lost Parts, which are Dask futures. `Cluster` recreates lost Shards, which are actors.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from threading import RLock
from time import monotonic, sleep
from typing import Any

import distributed
import numpy as np

from fastlin import __version__
from fastlin.dask.shard import Shard, update_cache
from fastlin.dask.tree import sum_subtree
from fastlin.environment.extras import format_install_command
from fastlin.exceptions import NoWorkersError, WorkersLostError
from fastlin.kernels.linear.operands import NO_ROWS, Samples
from fastlin.kernels.machine.cache_folder import hash_sources
from fastlin.objective.rows import multiply_weights_by_counts
from fastlin.typing import Array, IntArray

# With other versions of these packages, a fit may fail or give different bits.
VERSION_CHECKED_PACKAGES = ("numba", "numpy", "scikit-learn")
# Seconds between checks while waiting for a result that may never arrive.
TIMEOUT = 2.0
# Seconds between searches for parts of lost workers.
RETRY_SECONDS = 0.2
# Maximum number of workers that may be lost during a call.
MAX_LOST_WORKERS = 20
# The status "lost" is excluded, because Dask computes a lost future again, and waiting for its result would never end.
FAILED_STATUSES = ("error", "cancelled")
# Errors raised by an actor whose worker is lost. Errors in a Shard's methods are returned as results.
WORKER_LOSS_ERRORS = (OSError, RuntimeError)
MEMORY_ADVICE = (
    "The most common cause is too little memory: give each worker more memory, or use smaller partitions. See the logs "
    "of the workers."
)


@dataclass(frozen=True, eq=False)
class ShardHandle:
    """A Shard: the address of its worker, its actor, the numbers of its parts, and the keys of its cached arrays."""

    address: str
    actor: Any
    parts: frozenset[int]
    cached_array_keys: dict[int, None] = field(default_factory=dict)

    def select_uncached_arrays(self, arrays: Mapping[int, Array], borders: IntArray) -> dict[int, dict[int, Array]]:
        """Return a dict of the arrays that the Shard has not cached.

        Each array is split into the partitions of the Shard.
        """
        uncached_arrays = {key: array for key, array in arrays.items() if key not in self.cached_array_keys}
        # The Shard evicts the same keys.
        update_cache(self.cached_array_keys, dict.fromkeys(arrays))
        return {
            key: {number: array[borders[number] : borders[number + 1]] for number in self.parts}
            for key, array in uncached_arrays.items()
        }

    async def call(self, client, method, *arguments):
        """Return the result and the error of a method, one of which is None.

        Return an exception if the Shard is lost.
        """
        try:
            task = asyncio.ensure_future(self.actor.run(method, *arguments))
            while not (await asyncio.wait([task], timeout=TIMEOUT))[0]:
                if self.address not in await client.nthreads():
                    return TimeoutError(f"{self.address} has left the cluster.")
            return task.result()
        except WORKER_LOSS_ERRORS as loss:
            return loss


class Cluster:
    """The Shards of a fit, and calls to all of them.

    `parts` are futures of encoded partitions, and `lengths` are their numbers of rows. `worker_timeout` is in seconds,
    and `known_workers` is a result of `check_workers`.

    Calls take the Samples of all rows. An array is sent to a worker only once, and only the weights differ between
    folds.
    """

    def __init__(
        self,
        client: distributed.Client,
        parts: Sequence[distributed.Future],
        lengths: Sequence[int],
        worker_timeout: float,
        known_workers: set[str],
    ) -> None:
        self._client, self._parts, self._borders = client, parts, np.cumsum([0, *lengths])
        self._worker_timeout, self._known_workers = worker_timeout, known_workers
        self._shards: list[ShardHandle] = []
        # The futures of all Shards, including Shards that are being created.
        self._futures: list[distributed.Future] = []
        self._last_worker_error: Exception | None = None
        # A dict from the keys of recent calls to the row indices and the array of the caller, and the array that was
        # sent.
        self._sent_arrays: dict[int, tuple[tuple[IntArray, Array], Array]] = {}
        self._key_counter = count()
        # While the client computes a step for one fold, the workers make a pass for another.
        self._lock = RLock()

    def release(self) -> None:
        """Free all memory that the fit uses on the workers."""
        # Actors belong to reference cycles, so releasing their futures would not free the actors at once. If the client
        # is closed, there is nothing to cancel, and the error that closed the client should be raised.
        with contextlib.suppress(Exception):
            self._client.cancel(self._futures)
        self._shards, self._futures = [], []
        release(self._parts)

    def call(self, samples: Samples, method: str, *arguments: object) -> dict[Any, Any]:
        """Return a dict with the results of a method of the Shards, sorted by partition or node.

        Raise a NoWorkersError or WorkersLostError if workers do not respond.
        """
        with self._lock:
            results = {
                key: value
                for result in self._call_until_complete(method, samples, arguments)
                for key, value in result.items()
            }
        return {key: results[key] for key in sorted(results)}

    def sum(
        self, samples: Samples, term: Callable[..., Any], join: Callable[[Iterable[Any]], Any], *arguments: object
    ) -> Any:
        """Return the sum of `Shard.sum` over all partitions."""
        return sum_subtree((0, len(self._parts)), self.call(samples, "sum", term, join, *arguments).get, join)

    def _register_arrays(self, samples):
        """Return the keys of the labels, weights, offsets and targets of `samples`, and a dict of these arrays.

        Rows that `samples` does not include have weight zero.
        """
        indices, *arrays = samples
        keys = []
        for pair in zip((NO_ROWS, indices, NO_ROWS, NO_ROWS), arrays, strict=True):
            key = next(
                (
                    key
                    for key, (sent_rows_and_array, _) in self._sent_arrays.items()
                    if all(map(_are_same_array, pair, sent_rows_and_array))
                ),
                None,
            )
            if key is None:
                key, (rows, array) = next(self._key_counter), pair
                if len(rows):
                    array = multiply_weights_by_counts(rows, array if len(array) else None, self._borders[-1])
                self._sent_arrays[key] = pair, array
            update_cache(self._sent_arrays, {key: self._sent_arrays[key]})
            keys.append(key)
        return keys, {key: self._sent_arrays[key][1] for key in keys}

    def _call_until_complete(self, method, samples, arguments):
        """Return the results of a method of the Shards, in any order."""
        keys, arrays = self._register_arrays(samples)
        results, missing, n_lost_workers = [], set(range(len(self._parts))), 0
        while missing:
            if n_lost_workers > MAX_LOST_WORKERS:
                raise WorkersLostError(
                    f"{n_lost_workers} workers were lost during one pass over the data. {MEMORY_ADVICE}"
                ) from self._last_worker_error
            if not self._create_shards(missing):
                n_lost_workers += 1
                # The client may not have been notified of the loss yet.
                sleep(RETRY_SECONDS)
                continue
            called_shards = [shard for shard in self._shards if shard.parts & missing]
            calls = [
                (shard, (method, keys, shard.select_uncached_arrays(arrays, self._borders), *arguments))
                for shard in called_shards
            ]
            for shard, outcome in zip(called_shards, self._call_shards(calls), strict=True):
                if isinstance(outcome, Exception):
                    self._last_worker_error = outcome
                    self._shards.remove(shard)
                    n_lost_workers += 1
                    continue
                result, error = outcome
                if error is not None:
                    raise error
                results.append(result)
                missing -= shard.parts
        return results

    def _call_shards(self, calls):
        """Return the results of `ShardHandle.call` for pairs of shards and arguments, called concurrently."""

        async def call_all():
            return await asyncio.gather(*(shard.call(self._client, *arguments) for shard, arguments in calls))

        return self._client.sync(call_all)

    def _create_shards(self, parts):
        """Create Shards for parts without a Shard, on the workers that store them.

        Return whether all parts have a Shard.
        """
        unplaced_parts = sorted(parts.difference(*(shard.parts for shard in self._shards)))
        if not unplaced_parts:
            return True
        wait_for([self._parts[number] for number in unplaced_parts], self._client, self._worker_timeout)
        worker_addresses = self._client.who_has([self._parts[number] for number in unplaced_parts])
        parts_by_address: dict[str, list[int]] = {}
        for number in unplaced_parts:
            # A part that has been lost in the meantime is on no worker. The next call of this method creates its Shard.
            for address in sorted(worker_addresses.get(self._parts[number].key, ()))[:1]:
                parts_by_address.setdefault(address, []).append(number)
        self._check_new_workers(parts_by_address)
        futures = {
            address: self._client.submit(
                Shard,
                {number: self._parts[number] for number in numbers},
                len(self._parts),
                actor=True,
                pure=False,
                workers=[address],
                allow_other_workers=True,
            )
            for address, numbers in parts_by_address.items()
        }
        self._futures += futures.values()
        for address, future in futures.items():
            try:
                wait_for([future], self._client, self._worker_timeout)
                # If the requested worker is paused, the Shard is on another worker.
                owner_addresses, actor = self._client.who_has([future]).get(future.key, ()), future.result()
            except NoWorkersError:
                raise
            except WORKER_LOSS_ERRORS as loss:
                self._last_worker_error = loss
                continue
            self._check_new_workers(owner_addresses)
            for owner in list(owner_addresses)[:1]:
                self._shards.append(ShardHandle(owner, actor, frozenset(parts_by_address[address])))
        return not parts.difference(*(shard.parts for shard in self._shards))

    def _check_new_workers(self, addresses):
        """Check the versions of workers that joined during the fit.

        The others are not queried, because they may not respond.
        """
        new = set(addresses) - self._known_workers
        if new:
            self._known_workers |= check_workers(self._client, self._worker_timeout, new)


def _are_same_array(array, other):
    """Return whether two arrays have the same shape and dtype, and use the same memory or are empty."""
    is_compatible = array.shape == other.shape and array.dtype == other.dtype
    return is_compatible and (not len(array) or array.ctypes.data == other.ctypes.data)


def wait_for(futures: Sequence[distributed.Future], client: distributed.Client, worker_timeout: float) -> None:
    """Wait for futures. Raise a NoWorkersError if no worker computes any of them for `worker_timeout` seconds."""
    seen = monotonic()
    while True:
        try:
            # `distributed.wait` uses the current client, which may differ from `client`.
            with client.as_current():
                distributed.wait(futures, timeout=TIMEOUT)
        except TimeoutError:
            if not any(future.status in FAILED_STATUSES for future in futures):
                seen = monotonic() if _are_futures_in_progress(futures, client) else seen
                if monotonic() - seen > worker_timeout:
                    raise NoWorkersError(_describe_missing_workers(client, worker_timeout)) from None
                continue
        # The futures are read in order, so that the error names the first invalid partition.
        for future in futures:
            if future.status in FAILED_STATUSES:
                future.result()
        return


def _are_futures_in_progress(futures, client):
    """Return whether a worker that is not paused processes a task that the futures depend on."""
    try:
        return client.run_on_scheduler(_has_running_task, [future.key for future in futures])
    except ValueError:
        # The scheduler of Dask Gateway does not run functions, so tasks of other users are also included.
        processing = client.processing()
        return any(processing.get(address) for address in find_running_workers(client))


def _has_running_task(keys, dask_scheduler):
    """Return whether a worker that is not paused processes one of the tasks or one of their dependencies."""
    tasks = [dask_scheduler.tasks[key] for key in keys if key in dask_scheduler.tasks]
    seen = set(tasks)
    while tasks:
        task = tasks.pop()
        worker = task.processing_on
        if worker is not None and worker.status == distributed.Status.running:
            return True
        new = {dependency for dependency in task.dependencies if dependency.state != "memory"} - seen
        seen |= new
        tasks += new
    return False


def find_running_workers(client: distributed.Client) -> dict[str, int]:
    """Return a dict from the address of each worker that is not paused to its number of threads."""
    scheduler: Any = client.scheduler
    return client.sync(scheduler.ncores_running)


def _describe_missing_workers(client, worker_timeout):
    """Return the message of a NoWorkersError."""
    workers = client.nthreads()
    message = f"The Dask cluster has had no workers for {worker_timeout:g} seconds that accept the tasks of the fit. "
    paused_workers = sorted(workers.keys() - find_running_workers(client).keys())
    if paused_workers:
        others = " and others" if len(paused_workers) > 5 else ""
        return (
            f"{message}Dask has paused {', '.join(paused_workers[:5])}{others}, as it does if memory runs short: give "
            "each worker more memory, or add workers."
        )
    return f"{message}It has {len(workers)} workers, none of which may run them. Add workers, or raise worker_timeout."


@contextlib.contextmanager
def explain_worker_losses() -> Iterator[None]:
    """Convert Dask's errors for failed tasks to a WorkersLostError."""
    try:
        yield
    except distributed.KilledWorker as error:
        raise WorkersLostError(f"Several workers died while they computed tasks of the fit. {MEMORY_ADVICE}") from error
    except (CancelledError, asyncio.CancelledError) as error:
        raise WorkersLostError(
            "Tasks of the fit were cancelled, or the client or the scheduler was restarted. Fit again with data that "
            "Dask can still compute."
        ) from error


def release(futures: Iterable[distributed.Future]) -> None:
    """Release futures, even if the traceback of an error still refers to them."""
    for future in futures:
        future.release()


def describe_installation() -> dict[str, str]:
    """Return a dict with the versions of fastlin and its dependencies, and the hash of its kernels."""
    return {
        "fastlin": __version__,
        **{package: version(package) for package in VERSION_CHECKED_PACKAGES},
        "kernels with hash": hash_sources(),
    }


def check_workers(
    client: distributed.Client, worker_timeout: float, addresses: Iterable[str] | None = None
) -> set[str]:
    """Return the workers that respond within `worker_timeout`: those at `addresses`, or all if it is None.

    Raise a RuntimeError if fastlin is not installed on a worker, or if its versions differ from the client's.
    """
    client_versions, checked_addresses = describe_installation(), set()
    workers = sorted(client.nthreads() if addresses is None else addresses)

    async def query(address):
        task = client.run(describe_installation, workers=[address], on_error="return")
        try:
            return (await asyncio.wait_for(task, worker_timeout))[address]
        except TimeoutError as error:
            return error

    async def query_all():
        return await asyncio.gather(*map(query, workers))

    for address, versions in zip(workers, client.sync(query_all), strict=True):
        if isinstance(versions, OSError):
            continue
        if isinstance(versions, Exception):
            raise RuntimeError(
                f"The versions installed on the worker {address} cannot be read ({type(versions).__name__}: "
                f"{versions}). Install fastlin {__version__} on it, as on the client: {format_install_command('dask')}"
            ) from versions
        for name, expected in client_versions.items():
            if versions.get(name) != expected:
                raise RuntimeError(
                    f"The worker {address} has {name} {versions.get(name)}, but the client has {expected}. Install "
                    "the same versions on the client and on all workers."
                )
        checked_addresses.add(address)
    return checked_addresses
