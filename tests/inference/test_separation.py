"""Separated classes in all forms of X, and what is said of them."""

import numpy as np
import pandas
import pytest
from sklearn.datasets import load_iris

import fastlin.inference.separation as module
from fastlin import LogisticRegression
from fastlin.exceptions import ConvergenceWarning, SeparationError, SeparationWarning
from fastlin.inference.separation import Separation, check_separation, find_separation
from fastlin.objective import Objective

from .conftest import infer, list_forms, refuse

pytestmark = pytest.mark.usefixtures("sparse_passes")


def test_large_data_that_overlap_are_not_searched(monkeypatch):
    monkeypatch.setattr(module, "find_separation", None)
    generator = np.random.default_rng(0)
    for n_classes, n, d in ((2, 20_000, 10), (4, 5_000, 6), (2, 600, 60)):
        X = generator.normal(size=(n, d)) * np.geomspace(1e-3, 1e4, d) + np.geomspace(1e-2, 1e3, d)
        X[:, 0] = generator.random(n) < 0.05
        scores = (X - X.mean(axis=0)) / X.std(axis=0) @ generator.normal(size=(d, n_classes)) / np.sqrt(d)
        y = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
        assert np.isfinite(infer(X, y, parameters={"tol": 1e-10}).std_errors).all()


def make_endometrial(n_classes=2, n=400):
    """Return a symptom that only rows of the last class have, as in Heinze and Schemper 2002, and two other columns."""
    generator = np.random.default_rng(5)
    X = np.column_stack([generator.random(n) < 0.1, generator.normal(17, 9, n), generator.gamma(5, 0.35, n)])
    X[:, 1:] = np.round(X[:, 1:], 2)
    y = (-0.1 * X[:, 1:2] * np.arange(n_classes) + generator.gumbel(size=(n, n_classes))).argmax(axis=1)
    y[X[:, 0] > 0] = n_classes - 1
    return X, y


def test_a_column_that_separates_is_named_with_its_classes():
    for names, others in ((["no", "yes"], "class no"), (["no", "maybe", "yes"], "the classes maybe and no")):
        X, y = make_endometrial(len(names))
        frame, labels = pandas.DataFrame(X, columns=["NV", "PI", "EH"]), np.array(names)[y]
        expected = f"Quasi-complete separation: NV <= 0 in all rows of {others}, and NV >= 0 in all rows of class yes."
        refuse(f"^{expected}", frame, labels, error=SeparationError)
        assert np.isfinite(infer(frame[["PI", "EH"]], labels).std_errors).all()


def make_pair(n, most, n_others):
    """Return X and labels that its first two columns, whole numbers up to most, separate together."""
    generator = np.random.default_rng(0)
    X = np.column_stack([generator.integers(0, most + 1, (n, 2)), generator.normal(size=(n, n_others))])
    total = X[:, 0] + X[:, 1] - most
    return X, np.where(total == 0, generator.integers(0, 2, n), total > 0).astype(int)


def test_columns_that_separate_together_are_named():
    X, y = make_pair(3_000, 2, 3)
    assert all(len(set(y[X[:, j] == value])) == 2 for j in (0, 1) for value in (1, 2))
    refuse(r"Quasi-complete separation: the columns x[01], x[01] together", X, y, error=SeparationError)
    X, y = load_iris(return_X_y=True)
    expected = r"x[01], x[01] together tell rows of class 0 from those of the classes 1 and"
    refuse(expected, X[:, :2], y, error=SeparationError)
    X = X[:, :1] > 5
    with pytest.warns(ConvergenceWarning, match="separable"):
        model = LogisticRegression(C=np.inf).fit(X, X[:, 0])
    expected = "Complete separation: x0 <= 0 in all rows of class False, and x0 >= 1 in all rows of class True"
    with pytest.raises(SeparationError, match=expected):
        model.inference(X, X[:, 0])


def search(X, y):
    objective = Objective.over(X, y, 2)
    return find_separation(objective, np.zeros(objective.shape))


def test_any_direction_is_found_and_of_many_rows_those_that_tell(monkeypatch):
    monkeypatch.setattr(module, "SCORE_BYTES", 20_000)
    generator = np.random.default_rng(3)
    X = generator.integers(-3, 4, (4_000, 4)).astype(float)
    direction = X @ [1, 2, -1, 1]
    y = np.where(direction == 0, generator.integers(0, 2, len(X)), direction > 0).astype(int)
    found = search(X, y)
    assert not found.is_complete
    (coef,), _ = Objective.over(X, y, 2).coordinates.to_coefficients(found.direction)
    np.testing.assert_allclose(coef / coef[0], [1, 2, -1, 1], rtol=1e-6)
    with monkeypatch.context() as patch:
        patch.setattr(module, "FEWEST_ROWS", 4)
        assert not search(X, y).is_complete
        patch.setattr(module, "MOST_ENTRIES", 2 * 5 * 20)
        undecided = search(X, y)
    assert undecided == "a linear programme over 20 rows did not tell"
    # One row that lies on the wrong side leaves no separation.
    y[np.flatnonzero(direction == 1)[0]] = 0
    assert search(X, y) is None


def test_every_form_of_rows_is_searched():
    X, y = make_endometrial(3)
    for rows, labels in (*list_forms(X, y), (X.astype(np.float32), y)):
        refuse("x0 <= 0 in all rows of the classes 0 and 1, and x0 >= 0 in", rows, labels, error=SeparationError)


def test_rows_without_weight_and_penalised_columns_have_no_part():
    X, y = make_endometrial()
    weights, first = np.ones(len(X)), np.flatnonzero(X[:, 0])[0]
    y[first] = 0
    assert np.isfinite(infer(X, y, weights).std_errors).all()
    weights[first] = 0
    refuse("x0 <= 0 in all rows of class 0", X, y, weights, error=SeparationError)
    y[first] = 1
    free, other, none = ({"C": 1.0, "penalty_factors": each} for each in ([0, 1, 1], [1, 0, 1], [1, 1, 1]))
    refuse("x0 <= 0", X, y, parameters=free, penalised="laplace", error=SeparationError)
    for parameters in (other, none):
        assert np.isfinite(infer(X, y, parameters=parameters, penalised="laplace").std_errors).all()


def test_what_is_too_large_to_search_is_told(monkeypatch):
    monkeypatch.setattr(module, "MOST_VARIABLES", 2)
    objective = Objective.over(*make_pair(300, 1, 9), 2)
    zeros, names, labels = np.zeros(objective.shape), np.array([f"x{j}" for j in range(11)]), np.array(["a", "b"])
    with pytest.warns(SeparationWarning, match="12 coefficients are more than the 2 that are searched"):
        check_separation(objective.at(zeros), names, labels, zeros, 1)
    found = Separation(False, tuple(range(9)), ((0, 1),))
    assert "the columns x0, x1, x2, x3, x4 and 4 more together" in found.describe(names, labels)
