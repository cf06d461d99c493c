"""Schedules of learning rates, compared with those of scikit-learn."""

import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from fastlin.training import LearningRate


# Some of these reach 1e-6 except for rounding errors.
@pytest.mark.parametrize("initial", [0.01, 0.015625, 0.003125, 0.000125, 1e-6])
def test_an_adaptive_rate_is_lowered_until_it_is_small(initial):
    optimizer = SGDOptimizer([], initial, "adaptive")
    max_rate_reductions = 0
    while not optimizer.trigger_stopping("", verbose=False):
        max_rate_reductions += 1
    rate = LearningRate(initial, "adaptive")
    assert rate.max_rate_reductions == max_rate_reductions
    assert rate.at(50, 1000, max_rate_reductions) == pytest.approx(optimizer.learning_rate, rel=1e-14)
