"""What MLPClassifier is trained towards beyond one class a row, and weights of the classes."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import OptimizeResult
from sklearn.exceptions import ConvergenceWarning
from small_networks import assert_same_bits, assert_same_network, differ, make, make_data

from fastlin import MLPClassifier
from fastlin.networks import Network
from fastlin.training import network_lbfgs

X, Y = make_data()


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
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


def test_probabilities_go_on_in_partial_fit_and_validate():
    targets = 0.8 * np.eye(3)[Y] + 0.2 / 3
    model = make(random_state=np.random.RandomState(3)).partial_fit(X, targets, classes=[0, 1, 2])
    model.partial_fit(X[:40], targets[:40])
    assert len(model.loss_curve_) == 2
    validated = make().fit(X, targets, X_val=X, y_val=targets)
    assert len(validated.validation_scores_) == 5
    stopped = make(early_stopping=True, max_iter=20, n_iter_no_change=3).fit(X, targets)
    assert len(stopped.validation_scores_) == stopped.n_iter_
    assert_same_bits(pickle.loads(pickle.dumps(validated)), validated)


def test_several_labels_a_row_by_lbfgs_and_with_normalisation():
    labels = np.column_stack([Y == 0, X[:, 0] > 0]).astype(int)
    model = MLPClassifier((20,), solver="lbfgs", max_iter=500, random_state=0).fit(X, labels)
    np.testing.assert_array_equal(model.predict(X), labels)
    assert model.predict(X).dtype == np.int64
    normalised = make((20,), batch_norm="both", dropout=0.1, max_iter=60).fit(X, sparse.csr_array(labels))
    assert normalised.score(X, labels) > 0.8
    # A batch's accuracy counts the rows all of whose labels are right.
    assert normalised.accuracy_curve_[-1] > 0.6


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_weights_are_sample_weights(n_classes):
    X, y = make_data(n_classes)
    names = np.array(["a", "b", "c"])[y]
    weights = {"a": 2.0, "b": 0.5, "c": 1.0}
    given = {name: weights[name] for name in np.unique(names)}
    model = make(class_weight=given).fit(X, names)
    expected = make().fit(X, names, [given[name] for name in names])
    assert_same_bits(model, expected)
    assert differ(model, make().fit(X, names))
    balanced = make(class_weight="balanced").fit(X, names)
    counts = np.bincount(y)
    assert_same_bits(balanced, make().fit(X, names, (len(y) / (n_classes * counts))[y]))
    calls = [make(class_weight=given), make()]
    for each, sample_weight in zip(calls, (None, [given[name] for name in names]), strict=True):
        each.partial_fit(X, names, sample_weight, classes=np.unique(names))
    assert_same_bits(*calls)


def test_one_class_is_every_rows():
    X, _ = make_data(3)
    for solver in ("adam", "sgd", "lbfgs"):
        model = make(solver=solver, max_iter=100).fit(X, np.full(90, "only"))
        np.testing.assert_array_equal(model.predict(X), np.full(90, "only"))
        assert model.predict_proba(X).shape == (90, 2)
        assert model.predict_proba(X)[:, 0].min() > 0.5


def test_certain_probabilities_are_probabilities_where_the_first_were():
    soft, certain = 0.8 * np.eye(3)[Y] + 0.2 / 3, np.eye(3)[Y]
    calls = []
    for given in (certain, certain.astype(int), Y):
        model = make(random_state=3).partial_fit(X, soft, classes=[0, 1, 2])
        calls.append(model.partial_fit(X, given))
    assert_same_bits(calls[0], calls[1])
    assert_same_bits(calls[0], calls[2])
    scores = [make().fit(X, soft, X_val=X, y_val=given).validation_scores_ for given in (certain, Y)]
    assert scores[0] == scores[1] and max(scores[0]) > 0.4


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_batches_go_on_from_lbfgs_with_nothing_carried():
    model = make(solver="adam").fit(X, Y).set_params(solver="lbfgs", hidden_layer_sizes=(9,)).fit(X, Y)
    after = copy.deepcopy(model).set_params(solver="adam").partial_fit(X, Y)
    fresh = make((9,), solver="lbfgs").fit(X, Y).set_params(solver="adam").partial_fit(X, Y)
    assert_same_bits(after, fresh)
    warm = make(warm_start=True).fit(X, Y)
    assert warm.set_params(solver="lbfgs").fit(X, Y).t_ == 5 * 90


def test_lbfgs_says_that_it_stalled_where_a_step_overflowed(monkeypatch):
    compute, calls = Network.compute_gradient, []

    def overflow(self, *given):
        calls.append(None)
        loss, *rest = compute(self, *given)
        return (np.inf if len(calls) == 3 else loss, *rest)

    def stop_too_early(evaluate, start, *, callback, **_):
        for step in range(4):
            loss, gradient = evaluate(start + 1e-6 * step)
        callback(OptimizeResult(x=start, fun=loss))
        return OptimizeResult(x=start, fun=loss, jac=gradient, status=0)

    monkeypatch.setattr(network_lbfgs, "minimize", stop_too_early)
    # Where nothing overflows, SciPy's word counts.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(solver="lbfgs").fit(X, Y)
    monkeypatch.setattr(Network, "compute_gradient", overflow)
    with pytest.warns(ConvergenceWarning, match=r"lbfgs failed to converge after 1 iteration.*status=2"):
        make(solver="lbfgs").fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calls.clear()
        make(solver="lbfgs", tol=100.0).fit(X, Y)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_partial_fit_watches_the_loss_after_a_fit_that_watched_the_validation():
    parameters = {"learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 2, "random_state": 0}
    model = make(**parameters, early_stopping=True).fit(X, Y).set_params(early_stopping=False)
    for _ in range(12):
        model.partial_fit(X, Y)
    assert model._optimizer.learning_rate < 0.1 * model.learning_rate_init


def test_ctrl_c_in_partial_fit_leaves_the_random_numbers_as_they_were(monkeypatch):
    model = make(dropout=0.2).partial_fit(X, Y, classes=[0, 1, 2])
    expected = copy.deepcopy(model).partial_fit(X, Y)
    with monkeypatch.context() as patched:
        patched.setattr(Network, "compute_gradient", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.partial_fit(X, Y)
    assert_same_bits(model.partial_fit(X, Y), expected)


def raise_interrupt(*_):
    raise KeyboardInterrupt


def test_lbfgs_leaves_out_early_stopping():
    with pytest.warns(ConvergenceWarning):
        stopped = make(solver="lbfgs", early_stopping=True).fit(X, Y)
    assert stopped.validation_scores_ is None and stopped.best_loss_ == stopped.loss_


def test_weight_decay_shrinks_the_coefficients():
    norms = []
    for weight_decay in (0.0, 0.3):
        model = make(solver="adam", weight_decay=weight_decay, max_iter=60).fit(X, Y)
        norms.append(np.sqrt(sum(np.sum(coef**2) for coef in model.coefs_)))
    assert norms[1] < 0.8 * norms[0]


def test_lbfgs_keeps_the_best_iteration_on_validation_data_and_the_last_whole_one_after_ctrl_c(monkeypatch):
    with pytest.warns(ConvergenceWarning):
        model = make(solver="lbfgs", max_iter=30, dtype="float64").fit(X, Y, X_val=X[:20], y_val=(Y[:20] + 1) % 3)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best < 30
    with pytest.warns(ConvergenceWarning):
        shorter = make(solver="lbfgs", max_iter=best, dtype="float64").fit(X, Y)
    assert_same_network(model, shorter, 0)
    compute, calls = Network.compute_gradient, []

    def interrupt(self, *given):
        calls.append(None)
        if len(calls) == n_calls:
            raise KeyboardInterrupt
        return compute(self, *given)

    monkeypatch.setattr(Network, "compute_gradient", interrupt)
    n_calls = 12
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        interrupted = make(solver="lbfgs", max_iter=30, dtype="float64").fit(X, Y)
    n_calls = -1
    with pytest.warns(ConvergenceWarning):
        expected = make(solver="lbfgs", max_iter=interrupted.n_iter_, dtype="float64").fit(X, Y)
    assert interrupted.interrupted_ and 0 < interrupted.n_iter_ < 12
    assert_same_network(interrupted, expected, 0)
    calls.clear()
    n_calls = 1
    with pytest.raises(KeyboardInterrupt):
        make(solver="lbfgs").fit(X, Y)


def test_lbfgs_of_a_loss_that_is_not_finite_keeps_what_it_began_with():
    model = make(solver="lbfgs", activation="identity")
    with pytest.warns(ConvergenceWarning, match="diverged.*those that it began with"):
        model.fit(np.abs(X) / np.abs(X).max() * 1e308, Y)
    assert np.isfinite(np.concatenate([coef.ravel() for coef in model.coefs_])).all()
