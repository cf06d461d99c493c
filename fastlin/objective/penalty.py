"""The penalty of objective.py, in the coordinates of a Coordinates object: its value, conjugate and slopes.

Outside of a Box the penalty is infinite. In scaled coordinates V_kj has the curvature l2 f_j scale_j^2 and the
threshold l1 f_j scale_j. The proximal operator is `shrink` in kernels/linear/penalties.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import hypot, sqrt
from typing import TYPE_CHECKING, Self

import numpy as np

from fastlin.kernels.linear.penalties import (
    LARGEST,
    NO_BOUNDS,
    SIZES,
    SQUARES,
    WITHIN,
    Exchange,
    PenaltyArrays,
    fill_block_dual,
    fill_block_penalties,
)
from fastlin.kernels.machine.threads import NUMBER_WORK, cut_work, run_blocks
from fastlin.objective.box import Box
from fastlin.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from fastlin.objective.rows import MeanSums

# A larger penalty leaves nothing of the coefficients, and sums with it would leave the range of float64.
LARGEST_PENALTY = 1e300


@dataclass(frozen=True, eq=False)
class Penalty:
    """Both penalties of each parameter, and what they add to the objective."""

    l2: float  # the strengths, before the factors
    l1: float
    factors: np.ndarray  # (d,), f_j
    group_by_class: bool  # whether l1 weighs the norm of a feature's coefficients over the classes
    curvatures: np.ndarray  # (d + 1,), from l2; zero for the intercept
    thresholds: np.ndarray  # (d + 1,), the slopes that l1 gives; zero for the intercept
    arrays: PenaltyArrays  # the same as kernels take them
    box: Box | None  # the bounds of the coefficients; then l1 is not grouped
    gradient_blur: np.ndarray  # (d,), how much each column can blur the gradient; zero where it has no part in J
    is_smooth: bool  # whether the penalty has a gradient everywhere
    # Whether every coefficient is penalised or has both bounds: J has a minimum, and lower bounds of it exist.
    is_bounded: bool
    is_none: bool  # whether no coefficient is penalised

    @classmethod
    def of(
        cls, rows: MeanSums, l2: float, l1: float, factors: FloatArray, group_by_class: bool, box: Box | None = None
    ) -> Self:
        """Return the penalty of the given strengths and factors (d,) in the coordinates of the rows."""
        scale, shift = rows.coordinates.scaling
        curvatures, thresholds = np.zeros((2, len(scale) + 1))
        with np.errstate(over="ignore", under="ignore"):
            by_feature = np.minimum(l2 * factors, LARGEST_PENALTY)
            np.minimum(by_feature * scale * scale, LARGEST_PENALTY, out=curvatures[:-1])
            if l1:
                np.minimum(l1 * factors * scale, LARGEST_PENALTY, out=thresholds[:-1])
            # The square root of the curvature stays within the range of float64 where the curvature leaves it.
            roots = scale * np.sqrt(by_feature)
        least, most = (NO_BOUNDS, NO_BOUNDS) if box is None else (box.least, box.most)
        arrays = PenaltyArrays(curvatures, thresholds, roots, group_by_class, least, most, scale, shift, rows.blur)
        gradient_blur = rows.blur.copy()
        gradient_blur[rows.coordinates.vanishing] = 0
        is_sized = bool(l1) and bool(thresholds.any())
        is_penalised = (roots > 0) | (thresholds[:-1] > 0)
        return cls(
            l2,
            l1,
            factors,
            group_by_class,
            curvatures,
            thresholds,
            arrays,
            box,
            gradient_blur,
            is_smooth=box is None and not is_sized,
            is_bounded=bool((is_penalised if box is None else is_penalised | box.is_closed).all()),
            is_none=not (is_sized or curvatures.any()),
        )

    @cached_property
    def blur_norm(self) -> float:
        """The norm of blur_j / root_j, in which an error of the gradient enters the conjugate of the penalty."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            relative = self.gradient_blur / self.arrays.roots
            if self.box is not None:
                relative = relative[self.arrays.roots > 0]
            largest = float(np.maximum.reduce(relative, initial=0.0))
            return largest * sqrt(np.add.reduce((relative / largest) ** 2)) if largest > 0 else 0.0

    @cached_property
    def largest_blur(self) -> float:
        """The largest blur_j / threshold_j, in which an error of the gradient enters the step to the box's edge."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            relative = self.gradient_blur / self.thresholds[:-1]
            if self.box is not None:
                # Without a threshold no step leads to one.
                relative = relative[self.thresholds[:-1] > 0]
            return float(np.fmax.reduce(relative, initial=0.0))

    @cached_property
    def is_uncentred(self) -> BoolArray:
        """Whether the coefficients of each feature, (d,), stay as they are when others are centred."""
        if self.group_by_class or self.is_smooth:
            return np.zeros(len(self.factors), bool)
        is_sized = self.thresholds[:-1] > 0
        return is_sized if self.box is None else is_sized | self.box.is_bounded

    def clip(self, parameters: FloatArray) -> FloatArray:
        """Return the parameters (K, d + 1) within the box that are next to the given ones; without a box these."""
        return parameters if self.box is None else self.box.clip(parameters)

    def size(self, parameters: FloatArray) -> float:
        """Return the part of the penalty that l1 weighs, at parameters (K, d + 1)."""
        if self.is_smooth:
            return 0.0
        if self.group_by_class:
            sizes = np.sqrt(np.einsum("kj,kj->j", parameters, parameters))
        else:
            sizes = np.abs(parameters).sum(axis=0)
        return float(np.sum(sizes * self.thresholds))

    def add_to(
        self, total: FloatArray, total_weight: float, parameters: FloatArray, gradient: FloatArray
    ) -> tuple[float, FloatArray, float]:
        """Fill gradient (K, d + 1) with total / total_weight plus the slope of the quadratic penalty at the parameters.

        Return the penalty, the sums (6,) of fill_block_penalties, and the norm over the classes of the blurs' sums.
        """
        n_blocks = cut_work(NUMBER_WORK * parameters.size, len(self.factors))
        sums, blurs = np.empty((n_blocks, 6)), np.empty((n_blocks, len(parameters)))
        run_blocks(
            fill_block_penalties,
            n_blocks,
            total,
            total_weight,
            parameters,
            self.arrays,
            gradient,
            sums,
            blurs,
        )
        totals, of_classes = sums[0], blurs[0]
        if n_blocks > 1:
            totals, of_classes = np.add.reduce(sums), np.add.reduce(blurs)
            totals[LARGEST] = np.maximum.reduce(sums[:, LARGEST])
        if self.box is not None:
            scale, shift = self.arrays.scale, self.arrays.shift
            of_intercept = gradient[:, -1:]
            largest = self.box.measure_subgradient(
                parameters, gradient[:, :-1] - shift * of_intercept, self.thresholds[:-1], scale
            )
            totals[LARGEST] = max(largest, np.abs(of_intercept).max())
        return 0.5 * totals[SQUARES] + totals[SIZES], totals, hypot(*of_classes)

    def conjugate(self, parameters: FloatArray, gradient: FloatArray, exchange: Exchange, step: float) -> FloatArray:
        """Return the conjugate at a dual point, its derivatives, and the box: the sums (4,) of fill_block_dual.

        The classes exchange first; the dual point lies at the part `step` of the way from the labels to the
        probabilities. At WITHIN stands the step at which an entry without a quadratic penalty leaves the box.
        """
        n_blocks = cut_work(NUMBER_WORK * parameters.size, len(self.factors))
        sums = np.empty((n_blocks, 4))
        run_blocks(fill_block_dual, n_blocks, gradient, parameters, self.arrays, exchange, float(step), sums)
        if n_blocks == 1:
            return sums[0]
        totals = np.add.reduce(sums)
        totals[WITHIN] = np.minimum.reduce(sums[:, WITHIN])
        return totals

    def exchanged_slopes(self, parameters: FloatArray, gradient: FloatArray, exchange: Exchange) -> FloatArray:
        """Return the gradient of the loss (K, d) after an exchange, of which `conjugate` makes its sums."""
        of_loss = gradient[:, :-1] - self.curvatures[:-1] * parameters[:, :-1]
        if not len(exchange.parts):
            return of_loss
        # Of two classes the second has the row of coefficients.
        own = slice(-len(of_loss), None)
        by_class = np.concatenate([-of_loss, of_loss]) if len(of_loss) == 1 else of_loss
        given = np.einsum("k,kj->j", exchange.parts, by_class + exchange.features)
        lost = exchange.parts[own, None] * (of_loss + exchange.features[own])
        return of_loss + exchange.received[own, None] * given - lost


# Classes exchange nothing if probabilities and labels have the same class sums.
NO_EXCHANGE = Exchange(np.empty((0, 0)), np.empty(0), np.empty(0))
