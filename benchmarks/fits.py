"""asv benchmarks of whole fits: fastlin's LogisticRegression beside the fastest peer of each problem.

A race gives both the same problem in turn, on the same number of threads, and counts only where fastlin has converged
and its J, by the formula in NumPy and float64, is no higher than the peer's. `python -m benchmarks.fits` prints the
table of the races.
"""

import argparse
import importlib.util
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from statistics import median
from time import perf_counter, sleep

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from threadpoolctl import threadpool_limits

import fastlin
from benchmarks.common import PAUSE, evaluate_objective, load_data, load_letter
from fastlin.kernels.threads import count_threads
from fastlin.studies.compare import make_synthetic
from fastlin.studies.contenders import Problem

C = 1.0
TOL = 1e-4
MAX_ITER = 1000
# Rows per set of the fits by themselves: one takes seconds at most.
N_ROWS = {"mnist": 10_000, "synthetic": 10_000, "binary": 200_000}
# By which fastlin's J may lie above the peer's, relative.
EQUAL = 1e-6
# Of the fit before a race that loads and compiles what a peer needs.
WARM_UP_ROWS = 500
THREADS = ("all", "one")


@dataclass(frozen=True)
class Race:
    """A row of the table: a problem, fastlin's parameters, the peers and the ratio that the fastest is beaten by.

    Attributes
    ----------
    title : str
    load : callable
        From a number of rows (None: all) to X, labels and C; raises NotImplementedError where data are missing.
    peers : dict
        From a name to the function (Problem, threads) -> coef, intercept.
    least_ratio : float
        The peer's time over fastlin's, with all threads and with one each.
    tol : float
        fastlin's: the certified relative excess at which it stops.
    within : float
        Of several peers the fastest counts whose J is within this of the lowest, relative.
    rounds : int
        Turns, by what they cost.
    smoke_rows : int
        Rows that show in seconds that the race can be run.
    """

    title: str
    load: Callable
    peers: dict
    least_ratio: float
    tol: float = TOL
    within: float = np.inf
    rounds: int = 1
    smoke_rows: int = 1_000


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a race led to: medians of the seconds and J of each, by name, and the peer that counts.

    Attributes
    ----------
    threads : int
    seconds, objectives, accuracies : dict
        Accuracies are those on the training rows.
    peer : str
    has_converged : bool
        fastlin's fits, all of them.
    """

    threads: int
    peer: str
    has_converged: bool
    seconds: dict = field(default_factory=dict)
    objectives: dict = field(default_factory=dict)
    accuracies: dict = field(default_factory=dict)

    @property
    def ratio(self):
        """The peer's time over fastlin's."""
        return self.seconds[self.peer] / self.seconds["fastlin"]

    @property
    def relative_gap(self):
        """fastlin's J less the peer's, relative to it: negative where fastlin's is lower."""
        return self.objectives["fastlin"] / self.objectives[self.peer] - 1

    @property
    def counts(self):
        """Whether fastlin has converged to an objective no higher than the peer's."""
        return self.has_converged and self.relative_gap <= EQUAL


def fit_scikit_learn(problem, threads, solver, tol=TOL):
    """Fit scikit-learn's estimator with a limit of 1,000 iterations; its threads are those of BLAS."""
    model = ScikitLearnLogisticRegression(C=problem.C, solver=solver, tol=tol, max_iter=MAX_ITER)
    model.fit(problem.X, problem.y)
    return model.coef_, model.intercept_


def fit_scikit_learn_to_pixels(problem, threads):
    """Divide the pixels by 255, the common first step with scikit-learn, and fit: the same J by C / 255^2."""
    scaled = ScikitLearnLogisticRegression(C=problem.C * 255**2, max_iter=MAX_ITER)
    scaled.fit(problem.X / 255.0, problem.y)
    return scaled.coef_ / 255, scaled.intercept_


def fit_cyanure(problem, threads, tol):
    """Fit Cyanure's Classifier, whose tol bounds the relative duality gap; studies/contenders.py maps the objective."""
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


def _load_mnist(n_rows, dtype):
    data = load_data("mnist", n_rows, dtype)
    return data.X_train, data.y_train, C / 255**2 if dtype == "uint8" else C


def _load_letter(n_rows):
    X, y = load_letter()
    return X[:n_rows], y[:n_rows], C


