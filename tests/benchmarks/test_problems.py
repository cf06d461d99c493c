"""Rows to test on: which there are, and that they are judged by the formulas."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from benchmarks.problems import count_test_rows, pose, pose_first


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_are_those_of_rows_that_were_not_trained_on(n_classes):
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(60, 3)), np.array(["a", "b", "c"])[np.arange(60) % n_classes]
    problem = pose_first("small", X, y, 1.0, 40)
    model = LogisticRegression().fit(X[:40], y[:40])
    tested = problem.test(model.coef_, model.intercept_)
    assert tested.accuracy == model.score(X[40:], y[40:])
    assert tested.log_loss == pytest.approx(log_loss(y[40:], model.predict_proba(X[40:])), rel=1e-12)
    assert len(problem.y) == 40


def test_rows_of_classes_that_were_not_seen_are_no_test():
    X, y = np.arange(8.0)[:, None], np.array([3, 5, 3, 5, 3, 7, 5, 1])
    problem = pose_first("small", X, y, 1.0, 4)
    assert problem.X_test[:, 0].tolist() == [4, 6]
    assert problem.y_test.tolist() == [0, 1]


def test_every_fifth_row_is_held_out_where_there_are_no_others():
    X, y = np.arange(10.0)[:, None], np.arange(10) % 2
    part = pose("small", X, y, 0.5).hold_out()
    assert part.X[:, 0].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert part.y.tolist() == [0, 1, 0, 1, 1, 0, 1, 0]
    assert part.X_test[:, 0].tolist() == [4, 9]
    assert part.y_test.tolist() == [0, 1]
    assert part.C == 0.5


def test_as_many_rows_are_drawn_as_an_accuracy_needs():
    assert [count_test_rows(n) for n in (10, 1_000, 10**6)] == [20, 200, 2_000]
