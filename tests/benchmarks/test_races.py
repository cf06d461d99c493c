"""Races of fits: which peers count, who judges, and what is skipped."""

from dataclasses import replace

import naive
import numpy as np
import pytest
from scipy.sparse import issparse

from benchmarks import races
from benchmarks.fits import fit_scikit_learn, fit_scikit_learn_to_pixels
from benchmarks.races import Outcome, Race, make_problem, pose, run_race
from benchmarks.sparse_data import make_text
from fastlin.studies.contenders import Problem


def make_small_problem(X, C=1.0):
    y = np.random.default_rng(1).integers(0, 3, len(X))
    return Problem("small", X, y, 3, C, fit_intercept=True)


def test_the_peer_on_scaled_pixels_has_the_same_objective():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4), np.uint8)
    problem = make_small_problem(pixels, C=1 / 255**2)
    coef, intercept = fit_scikit_learn_to_pixels(problem, 1)
    scaled = make_small_problem(pixels / 255.0)
    assert problem.objective(coef, intercept) == pytest.approx(scaled.objective(255 * coef, intercept), rel=1e-12)
    assert problem.objective(coef, intercept) == pytest.approx(
        scaled.objective(*fit_scikit_learn(scaled, 1, "lbfgs")), rel=1e-12
    )


def test_a_race_leaves_out_peers_that_miss_the_objective(monkeypatch):
    # The rest between fits steadies times, which no test looks at.
    monkeypatch.setattr(races, "PAUSE", 0.0)
    problem = make_small_problem(np.random.default_rng(0).normal(size=(60, 4)))

    def give_up(problem, threads):
        return np.zeros((problem.n_classes, problem.X.shape[1])), np.zeros(problem.n_classes)

    def finish(problem, threads):
        return fit_scikit_learn(problem, threads, "newton-cholesky", tol=1e-8)

    race = Race("small", None, {"gives up": give_up, "finishes": finish}, 1.0, tol=1e-8, within=1e-6, rounds=2)
    outcome = run_race(race, problem, 1)
    assert outcome.peer == "finishes"
    assert outcome.seconds.keys() == {"fastlin", "finishes"}
    assert outcome.counts
    assert outcome.ratio == outcome.seconds["finishes"] / outcome.seconds["fastlin"]
    outcome = run_race(Race("small", None, {"gives up": give_up}, 1.0, tol=1e-8), problem, 1)
    assert outcome.relative_gap < 0


def test_a_race_of_many_fits_counts_only_where_each_reaches_the_peer():
    outcome = Outcome(1, "peer", True, {}, {"fastlin": np.array([0.5, 0.2]), "peer": np.array([0.9, 0.2 / (1 + 1e-5)])})
    assert outcome.relative_gap == pytest.approx(1e-5)
    assert not outcome.counts


def test_a_race_whose_peer_is_not_installed_is_skipped():
    with pytest.raises(NotImplementedError, match="no_such_library is not installed"):
        make_problem(Race("small", None, {}, 1.0, package="no_such_library"))


def evaluate_plainly(problem, coef, intercept):
    """Return J by plain loops over the dense rows."""
    rows = problem.X.toarray() if issparse(problem.X) else problem.X
    loss, _, _ = naive.loss_and_gradient(rows, problem.y, np.ones(len(rows)), coef, intercept)
    total = loss / len(rows)
    for value in coef.ravel():
        total += (1 - problem.l1_ratio) / (problem.C * len(rows)) * value**2 / 2
        total += problem.l1_ratio / (problem.C * len(rows)) * abs(value)
    return total


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
def test_the_judge_is_the_formula(n_classes, l1_ratio):
    generator = np.random.default_rng(0)
    labels = np.array(["a", "b", "c"])[np.arange(40) % n_classes]
    sparse = make_text(40, 500, 10, n_classes).X_train[:, :30]
    problem = pose("small", sparse, labels, 0.3, l1_ratio=l1_ratio)
    coef, intercept = generator.normal(size=(problem.n_rows_coef, 30)), generator.normal(size=problem.n_rows_coef)
    expected = evaluate_plainly(problem, coef, intercept)
    assert problem.objective(coef, intercept) == pytest.approx(expected, rel=1e-13)
    dense = replace(problem, X=sparse.toarray())
    assert dense.objective(coef, intercept) == pytest.approx(expected, rel=1e-13)
    scores = sparse.toarray() @ coef.T + intercept
    predicted = scores[:, 0] > 0 if n_classes == 2 else scores.argmax(axis=1)
    assert problem.accuracy(coef, intercept) == dense.accuracy(coef, intercept) == np.mean(predicted == problem.y)
