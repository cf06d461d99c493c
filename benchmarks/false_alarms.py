"""False alarms: how often `fastlin.benchmarking.compare` calls an estimator faster or slower than itself.

`python -m benchmarks.publish false-alarms` compares each problem's estimator with itself, under two names and in two
processes. Half of the comparisons run while another process keeps a core busy. The intervals of the first process alone
show how often comparisons without further processes are false alarms.
"""

import multiprocessing
from contextlib import contextmanager, nullcontext

import numpy as np
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from benchmarks.data import simulate_softmax_data
from fastlin.benchmarking import Baseline, BenchmarkProblem, LogisticObjective, compare
from fastlin.benchmarking.timing import classify_interval

CASE, RECORD_KIND = "false-alarms", "false alarms"
# Half of the comparisons run with a busy core. A comparison of short fits needs about twenty seconds.
N_COMPARISONS, SECONDS_PER_COMPARISON = 200, 22.0
N_SHORT_COMPARISONS, SHORT_SECONDS_PER_COMPARISON = 2, 0.5
FIRST, SECOND = "first", "second"
# What the second name is called if its time is longer, shorter or even.
VERDICTS = {"shorter": "faster", "longer": "slower", "even": "even"}
# The first of these values that reaches the compared suboptimality depends on the problem.
TOLERANCES = 1e-2, 1e-4, 1e-6
ESTIMATORS = {"fastlin": fastlin.LogisticRegression, "scikit-learn": ScikitLearnLogisticRegression}


def make_problems(n_problems):
    """Return problems with random numbers of rows, features and classes, and the name of the estimator of each."""
    generator, problems = np.random.default_rng(0), []
    for number in range(n_problems):
        n, d = int(10 ** generator.uniform(2.5, 4.5)), int(10 ** generator.uniform(0.7, 1.7))
        X, y = simulate_softmax_data(n, d, int(generator.integers(2, 5)), 1 / 3, seed=number)
        problem = BenchmarkProblem(X, y, LogisticObjective(C=1.0), name=f"{n:,} × {d}")
        problems.append((list(ESTIMATORS)[number % len(ESTIMATORS)], problem))
    return problems


@contextmanager
def keep_core_busy():
    """Run a loop in another process in the ``with`` block."""
    process = multiprocessing.get_context("spawn").Process(target=_loop, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _loop():
    while True:
        pass


def make_baselines(model_class):
    """Return two baselines with the same estimator."""
    return [Baseline(name, lambda tol: model_class(tol=tol, max_iter=1_000), TOLERANCES) for name in (FIRST, SECOND)]


def count_verdicts(problems, seconds):
    """Return the number of comparisons in which the second name was faster or slower than the first, or neither.

    There are two dicts of numbers: with the intervals of all processes, and with those of the first process.
    """
    all_counts = [{**dict.fromkeys(VERDICTS.values(), 0), "not compared": 0} for _ in range(2)]
    for name in dict.fromkeys(estimator for estimator, _ in problems):
        selected = [problem for estimator, problem in problems if estimator == name]
        for problem in compare(selected, make_baselines(ESTIMATORS[name]), len(selected) * seconds).problems:
            summary = problem["repetitions"].get(SECOND)
            summaries = [None, None] if summary is None else [summary, summary["by_process"][0]]
            for counts, each in zip(all_counts, summaries, strict=True):
                counts["not compared" if each is None else VERDICTS[classify_interval(each["interval"])]] += 1
    return all_counts


def measure_false_alarms(is_full_run=False):
    """Return the record of the comparisons on an idle machine and with a busy core."""
    problems = make_problems(N_COMPARISONS if is_full_run else N_SHORT_COMPARISONS)
    seconds = SECONDS_PER_COMPARISON if is_full_run else SHORT_SECONDS_PER_COMPARISON
    conditions = {"idle": nullcontext, "one busy core": keep_core_busy}
    counts, n_per_condition = {}, len(problems) // len(conditions)
    for number, (condition, run_load) in enumerate(conditions.items()):
        with run_load():
            selected = problems[number * n_per_condition : (number + 1) * n_per_condition]
            all_processes, first_process = count_verdicts(selected, seconds)
            counts |= {condition: all_processes, f"{condition}, first process": first_process}
    return {"kind": RECORD_KIND, "title": "an estimator compared with itself", "counts": counts}
