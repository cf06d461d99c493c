"""Comparisons of many fits to one X: paths over C, cross-validation, labels, resamples and permutations.

Either one call of fastlin computes all fits, or a scikit-learn tool runs with the patch. scikit-learn's fits run
sequentially, in processes and in threads, and the fastest of these is the baseline.
"""

from dataclasses import dataclass, replace
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
from benchmarks.comparisons import CERTIFIED_RULE, OBJECTIVE_TOL, Comparison, ComparisonRule
from benchmarks.data import load_mnist_pixels
from benchmarks.problems import (
    ClassificationProblem,
    ManyProblems,
    Scores,
    average_scores,
    count_test_rows,
    make_classification_problem,
)
from benchmarks.sparse_data import make_one_hot
from benchmarks.sweeps import simulate_mixture_embeddings
from fastlin.kernels.machine.threads import count_threads

N_PATH_CS = 50
# The ratio of the largest C of a path to the smallest.
PATH_C_RANGE_RATIO = 1e3
N_CV_ROWS, N_FOLDS, N_WIDE_FOLDS = 10_000, 5, 6
# Short comparisons use one of this many labels, resamples or permutations, and one of this many values of C.
SHORT_RUN_DIVISOR, SHORT_RUN_C_STEP = 50, 3
SEED = 0
CS = np.logspace(-3, 3, 20)
CROSS_VALIDATION_CS = np.logspace(-4, 4, 10)
# liblinear penalizes the intercept divided by this scaling factor, so with many features its objective may exceed the
# lowest one by this relative difference.
INTERCEPT_SCALING, WIDE_SUBOPTIMALITY = 10, 1e-2
# The numbers of rows, features and labels.
LABEL_PROBLEM_SIZE = 20_000, 64, 200
# Held-out losses must agree only to this accuracy, because scikit-learn's fits are within 1e-4 of the minimum.
SAME_SCORES_RULE = ComparisonRule(same_steps_tol=1e-2)
SOLVERS = "lbfgs", "newton-cholesky"
SEQUENTIAL_MODE, PROCESS_MODE, THREAD_MODE = PARALLEL_MODES = "one after the other", "processes", "threads"


@dataclass(frozen=True, eq=False)
class PathProblems(ManyProblems):
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
                yield ClassificationProblem(self.name, X, y, self.n_classes, *parameters)

    def subproblems(self):
        """Yield training X and y, and test y, for each group of fits that differ only in C."""
        folds = StratifiedKFold(self.n_folds).split(self.y, self.y) if self.n_folds > 1 else [(slice(None), None)]
        for rows, _ in folds:
            yield self.X[rows], self.y[rows], self.y_test

    def score_test_rows(self, *solution):
        """Return the mean Scores over the folds, for the C with the smallest log loss on the test rows."""
        scores = self._score_fits(ClassificationProblem.score_test_rows, *solution)
        scores_by_C = [average_scores(scores[i :: len(self.Cs)]) for i in range(len(self.Cs))]
        return min(scores_by_C, key=lambda scores: scores.log_loss)


class LabelProblems(PathProblems):
    """Problems for each label of y (n, n_labels) and ascending C. C is chosen separately for each label."""

    def subproblems(self):
        # X is converted once for all fits, because each fit is measured in float64.
        X = self.X.astype(np.float64, copy=False)
        for label, test_label in zip(self.y.T, self.y_test.T, strict=True):
            yield X, label, test_label

    def score_test_rows(self, coef, intercept, C_indices):
        """Return the mean Scores of the fits with each label's chosen C. `C_indices` has shape (n_labels,)."""
        scores = self._score_fits(ClassificationProblem.score_test_rows, coef, intercept)
        return average_scores([scores[k * len(self.Cs) + index] for k, index in enumerate(C_indices)])


def fit_path(path_problems, tol):
    """Run fastlin's path with a tol."""
    path = fastlin.logistic_path(
        path_problems.X,
        path_problems.y,
        Cs=path_problems.Cs,
        l1_ratio=path_problems.l1_ratio,
        tol=tol,
        fit_intercept=path_problems.fit_intercept,
    )
    return path.coefs, path.intercepts


