"""The suites of other projects: every baseline minimizes the objective of its problem."""

import numpy as np
import pytest

from benchmarks import foreign_suites
from benchmarks.tables import tabulate

MAX_ROWS = 300
# saga stops early on text. SGD with a decreasing step size converges to few digits, so its limit is relative to the
# objective of the null model.
MAX_SUBOPTIMALITIES, MAX_SGD_SUBOPTIMALITY = {"saga": 1e-3}, 0.02


def list_short_cases(iterate_cases, substring):
    return [(problem, baselines) for problem, baselines in iterate_cases(MAX_ROWS) if substring in problem.name]


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("suite", "substring"),
    [
        (foreign_suites.SCIKIT_LEARN_SUITE, "dense"),
        (foreign_suites.SCIKIT_LEARN_SUITE, "sparse"),
        (foreign_suites.LASSO_SUITE, ""),
    ],
)
def test_baselines_minimize_the_objective_of_their_problem(suite, substring):
    cases = list_short_cases(foreign_suites.SUITES[suite], substring)
    assert len(cases) >= 6
    for problem, baselines in cases:
        objectives = {
            baseline.name: problem.measure(baseline.solve(problem, baseline.efforts[-1]))["objective"]
            for baseline in baselines
        }
        minimum = min(objectives.values())
        null_objective = 0.5 * float(np.var(np.asarray(problem.y, float)))
        if "SGDRegressor" in objectives:
            assert objectives.pop("SGDRegressor") - minimum <= MAX_SGD_SUBOPTIMALITY * null_objective
        # Least squares with more features than rows has residuals of zero.
        scale = max(minimum, 1e-6 * null_objective)
        for name, objective in objectives.items():
            assert (objective - minimum) / scale <= MAX_SUBOPTIMALITIES.get(name, 1e-4), (problem.name, objectives)


def test_a_suite_becomes_a_table_of_times_and_reasons():
    measured = {
        "samples": 900,
        "features": 100,
        "reference": "lbfgs",
        "scores": {"lbfgs": {"accuracy": 0.5, "seconds": 1.0}},
        "rows": {
            "lbfgs": {"1e-2": 0.01, "1e-4": 0.02, "1e-6": "–", "time ratio": 1.0, "lbfgs is": "–"},
            "fastlin": {"1e-2": 0.001, "1e-4": 0.2, "1e-6": 0.3, "time ratio": "2 (1 to 3)", "lbfgs is": "even"},
            "liblinear": {"1e-2": 0.1, "1e-4": 0.2, "1e-6": "–", "time ratio": 10.0, "lbfgs is": "–"},
            "saga": {"1e-2": "–", "1e-4": "–", "1e-6": "–", "time ratio": "–", "lbfgs is": "–"},
        },
        "reasons": {"saga": "stopped after 3 s", "liblinear": "a later fit failed: MemoryError"},
    }
    record = {"kind": foreign_suites.RECORD_KIND, "title": "", "problems": {"text": measured}}
    (table,) = tabulate({"suite": record})
    assert table.rows == [
        ["text, 900 × 100", "lbfgs", "10 ms", "20 ms", "–", "reference", "accuracy 0.5000"],
        ["text, 900 × 100", "fastlin", "1 ms", "0.2 s", "0.3 s", "2 (1 to 3)", ""],
        ["text, 900 × 100", "liblinear", "0.1 s", "0.2 s", "–", "10; a later fit failed: MemoryError", ""],
        ["text, 900 × 100", "saga", "–", "–", "–", "stopped after 3 s", ""],
    ]
