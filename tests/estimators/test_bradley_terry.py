"""BradleyTerry against closed forms, published and naive fits, and exact refits of its resamples."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils import check_random_state

from fastlin import BradleyTerry
from fastlin.estimators.matches import MatchResampler
from fastlin.exceptions import CollinearityError, ConvergenceWarning, SeparationError
from fastlin.inference.bootstrap import COEF_TOL
from fastlin.kernels.machine.threads import limit_threads

# The estimates are within 1e-6 standard errors of the optimum, and their standard errors have a relative error of 1e-6
# (fastlin/inference/optimum.py).
TOL = 2e-6
# Games of the 1987 season of the American League, Eastern Division (Agresti 2002, table 10.10): wins of the team of the
# row at home, and of the team of the column.
TEAMS = ["Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore"]
GAMES = """
--- 4-3 4-2 4-3 6-1 4-2 6-0
3-3 --- 4-2 4-3 6-0 6-1 4-3
2-5 4-3 --- 2-4 4-3 4-2 6-0
3-3 5-1 2-5 --- 4-3 4-2 6-1
5-1 2-5 3-3 4-2 --- 5-2 6-0
2-5 3-3 3-4 4-3 4-2 --- 2-4
2-5 1-5 1-6 2-4 1-6 3-4 ---
"""
# The summaries of BradleyTerry2 1.0: estimates and standard errors relative to Baltimore, deviance, and the coefficient
# of playing at home.
PUBLISHED = {
    False: (
        [1.1077, 0.6839, 1.4364, 1.5814, 1.2476, 1.2945],
        [0.3339, 0.3319, 0.3396, 0.3433, 0.3359, 0.3367],
        44.053,
        [],
    ),
    True: (
        [1.1438, 0.7047, 1.4754, 1.6196, 1.2813, 1.3271],
        [0.3378, 0.3350, 0.3446, 0.3474, 0.3404, 0.3403],
        38.643,
        [0.3023, 0.1309],
    ),
}
# Winner and loser of each match, and the fits of choix 0.4.1: ilsr_pairwise with alpha=0 and tol=1e-13, opt_pairwise
# with alpha=0.5, method="Newton-CG" and tol=1e-12. Its objective contains alpha times the sum of squares, so that C=1.
PAIRS = """
52 53 43 54 43 41 54 10 40 51 12 35 52 10 42 41 04 41 04 21 24 31 20 41 54 12 53 42 52 53 53 43 35 45 41 40 14 32 42 25
25 51 25 40 52 31 50 01 25 30 20 53 50 52 34 50 14 32 21 53 21 20 32 31 52 50 01 51 52 54 54 01 41 12 20 50 32 41 35 01
"""
CHOIX = {
    np.inf: [-1.011661022154, -1.09799393425, -0.16105663978, 0.715517599212, 0.320308199262, 1.234885797709],
    1.0: [-0.777392935645, -0.888725941493, -0.15703479192, 0.519885475005, 0.282160851076, 1.021107342977],
}


def read_games():
    """Return the games as columns: home team, away team, outcome, and the number of such games."""
    counts = [[cell.split("-") for cell in line.split()] for line in GAMES.split("\n")[1:-1]]
    games = [
        (TEAMS[i], TEAMS[j], outcome, int(counts[i][j][1 - outcome]))
        for i in range(7)
        for j in range(7)
        for outcome in (1, 0)
        if i != j
    ]
    return tuple(map(list, zip(*games, strict=True)))


def make_matches(n_items=6, n_matches=300, seed=0):
    """Return random matches with wins, losses, ties and probabilities, their weights and covariates."""
    generator = np.random.default_rng(seed)
    first = generator.integers(n_items, size=n_matches)
    second = (first + generator.integers(1, n_items, size=n_matches)) % n_items
    outcome = generator.choice([0, 0, 1, 1, 1, 0.5, 0.3], n_matches)
    return first, second, outcome, generator.uniform(0, 3, n_matches), generator.normal(size=(n_matches, 2))


class NaiveFit:
    """Newton's method with dense rows. The pseudoinverse of the Hessian is the covariance of strengths of sum zero."""

    def __init__(self, first, second, outcome, weights=None, covariates=None, C=np.inf, clusters=None):
        items, codes = np.unique([first, second], return_inverse=True)
        n, m = len(first), len(items)
        first, second = codes.reshape(2, n)
        self.X = X = np.hstack(
            [np.eye(m)[first] - np.eye(m)[second], np.zeros((n, 0)) if covariates is None else covariates]
        )
        weights, outcome = np.ones(n) if weights is None else np.asarray(weights), np.asarray(outcome)
        penalty = np.repeat([1 / C, 0], [m, X.shape[1] - m])
        centering = np.eye(X.shape[1])
        centering[:m, :m] -= 1 / m
        coef = np.zeros(X.shape[1])
        for _ in range(50):
            p = 1 / (1 + np.exp(-X @ coef))
            hessian = X.T @ (X * (weights * p * (1 - p))[:, None]) + np.diag(penalty)
            coef = coef - np.linalg.pinv(hessian) @ (X.T @ (weights * (p - outcome)) + penalty * coef)
        inverse = centering @ np.linalg.pinv(hessian) @ centering
        self.strengths, self.covariate_coef, self.covariance = coef[:m], coef[m:], inverse
        if clusters is not None:
            scores = X * (weights * (p - outcome))[:, None]
            sums = np.array([scores[clusters == cluster].sum(axis=0) for cluster in np.unique(clusters)])
            G, q = len(sums), X.shape[1] - 1
            self.covariance = inverse @ sums.T @ sums @ inverse * G / (G - 1) * (n - 1) / (n - q)


