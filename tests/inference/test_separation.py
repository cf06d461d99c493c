"""Separated classes against an exact linear programme, in all forms of X, and what is said of them."""

import numpy as np
import pytest
from scipy import optimize, sparse
from sklearn.datasets import load_iris

import fastlin.inference.separation as module
from fastlin import LogisticRegression
from fastlin.exceptions import ConvergenceWarning, SeparationError, SeparationWarning
from fastlin.inference.information import Information
from fastlin.inference.separation import Separation, Undecided, check_separation, find_separation, proves_maximum
from fastlin.objective import Objective
from fastlin.solvers import choose

pytestmark = pytest.mark.usefixtures("sparse_passes")


def decide_exactly(X, labels, n_classes, fit_intercept):
    """Return "none", "quasi" or "complete" for whole numbers X, by one programme over all rows and classes."""
    rows = np.column_stack([X, np.ones(len(X))]) if fit_intercept else X
    constraints = []
    for row, label in zip(rows, labels, strict=True):
        for other in set(range(n_classes)) - {label}:
            constraint = np.zeros((n_classes, rows.shape[1]))
            constraint[label], constraint[other] = row, -row
            constraints.append(constraint.ravel())
    matrix, m = np.array(constraints), len(constraints)
    # As many leads as can be are one; whole numbers have no direction whose largest lead is tiny.
    found = optimize.linprog(
        np.append(np.zeros(matrix.shape[1]), -np.ones(m)),
        A_ub=np.hstack([-matrix, np.eye(m)]),
        b_ub=np.zeros(m),
        bounds=[(None, None)] * matrix.shape[1] + [(0, 1)] * m,
        method="highs",
    )
    assert found.status == 0
    return "none" if -found.fun < 1e-6 else "complete" if -found.fun > m - 1e-6 else "quasi"


def draw_problems(n_problems, seed=0):
    """Yield X of whole numbers, labels, and the number of classes, of problems of which many are separated."""
    generator = np.random.default_rng(seed)
    for _ in range(n_problems):
        K, d = generator.integers(2, 5), generator.integers(1, 4)
        n = generator.integers(K + 2, 12 * d + 4 * K)
        X = generator.integers(-2, 3, size=(n, d)).astype(float)
        scores = X @ generator.integers(-2, 3, size=(d, K))
        is_best = scores == scores.max(axis=1, keepdims=True)
        labels = np.array([generator.choice(np.flatnonzero(best)) for best in is_best])
        if generator.integers(2):
            is_random = generator.random(n) < 0.15
            labels[is_random] = generator.integers(0, K, is_random.sum())
        labels = np.unique(labels, return_inverse=True)[1]
        if labels.max():
            yield X, labels, int(labels.max()) + 1


def fit(objective, max_iter=60):
    return choose.minimize(objective, [], solver="auto", tol=1e-10, max_iter=max_iter).parameters


def name(found):
    assert not isinstance(found, Undecided)
    return "none" if found is None else "complete" if found.is_complete else "quasi"


def test_the_maximum_is_never_proven_where_classes_are_separated():
    n_proven = n_overlapping = 0
    for X, labels, n_classes in draw_problems(40, seed=2):
        kind = decide_exactly(X, labels, n_classes, fit_intercept=True)
        objective = Objective.over(X, labels, n_classes)
        for max_iter in (3, 8, 60):
            point = objective.at(objective.center(fit(objective, max_iter)))
            information = Information.of(point)
            is_proven = proves_maximum(point, information.invert(), information.find_step(point).step)
            assert not (is_proven and kind != "none")
        n_overlapping += kind == "none"
        n_proven += is_proven
    # Columns of few rows may also depend on each other.
    assert n_proven >= 0.9 * n_overlapping > 8


