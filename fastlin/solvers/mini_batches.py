"""A start for fits of many classes: steps by small batches of the rows, preconditioned by one block for all classes.

Far from the minimum the curvature of a softmax of hundreds of classes changes with every step, so that each step of a
method of all rows gains little. Steps of batches cost a thirtieth of that, and gain nearly as much each
(Bottou, Curtis and Nocedal 2018, section 3). Near the minimum their noise is in the way; there L-BFGS takes over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.solvers.tuning import BATCH_ROWS, EPOCHS, FEW_CLASSES, FEWEST_BATCHES, POLYAK
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.solvers.preconditioners import AnyPreconditioner


def suits(objective: Objective) -> bool:
    """Say whether there are many classes, and enough batches of rows that lie in memory."""
    matrix, n_classes = objective.matrix, len(objective.class_weights)
    is_dense = matrix.lies_in_memory and not matrix.is_sparse
    return is_dense and n_classes > FEW_CLASSES and _count_batches(objective) >= FEWEST_BATCHES


def is_far(objective: Objective, preconditioner: AnyPreconditioner) -> bool:
    """Say whether the quadratic model at the start promises more than all of J: the minimum is far beyond its reach.

    preconditioner is that of the start.
    """
    gradient = objective.gradient_at_start()
    return 0.5 * dot(gradient.ravel(), preconditioner.solve(gradient).ravel()) > objective.value_at_start()


def minimize_roughly(objective: Objective, start: FloatArray, preconditioner: AnyPreconditioner) -> FloatArray:
    """Return parameters (K, d + 1) after `EPOCHS` times all rows in batches; preconditioner is that of the start.

    The length of the first step is that of Polyak (1987) for a minimum of zero, times `POLYAK`. From there it falls
    evenly to zero.
    """
    rows, precision, curvatures = objective.rows, objective.fast_precision, objective.penalty.curvatures
    numbers = rows.numbers if len(rows.numbers) else np.arange(rows.n_rows)
    n_batches, generator = _count_batches(objective), np.random.default_rng(0)
    n_steps, rate, parameters = EPOCHS * n_batches, 0.0, start.copy()
    batches: list[IntArray] = []
    for n in range(n_steps):
        batches = batches or np.array_split(generator.permutation(numbers), n_batches)
        # In order, rows are read as they lie.
        part = rows.take(np.sort(batches.pop()), within_whole=True)
        loss, total = part.evaluate(parameters, precision)
        share = part.n_rows / rows.n_rows
        gradient = total / (share * rows.total_weight) + curvatures * parameters
        direction = objective.center(preconditioner.solve(gradient))
        if n == 0:
            slope = dot(gradient.ravel(), direction.ravel())
            rate = POLYAK * loss / share / slope if slope > 0 else 0.0
        direction *= rate * (1 - n / n_steps)
        parameters -= direction
    return parameters


def _count_batches(objective):
    return objective.n_rows // max(BATCH_ROWS, objective.shape[1])
