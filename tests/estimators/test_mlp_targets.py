"""What MLPClassifier is trained towards beyond one class a row, weights of the classes, and L-BFGS."""

import copy
import itertools
import re

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import OptimizeResult
from sklearn.exceptions import ConvergenceWarning
from small_networks import assert_same_bits, assert_same_network, differ, make, make_data

from fastlin.networks import Network
from fastlin.training import network_lbfgs

X, Y = make_data()
SOFT = 0.8 * np.eye(3)[Y] + 0.2 / 3
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_probabilities_weigh_the_classes_of_a_row(solver):
    # Half of one class and half of the next: each row twice, with both classes, has the same mean loss.
    targets = 0.5 * np.eye(3)[Y] + 0.5 * np.eye(3)[(Y + 1) % 3]
    settings = {"dtype": "float64", "batch_size": 180, "shuffle": False, "alpha": 0.0, "solver": solver}
    model = make(**settings | {"batch_size": 90}).fit(X, targets)
    twice = make(**settings).fit(np.vstack([X, X]), np.concatenate([Y, (Y + 1) % 3]))
    assert model.loss_curve_ == pytest.approx(twice.loss_curve_, rel=1e-10)
    assert_same_network(model, twice, 1e-8)
    two = make(dtype="float64").fit(X, np.column_stack([targets[:, 0], 1 - targets[:, 0]]))
    assert two.predict_proba(X).shape == (90, 2)
    assert set(two.predict(X)) <= {0, 1}


def test_certain_probabilities_are_probabilities_where_the_first_were():
    certain = np.eye(3)[Y]
    first, *calls = (
        make(random_state=3).partial_fit(X, SOFT, classes=[0, 1, 2]).partial_fit(X, given)
        for given in (certain, certain.astype(int), Y)
    )
    for call in calls:
        assert_same_bits(call, first)
    scores = [make().fit(X, SOFT, X_val=X, y_val=given).validation_scores_ for given in (certain, Y)]
    assert scores[0] == scores[1] and max(scores[0]) > 0.4
    stopped = make(early_stopping=True, max_iter=20, n_iter_no_change=3).fit(X, SOFT)
    assert len(stopped.validation_scores_) == stopped.n_iter_


def test_several_labels_a_row_by_lbfgs_and_with_normalisation():
    labels = np.column_stack([Y == 0, X[:, 0] > 0]).astype(int)
    model = make((20,), solver="lbfgs", max_iter=500).fit(X, labels)
    np.testing.assert_array_equal(model.predict(X), labels, strict=True)
    normalised = make((20,), batch_norm="both", dropout=0.1, max_iter=60).fit(X, sparse.csr_array(labels))
    assert normalised.score(X, labels) > 0.8
    # A batch's accuracy counts the rows all of whose labels are right.
    assert normalised.accuracy_curve_[-1] > 0.6


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_weights_are_sample_weights(n_classes):
    X, y = make_data(n_classes)
    names = np.array(["a", "b", "c"])[y]
    given = dict(zip("abc"[:n_classes], [2.0, 0.5, 1.0], strict=False))
    weights = [given[name] for name in names]
    model = make(class_weight=given).fit(X, names)
    assert_same_bits(model, make().fit(X, names, weights))
    assert differ(model, make().fit(X, names))
    balanced = make(class_weight="balanced").fit(X, names)
    assert_same_bits(balanced, make().fit(X, names, (len(y) / (n_classes * np.bincount(y)))[y]))
    called = make(class_weight=given).partial_fit(X, names, classes=np.unique(names))
    assert_same_bits(called, make().partial_fit(X, names, weights, classes=np.unique(names)))


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_one_class_is_every_rows(solver):
    model = make(solver=solver, max_iter=100).fit(X, np.full(90, "only"))
    np.testing.assert_array_equal(model.predict(X), np.full(90, "only"))
    assert model.predict_proba(X).shape == (90, 2)
    assert model.predict_proba(X)[:, 0].min() > 0.5


