"""What a fit reads from Dask's collections: partitions persisted on the workers, and facts about all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask
import distributed
import numpy as np
from numpy.typing import ArrayLike

from fastlin.blocks.descriptions import join_descriptions
from fastlin.dask.cluster import Cluster, check_workers, explain_losses, find_running, release, wait_for
from fastlin.dask.cluster_matrix import ClusterMatrix
from fastlin.dask.collections import cut_alike, list_partitions, name_columns, read_rows
from fastlin.dask.parts import decode, encode, name_partition, tell
from fastlin.estimators.columns import check_no_categories, set_features
from fastlin.estimators.labels import TrainingData, are_binary, explain_multilabel, make_training_data
from fastlin.estimators.fit_reporting import restore_on_error

if TYPE_CHECKING:
    from fastlin.dask.collections import DaskCollection
    from fastlin.estimators import LinearEstimator


@dataclass(frozen=True, eq=False)
class DaskTrainingData(TrainingData):
    """The rows of a fit on workers, with the labels and weights that the client has, and sample_weight as given."""

    matrix: ClusterMatrix
    sample_weight: np.ndarray | None = None


def choose_client(client: distributed.Client | None) -> distributed.Client:
    """Return the client that is given, or the current one."""
    if client is None:
        try:
            client = distributed.get_client()
        except ValueError as error:
            raise ValueError(
                "There is no Dask client: make one with dask.distributed.Client(), or pass client= to fit."
            ) from error
    if not isinstance(client, distributed.Client) or client.asynchronous:
        raise TypeError(
            f"client must be a dask.distributed.Client that is not asynchronous, got {type(client).__name__}."
        )
    return client


@contextlib.contextmanager
def leave_task() -> Iterator[None]:
    """Let others use the thread of the Dask task that this is, if any: a fit waits for its own tasks."""
    with contextlib.ExitStack() as left:
        with contextlib.suppress(ValueError):
            distributed.get_worker()
            distributed.secede()
            left.callback(distributed.rejoin)
        yield


@contextlib.contextmanager
def fit_on_workers(estimator: LinearEstimator, **options: Any) -> Iterator[Callable[..., DaskTrainingData]]:
    """Yield `read_partitions` for a fit, then release the rows; an error leaves the estimator as it was."""
    with leave_task(), explain_losses(), contextlib.ExitStack() as held, restore_on_error(estimator):

        def read(*given):
            with explain_lost_data([*given[1:], options["offset"]], options["client"]):
                data = read_partitions(*given, **options)
            held.callback(data.matrix.cluster.release)
            return data

        yield read


@contextlib.contextmanager
def explain_lost_data(
    collections: Sequence[DaskCollection | None], client: distributed.Client | None
) -> Iterator[None]:
    """Raise a ValueError that names which of X, y, sample_weight and offset Dask itself can no longer compute."""
    try:
        yield
    except (CancelledError, asyncio.CancelledError) as error:
        named = zip(("X", "y", "sample_weight", "offset"), collections, strict=True)
        lost = [name for name, each in named if each is not None and _is_lost(each, choose_client(client))]
        if not lost:
            raise
        raise ValueError(
            f"Dask cannot compute {' and '.join(lost)}: some partitions were persisted on another cluster, or were "
            "cancelled or lost. Make the collection again, and persist it with the client of the fit."
        ) from error


def _is_lost(collection, client):
    """Return whether a collection has futures that were cancelled, or that are of another cluster than a client's."""
    for future in distributed.futures_of([collection]):
        # A client that is closed has no scheduler.
        address = getattr(future.client.scheduler, "address", None)
        if future.status in ("cancelled", "lost") or address != client.scheduler.address:
            return True
    return False


