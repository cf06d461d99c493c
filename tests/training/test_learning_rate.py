"""The course of learning rates, beside scikit-learn's steps of it."""

import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from fastlin.training import LearningRate


@pytest.mark.parametrize("decay", [1.0, 0.5])
@pytest.mark.parametrize("course", ["constant", "invscaling", "adaptive"])
def test_the_rates_are_those_of_scikit_learn(course, decay):
    theirs = SGDOptimizer([], 0.3, course, power_t=0.7)
    ours = LearningRate(0.3, course, decay, power=0.7)
    n_rows = n_renewed = 0
    for n_epochs in range(12):
        expected = theirs.learning_rate * decay**n_epochs
        assert ours.at(n_epochs, n_rows, n_renewed) == pytest.approx(expected, rel=1e-14)
        n_rows += 40
        theirs.iteration_ends(n_rows)
        if n_epochs % 3 == 2:
            is_stopping = theirs.trigger_stopping("", verbose=False)
            assert is_stopping == (n_renewed >= ours.n_renewals)
            n_renewed += 1


# Some of these come to 1e-6 but for rounding.
@pytest.mark.parametrize("initial", [0.01, 0.015625, 0.003125, 0.000125, 1e-6])
def test_an_adaptive_rate_is_renewed_until_it_is_small(initial):
    theirs = SGDOptimizer([], initial, "adaptive")
    n_renewals = 0
    while not theirs.trigger_stopping("", verbose=False):
        n_renewals += 1
    rate = LearningRate(initial, "adaptive")
    assert rate.n_renewals == n_renewals
    assert rate.at(50, 1000, n_renewals) == pytest.approx(theirs.learning_rate, rel=1e-14)
