"""Scaling of fits with rows, features, classes, density, C, the range of standard deviations, and threads."""

import contextlib
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

import fastlin
from benchmarks.comparisons import FASTLIN, N_REPETITIONS, Comparison, ComparisonRule, run_comparison
from benchmarks.fits import DEFAULT_TOL, make_scikit_learn_baselines
from benchmarks.problems import count_test_rows, make_split_problem
from fastlin.benchmarking.other_libraries import fit_fastlin
from fastlin.benchmarking.timing import summarize_ratios
from fastlin.kernels.machine.threads import count_threads, limit_threads

# newton-cholesky is a baseline up to this number of parameters and this number of multiply-adds for its Hessian.
MAX_HESSIAN_PARAMETERS, MAX_HESSIAN_MULTIPLY_ADDS = 600, 50_000_000_000
# If an iteration has more multiply-adds, there is one repetition, and baselines that would take minutes are omitted.
MAX_REPEATED_MULTIPLY_ADDS = 30_000_000
BASE_SETTINGS = {"n": 10_000, "d": 50, "K": 10, "density": 1.0, "C": 1.0, "std_ratio": 1.0, "threads": None}


@dataclass(frozen=True)
class Sweep:
    """A panel of the figure: the entry of BASE that varies, and the label of this entry."""

    name: str
    label: str
    values: tuple
    base: dict
    short_values: tuple

    def make_settings(self, value):
        return {**BASE_SETTINGS, **self.base, self.name: value}


def _list_powers_of_ten(first, last):
    return tuple(float(f"1e{exponent}") for exponent in range(first, last + 1))


SWEEPS = (
    Sweep("n", "rows n", (1_000, 10_000, 100_000, 1_000_000, 10_000_000), {"d": 20, "K": 2}, (200, 1_000)),
    Sweep("d", "features d", (2, 10, 100, 1_000, 10_000), {"n": 5_000, "K": 3}, (2, 10)),
    Sweep("K", "classes K", (2, 10, 100, 1_000, 5_000), {"d": 30}, (2, 10)),
    Sweep("density", "density of sparse X", _list_powers_of_ten(-4, -1), {"n": 20_000, "d": 5_000, "K": 3}, (1e-3,)),
    Sweep("C", "C", _list_powers_of_ten(-3, 6), {"K": 5}, (1.0, 1e3)),
    Sweep(
        "std_ratio",
        "ratio of largest to smallest standard deviation of a feature",
        _list_powers_of_ten(0, 4),
        {"K": 5},
        (1.0, 1e3),
    ),
    Sweep("threads", "threads", (1, 2, 4, 8, 16, 32, 64), {"n": 50_000, "d": 100}, (1,)),
)


def make_problem(n_rows=None, *, n, d, K, density, C, std_ratio, threads, correlation=0.0, imbalance=0.0):
    """Return the problem of a setting, optionally with fewer rows for warm-up. `threads` is ignored.

    The first class is exp(`imbalance`) times as likely. If `std_ratio` exceeds 1, the standard deviations of the
    features range from 1 to `std_ratio`, and each mean is three standard deviations.
    """
    n_rows = n_rows or n
    n = n_rows + count_test_rows(n_rows)
    generator = np.random.default_rng(0)
    if density < 1:
        from scipy.sparse import random_array

        X = random_array((n, d), density=density, format="csr", rng=generator, data_sampler=generator.standard_normal)
    else:
        X = generator.standard_normal((n, d))
        if correlation > 0:
            common_factor = generator.standard_normal((n, 1))
            X = np.sqrt(1 - correlation) * X + np.sqrt(correlation) * common_factor
    # The scores have a standard deviation of 2, and the Gumbel noise has a standard deviation of 1.3.
    coef = generator.standard_normal((d, K)) * 2 / np.sqrt(d * density)
    scores = X @ coef + generator.gumbel(size=(n, K))
    scores[:, 0] += imbalance
    labels = np.argmax(scores, axis=1)
    if std_ratio > 1:
        std_deviations = std_ratio ** np.linspace(0, 1, d)
        X = (X + 3) * std_deviations
    return make_split_problem("scaling", X, labels, C, n_rows)