def fit_skglm_path(path_problems, tol):
    """Fit each C with skglm's ProxNewton, warm-started. Its Logistic datafit is the mean loss.

    skglm and BLAS each run on one thread. This does not make a path slower.
    """
    from skglm.datafits import Logistic
    from skglm.penalties import L1
    from skglm.solvers import ProxNewton

    X = path_problems.X.tocsc() if issparse(path_problems.X) else np.asfortranarray(path_problems.X)
    targets = 2.0 * path_problems.y - 1.0
    n, d = X.shape
    parameters, scores = np.zeros(d + path_problems.fit_intercept), np.zeros(n)
    solutions = np.zeros((len(path_problems.Cs), 1, d + 1))
    with threadpool_limits(1):
        for solution, C in zip(solutions, path_problems.Cs, strict=True):
            solver = ProxNewton(
                # As in skglm's own path, the working set starts with the previously selected features.
                p0=max(10, np.count_nonzero(parameters[:d])),
                max_iter=50,
                tol=tol,
                fit_intercept=path_problems.fit_intercept,
            )
            # The solver modifies parameters and scores in place.
            parameters, _, _ = solver.solve(X, targets, Logistic(), L1(1 / (C * n)), parameters, scores)
            solution[0, : len(parameters)] = parameters
    return solutions[..., :-1], solutions[..., -1]


def fit_celer_path(path_problems, tol):
    """Run celer's path without an intercept on one thread. Its penalty is alpha ||w||_1, so alpha = 1 / C."""
    from celer.homotopy import celer_path

    # The path starts with the largest alpha, that is, with the smallest C.
    with threadpool_limits(1):
        _, coef, _ = celer_path(
            path_problems.X.tocsc(),
            2.0 * path_problems.y - 1.0,
            "logreg",
            alphas=1 / path_problems.Cs,
            tol=tol,
            max_iter=50,
            use_PN=True,
        )
    return coef.T[:, None, :], np.zeros((len(path_problems.Cs), 1))


def fit_liblinear_path(path_problems, tol):
    """Fit liblinear with each C on one thread, without an intercept, because liblinear would penalize it."""
    parameters = {
        "l1_ratio": path_problems.l1_ratio,
        "tol": tol,
        "fit_intercept": path_problems.fit_intercept,
        "max_iter": 10_000,
    }
    model = ScikitLearnLogisticRegression(solver="liblinear", random_state=0, **parameters)
    coef = [model.set_params(C=C).fit(path_problems.X, path_problems.y).coef_.copy() for C in path_problems.Cs]
    return np.stack(coef), np.zeros((len(coef), 1))


def fit_cross_validation(path_problems, model):
    """Run the LogisticRegressionCV of the model's library with the model's parameters, including the final fit."""
    is_fastlin = isinstance(model, fastlin.LogisticRegression)
    estimator = fastlin.LogisticRegressionCV if is_fastlin else ScikitLearnLogisticRegressionCV
    names = "solver", "tol", "max_iter", "intercept_scaling", "random_state"
    fitted_model = estimator(
        Cs=path_problems.Cs,
        cv=path_problems.n_folds,
        l1_ratios=(path_problems.l1_ratio,),
        fit_intercept=path_problems.fit_intercept,
        scoring="neg_log_loss",
        **{name: getattr(model, name) for name in names},
    )
    fitted_model.set_params(use_legacy_attributes=False).fit(path_problems.X, path_problems.y)
    n_folds, _, n_Cs, K, size = fitted_model.coefs_paths_.shape
    solutions = fitted_model.coefs_paths_.reshape(n_folds * n_Cs, K, size)
    return solutions[..., :-1], solutions[..., -1]


