"""The mean loss over rows, its derivatives, and what certificates need of them, wherever the rows lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.matrices.pieces import multiply_probabilities
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.matrices import Matrix, Passes
    from fastlin.objective.coordinates import Coordinates
    from fastlin.objective.point import Point


class MeanSums:
    """Sums over rows with labels and weights, in coordinates, divided by the total weight of the rows.

    A sum is zero where the intercept or a vanishing column has no part in J. Each pass is counted. Rows adds what takes
    the rows themselves; those on other machines have their own class.

    Parameters
    ----------
    matrix : Matrix
        All rows of X, of which some may be meant, or what is known of them where they lie elsewhere.
    n_classes : int
        The number of classes, at least 2.
    coordinates : Coordinates
        How the columns enter.
    fit_intercept : bool
        Whether there is an intercept.
    passes : Passes
        What makes the sums.
    n_rows : int
        The number of rows that the sums run over.
    total_weight : float
        S.
    class_weights : ndarray of shape (n_classes,)
        The part of S that each class has.
    whole : MeanSums or None
        The sums over all rows, which supply total weight and class weights.

    Attributes
    ----------
    matrix, n_classes, coordinates, fit_intercept, passes, n_rows, total_weight, class_weights
        The parameters.
    n_rows_coef : int
        K, the number of rows of coefficients: one for two classes.
    gains_from_float32 : bool
        Whether passes in float32 are faster and the columns allow them.
    has_labels : bool
        Whether the labels of the rows are in this process.
    """

    has_labels: bool

    def __init__(
        self,
        matrix: Matrix,
        n_classes: int,
        coordinates: Coordinates,
        fit_intercept: bool,
        passes: Passes,
        n_rows: int,
        total_weight: float,
        class_weights: FloatArray,
        whole: MeanSums | None = None,
    ) -> None:
        self.matrix, self.n_classes = matrix, n_classes
        self.n_rows_coef = count_rows_coef(n_classes)
        self.coordinates, self.fit_intercept, self.passes = coordinates, fit_intercept, passes
        self.n_rows, self.total_weight, self.class_weights = n_rows, total_weight, class_weights
        self.gains_from_float32 = coordinates.allows_float32 and matrix.gains_from_float32(self.n_rows_coef)
        self._whole = whole
        # A list, which all parts of the same rows share.
        self._tally, self._n_all = [0.0], matrix.shape[0]
        self._total: FloatArray | None = None
        self._class_features: FloatArray | None = None

    @property
    def blur(self) -> FloatArray:
        """By how much a unit of each column's parameter can blur a score, relative to the roundings of a product: (d,).

        In the mean over the rows, as a root of squares. The shift of a column takes part in fewer roundings, or more.
        """
        coordinates = self.coordinates
        return np.sqrt(coordinates.mean_squares[:-1]) + self.passes.shift_roundings * np.abs(coordinates.shift)

    def curved_at(self, point: Point) -> FloatArray:
        """Return what Hessians at a Point are made from: the probabilities (K, n_rows) that it keeps.

        For rows on other machines these are the parameters (K, d + 1), at which probabilities are computed anew.
        """
        return point.probabilities if self.has_labels else point.parameters.astype(point.objective.fast_precision)

    @property
    def n_passes(self) -> float:
        """How many passes over X have been made; one over a tenth of the rows is a tenth of a pass."""
        return self._tally[0]

    def evaluate(
        self, parameters: FloatArray, precision: FloatType, probabilities: FloatArray | None = None
    ) -> tuple[float, FloatArray]:
        """Return the mean loss, and S times its gradient (K, d + 1), at parameters (K, d + 1).

        probabilities (K, n_rows) are filled, where they are given. The next call overwrites the gradient.
        """
        # New memory for a million parameters takes a fifth of a pass over sparse text.
        total = np.empty(parameters.shape) if self._total is None else self._total
        self._total = total
        loss = self.passes.evaluate(parameters.astype(precision, copy=False), probabilities, total)
        self._count(self.n_rows)
        total = self._clean(total)
        if precision == np.float64:
            self.note_sums(parameters, total)
        return loss / self.total_weight, total

    def note_sums(self, parameters: FloatArray, total: FloatArray) -> None:
        """Take note of S times the gradient at parameters, in float64: those without features tell `class_features`."""
        if self._class_features is None and self._whole is None and not parameters[:, :-1].any():
            self._class_features = self._find_class_features(parameters, total)

    def hessian_product(self, direction: FloatArray, curved: FloatArray) -> FloatArray:
        """Return the Hessian of the mean loss times direction (K, d + 1), for what `curved_at` returns."""
        product = self.passes.hessian_product(direction, curved)
        self._count(self.n_rows)
        product = self._clean(product)
        product /= self.total_weight
        return product

    def hessian(self, curved: FloatArray) -> FloatArray:
        """Return the Hessian of the mean loss, (K (d + 1), K (d + 1)), by classes, for what `curved_at` returns."""
        size = self.matrix.shape[1] + 1
        hessian = self.passes.class_pair_gram(curved)
        self._count(self.n_rows)
        hessian /= self.total_weight
        by_columns = hessian.reshape(len(hessian), -1, size)
        self._clean(by_columns)
        self._clean(by_columns.reshape(-1, size, len(hessian)).transpose(0, 2, 1))
        return hessian

    def sum_probability_products(self, parameters: FloatArray, precision: FloatType) -> FloatArray:
        """Return (1 / S) sum over i of s_i [p_i, 1] [p_i, 1]', (K + 1, K + 1), of the probabilities at parameters.

        They are computed anew, which takes a pass.
        """
        self._count(self.n_rows)
        return self.passes.sum_curvature(multiply_probabilities, parameters.astype(precision)) / self.total_weight

    def class_features(self) -> FloatArray:
        """Return (1 / S) times the sum of s_i x~_i over the rows of each class, (n_classes, d).

        Certificates are made of them, so they come from float64: from the first point without features, or from a pass
        of their own.
        """
        if self._whole is not None:
            return self._whole.class_features()
        if self._class_features is None:
            self.evaluate(np.zeros((self.n_rows_coef, self.matrix.shape[1] + 1)), np.float64)
        assert self._class_features is not None
        return self._class_features

    def _find_class_features(self, parameters, total):
        """Return the sums by class from the gradient at parameters that are zero but for the intercept.

        All rows then have the same probabilities, and the gradient is their share of the mean less the class's part.
        """
        scores = np.zeros(self.n_classes)
        scores[-len(parameters) :] = parameters[:, -1]
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        mean = self.coordinates.mean
        features = probabilities[-len(parameters) :, None] * mean - total[:, :-1] / self.total_weight
        if len(features) == 1:
            features = np.concatenate([mean - features, features])
        return features

    def _clean(self, total):
        """Return sums over the rows (..., d + 1) with zeros where the intercept, or a column, has no part in J."""
        if len(self.coordinates.vanishing):
            total[..., self.coordinates.vanishing] = 0
        if not self.fit_intercept:
            total[..., -1] = 0
        return total

    def count_with(self, whole: MeanSums) -> None:
        """Count passes together with those of all rows, of which these are a part or a copy."""
        self._tally, self._n_all = whole._tally, whole._n_all

    def count_pass(self, n_passes: float = 1) -> None:
        """Take note of passes over the rows that were made elsewhere."""
        self._count(n_passes * self.n_rows)

    def _count(self, n_rows):
        self._tally[0] += n_rows / self._n_all


def count_rows_coef(n_classes: int) -> int:
    """Return K, the number of rows of coefficients for so many classes."""
    return 1 if n_classes == 2 else n_classes
