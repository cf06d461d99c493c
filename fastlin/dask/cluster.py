"""The workers of a cluster as one: each partition on one of them, and calls that survive the loss of some.

Parts are Dask futures, which the scheduler computes again, and Shards are actors, which are made again.
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
from fastlin.dask.shard import Shard, remember
from fastlin.dask.tree import add_up
from fastlin.exceptions import NoWorkersError, WorkersLostError
from fastlin.extras import tell_install
from fastlin.kernels.linear.operands import NO_ROWS, Samples
from fastlin.kernels.machine.cache_folder import hash_sources
from fastlin.objective.rows import weigh_by_counts
from fastlin.typing import Array, IntArray

# Other versions of these give other bits, or none.
PACKAGES = ("numba", "numpy", "scikit-learn")
# Seconds between two looks at what may never come.
TIMEOUT = 2.0
# Seconds after which parts whose worker was lost are looked for again.
PAUSE = 0.2
# Workers that a call may lose before it gives up.
MAX_LOSSES = 20
# A future that is lost is computed again, and to ask for its result would be to wait without end.
FAILED = ("error", "cancelled")
# What an actor whose worker is lost raises. The errors of a Shard are answers.
LOSSES = (OSError, RuntimeError)
ADVICE = (
    "Most often their memory is too small: give each more of it, or cut the data into smaller partitions. The workers' "
    "logs say more."
)


@dataclass(frozen=True, eq=False)
class Placed:
    """A Shard on the worker of an address, the actor that calls it, the numbers of its parts, and the keys it knows."""

    address: str
    actor: Any
    parts: frozenset[int]
    known: dict[int, None] = field(default_factory=dict)

    def tell(self, arrays: Mapping[int, Array], borders: IntArray) -> dict[int, dict[int, Array]]:
        """Return, by keys, those arrays of all rows that the Shard does not know yet, cut into its parts."""
        new = {key: array for key, array in arrays.items() if key not in self.known}
        # A Shard forgets at the same time.
        remember(self.known, dict.fromkeys(arrays))
        return {
            key: {number: array[borders[number] : borders[number + 1]] for number in self.parts}
            for key, array in new.items()
        }

    async def ask(self, client, method, *given):
        """Return the answer of a method of the Shard and its error, of which one is None; the loss where it is lost."""
        try:
            coming = asyncio.ensure_future(self.actor.run(method, *given))
            while not (await asyncio.wait([coming], timeout=TIMEOUT))[0]:
                if self.address not in await client.nthreads():
                    return TimeoutError(f"{self.address} has left the cluster.")
            return coming.result()
        except LOSSES as loss:
            return loss


class Cluster:
    """The Shards of a fit, over futures of encoded Parts with some numbers of rows, and calls to all of them.

    Each call is about Samples of all rows, of which a worker is told each array once: folds share all but the weights.
    worker_timeout is how many seconds to wait for a worker; known_workers are as `check_workers` returns them.
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
        self._shards: list[Placed] = []
        # The futures of all Shards, those that are being made among them.
        self._futures: list[distributed.Future] = []
        self._last_loss: Exception | None = None
        # Of the arrays of the last calls the numbers of the rows and the array as given, and as it is told, by keys.
        self._told: dict[int, tuple[tuple[IntArray, Array], Array]] = {}
        self._keys = count()
        # Folds are fitted side by side: while one computes a step, the workers make the pass of another.
        self._lock = RLock()

    def release(self) -> None:
        """Let the workers forget everything."""
        # Actors stand in cycles of references, so that releasing their futures would not end them at once. Where the
        # client is closed there is nothing left to end, and the error that closed it counts.
        with contextlib.suppress(Exception):
            self._client.cancel(self._futures)
        self._shards, self._futures = [], []
        release(self._parts)

    def ask(self, samples: Samples, method: str, *arguments: object) -> dict[Any, Any]:
        """Return the answers of a method of the Shards by partitions or nodes, in their order.

        NoWorkersError or WorkersLostError where workers do not answer.
        """
        with self._lock:
            answers = {key: value for answer in self._call(method, samples, arguments) for key, value in answer.items()}
        return {key: answers[key] for key in sorted(answers)}

    def sum(
        self, samples: Samples, term: Callable[..., Any], join: Callable[[Iterable[Any]], Any], *arguments: object
    ) -> Any:
        """Return what `Shard.sum` does, over all partitions."""
        return add_up((0, len(self._parts)), self.ask(samples, "sum", term, join, *arguments).get, join)

    def _register(self, samples):
        """Return the keys of the labels, weights, offsets and targets of samples, and the arrays that are told by keys.

        Rows that are not among the numbers of the samples have no weight.
        """
        named, *arrays = samples
        keys = []
        for given in zip((NO_ROWS, named, NO_ROWS, NO_ROWS), arrays, strict=True):
            key = next((key for key, (known, _) in self._told.items() if all(map(_are_same, given, known))), None)
            if key is None:
                key, (rows, told) = next(self._keys), given
                if len(rows):
                    told = weigh_by_counts(rows, told if len(told) else None, self._borders[-1])
                self._told[key] = given, told
            remember(self._told, {key: self._told[key]})
            keys.append(key)
        return keys, {key: self._told[key][1] for key in keys}

    def _call(self, method, samples, arguments):
        """Return the answers of a method of the Shards, in any order."""
        keys, arrays = self._register(samples)
        answers, missing, n_lost = [], set(range(len(self._parts))), 0
        while missing:
            if n_lost > MAX_LOSSES:
                raise WorkersLostError(
                    f"{n_lost} workers were lost during one pass over the data. {ADVICE}"
                ) from self._last_loss
            if not self._place(missing):
                n_lost += 1
                # The client may not have been told yet.
                sleep(PAUSE)
                continue
            called = [shard for shard in self._shards if shard.parts & missing]
            calls = [(shard, (method, keys, shard.tell(arrays, self._borders), *arguments)) for shard in called]
            for shard, found in zip(called, self._ask(calls), strict=True):
                if isinstance(found, Exception):
                    self._last_loss = found
                    self._shards.remove(shard)
                    n_lost += 1
                    continue
                answer, error = found
                if error is not None:
                    raise error
                answers.append(answer)
                missing -= shard.parts
        return answers

    def _ask(self, calls):
        """Return what `Placed.ask` returns for shards, each with what it is given, in one turn of the event loop."""

        async def ask_all():
            return await asyncio.gather(*(shard.ask(self._client, *given) for shard, given in calls))

        return self._client.sync(ask_all)

    def _place(self, parts):
        """Make Shards of those parts that are in none, each where they are; say whether all of them have one now."""
        homeless = sorted(parts.difference(*(shard.parts for shard in self._shards)))
        if not homeless:
            return True
        wait_for([self._parts[number] for number in homeless], self._client, self._worker_timeout)
        holders = self._client.who_has([self._parts[number] for number in homeless])
        by_address: dict[str, list[int]] = {}
        for number in homeless:
            # A part that was lost since has no holder; it is found in the next turn.
            for address in sorted(holders.get(self._parts[number].key, ()))[:1]:
                by_address.setdefault(address, []).append(number)
        self._compare(by_address)
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
            for address, numbers in by_address.items()
        }
        self._futures += futures.values()
        for address, future in futures.items():
            try:
                wait_for([future], self._client, self._worker_timeout)
                # Another worker has taken it where the one that was asked is paused.
                owners, actor = self._client.who_has([future]).get(future.key, ()), future.result()
            except NoWorkersError:
                raise
            except LOSSES as loss:
                self._last_loss = loss
                continue
            self._compare(owners)
            for owner in list(owners)[:1]:
                self._shards.append(Placed(owner, actor, frozenset(by_address[address])))
        return not parts.difference(*(shard.parts for shard in self._shards))

    def _compare(self, addresses):
        """Compare workers that have come since the fit began. Others may be lost, and would be waited for."""
        new = set(addresses) - self._known_workers
        if new:
            self._known_workers |= check_workers(self._client, self._worker_timeout, new)


