"""asv benchmarks of whole fits: fastlin's LogisticRegression beside scikit-learn's."""

import warnings
from functools import lru_cache

from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from benchmarks.common import evaluate_objective, interleaved_ratio, load_data

C = 1.0
TOL = 1e-4
MAX_ITER = 1000
# Rows per set: a fit takes seconds at most.
N_ROWS = {"mnist": 10_000, "synthetic": 10_000, "binary": 200_000}


def make_estimator(name, **parameters):
    """Return an unfitted estimator of "fastlin" or "scikit-learn", with equal tol unless told otherwise."""
    make = {"fastlin": fastlin.LogisticRegression, "scikit-learn": ScikitLearnLogisticRegression}[name]
    return make(**{"C": C, "tol": TOL, "max_iter": MAX_ITER, **parameters})


def fit(estimator, X, y):
    """Fit, without the warning of a fit that is ended on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


def make_equal(scikit_learn, X, y):
    """Return fastlin's estimator with as many iterations as it needs to reach the objective of scikit-learn's fit."""
    target = evaluate_objective(scikit_learn, X, y, C)
    # A smaller tol than scikit-learn's: the same one may end above scikit-learn's objective.
    ahead = fit(make_estimator("fastlin", tol=TOL / 100), X, y)
    for n_iter, iteration in enumerate(ahead.history_, start=1):
        if iteration.objective <= target:
            return make_estimator("fastlin", tol=TOL / 100, max_iter=n_iter)
    raise AssertionError(f"fastlin ended at {ahead.history_[-1].objective}, scikit-learn at {target}")


# asv repeats the setup before each sample.
@lru_cache(maxsize=1)
def compile_for(data, dtype):
    """Fit a few rows, which compiles the kernels."""
    loaded = load_data(data, N_ROWS[data], dtype)
    fit(make_estimator("fastlin", max_iter=5), loaded.X_train[:500], loaded.y_train[:500])


class _Fit:
    """A data set in one type."""

    params = (["mnist", "synthetic", "binary"], ["float64", "float32"])
    param_names = ("data", "dtype")
    timeout = 300
    rounds = 1

    def setup(self, data, dtype):
        self.data = load_data(data, N_ROWS[data], dtype)
        self.X, self.y = self.data.X_train, self.data.y_train
        compile_for(data, dtype)


class Fit(_Fit):
    """Each estimator by itself, equal tol."""

    params = (*_Fit.params, ["fastlin", "scikit-learn"])
    param_names = (*_Fit.param_names, "estimator")
    repeat = (2, 5, 5.0)
    warmup_time = 0

    def setup(self, data, dtype, estimator):
        super().setup(data, dtype)
        self.estimator = make_estimator(estimator)

    def time_fit(self, data, dtype, estimator):
        fit(self.estimator, self.X, self.y)

    def peakmem_fit(self, data, dtype, estimator):
        fit(self.estimator, self.X, self.y)

    def track_accuracy(self, data, dtype, estimator):
        return float(fit(self.estimator, self.X, self.y).score(self.data.X_test, self.data.y_test))

    track_accuracy.unit = "accuracy"


class FitAndScikitLearn(_Fit):
    """Both on the same data."""

    def track_objective_gap(self, data, dtype):
        """Return fastlin's objective less scikit-learn's at equal tol, relative: negative where fastlin's is lower."""
        ours, theirs = (
            evaluate_objective(fit(make_estimator(name), self.X, self.y), self.X, self.y, C)
            for name in ("fastlin", "scikit-learn")
        )
        return (ours - theirs) / theirs

    track_objective_gap.unit = "relative to scikit-learn's objective"

    def track_ratio_to_scikit_learn(self, data, dtype):
        """Return the ratio of the times at equal objective."""
        scikit_learn = fit(make_estimator("scikit-learn"), self.X, self.y)
        equal = make_equal(scikit_learn, self.X, self.y)
        return interleaved_ratio(lambda: fit(scikit_learn, self.X, self.y), lambda: fit(equal, self.X, self.y), 3)

    track_ratio_to_scikit_learn.unit = "scikit-learn's time / fastlin's"