def _load_digits(n_rows):
    X, y = load_digits(return_X_y=True)
    return X[:n_rows], y[:n_rows], C


def _load_synthetic(n_rows, n_all, n_features, n_classes, dtype):
    """Return seeded Gaussian clusters, one per class, every class present; of few rows, fewer classes."""
    n_rows = n_rows or n_all
    data = make_synthetic(min(n_classes, n_rows // 4), n_rows, n_features, seed=0)
    return data.X_train.astype(dtype), data.y_train, C


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
        # As far as fastlin's own tol goes.
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
}


# asv repeats a benchmark's setup before each sample, and two races share MNIST.
@lru_cache(maxsize=1)
def _load(load, n_rows):
    return load(n_rows)


def make_problem(race, n_rows=None):
    """Return the Problem of a race, or of its first rows.

    Raises
    ------
    NotImplementedError
        Its data or its peer's library are missing; asv then skips the benchmark.
    """
    if any("cyanure" in name for name in race.peers) and importlib.util.find_spec("cyanure") is None:
        raise NotImplementedError("Cyanure is not installed: pip install cyanure==1.2.2")
    X, y, C = _load(race.load, n_rows)
    classes, labels = np.unique(y, return_inverse=True)
    return Problem(race.title, X, labels.astype(np.int64), len(classes), C, fit_intercept=True)


def run_race(race, problem, threads, rounds=None):
    """Run fastlin and the peers in turn on so many threads each; return the Outcome.

    fastlin runs before and after each peer, since a machine's speed drifts. One whole fit of fastlin's comes first,
    so that it has compiled what it needs, and one of each peer's on a few rows. Then, in a race of several peers, one
    fit of each tells which of them reach the objective.
    """
    rounds = rounds or race.rounds
    few = _take_few(problem)
    _fit_fastlin(race, problem, threads)
    for fit_peer in race.peers.values():
        _run(fit_peer, few, threads)
    runs = {"fastlin": [], **{name: [] for name in race.peers}}
    has_converged = True
    with threadpool_limits(threads):
        for turn in range(rounds):
            for name in list(runs)[1:]:
                seconds, model = _fit_fastlin(race, problem, threads)
                has_converged &= model.converged_
                runs["fastlin"].append((seconds, model.coef_, model.intercept_))
                runs[name].append(_run(race.peers[name], problem, threads))
            if turn == 0:
                scores = {name: _score(problem, *fits[-1][1:]) for name, fits in runs.items()}
                lowest = min(objective for objective, _ in scores.values())
                reached = [name for name in race.peers if scores[name][0] <= lowest * (1 + race.within)]
                if not reached:
                    raise AssertionError(f"{race.title}: no peer comes within {race.within} of the lowest J: {scores}")
                # The others have no part in the further turns.
                runs = {name: runs[name] for name in ("fastlin", *reached)}
        seconds, model = _fit_fastlin(race, problem, threads)
        runs["fastlin"].append((seconds, model.coef_, model.intercept_))
        has_converged &= model.converged_
    seconds = {name: median(fit[0] for fit in fits) for name, fits in runs.items()}
    return Outcome(
        threads,
        min(runs.keys() - {"fastlin"}, key=seconds.get),
        bool(has_converged),
        seconds,
        *({name: scores[name][part] for name in runs} for part in (0, 1)),
    )


def _run(fit_peer, problem, threads):
    """Return seconds, coef and intercept of a peer's fit."""
    # OpenBLAS's threads go on spinning for a while, on the processors that the next fit needs.
    sleep(PAUSE)
    with warnings.catch_warnings():
        # Of iterations that came to an end, or of a parameter that will go.
        warnings.simplefilter("ignore")
        begin = perf_counter()
        coef, intercept = fit_peer(problem, threads)
        return perf_counter() - begin, coef, intercept


def _fit_fastlin(race, problem, threads):
    """Return seconds and the fitted estimator."""
    sleep(PAUSE)
    model = fastlin.LogisticRegression(C=problem.C, tol=race.tol, n_jobs=threads)
    begin = perf_counter()
    fit(model, problem.X, problem.y)
    return perf_counter() - begin, model


def _take_few(problem):
    """Return the problem on some of its rows, which still have every label from 0 on."""
    step = max(1, len(problem.X) // WARM_UP_ROWS)
    classes, labels = np.unique(problem.y[::step], return_inverse=True)
    X = np.ascontiguousarray(problem.X[::step])
    return Problem(problem.name, X, labels.astype(np.int64), len(classes), problem.C, problem.fit_intercept)


def _score(problem, coef, intercept):
    """Return J and the accuracy on the problem's own rows."""
    scores = problem.X.astype(np.float64, copy=False) @ coef.T.astype(np.float64) + intercept
    predicted = scores[:, 0] > 0 if problem.n_classes == 2 else scores.argmax(axis=1)
    return problem.objective(coef, intercept), float(np.mean(predicted == problem.y))


def make_estimator(name, **parameters):
    """Return an unfitted estimator of "fastlin" or "scikit-learn", with equal tol unless told otherwise."""
    make = {"fastlin": fastlin.LogisticRegression, "scikit-learn": ScikitLearnLogisticRegression}[name]
    return make(**{"C": C, "tol": TOL, "max_iter": MAX_ITER, **parameters})


def fit(estimator, X, y):
    """Fit, without the warning of a fit that is ended on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


# asv repeats the setup before each sample.
@lru_cache(maxsize=1)
def compile_for(data, dtype):
    """Fit once, which compiles the kernels that this type and shape need."""
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


class Races:
    """The table of races, on all threads and on one: the time of the fastest peer over fastlin's."""

    params = (list(RACES), list(THREADS))
    param_names = ("race", "threads")
    timeout = 900

    def setup(self, name, threads):
        self.problem = make_problem(RACES[name])

    def track_ratio_to_peer(self, name, threads):
        outcome = run_race(RACES[name], self.problem, count_race_threads(threads))
        if not outcome.counts:
            raise AssertionError(f"{name}: converged {outcome.has_converged}, J {outcome.relative_gap:+.1e} relative")
        return outcome.ratio

    track_ratio_to_peer.unit = "the fastest peer's time / fastlin's"


def count_race_threads(threads):
    """Return how many "all" or "one" are."""
    return 1 if threads == "one" else count_threads()


def main(arguments=None):
    """Run races and print a row for each peer as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fits", description="Race fastlin against its peers.")
    parser.add_argument("races", nargs="*", metavar="race", help=f"of {', '.join(RACES)}; all where none is named")
    parser.add_argument("--threads", choices=THREADS, nargs="+", default=THREADS)
    parser.add_argument("--rounds", type=int, help="turns of each race, otherwise 1 or 3 by what they cost")
    options = parser.parse_args(arguments)
    for name in options.races:
        if name not in RACES:
            parser.error(f"{name} is no race; there are {', '.join(RACES)}")
    smoke = os.environ.get("FASTLIN_BENCHMARK_SMOKE") == "1"
    row = "{:36} {:34} {:>7} {:>9} {:>9} {:>7} {:>8} {:>14} {:>14}  {}"
    print(
        row.format("problem", "peer", "threads", "fastlin s", "peer s", "ratio", "at least", "J fastlin", "J peer", "")
    )
    for name in options.races or RACES:
        race = RACES[name]
        try:
            problem = make_problem(race, race.smoke_rows if smoke else None)
        except NotImplementedError as error:
            print(f"{name}: skipped. {error}")
            continue
        for threads in options.threads:
            outcome = run_race(race, problem, count_race_threads(threads), 1 if smoke else options.rounds)
            for peer in sorted(outcome.seconds.keys() - {"fastlin"}, key=outcome.seconds.get):
                counts = outcome.counts if peer == outcome.peer else None
                print(_format(row, race, outcome, peer, counts), flush=True)


def _format(row, race, outcome, peer, counts):
    ours, theirs = outcome.seconds["fastlin"], outcome.seconds[peer]
    return row.format(
        f"{race.title}, tol {race.tol:.0e}",
        peer,
        outcome.threads,
        f"{ours:.4g}",
        f"{theirs:.4g}",
        f"{theirs / ours:.2f}",
        race.least_ratio,
        *(f"{outcome.objectives[name]:.9f}" for name in ("fastlin", peer)),
        {True: "", False: "does not count", None: "not the fastest"}[counts]
        + ("" if outcome.has_converged else ", not converged"),
    )


if __name__ == "__main__":
    main()