def _count_fits(n_rows, n_all):
    """Return the number of labels, resamples or permutations. It is less than `n_all` if there is a number of rows."""
    return min(n_all, max(2, n_all // SHORT_RUN_DIVISOR)) if n_rows else n_all


def _choose_Cs(n_rows, Cs):
    """Return all values of C, or fewer if there is a number of rows, as in short comparisons."""
    return np.array(Cs)[:: SHORT_RUN_C_STEP if n_rows else 1]


def _load_one_hot(n_rows, fit_intercept):
    data = make_one_hot(n_rows) if n_rows else make_one_hot()
    X, y = data.X_train, data.y_train
    # At this C the first coefficient becomes nonzero, because 1 / C is the largest gradient entry at zero coefficients.
    smallest_C = 1 / np.abs(X.T @ (y - (y.mean() if fit_intercept else 0.5))).max()
    Cs = np.geomspace(smallest_C, PATH_C_RANGE_RATIO * smallest_C, N_PATH_CS)
    return PathProblems("one-hot", X, y, data.X_test, data.y_test, 2, Cs, fit_intercept, l1_ratio=1.0)


def _load_mnist(n_rows):
    data = load_mnist_pixels(n_rows or N_CV_ROWS, "float64")
    y_train, y_test = (y.astype(np.int64) for y in (data.y_train, data.y_test))
    Cs = _choose_Cs(n_rows, CROSS_VALIDATION_CS)
    return PathProblems("MNIST", data.X_train, y_train, data.X_test, y_test, 10, Cs, n_folds=N_FOLDS)


def _make_one_hot_comparison(baseline, solve, fit_intercept=False, package=""):
    return Comparison(
        f"path of {N_PATH_CS} values of C, L1, one-hot, {'with' if fit_intercept else 'without'} intercept",
        partial(_load_one_hot, fit_intercept=fit_intercept),
        fit_path,
        {f"{baseline}, tol 1e-4": partial(solve, tol=1e-4)},
        rows=4_000,
        rule=CERTIFIED_RULE,
        # With fewer rows, skglm and celer would not compile all their code.
        n_warm_up_rows=4_000,
        package=package,
    )


@dataclass(frozen=True, eq=False)
class ResampleProblems(ManyProblems):
    """Fits to resamples of the same data. `rows` has shape (n_fits, m). The test rows of a fit are all other rows."""

    X: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    n_classes: int = 2

    def problems(self):
        for rows in self.rows:
            held_out_rows = np.setdiff1d(np.arange(len(self.X)), rows)
            yield make_classification_problem(
                "drawn rows", self.X[rows], self.y[rows], 1.0, (self.X[held_out_rows], self.y[held_out_rows])
            )


@dataclass(frozen=True, eq=False)
class HeldOutLossProblem:
    """Fits of a tool that only returns losses on held-out rows. A grid search uses Cs, a test n_permutations."""

    X: np.ndarray
    y: np.ndarray
    n_classes: int
    Cs: np.ndarray
    n_permutations: int

    def objective(self, losses):
        return losses

    def accuracy(self, losses):
        return np.nan

    def score_test_rows(self, losses):
        return Scores(log_loss=float(np.mean(losses)))


def bootstrap(fits, model):
    """Fit the model to each resample with fastlin's `bootstrap`."""
    result = model.fit(fits.X, fits.y).bootstrap(fits.X, fits.y, n_resamples=len(fits.rows), random_state=SEED)
    return result.coef, result.intercept


def fit_bootstrap(fits, model):
    """Fit the model to each resample with sample weights; each process receives X once and a chunk of resamples."""
    chunks = np.array_split(fits.rows, count_threads())
    models = joblib.Parallel()(
        joblib.delayed(_fit_weighted_resamples)(model, fits.X, fits.y, chunk) for chunk in chunks
    )
    return stack([coef_intercept_pair for chunk in models for coef_intercept_pair in chunk])


def _fit_weighted_resamples(model, X, y, resamples):
    fits = (clone(model).fit(X, y, np.bincount(rows, minlength=len(y))) for rows in resamples)
    return [(fitted_model.coef_, fitted_model.intercept_) for fitted_model in fits]


def fit_bagging(fits, model):
    """Fit BaggingClassifier. It draws the same rows as `fits`."""
    bagging = BaggingClassifier(model, len(fits.rows), random_state=SEED).fit(fits.X, fits.y)
    return stack([(fitted_model.coef_, fitted_model.intercept_) for fitted_model in bagging.estimators_])


def fit_multilabel(fits, model, labels=slice(None)):
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
    """Return the result of `fit_multilabel`, computed one label at a time."""
    solutions = joblib.Parallel()(joblib.delayed(fit_multilabel)(fits, model, [k]) for k in range(fits.y.shape[1]))
    return tuple(np.concatenate(arrays) for arrays in zip(*solutions, strict=True))


def score_folds(problem, model):
    """Return the losses of cross_val_score for ten folds."""
    return (-cross_val_score(model, problem.X, problem.y, cv=10, scoring="neg_log_loss"),)


def score_grid_search(problem, model):
    """Return the mean losses of GridSearchCV for all values of C and five folds."""
    search = GridSearchCV(model, {"C": problem.Cs}, cv=N_FOLDS, scoring="neg_log_loss").fit(problem.X, problem.y)
    return (-search.cv_results_["mean_test_score"],)


def score_permutations(problem, model):
    """Return the loss, and the mean loss for permuted labels."""
    options = {"cv": N_FOLDS, "scoring": "neg_log_loss", "n_permutations": problem.n_permutations, "random_state": SEED}
    if isinstance(model, fastlin.LogisticRegression):
        result = fastlin.permutation_test(model, problem.X, problem.y, **options)
        return (-np.array([result.score, result.permutation_scores.mean()]),)
    score, permuted_scores, _ = permutation_test_score(model, problem.X, problem.y, **options)
    return (-np.array([score, permuted_scores.mean()]),)


def run_fastlin(problem, tol, run):
    """Return the result of `run` for fastlin's model with a tol."""
    return run(problem, fastlin.LogisticRegression(tol=tol))


def run_with_sklearn_patch(problem, run, parallel_mode):
    """Return a tool's result for scikit-learn's model with the patch. `parallel_mode` is one of `PARALLEL_MODES`."""
    with fastlin.patch_sklearn():
        return run_in_mode(parallel_mode, run, problem, ScikitLearnLogisticRegression())


def run_in_mode(parallel_mode, run, problem, model):
    """Run a tool in one of `PARALLEL_MODES`. BLAS has one thread, because more do not help with small tables."""
    with threadpool_limits(1):
        if parallel_mode == SEQUENTIAL_MODE:
            return run(problem, model)
        backend, inner_options = (
            ("loky", {"inner_max_num_threads": 1}) if parallel_mode == PROCESS_MODE else ("threading", {})
        )
        with joblib.parallel_config(backend, n_jobs=count_threads(), **inner_options):
            return run(problem, model)


def stack(models):
    """Return coef (n_fits, K, d) and intercept (n_fits, K) from a list of pairs."""
    return tuple(np.stack(arrays) for arrays in zip(*models, strict=True))


def _simulate_rows(n_rows, n_features, n_labels=1, density=1.0):
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
    X, y = simulate_mixture_embeddings(n_rows, n_features, n_labels, 0)
    return X, (y[:, None] == np.arange(n_labels)).astype(np.int8)


def load_label_problems(n_rows, size, Cs=(1.0,), make_rows=_simulate_rows, fit_intercept=True, l1_ratio=0.0, **options):
    """Return problems for each label and C. `size` contains the numbers of rows, features and labels."""
    n, n_features, n_labels = n_rows or size[0], size[1], _count_fits(n_rows, size[2])
    X, Y = make_rows(n + count_test_rows(n), n_features, n_labels, **options)
    return LabelProblems("labels", X[:n], Y[:n], X[n:], Y[n:], 2, _choose_Cs(n_rows, Cs), fit_intercept, l1_ratio)


def _load_bootstrap(n_rows):
    X, Y = _simulate_rows(n_rows or 5_000, 20)
    # `bootstrap` resamples the same rows.
    seed = int(check_random_state(SEED).randint(np.iinfo(np.int32).max))
    generators = (np.random.default_rng((seed, number)) for number in range(_count_fits(n_rows, 1_000)))
    return ResampleProblems(X, Y[:, 0], np.array([generator.integers(len(X), size=len(X)) for generator in generators]))


def _load_bagging(n_rows):
    X, Y = _simulate_rows(n_rows or 2_000, 50)
    sampler = BaggingClassifier(DummyClassifier(), _count_fits(n_rows, 100), random_state=SEED).fit(X, Y[:, 0])
    return ResampleProblems(X, Y[:, 0], np.array(sampler.estimators_samples_))


def _load_folds(n_rows):
    n = n_rows or 1_000
    X, Y = _simulate_rows(n + count_test_rows(n), 30)
    return PathProblems("small", X[:n], Y[:n, 0], X[n:], Y[n:, 0], 2, _choose_Cs(n_rows, CS), n_folds=N_FOLDS)


def _load_wide_table(n_rows, l1_ratio):
    """Return folds of rows with many normally distributed features. Twenty features determine the two classes."""
    n, n_test, n_features = (n_rows, count_test_rows(n_rows), 30) if n_rows else (500, 2_000, 1_000)
    generator = np.random.default_rng(0)
    X = generator.standard_normal((n + n_test, n_features))
    y = (X[:, :20] @ generator.standard_normal(20) + generator.logistic(size=len(X)) > 0).astype(np.int64)
    parameters = {"l1_ratio": l1_ratio, "n_folds": N_WIDE_FOLDS}
    return PathProblems("wide", X[:n], y[:n], X[n:], y[n:], 2, _choose_Cs(n_rows, CROSS_VALIDATION_CS), **parameters)


def _load_held_out_losses(n_rows, n_all=1_000, n_features=20, n_permutations=1):
    X, Y = _simulate_rows(n_rows or n_all, n_features)
    return HeldOutLossProblem(X, Y[:, 0], 2, _choose_Cs(n_rows, CS), _count_fits(n_rows, n_permutations))


def _make_scikit_learn_run(parallel_mode, run, solver="lbfgs", **parameters):
    # liblinear shuffles the rows.
    model = ScikitLearnLogisticRegression(solver=solver, random_state=SEED, **parameters)
    return partial(run_in_mode, parallel_mode, run, model=model)


def _make_comparison(
    title, load, ours, theirs=None, rule=CERTIFIED_RULE, solvers=SOLVERS, parallel_mode=SEQUENTIAL_MODE, **parameters
):
    """Return a Comparison. `ours` and `theirs` take a problem and a model. Without a tol, `ours` uses the patch.

    `parameters` are those of scikit-learn's models.
    """
    run = partial(run_with_sklearn_patch, parallel_mode=parallel_mode) if rule.tol is None else run_fastlin
    run = partial(run, run=ours)
    baselines = {
        f"scikit-learn {solver}, {parallel_mode}": _make_scikit_learn_run(
            parallel_mode, theirs or ours, solver, **parameters
        )
        for solver in solvers
        for parallel_mode in PARALLEL_MODES
    }
    # "all" is the number of processes or of threads. BLAS always has one thread.
    return Comparison(title, load, run, baselines, 400, rule=rule, baseline_threads=("all",))


def _make_wide_comparison(penalty, l1_ratio, *solvers):
    title = f"LogisticRegressionCV, {len(CROSS_VALIDATION_CS)} values of C × {N_WIDE_FOLDS} folds, {penalty}"
    load = partial(_load_wide_table, l1_ratio=l1_ratio)
    parameters = {"max_iter": 1_000, "intercept_scaling": INTERCEPT_SCALING}
    comparison = _make_comparison(title, load, fit_cross_validation, solvers=solvers, **parameters)
    return replace(comparison, rows=200, within=WIDE_SUBOPTIMALITY)


def _make_label_comparison(title, size, solvers=SOLVERS, **options):
    load = partial(load_label_problems, size=size, **options)
    return _make_comparison(title, load, fit_multilabel, fit_label_by_label, solvers=solvers)


COMPARISONS = {
    "path-liblinear": _make_one_hot_comparison("scikit-learn liblinear", fit_liblinear_path),
    "path-skglm": _make_one_hot_comparison("skglm", fit_skglm_path, True, "skglm"),
    "path-skglm-without-intercept": _make_one_hot_comparison("skglm", fit_skglm_path, package="skglm"),
    "path-celer": _make_one_hot_comparison("celer", fit_celer_path, package="celer"),
    "cross-validation": Comparison(
        f"cross-validation, {len(CROSS_VALIDATION_CS)} values of C × {N_FOLDS} folds, MNIST, tol 1e-6",
        _load_mnist,
        partial(run_fastlin, run=fit_cross_validation),
        {"scikit-learn LogisticRegressionCV, max_iter 100": _make_scikit_learn_run(PROCESS_MODE, fit_cross_validation)},
        rows=500,
        rule=CERTIFIED_RULE,
        n_warm_up_rows=150,
    ),
    "many-bootstrap": _make_comparison("bootstrap of 1,000", _load_bootstrap, bootstrap, fit_bootstrap),
    "many-permutations": _make_comparison(
        f"1,000 permutations × {N_FOLDS} folds",
        partial(_load_held_out_losses, n_all=500, n_permutations=1_000),
        score_permutations,
        # The libraries draw different permutations.
        rule=ComparisonRule(tol=OBJECTIVE_TOL, same_steps_tol=2e-2),
    ),
    "many-bagging": _make_comparison(
        "BaggingClassifier of 100, patched", _load_bagging, fit_bagging, rule=ComparisonRule()
    ),
    "many-labels": _make_label_comparison("200 labels", LABEL_PROBLEM_SIZE),
    # liblinear would penalize an intercept.
    "many-labels-l1": _make_label_comparison(
        "40 labels, L1, without intercept",
        (20_000, 64, 40),
        ("liblinear",),
        Cs=(0.1,),
        fit_intercept=False,
        l1_ratio=1.0,
    ),
    # A step of newton-cholesky factorizes a matrix of 3,000 × 3,000.
    "many-labels-sparse": _make_label_comparison(
        "300 labels", (100_000, 3_000, 300), ("lbfgs", "newton-cg"), density=0.01
    ),
    # newton-cholesky is much slower than lbfgs here (docs/benchmarks/design-choices.md: labels, newton-cholesky).
    "many-labels-embeddings": _make_label_comparison(
        f"100 labels, {len(CROSS_VALIDATION_CS)} values of C each, embeddings",
        (20_000, 768, 100),
        ("lbfgs",),
        Cs=CROSS_VALIDATION_CS,
        make_rows=_make_embeddings,
    ),
    "many-folds": _make_comparison(
        "cross_val_score, 10 folds, patched",
        _load_held_out_losses,
        score_folds,
        rule=SAME_SCORES_RULE,
        parallel_mode=PROCESS_MODE,
    ),
    "many-grid": _make_comparison(
        f"GridSearchCV, {len(CS)} values of C × {N_FOLDS} folds, patched",
        partial(_load_held_out_losses, n_features=30),
        score_grid_search,
        rule=SAME_SCORES_RULE,
        parallel_mode=PROCESS_MODE,
    ),
    "many-cross-validation": _make_comparison(
        f"LogisticRegressionCV, {len(CS)} values of C × {N_FOLDS} folds", _load_folds, fit_cross_validation
    ),
    # saga takes about thirty times as long as liblinear.
    "sweep-small-l1": _make_wide_comparison("L1", 1.0, "liblinear"),
    "sweep-small-l2": _make_wide_comparison("L2", 0.0, "lbfgs", "newton-cg", "liblinear"),
}
