"""Problems of the benchmarks, and measures of their solutions in float64 with NumPy, including test scores."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from fastlin.benchmarking.comparison_problem import ComparisonProblem
from fastlin.benchmarking.objectives import average_cross_entropy, compute_class_scores

# Without test rows, every fifth row is held out for the scores.
HOLD_OUT_STEP = 5


class Scores(NamedTuple):
    """Accuracy and mean log loss on test rows, or None without predictions."""

    accuracy: float | None = None
    log_loss: float | None = None


def score(class_scores, y):
    """Return the Scores of class scores (n, n_classes)."""
    return Scores(float(np.mean(class_scores.argmax(axis=1) == y)), average_cross_entropy(class_scores, y))


@dataclass(frozen=True, eq=False)
class LogLossProblem:
    """Rows whose solutions are measured by their log loss. `compute_class_scores` returns scores (n, n_classes)."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    n_classes: int

    def compute_class_scores(self, X, *solution):
        return compute_class_scores(X, *solution)

    def objective(self, *solution):
        return score(self.compute_class_scores(self.X, *solution), self.y).log_loss

    def accuracy(self, *solution):
        return score(self.compute_class_scores(self.X, *solution), self.y).accuracy

    def score_test_rows(self, *solution):
        return score(self.compute_class_scores(self.X_test, *solution), self.y_test)


@dataclass(frozen=True, eq=False)
class ClassificationProblem(ComparisonProblem):
    """A ComparisonProblem with optional test rows, and optionally other inputs for libraries that do not use X."""

    X_test: np.ndarray | csr_matrix | None = None
    y_test: np.ndarray | None = None
    other_inputs: object = None

    def objective(self, coef, intercept, *_):
        return super().objective(coef, intercept)

    def accuracy(self, coef, intercept, *_):
        # Wrong shapes raise an error, as in `objective`.
        return score(self._compute_scores(coef, intercept), self.y).accuracy

    def score_test_rows(self, coef, intercept, *_):
        return score(compute_class_scores(self.X_test, coef, intercept), self.y_test)

    def hold_out_rows(self):
        """Return the problem with every fifth row as a test row."""
        is_test_row = np.arange(len(self.y)) % HOLD_OUT_STEP == HOLD_OUT_STEP - 1
        return replace(
            self, X=self.X[~is_test_row], y=self.y[~is_test_row], X_test=self.X[is_test_row], y_test=self.y[is_test_row]
        )


class ManyProblems:
    """Many fits in one run, with coef (n_fits, K, d) and intercept (n_fits, K). `problems` yields each problem."""

    def objective(self, *solution):
        return np.array(self._score_fits(ClassificationProblem.objective, *solution))

    def accuracy(self, *solution):
        return float(np.mean(self._score_fits(ClassificationProblem.accuracy, *solution)))

    def score_test_rows(self, *solution):
        return average_scores(self._score_fits(ClassificationProblem.score_test_rows, *solution))

    def _score_fits(self, score, coef, intercept, *_):
        return [score(*fit) for fit in zip(self.problems(), coef, intercept, strict=True)]


def average_scores(scores):
    """Return the mean Scores of many fits."""
    return Scores(*np.mean(scores, axis=0).tolist())


def make_classification_problem(name, X, y, C, test_data=None, **parameters):
    """Return a ClassificationProblem with an intercept for arbitrary labels. Test rows of other classes are omitted."""
    classes, labels = np.unique(y, return_inverse=True)
    problem = ClassificationProblem(
        name, X, labels.astype(np.int64), len(classes), C, **{"fit_intercept": True, **parameters}
    )
    if test_data is None:
        return problem
    X_test, y_test = test_data
    has_seen_class = np.isin(y_test, classes)
    return replace(problem, X_test=X_test[has_seen_class], y_test=np.searchsorted(classes, y_test[has_seen_class]))


def make_split_problem(name, X, y, C, n_rows, **parameters):
    """Return the ClassificationProblem of the first rows, with the other rows as test rows."""
    return make_classification_problem(
        name, X[:n_rows], y[:n_rows], C, test_data=(X[n_rows:], y[n_rows:]), **parameters
    )


def count_test_rows(n_rows):
    """Return the number of test rows for a number of training rows."""
    return min(2_000, max(20, n_rows // HOLD_OUT_STEP))