def assert_equals_naive_fit(model, naive):
    errors = np.sqrt(np.diagonal(naive.covariance))
    coef = np.concatenate([naive.strengths, naive.covariate_coef])
    assert np.abs(np.concatenate([model.strengths_, model.covariate_coef_]) - coef).max() < TOL * errors.min()
    assert np.abs(model.covariance_ - naive.covariance).max() < TOL * np.outer(errors, errors).max()
    assert abs(model.strengths_.sum()) < 1e-14 * len(coef) * np.abs(coef).max()


def test_two_items_have_a_closed_form():
    model = BradleyTerry().fit(["x"] * 10, ["y"] * 10, [1] * 6 + [0] * 2 + [0.5] * 2)
    # The strengths are plus and minus half the log odds of 7 wins to 3, whose variance is 1/7 + 1/3.
    np.testing.assert_allclose(model.strengths_, np.array([0.5, -0.5]) * np.log(7 / 3), rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(model.covariance_), (1 / 7 + 1 / 3) / 4, rtol=1e-6)
    np.testing.assert_allclose(model.predict_proba(["x", "y", "x"], ["y", "x", "x"]), [0.7, 0.3, 0.5], rtol=1e-12)
    table = model.to_frame(0.9)
    assert table["item"].tolist() == ["x", "y"]
    np.testing.assert_allclose(table["elo"].diff().iloc[1], -400 * np.log10(7 / 3), rtol=1e-12)
    np.testing.assert_allclose(table["elo"].mean(), 1000)
    np.testing.assert_allclose(table["upper"] - table["strength"], 1.6448536269514722 * table["std_error"])
    assert table["wins"].tolist() == [7, 3]
    assert table["matches"].tolist() == [10, 10]
    assert table["rank_lower"].tolist() == [1, 1]


