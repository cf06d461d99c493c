"""Comparisons of many fits to one X: paths over C, cross-validation, labels, resamples and permutations.

Either one call of fastlin computes all fits, or a scikit-learn tool runs with the patch. scikit-learn's fits run
sequentially, in processes and in threads, and the fastest of these is the baseline.
"""

from dataclasses import dataclass
from functools import partial

import joblib
import numpy as np
from scipy.sparse import csr_matrix, issparse, random_array
from scipy.special import expit, xlog1py, xlogy
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.linear_model import LogisticRegressionCV as ScikitLearnLogisticRegressionCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, permutation_test_score
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits

import fastlin
from benchmarks.comparisons import CERTIFIED, EQUAL, Comparison, Rule
from benchmarks.data import load_pixels
from benchmarks.problems import ManyProblems, Scores, TriedProblem, count_test_rows, pose, take_mean
from benchmarks.sparse_data import make_one_hot
from benchmarks.sweeps import CV_CS, draw_embeddings
from fastlin.kernels.machine.threads import count_threads

N_CS = 50
# The ratio of the largest C of a path to the smallest.
C_RATIO = 1e3
CV_ROWS, N_FOLDS = 10_000, 5
# Short comparisons divide the number of fits by this.
SHORT_DIVISOR = 20
SEED = 0
CS = np.logspace(-3, 3, 20)
# The numbers of rows, features and labels.
LABELS = 20_000, 64, 200
# Held-out losses must agree only to this accuracy, because scikit-learn's fits are within 1e-4 of the minimum.
SAME_SCORES = Rule(same_steps_tol=1e-2)
SOLVERS = "lbfgs", "newton-cholesky"
SEQUENTIAL, PROCESSES, IN_THREADS = WAYS = "one after the other", "processes", "threads"


@dataclass(frozen=True, eq=False)
class Grid(ManyProblems):
    """Problems for ascending C, either on the training rows of each stratified fold or on all rows."""

    name: str
    X: np.ndarray | csr_matrix
    y: np.ndarray
    X_test: np.ndarray | csr_matrix
    y_test: np.ndarray
    n_classes: int
    Cs: np.ndarray
    fit_intercept: bool = True
    l1_ratio: float = 0.0
    n_folds: int = 1

    def problems(self):
        for X, y, y_test in self.subproblems():
            for C in self.Cs:
                parameters = float(C), self.fit_intercept, self.l1_ratio, self.X_test, y_test
                yield TriedProblem(self.name, X, y, self.n_classes, *parameters)

    def subproblems(self):
        """Yield training X and y, and test y, for each group of fits that differ only in C."""
        folds = StratifiedKFold(self.n_folds).split(self.y, self.y) if self.n_folds > 1 else [(slice(None), None)]
        for rows, _ in folds:
            yield self.X[rows], self.y[rows], self.y_test

    def test(self, *solution):
        """Return the mean Scores over the folds, for the C with the smallest log loss on the test rows."""
        scores = self._score_each(TriedProblem.test, *solution)
        by_C = [take_mean(scores[i :: len(self.Cs)]) for i in range(len(self.Cs))]
        return min(by_C, key=lambda scores: scores.log_loss)


class Labels(Grid):
    """Problems for each label of y (n, n_labels) and ascending C. C is chosen separately for each label."""

    def subproblems(self):
        # X is converted once for all fits, because each fit is measured in float64.
        X = self.X.astype(np.float64, copy=False)
        for label, label_test in zip(self.y.T, self.y_test.T, strict=True):
            yield X, label, label_test

    def test(self, coef, intercept, C_indices):
        """Return the mean Scores of the fits with each label's chosen C. `C_indices` has shape (n_labels,)."""
        scores = self._score_each(TriedProblem.test, coef, intercept)
        return take_mean([scores[k * len(self.Cs) + index] for k, index in enumerate(C_indices)])


def fit_path(grid, tol):
    """Run fastlin's path with a tol."""
    path = fastlin.logistic_path(
        grid.X, grid.y, Cs=grid.Cs, l1_ratio=grid.l1_ratio, tol=tol, fit_intercept=grid.fit_intercept
    )
    return path.coefs, path.intercepts


