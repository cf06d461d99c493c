"""Read the training data of a fit from Dask collections, and persist the partitions on the workers."""

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
from fastlin.dask.cluster import Cluster, check_workers, explain_worker_losses, find_running_workers, release, wait_for
from fastlin.dask.cluster_matrix import ClusterMatrix
from fastlin.dask.collections import list_column_names, list_partitions, read_rows, rechunk_like
from fastlin.dask.parts import decode_partition, describe_and_read_arrays, encode_partition, name_partition
from fastlin.estimators.columns import check_no_categories, set_feature_attributes
from fastlin.estimators.fit_reporting import restore_on_error
from fastlin.estimators.labels import TrainingData, are_binary, explain_multilabel, make_training_data

if TYPE_CHECKING:
    from fastlin.dask.collections import DaskCollection
    from fastlin.estimators import LinearEstimator


@dataclass(frozen=True, eq=False)
class DaskTrainingData(TrainingData):
    """Training data with rows on workers, and with labels, weights and the user's sample_weight on the client."""

    matrix: ClusterMatrix
    sample_weight: np.ndarray | None = None


def choose_client(client: distributed.Client | None) -> distributed.Client:
    """Return `client`, or the current client if it is None."""
    if client is None:
        try:
            client = distributed.get_client()
        except ValueError as error:
            raise ValueError(
                "There is no Dask client. Create one with dask.distributed.Client(), or pass client= to fit."
            ) from error
    if not isinstance(client, distributed.Client) or client.asynchronous:
        raise TypeError(f"client must be a synchronous dask.distributed.Client, got {type(client).__name__}.")
    return client


@contextlib.contextmanager
def secede_from_task() -> Iterator[None]:
    """Secede from the thread pool if this is a Dask task, because the fit waits for its own tasks."""
    with contextlib.ExitStack() as left:
        with contextlib.suppress(ValueError):
            distributed.get_worker()
            distributed.secede()
            left.callback(distributed.rejoin)
        yield


@contextlib.contextmanager
def fit_on_workers(estimator: LinearEstimator, **options: Any) -> Iterator[Callable[..., DaskTrainingData]]:
    """Yield `read_partitions` for a fit, and then release the rows.

    If there is an error, the estimator does not change.
    """
    with secede_from_task(), explain_worker_losses(), contextlib.ExitStack() as stack, restore_on_error(estimator):

        def read(*arguments):
            with explain_lost_data([*arguments[1:], options["offset"]], options["client"]):
                data = read_partitions(*arguments, **options)
            stack.callback(data.matrix.cluster.release)
            return data

        yield read


@contextlib.contextmanager
def explain_lost_data(inputs: Sequence[DaskCollection | None], client: distributed.Client | None) -> Iterator[None]:
    """Raise a ValueError if Dask can no longer compute X, y, sample_weight or offset.

    The error names the lost collections.
    """
    try:
        yield
    except (CancelledError, asyncio.CancelledError) as error:
        named_inputs = zip(("X", "y", "sample_weight", "offset"), inputs, strict=True)
        lost_names = [
            name for name, data in named_inputs if data is not None and _has_lost_data(data, choose_client(client))
        ]
        if not lost_names:
            raise
        raise ValueError(
            f"Dask cannot compute {' and '.join(lost_names)}: some partitions were persisted on another cluster, "
            "cancelled, or lost. Create the collection again, and persist it with the client of the fit."
        ) from error


