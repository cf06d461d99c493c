"""The two-loop recursion, compared with the BFGS matrix."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from objectives import evaluate, make_objective, replace_budget

from fastlin.solvers import preconditioners
from fastlin.solvers.preconditioners import build_class_blocks
from fastlin.solvers.two_loop_recursion import CoefficientPairs


def add(pairs, step, change):
    """Add a step and the gradient change to the pairs."""
    ones = np.ones(step.size)
    pairs.add((ones, ones), (1 + step.ravel(), 1 + change.ravel()))


@pytest.mark.parametrize("n_steps", [0, 1, 3, 4, 6, 9])
@pytest.mark.parametrize(("n_bytes", "max_kept_pairs", "tolerance"), [(1 << 30, 9, 1e-9), (0, 4, 1e-5)])
def test_the_direction_is_that_of_the_bfgs_matrix(n_bytes, max_kept_pairs, tolerance, n_steps):
    objective, parameters = make_objective(100, 3, 3, l2=0.01)
    # With a budget of zero, there are four float32 pairs.
    pairs, size, generator = (
        CoefficientPairs(replace_budget(objective, n_bytes)),
        parameters.size,
        np.random.default_rng(0),
    )
    hessian, moves = evaluate(objective, parameters).hessian(), generator.normal(size=(n_steps + 1, size))
    *changes, gradient = moves @ hessian
    kept_pairs = list(zip(moves, changes, strict=False))[-max_kept_pairs:]
    diagonal = generator.uniform(0.5, 2, parameters.shape)
    matrix = np.array([objective.center(diagonal * unit.reshape(parameters.shape)).ravel() for unit in np.eye(size)]).T
    for step, change in zip(moves, changes, strict=False):
        add(pairs, step, change)
        scale = step @ change / (change @ matrix @ change)
    assert pairs.n_pairs == len(kept_pairs)
    matrix *= scale if kept_pairs else 1
    for step, change in kept_pairs:
        rho = 1 / (step @ change)
        projection = np.eye(size) - rho * np.outer(step, change)
        matrix = projection @ matrix @ projection.T + rho * np.outer(step, step)
    preconditioner = SimpleNamespace(solve=lambda vector: diagonal * vector)
    direction, decrement = pairs.direction(gradient.reshape(parameters.shape), preconditioner)
    np.testing.assert_allclose(direction.ravel(), -matrix @ gradient, rtol=tolerance, atol=tolerance)
    assert decrement == pytest.approx(0.5 * gradient @ matrix @ gradient, rel=tolerance)


def test_reused_pairs_have_the_gradient_changes_of_the_new_penalty():
    objective, parameters = make_objective(100, 3, 3, l2=0.01)
    other, generator = objective.with_penalty(0.3, 0.0), np.random.default_rng(0)
    pairs, expected = CoefficientPairs(objective), CoefficientPairs(other)
    points = [parameters + 0.1 * generator.normal(size=parameters.shape) for _ in range(4)]
    for ends in itertools.pairwise(points):
        for pair_buffer, buffer_objective in ((pairs, objective), (expected, other)):
            pair_buffer.add(*((end, evaluate(buffer_objective, end).gradient) for end in ends))
    reused_pairs, point = CoefficientPairs(other, pairs), evaluate(other, points[-1])
    assert reused_pairs.n_pairs == 3
    preconditioner = build_class_blocks(point)
    actual, expected_direction, old = (
        pair_buffer.direction(point.gradient, preconditioner)[0] for pair_buffer in (reused_pairs, expected, pairs)
    )
    np.testing.assert_allclose(actual, expected_direction, rtol=1e-9, atol=1e-9)
    assert not np.allclose(actual, old, rtol=1e-3)


def test_a_pair_without_curvature_is_rejected():
    objective, parameters = make_objective(20, 3, 2, l2=0.1)
    pairs, unused_pairs = (CoefficientPairs(replace_budget(objective, 0)) for _ in range(2))
    for step, factor, n_pairs in ((1, -1, 0), (0, 1, 0), *((1, 1, min(n, 4)) for n in range(1, 6)), (1, -1, 0)):
        add(pairs, step * parameters, factor * parameters)
        assert pairs.n_pairs == n_pairs
    # Later pairs are not mixed with earlier ones.
    point = evaluate(objective, parameters)
    for factors, pair_buffer in itertools.product(([1.0, 2.0, 3.0, 4.0], [4.0, 1.0, 2.0, 2.0]), (pairs, unused_pairs)):
        add(pair_buffer, parameters, np.array(factors) * parameters)
    assert pairs.n_pairs == unused_pairs.n_pairs == 2
    preconditioner = preconditioners.diagonal(point)
    np.testing.assert_array_equal(
        *(pair_buffer.direction(point.gradient, preconditioner)[0] for pair_buffer in (pairs, unused_pairs))
    )