def _are_same(array, other):
    """Say whether two arrays are the same memory, or both have no entries; the arrays of a type and shape."""
    is_alike = array.shape == other.shape and array.dtype == other.dtype
    return is_alike and (not len(array) or array.ctypes.data == other.ctypes.data)


def wait_for(futures: Sequence[distributed.Future], client: distributed.Client, worker_timeout: float) -> None:
    """Wait until all of the futures are there; give up where no worker works for them for worker_timeout seconds."""
    seen = monotonic()
    while True:
        try:
            # It waits with the current client, which need not be the one that is given.
            with client.as_current():
                distributed.wait(futures, timeout=TIMEOUT)
        except TimeoutError:
            if not any(future.status in FAILED for future in futures):
                seen = monotonic() if _is_at_work(futures, client) else seen
                if monotonic() - seen > worker_timeout:
                    raise NoWorkersError(_tell_of_workers(client, worker_timeout)) from None
                continue
        # In the order of the futures, so that the error names the first bad partition.
        for future in futures:
            if future.status in FAILED:
                future.result()
        return


def _is_at_work(futures, client):
    """Say whether some worker computes what futures wait for: none does for what waits for one that is paused."""
    try:
        return client.run_on_scheduler(_find_work, [future.key for future in futures])
    except ValueError:
        # The scheduler of Dask Gateway runs no functions: there the tasks of others count too.
        processing = client.processing()
        return any(processing.get(address) for address in find_running(client))