def fit_skglm_path(grid, tol):
    """Fit each C with skglm's ProxNewton, warm-started. Its Logistic datafit is the mean loss.

    skglm and BLAS each run on one thread. This does not make a path slower.
    """
    from skglm.datafits import Logistic
    from skglm.penalties import L1
    from skglm.solvers import ProxNewton

    X = grid.X.tocsc() if issparse(grid.X) else np.asfortranarray(grid.X)
    targets = 2.0 * grid.y - 1.0
    n, d = X.shape
    parameters, scores = np.zeros(d + grid.fit_intercept), np.zeros(n)
    solutions = np.zeros((len(grid.Cs), 1, d + 1))
    with threadpool_limits(1):
        for solution, C in zip(solutions, grid.Cs, strict=True):
            solver = ProxNewton(
                # As in skglm's own path, the working set starts with the previously selected features.
                p0=max(10, np.count_nonzero(parameters[:d])),
                max_iter=50,
                tol=tol,
                fit_intercept=grid.fit_intercept,
            )
            # The solver modifies parameters and scores in place.
            parameters, _, _ = solver.solve(X, targets, Logistic(), L1(1 / (C * n)), parameters, scores)
            solution[0, : len(parameters)] = parameters
    return solutions[..., :-1], solutions[..., -1]


def fit_celer_path(grid, tol):
    """Run celer's path without an intercept on one thread. Its penalty is alpha ||w||_1, so alpha = 1 / C."""
    from celer.homotopy import celer_path

    # The path starts with the largest alpha, that is, with the smallest C.
    with threadpool_limits(1):
        _, coef, _ = celer_path(
            grid.X.tocsc(), 2.0 * grid.y - 1.0, "logreg", alphas=1 / grid.Cs, tol=tol, max_iter=50, use_PN=True
        )
    return coef.T[:, None, :], np.zeros((len(grid.Cs), 1))


def fit_liblinear_path(grid, tol):
    """Fit liblinear with each C on one thread, without an intercept, because liblinear would penalize it."""
    parameters = {"l1_ratio": grid.l1_ratio, "tol": tol, "fit_intercept": grid.fit_intercept, "max_iter": 10_000}
    model = ScikitLearnLogisticRegression(solver="liblinear", random_state=0, **parameters)
    coef = [model.set_params(C=C).fit(grid.X, grid.y).coef_.copy() for C in grid.Cs]
    return np.stack(coef), np.zeros((len(coef), 1))


def fit_cross_validation(grid, model):
    """Run the LogisticRegressionCV of the model's library with the model's parameters, including the final fit."""
    is_fastlin = isinstance(model, fastlin.LogisticRegression)
    estimator = fastlin.LogisticRegressionCV if is_fastlin else ScikitLearnLogisticRegressionCV
    parameters = {"cv": grid.n_folds, "l1_ratios": (grid.l1_ratio,), "fit_intercept": grid.fit_intercept}
    fitted = estimator(Cs=grid.Cs, solver=model.solver, tol=model.tol, scoring="neg_log_loss", **parameters)
    fitted.set_params(use_legacy_attributes=False).fit(grid.X, grid.y)
    n_folds, _, n_Cs, K, size = fitted.coefs_paths_.shape
    solutions = fitted.coefs_paths_.reshape(n_folds * n_Cs, K, size)
    return solutions[..., :-1], solutions[..., -1]


def _load_one_hot(n_rows, fit_intercept):
    data = make_one_hot(n_rows) if n_rows else make_one_hot()
    X, y = data.X_train, data.y_train
    # At this C the first coefficient becomes nonzero, because 1 / C is the largest gradient entry at zero coefficients.
    smallest = 1 / np.abs(X.T @ (y - (y.mean() if fit_intercept else 0.5))).max()
    Cs = np.geomspace(smallest, C_RATIO * smallest, N_CS)
    return Grid("one-hot", X, y, data.X_test, data.y_test, 2, Cs, fit_intercept, l1_ratio=1.0)


def _load_mnist(n_rows):
    data = load_pixels(n_rows or CV_ROWS, "float64")
    y_train, y_test = (y.astype(np.int64) for y in (data.y_train, data.y_test))
    return Grid("MNIST", data.X_train, y_train, data.X_test, y_test, 10, CV_CS, n_folds=N_FOLDS)


