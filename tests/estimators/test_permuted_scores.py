"""Ties of permutation tests, compared with an enumeration of all 2 x 2 tables of permuted data."""

from functools import cache
from itertools import product
from math import comb, log

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from fastlin.estimators.batched_fits import FitTask, fit_tasks
from fastlin.estimators.permuted_scores import find_first_equal_rows

# The reference runs Newton's method down to rounding error. Distinct scores of the tables differ by more.
SCORE_TOL = 1e-9
N_PERMUTATIONS = 400


def make_rows(first, second):
    """Return a binary column that distinguishes two groups, and labels. A group is a pair (number of ones, rows)."""
    groups = [np.arange(n) < k for k, n in (first, second)]
    return np.repeat([1.0, 0.0], [first[1], second[1]])[:, None], np.concatenate(groups).astype(np.int64)


@cache
def solve(ones, sizes, C):
    """Return the decision values for x = 0 and x = 1 at the minimum, from the numbers of ones and of rows."""
    ones, sizes, l2 = np.array(ones, float), np.array(sizes, float), 1 / C
    W, b = 0.0, log(ones.sum() / (sizes - ones).sum())
    for _ in range(200):
        p = 1 / (1 + np.exp(-np.array([b, b + W])))
        residuals, curvatures = sizes * p - ones, sizes * p * (1 - p)
        gradient = np.array([residuals[1] + l2 * W, residuals.sum()])
        hessian = np.array([[curvatures[1] + l2, curvatures[1]], [curvatures[1], curvatures.sum()]])
        step = np.linalg.solve(hessian, gradient)
        # Far from the minimum, the steps of damped Newton are shorter than 1/3 (Nesterov 1994).
        step /= 1 + np.abs(step).max() if np.abs(step).max() > 0.5 else 1
        W, b = W - step[0], b - step[1]
    decisions = np.array([b, b + W])
    return np.where(np.abs(decisions) < SCORE_TOL, 0.0, decisions)


def compute_exact_score(cells, scoring, C):
    """Return the exact score. `cells` has shape (n_folds, 2, 2): counts of test rows per fold, label and value of x."""
    folds = []
    for test in cells:
        train = cells.sum(axis=0) - (0 if scoring == "likelihood_ratio" else test)
        decisions = solve(tuple(train[1]), tuple(train.sum(axis=0)), C)
        if scoring == "accuracy":
            right = np.array([decisions <= 0, decisions > 0])
        else:
            right = -np.logaddexp(0, [decisions, -decisions])
        folds.append((test * right).sum() / test.sum())
    if scoring != "likelihood_ratio":
        return np.mean(folds)
    fractions = cells.sum(axis=(0, 2)) / cells.sum()
    return 2 * cells.sum() * (folds[0] - fractions @ np.log(fractions))


def enumerate_tables(x, y, folds, scoring, C):
    """Return the score of the data, and the scores and probabilities of all tables of permuted rows."""
    sizes = np.array([np.bincount(y[fold], minlength=2) for fold in folds])
    observed = np.array([[np.bincount(x[fold][y[fold] == k], minlength=2) for k in (0, 1)] for fold in folds])
    scores, weights = [], []
    for ones in product(*(range(size + 1) for size in sizes.ravel())):
        if sum(ones) == x.sum():
            table = np.array(ones).reshape(sizes.shape)
            scores.append(compute_exact_score(np.stack([sizes - table, table], axis=2), scoring, C))
            weights.append(np.prod([comb(int(size), one) for size, one in zip(sizes.ravel(), ones, strict=True)]))
    return compute_exact_score(observed, scoring, C), np.array(scores), np.array(weights) / comb(len(x), int(x.sum()))