def measure_scaling(is_full_run=False):
    """Return the record of all sweeps, as plain values."""
    sweeps = []
    for sweep in SWEEPS:
        values = sweep.values if is_full_run else sweep.short_values
        if sweep.name == "threads":
            values = [value for value in values if value <= count_threads()]
        points = [measure_point(sweep.make_settings(value), sweep.name) for value in values]
        base = {
            name: number for name, number in sweep.make_settings(None).items() if name not in (sweep.name, "threads")
        }
        sweeps.append({"name": sweep.name, "label": sweep.label, "base": base, "points": points})
    return {"kind": "scaling", "title": "whole fits", "sweeps": sweeps, "threads": count_threads()}


def measure_point(settings, changed_setting):
    """Return one point of a sweep. Raise a RuntimeError if fastlin's objective is too high.

    The baselines are scikit-learn's default, and the fastest baseline within TOL of the lowest objective, or None.
    """
    load = partial(make_problem, **settings)
    problem, n_threads = load(), settings["threads"]
    n, d = problem.X.shape
    is_large_problem = n * d * settings["density"] * problem.n_rows_coef > MAX_REPEATED_MULTIPLY_ADDS
    comparison = Comparison(
        "scaling",
        load,
        fit_fastlin,
        make_scikit_learn_baselines("lbfgs"),
        rule=ComparisonRule(tol=DEFAULT_TOL, suboptimality=DEFAULT_TOL),
    )
    comparison = replace(comparison, rounds=1 if is_large_problem else N_REPETITIONS)
    default_outcome = run_comparison(comparison, problem, n_threads)
    # If the default stops far above the minimum, its accuracy differs, so only objectives are compared.
    if not default_outcome.has_converged or default_outcome.objective_difference > DEFAULT_TOL:
        raise RuntimeError(default_outcome.describe_failure())
    comparison_records = [default_outcome] if -default_outcome.objective_difference <= DEFAULT_TOL else []
    n_parameters = problem.n_rows_coef * (d + 1)
    is_hessian_feasible = n_parameters <= MAX_HESSIAN_PARAMETERS and n * n_parameters**2 <= MAX_HESSIAN_MULTIPLY_ADDS
    baselines = make_scikit_learn_baselines("newton-cholesky") if is_hessian_feasible else {}
    if not is_large_problem:
        baselines |= make_scikit_learn_baselines("lbfgs", tol=DEFAULT_TOL / 100) | make_scikit_learn_baselines(
            "newton-cg"
        )
    if baselines:
        with contextlib.suppress(RuntimeError):
            comparison_records.append(
                run_comparison(replace(comparison, baselines=baselines, within=DEFAULT_TOL), problem, n_threads)
            )
    with limit_threads(n_threads):
        model = fastlin.LogisticRegression(C=problem.C, max_iter=10_000).fit(problem.X, problem.y)
    best = min(comparison_records, key=lambda outcome: outcome.time_ratio, default=None)
    return {
        "value": problem.n_classes if changed_setting == "K" else settings[changed_setting],
        "seconds": default_outcome.seconds[FASTLIN],
        **default_outcome.score_test_rows(FASTLIN)._asdict(),
        "n_passes": float(model.n_passes_),
        "default": _describe_baseline(default_outcome),
        "baseline": best and _describe_baseline(best),
    }


def _describe_baseline(outcome):
    return {
        "name": outcome.baseline,
        "seconds": outcome.seconds[outcome.baseline],
        **summarize_ratios(outcome.time_ratios),
        "suboptimality": -outcome.objective_difference,
        **outcome.score_test_rows(outcome.baseline)._asdict(),
    }
