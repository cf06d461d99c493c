"""The kernels that the first fit of a small table compiles, as tasks for two processes.

The list contains only kernels whose argument types are the same for any X and any number of classes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastlin.kernels.linear import column_scaling, columnwise, dense_rows, penalties, quasi_newton
from fastlin.kernels.machine import background_compilation
from fastlin.kernels.machine.libraries import numba, target_context


def list_compilation_tasks() -> dict[str, Callable[[], Any]]:
    """Return a dict from file names to functions, slowest first. Each function compiles the kernel of its file."""
    vector, matrix, tiles, positions = np.ones(1), np.ones((1, 1)), np.ones((1, 1, 1)), np.ones((1, 1), np.int64)
    rows = columnwise.TiledRows(tiles, positions, matrix, tiles, tiles, 1, False)
    descent = quasi_newton.Descent.at(matrix, 1.0, vector, vector, 0.0, 0.0)
    penalty = penalties.PenaltyArrays(vector, vector, vector, False, scale=vector, shift=vector, error_weight=vector)
    probability_transfer = penalties.ProbabilityTransfer(matrix, vector, vector)
    workspace = quasi_newton.DescentWorkspace.of(1, 1, 1, 1)
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (columnwise.evaluate_tiles, (rows, vector, tiles, matrix, vector)),
        (quasi_newton.build_matrix_in_cache, (rows, descent, workspace, False)),
        (penalties.fill_block_penalties, (0, 1, matrix, 1.0, matrix, penalty, matrix, matrix, matrix)),
        (penalties.fill_block_dual, (0, 1, matrix, matrix, penalty, probability_transfer, 1.0, matrix)),
        (
            column_scaling.fill_coefficients,
            (matrix, matrix, vector, vector, vector, 1.0, matrix, vector, matrix),
        ),
        (dense_rows.fill_scores, (matrix, matrix, vector, matrix, positions[0])),
        (quasi_newton.check_step, (descent, 1.0)),
    ]
    codegen = target_context.codegen()
    signatures = [(kernel, tuple(map(numba.typeof, arguments))) for kernel, arguments in calls]
    return {kernel._cache.name(types, codegen): partial(kernel.compile, types) for kernel, types in signatures}


def main(folder: str) -> None:
    """Compile kernels in parallel with another process, which takes tasks from the same folder."""
    background_compilation.run_tasks(folder, list_compilation_tasks())
