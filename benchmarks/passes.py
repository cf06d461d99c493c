"""The races of a pass over dense rows, for loss and gradient, beside NumPy and BLAS."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.data import load_data
from benchmarks.plain_numpy import NumPyObjective
from benchmarks.problems import Scores
from benchmarks.races import FASTLIN, Race, Rule
from fastlin.objective import Objective

N_ROWS = 60_000
N_CLASSES = 10
L2 = 1 / N_ROWS
N_PASSES = 5
# Most code keeps the scores in C order. In F order NumPy is faster by 30 % in float64 and by 10 % in float32.
IN_F_ORDER = "NumPy, scores in F order"
# The relative difference of J; passes in float32 add up their rows in float64, NumPy its products in float32.
ALLOWED = {"float64": 1e-11, "float32": 2e-5, "uint8": 2e-5}


def find_precision(X):
    """Return the type in which solvers compute most passes: float64 for data in float64, otherwise float32."""
    return np.float64 if X.dtype == np.float64 else np.float32


def draw_coef(X, n_classes=N_CLASSES):
    """Return random coefficients, and an intercept of zeros, that give scores of order 1."""
    rows = 1 if n_classes == 2 else n_classes
    coef = np.random.default_rng(0).normal(0, 0.05, (rows, X.shape[1])) / max(1, X.max())
    dtype = find_precision(X)
    return coef.astype(dtype), np.zeros(rows, dtype)


class FusedPass:
    """The pass of fastlin over X for J and its gradient, at a point in the objective's own coordinates.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        The rows.
    labels : ndarray of shape (n,), int64
        The classes of the rows, from 0 on.
    n_classes : int
        The number of classes.
    coef : ndarray of shape (K, d)
        The coefficients of the point.
    intercept : ndarray of shape (K,)
        The intercept of the point.
    l2 : float
        The weight of half the sum of the squares of the coefficients.

    Attributes
    ----------
    objective : Objective
        J over the rows.
    parameters : ndarray of shape (K, d + 1), float64
        The point in the objective's own coordinates.
    precision : type
        The type that products are computed in.
    """

    def __init__(self, X, labels, n_classes, coef, intercept, *, l2=L2):
        self.objective = Objective.over(X, labels, n_classes, l2=l2)
        self.parameters = self.objective.coordinates.to_parameters(
            coef.astype(np.float64), intercept.astype(np.float64)
        )
        self.precision = find_precision(X)

    def __call__(self):
        """Make the pass."""
        return self.objective.at(self.parameters, self.precision)

    def value_and_gradient(self):
        """Return J and its gradient by coefficients (K, d) and intercept (K,), in the columns' own coordinates."""
        point, coordinates = self(), self.objective.coordinates
        by_intercept = point.gradient[:, -1]
        by_coef = point.gradient[:, :-1] - by_intercept[:, None] * coordinates.shift
        return point.value, by_coef / coordinates.scale, by_intercept


class NumPyPass:
    """The same pass by NumPyObjective, in the type that fastlin computes in, because BLAS cannot multiply bytes.

    Parameters
    ----------
    X, labels, n_classes, coef, intercept, l2
        As `FusedPass` has them.
    order : {"C", "F"}
        The order in memory of the scores, as `NumPyObjective` has it.
    """

    def __init__(self, X, labels, n_classes, coef, intercept, *, l2=L2, order="C"):
        self._objective = NumPyObjective(X.astype(find_precision(X), copy=False), labels, n_classes, l2=l2, order=order)
        self._coef, self._intercept = coef, intercept

    def value_and_gradient(self):
        """Return J and its gradient by coefficients (K, d) and intercept (K,)."""
        return self._objective.value_and_gradient(self._coef, self._intercept)


@dataclass(frozen=True, eq=False)
class Point:
    """An objective at a point, which is solved by J, the gradient by coef (K, d) and that by intercept (K,).

    Attributes
    ----------
    X : ndarray of shape (n, d)
        The rows.
    n_classes : int
        The number of classes.
    passes : dict of str to callable
        The pass of each contender.
    """

    X: np.ndarray
    n_classes: int
    passes: dict

    def objective(self, value, coef_gradient, intercept_gradient):
        """Return J."""
        return float(value)

    def accuracy(self, value, coef_gradient, intercept_gradient):
        """Return nan: a point is as far from the labels for every contender."""
        return float("nan")

    def test(self, value, coef_gradient, intercept_gradient):
        """Return no Scores: a pass predicts nothing."""
        return Scores()


def load_point(n_rows, dtype):
    """Return a Point of MNIST with scores of order 1."""
    data = load_data("mnist", n_rows or N_ROWS, dtype)
    X = data.X_train
    arguments = X, data.y_train, N_CLASSES, *draw_coef(X)
    passes = {
        FASTLIN: FusedPass(*arguments),
        "NumPy": NumPyPass(*arguments),
        IN_F_ORDER: NumPyPass(*arguments, order="F"),
    }
    return Point(X, N_CLASSES, passes)


def evaluate(point, name):
    """Make the passes of a contender, one after the other as a solver does."""
    for _ in range(N_PASSES):
        solution = point.passes[name].value_and_gradient()
    return solution


RACES = {
    f"pass-{dtype}": Race(
        f"{N_PASSES} passes for loss and gradient",
        partial(load_point, dtype=dtype),
        partial(evaluate, name=FASTLIN),
        {name: partial(evaluate, name=name) for name in ("NumPy", IN_F_ORDER)},
        rows=10_000,
        rule=Rule(same_steps=ALLOWED[dtype]),
    )
    for dtype in ALLOWED
}
