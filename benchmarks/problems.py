"""Problems with rows to test on: what a solution is worth on rows that it was not trained on."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from fastlin.contenders import Problem

# Where all rows are fitted, the scores are those of solutions of the others: every fifth row is kept to test on.
KEPT = 5


class Scores(NamedTuple):
    """What a solution is worth on rows that it was not trained on; None where nothing is predicted.

    Attributes
    ----------
    accuracy : float or None
        The part of the rows whose own class has the largest score.
    log_loss : float or None
        The mean of the negative logarithms of the probabilities of their own classes.
    """

    accuracy: float | None = None
    log_loss: float | None = None


def score(X, y, n_classes, coef, intercept):
    """Return the Scores of a linear model on rows X (n, d) with labels y, by the formula in NumPy and float64."""
    rows = Problem("test", X, y, n_classes, np.inf, fit_intercept=True)
    # Without a penalty the objective is the log loss.
    return Scores(rows.accuracy(coef, intercept), rows.objective(coef, intercept))


@dataclass(frozen=True, eq=False)
class TriedProblem(Problem):
    """A Problem with rows to test its solutions on.

    Attributes
    ----------
    X_test : ndarray or csr_matrix of shape (n_test, d) or None
        The rows; None where all that there are belong to the problem.
    y_test : ndarray of shape (n_test,), int64, or None
        Their labels.
    """

    X_test: np.ndarray | csr_matrix | None = None
    y_test: np.ndarray | None = None

    def test(self, coef, intercept):
        """Return the Scores of a solution."""
        return score(self.X_test, self.y_test, self.n_classes, coef, intercept)

    def hold_out(self):
        """Return the same problem with four of five of its rows, and the others to test on."""
        kept = np.arange(len(self.y)) % KEPT == KEPT - 1
        return replace(self, X=self.X[~kept], y=self.y[~kept], X_test=self.X[kept], y_test=self.y[kept])


class ManyProblems:
    """What many fits in one run come to, solved by coef (n_fits, K, d) and intercept (n_fits, K)."""

    def problems(self):
        """Yield the Problem of each fit."""
        raise NotImplementedError

    def objective(self, coef, intercept):
        """Return J of each fit, of shape (n_fits,)."""
        fits = zip(self.problems(), coef, intercept, strict=True)
        return np.array([problem.objective(*solution) for problem, *solution in fits])

    def accuracy(self, coef, intercept):
        """Return the mean over the fits of the accuracy on their rows."""
        fits = zip(self.problems(), coef, intercept, strict=True)
        return float(np.mean([problem.accuracy(*solution) for problem, *solution in fits]))


def take_mean(scores):
    """Return the Scores that are the means of those of many fits."""
    return Scores(*np.mean(scores, axis=0).tolist())


def pose(name, X, y, C, test=None, **parameters):
    """Return a TriedProblem with any labels; it has an intercept unless the parameters say otherwise.

    Parameters
    ----------
    name : str
        What tables and pictures call the problem.
    X : ndarray or csr_matrix of shape (n, d)
        The rows.
    y : ndarray of shape (n,)
        Their labels.
    C : float
        The inverse strength of the penalty.
    test : tuple of X and y, or None
        The rows to test on. Those of classes that y does not have are left out.
    **parameters
        Further attributes of a Problem.
    """
    classes, labels = np.unique(y, return_inverse=True)
    problem = TriedProblem(name, X, labels.astype(np.int64), len(classes), C, **{"fit_intercept": True, **parameters})
    if test is None:
        return problem
    X_test, y_test = test
    known = np.isin(y_test, classes)
    return replace(problem, X_test=X_test[known], y_test=np.searchsorted(classes, y_test[known]))


def pose_first(name, X, y, C, n_rows, **parameters):
    """Return the TriedProblem of the first rows, with the others to test on."""
    return pose(name, X[:n_rows], y[:n_rows], C, test=(X[n_rows:], y[n_rows:]), **parameters)


def count_test_rows(n_rows):
    """Return how many rows are drawn to test on, beside those of a problem."""
    return min(2_000, max(20, n_rows // KEPT))