@pytest.mark.parametrize("has_home_advantage", [False, True])
def test_baseball_games_agree_with_published_estimates(has_home_advantage):
    home, away, outcome, n_games = read_games()
    at_home = pd.DataFrame({"at_home": np.ones(len(home))}) if has_home_advantage else None
    model = BradleyTerry().fit(home, away, outcome, n_games, covariates=at_home)
    strengths, std_errors, deviance, home_advantage = PUBLISHED[has_home_advantage]
    # Baltimore is the first item. Differences from Baltimore have the published standard errors.
    assert model.items_.tolist() == sorted(TEAMS)
    differences, V = model.strengths_[1:] - model.strengths_[0], model.covariance_
    variances = np.diagonal(V)[1:7] + V[0, 0] - 2 * V[0, 1:7]
    np.testing.assert_allclose(differences, strengths, atol=5.1e-5)
    np.testing.assert_allclose(np.sqrt(variances), std_errors, atol=5.1e-5)
    estimate = [] if at_home is None else [model.covariate_coef_[0], np.sqrt(V[7, 7])]
    np.testing.assert_allclose(estimate, home_advantage, atol=5.1e-5)
    assert model.covariate_names_ == ["at_home"] * has_home_advantage
    p, wins = model.predict_proba(home, away, at_home)[::2], np.reshape(n_games, (-1, 2))
    fractions = wins / wins.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        residuals = np.where(wins > 0, wins * np.log(fractions / np.column_stack([p, 1 - p])), 0.0)
    np.testing.assert_allclose(2 * residuals.sum(), deviance, atol=5.1e-4)


@pytest.mark.parametrize("C", [np.inf, 1.0])
def test_strengths_agree_with_choix(C):
    winners, losers = np.array([list(map(int, pair)) for pair in PAIRS.split()]).T
    model = BradleyTerry(C=C).fit(winners, losers, np.ones(80))
    np.testing.assert_allclose(model.strengths_, np.array(CHOIX[C]) - np.mean(CHOIX[C]), atol=1e-8)
    assert_equals_naive_fit(model, NaiveFit(winners, losers, np.ones(80), C=C))


@pytest.mark.parametrize("C", [np.inf, 0.7])
@pytest.mark.parametrize("n_covariates", [0, 2])
def test_fits_agree_with_newtons_method(C, n_covariates):
    first, second, outcome, weights, covariates = make_matches()
    covariates = covariates if n_covariates else None
    model = BradleyTerry(C=C).fit(first, second, outcome, weights, covariates=covariates)
    assert_equals_naive_fit(model, NaiveFit(first, second, outcome, weights, covariates, C))
    assert model.converged_
    probabilities = 1 / (
        1
        + np.exp(
            -NaiveFit(first, second, outcome, weights, covariates, C).X
            @ np.concatenate([model.strengths_, model.covariate_coef_])
        )
    )
    np.testing.assert_allclose(model.predict_proba(first, second, covariates), probabilities, rtol=1e-12)
    if C < np.inf:
        assert model.certificate_ < 1e-8 or n_covariates


@pytest.mark.parametrize("C", [np.inf, 0.7])
def test_cluster_robust_errors_agree_with_the_sandwich(C):
    first, second, outcome, weights, covariates = make_matches()
    clusters = np.random.default_rng(1).integers(40, size=len(first))
    model = BradleyTerry(C=C).fit(first, second, outcome, weights, clusters.astype(str), covariates)
    assert_equals_naive_fit(model, NaiveFit(first, second, outcome, weights, covariates, C, clusters))
    # Clusters change only the covariance.
    unclustered = BradleyTerry(C=C).fit(first, second, outcome, weights, covariates=covariates)
    np.testing.assert_allclose(model.strengths_, unclustered.strengths_, atol=1e-8)
    assert np.abs(model.covariance_ - unclustered.covariance_).max() > 1e-3