def test_large_data_that_overlap_are_not_searched(monkeypatch):
    def search(*arguments):
        raise AssertionError("The data are searched.")

    monkeypatch.setattr(module, "find_separation", search)
    generator = np.random.default_rng(0)
    for n_classes, n, d in ((2, 20_000, 10), (4, 5_000, 6), (2, 600, 60)):
        X = generator.normal(size=(n, d)) * np.geomspace(1e-3, 1e4, d) + np.geomspace(1e-2, 1e3, d)
        X[:, 0] = generator.random(n) < 0.05
        scores = (X - X.mean(axis=0)) / X.std(axis=0) @ generator.normal(size=(d, n_classes)) / np.sqrt(d)
        y = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
        found = LogisticRegression(C=np.inf, tol=1e-10).fit(X, y).inference(X, y)
        assert np.isfinite(found.std_errors).all()


def make_endometrial(n_classes=2, n=400):
    """Return columns as in Heinze and Schemper 2002: a symptom that only rows of the last class have, and two others.

    The columns are the symptom, a pulse and the depth of a layer.
    """
    generator = np.random.default_rng(5)
    X = np.column_stack([generator.random(n) < 0.1, generator.normal(17, 9, n), generator.gamma(5, 0.35, n)])
    X[:, 1:] = np.round(X[:, 1:], 2)
    y = (-0.1 * X[:, 1:2] * np.arange(n_classes) + generator.gumbel(size=(n, n_classes))).argmax(axis=1)
    y[X[:, 0] > 0] = n_classes - 1
    return X, y


def test_a_column_that_separates_is_named_with_its_classes():
    pandas = pytest.importorskip("pandas")
    for n_classes, others in ((2, "class no"), (3, "the classes maybe and no")):
        X, y = make_endometrial(n_classes)
        frame, labels = pandas.DataFrame(X, columns=["NV", "PI", "EH"]), np.array(["no", "yes"])[y % 2]
        if n_classes == 3:
            labels = np.array(["no", "maybe", "yes"])[y]
        model = LogisticRegression(C=np.inf).fit(frame, labels)
        with pytest.raises(SeparationError) as caught:
            model.inference(frame, labels)
        expected = f"Quasi-complete separation: NV <= 0 in all rows of {others}, and NV >= 0 in all rows of class yes."
        assert str(caught.value).startswith(expected), str(caught.value)
        rest = LogisticRegression(C=np.inf, tol=1e-10).fit(frame[["PI", "EH"]], labels)
        assert np.isfinite(rest.inference(frame[["PI", "EH"]], labels).std_errors).all()


def test_columns_that_separate_together_are_named():
    generator = np.random.default_rng(0)
    X = np.column_stack([generator.integers(0, 3, (3_000, 2)), generator.normal(size=(3_000, 3))])
    y = generator.integers(0, 2, len(X))
    total = X[:, 0] + X[:, 1]
    y[total > 2], y[total < 2] = 1, 0
    assert all(len(set(y[X[:, j] == value])) == 2 for j in (0, 1) for value in (1, 2))
    model = LogisticRegression(C=np.inf).fit(X, y)
    with pytest.raises(SeparationError, match=r"Quasi-complete separation: the columns x[01], x[01] together"):
        model.inference(X, y)
    # The first flowers of iris by their sepals.
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(C=np.inf).fit(X[:, :2], y)
    with pytest.raises(
        SeparationError, match=r"x[01], x[01] together tell rows of class 0 from those of the classes 1 and"
    ):
        model.inference(X[:, :2], y)
    X = X[:, :1] > 5
    with pytest.warns(ConvergenceWarning, match="separable"):
        model = LogisticRegression(C=np.inf).fit(X[:, :1], X[:, 0] > 0)
    expected = "Complete separation: x0 <= 0 in all rows of class False, and x0 >= 1 in all rows of class True"
    with pytest.raises(SeparationError, match=expected):
        model.inference(X[:, :1], X[:, 0] > 0)


