"""What a worker computes with the partitions that it holds: for each pass one call, and one sum for each node of them.

A Shard is a Dask actor, since a call of an actor takes a fifth of the time of tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import distributed
import numpy as np

from fastlin.dask.tree import Node, Sum, add_up, find_nodes
from fastlin.estimators.labels import choose_unit
from fastlin.estimators.linear_predictions import score_rows
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.arrays import writable_view
from fastlin.kernels.machine.threads import limit_threads
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.matrix import Matrix
from fastlin.matrices.pieces import Measured, measure
from fastlin.objective.offsets import OffsetSums
from fastlin.objective.rows import weigh_targets
from fastlin.typing import Array, FloatArray, IntArray, SparseContainer

if TYPE_CHECKING:
    from fastlin.dask.parts import Part
    from fastlin.estimators import LinearEstimator, LogisticRegression


# The most folds that the weights of a partition are kept for; folds are fitted side by side.
MOST_FOLDS = 8


class ToldWeights(NamedTuple):
    """What the weights of some rows come to: n_weighty rows with weight, totals by classes (n_classes,).

    smallest is the smallest weight above zero, inf without one. offsets are sums over the offsets, or None.
    """

    n_weighty: int
    totals: Array
    smallest: float
    offsets: OffsetSums | None
    has_targets: bool

    @classmethod
    def of(cls, samples: Samples, n_classes: int) -> Self:
        """Return the sums of the weights of a partition."""
        weights = samples.weigh()
        has_targets = samples.targets.shape[1] > 0
        if has_targets:
            totals = weigh_targets(samples.targets, weights)
        else:
            totals = np.bincount(samples.labels, weights, n_classes)
        smallest = float(weights[weights > 0].min(initial=np.inf))
        offsets = OffsetSums.of(samples.offsets, weights) if samples.offsets.shape[1] else None
        return cls(int(np.count_nonzero(weights > 0)), totals, smallest, offsets, has_targets)

    @classmethod
    def join(cls, told: Iterable[Self]) -> Self:
        """Return the sums of the weights of several pieces together."""
        n_weighty, totals, smallest, offsets, have_targets = zip(*told, strict=True)
        known = [each for each in offsets if each is not None]
        sums = OffsetSums.join(known) if known else None
        return cls(sum(n_weighty), np.sum(totals, axis=0), min(smallest), sums, any(have_targets))


class Shard:
    """Some partitions, by their numbers, of n_parts in all; left_out is a fold whose rows count nothing."""

    def __init__(self, parts: Mapping[int, Part], n_parts: int, n_threads: int | None = None) -> None:
        self._parts = parts
        self._nodes = find_nodes(self._parts, n_parts)
        self._n_threads = n_threads or _count_worker_threads()
        self._samples: dict[tuple[int, int | None], Samples] = {}

    def _sample(self, number, left_out):
        """Return the rows of a partition as a pass reads them."""
        if (number, left_out) not in self._samples:
            if len(self._samples) == MOST_FOLDS * len(self._parts):
                self._samples.clear()
            part = self._parts[number]
            # What another worker has sent is read-only.
            samples = Samples(*map(writable_view, part.samples))
            if left_out is not None:
                samples = samples._replace(weights=np.where(part.folds == left_out, 0.0, samples.weigh()))
            self._samples[number, left_out] = samples
        return self._samples[number, left_out]

    def run(self, method: str, *arguments: Any) -> tuple[Any, Exception | None]:
        """Return a method's answer and None, or None and its error: an error of the call itself means a lost worker."""
        try:
            with limit_threads(self._n_threads):
                return getattr(self, method)(*arguments), None
        except Exception as error:
            return None, error

    def tell_weights(self, left_out: int | None) -> dict[int, ToldWeights]:
        """Return the sums of the weights by partitions."""
        return {
            number: ToldWeights.of(self._sample(number, left_out), len(part.classes))
            for number, part in self._parts.items()
        }

    def sum(
        self, term: Callable[..., Sum], join: Callable[[Iterable[Sum]], Sum], left_out: int | None, *arguments: Any
    ) -> dict[Node, Sum]:
        """Return, by nodes, the join of ``term(matrix, samples, *arguments)`` over the partitions."""

        def find(node):
            number, end = node
            if end - number > 1:
                return None
            return term(self._parts[number].matrix, self._sample(number, left_out), *arguments)

        return {node: add_up(node, find, join) for node in self._nodes}

    def draw(
        self, left_out: int | None, places: Mapping[int, IntArray]
    ) -> dict[int, tuple[Array | SparseContainer, Samples]]:
        """Return, by partitions, X of the rows at some places, and the rows as a pass reads them.

        Places count the rows of the partition that have some weight.
        """
        drawn = {}
        for number, part in self._parts.items():
            samples = self._sample(number, left_out)
            rows = np.flatnonzero(samples.weigh() > 0)[places[number]]
            drawn[number] = part.X[rows], samples.take(rows)
        return drawn

    def score(self, fold: int, models: Sequence[LogisticRegression], scoring: str) -> dict[int, FloatArray]:
        """Return, by partitions, what `sum_scores` does for the test rows of a fold.

        The classes of the models are in the order of the labels.
        """
        found: dict[int, FloatArray] = {}
        for number, part in self._parts.items():
            rows = np.flatnonzero(part.folds == fold)
            weights = None if part.sample_weight is None else part.sample_weight[rows]
            y = models[0].classes_[part.labels[rows]] if part.soft is None else part.soft[rows]
            offsets = None if part.offsets is None else part.offsets[rows]
            found[number] = sum_scores(models, part.X[rows], y, weights, scoring, offsets)
        return found


def measure_rows(matrix: Matrix, samples: Samples) -> Measured:
    """Return the total weight and the moments of the columns of a partition, as `measure` has them."""
    return measure(matrix, samples.weights)


def find_over_passes(
    matrix: Matrix, samples: Samples, term: Callable[..., Sum], scaling: Scaling, n_rows_coef: int, *arguments: Any
) -> Sum:
    """Return ``term(passes, *arguments)`` of the passes over a partition."""
    return term(matrix.passes(samples, scaling, n_rows_coef), *arguments)


def _count_worker_threads():
    return distributed.get_worker().state.nthreads


def sum_scores(
    models: Sequence[LinearEstimator],
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
        unit = choose_unit(weights.max())
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