def test_the_order_of_matches_and_of_items_does_not_matter():
    first, second, outcome, _, _ = make_matches()
    outcome = np.where(outcome == 0.3, 0.0, outcome)
    model = BradleyTerry().fit(first, second, outcome)
    order, swaps = np.random.default_rng(2).permutation(300), np.random.default_rng(3).random(300) < 0.5
    shuffled = BradleyTerry().fit(
        np.where(swaps, second, first)[order],
        np.where(swaps, first, second)[order],
        np.where(swaps, 1 - outcome, outcome)[order],
    )
    np.testing.assert_array_equal(shuffled.strengths_, model.strengths_)
    np.testing.assert_array_equal(shuffled.covariance_, model.covariance_)
    # Weights are numbers of matches, and a match of weight zero is no match, even if its items have no other.
    weights = np.random.default_rng(4).integers(0, 4, 300)
    weighted = BradleyTerry().fit(
        np.append(first, 98), np.append(second, 99), np.append(outcome, 1), np.append(weights, 0)
    )
    repeated = BradleyTerry().fit(*(np.repeat(column, weights) for column in (first, second, outcome)))
    np.testing.assert_allclose(weighted.strengths_, repeated.strengths_, atol=1e-8)
    np.testing.assert_allclose(weighted.covariance_, repeated.covariance_, atol=1e-7)
    assert weighted.items_.tolist() == list(range(6))


def test_rank_ranges_count_separated_intervals():
    first, second, outcome, _, _ = make_matches(n_items=12, n_matches=3000)
    outcome = np.where(np.random.default_rng(5).random(3000) < 1 / (1 + np.exp((first - second) / 6)), 0, 1)
    table = BradleyTerry().fit(first, second, outcome).to_frame()
    assert (np.diff(table["strength"]) < 0).all()
    ranges = [(1 + sum(table["lower"] > row.upper), 12 - sum(table["upper"] < row.lower)) for row in table.itertuples()]
    assert list(zip(table["rank_lower"], table["rank_upper"], strict=True)) == ranges
    assert table["rank"].tolist() == list(range(1, 13))
    assert ranges[0][1] < 12
    assert (table["rank_lower"] < table["rank_upper"]).any()


@pytest.mark.parametrize("C", [np.inf, 0.7])
def test_the_bootstrap_equals_exact_refits(C):
    first, second, outcome, weights, _ = make_matches()
    model = BradleyTerry(C=C).fit(first, second, outcome, weights.round())
    strengths = model.bootstrap(20, random_state=3)
    assert strengths.shape == (20, 6)
    assert np.abs(strengths.sum(axis=1)).max() < 1e-13
    matches, errors = model._matches, np.sqrt(np.diagonal(model.covariance_))
    resampler = MatchResampler(matches, check_random_state(3).randint(np.iinfo(np.int32).max), 1.0, C == np.inf)
    for number in range(20):
        row_weights = next(resampler.generate_weights(number))
        refit = BradleyTerry(C=C).fit(matches.winners, matches.losers, np.ones(len(row_weights)), row_weights)
        # A standard error of the refit may be larger than that of the fit.
        assert (np.abs(strengths[number] - refit.strengths_) < 2 * COEF_TOL * errors).all()
    with limit_threads(1):
        np.testing.assert_array_equal(model.bootstrap(10, random_state=3), strengths[:10])


def test_the_bootstrap_draws_matches_or_clusters():
    # Each match is drawn on its own, as a cluster, or as a cluster with a copy: the estimates have one distribution.
    first, second, outcome, _, _ = make_matches(n_matches=600)
    outcome = (outcome > 0.4).astype(float)
    merged = BradleyTerry().fit(first, second, outcome)
    separate = BradleyTerry().fit(first, second, outcome, clusters=np.arange(600))
    pairs = BradleyTerry().fit(
        np.tile(first, 2), np.tile(second, 2), np.tile(outcome, 2), clusters=np.tile(np.arange(600), 2)
    )
    errors = np.sqrt(np.diagonal(merged.covariance_))
    for model in (merged, separate, pairs):
        bootstrap_errors = model.bootstrap(400, random_state=0).std(axis=0)
        # The relative standard error of a standard deviation of 400 numbers is 1 / sqrt(800) = 0.035.
        np.testing.assert_allclose(bootstrap_errors, errors, rtol=0.15)
    # In a resample of clusters, the matches of a cluster have the same count.
    seed = check_random_state(0).randint(np.iinfo(np.int32).max)
    counts = np.random.default_rng((seed, 0)).multinomial(600, np.full(600, 1 / 600))
    refit = BradleyTerry().fit(first, second, outcome, counts)
    assert (np.abs(pairs.bootstrap(2, random_state=0)[0] - refit.strengths_) < 2 * COEF_TOL * errors).all()


