"""asv benchmarks of whole fits: fastlin's LogisticRegression beside the fastest peer of each problem.

A race gives both the same problem in turn, on the same number of threads. It counts only where fastlin has converged
and its J, by the formula in NumPy and float64, is no higher than the peer's. `python -m benchmarks.fits` prints a table
of the races.
"""

from functools import lru_cache, partial

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from benchmarks.common import evaluate_objective, fit, load_data, load_letter
from benchmarks.races import THREADS, TOL, Race, make_problem, measure_ratio, pose, print_races
from benchmarks.sparse_data import make_one_hot, make_text
from fastlin.studies.compare import make_synthetic

C = 1.0
MAX_ITER = 1000
# The rows of each data set of the fits without a peer, so few that a fit takes seconds at most.
N_ROWS = {"mnist": 10_000, "synthetic": 10_000, "binary": 200_000}
# After so many iterations saga comes within 1e-4 of the lowest J of 10,000 images of MNIST with L1, C = 0.1: 150 end
# 1.04e-4 above it, and 200 end 4.0e-5 above it.
SAGA_ITERATIONS = 155


def fit_scikit_learn(problem, threads, solver, tol=TOL, max_iter=MAX_ITER):
    """Fit scikit-learn's estimator, whose threads are those of BLAS; saga runs on one thread."""
    model = ScikitLearnLogisticRegression(
        C=problem.C,
        l1_ratio=problem.l1_ratio,
        solver=solver,
        tol=tol,
        max_iter=max_iter,
        fit_intercept=problem.fit_intercept,
        random_state=0,
    )
    model.fit(problem.X, problem.y)
    return model.coef_, model.intercept_


def fit_scikit_learn_to_pixels(problem, threads):
    """Divide the pixels by 255, as is common with scikit-learn, and fit; C / 255^2 gives the same J."""
    scaled = ScikitLearnLogisticRegression(C=problem.C * 255**2, max_iter=MAX_ITER)
    scaled.fit(problem.X / 255.0, problem.y)
    return scaled.coef_ / 255, scaled.intercept_


def fit_cyanure(problem, threads, tol):
    """Fit Cyanure's Classifier, whose tol bounds the relative duality gap; contenders.py explains its objective."""
    from cyanure.estimators import Classifier

    model = Classifier(
        loss="logistic" if problem.n_classes == 2 else "multiclass-logistic",
        penalty="l2",
        lambda_1=problem.l2,
        fit_intercept=True,
        tol=tol,
        max_iter=MAX_ITER,
        n_threads=threads,
        verbose=False,
    )
    model.fit(problem.X, problem.y)
    return model.coef_.reshape(problem.X.shape[1], problem.n_rows_coef).T, model.intercept_.ravel()


def _load_mnist(n_rows, dtype, C=C, **parameters):
    data = load_data("mnist", n_rows, dtype)
    return pose("MNIST", data.X_train, data.y_train, C / 255**2 if dtype == "uint8" else C, **parameters)


def _load_letter(n_rows):
    X, y = load_letter()
    return pose("Letter", X[:n_rows], y[:n_rows], C)


def _load_digits(n_rows):
    X, y = load_digits(return_X_y=True)
    return pose("digits", X[:n_rows], y[:n_rows], C)


