"""The linear programme of the directions that separate the classes of some rows (Konis 2007, chapter 4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlin.typing import BoolArray, FloatArray

# The strictest tolerance that HiGHS takes.
TOLERANCE = 1e-10
# A maximum below this is zero. Rows and the gain are scaled to a size of one.
NOTHING = 1e-9
# Iterations for each variable. Programmes of thousands of rows take up to 7; where columns nearly depend on each other
# HiGHS came to no end in six minutes.
MOST_TURNS = 30


class Programme:
    """Directions (K, d + 1) of a sum of magnitudes of at most one that violate none of the rows it knows.

    Parameters
    ----------
    gain : ndarray of shape (K, d + 1)
        What the direction is to be largest along: a sum, with weights above zero, of what all rows gain.
    n_classes : int
        The number of classes.

    Attributes
    ----------
    n_rows : int
        The number of rows it knows.
    """

    def __init__(self, gain: FloatArray, n_classes: int) -> None:
        self._gain = gain / max(np.abs(gain).max(initial=0.0), np.finfo(np.float64).tiny)
        self._n_classes, self.n_rows = n_classes, 0
        self._constraints: list[Any] = []

    def add(self, rows: FloatArray, own: BoolArray) -> None:
        """Add rows (m, d + 1) with their own classes (m, n_classes)."""
        from scipy import sparse

        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        rows = rows / np.maximum(lengths, np.finfo(np.float64).tiny)[:, None]
        self.n_rows += len(rows)
        K = len(self._gain)
        for k in range(self._n_classes):
            for other in range(self._n_classes):
                x = sparse.csr_array(rows[own[:, k]])
                if other == k or not x.shape[0]:
                    continue
                if K == 1:
                    self._constraints.append(x if k == 1 else -x)
                else:
                    blocks: list[Any] = [sparse.csr_array(x.shape)] * K
                    blocks[k], blocks[other] = x, -x
                    self._constraints.append(sparse.hstack(blocks, format="csr"))

    def solve(self, completely: bool = False) -> FloatArray | None:
        """Return the direction of the largest gain, (K, d + 1), or None where none gains anything.

        Parameters
        ----------
        completely : bool
            Whether the least of what the rows gain is to be largest instead.

        Raises
        ------
        ArithmeticError
            HiGHS has not solved the programme.
        """
        from scipy import optimize, sparse

        matrix = sparse.vstack(self._constraints, format="csr")
        n = self._gain.size
        costs = np.concatenate([-self._gain.ravel(), self._gain.ravel()])
        constraints = sparse.hstack([-matrix, matrix], format="csr")
        bounds = (0, None)
        if completely:
            costs = np.append(np.zeros(2 * n), -1.0)
            constraints = sparse.hstack([constraints, np.ones((matrix.shape[0], 1))], format="csr")
        sizes = np.append(np.ones(2 * n), np.zeros(len(costs) - 2 * n))
        constraints = sparse.vstack([constraints, sparse.csr_array(sizes[None])], format="csr")
        limits = np.append(np.zeros(matrix.shape[0]), 1.0)
        found = optimize.linprog(
            costs,
            A_ub=constraints,
            b_ub=limits,
            bounds=bounds,
            method="highs",
            options={
                "primal_feasibility_tolerance": TOLERANCE,
                "dual_feasibility_tolerance": TOLERANCE,
                "maxiter": MOST_TURNS * len(costs),
            },
        )
        if found.status != 0:
            raise ArithmeticError(f"HiGHS did not solve the linear programme ({found.message.strip()})")
        if not -found.fun > NOTHING:
            return None
        direction = found.x[:n] - found.x[n : 2 * n]
        direction[np.abs(direction) <= TOLERANCE * np.abs(direction).max()] = 0
        return direction.reshape(self._gain.shape)