def read_partitions(
    estimator: LinearEstimator,
    X: DaskCollection,
    y: DaskCollection | None,
    sample_weight: DaskCollection | None,
    *,
    client: distributed.Client | None,
    classes: ArrayLike | None,
    offset: DaskCollection | None,
    worker_timeout: float,
) -> DaskTrainingData:
    """Return the DaskTrainingData of a fit, which its cluster holds until it is released."""
    check_no_categories(estimator, "data on workers")
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    rows = read_rows(X)
    labels = cut_alike(rows, y, "y")
    weights = cut_alike(rows, sample_weight, "sample_weight")
    offsets = cut_alike(rows, offset, "offset")
    client = choose_client(client)
    known_workers = check_workers(client, worker_timeout)
    partitions = list_partitions(rows, labels, weights, offsets)
    decoded = _decode(client, partitions, distributed.futures_of([rows]), worker_timeout)
    described = client.map(tell, decoded, pure=False)
    try:
        wait_for(described, client, worker_timeout)
        descriptions, *told = zip(*client.gather(described), strict=True)
        filled = [each for each in descriptions if each.shape[0]]
        if not filled:
            raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
        whole = join_descriptions(filled, "partitions", are_of_one_type=False)
        own_y, own_weight, own_offset = map(_join, ("y", "sample_weight", "offset"), told)
        if own_y.ndim == 2 and are_binary(own_y):
            raise ValueError(explain_multilabel(own_y))
        data = make_training_data(estimator, None, own_y, own_weight, own_offset, classes)
        parts = [
            client.submit(encode, part, whole.dtype, known, pure=False)
            for part, known in zip(decoded, descriptions, strict=True)
        ]
    finally:
        # The parts keep their sources.
        release([*decoded, *described])
    set_features(estimator, whole.shape[1], name_columns(X))
    pieces = [(known.shape[0], known.dtype) for known in descriptions]
    cluster = Cluster(client, parts, [n for n, _ in pieces], worker_timeout, known_workers)
    facts = whole.shape, whole.dtype, whole.is_sparse, whole.n_entries, whole.longest_row
    matrix = ClusterMatrix(cluster, *facts, pieces)
    return DaskTrainingData(**{**vars(data), "matrix": matrix}, sample_weight=own_weight)


def _join(name, pieces):
    """Return labels, weights or offsets of all partitions, of which those without rows tell no type; or None."""
    if pieces[0] is None:
        return None
    named = {number: piece for number, piece in enumerate(pieces) if len(piece)}
    (first, expected), *others = named.items()
    for number, found in others:
        if _classify(found) != _classify(expected):
            raise ValueError(
                f"{name_partition(number)} of {name} has {'labels' if name == 'y' else 'numbers'} of {found.dtype} in "
                f"the shape {found.shape}, but {name_partition(first)} of {expected.dtype} in {expected.shape}. "
                "Accepted are labels that are numbers in all partitions, or texts, or of one other type, and soft "
                "labels and offsets in as many columns."
            )
    return np.concatenate([*named.values()])


def _classify(piece):
    """Return what the labels, weights or offsets of all partitions must have in common."""
    if piece.dtype.kind in "biuf":
        return piece.shape[1:], "numbers"
    return piece.shape[1:], "texts" if isinstance(piece.flat[0], (str, bytes)) else piece.dtype.kind


def _decode(client, partitions, held, worker_timeout):
    """Return the futures of the decoded Parts of all partitions, each on the worker that `_choose_workers` says."""
    addresses, parts = _choose_workers(client, len(partitions), held, worker_timeout), []
    for number, (partition, address) in enumerate(zip(partitions, addresses, strict=True)):
        with dask.annotate(**({"workers": [address], "allow_other_workers": True} if address else {})):
            parts.append(dask.delayed(decode, pure=False)(*partition[:3], name_partition(number), partition[3]))
    return client.compute(parts)


def _choose_workers(client, n, held, worker_timeout):
    """Return the address of a worker for each of n partitions, consecutive ones together, or None for any."""
    if held:
        # The key of a partition is its collection's name and its number.
        numbers = {future.key[1]: future.key for future in held if isinstance(future.key, tuple)}
        if len(held) != n or sorted(numbers) != list(range(n)):
            return [None] * n
        wait_for(held, client, worker_timeout)
        holders = client.who_has(held)
        return [next(iter(sorted(holders.get(numbers[number], ()))), None) for number in range(n)]
    threads = find_running(client)
    addresses = [address for address in sorted(threads) for _ in range(threads[address])]
    return [addresses[number * len(addresses) // n] for number in range(n)] if addresses else [None] * n