def _compare_on_one_hot(baseline, solve, fit_intercept=False, package=""):
    return Comparison(
        f"path of {N_CS} values of C, L1, one-hot, {'with' if fit_intercept else 'without'} intercept",
        partial(_load_one_hot, fit_intercept=fit_intercept),
        fit_path,
        {f"{baseline}, tol 1e-4": partial(solve, tol=1e-4)},
        rows=4_000,
        rule=CERTIFIED,
        # With fewer rows, skglm and celer would not compile all their code.
        warm_up_rows=4_000,
        package=package,
    )


@dataclass(frozen=True, eq=False)
class Resamples(ManyProblems):
    """Fits to resamples of the same data. `rows` has shape (n_fits, m). The test rows of a fit are all other rows."""

    X: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    n_classes: int = 2

    def problems(self):
        for rows in self.rows:
            others = np.setdiff1d(np.arange(len(self.X)), rows)
            yield pose("drawn rows", self.X[rows], self.y[rows], 1.0, (self.X[others], self.y[others]))


@dataclass(frozen=True, eq=False)
class HeldOutLosses:
    """Fits of a tool that only returns losses on held-out rows. n_fits is the number of permutations, or 1."""

    X: np.ndarray
    y: np.ndarray
    n_classes: int
    n_fits: int = 1

    def objective(self, losses):
        return losses

    def accuracy(self, losses):
        return np.nan

    def test(self, losses):
        return Scores(log_loss=float(np.mean(losses)))


def bootstrap(fits, model):
    """Fit the model to each resample with fastlin's `bootstrap`."""
    result = model.fit(fits.X, fits.y).bootstrap(fits.X, fits.y, n_resamples=len(fits.rows), random_state=SEED)
    return result.coef, result.intercept


def fit_bootstrap(fits, model):
    """Fit the model to each resample with sample weights; each process receives X once and a chunk of resamples."""
    chunks = np.array_split(fits.rows, count_threads())
    models = joblib.Parallel()(joblib.delayed(_fit_weighted)(model, fits.X, fits.y, chunk) for chunk in chunks)
    return stack([pair for chunk in models for pair in chunk])


def _fit_weighted(model, X, y, resamples):
    fits = (clone(model).fit(X, y, np.bincount(rows, minlength=len(y))) for rows in resamples)
    return [(fitted.coef_, fitted.intercept_) for fitted in fits]


def fit_bagging(fits, model):
    """Fit BaggingClassifier. It draws the same rows as `fits`."""
    bagging = BaggingClassifier(model, len(fits.rows), random_state=SEED).fit(fits.X, fits.y)
    return stack([(fitted.coef_, fitted.intercept_) for fitted in bagging.estimators_])


def fit_labels(fits, model, labels=slice(None)):
    """Fit the model to `labels` with each C, warm-started. Choose the C with the smallest loss on test rows."""
    solutions, y, y_test, model = [], fits.y[:, labels], fits.y_test[:, labels], clone(model)
    model.set_params(warm_start=True, l1_ratio=fits.l1_ratio, fit_intercept=fits.fit_intercept)
    for C in fits.Cs:
        model.set_params(C=C).fit(fits.X, y.squeeze())
        # For a single label, the first column is the probability that it is absent.
        p = model.predict_proba(fits.X_test)[:, -y.shape[1] :]
        losses = -(xlogy(y_test, p) + xlog1py(1 - y_test, -p)).mean(axis=0)
        # Without an intercept, liblinear returns the scalar zero.
        solutions.append((model.coef_, np.atleast_1d(model.intercept_), losses))
    coef, intercept, losses = (array.swapaxes(0, 1) for array in stack(solutions))
    return coef.reshape(-1, 1, coef.shape[-1]), intercept.reshape(-1, 1), losses.argmin(axis=1)


def fit_label_by_label(fits, model):
    """Return the result of `fit_labels`, computed one label at a time."""
    solutions = joblib.Parallel()(joblib.delayed(fit_labels)(fits, model, [k]) for k in range(fits.y.shape[1]))
    return tuple(np.concatenate(arrays) for arrays in zip(*solutions, strict=True))


def score_folds(problem, model):
    """Return the losses of cross_val_score for ten folds."""
    return (-cross_val_score(model, problem.X, problem.y, cv=10, scoring="neg_log_loss"),)


def score_grid(problem, model):
    """Return the mean losses of GridSearchCV for CS and five folds."""
    search = GridSearchCV(model, {"C": CS}, cv=N_FOLDS, scoring="neg_log_loss").fit(problem.X, problem.y)
    return (-search.cv_results_["mean_test_score"],)


