"""Computations of a worker with its partitions. Each pass is one call, which returns one sum per tree node.

A Shard is a Dask actor, because actor calls have less overhead than tasks
(docs/benchmarks/design-choices.md: dask actors).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import distributed
import numpy as np

from fastlin.dask.parts import PartitionData
from fastlin.dask.tree import Node, Sum, find_subtree_nodes, sum_subtree
from fastlin.estimators import LogisticRegression, LogisticRegressionCV
from fastlin.estimators.labels import choose_weight_unit
from fastlin.estimators.linear_predictions import score_rows
from fastlin.kernels.linear.operands import NO_ROWS, Samples
from fastlin.kernels.machine.arrays import writable_view
from fastlin.kernels.machine.threads import limit_threads
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.matrix import Matrix
from fastlin.matrices.pieces import WeightedStatistics, measure
from fastlin.typing import Array, FloatArray, IntArray, SparseContainer

# A dict from partition numbers to Samples: labels, weights, offsets and targets.
PartitionSamples: TypeAlias = Mapping[int, Samples]
# A dict from keys to arrays, each split into partitions.
PartArraysByKey: TypeAlias = Mapping[int, Mapping[int, Array]]
# Maximum number of cached arrays of labels, weights, offsets or targets, for up to eight folds in parallel.
MAX_CACHED_ARRAYS = 12


class Shard:
    """The partitions of a worker. `parts` is a dict with partition numbers, which are below `n_parts`, as keys."""

    def __init__(self, parts: Mapping[int, PartitionData], n_parts: int, n_threads: int | None = None) -> None:
        self._parts = parts
        self._nodes = find_subtree_nodes(self._parts, n_parts)
        self._n_threads = n_threads or distributed.get_worker().state.nthreads
        self._cache: dict[int, Mapping[int, Array]] = {}

    def run(
        self, method: str, keys: Sequence[int], new: PartArraysByKey, *arguments: Any
    ) -> tuple[Any, Exception | None]:
        """Return (result, None) if a method returns a result, or (None, error) if it raises an error.

        An error raised by `run` itself indicates a lost worker.

        The method receives the Samples of each partition. `keys` identify the arrays of the Samples, which are in `new`
        or cached.
        """
        try:
            update_cache(self._cache, {key: new[key] if key in new else self._cache[key] for key in keys})
            # Arrays that Dask receives are read-only.
            samples = {
                number: Samples(NO_ROWS, *(writable_view(self._cache[key][number]) for key in keys))
                for number in self._parts
            }
            with limit_threads(self._n_threads):
                return getattr(self, method)(samples, *arguments), None
        except Exception as error:
            return None, error

    def sum(
        self, samples: PartitionSamples, term: Callable[..., Sum], join: Callable[[Iterable[Sum]], Sum], *arguments: Any
    ) -> dict[Node, Sum]:
        """Return a dict from nodes to sums of ``term(matrix, samples, *arguments)`` over the partitions of a node."""

        def find(node):
            number, end = node
            if end - number > 1:
                return None
            return term(self._parts[number].matrix, samples[number], *arguments)

        return {node: sum_subtree(node, find, join) for node in self._nodes}

    def take(self, samples: PartitionSamples, positions: Mapping[int, IntArray]) -> dict[int, Array | SparseContainer]:
        """Return the selected rows of X for each partition."""
        return {number: part.X[positions[number]] for number, part in self._parts.items()}

    def score(
        self, samples: PartitionSamples, models: Sequence[LogisticRegression], scoring: str
    ) -> dict[int, FloatArray]:
        """Return a dict from partitions to the result of `sum_scores` for the rows with positive weight.

        Labels are indices into the classes of the models. Soft labels are passed as targets.
        """
        sums: dict[int, FloatArray] = {}
        for number, part in self._parts.items():
            rows = np.flatnonzero(samples[number].weights > 0)
            scored_samples = samples[number].take(rows)
            y = scored_samples.targets if scored_samples.targets.shape[1] else models[0].classes_[scored_samples.labels]
            offsets = scored_samples.offsets if scored_samples.offsets.shape[1] else None
            sums[number] = sum_scores(models, part.X[rows], y, scored_samples.weights, scoring, offsets)
        return sums


def update_cache(cache: dict[int, Any], used_entries: Mapping[int, Any]) -> None:
    """Insert the most recently used entries, and evict the least recently used entries beyond MAX_CACHED_ARRAYS."""
    for key in used_entries:
        cache.pop(key, None)
    cache.update(used_entries)
    for key in list(cache)[:-MAX_CACHED_ARRAYS]:
        del cache[key]


def measure_weighted_columns(matrix: Matrix, samples: Samples) -> WeightedStatistics:
    """Return the total weight and the moments of the columns of a partition; see `measure`."""
    return measure(matrix, samples.weights)


def evaluate_pass_term(
    matrix: Matrix, samples: Samples, term: Callable[..., Sum], scaling: Scaling, n_rows_coef: int, *arguments: Any
) -> Sum:
    """Return ``term(passes, *arguments)`` for the passes over a partition."""
    return term(matrix.passes(samples, scaling, n_rows_coef), *arguments)


def sum_scores(
    models: Sequence[LogisticRegression | LogisticRegressionCV],
    X: Array | SparseContainer,
    y: Array,
    sample_weight: FloatArray | None,
    scoring: str,
    offset: FloatArray | None = None,
) -> FloatArray:
    """Return the weighted sum of row scores for each of n models, the total weight, and the unit of these sums.

    The result has shape (n + 2,).
    """
    sums = np.zeros(len(models) + 2)
    if len(y):
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        unit = choose_weight_unit(weights.max())
        weights = weights / unit
        scores = [np.sum(weights * score_rows(model, X, y, scoring, offset)) for model in models]
        sums[:] = *scores, weights.sum(), unit
    return sums


def average_scores(sums: Iterable[FloatArray]) -> FloatArray:
    """Return the mean score (n,) of each model over all rows. `sums` are the results of `sum_scores` for partitions."""
    rows = np.array(list(sums))
    units = rows[:, -1]
    *totals, weight = (units / units.max()) @ rows[:, :-1]
    return np.array(totals) / weight
