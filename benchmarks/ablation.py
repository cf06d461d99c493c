"""Ablations: interleaved measurements of the fit time without an optimization, divided by the fit time with it.

`python -m benchmarks.ablation` prints the ratio of each optimization on the problems that it affects, and `python -m
benchmarks.publish ablation-descent` stores it. CONTRIBUTING.md states when an optimization is kept.
"""

import argparse
import pickle
import sys
import warnings
from functools import cache, partial
from itertools import chain, islice
from time import perf_counter
from unittest.mock import patch

import numpy as np
from scipy.sparse import csr_array

from benchmarks import everyday, plain_loops
from benchmarks.data import load_letter, load_mnist, simulate_dataframe, simulate_embeddings, simulate_softmax_data
from benchmarks.sparse_data import make_text
from benchmarks.tables import print_tables, tabulate
from fastlin import LogisticRegression, LogisticRegressionCV
from fastlin.estimators import batched_fits, columns
from fastlin.exceptions import ConvergenceWarning
from fastlin.matrices import Matrix, dense
from fastlin.solvers import (
    descent,
    preconditioners,
    proximal_newton,
    quadratic,
    row_space_lbfgs,
    starting_points,
)
from fastlin.solvers.stopping import Stopping

# Fits that take longer than MAX_FIT_SECONDS and scikit-learn's cases with more than MAX_CASE_VALUES values are omitted.
# SPEEDUP_SECONDS is the measurement time for each pair of fits.
MAX_FIT_SECONDS, SPEEDUP_SECONDS = 3.0, 1.0
MAX_CASE_VALUES = 10_000_000
MAX_REPETITIONS = 15

_is_descent_suitable, _choose_preconditioner = descent.is_suitable, preconditioners.choose
_make_table_matrix = columns.make_table_matrix


def _return_false(*_):
    return False


def _make_one_hot_matrix(*arguments):
    return _make_table_matrix(*arguments).encode_one_hot_rows(slice(None))


# Each optimization has a patch that disables it: the owner, the name of its attribute, and the replacement.
DISABLING_PATCHES = {
    "descent": (descent, "is_suitable", _return_false),
    "descent in cache": (descent, "_fits_in_cache", _return_false),
    "descent by passes": (
        descent,
        "is_suitable",
        lambda objective: _is_descent_suitable(objective) and descent._fits_in_cache(objective),
    ),
    "row space": (row_space_lbfgs, "is_suitable", _return_false),
    "blocks of classes": (
        preconditioners,
        "choose",
        lambda objective, is_long_lived=True: preconditioners.choose_first_builder(
            objective, _choose_preconditioner(objective, is_long_lived)
        ),
    ),
    "one block at first": (preconditioners, "choose_first_builder", lambda objective, builder: builder),
    "Hessian of a sample": (preconditioners, "_find_hessian_sample", lambda objective: None),
    "sample at the start": (starting_points, "_minimize_sample", lambda *_: None),
    "start with an intercept": (starting_points, "_is_start_with_intercept_useful", _return_false),
    "passes in float32": (Matrix, "is_faster_in_float32", _return_false),
    "optimized intercepts": (Stopping, "intercept_limits_bound", _return_false),
    "batches of problems": (batched_fits, "can_batch_fits", _return_false),
    "tables without one-hot columns": (columns, "make_table_matrix", _make_one_hot_matrix),
    "rows read in place": (dense, "allows_folding", _return_false),
    "active-set Newton steps": (quadratic.ColumnModel, "_count_sweeps", _return_false),
    "primal-dual active-set steps": (proximal_newton, "_allows_active_set", _return_false),
    "linearized probabilities": (proximal_newton, "_allows_linearization", _return_false),
}


def list_published_problems():
    """Yield the name, X, y and the estimator parameters of the everyday problems and of scikit-learn's cases."""
    small_cases = (case for case in everyday.SCIKIT_LEARN_CASES if case.shape[0] * case.shape[1] <= MAX_CASE_VALUES)
    for case in chain(everyday.CASES, small_cases):
        if case.group != everyday.DATAFRAME_GROUP:
            problem = case.load(None)
            parameters = {"C": problem.C, "l1_ratio": problem.l1_ratio, "fit_intercept": problem.fit_intercept}
            yield case.name, problem.X, problem.y, parameters


def simulate_categorical_rows(n_rows, category_counts):
    """Return one-hot encoded categorical columns with some rare categories, and labels of two classes."""
    generator = np.random.default_rng(0)
    category_codes = np.minimum(
        generator.pareto(1.2, (n_rows, len(category_counts))) * np.array(category_counts) / 20,
        np.array(category_counts) - 1,
    )
    category_codes = (category_codes.astype(int) + np.cumsum([0, *category_counts[:-1]])).ravel()
    X = csr_array(
        (np.ones(len(category_codes)), category_codes, np.arange(0, len(category_codes) + 1, len(category_counts))),
        (n_rows, sum(category_counts)),
    )
    scores = X @ generator.normal(size=sum(category_counts))
    return X, scores + generator.logistic(size=n_rows) > 0