@pytest.mark.parametrize(
    ("table", "C", "expected"),
    [(((8, 11), (3, 11)), 1.0, 0.086), (((6, 10), (4, 10)), 1.0, 0.656), (((4, 7), (3, 6)), 1e4, None)],
)
@pytest.mark.parametrize("scoring", ["likelihood_ratio", "accuracy", "neg_log_loss"])
def test_equal_and_mirrored_tables_have_equal_scores(table, C, expected, scoring):
    X, y = make_rows(*table)
    for seed, make in enumerate((np.asarray, np.float32, sparse.csr_matrix)):
        # Permute the rows.
        order = np.random.default_rng(seed).permutation(len(y))
        X, y = X[order], y[order]
        rows = np.arange(len(y))
        cv = (
            None
            if scoring == "likelihood_ratio"
            else [(rows[k % 2 != rows % 2], rows[k % 2 == rows % 2]) for k in (0, 1)]
        )
        folds = [rows] if cv is None else [test for _, test in cv]
        observed, scores, weights = enumerate_tables(X[:, 0].astype(int), y, folds, scoring, C)
        actual = fastlin.permutation_test(
            fastlin.LogisticRegression(C=C),
            make(X),
            y,
            scoring=scoring,
            cv=cv,
            n_permutations=N_PERMUTATIONS,
            random_state=seed,
        )
        nearest_scores = scores[np.abs(actual.permutation_scores[:, None] - scores).argmin(axis=1)]
        np.testing.assert_allclose(actual.score, observed, rtol=1e-6)
        np.testing.assert_allclose(actual.permutation_scores, nearest_scores, rtol=1e-6, atol=1e-6)
        is_tied = np.abs(nearest_scores - observed) <= SCORE_TOL
        assert is_tied.any()
        np.testing.assert_array_equal(actual.permutation_scores == actual.score, is_tied)
        np.testing.assert_array_equal(actual.permutation_scores > actual.score, ~is_tied & (nearest_scores > observed))
        exact = weights[scores >= observed - SCORE_TOL].sum()
        if scoring == "likelihood_ratio" and expected is not None:
            assert round(exact, 3) == expected
        # Five standard deviations of the estimate, plus the additional permutation in the p-value.
        deviation = 5 * np.sqrt(exact * (1 - exact) / N_PERMUTATIONS)
        np.testing.assert_allclose(actual.p_value, exact, rtol=0, atol=deviation + 1 / N_PERMUTATIONS)


@pytest.mark.parametrize(
    ("model", "table", "scoring"),
    [
        (fastlin.LogisticRegression(class_weight="balanced"), ((8, 11), (3, 11)), "neg_log_loss"),
        (fastlin.LogisticRegression(class_weight={0: 1, 1: 2}), ((8, 11), (3, 11)), "likelihood_ratio"),
        (fastlin.LogisticRegression(), ((8, 11), (3, 11)), "neg_brier_score"),
        (fastlin.FirthLogisticRegression(), ((7, 10), (3, 10)), "neg_brier_score"),
    ],
)
def test_float32_scores_have_the_ties_of_float64_scores(model, table, scoring):
    X, y = make_rows(*table)
    rows = np.arange(len(y))
    cv = None if scoring == "likelihood_ratio" else [(rows, rows)]
    options = {"scoring": scoring, "cv": cv, "n_permutations": 99, "random_state": 0}
    narrow = X.astype(np.float32)
    dataframe = pd.DataFrame({"a": narrow[:, 0]})
    expected, *others = (
        fastlin.permutation_test(model, data, y, **options) for data in (X, narrow, sparse.csr_array(narrow), dataframe)
    )
    assert (expected.permutation_scores == expected.score).any()
    for actual in others:
        np.testing.assert_array_equal(
            actual.permutation_scores == actual.score, expected.permutation_scores == expected.score
        )
        assert actual.p_value == expected.p_value


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_different_data_have_different_scores_with_any_solver():
    # Continuous columns have no ties, but a certificate of 1e-2 could not separate the scores.
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 5))
    y = (X[:, 0] + generator.logistic(size=200) > 0).astype(int)
    for scoring in ("neg_log_loss", "likelihood_ratio"):
        others = {"solver": "lbfgs"}, {"solver": "saga", "tol": 1e-2}, {"solver": "liblinear", "dual": True}
        for parameters in ({}, *others, {"max_iter": 1}):
            model = fastlin.LogisticRegression(**parameters)
            actual = fastlin.permutation_test(model, X, y, scoring=scoring, n_permutations=20, random_state=0)
            assert not (actual.permutation_scores == actual.score).any()


