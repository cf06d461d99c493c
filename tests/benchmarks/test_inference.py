"""Fits with standard errors: all libraries reach the same maximum and return the same table."""

from dataclasses import replace

import pytest

from benchmarks import inference
from benchmarks.bounds import describe_violations, read_bounds
from benchmarks.comparisons import FASTLIN
from benchmarks.inference import CASES, COMPARISONS, STATSMODELS, measure_memory
from benchmarks.processes import call_in_process
from benchmarks.tables import tabulate

pytest.importorskip("statsmodels", reason="statsmodels is in the extra test.")
pytest.importorskip("glum", reason="glum is in the extra test.")


def test_all_libraries_give_the_same_table():
    for name in ("inference-logit-1000000", "inference-mnlogit-400000"):
        comparison = COMPARISONS[name]
        problem = comparison.load(800)
        solutions = [comparison.solve(problem), *(solve(problem) for solve in comparison.baselines.values())]
        (coef, errors), *others = [inference._stack_estimates(solution) for solution in solutions]
        assert coef.shape == (problem.n_classes - 1, problem.X.shape[1] + 1)
        for baseline_coef, baseline_std_errors in others:
            assert abs(coef - baseline_coef).max() <= 1e-2 * errors.min()
            assert baseline_std_errors == pytest.approx(errors, rel=1e-3)


def test_records_of_inference_are_published_as_a_table():
    name = "inference-logit-1000000"
    record = replace(CASES[name], load=COMPARISONS[name].load, rows=800)()
    record["libraries"][FASTLIN]["seconds"] = 10.0
    (table,) = tabulate({name: record})
    assert all(table.bold_mask)
    assert f"{STATSMODELS} newton" in " ".join(row[1] for row in table.rows)
    assert len(describe_violations(read_bounds(), {name: record}, "x86-64-v3")) == 1


@pytest.mark.thorough
def test_memory_is_measured_in_separate_processes():
    name = "inference-mnlogit-400000"
    problem = COMPARISONS[name].load(20_000)
    arrays = problem.X, problem.y
    ours, theirs = (call_in_process(measure_memory, *arrays, name, each) for each in (FASTLIN, f"{STATSMODELS} newton"))
    # statsmodels stores the probabilities of all rows and further arrays.
    assert 0 < ours < theirs
