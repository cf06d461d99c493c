"""The sums of an objective over rows that lie on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from fastlin.dask.shard import ToldWeights, find_over_passes
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import Passes, as_matrix
from fastlin.matrices.matrix import Sum, add
from fastlin.matrices.pieces import Evaluated, PiecewisePasses, add_evaluated, evaluate
from fastlin.objective import Rows
from fastlin.objective.offsets import OffsetRange
from fastlin.objective.rows import MeanSums, count_rows_coef, draw_places, split_places
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.dask.cluster import Cluster
    from fastlin.matrices.pieces import PiecewiseMatrix
    from fastlin.objective.coordinates import Coordinates


class DaskRows(MeanSums):
    """Rows on workers, with labels and weights that told sums up; left_out is a fold whose rows count nothing."""

    # They stay with the workers, and so do weights and probabilities.
    has_labels = False
    matrix: PiecewiseMatrix
    passes: DaskPasses

    def __init__(
        self,
        matrix: PiecewiseMatrix,
        cluster: Cluster,
        left_out: int | None,
        told: dict[int, ToldWeights],
        coordinates: Coordinates,
        fit_intercept: bool,
    ) -> None:
        self._cluster, self._left_out, self._told = cluster, left_out, told
        # The number of rows that was asked for, and what was drawn.
        self._sample: tuple[int, Any] = -1, None
        weights = ToldWeights.join(told.values())
        total, n_classes = float(weights.totals.sum()), len(weights.totals)
        self.smallest_weight = weights.smallest
        super().__init__(
            matrix,
            n_classes,
            coordinates,
            fit_intercept,
            DaskPasses(cluster, left_out, matrix, coordinates.scaling, count_rows_coef(n_classes)),
            matrix.shape[0],
            total,
            weights.totals / total,
            offset_range=None if weights.offsets is None else OffsetRange.of(weights.offsets, total),
            has_targets=weights.has_targets,
        )

    def sample(self, n_rows: int) -> Rows:
        """Return about n_rows of the rows, evenly spread: those that Rows would draw, copied."""
        if self._sample[0] != n_rows:
            # The first solution comes from one sample, and all preconditioners from another. One is held at a time.
            self._sample = -1, None
            self._sample = n_rows, self._draw(n_rows)
        X, samples = self._sample[1]
        rows = Rows(X, samples, self.n_classes, self.coordinates, self.fit_intercept)
        rows.count_with(self)
        return rows

    def _draw(self, n_rows):
        """Return X of a sample, and the rows as a pass reads them."""
        counts = [each.n_weighty for each in self._told.values()]
        shares = split_places(draw_places(sum(counts), n_rows), counts)
        places = dict(zip(self._told, shares, strict=True))
        X, samples = zip(*self._cluster.ask("draw", self._left_out, places).values(), strict=True)
        X = sparse.vstack(X, format="csr") if self.matrix.is_sparse else np.concatenate(X)
        return as_matrix(X), Samples(*map(np.concatenate, zip(*samples, strict=True)))


class DaskPasses(PiecewisePasses):
    """The sums over rows that an objective is made of, by calls to all workers."""

    def __init__(
        self, cluster: Cluster, left_out: int | None, matrix: PiecewiseMatrix, scaling: Scaling, n_rows_coef: int
    ) -> None:
        no_rows, counts = np.empty(0, np.int64), [n for n, _ in matrix.pieces]
        # Labels and weights stay with the workers. A tree has as many joins above each of its leaves at most.
        samples, n_joins = Samples(no_rows, no_rows, no_rows), (len(counts) - 1).bit_length()
        super().__init__(matrix, samples, scaling, n_rows_coef, counts, n_joins)
        self._cluster, self._left_out = cluster, left_out
        self._term: Callable[..., Evaluated] = evaluate

    def without_offsets(self) -> DaskPasses:
        """See `Passes.without_offsets`."""
        found = copy(self)
        found._term = _evaluate_without_offsets
        return found

    def _evaluate(self, parameters, probabilities):
        return self._sum(self._term, add_evaluated, parameters)

    def sum_curvature(self, term: Callable[..., Sum], parameters: FloatArray, *arguments: Any) -> Sum:
        """See `Passes.sum_curvature`; on the workers, so a sum takes twice as long as a gradient."""
        return self._sum(Passes.sum_curvature, add, term, parameters, *arguments)

    def _add(self, term, curved, *arguments):
        return self.sum_curvature(term, curved, *arguments)

    def _sum(self, term, join, *arguments):
        return self._cluster.sum(find_over_passes, join, self._left_out, term, self._scaling, self.shape[0], *arguments)


def _evaluate_without_offsets(passes, parameters):
    return evaluate(passes.without_offsets(), parameters)
