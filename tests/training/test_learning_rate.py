"""Schedules of learning rates, compared with those of scikit-learn."""

import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from fastlin.training import LearningRate


# Some of these reach 1e-6 except for rounding errors.
@pytest.mark.parametrize("initial", [0.01, 0.015625, 0.003125, 0.000125, 1e-6])
def test_an_adaptive_rate_is_lowered_until_it_is_small(initial):
    optimizer = SGDOptimizer([], initial, "adaptive")
    n_renewals = 0
    while not optimizer.trigger_stopping("", verbose=False):
        n_renewals += 1
    rate = LearningRate(initial, "adaptive")
    assert rate.n_renewals == n_renewals
    assert rate.at(50, 1000, n_renewals) == pytest.approx(optimizer.learning_rate, rel=1e-14)
