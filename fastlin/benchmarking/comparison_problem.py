"""The data and the objective of a comparison of libraries, with measures of solutions in float64."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from fastlin.benchmarking.objectives import average_cross_entropy, compute_class_scores
from fastlin.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class ComparisonProblem:
    """The data and the objective for all libraries: scikit-learn's objective with C and l1_ratio.

    X (n, d) is an array in C order or a CSR matrix, in float64 or float32. y (n,) contains the labels 0, 1, ...
    (int64). Few libraries support l1_ratio.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    n_classes: int
    C: float
    fit_intercept: bool
    l1_ratio: float = 0.0

    @property
    def l1(self) -> float:
        """The factor of the sum of absolute values in J. The mean loss has the factor one."""
        return self.l1_ratio / (self.C * len(self.y))

    @property
    def l2(self) -> float:
        """The factor of half the sum of squares in J. The mean loss has the factor one."""
        return (1 - self.l1_ratio) / (self.C * len(self.y))

    @property
    def n_rows_coef(self) -> int:
        """K, the number of rows of coefficients."""
        return 1 if self.n_classes == 2 else self.n_classes

    def objective(self, coef: FloatArray, intercept: FloatArray) -> float:
        """Return J in float64, computed with NumPy from the formula, independently of all libraries."""
        coef = np.asarray(coef, np.float64)
        penalty = 0.5 * self.l2 * np.sum(coef * coef) + self.l1 * np.sum(np.abs(coef))
        return average_cross_entropy(self._compute_scores(coef, intercept), self.y) + float(penalty)

    def score_predictions(self, coef: FloatArray, intercept: FloatArray) -> dict[str, float]:
        """Return the accuracy, the log loss and, for two classes, the area under the ROC curve ("AUC")."""
        scores = self._compute_scores(coef, intercept)
        measures = {
            "accuracy": float(np.mean(scores.argmax(axis=1) == self.y)),
            "log_loss": average_cross_entropy(scores, self.y),
        }
        if self.n_classes == 2 and 0 < self.y.mean() < 1 and np.isfinite(scores).all():
            measures["AUC"] = float(roc_auc_score(self.y, scores[:, 1]))
        return measures

    def score_null_model(self, y: IntArray) -> dict[str, float]:
        """Return the scores of the null model on these rows. It predicts the class frequencies of ``y``."""
        frequencies = np.bincount(y, minlength=self.n_classes) / len(y)
        with np.errstate(divide="ignore"):
            intercept = np.log(frequencies)
        intercept = intercept[1:] - intercept[:1] if self.n_classes == 2 else intercept
        return self.score_predictions(np.zeros((len(intercept), self.X.shape[1])), intercept)

    def _compute_scores(self, coef, intercept):
        """Return scores (n, n_classes) in float64."""
        coef, intercept = np.asarray(coef, np.float64), np.asarray(intercept, np.float64)
        if coef.shape != (self.n_rows_coef, self.X.shape[1]) or intercept.shape != (self.n_rows_coef,):
            expected = (self.n_rows_coef, self.X.shape[1]), (self.n_rows_coef,)
            raise ValueError(f"coef and intercept must have shapes {expected}, got {coef.shape} and {intercept.shape}")
        return compute_class_scores(self.X, coef, intercept)
