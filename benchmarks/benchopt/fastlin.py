"""fastlin as a solver of benchopt's benchmarks of regression with L2: copy this file into their folder "solvers".

- benchmark_logreg_l2 has y in {-1, 1}. beta ends with the intercept, which is not penalized, where there is one.
- benchmark_logreg_l2_multiclass has no intercept. beta has a column for each class, or one column for two classes: it
  is scikit-learn's coef_ turned round.

Their objective is the sum of the losses and lmbd / 2 ||beta||^2, so that C is 1 / lmbd.
"""

import warnings

import numpy as np
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

    # The benchmark of several classes passes the name of its data, for solvers that cannot take some of them.
    def set_objective(self, X, y, lmbd, fit_intercept=False, name=None):
        self.X, self.y, self.has_columns = X, y, name is not None
        self.model = LogisticRegression(C=1 / lmbd, fit_intercept=fit_intercept, max_iter=10_000)

    def warm_up(self):
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
        if self.has_columns:
            return {"beta": self.model.coef_.T}
        beta = self.model.coef_.ravel()
        return {"beta": np.append(beta, self.model.intercept_) if self.model.fit_intercept else beta}
