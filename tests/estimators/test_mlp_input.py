"""What MLPClassifier trains on and towards: data and targets of every kind, weights of classes, and what is refused."""

import copy
import itertools
import re
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from conftest import assert_refused
from scipy import sparse
from scipy.optimize import OptimizeResult, minimize
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from small_networks import assert_same_bits, assert_same_network, differ, make, make_data

from fastlin.networks import Network
from fastlin.training import network_lbfgs

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_data()
N, CLASSES = len(Y), [0, 1, 2]
SEVERAL = np.eye(3, dtype=int)[Y]
SOFT = 0.8 * SEVERAL + 0.2 / 3
X_VAL, Y_VAL = X[:10], Y[:10]
NAN, INFINITE = (np.where(X_VAL == X_VAL.max(), value, X_VAL) for value in (np.nan, np.inf))
INTERRUPT = Mock(side_effect=KeyboardInterrupt)


def test_validation_data_have_the_names_of_the_data():
    dataframe = pd.DataFrame(X, columns=list("abcdef"))
    model = make().fit(dataframe, Y, X_val=dataframe, y_val=pd.Series(Y))
    assert_same_bits(model, make().fit(X, Y, X_val=X, y_val=Y))
    assert_refused("feature names", make().fit, dataframe, Y, X_val=dataframe[list("fedcba")], y_val=Y)


@pytest.mark.parametrize("parameters", [{}, {"dtype": "float64", "shuffle": False, "batch_norm": "both"}], ids=str)
def test_any_type_of_data_gives_the_same_bits(parameters):
    whole = np.random.default_rng(0).integers(0, 5, (90, 6))
    X = whole.astype(parameters.get("dtype", "float32"))
    expected = make(**parameters).fit(X, Y, X_val=X, y_val=Y)
    names = "float64", "float32", "float16", "uint8", "int8", "int64"
    kinds = np.asfortranarray(X), sparse.csr_array(X), sparse.csc_matrix(X), sparse.coo_array(whole)
    for form in (*map(whole.astype, names), *kinds):
        found = make(**parameters).fit(form, Y, X_val=form, y_val=Y)
        assert found.validation_loss_curve_ == expected.validation_loss_curve_
        assert_same_bits(found, expected)
        np.testing.assert_array_equal(found.predict_proba(form), expected.predict_proba(X))


@pytest.mark.parametrize(
    ("X_val", "y_val", "message"),
    [
        (NAN, Y_VAL, "X_val must be rows of finite numbers .*: Input X contains NaN"),
        (INFINITE, Y_VAL, "X_val must be rows of finite numbers .*: Input X contains infinity"),
        (X_VAL, np.full(10, np.nan), ".*y_val contains NaN"),
        (X_VAL, None, "X_val and y_val must be given together, got only X_val"),
        (None, Y_VAL, "X_val and y_val must be given together, got only y_val"),
        (X_VAL, Y_VAL[:-1], ".*y_val has 9 entries, but X_val has 10 rows"),
        (X_VAL[:, :2], Y_VAL, "X_val must be rows .* X has 2 features, but MLPClassifier is .* 6"),
        (X_VAL[:, 0], Y_VAL, "X_val must be rows .*: Expected 2D array"),
        (X_VAL[:0], Y_VAL[:0], "X_val must be rows .*0 sample"),
        (X_VAL, Y_VAL + 1, r"y_val must hold classes of \[0 1 2\] only, got \[3\]"),
        (X_VAL, Y_VAL.astype(str), "y_val must hold classes"),
    ],
)
def test_bad_validation_data_are_refused_and_the_estimator_stays_as_it_was(X_val, y_val, message):
    for model in (make(), make().fit(*make_data(3, d=5))):
        assert_refused(f"^{message}", model.fit, X, Y, X_val=X_val, y_val=y_val)


@pytest.mark.parametrize(("parameters", "n_rows"), [({}, 40), ({"early_stopping": True}, 36)])
def test_a_batch_of_more_rows_than_there_are_has_all_rows(parameters, n_rows):
    X, y = make_data(n=40)
    with pytest.warns(UserWarning, match=f"clipped to the {n_rows} rows"):
        model = make(batch_size=n_rows + 1, **parameters).fit(X, y)
    assert model.loss_curve_ == make(batch_size=n_rows, **parameters).fit(X, y).loss_curve_


def test_a_column_of_labels_is_taken_with_a_warning():
    for given in ({"y": Y[:, np.newaxis]}, {"y": Y, "X_val": X, "y_val": Y[:, np.newaxis]}):
        with pytest.warns(DataConversionWarning):
            model = make().fit(X, **given)
        assert_same_bits(model, make().fit(X, Y))