def test_any_direction_is_found_and_of_many_rows_those_that_tell(monkeypatch):
    monkeypatch.setattr(module, "SCORE_BYTES", 20_000)
    generator = np.random.default_rng(3)
    X = generator.integers(-3, 4, (4_000, 4)).astype(float)
    direction = X @ [1, 2, -1, 1]
    y = np.where(direction == 0, generator.integers(0, 2, len(X)), direction > 0).astype(int)
    objective = Objective.over(X, y, 2)
    found = find_separation(objective, np.zeros(objective.shape))
    assert name(found) == "quasi"
    (coef,), _ = objective.coordinates.to_coefficients(found.direction)
    np.testing.assert_allclose(coef / coef[0], [1, 2, -1, 1], rtol=1e-6)
    with monkeypatch.context() as patch:
        patch.setattr(module, "FEWEST_ROWS", 4)
        assert name(find_separation(objective, np.zeros(objective.shape))) == "quasi"
        patch.setattr(module, "MOST_ENTRIES", 2 * 5 * 20)
        undecided = find_separation(objective, np.zeros(objective.shape))
    assert isinstance(undecided, Undecided) and "over 20 rows did not tell" in undecided.reason
    # One row that lies on the wrong side leaves no separation.
    y[np.flatnonzero(direction == 1)[0]] = 0
    assert find_separation(Objective.over(X, y, 2), np.zeros(objective.shape)) is None


def test_every_form_of_rows_is_searched():
    from fastlin import blocks

    X, y = make_endometrial(3)
    forms = {
        "float32": X.astype(np.float32),
        "sparse": sparse.csr_array(X),
        "blocks": blocks.from_arrays(X, y, rows_per_block=90),
    }
    for form, rows in forms.items():
        labels = None if form == "blocks" else y
        model = LogisticRegression(C=np.inf).fit(rows, labels)
        with pytest.raises(SeparationError, match="x0 <= 0 in all rows of the classes 0 and 1, and x0 >= 0 in"):
            model.inference(rows, labels)


def test_rows_without_weight_and_penalised_columns_have_no_part():
    X, y = make_endometrial()
    weights = np.ones(len(X))
    y[np.flatnonzero(X[:, 0])[0]] = 0
    kept = LogisticRegression(C=np.inf, tol=1e-10).fit(X, y).inference(X, y, weights)
    assert np.isfinite(kept.std_errors).all()
    weights[np.flatnonzero(X[:, 0])[0]] = 0
    with pytest.raises(SeparationError, match="x0 <= 0 in all rows of class 0"):
        LogisticRegression(C=np.inf).fit(X, y, weights).inference(X, y, weights)
    X, y = make_endometrial()
    for factors, separates in (([0, 1, 1], True), ([1, 0, 1], False), ([1, 1, 1], False)):
        model = LogisticRegression(C=1.0, penalty_factors=factors, tol=1e-10).fit(X, y)
        if separates:
            with pytest.raises(SeparationError, match="x0 <= 0"):
                model.inference(X, y, penalised="laplace")
        else:
            assert np.isfinite(model.inference(X, y, penalised="laplace").std_errors).all()


def test_what_is_too_large_to_search_is_told(monkeypatch):
    monkeypatch.setattr(module, "MOST_VARIABLES", 2)
    generator = np.random.default_rng(0)
    X = np.column_stack([generator.integers(0, 2, (300, 2)), generator.normal(size=(300, 9))])
    y, total = generator.integers(0, 2, 300), X[:, 0] + X[:, 1]
    y[total == 2], y[total == 0] = 1, 0
    objective = Objective.over(X, y, 2)
    zeros, names, labels = np.zeros(objective.shape), np.arange(11), np.arange(2)
    with pytest.warns(SeparationWarning, match="12 coefficients are more than the 2 that are searched"):
        check_separation(objective.at(zeros), names, labels, zeros, 1)
    # Nor are all columns named.
    found = Separation(False, tuple(range(9)), ((0, 1),))
    names, labels = np.array([f"x{j}" for j in range(9)]), np.array(["a", "b"])
    assert "the columns x0, x1, x2, x3, x4 and 4 more together" in found.describe(names, labels)
