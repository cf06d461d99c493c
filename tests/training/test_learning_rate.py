"""The course of learning rates, beside scikit-learn's steps of it."""

import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from fastlin.training import LearningRate, Patience


@pytest.mark.parametrize("course", ["constant", "invscaling", "adaptive"])
def test_the_rates_are_those_of_scikit_learn(course):
    theirs = SGDOptimizer([], 0.3, course, power_t=0.7)
    ours = LearningRate(0.3, course, power=0.7)
    n_rows = n_renewed = 0
    for n_epochs in range(12):
        assert ours.at(n_epochs, n_rows, n_renewed) == pytest.approx(theirs.learning_rate, rel=1e-14)
        n_rows += 40
        theirs.iteration_ends(n_rows)
        if n_epochs % 3 == 2:
            is_stopping = theirs.trigger_stopping("", verbose=False)
            assert is_stopping == (n_renewed >= ours.n_renewals)
            n_renewed += 1


# Some of these come to 1e-6 but for rounding.
@pytest.mark.parametrize("initial", [0.01, 0.015625, 0.003125, 0.000125, 1e-6])
def test_an_adaptive_rate_renews_the_patience_until_it_is_small(initial):
    theirs = SGDOptimizer([], initial, "adaptive")
    n_renewals = 0
    while not theirs.trigger_stopping("", verbose=False):
        n_renewals += 1
    rate = LearningRate(initial, "adaptive")
    assert rate.n_renewals == n_renewals
    assert rate.at(50, 1000, n_renewals) == pytest.approx(theirs.learning_rate, rel=1e-14)
    patience = Patience(lambda record: -record, n_allowed=2, tol=0.0, n_renewals=2)
    seen = []
    for _ in range(12):
        patience = patience.after(1.0 + len(seen))
        seen.append((patience.n_renewed, patience.n_worse, patience.is_exhausted))
    # The first record is the best; every third after that would end the training.
    n_renewed, n_worse, is_exhausted = zip(*seen[:7], strict=True)
    assert (n_renewed, n_worse) == ((0, 0, 0, 1, 1, 1, 2), (0, 1, 2, 0, 1, 2, 0))
    assert not any(is_exhausted)
    assert seen[9] == (2, 3, True)


def test_every_course_decays():
    for course in ("constant", "adaptive"):
        plain, decayed = LearningRate(0.2, course), LearningRate(0.2, course, decay=0.5)
        assert decayed.at(3, 30) == pytest.approx(plain.at(3, 30) / 8, rel=1e-14)
