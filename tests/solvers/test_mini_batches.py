"""The start by batches: where it is taken, that it comes near the minimum, and that fits from there end as others."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import make_offsets_and_targets

from fastlin.kernels.machine.threads import limit_threads
from fastlin.objective import Objective
from fastlin.solvers import choose, mini_batches, preconditioners
from fastlin.solvers.tuning import BATCH_ROWS, FEW_CLASSES, FEWEST_BATCHES

N_ROWS, N_CLASSES = FEWEST_BATCHES * BATCH_ROWS, FEW_CLASSES + 8


def make_clusters(n_features=60, seed=0, n_rows=N_ROWS, **options):
    """Return J over rows around a centre for each class: with few rows for each, the classes are nearly separable."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(N_CLASSES, size=n_rows).astype(np.int32)
    X = generator.normal(size=(N_CLASSES, n_features))[labels] + generator.normal(size=(n_rows, n_features)) / 3
    return Objective.over(X, labels, N_CLASSES, **{"l2": 1e-5} | options)


def start_of(objective):
    block = preconditioners.block_at_start(objective)
    return mini_batches.minimize_roughly(objective, objective.start(), block)


def test_the_block_at_the_start_is_that_of_the_point():
    weights = np.random.default_rng(1).uniform(0.1, 1, N_ROWS)
    for options in ({}, {"weights": weights}, {"weights": weights, "fit_intercept": False}):
        objective = make_clusters(**options)
        point = objective.at(objective.start(), out=objective.make_room())
        gradient = np.random.default_rng(2).normal(size=objective.shape)
        found, expected = (
            each.solve(gradient)
            for each in (preconditioners.block_at_start(objective), preconditioners.shared_block(point))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


def test_batches_come_near_the_minimum():
    for options in ({}, {"weights": np.random.default_rng(1).uniform(0.1, 1, N_ROWS)}, {"fit_intercept": False}):
        objective = make_clusters(**options)
        found = objective.at(start_of(objective)).value
        minimum = choose.minimize(objective, solver="auto", tol=1e-6, max_iter=1000).value
        assert minimum < found < minimum + 0.1 * (objective.value_at_start() - minimum)


def test_the_same_bits_for_any_number_of_threads():
    found = []
    for n_threads in (1, 2):
        with limit_threads(n_threads):
            found.append(start_of(make_clusters()))
    np.testing.assert_array_equal(*found)


def test_batches_begin_where_the_quadratic_model_promises_more_than_there_is(monkeypatch):
    taken = []
    begin = mini_batches.minimize_roughly
    monkeypatch.setattr(mini_batches, "minimize_roughly", lambda *given: taken.append(1) or begin(*given))
    for l2, expected in [(1e-5, 1), (10.0, 0)]:
        taken.clear()
        objective = make_clusters(l2=l2)
        solution = choose.minimize(objective, solver="auto", tol=1e-6, max_iter=1000)
        assert len(taken) == expected
        assert solution.converged
        assert solution.certificate <= 1e-6 * solution.value
    # Of so many rows a sample has told where to begin.
    taken.clear()
    assert choose.minimize(make_clusters(n_rows=25_000), solver="auto", tol=1e-3, max_iter=1000).converged
    assert not taken


def test_batches_that_lead_away_are_forgotten():
    # Nearly all weight is on few rows, which the first batch hardly has.
    weights = np.where(np.random.default_rng(5).random(N_ROWS) < 0.005, 1.0, 1e-8)
    objective = make_clusters(weights=weights)
    assert mini_batches.is_far(objective, preconditioners.block_at_start(objective))
    assert objective.at(start_of(objective)).value > objective.value_at_start()
    assert choose.minimize(objective, solver="auto", tol=1e-4, max_iter=200).converged


def test_the_gradient_at_the_start_is_known_without_a_pass():
    for fit_intercept in (True, False):
        objective, seen = make_clusters(fit_intercept=fit_intercept), []
        mini_batches.is_far(
            objective, SimpleNamespace(solve=lambda gradient, seen=seen: seen.append(gradient) or gradient)
        )
        assert objective.n_passes == 0
        np.testing.assert_allclose(seen[0], objective.at(objective.start()).gradient, atol=1e-14)


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
def test_fits_from_there_end_at_the_minimum(solver):
    objective = make_clusters(l2=1e-4)
    assert mini_batches.is_far(objective, preconditioners.block_at_start(objective))
    solution = choose.minimize(objective, solver=solver, tol=1e-8, max_iter=5000)
    again = choose.minimize(objective, [solution.parameters], solver="newton-cg", tol=1e-10, max_iter=100)
    assert again.value <= solution.value <= again.value * (1 + 1e-7)


def test_batches_have_the_offsets_and_targets_of_their_rows():
    for soft in (False, True):
        plain = make_clusters()
        offsets, targets = make_offsets_and_targets(plain.rows.labels, N_CLASSES)
        objective = make_clusters(offsets=offsets, targets=targets if soft else None)
        minimum = choose.minimize(objective, solver="lbfgs", tol=1e-5, max_iter=1000).value
        found = objective.at(start_of(objective)).value
        assert minimum < found < minimum + 0.2 * (objective.value_at_start() - minimum)
        assert choose.minimize(objective, solver="auto", tol=1e-4, max_iter=1000).value < minimum * (1 + 2e-4)
