"""fastlin as a solver of the benchopt benchmark of softmax regression with L2, benchmark_logreg_l2_multiclass.

That benchmark's objective is the sum of the losses and lmbd / 2 ||beta||^2 without an intercept, so that C is 1 / lmbd.
beta has a column for each class, or one column for two classes, which is scikit-learn's coef_ turned round. Copy this
file into its folder "solvers".
"""

import warnings

from benchopt import BaseSolver
from benchopt.stopping_criterion import SufficientProgressCriterion
from sklearn.exceptions import ConvergenceWarning

from fastlin import LogisticRegression


class Solver(BaseSolver):
    """fastlin's LogisticRegression, at one tol after the other."""

    name = "fastlin"
    # A Newton step may reach several of the tolerances, so that some points of the curve are equal.
    stopping_criterion = SufficientProgressCriterion(patience=8, strategy="tolerance")
    references = ["fastlin: logistic and softmax regression by compiled kernels, to a proven minimum"]

    # The benchmark passes the name of its data too, for solvers that cannot take some of them.
    def set_objective(self, X, y, lmbd, name=None):
        self.X, self.y = X, y
        self.model = LogisticRegression(C=1 / lmbd, fit_intercept=False, max_iter=10_000)

    def warm_up(self):
        # The first fit compiles.
        self.run(1e-2)

    @staticmethod
    def get_next(tolerance):
        return min(tolerance / 10, 0.1)

    def run(self, tolerance):
        # benchopt asks for a tolerance of 3e38 first.
        self.model.set_params(tol=min(tolerance, 1.0))
        with warnings.catch_warnings():
            # At the smallest tolerances no fit can prove that it has converged.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.X, self.y)

    def get_result(self):
        return {"beta": self.model.coef_.T}
