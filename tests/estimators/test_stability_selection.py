"""Stability selection compared with a loop of single fits, and its PFER bounds compared with published values."""

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

import fastlin
from fastlin.blocks import from_arrays
from fastlin.estimators import StabilitySelection
from fastlin.estimators.stability_selection import argsort_by_descending_size
from fastlin.kernels.machine.threads import limit_threads

DEFAULT_MODEL = fastlin.LogisticRegression()


def draw_rows(n_rows=150, n_features=12, n_classes=2):
    """Return X and labels that depend on the first three features."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n_rows, n_features))
    scores = X[:, :3] @ [2.0, -1.5, 1.2] + generator.logistic(size=n_rows)
    return X, np.digitize(scores, [-1.0, 1.0][: n_classes - 1])


def rank_features_naively(X, y, weights, Cs, n_selected, seed, number, **parameters):
    """Yield the order in which features enter for each half-sample of a pair, from fits without warm starts."""
    generator = np.random.default_rng((seed, number))
    drawn = [generator.permutation(np.flatnonzero((y == label) & (weights > 0))) for label in np.unique(y)]
    for half in range(2):
        rows = np.sort(
            np.concatenate([indices[half * (len(indices) // 2) :][: len(indices) // 2] for indices in drawn])
        )
        data, order = (X[rows], y[rows], weights[rows]), []
        for C in fastlin.logistic_path(*data[:2], Cs=Cs, sample_weight=data[2], tol=1e-3).Cs:
            coef = fastlin.LogisticRegression(C=C, l1_ratio=1.0, tol=1e-9, **parameters).fit(*data).coef_
            sizes = np.abs(coef).max(axis=0)
            order += [j for j in np.argsort(-sizes) if sizes[j] > 0 and j not in order]
        yield order[:n_selected]


@pytest.mark.parametrize(("n_classes", "Cs"), [(2, [0.05, 0.1, 0.2]), (2, 12), (3, [0.03, 0.06, 0.1])], ids=str)
def test_frequencies_equal_those_of_single_fits_of_the_half_samples(n_classes, Cs):
    X, y = draw_rows(90, 6, n_classes)
    weights = np.random.default_rng(1).integers(0, 4, 90).astype(float)
    # The values of C of the path replace the model's alpha.
    model = fastlin.LogisticRegression(tol=1e-9, fit_intercept=False, alpha=0.3)
    options = {"n_selected": 4, "n_pairs": 3, "Cs": Cs, "random_state": 5}
    selection = fastlin.stability_selection(model, X, y, weights, **options)
    seed, expected = np.random.RandomState(5).randint(np.iinfo(np.int32).max), np.zeros((4, 6))
    for number in range(3):
        for order in rank_features_naively(X, y, weights, Cs, 4, seed, number, fit_intercept=False):
            for rank, j in enumerate(order):
                expected[rank:, j] += 1
    np.testing.assert_array_equal(selection.path, expected / 6)
    assert 0 < selection.path[0].sum() <= 1
    np.testing.assert_array_equal(selection.frequencies, selection.path[-1])


def test_selection_counts_do_not_depend_on_threads_or_later_pairs():
    counts = []
    for n_threads, n_pairs in ((1, 4), (2, 4), (2, 5)):
        with limit_threads(n_threads):
            selection = fastlin.stability_selection(DEFAULT_MODEL, *draw_rows(), n_pairs=n_pairs, random_state=0)
        counts.append(np.rint(2 * n_pairs * selection.path))
    np.testing.assert_array_equal(counts[0], counts[1])
    added = counts[2] - counts[0]
    np.testing.assert_array_equal(added.sum(axis=1), [2, 4, 6])
    assert set(added.ravel()) == {0, 1, 2}


@pytest.mark.parametrize("make", [sparse.csr_array, lambda X: from_arrays(X, rows_per_block=40)])
def test_rows_in_any_container_give_the_same_frequencies(make):
    X, y = draw_rows()
    X[np.abs(X) < 0.7] = 0
    options = {"n_pairs": 2, "random_state": 0, "n_selected": 3}
    model = fastlin.LogisticRegression(tol=1e-8)
    dense, selection = (fastlin.stability_selection(model, rows, y, **options).path for rows in (X, make(X)))
    np.testing.assert_array_equal(selection, dense)


def test_features_without_a_penalty_are_not_selected():
    X, y = draw_rows()
    table = pd.DataFrame(X, columns=[f"feature {j}" for j in range(12)])
    model = fastlin.LogisticRegression(penalty_factors=[0.0, *np.ones(11)]).fit(X, y)
    before = vars(model).copy()
    selection = fastlin.stability_selection(model, table, y, n_selected=2, n_pairs=10, random_state=0)
    assert np.isnan(selection.path[:, 0]).all()
    np.testing.assert_allclose(selection.path[:, 1:].sum(axis=1), [1, 2])
    assert selection.selected(0.6).tolist() == ["feature 1", "feature 2"]
    assert selection.error_bound(1, "none") == pytest.approx(4 / 11)
    assert vars(model) == before


def make_selection(n_selected, n_features):
    return StabilitySelection(np.zeros((n_selected, n_features)), np.arange(n_features), 50)


# The unimodal bounds are from the tests of the R package stabs.
@pytest.mark.parametrize(
    ("selection", "threshold", "unimodal", "none"),
    [
        (make_selection(1, 100), 0.6, 0.02631579, 0.05),
        (make_selection(10, 100), 0.6, 2.631579, 5),
        (make_selection(3, 10), 0.96, 0.1764706, 0.9 / 0.92),
        # The threshold is between two frequencies.
        (make_selection(10, 100), 0.591, 2.631579, 5),
        # The thresholds are 3/4 and 1.
        (make_selection(7, 200), 0.75, 0.245 / 0.98, 0.49),
        (make_selection(7, 200), 1.0, 0.245 * 0.04 / 1.02, 0.245),
        # With a low threshold or a large fraction of features, only the weaker bound is valid.
        (make_selection(5, 10), 0.69, 2.5 / 0.38, 2.5 / 0.38),
        (make_selection(5, 10), 0.7, 2.5 / 0.78, 2.5 / 0.4),
        (make_selection(6, 10), 0.9, 3.6 / 0.8, 3.6 / 0.8),
    ],
)
def test_bounds_equal_the_published_values(selection, threshold, unimodal, none):
    assert selection.error_bound(threshold) == pytest.approx(unimodal, rel=1e-6)
    assert selection.error_bound(threshold, "none") == pytest.approx(none)


def test_half_samples_and_unconverged_fits_are_counted(capsys):
    model = fastlin.LogisticRegression(max_iter=1, tol=1e-12, verbose=1)
    with pytest.warns(ConvergenceWarning, match="of 8 fits stopped") as warned:
        selection = fastlin.stability_selection(model, *draw_rows(), Cs=[0.1, 0.2], n_selected=12, n_pairs=2)
    assert warned[0].filename == __file__
    assert "4/4" in capsys.readouterr().out
    assert repr(selection) == "StabilitySelection(2 pairs of half-samples, each selects 12 of 12 features)"


X, Y = draw_rows()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        *(({"n_selected": value}, "^n_selected must be") for value in (0, 13, 1.5, True)),
        *(({"n_pairs": value}, "^n_pairs must be") for value in (0, -1, 2.0)),
        ({"Cs": []}, "^Cs must be"),
        ({"random_state": "seed"}, "^random_state: "),
        ({"estimator": fastlin.LogisticRegression(tol=-1.0)}, "tol"),
        (
            {"estimator": fastlin.FirthLogisticRegression()},
            "^estimator must be a LogisticRegression of fastlin, got Firth",
        ),
        ({"estimator": fastlin.LogisticRegression(penalty_factors=np.zeros(12))}, "^n_selected must be .* 0"),
        ({"X": np.where(np.arange(12) == 3, np.nan, X)}, "NaN"),
        ({"y": np.arange(150) == 7}, "^y must have at least 2 rows .* in each class.* class True has 1"),
        (
            {"sample_weight": np.where(Y == 1, 0.0, 1.0)},
            "^y must have at least 2 rows .* in each class.* class 1 has 0",
        ),
    ],
    ids=str,
)
def test_invalid_arguments_raise_an_error(changed, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fastlin.stability_selection(**{"estimator": DEFAULT_MODEL, "X": X, "y": Y, **changed})


@pytest.mark.parametrize("threshold", [0.5, 1.01, np.nan, "0.9", None])
def test_a_threshold_must_be_above_one_half(threshold):
    for method in (make_selection(2, 9).selected, make_selection(2, 9).error_bound):
        assert_raises(r"^threshold must be a number above 0\.5 and at most 1", method, threshold)
    assert_raises(r"^assumption must be", make_selection(2, 9).error_bound, 0.9, "r-concave")


def test_equal_coefficients_are_ordered_by_column_in_every_type():
    # Coefficients of binary features are often tied, and rounding would break the ties.
    generator = np.random.default_rng(0)
    rows = generator.integers(0, 2, size=(120, 12)).astype(float)
    y = (rows[:, 0] + rows[:, 1] + generator.logistic(size=120) > 1).astype(int)
    paths = [
        fastlin.stability_selection(fastlin.LogisticRegression(), make(rows), y, n_pairs=25, random_state=0).path
        for make in (np.asarray, np.float32, sparse.csr_matrix)
    ]
    np.testing.assert_array_equal(paths[1], paths[0])
    np.testing.assert_array_equal(paths[2], paths[0])


def test_coefficients_of_nearly_equal_size_keep_their_order():
    sizes = np.array([0.5, 1.0, 0.3, 1.0 + 1e-9, 0.5 + 2e-4])
    np.testing.assert_array_equal(argsort_by_descending_size(sizes, 1e-4), [1, 3, 4, 0, 2])
    np.testing.assert_array_equal(argsort_by_descending_size(sizes, 1e-3), [1, 3, 0, 4, 2])
    np.testing.assert_array_equal(argsort_by_descending_size(sizes[:0], 1e-3), [])