def test_batches_go_on_from_lbfgs_with_nothing_carried():
    model = make(solver="adam").fit(X, Y).set_params(solver="lbfgs", hidden_layer_sizes=(9,)).fit(X, Y)
    after = model.set_params(solver="adam").partial_fit(X, Y)
    fresh = make((9,), solver="lbfgs").fit(X, Y).set_params(solver="adam").partial_fit(X, Y)
    assert_same_bits(after, fresh)
    warm = make(warm_start=True).fit(X, Y)
    assert warm.set_params(solver="lbfgs").fit(X, Y).t_ == 5 * 90


def test_lbfgs_says_that_it_stalled_where_a_step_overflowed(monkeypatch, recwarn):
    compute = Network.compute_gradient

    def stop_too_early(evaluate, start, *, callback, **_):
        for step in range(4):
            loss, gradient = evaluate(start + 1e-6 * step)
        callback(OptimizeResult(x=start, fun=loss))
        return OptimizeResult(x=start, fun=loss, jac=gradient, status=0)

    def overflow_in(number):
        calls = itertools.count(1)

        def overflow(self, *given):
            loss, *rest = compute(self, *given)
            return (np.inf if next(calls) == number else loss, *rest)

        monkeypatch.setattr(Network, "compute_gradient", overflow)

    monkeypatch.setattr(network_lbfgs, "minimize", stop_too_early)
    # Where nothing overflows, SciPy's word counts.
    for number, tol, expected in ((0, 1e-4, None), (3, 100.0, None), (3, 1e-4, r"after 1 iteration.*status=2")):
        recwarn.clear()
        overflow_in(number)
        make(solver="lbfgs", tol=tol).fit(X, Y)
        assert len(recwarn) == (expected is not None)
        assert expected is None or re.search(f"(?s)lbfgs failed to converge {expected}", str(recwarn[0].message))


def test_partial_fit_watches_the_loss_after_a_fit_that_watched_the_validation():
    parameters = {"learning_rate": "adaptive", "n_iter_no_change": 2}
    # No loss falls by one, and each is lower than the one before, though below the accuracy that was watched.
    for tol, falls in ((1.0, True), (0.0, False)):
        model = make(**parameters, tol=tol, early_stopping=True).fit(X, Y).set_params(early_stopping=False)
        for _ in range(12):
            model.partial_fit(X, Y)
        assert (model._optimizer.learning_rate < 0.1 * model.learning_rate_init) == falls, tol


def test_ctrl_c_in_partial_fit_leaves_the_random_numbers_as_they_were(monkeypatch):
    model = make(dropout=0.2).partial_fit(X, Y, classes=[0, 1, 2])
    expected = copy.deepcopy(model).partial_fit(X, Y)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt_gradient(patched, 1)
        model.partial_fit(X, Y)
    assert_same_bits(model.partial_fit(X, Y), expected)


def interrupt_gradient(patched, number):
    compute, calls = Network.compute_gradient, itertools.count(1)

    def interrupt(self, *given):
        if next(calls) == number:
            raise KeyboardInterrupt
        return compute(self, *given)

    patched.setattr(Network, "compute_gradient", interrupt)


def test_lbfgs_keeps_the_best_iteration_on_validation_data_and_the_last_whole_one_after_ctrl_c(monkeypatch):
    parameters = {"solver": "lbfgs", "dtype": "float64"}
    model = make(**parameters, max_iter=30).fit(X, Y, X_val=X[:20], y_val=(Y[:20] + 1) % 3)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best < 30
    assert_same_network(model, make(**parameters, max_iter=best).fit(X, Y), 0)
    with monkeypatch.context() as patched, pytest.warns(UserWarning, match="Training interrupted by user"):
        interrupt_gradient(patched, 12)
        interrupted = make(**parameters, max_iter=30).fit(X, Y)
    assert interrupted.interrupted_ and 0 < interrupted.n_iter_ < 12
    assert_same_network(interrupted, make(**parameters, max_iter=interrupted.n_iter_).fit(X, Y), 0)
    interrupt_gradient(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        make(**parameters).fit(X, Y)


def test_lbfgs_of_a_loss_that_is_not_finite_keeps_what_it_began_with():
    model = make(solver="lbfgs", activation="identity")
    with pytest.warns(ConvergenceWarning, match="diverged.*those that it began with"):
        model.fit(np.abs(X) / np.abs(X).max() * 1e308, Y)
    assert np.isfinite(np.concatenate([coef.ravel() for coef in model.coefs_])).all()