def _find_work(keys, dask_scheduler):
    """Return whether a worker that runs has one of the tasks, or one that they wait for."""
    tasks = [dask_scheduler.tasks[key] for key in keys if key in dask_scheduler.tasks]
    seen = set(tasks)
    while tasks:
        task = tasks.pop()
        worker = task.processing_on
        if worker is not None and worker.status == distributed.Status.running:
            return True
        new = {each for each in task.dependencies if each.state != "memory"} - seen
        seen |= new
        tasks += new
    return False


def find_running(client: distributed.Client) -> dict[str, int]:
    """Return the threads of each worker that takes tasks, by addresses; one that is paused takes none."""
    scheduler: Any = client.scheduler
    return client.sync(scheduler.ncores_running)


def _tell_of_workers(client, worker_timeout):
    """Return the text of a NoWorkersError."""
    workers = client.nthreads()
    text = f"The Dask cluster has had no workers for {worker_timeout:g} seconds that take the tasks of the fit. "
    paused = sorted(workers.keys() - find_running(client).keys())
    if paused:
        others = " and others" if len(paused) > 5 else ""
        return (
            f"{text}Paused, as Dask does where memory runs short, are {', '.join(paused[:5])}{others}: give each "
            "worker more memory, or add workers."
        )
    return f"{text}It has {len(workers)} workers, of which none may run them."


@contextlib.contextmanager
def explain_losses() -> Iterator[None]:
    """Raise a WorkersLostError from what Dask raises where it gives up a task."""
    try:
        yield
    except distributed.KilledWorker as error:
        raise WorkersLostError(f"Workers died one after another while they computed for the fit. {ADVICE}") from error
    except (CancelledError, asyncio.CancelledError) as error:
        raise WorkersLostError(
            "Tasks of the fit were cancelled, or the client or the scheduler was started again. Fit again, to data that "
            "Dask can still compute."
        ) from error


def release(futures: Iterable[distributed.Future]) -> None:
    """Let the workers forget what futures stand for, although the traceback of an error may still name them."""
    for future in futures:
        future.release()


def describe_installation() -> dict[str, str]:
    """Return the versions of fastlin and its dependencies, and the hash of its kernels, by names."""
    return {
        "fastlin": __version__,
        **{package: version(package) for package in PACKAGES},
        "kernels with the hash": hash_sources(),
    }


def check_workers(
    client: distributed.Client, worker_timeout: float, addresses: Iterable[str] | None = None
) -> set[str]:
    """Return the workers, of some addresses or all, with the client's versions that answer within worker_timeout."""
    own, same = describe_installation(), set()
    workers = sorted(client.nthreads() if addresses is None else addresses)

    async def ask(address):
        coming = client.run(describe_installation, workers=[address], on_error="return")
        try:
            return (await asyncio.wait_for(coming, worker_timeout))[address]
        except TimeoutError as error:
            return error

    async def ask_all():
        return await asyncio.gather(*map(ask, workers))

    for address, found in zip(workers, client.sync(ask_all), strict=True):
        if isinstance(found, OSError):
            continue
        if isinstance(found, Exception):
            raise RuntimeError(
                f"The worker {address} cannot say what is installed there ({type(found).__name__}: {found}). It needs "
                f"fastlin {__version__}, as the client has it: {tell_install('dask')}"
            ) from found
        for name, expected in own.items():
            if found.get(name) != expected:
                raise RuntimeError(
                    f"The worker {address} has {name} {found.get(name)}, but the client has {expected}. Install "
                    "the same versions on the client and on all workers: others give other models, or none."
                )
        same.add(address)
    return same
