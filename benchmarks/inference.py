"""Tables of standard errors: an unpenalised fit with its summary, beside statsmodels and glum, and the bootstrap.

Each contender takes rows and labels, maximises the likelihood, and prints its table. statsmodels gets X with a column
of ones, which is made before the clock starts. A peer counts where its log-likelihood is within 1e-8 of the highest,
relatively: another thousandth of a standard error would not show in a table. How far the standard errors and the
coefficients of both sides are apart is kept with the times. The data are generated from fixed seeds.
"""

import importlib.util
import json
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.utils import check_random_state

import fastlin
from benchmarks.many_fits import WAYS, run_in, stack
from benchmarks.memory import GIVE_BACK, check_system, read_peak, reset_peak
from benchmarks.problems import ManyProblems, TriedProblem, count_test_rows, pose, score, take_mean
from benchmarks.processes import run_python
from benchmarks.races import EQUAL, FASTLIN, Race, Rule, load_problem, run_race, shorten

KIND = "inference"
STATSMODELS = "statsmodels"
# The part of the log-likelihood by which contenders may differ.
EQUAL_LIKELIHOOD = 1e-8
# The part of a standard error by which those of fastlin and the peer that counts may differ.
EQUAL_ERRORS = 1e-3
# Peers fit this part of the resamples, and a short case has this part of them.
PART = 10
SEED = 0
# The few rows of a short case have fewer columns, so that the classes overlap.
ROWS_PER_COLUMN = 40
# Newton's method takes at most ten iterations here, and the quasi-Newton method of statsmodels less than these.
MOST_ITERATIONS = 1_000


@dataclass(frozen=True, eq=False)
class TableProblem(TriedProblem):
    """A Problem without a penalty, solved by coef (K, d), intercept (K,) and standard errors (K', d + 1)."""

    @cached_property
    def with_ones(self):
        """X behind a column of ones, in C order, as statsmodels wants it."""
        return np.column_stack([np.ones(len(self.X)), self.X])

    def objective(self, coef, intercept, std_errors=None):
        """Return the negative log-likelihood over the number of rows."""
        return super().objective(coef, intercept)

    def accuracy(self, coef, intercept, std_errors=None):
        """Return the part of the rows whose own class has the largest score."""
        return super().accuracy(coef, intercept)

    def test(self, coef, intercept, std_errors=None):
        """Return the Scores of coefficients on rows that they were not fitted to."""
        return super().test(coef, intercept)


@dataclass(frozen=True)
class Case:
    """A table to measure.

    Attributes
    ----------
    race : Race
        What is fitted, and by whom; the solutions end with the standard errors.
    has_memory : bool
        Whether the peak beside X is measured for fastlin and the fastest peer, each in a process of its own.
    errors_within : float
        The part of a standard error by which those of fastlin and the peer may differ.
    """

    race: Race
    has_memory: bool = False
    errors_within: float = EQUAL_ERRORS


def fit_fastlin(problem):
    """Return fastlin's coefficients and their standard errors."""
    # The table belongs to the maximum itself, whatever the tol of the fit.
    model = fastlin.LogisticRegression(C=np.inf).fit(problem.X, problem.y)
    found = model.inference(problem.X, problem.y)
    found.summary()
    return _name_solution(problem, found.coef[:, :-1], found.coef[:, -1], found.std_errors)


def fit_statsmodels(problem, method):
    """Return those of statsmodels' Logit or MNLogit by one of its methods; both take the first class as reference."""
    import statsmodels.api

    model_class = statsmodels.api.Logit if problem.n_classes == 2 else statsmodels.api.MNLogit
    model = model_class(problem.y, problem.with_ones)
    found = model.fit(method=method, maxiter=MOST_ITERATIONS, disp=0)
    found.summary()
    # A column for each class; with two classes vectors.
    params, errors = (np.reshape(each, (problem.X.shape[1] + 1, -1)).T for each in (found.params, found.bse))
    return _name_solution(problem, params[:, 1:], params[:, 0], np.roll(errors, -1, axis=1))


def fit_glum(problem):
    """Return those of glum's GeneralizedLinearRegressor.

    glum multiplies the covariance by n / (n - p), the correction of a linear model, which is taken back here so that
    the errors can be compared.
    """
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(family="binomial", alpha=0).fit(problem.X, problem.y)
    table = model.coef_table(problem.X, problem.y, robust=False, dispersion=1.0)
    n, p = len(problem.y), len(table)
    errors = table["se"].to_numpy()[None] * np.sqrt((n - p) / n)
    return _name_solution(problem, model.coef_[None], np.array([model.intercept_]), np.roll(errors, -1, axis=1))


def _name_solution(problem, coef, intercept, std_errors):
    """Return coef (K, d), intercept (K,) and the errors, of estimates that leave out the reference, the first class."""
    if problem.n_classes > 2:
        coef, intercept = np.vstack([np.zeros_like(coef[:1]), coef]), np.concatenate([[0.0], intercept])
    return coef, intercept, std_errors


