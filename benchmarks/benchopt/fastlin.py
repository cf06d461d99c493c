"""fastlin as a solver in benchopt's benchmarks of L2 logistic regression. Copy this file to their folder "solvers".

- benchmark_logreg_l2 has y in {-1, 1}. The last entry of beta is the unpenalized intercept, if there is one.
- benchmark_logreg_l2_multiclass has no intercept. beta has a column for each class, or one column for two classes. It
  is the transpose of scikit-learn's coef_.

The objective of both benchmarks is the sum of the losses plus lmbd / 2 ||beta||^2, so C = 1 / lmbd.
"""

import warnings

import numpy as np
from benchopt import BaseSolver
from benchopt.stopping_criterion import SufficientProgressCriterion
from sklearn.exceptions import ConvergenceWarning

from fastlin import LogisticRegression


class Solver(BaseSolver):
    """fastlin's LogisticRegression with decreasing tolerances."""

    name = "fastlin"
    # A Newton step can reach several tolerances, so some points of the curve are equal.
    stopping_criterion = SufficientProgressCriterion(patience=8, strategy="tolerance")
    references = ["fastlin: logistic and softmax regression with compiled kernels and certified accuracy"]

    # The multiclass benchmark passes the name of its data set for solvers that do not support all data sets.
    def set_objective(self, X, y, lmbd, fit_intercept=False, name=None):
        self.X, self.y, self.is_multiclass_benchmark = X, y, name is not None
        self.model = LogisticRegression(C=1 / lmbd, fit_intercept=fit_intercept, max_iter=10_000)

    def warm_up(self):
        self.run(1e-2)

    @staticmethod
    def get_next(tolerance):
        return min(tolerance / 10, 0.1)

    def run(self, tolerance):
        # benchopt's first tolerance is 3e38.
        self.model.set_params(tol=min(tolerance, 1.0))
        with warnings.catch_warnings():
            # fastlin cannot certify the smallest tolerances.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.X, self.y)

    def get_result(self):
        if self.is_multiclass_benchmark:
            return {"beta": self.model.coef_.T}
        beta = self.model.coef_.ravel()
        return {"beta": np.append(beta, self.model.intercept_) if self.model.fit_intercept else beta}