def _has_lost_data(collection, client):
    """Return whether a collection has futures that were cancelled or lost, or that belong to another cluster."""
    for future in distributed.futures_of([collection]):
        # A closed client has no scheduler.
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
    """Return the DaskTrainingData of a fit. The workers store the rows until the Cluster is released."""
    check_no_categories(estimator, "data on workers")
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    rows = read_rows(X)
    labels = rechunk_like(rows, y, "y")
    weights = rechunk_like(rows, sample_weight, "sample_weight")
    offsets = rechunk_like(rows, offset, "offset")
    client = choose_client(client)
    known_workers = check_workers(client, worker_timeout)
    partitions = list_partitions(rows, labels, weights, offsets)
    decoded_parts = _decode(client, partitions, distributed.futures_of([rows]), worker_timeout)
    description_futures = client.map(describe_and_read_arrays, decoded_parts, pure=False)
    try:
        wait_for(description_futures, client, worker_timeout)
        partition_descriptions, *arrays = zip(*client.gather(description_futures), strict=True)
        nonempty_descriptions = [description for description in partition_descriptions if description.shape[0]]
        if not nonempty_descriptions:
            raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
        whole = join_descriptions(nonempty_descriptions, "partitions", must_have_same_dtype=False)
        local_y, local_weight, local_offset = map(_join, ("y", "sample_weight", "offset"), arrays)
        if local_y.ndim == 2 and are_binary(local_y):
            raise ValueError(explain_multilabel(local_y))
        data = make_training_data(estimator, None, local_y, local_weight, local_offset, classes)
        parts = [
            client.submit(encode_partition, part, whole.dtype, description, pure=False)
            for part, description in zip(decoded_parts, partition_descriptions, strict=True)
        ]
    finally:
        # The parts refer to these arrays.
        release([*decoded_parts, *description_futures])
    set_feature_attributes(estimator, whole.shape[1], list_column_names(X))
    pieces = [(description.shape[0], description.dtype) for description in partition_descriptions]
    cluster = Cluster(client, parts, [n for n, _ in pieces], worker_timeout, known_workers)
    matrix_arguments = whole.shape, whole.dtype, whole.is_sparse, whole.n_entries, whole.longest_row
    matrix = ClusterMatrix(cluster, *matrix_arguments, pieces)
    return DaskTrainingData(**{**vars(data), "matrix": matrix}, sample_weight=local_weight)


def _join(name, pieces):
    """Return the labels, weights or offsets of all partitions, or None. Empty partitions do not affect the dtype."""
    if pieces[0] is None:
        return None
    nonempty_pieces = {number: piece for number, piece in enumerate(pieces) if len(piece)}
    (first, expected), *others = nonempty_pieces.items()
    for number, piece in others:
        if _get_array_kind(piece) != _get_array_kind(expected):
            raise ValueError(
                f"{name_partition(number)} of {name} has dtype {piece.dtype} and shape {piece.shape}, but "
                f"{name_partition(first)} has {expected.dtype} and {expected.shape}. Labels must be numbers in all "
                "partitions, strings in all, or of one other type; soft labels and offsets must have the same number "
                "of columns."
            )
    return np.concatenate([*nonempty_pieces.values()])


def _get_array_kind(piece):
    """Return the properties that must agree between partitions of labels, weights or offsets."""
    if piece.dtype.kind in "biuf":
        return piece.shape[1:], "numbers"
    return piece.shape[1:], "strings" if isinstance(piece.flat[0], (str, bytes)) else piece.dtype.kind


def _decode(client, partitions, persisted_futures, worker_timeout):
    """Return futures of all decoded partitions, on the workers that `_choose_workers` returns."""
    addresses, parts = _choose_workers(client, len(partitions), persisted_futures, worker_timeout), []
    for number, (partition, address) in enumerate(zip(partitions, addresses, strict=True)):
        with dask.annotate(**({"workers": [address], "allow_other_workers": True} if address else {})):
            parts.append(
                dask.delayed(decode_partition, pure=False)(*partition[:3], name_partition(number), partition[3])
            )
    return client.compute(parts)


def _choose_workers(client, n, persisted_futures, worker_timeout):
    """Return the address of a worker for each of n partitions, or None for any worker.

    Unless X is persisted, consecutive partitions are on the same worker.
    """
    if persisted_futures:
        # The key of a partition consists of the name of its collection and its number.
        numbers = {future.key[1]: future.key for future in persisted_futures if isinstance(future.key, tuple)}
        if len(persisted_futures) != n or sorted(numbers) != list(range(n)):
            return [None] * n
        wait_for(persisted_futures, client, worker_timeout)
        holders = client.who_has(persisted_futures)
        return [next(iter(sorted(holders.get(numbers[number], ()))), None) for number in range(n)]
    thread_counts = find_running_workers(client)
    addresses = [address for address in sorted(thread_counts) for _ in range(thread_counts[address])]
    return [addresses[number * len(addresses) // n] for number in range(n)] if addresses else [None] * n
