"""How often 95 % intervals cover the true values, over many draws of rows."""

import warnings

import numpy as np
import pytest

from fastlin import LogisticRegression

# The draws are the same in each run. The part that is covered has a standard deviation of sqrt(0.95 * 0.05 / draws).
DRAWS = [pytest.param(300, marks=pytest.mark.thorough), pytest.param(2000, marks=pytest.mark.slow)]


def allow(n_draws):
    """Return by how far from 0.95 the part may be: 1 % of 2,000 draws, four deviations of fewer."""
    return 0.01 if n_draws >= 2000 else 4 * np.sqrt(0.95 * 0.05 / n_draws)


def draw_labels(generator, scores):
    return (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)


def count_covered(draw, truth, n_draws, **options):
    """Return the part of the intervals that cover the truth (K', p), for each of the coefficients."""
    covered = np.zeros(truth.shape)
    for seed in range(n_draws):
        X, y, more = draw(np.random.default_rng(seed))
        with warnings.catch_warnings():
            # The optimum is what counts.
            warnings.simplefilter("ignore")
            found = LogisticRegression(C=np.inf, tol=1e-8).fit(X, y).inference(X, y, **more, **options)
        ends = found.conf_int()
        covered += (ends[..., 0] <= truth) & (truth <= ends[..., 1])
    return covered / n_draws


@pytest.mark.parametrize("n_draws", DRAWS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_intervals_cover_the_truth_as_often_as_they_say(n_draws, n_classes):
    truth = np.array([[0.5, -0.3, 0.2], [-0.2, 0.4, -0.1]])[: n_classes - 1]

    def draw(generator):
        X = generator.normal(size=(500, 2))
        scores = np.column_stack([np.zeros(500), np.column_stack([X, np.ones(500)]) @ truth.T])
        return X, draw_labels(generator, scores), {}

    for options in ({}, {"covariance": "HC0"}):
        part = count_covered(draw, truth, n_draws, **options)
        assert np.abs(part - 0.95).max() <= allow(n_draws)


@pytest.mark.parametrize("n_draws", DRAWS)
def test_intervals_by_clusters_cover_where_those_of_the_model_do_not(n_draws):
    n_clusters, size = 120, 8
    clusters = np.repeat(np.arange(n_clusters), size)
    # Rows of a cluster share a column, and a fate: a part of them has the label of the first. Probabilities of single
    # rows are those of the model all the same.
    truth = np.array([[0.6, -0.3, 0.2]])

    def draw(generator):
        shared = np.repeat(generator.normal(size=n_clusters), size)
        X = np.column_stack([shared, generator.normal(size=n_clusters * size)])
        scores = X @ truth[0, :2] + truth[0, 2]
        own, common = generator.uniform(size=n_clusters * size), np.repeat(generator.uniform(size=n_clusters), size)
        levels = np.where(generator.uniform(size=n_clusters * size) < 0.5, common, own)
        return X, (levels < 1 / (1 + np.exp(-scores))).astype(int), {}

    def draw_clustered(generator):
        X, y, _ = draw(generator)
        return X, y, {"clusters": clusters, "covariance": "cluster", "use_t": True}

    robust = count_covered(draw_clustered, truth, n_draws)
    assert np.abs(robust - 0.95).max() <= allow(n_draws)
    of_the_model = count_covered(draw, truth, min(n_draws, 300))
    # The shared column and the intercept.
    assert of_the_model[0, [0, 2]].max() < 0.9