def test_integer_weights_are_numbers_of_matches():
    # 60 wins and 40 losses between two items: strengths of plus and minus half the log odds.
    summed = BradleyTerry().fit(["a", "b"], ["b", "a"], [1, 1], sample_weight=[60, 40])
    repeated = BradleyTerry().fit(["a"] * 100, ["b"] * 100, [1] * 60 + [0] * 40)
    np.testing.assert_array_equal(summed.bootstrap(400, random_state=0), repeated.bootstrap(400, random_state=0))
    std_error = np.sqrt(1 / 60 + 1 / 40) / 2
    # The relative standard error of a standard deviation of 400 numbers is 1 / sqrt(800) = 0.035.
    assert summed.bootstrap(400, random_state=0)[:, 0].std() == pytest.approx(std_error, rel=0.15)
    # A match of weight 3 in a cluster is the same as three matches in this cluster, and is drawn with the cluster.
    first, second, outcome, _, _ = make_matches(n_matches=120)
    clusters = np.arange(120) // 2
    weighted = BradleyTerry().fit(first, second, outcome, np.full(120, 3), clusters=clusters)
    tripled = BradleyTerry().fit(
        *(np.tile(values, 3) for values in (first, second, outcome)), None, np.tile(clusters, 3)
    )
    np.testing.assert_allclose(weighted.covariance_, tripled.covariance_, rtol=1e-9, atol=1e-12)
    errors = np.sqrt(np.diagonal(weighted.covariance_))
    differences = weighted.bootstrap(3, random_state=0) - tripled.bootstrap(3, random_state=0)
    assert (np.abs(differences) < 2 * COEF_TOL * errors).all()


def test_large_integer_items_are_exact():
    items = np.array([5, 2**63 + 1, 2**63 + 3], np.uint64)
    model = BradleyTerry(C=1.0).fit(items[[0, 1, 2]], items[[1, 2, 0]], [1, 1, 1])
    assert model.items_.tolist() == items.tolist()
    assert model.predict_proba([2**63 + 1], [2**63 + 3]).shape == (1,)


def test_resamples_without_estimates_are_drawn_again():
    first, second, outcome = ["a"] * 4 + ["b"] * 4, ["b"] * 4 + ["c"] * 4, [1, 1, 1, 0] * 2
    model = BradleyTerry().fit(first, second, outcome)
    with pytest.warns(
        ConvergenceWarning, match=r"^\d+ resamples without finite strengths were drawn again, and 0 of 50"
    ):
        strengths = model.bootstrap(50, random_state=0)
    assert np.isfinite(strengths).all()
    assert np.abs(strengths).max() < 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(BradleyTerry(C=1).fit(first, second, outcome).bootstrap(50, random_state=0)).all()
    # With two clusters, each of which has only one kind of outcome, every resample of one cluster lacks an estimate.
    one_way = BradleyTerry().fit(["a"] * 2, ["b"] * 2, [1, 0], clusters=[0, 1])
    with pytest.warns(ConvergenceWarning, match="drawn again"):
        np.testing.assert_allclose(one_way.bootstrap(5, random_state=0), 0, atol=1e-6)