def list_large_problems():
    """Yield large problems, for optimizations such as class blocks, samples and inner products of rows."""
    mnist, letter_data = load_mnist(), load_letter()
    yield "MNIST", mnist.X_train[:20_000] / 255, mnist.y_train[:20_000], {}
    yield "MNIST, 60,000 rows", mnist.X_train / np.float32(255), mnist.y_train, {"tol": 1e-6}
    yield "MNIST, C = 100", mnist.X_train[:20_000] / np.float32(255), mnist.y_train[:20_000], {"C": 100.0}
    yield "Letter, C = 100", letter_data.X_train, letter_data.y_train, {"C": 100.0}
    yield "MNIST, L1", mnist.X_train[:5_000] / 255, mnist.y_train[:5_000], {"l1_ratio": 1.0, "C": 0.1}
    for C, l1_ratio in ((1.0, 0.5), (1.0, 1.0), (0.1, 1.0)):
        X, y = simulate_categorical_rows(50_000, (10, 100, 1_000))
        yield f"categories, C = {C}, l1_ratio = {l1_ratio}", X, y, {"C": C, "l1_ratio": l1_ratio}
    for mean in (3.0, 10.0):
        X, y = simulate_softmax_data(300, 700, 4, 0.3, seed=0)
        yield f"300 x 700, means of {mean:g}", X + mean, y, {"C": 1.0, "l1_ratio": 1.0, "fit_intercept": False}
    for n, d, K in (
        (200_000, 20, 2),
        (1_000_000, 30, 2),
        (500_000, 60, 2),
        (500_000, 20, 10),
        (100_000, 50, 4),
        (10_000, 256, 300),
        (500, 5_000, 4),
    ):
        yield f"{n} x {d}, {K} classes", *simulate_softmax_data(n, d, K, 1 / 3, seed=n), {}
    text = make_text(3_000)
    yield "text, 20 classes", text.X_train, text.y_train, {}
    yield "text, 2 classes", text.X_train, text.y_train % 2, {}
    for n, d, K, C in ((8_000, 256, 100, 1.0), (8_000, 256, 100, 100.0), (3_000, 128, 50, 1.0), (5_000, 512, 20, 1.0)):
        yield f"embeddings, {n} x {d}, {K} classes, C = {C:g}", *simulate_embeddings(n, d, K), {"C": C}


def list_tables_and_batches():
    """Yield tables with categorical columns, cross-validations and fits to many labels."""
    for n in (1_000, 20_000, 200_000):
        problem = simulate_dataframe(n)
        parameters = {"categorical_features": "from_dtype"}
        yield f"DataFrame, {n:,} rows", problem.other_inputs, problem.y, parameters
    for n, d, K in ((1_000, 30, 2), (5_000, 20, 2), (3_000, 20, 4)):
        X, y = simulate_softmax_data(n, d, K, 1 / 3, seed=n)
        yield f"cross-validation, {n:,} x {d}, {K} classes", X, y, {"Cs": 10, "cv": 5}
        labels = np.column_stack([X @ coef > 0 for coef in np.random.default_rng(0).normal(size=(40, d))])
        yield f"40 labels, {n:,} x {d}", X, labels ^ (np.random.default_rng(1).random(labels.shape) < 0.2), {}


def iterate_problems():
    """Yield all problems."""
    return chain(list_published_problems(), list_large_problems(), list_tables_and_batches())


@cache
def list_problems():
    """Return all problems, cached because several optimizations use them."""
    return tuple(iterate_problems())


def fit(problem):
    """Return a key that identifies the result of a fit, and the seconds of the fit."""
    _, X, y, parameters = problem
    model_class = LogisticRegressionCV if "Cs" in parameters else LogisticRegression
    begin = perf_counter()
    model = model_class(**parameters, n_jobs=1).fit(X, y)
    seconds = perf_counter() - begin
    return pickle.dumps([getattr(model, name, None) for name in ("coef_", "n_passes_", "scores_")]), seconds


def fit_without_optimization(problem, optimization):
    """Return the result of `fit` with an optimization disabled."""
    with patch.object(*DISABLING_PATCHES[optimization]):
        return fit(problem)


def measure_speedup(problem, optimization):
    """Return the median time without an optimization divided by that with it, or None for bitwise equal results."""
    enabled_result, enabled_seconds = fit(problem)
    disabled_result, disabled_seconds = fit_without_optimization(problem, optimization)
    if disabled_result == enabled_result:
        return None
    n_repetitions = int(np.clip(SPEEDUP_SECONDS / (enabled_seconds + disabled_seconds), 2, MAX_REPETITIONS))
    times = [(fit(problem)[1], fit_without_optimization(problem, optimization)[1]) for _ in range(n_repetitions)]
    enabled_seconds, disabled_seconds = np.median(times, axis=0)
    return float(disabled_seconds / enabled_seconds)


def measure_optimization(optimization, is_full_run=False):
    """Return the record of an optimization: its speedup on each affected problem. A short run tries one problem."""
    speedups = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for problem in list_problems() if is_full_run else islice(list_published_problems(), 1):
            fit(problem)
            if fit(problem)[1] <= MAX_FIT_SECONDS and (speedup := measure_speedup(problem, optimization)) is not None:
                speedups[problem[0]] = speedup
    patched_owner, attribute_name, _ = DISABLING_PATCHES[optimization]
    attribute_path = f"{patched_owner.__name__.removeprefix('fastlin.')}.{attribute_name}"
    return {"kind": "ablation", "title": optimization, "switch": attribute_path, "threads": 1, "gains": speedups}


MEASUREMENTS = {
    **{optimization: partial(measure_optimization, optimization) for optimization in DISABLING_PATCHES},
    **plain_loops.MEASUREMENTS,
}
CASES = {f"ablation-{optimization.replace(' ', '-')}": measure for optimization, measure in MEASUREMENTS.items()}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", help="optimizations to disable; default: all")
    print_tables(
        tabulate(
            {
                optimization: MEASUREMENTS[optimization](is_full_run=True)
                for optimization in parser.parse_args().paths or MEASUREMENTS
            }
        )
    )


if __name__ == "__main__":
    sys.exit(main())