def score_permutations(problem, model):
    """Return the loss, and the mean loss for permuted labels."""
    options = {"cv": N_FOLDS, "scoring": "neg_log_loss", "n_permutations": problem.n_fits, "random_state": SEED}
    if isinstance(model, fastlin.LogisticRegression):
        result = fastlin.permutation_test(model, problem.X, problem.y, **options)
        return (-np.array([result.score, result.permutation_scores.mean()]),)
    score, permuted, _ = permutation_test_score(model, problem.X, problem.y, **options)
    return (-np.array([score, permuted.mean()]),)


def run_fastlin(problem, tol, run):
    """Return the result of `run` for fastlin's model with a tol."""
    return run(problem, fastlin.LogisticRegression(tol=tol))


def run_patched(problem, run, way):
    """Return a tool's result for scikit-learn's model with the patch. `way` is one of `WAYS`."""
    with fastlin.patch_sklearn():
        return run_in(way, run, problem, ScikitLearnLogisticRegression())


def run_in(way, run, problem, model):
    """Run a tool in one of `WAYS`. BLAS has one thread, because more do not help with small tables."""
    with threadpool_limits(1):
        if way == SEQUENTIAL:
            return run(problem, model)
        backend, inner = ("loky", {"inner_max_num_threads": 1}) if way == PROCESSES else ("threading", {})
        with joblib.parallel_config(backend, n_jobs=count_threads(), **inner):
            return run(problem, model)


def stack(models):
    """Return coef (n_fits, K, d) and intercept (n_fits, K) from a list of pairs."""
    return tuple(np.stack(arrays) for arrays in zip(*models, strict=True))


def _make_rows(n_rows, n_features, n_labels=1, density=1.0):
    """Return X, and labels (n_rows, n_labels) drawn from logistic models. Row 0 has all labels, row 1 none."""
    generator, shape = np.random.default_rng(0), (n_rows, n_features)
    if density < 1:
        X = csr_matrix(random_array(shape, density=density, random_state=generator))
    else:
        X = generator.normal(size=shape)
    scores = X @ generator.normal(size=(n_features, n_labels))
    probabilities = expit(2 * scores / scores.std(axis=0) - np.linspace(0, 4, n_labels))
    Y = (generator.random(scores.shape) < probabilities).astype(np.int8)
    Y[:2] = [[1], [0]]
    return X, Y


def _make_embeddings(n_rows, n_features, n_labels):
    """Return float32 rows and a one-hot array of their labels."""
    X, y = draw_embeddings(n_rows, n_features, n_labels, 0)
    return X, (y[:, None] == np.arange(n_labels)).astype(np.int8)