def test_a_penalty_permits_items_that_won_every_match():
    # Without rows of both labels, a logistic regression would have a single class.
    model = BradleyTerry(C=1.0).fit(["a"], ["b"], [1])
    (strength, other), C = model.strengths_, 1.0
    assert other == -strength
    np.testing.assert_allclose(strength / C, 1 / (1 + np.exp(2 * strength)), rtol=1e-9)
    np.testing.assert_array_equal(
        model.bootstrap(3, random_state=0), np.tile(model.bootstrap(2, random_state=1)[:1], (3, 1))
    )
    disconnected = BradleyTerry(C=1.0).fit(["a", "c"], ["b", "d"], [1, 0])
    np.testing.assert_allclose(disconnected.strengths_, [strength, -strength, -strength, strength], atol=1e-8)


def test_missing_estimates_name_the_items():
    for arguments, message in [
        ((["a", "b", "c"], ["b", "c", "b"], [1, 1, 1]), "'a' never lost against the other 2 items"),
        ((["a", "b", "c"], ["b", "c", "b"], [0, 1, 1]), "'a' never won against the other 2 items"),
        ((["a", "a", "c", "c"], ["b", "b", "d", "d"], [1, 0, 1, 0]), "no match between '[ac]', '[bd]' and the other 2"),
        ((["a", "b"], ["b", "a"], [1, 0]), "'a' never lost against the other item"),
        (([f"{i:02}" for i in range(9)], ["x"] * 9, [1] * 9), "'x' never won against the other 9 items"),
        (
            ([0, 1, 2, 3, 4, 5, 9, 9], [1, 2, 3, 4, 5, 0, 10, 11], [1] * 8),
            r"no match between 9, 10, 11 and the other 6 items.* BradleyTerry\(C=1\.0\)",
        ),
    ]:
        with pytest.raises(SeparationError, match=f"^No finite strengths exist: .*{message}"):
            BradleyTerry().fit(*arguments)
    first, second = ["a", "b", "b", "c", "c", "a"], ["b", "a", "c", "b", "a", "c"]
    for C in (np.inf, 1.0):
        with pytest.raises(SeparationError, match="The covariates home have no finite coefficients"):
            BradleyTerry(C=C).fit(first, second, [1] * 6, covariates=pd.DataFrame({"home": [1] * 6}))
    first, second, outcome, _, covariates = make_matches()
    with pytest.raises(CollinearityError, match="x1 = 2 x0"):
        BradleyTerry().fit(first, second, outcome, covariates=covariates[:, :1] * [1, 2])