@pytest.mark.parametrize("counts", [((8, 11), (3, 11)), ((2, 6), (3, 6), (5, 6))])
def test_unpenalized_likelihood_ratios_have_the_ties_of_contingency_tables(counts):
    # The model is saturated, so the likelihood ratio is twice the sum of O log(O / E) over the cells (G-test).
    # The table with the two values of x swapped has the same ratio.
    sizes, ones = np.array([n for _, n in counts]), np.array([k for k, _ in counts])
    x = np.concatenate([np.arange(n) < k for k, n in counts]).astype(float)
    y = np.repeat(np.arange(len(counts)), sizes)
    tables = [table for table in product(*(range(n + 1) for n in sizes)) if sum(table) == ones.sum()]

    def measure(table):
        cells = np.array([table, sizes - np.array(table)], dtype=float)
        expected = np.outer(cells.sum(axis=1), sizes) / sizes.sum()
        return 2 * np.sum(cells * np.log(np.where(cells > 0, cells, 1) / expected))

    scores, observed = np.array([measure(table) for table in tables]), measure(ones)
    model = fastlin.LogisticRegression(C=np.inf)
    options = {"scoring": "likelihood_ratio", "n_permutations": 150, "random_state": 0}
    actual = fastlin.permutation_test(model, x[:, None], y, **options)
    nearest_scores = scores[np.abs(actual.permutation_scores[:, None] - scores).argmin(axis=1)]
    is_tied = np.abs(nearest_scores - observed) <= SCORE_TOL
    assert 0 < is_tied.sum() < 150
    np.testing.assert_allclose(actual.score, observed, rtol=1e-9)
    np.testing.assert_array_equal(actual.permutation_scores == actual.score, is_tied)
    np.testing.assert_array_equal(actual.permutation_scores > actual.score, ~is_tied & (nearest_scores > observed))


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss"])
def test_reordered_data_have_equal_scores_with_any_estimator(scoring):
    # With six distinct rows, there are only 20 choices of the rows with label 1.
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(6, 40)), np.array([0, 1, 0, 1, 0, 1])
    folds = [(np.arange(6), np.arange(6))]
    options = {"cv": folds, "n_permutations": 40, "scoring": scoring, "random_state": 0}
    actual = fastlin.permutation_test(ScikitLearnLogisticRegression(), X, y, **options)
    assert len(set(actual.permutation_scores)) <= 20
    if scoring == "neg_log_loss":
        assert (actual.permutation_scores == actual.score).any()


def test_scores_do_not_depend_on_the_number_of_fits():
    # Products with 130 columns, or with sparse rows, are summed in tiles that contain several fits.
    generator = np.random.default_rng(0)
    X = generator.normal(size=(150, 130))
    y = (X[:, 0] + generator.logistic(size=150) > 0).astype(int)
    for make in (np.asarray, sparse.csr_matrix):
        few, many = (
            fastlin.permutation_test(
                fastlin.LogisticRegression(), make(X), y, scoring="likelihood_ratio", n_permutations=n, random_state=0
            )
            for n in (3, 12)
        )
        assert few.score == many.score
        np.testing.assert_array_equal(few.permutation_scores, many.permutation_scores[:3])


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_fits_of_equal_data_are_equal_at_every_batch_position(l1_ratio):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(57, 3))
    y = (X[:, 0] + generator.logistic(size=57) > 0).astype(np.uint8)
    solutions = set()
    for slots in ([0], [0, 5, 8], [0, 13, 127, 128, 140]):
        labels = [generator.permutation(y) for _ in range(slots[-1] + 1)]
        for slot in slots:
            labels[slot] = y
        model = fastlin.LogisticRegression(l1_ratio=l1_ratio)
        fits = fit_tasks(model, X, lambda k, labels=labels: FitTask(labels[k]), len(labels))
        solutions |= {(fits.coefs[slot].tobytes(), fits.certificates[slot]) for slot in slots}
    assert len(solutions) == 1


def test_a_decision_value_of_zero_does_not_depend_on_rounding():
    # Half of the rows of both groups have label 1: the minimum is at zero, where the first class is predicted.
    X, y = make_rows((5, 10), (5, 10))
    generator = np.random.default_rng(0)
    rows = np.arange(20)
    for make in (np.asarray, np.float32, sparse.csr_matrix):
        order = generator.permutation(20)
        options = {"cv": [(rows, rows[y[order] == 1])], "n_permutations": 0}
        assert fastlin.permutation_test(fastlin.LogisticRegression(), make(X[order]), y[order], **options).score == 0


def test_class_weight_accepts_the_names_of_classes():
    X, y = make_rows((8, 11), (3, 11))
    model = fastlin.LogisticRegression(class_weight={"no": 1.0, "yes": 3.0})
    options = {"scoring": "neg_log_loss", "n_permutations": 2, "cv": 2}
    actual = fastlin.permutation_test(model, X, np.where(y, "yes", "no"), **options)
    expected = fastlin.permutation_test(model.set_params(class_weight={0: 1.0, 1: 3.0}), X, y, **options)
    assert actual.score == expected.score


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (np.array([[0.0, 1], [-0.0, 1], [1, 0], [0, 1]]), [0, 0, 2, 0]),
        (
            sparse.coo_array(([1.0, 2, 0, 3, 1, 2], ([0, 0, 1, 1, 2, 2], [0, 1, 0, 0, 0, 1])), shape=(4, 2)),
            [0, 1, 0, 3],
        ),
        (np.array([["a", 1], ["b", 1], ["a", 1.0]], object), [0, 1, 0]),
        (np.array([{1}, {1}], object), [0, 1]),
        (["a b", "b", "a b"], [0, 1, 0]),
    ],
)
def test_equal_rows_get_the_same_integer(X, expected):
    np.testing.assert_array_equal(find_first_equal_rows(X), expected)