def _load_synthetic(n_rows, n_all, n_features, n_classes, dtype):
    """Return Gaussian clusters, one per class; few rows have fewer classes, so that every class is present."""
    n_rows = n_rows or n_all
    data = make_synthetic(min(n_classes, n_rows // 4), n_rows, n_features, seed=0)
    return pose("synthetic", data.X_train.astype(dtype), data.y_train, C)


def _load_text(n_rows, **parameters):
    data = make_text(n_rows) if n_rows else make_text()
    return pose("text", data.X_train, data.y_train, C, **parameters)


def _load_one_hot(n_rows):
    data = make_one_hot(n_rows) if n_rows else make_one_hot()
    return pose("one-hot", data.X_train, data.y_train, C)


LBFGS = {"scikit-learn lbfgs": partial(fit_scikit_learn, solver="lbfgs")}
RACES = {
    "mnist-float64": Race("MNIST, float64", partial(_load_mnist, dtype="float64"), LBFGS, 15),
    "mnist-float32": Race("MNIST, float32", partial(_load_mnist, dtype="float32"), LBFGS, 18),
    "mnist-uint8": Race(
        "MNIST, uint8",
        partial(_load_mnist, dtype="uint8"),
        {"scikit-learn lbfgs on X / 255.0": fit_scikit_learn_to_pixels},
        20,
    ),
    "mnist-cyanure": Race(
        "MNIST, float64",
        partial(_load_mnist, dtype="float64"),
        {"cyanure, tol 1e-5": partial(fit_cyanure, tol=1e-5)},
        8,
        tol=1e-6,
        package="cyanure",
    ),
    "letter": Race(
        "Letter, 26 classes",
        _load_letter,
        {"scikit-learn newton-cholesky": partial(fit_scikit_learn, solver="newton-cholesky")},
        6,
        tol=1e-6,
        rounds=3,
    ),
    "letter-cyanure": Race(
        "Letter, 26 classes",
        _load_letter,
        {"cyanure, tol 1e-6": partial(fit_cyanure, tol=1e-6)},
        2,
        tol=1e-6,
        rounds=3,
        package="cyanure",
    ),
    "million": Race(
        "1,000,000 × 30, 2 classes",
        partial(_load_synthetic, n_all=1_000_000, n_features=30, n_classes=2, dtype="float64"),
        {
            f"scikit-learn {solver}, tol 1e-6": partial(fit_scikit_learn, solver=solver, tol=1e-6)
            for solver in ("lbfgs", "newton-cholesky", "newton-cg")
        },
        5,
        tol=1e-6,
        within=1e-6,
        rounds=3,
        smoke_rows=10_000,
    ),
    "digits": Race(
        "digits, 1,797 × 64",
        _load_digits,
        {
            f"scikit-learn {solver}": partial(fit_scikit_learn, solver=solver)
            for solver in ("lbfgs", "newton-cholesky", "newton-cg", "sag", "saga")
        },
        3,
        # Peers that come as near to the minimum as fastlin's tol count.
        within=TOL,
        rounds=3,
        smoke_rows=300,
    ),
    "thousand-classes": Race(
        "20,000 × 50, 1,000 classes, float32",
        partial(_load_synthetic, n_all=20_000, n_features=50, n_classes=1_000, dtype="float32"),
        LBFGS,
        8,
        smoke_rows=400,
    ),
    "text": Race(
        "text, 11,000 × 56,000, 20 classes",
        _load_text,
        {
            f"scikit-learn {solver}, tol 1e-5": partial(fit_scikit_learn, solver=solver, tol=1e-5)
            for solver in ("newton-cg", "saga")
        },
        4,
        tol=1e-5,
        within=1e-6,
        rounds=3,
        smoke_rows=300,
        threads=("all",),
    ),
    "text-l1": Race(
        "the same, L1",
        partial(_load_text, l1_ratio=1.0),
        {"scikit-learn saga, tol 1e-4": partial(fit_scikit_learn, solver="saga", tol=1e-4)},
        20,
        smoke_rows=300,
        threads=("all",),
    ),
    "one-hot": Race(
        "one-hot, 16,000 × 123, 2 classes",
        _load_one_hot,
        {"scikit-learn newton-cholesky, tol 1e-6": partial(fit_scikit_learn, solver="newton-cholesky", tol=1e-6)},
        4,
        tol=1e-6,
        rounds=7,
        threads=("all",),
    ),
    "mnist-l1": Race(
        "MNIST, 10,000 images, L1, C = 0.1",
        lambda n_rows: _load_mnist(n_rows or 10_000, "float64", C=0.1, l1_ratio=1.0),
        {"scikit-learn saga to within 1e-4": partial(fit_scikit_learn, solver="saga", tol=0, max_iter=SAGA_ITERATIONS)},
        20,
        smoke_rows=200,
        threads=("all",),
    ),
}


def make_estimator(name, **parameters):
    """Return an unfitted estimator of "fastlin" or "scikit-learn", with the same tol unless it is given."""
    make = {"fastlin": fastlin.LogisticRegression, "scikit-learn": ScikitLearnLogisticRegression}[name]
    return make(**{"C": C, "tol": TOL, "max_iter": MAX_ITER, **parameters})


# asv repeats the setup of a benchmark before each sample.
@lru_cache(maxsize=1)
def compile_for(data, dtype):
    """Fit once, to compile the kernels that a data set of this type needs."""
    loaded = load_data(data, N_ROWS[data], dtype)
    fit(make_estimator("fastlin"), loaded.X_train, loaded.y_train)


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
    """Each estimator by itself, with the same tol."""

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
        """Return the relative amount by which fastlin's objective exceeds scikit-learn's at the same tol."""
        ours, theirs = (
            evaluate_objective(fit(make_estimator(name), self.X, self.y), self.X, self.y, C)
            for name in ("fastlin", "scikit-learn")
        )
        return (ours - theirs) / theirs

    track_objective_gap.unit = "relative to scikit-learn's objective"


class Races:
    """The races on all threads and on one: the time of the fastest peer over fastlin's."""

    params = (list(RACES), list(THREADS))
    param_names = ("race", "threads")
    timeout = 900

    def setup(self, name, threads):
        if threads not in RACES[name].threads:
            raise NotImplementedError(f"{name} is not run on {threads} thread.")
        self.problem = make_problem(RACES[name])

    def track_ratio_to_peer(self, name, threads):
        return measure_ratio(RACES[name], self.problem, threads)

    track_ratio_to_peer.unit = "the fastest peer's time / fastlin's"


if __name__ == "__main__":
    print_races(RACES, "benchmarks.fits")
