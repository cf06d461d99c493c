"""What a worker computes with the partitions that it holds: for each pass one call, and one sum for each node of them.

A Shard is a Dask actor, since a call of an actor takes a fifth of the time of tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import distributed
import numpy as np

from fastlin.dask.parts import Part
from fastlin.dask.tree import Node, Sum, add_up, find_nodes
from fastlin.estimators import LogisticRegression, LogisticRegressionCV
from fastlin.estimators.labels import choose_weight_unit
from fastlin.estimators.linear_predictions import score_rows
from fastlin.kernels.linear.operands import NO_ROWS, Samples
from fastlin.kernels.machine.arrays import writable_view
from fastlin.kernels.machine.threads import limit_threads
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.matrix import Matrix
from fastlin.matrices.pieces import Measured, measure
from fastlin.typing import Array, FloatArray, IntArray, SparseContainer

# The labels and weights of the rows of each partition, by its number.
Told: TypeAlias = Mapping[int, Samples]
# Arrays by their keys, each cut into the partitions.
Arrays: TypeAlias = Mapping[int, Mapping[int, Array]]
# The most arrays of labels, weights, offsets or targets that are kept: eight folds may be fitted side by side.
MAX_TOLD = 12


class Shard:
    """Some partitions, by their numbers, of n_parts in all."""

    def __init__(self, parts: Mapping[int, Part], n_parts: int, n_threads: int | None = None) -> None:
        self._parts = parts
        self._nodes = find_nodes(self._parts, n_parts)
        self._n_threads = n_threads or distributed.get_worker().state.nthreads
        self._known: dict[int, Mapping[int, Array]] = {}

    def run(self, method: str, keys: Sequence[int], new: Arrays, *arguments: Any) -> tuple[Any, Exception | None]:
        """Return a method's answer and None, or None and its error: an error of the call itself means a lost worker.

        The method gets the Samples whose arrays after the rows were told by their keys, now (`new`) or before, each cut
        into the partitions.
        """
        try:
            remember(self._known, {key: new[key] if key in new else self._known[key] for key in keys})
            # What comes from elsewhere is read-only.
            told = {
                number: Samples(NO_ROWS, *(writable_view(self._known[key][number]) for key in keys))
                for number in self._parts
            }
            with limit_threads(self._n_threads):
                return getattr(self, method)(told, *arguments), None
        except Exception as error:
            return None, error

    def sum(
        self, told: Told, term: Callable[..., Sum], join: Callable[[Iterable[Sum]], Sum], *arguments: Any
    ) -> dict[Node, Sum]:
        """Return, by nodes, the join of ``term(matrix, samples, *arguments)`` over the partitions."""

        def find(node):
            number, end = node
            if end - number > 1:
                return None
            return term(self._parts[number].matrix, told[number], *arguments)

        return {node: add_up(node, find, join) for node in self._nodes}

    def take(self, told: Told, positions: Mapping[int, IntArray]) -> dict[int, Array | SparseContainer]:
        """Return X of the rows at some places, by partitions."""
        return {number: part.X[positions[number]] for number, part in self._parts.items()}

    def score(self, told: Told, models: Sequence[LogisticRegression], scoring: str) -> dict[int, FloatArray]:
        """Return, by partitions, what `sum_scores` does for the rows that have some weight.

        The classes of the models are in the order of the labels; targets have soft labels in their place.
        """
        found: dict[int, FloatArray] = {}
        for number, part in self._parts.items():
            rows = np.flatnonzero(told[number].weights > 0)
            samples = told[number].take(rows)
            y = samples.targets if samples.targets.shape[1] else models[0].classes_[samples.labels]
            offsets = samples.offsets if samples.offsets.shape[1] else None
            found[number] = sum_scores(models, part.X[rows], y, samples.weights, scoring, offsets)
        return found


def remember(known: dict[int, Any], used: Mapping[int, Any]) -> None:
    """Take in what a call uses, by keys, as the newest, and forget the oldest of more than MAX_TOLD."""
    for key in used:
        known.pop(key, None)
    known.update(used)
    for key in list(known)[:-MAX_TOLD]:
        del known[key]


def measure_rows(matrix: Matrix, samples: Samples) -> Measured:
    """Return the total weight and the moments of the columns of a partition, as `measure` has them."""
    return measure(matrix, samples.weights)


def find_over_passes(
    matrix: Matrix, samples: Samples, term: Callable[..., Sum], scaling: Scaling, n_rows_coef: int, *arguments: Any
) -> Sum:
    """Return ``term(passes, *arguments)`` of the passes over a partition."""
    return term(matrix.passes(samples, scaling, n_rows_coef), *arguments)


def sum_scores(
    models: Sequence[LogisticRegression | LogisticRegressionCV],
    X: Array | SparseContainer,
    y: Array,
    sample_weight: FloatArray | None,
    scoring: str,
    offset: FloatArray | None = None,
) -> FloatArray:
    """Return the weighted sum of the scores of some rows by each model, their weight, and a unit of both: (n + 2,)."""
    sums = np.zeros(len(models) + 2)
    if len(y):
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        unit = choose_weight_unit(weights.max())
        weights = weights / unit
        scores = [np.sum(weights * score_rows(model, X, y, scoring, offset)) for model in models]
        sums[:] = *scores, weights.sum(), unit
    return sums


def average_scores(found: Iterable[FloatArray]) -> FloatArray:
    """Return the mean score of all rows by each model, (n,), from the sums of their parts by `sum_scores`."""
    sums = np.array(list(found))
    units = sums[:, -1]
    *totals, weight = (units / units.max()) @ sums[:, :-1]
    return np.array(totals) / weight
