"""What a fit reads from Dask's collections: partitions persisted on the workers, and facts about all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dask
import distributed
import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import StratifiedKFold

from fastlin.dask.cluster import Cluster, check_workers, explain_losses, find_running, release, wait_for
from fastlin.dask.collections import cut_alike, list_partitions, name_columns, read_rows
from fastlin.dask.parts import LabelTable, decode, describe, encode, name_partition, number_labels
from fastlin.dask.shard import ToldWeights, measure_rows
from fastlin.dask.worker_rows import DaskRows
from fastlin.estimators.endings import kept_on_error
from fastlin.estimators.features import remember_features
from fastlin.estimators.labels import (
    check_classes,
    check_largest,
    check_offset_shape,
    choose_unit,
    match_classes,
    name_classes,
    weigh_classes,
)
from fastlin.estimators.training_data import check_dual, refuse_categories
from fastlin.matrices import PiecewiseMatrix
from fastlin.matrices.matrix import Columns
from fastlin.matrices.pieces import merge
from fastlin.tensors import choose_type

if TYPE_CHECKING:
    from fastlin.dask.collections import DaskCollection
    from fastlin.estimators import LinearEstimator
    from fastlin.objective.coordinates import Coordinates


@dataclass(frozen=True, eq=False)
class DaskTrainingData:
    """The rows of a fit on the workers of a cluster, with what `Problem` asks of training data.

    Rows are named by the number of the fold that they train, or None for all.
    """

    cluster: Cluster
    matrix: PiecewiseMatrix
    classes: np.ndarray
    weight_unit: float
    _told: dict[int | None, dict[int, ToldWeights]] = field(default_factory=dict)

    def weigh(self, rows: int | None = None) -> float:
        """Return the total weight of rows."""
        return float(ToldWeights.join(self._tell_weights(rows).values()).totals.sum())

    def measure(self, rows: int | None = None) -> Columns:
        """Return the Columns over rows."""
        _, moments = self.cluster.sum(measure_rows, merge, rows)
        return moments

    def make_rows(self, coordinates: Coordinates, fit_intercept: bool, rows: int | None = None) -> DaskRows:
        """Return the DaskRows of an objective in Coordinates over rows."""
        return DaskRows(self.matrix, self.cluster, rows, self._tell_weights(rows), coordinates, fit_intercept)

    def _tell_weights(self, rows):
        """Return the sums of the weights by partitions; the workers are asked once."""
        if rows not in self._told:
            self._told[rows] = self.cluster.ask("tell_weights", rows)
        return self._told[rows]


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
    with leave_task(), explain_losses(), contextlib.ExitStack() as held, kept_on_error(estimator):

        def read(*given):
            data = read_partitions(*given, **options)
            held.callback(data.cluster.release)
            return data

        yield read


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
    n_folds: int | None = None,
) -> DaskTrainingData:
    """Return the DaskTrainingData of a fit with n_folds stratified folds, held by its cluster until released."""
    check_dual(estimator)
    refuse_categories(estimator, "data on workers")
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    rows = read_rows(X)
    labels = cut_alike(rows, y, "y", takes_columns=True)
    weights = cut_alike(rows, sample_weight, "sample_weight")
    offsets = cut_alike(rows, offset, "offset", takes_columns=True)
    client = choose_client(client)
    known_workers = check_workers(client, worker_timeout)
    partitions = list_partitions(rows, labels, weights, offsets)
    decoded = _decode(client, partitions, distributed.futures_of([rows]), worker_timeout)
    described = client.map(describe, decoded, pure=False)
    try:
        wait_for(described, client, worker_timeout)
        descriptions, tables = zip(*client.gather(described), strict=True)
        matrix = _describe_matrix(descriptions)
        table = LabelTable.join(tables)
        names = _find_classes(table, classes)
        check_classes(estimator, names)
        if offsets is not None:
            check_offset_shape(offsets.shape, np.nan, len(names))
        # Soft labels are numbered already.
        classes = names if table.are_certain is None else np.arange(len(names))
        factors, unit = _choose_factors(table, names, estimator.class_weight, sample_weight is not None)
        folds = [None] * len(decoded)
        if n_folds is not None:
            folds = _choose_folds(client, decoded, classes, n_folds, worker_timeout)
        parts = [
            client.submit(encode, part, matrix.dtype, classes, factors, known, own, pure=False)
            for part, known, own in zip(decoded, descriptions, folds, strict=True)
        ]
    finally:
        # The parts keep their sources.
        release([*decoded, *described])
    remember_features(estimator, matrix.shape[1], name_columns(X))
    return DaskTrainingData(Cluster(client, parts, worker_timeout, known_workers), matrix, names, unit)


def _choose_folds(client, decoded, classes, n_folds, worker_timeout):
    """Return the fold of each row of each partition, of scikit-learn's stratified ones, which need all labels."""
    numbered = client.map(number_labels, decoded, classes=classes, pure=False)
    try:
        wait_for(numbered, client, worker_timeout)
        labels = client.gather(numbered)
    finally:
        release(numbered)
    together = np.concatenate(labels)
    folds = np.empty(len(together), np.min_scalar_type(n_folds))
    for fold, (_, test_rows) in enumerate(StratifiedKFold(n_folds).split(together, together)):
        folds[test_rows] = fold
    return np.split(folds, np.cumsum([*map(len, labels)])[:-1])


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


def _describe_matrix(known):
    """Return the facts about X from the Descriptions of its partitions, which must be alike."""
    pieces = [(each.shape[0], each.dtype) for each in known]
    known = [each for each in known if each.shape[0]]
    if not known:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    first = known[0]
    for each in known[1:]:
        if each.shape[1] != first.shape[1] or each.is_sparse != first.is_sparse:
            kinds = ["sparse" if one.is_sparse else "dense" for one in (each, first)]
            raise ValueError(
                f"{each.name} of X is {kinds[0]} with {each.shape[1]} columns, but {first.name} is {kinds[1]} with "
                f"{first.shape[1]}. All partitions must be alike."
            )
    dtype = np.result_type(*(each.dtype for each in known))
    return PiecewiseMatrix(
        (sum(each.shape[0] for each in known), first.shape[1]),
        choose_type(dtype),
        first.is_sparse,
        sum(each.n_entries for each in known),
        max(each.longest_row for each in known),
        pieces,
    )


def _find_classes(table, classes):
    """Return the labels of all partitions, sorted, after a check against the given classes."""
    if table.are_certain:
        raise ValueError(f"y should be a 1d array, got zeros and ones in {len(table.classes)} columns instead.")
    if table.are_certain is not None:
        return name_classes(classes, len(table.classes))
    return table.classes if classes is None else match_classes(table.classes, classes)


def _choose_factors(table, classes, class_weight, has_weights):
    """Return the factors of the classes that multiply sample weights, or None, and the unit of the products."""
    if class_weight is None and not has_weights:
        return None, 1.0
    factors = weigh_classes(class_weight, classes, table.weights)
    with np.errstate(over="ignore"):
        most = table.largest * factors[table.weights > 0].max(initial=0.0)
    check_largest(most)
    unit = choose_unit(most)
    return factors / unit, unit
