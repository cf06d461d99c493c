"""The course of learning rates, beside scikit-learn's steps of it."""

import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from fastlin.training import LearningRate


# Some of these come to 1e-6 but for rounding.
@pytest.mark.parametrize("initial", [0.01, 0.015625, 0.003125, 0.000125, 1e-6])
def test_an_adaptive_rate_is_lowered_until_it_is_small(initial):
    theirs = SGDOptimizer([], initial, "adaptive")
    n_renewals = 0
    while not theirs.trigger_stopping("", verbose=False):
        n_renewals += 1
    rate = LearningRate(initial, "adaptive")
    assert rate.n_renewals == n_renewals
    assert rate.at(50, 1000, n_renewals) == pytest.approx(theirs.learning_rate, rel=1e-14)