def test_invalid_arguments_raise_an_error_and_keep_the_fit():
    first, second, outcome = ["a", "b", "c"], ["b", "c", "a"], [1, 1, 1]
    model = BradleyTerry().fit(first, second, outcome)
    strengths = model.strengths_
    for arguments, message in [
        ({"first": ["a", "b"]}, "inconsistent numbers of samples: .* lengths .2, 3, 3"),
        ({"second": ["b", "b", "a"]}, "Match 1 is between b and itself"),
        ({"outcome": [1, np.nan, 1]}, "outcome must .* got nan in match 1"),
        ({"outcome": [1, 2, 1]}, "outcome must contain one number from 0 to 1 .* got 2.0 in match 1"),
        ({"outcome": ["win", "loss", "win"]}, "outcome must contain one number"),
        ({"outcome": [[1], [1], [1]]}, "outcome must contain one number"),
        ({"first": ["a", None, "c"]}, "must not contain None or NaN"),
        ({"first": [1, "b", "c"]}, "items of one type that can be sorted, got int and str"),
        ({"first": [["a"], ["b"], ["c"]]}, r"first must contain one item per match, .* got shape \(3, 1\)"),
        ({"first": [], "second": [], "outcome": []}, "At least one match with a positive weight is required, got 0"),
        (
            {"sample_weight": [0, 0, 0]},
            "Sample weights must contain at least one non-zero number|positive weight is required",
        ),
        ({"sample_weight": [1, -1, 0]}, "[Nn]egative"),
        ({"sample_weight": [1, 1]}, "sample_weight"),
        ({"clusters": [1, 1, 1]}, "clusters must have at least two different values"),
        ({"clusters": [1, 2]}, "clusters must hold one entry per row"),
        ({"outcome": [0.5, 0.5, 0.5], "sample_weight": [1, 1, 0], "clusters": [1, 2, 2]}, "got 2 matches and 2 param"),
        ({"covariates": [1, 2, 3]}, "covariates: Expected 2D array, got 1D array"),
        ({"covariates": [[1], [2]]}, "covariates must have one row per match, 3, got 2 rows"),
        ({"covariates": [[1], [np.inf], [3]]}, "covariates contains infinity"),
        ({"covariates": [["x"], ["y"], ["z"]]}, "covariates: could not convert string to float"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            model.fit(**{"first": first, "second": second, "outcome": outcome, **arguments})
        assert model.strengths_ is strengths
    with pytest.raises(ValueError, match="'C' parameter of BradleyTerry must be"):
        BradleyTerry(C=0).fit(first, second, outcome)
    teams = BradleyTerry().fit(["Boston", "Detroit"] * 2, ["Detroit", "Boston"] * 2, [1, 1, 0, 1])
    named = BradleyTerry(C=1).fit(first, second, [1, 0, 1], covariates=pd.DataFrame({"home": [-1, -2, 0.5]}))
    home = np.array([[1], [2], [3]])
    expected = named.predict_proba(first, second, pd.DataFrame({"home": home[:, 0]}))
    np.testing.assert_array_equal(named.predict_proba(first, second, home), expected)
    for call, message in [
        (lambda: teams.predict_proba(["Bostn"], ["Detroit"]), "first .* 'Bostn' in match 0.* Did you mean 'Boston'?"),
        (lambda: teams.predict_proba(["Boston"], ["Detroit"] * 2), "one entry per match, got 1 and 2"),
        (
            lambda: teams.predict_proba(["Boston"], ["Detroit"], [[1.0]]),
            r"covariates must have the 0 columns of the fit, got shape \(1, 1\). Set covariates=None",
        ),
        (
            lambda: named.predict_proba(first, second, pd.DataFrame({"away": [1, 2, 3]})),
            "columns of the fit, got the columns .'away'.*Pass the columns .'home'",
        ),
        (lambda: teams.bootstrap(1), "n_resamples"),
        (lambda: teams.to_frame(95), "level must be between 0 and 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_the_estimator_follows_the_conventions_of_scikit_learn():
    model = BradleyTerry(C=3.0)
    assert model.get_params() == {"C": 3.0}
    assert clone(model).set_params(C=np.inf).C == np.inf
    first, second, outcome, _, _ = make_matches()
    copy = pickle.loads(pickle.dumps(model.fit(pd.Series(first), pd.Series(second), pd.Series(outcome))))
    # The bootstrap uses the C of the fit.
    resampled_strengths = model.bootstrap(3, random_state=0)
    np.testing.assert_array_equal(copy.set_params(C=np.inf).bootstrap(3, random_state=0), resampled_strengths)
    assert not hasattr(clone(model), "strengths_")


@pytest.mark.thorough
def test_many_items_have_no_covariance_but_strengths():
    generator = np.random.default_rng(0)
    first = generator.integers(5000, size=100_000)
    second = (first + generator.integers(1, 5000, size=100_000)) % 5000
    model = BradleyTerry().fit(first, second, generator.integers(2, size=100_000))
    assert model.covariance_ is None
    wins, n_matches = model._matches.sum_wins_and_matches()
    # At the maximum, the expected number of wins of each item is its number of wins.
    p = model.predict_proba(first, second)
    expected_wins = np.bincount(first, p, 5000) + np.bincount(second, 1 - p, 5000)
    assert (np.abs(expected_wins - wins) < 0.01 * np.sqrt(n_matches)).all()
    with pytest.raises(ValueError, match="4,096 parameters, but the model has 5,000"):
        model.to_frame()
