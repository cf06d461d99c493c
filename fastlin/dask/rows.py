"""The sums of an objective over rows that lie on the workers of a cluster."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from fastlin.dask.shard import Setting, add
from fastlin.matrices import Passes, as_matrix
from fastlin.objective import Rows
from fastlin.objective.strata import draw_places, share_places
from fastlin.objective.sums import MeanSums, count_rows_coef
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.dask.cluster import Cluster
    from fastlin.dask.training_data import Weights
    from fastlin.dask.weighting import Weighting
    from fastlin.matrices.piecewise import PiecewiseMatrix
    from fastlin.objective.coordinates import Coordinates
    from fastlin.objective.point import Point


class DaskRows(MeanSums):
    """Rows on workers, with labels and weights, and their sums.

    Parameters
    ----------
    matrix : PiecewiseMatrix
        What is known of X.
    cluster : Cluster
        What holds the rows.
    weighting : Weighting
        What each row counts.
    weights : Weights
        What the weights of all rows come to.
    coordinates : Coordinates
        How the columns enter.
    fit_intercept : bool
        Whether there is an intercept.

    Attributes
    ----------
    smallest_weight : float
        The smallest s_i that is not zero.
    """

    # They stay with the workers, and so do weights and probabilities.
    has_labels = False
    matrix: PiecewiseMatrix
    passes: DaskPasses

    def __init__(
        self,
        matrix: PiecewiseMatrix,
        cluster: Cluster,
        weighting: Weighting,
        weights: Weights,
        coordinates: Coordinates,
        fit_intercept: bool,
    ) -> None:
        self._cluster, self._weighting, self._weights = cluster, weighting, weights
        # The number of rows that was asked for, and what was drawn.
        self._sample: tuple[int, Any] = -1, None
        self.smallest_weight = weights.smallest
        n_rows_coef = count_rows_coef(weighting.n_classes)
        setting = Setting(weighting, n_rows_coef, coordinates.scaling)
        super().__init__(
            matrix,
            weighting.n_classes,
            coordinates,
            fit_intercept,
            DaskPasses(cluster, setting, matrix),
            matrix.shape[0],
            weights.total,
            weights.by_class / weights.total,
        )

    def curved_at(self, point: Point) -> FloatArray:
        """As `MeanSums.curved_at` has it: the parameters (K, d + 1), at which workers compute probabilities anew."""
        return point.parameters.astype(point.objective.fast_precision)

    def sample(self, n_rows: int) -> Rows:
        """Return about n_rows of the rows, spread evenly over the classes: those that Rows would draw, copied."""
        if self._sample[0] != n_rows:
            # The first solution comes from one sample, and all preconditioners from another. One is held at a time.
            self._sample = -1, None
            self._sample = n_rows, self._draw(n_rows)
        X, labels, weights = self._sample[1]
        no_numbers = np.empty(0, np.int64)
        rows = Rows(X, labels, weights, self.n_classes, self.coordinates, self.fit_intercept, no_numbers)
        rows.count_with(self)
        return rows

    def _draw(self, n_rows):
        """Return X, labels and weights of a sample."""
        counts = self._weights.counts
        shares = share_places(draw_places(int(counts.sum()), n_rows), counts)
        places = dict(zip(self._weights.groups, shares, strict=True))
        drawn = {
            number: rows
            for answer in self._cluster.call("draw", self._weighting, places)
            for number, rows in answer.items()
        }
        X, labels, weights = zip(*(drawn[number] for number in sorted(drawn)), strict=True)
        X = sparse.vstack(X, format="csr") if self.matrix.is_sparse else np.concatenate(X)
        return as_matrix(X), np.concatenate(labels), np.concatenate(weights)

    def sum_probability_products(self, parameters: FloatArray, precision: FloatType, n_together: int) -> FloatArray:
        """Return what `Rows.sum_probability_products` does; the workers choose how many rows they take together."""
        return self.passes.sum_probability_products(parameters.astype(precision)) / self.total_weight


class DaskPasses(Passes):
    """The sums over rows that an objective is made of, by calls to all workers.

    Parameters
    ----------
    cluster : Cluster
        What holds the rows.
    setting : Setting
        What stays the same.
    matrix : PiecewiseMatrix
        What is known of X.
    """

    def __init__(self, cluster: Cluster, setting: Setting, matrix: PiecewiseMatrix) -> None:
        self._cluster = cluster
        self._shift_roundings = matrix.count_shift_roundings(setting.scaling, setting.n_rows_coef)
        self._setting_number = cluster.open(setting)
        weakref.finalize(self, cluster.close, self._setting_number)
        self._roundings = 0, 0

    @property
    def roundings(self) -> tuple[int, int]:
        """As `Passes.roundings` has it: those of the last pass."""
        return self._roundings

    @property
    def shift_roundings(self) -> float:
        """As `Passes.shift_roundings` has it."""
        return self._shift_roundings

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """Return sum s_i l_i, and fill gradient with its derivative by parameters; there are no probabilities."""
        answers = self._cluster.call("evaluate", self._setting_number, parameters)
        sums = self._cluster.join([by_node for by_node, _ in answers], add)
        gradient[:] = sums[:-1].reshape(gradient.shape)
        of_products, of_sums = (max(each) for each in zip(*(roundings for _, roundings in answers), strict=True))
        # The halves of a tree are added once each on the way up.
        self._roundings = of_products, of_sums + self._cluster.n_parts.bit_length() + 1
        return float(sums[-1])

    def hessian_product(self, direction: FloatArray, parameters: FloatArray) -> FloatArray:
        """Return the Hessian of sum s_i l_i at parameters times direction, both (K, d + 1), in the type of parameters.

        Probabilities are computed anew, so that a product takes twice as long as a gradient.
        """
        direction = direction.astype(parameters.dtype, copy=False)
        return self._sum("hessian_product", parameters, direction)

    def class_pair_gram(self, parameters: FloatArray) -> FloatArray:
        """Return the Hessian of sum s_i l_i at parameters (K, d + 1), (K (d + 1), K (d + 1)), by classes."""
        return self._sum("hessian", parameters)

    def sum_probability_products(self, parameters: FloatArray) -> FloatArray:
        """Return sum over i of s_i [p_i, 1] [p_i, 1]', (K + 1, K + 1), of the probabilities at parameters."""
        return self._sum("sum_probability_products", parameters)

    def _sum(self, method, *arguments):
        return self._cluster.join(self._cluster.call(method, self._setting_number, *arguments), add)