def draw_table(n_rows, n_all, d, n_classes):
    """Return the TableProblem of normal columns, and labels that are drawn from the model."""
    n = n_rows or n_all
    d = d if n == n_all else min(d, max(1, n // ROWS_PER_COLUMN))
    generator = np.random.default_rng(0)
    X = generator.standard_normal((n + count_test_rows(n), d))
    # Scores have a deviation of one, and the classes overlap.
    scores = X @ generator.standard_normal((d, n_classes)) / np.sqrt(d)
    y = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
    X, y = (X[:n], X[n:]), (y[:n], y[n:])
    return TableProblem("table", X[0], y[0], n_classes, np.inf, fit_intercept=True, X_test=X[1], y_test=y[1])


@dataclass(frozen=True, eq=False)
class Resamples(ManyProblems):
    """Fits of resamples of the same rows, of which the first are judged, and all that peers fit.

    Attributes
    ----------
    X, X_test : ndarray of shape (rows, d)
        The rows that are drawn from, and those to test on.
    y, y_test : ndarray of shape (rows,), int64
        Their labels.
    n_classes, n_fits : int
        The numbers of classes and of all resamples.
    rows : ndarray of shape (n_tried, n)
        The rows of the first resamples, as fastlin draws them.
    """

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    n_classes: int
    n_fits: int
    rows: np.ndarray

    def problems(self):
        """Yield the Problem of each of the first resamples."""
        for rows in self.rows:
            yield pose("resample", self.X[rows], self.y[rows], C=np.inf)

    def objective(self, coef, intercept, std_errors=None):
        """Return the negative log-likelihood of each fit over the number of rows."""
        return super().objective(coef, intercept)

    def accuracy(self, coef, intercept, std_errors=None):
        """Return the mean accuracy of the fits on their own rows."""
        return super().accuracy(coef, intercept)

    def test(self, coef, intercept, std_errors=None):
        """Return the means over the fits of the Scores of rows that none was fitted to."""
        return take_mean(
            [score(self.X_test, self.y_test, 2, *solution) for solution in zip(coef, intercept, strict=True)]
        )


def bootstrap_fastlin(problem):
    """Return coef, intercept and standard errors of the first of fastlin's resamples, after all of them."""
    model = fastlin.LogisticRegression(C=np.inf).fit(problem.X, problem.y)
    found = model.bootstrap(problem.X, problem.y, n_resamples=problem.n_fits, random_state=SEED)
    n_tried = len(problem.rows)
    return _add_errors(found.coef[:n_tried], found.intercept[:n_tried])


def bootstrap_peer(problem, way, fit):
    """Return those of fits of the first resamples in one of WAYS; fit takes X and y, and returns coef and intercept."""
    return _add_errors(*run_in(way, _fit_resamples, problem, fit))


def _fit_resamples(problem, fit):
    calls = (joblib.delayed(fit)(problem.X[rows], problem.y[rows]) for rows in problem.rows)
    return stack(joblib.Parallel()(calls))


def fit_scikit_learn(X, y, solver):
    """Return coef and intercept of scikit-learn's LogisticRegression without a penalty."""
    model = ScikitLearnLogisticRegression(C=np.inf, solver=solver).fit(X, y)
    return model.coef_, model.intercept_


def fit_logit(X, y):
    """Return those of statsmodels' Logit."""
    import statsmodels.api

    params = statsmodels.api.Logit(y, np.column_stack([np.ones(len(X)), X])).fit(disp=0).params
    return params[None, 1:], params[:1]


def _add_errors(coef, intercept):
    """Return coef, intercept and, for each fit, the standard deviations over all, of shape (n_fits, 1, d + 1)."""
    estimates = np.concatenate([coef, intercept[..., None]], axis=-1)
    return coef, intercept, np.broadcast_to(estimates.std(axis=0, ddof=1), estimates.shape)


def draw_resamples(n_rows, n_all, d, n_fits):
    """Return the Resamples of draw_table's rows; few rows have few resamples."""
    table = draw_table(n_rows, n_all, d, 2)
    n_fits = n_fits // PART if n_rows else n_fits
    # As `bootstrap` draws them; its fits of other rows would have another objective.
    seed, n = int(check_random_state(SEED).randint(np.iinfo(np.int32).max)), len(table.y)
    rows = [np.random.default_rng((seed, number)).integers(n, size=n) for number in range(n_fits // PART)]
    return Resamples(table.X, table.y, table.X_test, table.y_test, 2, n_fits, np.array(rows))


def measure_inference(name, whole=False):
    """Return the record of one of CASES, as plain values.

    Raises
    ------
    NotImplementedError
        statsmodels or glum is not installed.
    """
    for package in (STATSMODELS, "glum"):
        if importlib.util.find_spec(package) is None:
            raise NotImplementedError(f"{package} is not installed.")
    case = CASES[name]
    race = case.race if whole else shorten(case.race)
    problem = load_problem(race, whole)
    outcome = run_race(race, problem)
    record = outcome.describe() | {"kind": KIND}
    ours = _list_estimates(outcome.solutions[FASTLIN])
    for contender, values in record["contenders"].items():
        coef, errors = _list_estimates(outcome.solutions[contender])
        values["coef_apart"] = float(np.max(np.abs(coef - ours[0]) / ours[1]))
        values["errors_apart"] = float(np.max(np.abs(errors / ours[1] - 1)))
    if isinstance(problem, Resamples):
        scale_to_all_fits(record, problem)
    if case.has_memory:
        for contender in (FASTLIN, record["peer"]):
            record["contenders"][contender]["bytes_beside_X"] = measure_memory(name, problem, contender)
    apart = record["contenders"][record["peer"]]["errors_apart"]
    if not record["fault"] and not apart <= case.errors_within:
        record["fault"] = f"the standard errors of {record['peer']} differ from fastlin's by {apart:.1e} of them"
    return record


def _list_estimates(solution):
    """Return the estimates and their standard errors, each of shape (K', d + 1), or of many fits."""
    coef, intercept, errors = solution
    return np.concatenate([coef, intercept[..., None]], axis=-1)[-len(errors) :], errors


def scale_to_all_fits(record, problem):
    """Multiply the seconds of peers, which fit the first resamples alone."""
    n_tried = len(problem.rows)
    for contender, values in record["contenders"].items():
        if contender != FASTLIN:
            values["seconds"] *= problem.n_fits / n_tried
            values["n_measured"] = n_tried
    record["ratio"] *= problem.n_fits / n_tried
    if record["interval"]:
        record["interval"] = [end * problem.n_fits / n_tried for end in record["interval"]]


def measure_memory(name, problem, contender):
    """Return the bytes that a contender of a case takes beside X at its peak, measured in a process of its own."""
    check_system()
    with tempfile.TemporaryDirectory() as folder:
        for each in ("X", "y"):
            np.save(f"{folder}/{each}.npy", getattr(problem, each))
        Path(folder, "case.json").write_text(json.dumps({"case": name, "contender": contender}), "ascii")
        return int(run_python("-m", "benchmarks.inference", folder, **GIVE_BACK))


def measure_memory_here(folder):
    """Let the contender of a folder fit its X and y in this process, and return the bytes by which the peak rises."""
    case = json.loads(Path(folder, "case.json").read_text("ascii"))
    race, name = CASES[case["case"]].race, case["contender"]
    X, y = (np.load(Path(folder, f"{each}.npy")) for each in ("X", "y"))
    problem = TableProblem("table", X, y, len(np.unique(y)), np.inf, fit_intercept=True)
    if name == FASTLIN:
        # The first call loads the compiled kernels.
        race.solve(problem)
        solve = race.solve
    else:
        solve = race.peers[name]
        solve(race.load(race.warm_up_rows))
        # What statsmodels calls X, and holds no copy of.
        problem.with_ones  # noqa: B018
    reset_peak()
    before = read_peak()
    solve(problem)
    return read_peak() - before


def _table(title, n, d, n_classes, rows, rounds, **parameters):
    peers = {f"{STATSMODELS} {method}": partial(fit_statsmodels, method=method) for method in ("newton", "lbfgs")}
    if n_classes == 2:
        peers["glum"] = fit_glum
    race = Race(
        title,
        partial(draw_table, n_all=n, d=d, n_classes=n_classes),
        fit_fastlin,
        peers,
        rows=rows,
        within=EQUAL_LIKELIHOOD,
        rule=Rule(excess=EQUAL_LIKELIHOOD),
        rounds=rounds,
        warm_up_rows=400,
    )
    return Case(race, **parameters)


CASES = {
    "inference-logit-1000000": _table("standard errors", 1_000_000, 20, 2, rows=4_000, rounds=3),
    "inference-mnlogit-400000": _table(
        "standard errors of softmax", 400_000, 30, 5, rows=4_000, rounds=1, has_memory=True
    ),
    "inference-wide-30000": _table("standard errors, wide", 30_000, 2_048, 2, rows=4_000, rounds=1),
    "bootstrap-5000": Case(
        Race(
            "bootstrap of 1,000 fits",
            partial(draw_resamples, n_all=5_000, d=20, n_fits=1_000),
            bootstrap_fastlin,
            {
                f"{name}, {way}": partial(bootstrap_peer, way=way, fit=fit)
                for name, fit in {
                    "scikit-learn lbfgs": partial(fit_scikit_learn, solver="lbfgs"),
                    "scikit-learn newton-cholesky": partial(fit_scikit_learn, solver="newton-cholesky"),
                    STATSMODELS: fit_logit,
                }.items()
                for way in WAYS
            },
            rows=1_000,
            within=EQUAL,
            rule=Rule(tol=None),
            rounds=3,
            warm_up_rows=800,
            # They are the processes or threads of the way, and BLAS has one all the same.
            peer_threads=("all",),
        ),
        errors_within=1e-2,
    ),
}


if __name__ == "__main__":
    # For `measure_memory`, which runs this module in a process of its own.
    print(measure_memory_here(sys.argv[1]))