def test_parameters_targets_and_weights_that_fit_no_data_are_named():
    fit, stopped = make().fit, make(early_stopping=True, batch_size="auto")
    neither = "solver='lbfgs' has neither batch_norm nor dropout"
    for parameters, message in (
        ({"hidden_layer_sizes": (3, 0)}, r"^hidden_layer_sizes must be whole numbers > 0, got \(3, 0\)"),
        ({"hidden_layer_sizes": [[3]]}, "^hidden_layer_sizes must be whole numbers > 0"),
        ({"solver": "lbfgs", "batch_norm": "both"}, neither),
        ({"solver": "lbfgs", "dropout": 0.2}, neither),
        ({"batch_norm": "hidden", "batch_size": 1}, "must be at least 2 with batch_norm='hidden', got 1"),
        ({"early_stopping": True, "validation_fraction": 0.01}, "^validation_fraction=0.01 of 90 .* cannot .* X_val"),
    ):
        assert_refused(message, make(**parameters).fit, X, Y)
    assert_refused(r"row \d+ holds 1\.\d+", fit, X, 2 * SOFT)
    assert_refused(r"y should be a 1d array .* got .* \(90, 3\)", fit, X, 2 + SEVERAL)
    assert_refused("class_weight needs one class a row", make(class_weight={0: 2}).fit, X, SEVERAL)
    assert_refused("^validation_fraction=0.1 of 9 .*: at least 2 rows are needed", stopped.fit, X[:9], np.arange(9) % 3)
    assert_refused("sample_weight leaves no weight above zero", stopped.fit, X, Y, np.arange(N) < 2)


def test_sparse_labels_that_are_broken_are_refused_before_they_are_converted():
    broken, fitted = sparse.csc_array(SEVERAL), make().fit(X, SEVERAL)
    broken.indices[3] = 100_000_000
    for method, given in ((make().fit, {}), (make().partial_fit, {"classes": CLASSES}), (fitted.score, {})):
        assert_refused("^y is an invalid CSC matrix", method, X, broken, **given)
    assert_refused("^y_val is an invalid CSC matrix", make().fit, X, SEVERAL, X_val=X, y_val=broken)


def test_another_kind_of_target_is_refused_where_training_goes_on():
    warm, several = make(warm_start=True).fit(X, Y), make().fit(X, SEVERAL)
    two, soft = make(warm_start=True).fit(X, Y % 2), make().partial_fit(X, SOFT, classes=CLASSES)
    half_samples, ones = np.full((N, 2), 0.5), np.ones((N, 3), int)
    assert_refused("y must be of the kind of the last training", warm.fit, X, SEVERAL)
    assert_refused(r"same classes .* Previously got \[0 1 2\], `y` has \[1 2 3\]", warm.fit, X, Y + 1)
    assert_refused("features", warm.fit, X[:, :2], Y)
    assert_refused("X has 2 features", several.predict, sparse.csr_array(X[:, :2]))
    assert_refused("kind of the last training, class, got 'soft'", two.fit, X, half_samples)
    assert_refused("y must be of the kind", several.partial_fit, X, Y)
    assert_refused("y must have a column for each of 3 classes, got 2", several.partial_fit, X, SEVERAL[:, :2])
    assert_refused("y_val must be of the kind of y, multilabel, got 'class'", several.fit, X, SEVERAL, X_val=X, y_val=Y)
    assert_refused("kind of the last training, soft, got 'multilabel'", soft.partial_fit, X, ones)


def test_calls_of_partial_fit_that_are_refused_change_nothing():
    for parameters, y, classes, message in (
        ({}, Y, None, "classes must be passed on the first call"),
        ({}, Y, [0], "classes must hold at least 2 classes, got only one class"),
        ({"early_stopping": True}, Y, CLASSES, "partial_fit does not support early_stopping=True"),
        ({"class_weight": "balanced"}, Y, CLASSES, 'class_weight="balanced" is not supported for partial_fit'),
        ({"batch_norm": "input"}, Y[:1], CLASSES, "batch_norm='input' needs at least 2 rows to train on, got 1"),
    ):
        assert_refused(message, make(**parameters).partial_fit, X[: len(y)], y, classes=classes)
    model = make().partial_fit(X, Y, classes=CLASSES)
    for message, rows, y, more in (
        ("classes", X, Y, {"classes": [0, 1]}),
        ("features", X[:, :2], Y, {}),
        ("NaN", np.where(X > 1, np.nan, X), Y, {}),
        ("weight", X, Y, {"sample_weight": np.zeros(N)}),
        ("samples", X, Y[:-1], {}),
        (r"^y must hold classes of \[0 1 2\] only, got \[3\]", X, Y + 1, {}),
    ):
        assert_refused(message, model.partial_fit, rows, y, **more)
    assert_same_bits(model.partial_fit(X, Y), make().partial_fit(X, Y, classes=CLASSES).partial_fit(X, Y))


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