def load_labels(n_rows, size, Cs=(1.0,), make=_make_rows, fit_intercept=True, l1_ratio=0.0, **options):
    """Return problems for each label and C. `size` contains the numbers of rows, features and labels."""
    n, n_features, n_labels = (n_rows, size[1], size[2] // SHORT_DIVISOR) if n_rows else size
    X, Y = make(n + count_test_rows(n), n_features, n_labels, **options)
    return Labels("labels", X[:n], Y[:n], X[n:], Y[n:], 2, np.array(Cs), fit_intercept, l1_ratio)


def _load_bootstrap(n_rows):
    X, Y = _make_rows(n_rows or 5_000, 20)
    # `bootstrap` resamples the same rows.
    seed = int(check_random_state(SEED).randint(np.iinfo(np.int32).max))
    draws = (np.random.default_rng((seed, number)) for number in range(1_000 // SHORT_DIVISOR if n_rows else 1_000))
    return Resamples(X, Y[:, 0], np.array([draw.integers(len(X), size=len(X)) for draw in draws]))


def _load_bagging(n_rows):
    X, Y = _make_rows(n_rows or 2_000, 50)
    drawn = BaggingClassifier(DummyClassifier(), 100 // SHORT_DIVISOR if n_rows else 100, random_state=SEED).fit(
        X, Y[:, 0]
    )
    return Resamples(X, Y[:, 0], np.array(drawn.estimators_samples_))


def _load_folds(n_rows):
    n = n_rows or 1_000
    X, Y = _make_rows(n + count_test_rows(n), 30)
    return Grid("small", X[:n], Y[:n, 0], X[n:], Y[n:, 0], 2, CS, n_folds=N_FOLDS)


def _load_held_out(n_rows, n_all=1_000, n_features=20, n_fits=1):
    X, Y = _make_rows(n_rows or n_all, n_features)
    return HeldOutLosses(X, Y[:, 0], 2, -(-n_fits // SHORT_DIVISOR) if n_rows else n_fits)


def _run_scikit_learn(way, run, solver="lbfgs"):
    # liblinear shuffles the rows.
    return partial(run_in, way, run, model=ScikitLearnLogisticRegression(solver=solver, random_state=SEED))


def _compare(title, load, ours, theirs=None, rule=CERTIFIED, solvers=SOLVERS, way=SEQUENTIAL):
    """Return a Comparison. `ours` and `theirs` take a problem and a model. Without a tol, `ours` uses the patch."""
    run = partial(run_patched, way=way) if rule.tol is None else run_fastlin
    run = partial(run, run=ours)
    baselines = {
        f"scikit-learn {solver}, {way}": _run_scikit_learn(way, theirs or ours, solver)
        for solver in solvers
        for way in WAYS
    }
    # "all" is the number of processes or of threads. BLAS always has one thread.
    return Comparison(title, load, run, baselines, 400, rule=rule, baseline_threads=("all",))


def _compare_labels(title, size, solvers=SOLVERS, **options):
    load = partial(load_labels, size=size, **options)
    return _compare(title, load, fit_labels, fit_label_by_label, solvers=solvers)


COMPARISONS = {
    "path-liblinear": _compare_on_one_hot("scikit-learn liblinear", fit_liblinear_path),
    "path-skglm": _compare_on_one_hot("skglm", fit_skglm_path, True, "skglm"),
    "path-skglm-without-intercept": _compare_on_one_hot("skglm", fit_skglm_path, package="skglm"),
    "path-celer": _compare_on_one_hot("celer", fit_celer_path, package="celer"),
    "cross-validation": Comparison(
        f"cross-validation, {len(CV_CS)} values of C × {N_FOLDS} folds, MNIST, tol 1e-6",
        _load_mnist,
        partial(run_fastlin, run=fit_cross_validation),
        {"scikit-learn LogisticRegressionCV, max_iter 100": _run_scikit_learn(PROCESSES, fit_cross_validation)},
        rows=1_000,
        rule=CERTIFIED,
        warm_up_rows=150,
    ),
    "many-bootstrap": _compare("bootstrap of 1,000", _load_bootstrap, bootstrap, fit_bootstrap),
    "many-permutations": _compare(
        f"1,000 permutations × {N_FOLDS} folds",
        partial(_load_held_out, n_all=500, n_fits=1_000),
        score_permutations,
        # The libraries draw different permutations.
        rule=Rule(tol=EQUAL, same_steps_tol=2e-2),
    ),
    "many-bagging": _compare("BaggingClassifier of 100, patched", _load_bagging, fit_bagging, rule=Rule()),
    "many-labels": _compare_labels("200 labels", LABELS),
    # liblinear would penalize an intercept.
    "many-labels-l1": _compare_labels(
        "40 labels, L1, without intercept",
        (20_000, 64, 40),
        ("liblinear",),
        Cs=(0.1,),
        fit_intercept=False,
        l1_ratio=1.0,
    ),
    # A step of newton-cholesky factorizes a matrix of 3,000 × 3,000.
    "many-labels-sparse": _compare_labels("300 labels", (100_000, 3_000, 300), ("lbfgs", "newton-cg"), density=0.01),
    # newton-cholesky is much slower than lbfgs here (docs/benchmarks/design-choices.md: labels, newton-cholesky).
    "many-labels-embeddings": _compare_labels(
        f"100 labels, {len(CV_CS)} values of C each, embeddings",
        (20_000, 768, 100),
        ("lbfgs",),
        Cs=CV_CS,
        make=_make_embeddings,
    ),
    "many-folds": _compare(
        "cross_val_score, 10 folds, patched", _load_held_out, score_folds, rule=SAME_SCORES, way=PROCESSES
    ),
    "many-grid": _compare(
        f"GridSearchCV, {len(CS)} values of C × {N_FOLDS} folds, patched",
        partial(_load_held_out, n_features=30),
        score_grid,
        rule=SAME_SCORES,
        way=PROCESSES,
    ),
    "many-cross-validation": _compare(
        f"LogisticRegressionCV, {len(CS)} values of C × {N_FOLDS} folds", _load_folds, fit_cross_validation
    ),
}
