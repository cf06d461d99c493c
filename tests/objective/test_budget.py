"""The memory budget of a fit, which does not include X: limits, and fits that respect them."""

from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
from objectives import make_objective, replace_budget

from fastlin.objective import budget
from fastlin.objective.budget import Budget
from fastlin.objective.point import Point
from fastlin.solvers import choose, newton

LARGE = Budget(1 << 40)


@pytest.mark.parametrize(
    ("allows_array_bytes", "limit"),
    [
        pytest.param(Budget(1000).allows_array_bytes, 250, id="a quarter"),
        pytest.param(LARGE.allows_array_bytes, LARGE.bytes // 4, id="a quarter of a large budget"),
        pytest.param(LARGE.allows_preconditioner, LARGE.bytes // 20, id="preconditioner"),
        pytest.param(
            Budget(0).allows_preconditioner, budget.MIN_PRECONDITIONER_BYTES, id="the smallest preconditioner"
        ),
        pytest.param(
            lambda n: LARGE.allows_hessian(n, budget.MAX_HESSIAN_WORK), budget.MAX_HESSIAN_PARAMETERS, id="Hessian"
        ),
        pytest.param(lambda work: LARGE.allows_hessian(10, work), budget.MAX_HESSIAN_WORK, id="work"),
        pytest.param(
            lambda n_missing_bytes: Budget(8 * 10**2 - n_missing_bytes).allows_hessian(10, 1), 0, id="a small Hessian"
        ),
    ],
)
def test_a_budget_has_a_limit(allows_array_bytes, limit):
    assert allows_array_bytes(limit)
    assert not allows_array_bytes(limit + 1)


def test_memory_budgets_grow_with_X():
    assert Budget.from_data_size(1000).bytes == budget.MIN_BUDGET_BYTES
    assert Budget.from_data_size(LARGE.bytes).bytes == 4 * LARGE.bytes
    assert LARGE.count_sampled_rows(1024) == budget.MAX_SAMPLE_BYTES // 1024
    assert Budget(8 * budget.MEGABYTE).count_sampled_rows(1024) == 1024
    assert Budget(0).count_sampled_rows(1024) == 1


def test_a_small_budget_stores_fewer_pairs_in_float32():
    assert Budget.from_data_size(0).choose_lbfgs_pair_storage(1000) == (budget.MAX_LBFGS_PAIRS, np.float64)
    assert Budget.from_data_size(20_000_000).choose_lbfgs_pair_storage(1_128_740) == (28, np.float32)
    half = Budget(2 * 8 * 1000 * budget.MIN_FLOAT64_LBFGS_PAIRS)
    assert half.choose_lbfgs_pair_storage(1000) == (budget.MIN_FLOAT64_LBFGS_PAIRS, np.float64)
    assert half.choose_lbfgs_pair_storage(1001) == (2 * (budget.MIN_FLOAT64_LBFGS_PAIRS - 1), np.float32)
    assert Budget(0).choose_lbfgs_pair_storage(1000) == (4, np.float32)
    # With any amount of memory, pairs that exceed the caches are stored in float32.
    largest = budget.MAX_CACHED_LBFGS_BYTES // (2 * 8 * budget.MAX_LBFGS_PAIRS)
    assert LARGE.choose_lbfgs_pair_storage(largest) == (budget.MAX_LBFGS_PAIRS, np.float64)
    assert LARGE.choose_lbfgs_pair_storage(largest + 1) == (budget.MAX_LBFGS_PAIRS, np.float32)
    for n_parameters in (10**5, 10**6, 10**7):
        n_pairs, kind = Budget.from_data_size(0).choose_lbfgs_pair_storage(n_parameters)
        assert n_pairs == 4 or 2 * n_pairs * n_parameters * np.dtype(kind).itemsize <= budget.MIN_BUDGET_BYTES


def test_concurrent_fits_take_at_most_a_gigabyte_or_four_times_X():
    small_budget, medium_budget = Budget.from_data_size(1 << 20), Budget.from_data_size(15_000 * 384 * 4)
    assert small_budget.count_concurrent_fits(10_000, (10, 101), True) > 100
    assert small_budget.count_concurrent_fits(1000, (1, 31), False) > 1000
    # The estimate for a fit is at most a quarter of a gigabyte.
    assert small_budget.count_concurrent_fits(10**9, (100, 1000), True) == 4
    assert Budget.from_data_size(1 << 30).count_concurrent_fits(10**9, (100, 1000), True) == 1
    # 600 classes need 150 MB for blocks, 480 MB for pairs and 72 MB for probabilities.
    assert medium_budget.count_concurrent_fits(15_000, (600, 385), True) < 8
    for n_rows, shape, is_smooth in ((2000, (10, 50_001), True), (400, (10, 61), False), (10_000, (1, 10), True)):
        assert medium_budget.count_concurrent_fits(2 * n_rows, shape, is_smooth) <= medium_budget.count_concurrent_fits(
            n_rows, shape, is_smooth
        )


@pytest.mark.parametrize("solver", ["auto", "newton-cholesky"])
def test_unpenalized_fits_build_no_hessian_beyond_the_budget(monkeypatch, solver):
    minimize = partial(choose.minimize, solver=solver, tol=1e-8, max_iter=300)
    objective, _ = make_objective(300, 30, 5, l2=0.0)
    hessian = Mock(side_effect=Point.hessian)
    with monkeypatch.context() as patch:
        patch.setattr(Point, "hessian", lambda point: hessian(point))
        expected = minimize(objective)
    assert expected.converged
    assert hessian.called
    # The probabilities fit in memory, but a Hessian of 155 parameters does not.
    limited = replace_budget(objective, 8 * 155**2 - 1)
    assert limited.stores_probabilities
    # The preconditioner can be a Hessian, because that fits into the preconditioner's fraction of the budget.
    monkeypatch.setattr(newton, "minimize_by_cholesky", None)
    actual = minimize(limited)
    assert actual.converged
    assert actual.value == pytest.approx(expected.value, rel=1e-7)