def test_several_labels_a_row_by_lbfgs_and_with_normalization():
    labels = np.column_stack([Y == 0, X[:, 0] > 0]).astype(int)
    model = make((20,), solver="lbfgs", max_iter=500).fit(X, labels)
    np.testing.assert_array_equal(model.predict(X), labels, strict=True)
    normalized = make((20,), batch_norm="both", dropout=0.1, max_iter=60).fit(X, sparse.csr_array(labels))
    assert normalized.score(X, labels) > 0.8
    # A batch's accuracy counts the rows all of whose labels are right.
    assert normalized.accuracy_curve_[-1] > 0.6


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


def change_gradient(patched, number, change):
    """Let what the call of a number returns go through a function."""
    compute, calls = Network.compute_gradient, itertools.count(1)

    def compute_and_change(self, *given):
        found = compute(self, *given)
        return change(*found) if next(calls) == number else found

    patched.setattr(Network, "compute_gradient", compute_and_change)


def test_lbfgs_says_that_it_stalled_where_a_step_overflowed(monkeypatch, recwarn):
    def stop_too_early(evaluate, start, *, callback, **_):
        for step in range(4):
            loss, gradient = evaluate(start + 1e-6 * step)
        callback(OptimizeResult(x=start, fun=loss))
        return OptimizeResult(x=start, fun=loss, jac=gradient, status=0)

    monkeypatch.setattr(network_lbfgs, "minimize", stop_too_early)
    # Where nothing overflows, SciPy's word counts.
    for number, tol, expected in ((0, 1e-4, None), (3, 100.0, None), (3, 1e-4, r"after 1 iteration.*status=2")):
        recwarn.clear()
        with monkeypatch.context() as patched:
            change_gradient(patched, number, lambda loss, *rest: (np.inf, *rest))
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
        change_gradient(patched, 1, INTERRUPT)
        model.partial_fit(X, Y)
    assert_same_bits(model.partial_fit(X, Y), expected)


def test_the_blas_of_scipy_has_one_thread_while_any_network_is_trained_by_lbfgs(monkeypatch):
    blas, seen = network_lbfgs._find_scipy_blas(), []

    def count(*given, **more):
        seen.append([each["num_threads"] for each in blas.info()])
        return minimize(*given, **more) if given else None

    monkeypatch.setattr(network_lbfgs, "minimize", count)
    with blas.limit(limits=2):
        first, second = network_lbfgs._limit_scipy_threads(), network_lbfgs._limit_scipy_threads()
        for step in (first.__enter__, second.__enter__, first.gen.close, count, second.gen.close, count):
            step()
        make(solver="lbfgs").fit(X, Y)
    # Some distributions have one BLAS for all.
    assert seen in ([[1], [2], [1]], [[], [], []])


def test_lbfgs_keeps_the_best_iteration_on_validation_data_and_the_last_whole_one_after_ctrl_c(monkeypatch):
    parameters = {"solver": "lbfgs", "dtype": "float64"}
    model = make(**parameters, max_iter=30).fit(X, Y, X_val=X[:20], y_val=(Y[:20] + 1) % 3)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best < 30
    assert_same_network(model, make(**parameters, max_iter=best).fit(X, Y), 0)
    with monkeypatch.context() as patched, pytest.warns(UserWarning, match="Training interrupted by user"):
        change_gradient(patched, 12, INTERRUPT)
        interrupted = make(**parameters, max_iter=30).fit(X, Y)
    assert interrupted.interrupted_ and 0 < interrupted.n_iter_ < 12
    assert_same_network(interrupted, make(**parameters, max_iter=interrupted.n_iter_).fit(X, Y), 0)
    change_gradient(monkeypatch, 1, INTERRUPT)
    assert_refused(None, make(**parameters).fit, X, Y, error=KeyboardInterrupt)


def test_lbfgs_of_a_loss_that_is_not_finite_keeps_what_it_began_with():
    model = make(solver="lbfgs", activation="identity")
    with pytest.warns(ConvergenceWarning, match="diverged.*those that it began with"):
        model.fit(np.abs(X) / np.abs(X).max() * 1e308, Y)
    assert np.isfinite(np.concatenate([coef.ravel() for coef in model.coefs_])).all()
