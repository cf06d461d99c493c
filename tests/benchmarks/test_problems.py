"""Problems: the choice of test rows, and scores that match their formulas."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from benchmarks.mini_batches import Examples
from benchmarks.networks import Epoch
from benchmarks.predictions import Prediction
from benchmarks.problems import make_classification_problem, make_split_problem


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_problem_is_scored_on_rows_outside_its_training_set(n_classes):
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(60, 3)), np.array(["a", "b", "c"])[np.arange(60) % n_classes]
    problem = make_split_problem("small", X, y, 1.0, 40)
    model = LogisticRegression().fit(X[:40], y[:40])
    metrics_on_test_rows = problem.score_test_rows(model.coef_, model.intercept_)
    assert metrics_on_test_rows.accuracy == model.score(X[40:], y[40:])
    assert metrics_on_test_rows.log_loss == pytest.approx(log_loss(y[40:], model.predict_proba(X[40:])), rel=1e-12)
    assert len(problem.y) == 40


def test_a_solution_of_the_wrong_shape_has_no_accuracy():
    X, y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1])
    problem = make_split_problem("small", X, y, 1.0, 4)
    assert problem.accuracy(np.ones((1, 2)), np.zeros(1)) == 0.5
    for coef, intercept in [(np.ones((2, 2)), np.zeros(2)), (np.ones((1, 3)), np.zeros(1))]:
        with pytest.raises(ValueError, match="shape"):
            problem.accuracy(coef, intercept)


def test_test_rows_of_unseen_classes_are_excluded():
    X, y = np.arange(8.0)[:, None], np.array([3, 5, 3, 5, 3, 7, 5, 1])
    problem = make_split_problem("small", X, y, 1.0, 4)
    assert problem.X_test[:, 0].tolist() == [4, 6]
    assert problem.y_test.tolist() == [0, 1]


def test_every_fifth_row_is_held_out_without_a_test_set():
    X, y = np.arange(10.0)[:, None], np.arange(10) % 2
    part = make_classification_problem("small", X, y, 0.5).hold_out_rows()
    assert part.X[:, 0].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert part.y.tolist() == [0, 1, 0, 1, 1, 0, 1, 0]
    assert part.X_test[:, 0].tolist() == [4, 9]
    assert part.y_test.tolist() == [0, 1]
    assert part.C == 0.5


def make_train_and_test_rows():
    X = np.random.default_rng(0).normal(size=(90, 4))
    y = np.argmax(X[:, :3] + np.random.default_rng(1).gumbel(size=(90, 3)), axis=1)
    return X[:60], y[:60], X[60:], y[60:]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["mini-batches", "one-vs-rest", "network", "prediction"])
def test_tasks_are_evaluated_by_the_probabilities_of_their_models(kind):
    X, y, X_test, y_test = rows = make_train_and_test_rows()
    if kind == "network":
        model = MLPClassifier(5, max_iter=20, random_state=0).fit(X, y)
        task, solution, probabilities = Epoch(*rows, 3), (model.coefs_, model.intercepts_), model.predict_proba
    elif kind == "one-vs-rest":
        model = SGDClassifier(loss="log_loss", random_state=0).fit(X, y)
        task, solution, probabilities = Examples(*rows, 3), (model.coef_, model.intercept_, True), model.predict_proba
    else:
        model = LogisticRegression().fit(X, y)
        task, solution, probabilities = Examples(*rows, 3), (model.coef_, model.intercept_), model.predict_proba
    if kind == "prediction":
        task, solution = Prediction(X_test, y_test, X_test, y_test, 3), (model.predict_proba(X_test),)
        X, y = X_test, y_test
    else:
        assert task.objective(*solution) == pytest.approx(log_loss(y, probabilities(X)), rel=1e-9)
    metrics_on_test_rows = task.score_test_rows(*solution)
    assert metrics_on_test_rows.accuracy == np.mean(probabilities(X_test).argmax(axis=1) == y_test)
    assert metrics_on_test_rows.log_loss == pytest.approx(log_loss(y_test, probabilities(X_test)), rel=1e-9)
    if kind != "one-vs-rest":
        assert task.accuracy(*solution) == np.mean(probabilities(X).argmax(axis=1) == y)


def test_separable_classes_are_evaluated_by_error():
    task = Examples(*make_train_and_test_rows(), 3, uses_test_error=True)
    model = LogisticRegression().fit(task.X, task.y)
    solution = model.coef_, model.intercept_
    assert task.objective(*solution) == pytest.approx(1 - model.score(task.X_test, task.y_test), rel=1e-12)
    assert np.isnan(task.accuracy(*solution))
