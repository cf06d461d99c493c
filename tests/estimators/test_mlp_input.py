"""Input of MLPClassifier: data and targets of every type, class weights, and errors."""

import contextlib
import copy
import itertools
import re
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises
from scipy import sparse
from scipy.optimize import OptimizeResult, minimize
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from small_networks import assert_bitwise_equal, assert_same_network, have_different_coefs, make, make_data

from fastlin.networks import Network
from fastlin.training import network_lbfgs

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_data()
N, CLASSES = len(Y), [0, 1, 2]
MULTILABEL_TARGETS = np.eye(3, dtype=int)[Y]
SOFT_LABELS = 0.8 * MULTILABEL_TARGETS + 0.2 / 3
X_VAL, Y_VAL = X[:10], Y[:10]
X_VAL_WITH_NAN, X_VAL_WITH_INFINITY = (np.where(X_VAL == X_VAL.max(), value, X_VAL) for value in (np.nan, np.inf))
raise_interrupt = Mock(side_effect=KeyboardInterrupt)


def test_validation_data_must_have_the_feature_names_of_the_data():
    dataframe = pd.DataFrame(X, columns=list("abcdef"))
    model = make().fit(dataframe, Y, X_val=dataframe, y_val=pd.Series(Y))
    assert_bitwise_equal(model, make().fit(X, Y, X_val=X, y_val=Y))
    assert_raises("feature names", make().fit, dataframe, Y, X_val=dataframe[list("fedcba")], y_val=Y)


@pytest.mark.parametrize("parameters", [{}, {"dtype": "float64", "shuffle": False, "batch_norm": "both"}], ids=str)
def test_any_type_of_data_gives_bitwise_equal_networks(parameters):
    whole = np.random.default_rng(0).integers(0, 5, (90, 6))
    X = whole.astype(parameters.get("dtype", "float32"))
    expected = make(**parameters).fit(X, Y, X_val=X, y_val=Y)
    names = "float64", "float32", "float16", "uint8", "int8", "int64"
    kinds = np.asfortranarray(X), sparse.csr_array(X), sparse.csc_matrix(X), sparse.coo_array(whole)
    for form in (*map(whole.astype, names), *kinds):
        actual = make(**parameters).fit(form, Y, X_val=form, y_val=Y)
        assert actual.validation_loss_curve_ == expected.validation_loss_curve_
        assert_bitwise_equal(actual, expected)
        np.testing.assert_array_equal(actual.predict_proba(form), expected.predict_proba(X))


@pytest.mark.parametrize(
    ("X_val", "y_val", "message"),
    [
        (X_VAL_WITH_NAN, Y_VAL, "X_val must be rows of finite numbers .*: Input X contains NaN"),
        (X_VAL_WITH_INFINITY, Y_VAL, "X_val must be rows of finite numbers .*: Input X contains infinity"),
        (X_VAL, np.full(10, np.nan), ".*y_val contains NaN"),
        (X_VAL, None, "X_val and y_val must be given together, got only X_val"),
        (None, Y_VAL, "X_val and y_val must be given together, got only y_val"),
        (X_VAL, Y_VAL[:-1], ".*y_val has 9 entries, but X_val has 10 rows"),
        (X_VAL[:, :2], Y_VAL, "X_val must be rows .* X has 2 features, but MLPClassifier is .* 6"),
        (X_VAL[:, 0], Y_VAL, "X_val must be rows .*: Expected 2D array"),
        (X_VAL[:0], Y_VAL[:0], "X_val must be rows .*0 sample"),
        (X_VAL, Y_VAL + 1, r"y_val must contain only the classes \[0 1 2\], got \[3\]"),
        (X_VAL, Y_VAL.astype(str), "y_val must contain only the classes"),
    ],
)
def test_invalid_validation_data_do_not_change_the_estimator(X_val, y_val, message):
    for model in (make(), make().fit(*make_data(3, d=5))):
        assert_raises(f"^{message}", model.fit, X, Y, X_val=X_val, y_val=y_val)


@pytest.mark.parametrize(("parameters", "n_rows"), [({}, 40), ({"early_stopping": True}, 36)])
def test_a_batch_size_above_the_number_of_rows_is_clipped(parameters, n_rows):
    X, y = make_data(n=40)
    with pytest.warns(UserWarning, match=f"clipped to the {n_rows} rows"):
        model = make(batch_size=n_rows + 1, **parameters).fit(X, y)
    assert model.loss_curve_ == make(batch_size=n_rows, **parameters).fit(X, y).loss_curve_


def test_a_column_of_labels_is_accepted_with_a_warning():
    for arguments in ({"y": Y[:, np.newaxis]}, {"y": Y, "X_val": X, "y_val": Y[:, np.newaxis]}):
        with pytest.warns(DataConversionWarning):
            model = make().fit(X, **arguments)
        assert_bitwise_equal(model, make().fit(X, Y))


def test_invalid_parameters_targets_and_weights_raise_an_error():
    fit, stopped = make().fit, make(early_stopping=True, batch_size="auto")
    message_for_lbfgs = "solver='lbfgs' supports neither batch_norm nor dropout"
    for parameters, message in (
        ({"hidden_layer_sizes": (3, 0)}, r"^hidden_layer_sizes must be integers > 0, got \(3, 0\)"),
        ({"hidden_layer_sizes": [[3]]}, "^hidden_layer_sizes must be integers > 0"),
        ({"solver": "lbfgs", "batch_norm": "both"}, message_for_lbfgs),
        ({"solver": "lbfgs", "dropout": 0.2}, message_for_lbfgs),
        ({"batch_norm": "hidden", "batch_size": 1}, "must be at least 2 with batch_norm='hidden', got 1"),
        ({"early_stopping": True, "validation_fraction": 0.01}, "^validation_fraction=0.01 of 90 .* cannot .* X_val"),
    ):
        assert_raises(message, make(**parameters).fit, X, Y)
    assert_raises(r"row \d+ contains 1\.\d+", fit, X, 2 * SOFT_LABELS)
    assert_raises(r"y should be a 1d array .* got .* \(90, 3\)", fit, X, 2 + MULTILABEL_TARGETS)
    assert_raises(
        "class_weight requires y with one class per row", make(class_weight={0: 2}).fit, X, MULTILABEL_TARGETS
    )
    assert_raises("^validation_fraction=0.1 of 9 .*: at least 2 rows are needed", stopped.fit, X[:9], np.arange(9) % 3)
    assert_raises("sample_weight must be positive for some training rows", stopped.fit, X, Y, np.arange(N) < 2)


def test_invalid_sparse_labels_raise_an_error_before_their_conversion():
    broken, fitted = sparse.csc_array(MULTILABEL_TARGETS), make().fit(X, MULTILABEL_TARGETS)
    broken.indices[3] = 100_000_000
    for method, arguments in ((make().fit, {}), (make().partial_fit, {"classes": CLASSES}), (fitted.score, {})):
        assert_raises("^y is an invalid CSC matrix", method, X, broken, **arguments)
    assert_raises("^y_val is an invalid CSC matrix", make().fit, X, MULTILABEL_TARGETS, X_val=X, y_val=broken)


def test_continued_training_requires_the_same_kind_of_target():
    warm, multilabel_model = make(warm_start=True).fit(X, Y), make().fit(X, MULTILABEL_TARGETS)
    two, soft_label_model = make(warm_start=True).fit(X, Y % 2), make().partial_fit(X, SOFT_LABELS, classes=CLASSES)
    half_samples, ones = np.full((N, 2), 0.5), np.ones((N, 3), int)
    assert_raises("y must be of the same kind as in the last training", warm.fit, X, MULTILABEL_TARGETS)
    assert_raises(r"same classes .* Previously got \[0 1 2\], `y` has \[1 2 3\]", warm.fit, X, Y + 1)
    assert_raises("features", warm.fit, X[:, :2], Y)
    assert_raises("X has 2 features", multilabel_model.predict, sparse.csr_array(X[:, :2]))
    assert_raises("kind as in the last training, class, got 'soft'", two.fit, X, half_samples)
    assert_raises("y must be of the same kind", multilabel_model.partial_fit, X, Y)
    assert_raises(
        "y must have a column for each of 3 classes, got 2", multilabel_model.partial_fit, X, MULTILABEL_TARGETS[:, :2]
    )
    assert_raises(
        "zeros and ones, as y does, got 'one class per row'",
        multilabel_model.fit,
        X,
        MULTILABEL_TARGETS,
        X_val=X,
        y_val=Y,
    )
    assert_raises("kind as in the last training, soft, got 'multilabel'", soft_label_model.partial_fit, X, ones)


def test_invalid_calls_of_partial_fit_do_not_change_the_model():
    for parameters, y, classes, message in (
        ({}, Y, None, "classes must be passed on the first call"),
        ({}, Y, [0], "classes must contain at least 2 classes, got only one class"),
        ({"early_stopping": True}, Y, CLASSES, "partial_fit does not support early_stopping=True"),
        ({"class_weight": "balanced"}, Y, CLASSES, 'class_weight="balanced" is not supported by partial_fit'),
        ({"batch_norm": "input"}, Y[:1], CLASSES, "batch_norm='input' requires at least 2 training rows, got 1"),
    ):
        assert_raises(message, make(**parameters).partial_fit, X[: len(y)], y, classes=classes)
    model = make().partial_fit(X, Y, classes=CLASSES)
    for message, rows, y, more in (
        ("classes", X, Y, {"classes": [0, 1]}),
        ("features", X[:, :2], Y, {}),
        ("NaN", np.where(X > 1, np.nan, X), Y, {}),
        ("weight", X, Y, {"sample_weight": np.zeros(N)}),
        ("samples", X, Y[:-1], {}),
        (r"^y must contain only the classes \[0 1 2\], got \[3\]", X, Y + 1, {}),
    ):
        assert_raises(message, model.partial_fit, rows, y, **more)
    assert_bitwise_equal(model.partial_fit(X, Y), make().partial_fit(X, Y, classes=CLASSES).partial_fit(X, Y))


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_probabilities_weight_the_classes_of_a_row(solver):
    # Each row has probability 1/2 for two classes. Two copies with one class each have the same mean loss.
    targets = 0.5 * np.eye(3)[Y] + 0.5 * np.eye(3)[(Y + 1) % 3]
    settings = {"dtype": "float64", "batch_size": 180, "shuffle": False, "alpha": 0.0, "solver": solver}
    model = make(**settings | {"batch_size": 90}).fit(X, targets)
    twice = make(**settings).fit(np.vstack([X, X]), np.concatenate([Y, (Y + 1) % 3]))
    assert model.loss_curve_ == pytest.approx(twice.loss_curve_, rel=1e-10)
    assert_same_network(model, twice, 1e-8)
    two = make(dtype="float64").fit(X, np.column_stack([targets[:, 0], 1 - targets[:, 0]]))
    assert two.predict_proba(X).shape == (90, 2)
    assert set(two.predict(X)) <= {0, 1}


def test_certain_labels_continue_a_training_with_probabilities():
    certain = np.eye(3)[Y]
    first, *calls = (
        make(random_state=3).partial_fit(X, SOFT_LABELS, classes=[0, 1, 2]).partial_fit(X, labels)
        for labels in (certain, certain.astype(int), Y)
    )
    for call in calls:
        assert_bitwise_equal(call, first)
    scores = [make().fit(X, SOFT_LABELS, X_val=X, y_val=labels).validation_scores_ for labels in (certain, Y)]
    assert scores[0] == scores[1] and max(scores[0]) > 0.4
    stopped = make(early_stopping=True, max_iter=20, n_iter_no_change=3).fit(X, SOFT_LABELS)
    assert len(stopped.validation_scores_) == stopped.n_iter_


def test_multilabel_training_supports_lbfgs_and_batch_norm():
    labels = np.column_stack([Y == 0, X[:, 0] > 0]).astype(int)
    model = make((20,), solver="lbfgs", max_iter=500).fit(X, labels)
    np.testing.assert_array_equal(model.predict(X), labels, strict=True)
    normalized = make((20,), batch_norm="both", dropout=0.1, max_iter=60).fit(X, sparse.csr_array(labels))
    assert normalized.score(X, labels) > 0.8
    # The accuracy of a batch counts rows whose labels are all correct.
    assert normalized.accuracy_curve_[-1] > 0.6


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_weights_are_sample_weights(n_classes):
    X, y = make_data(n_classes)
    names = np.array(["a", "b", "c"])[y]
    class_weight = dict(zip("abc"[:n_classes], [2.0, 0.5, 1.0], strict=False))
    weights = [class_weight[name] for name in names]
    model = make(class_weight=class_weight).fit(X, names)
    assert_bitwise_equal(model, make().fit(X, names, weights))
    assert have_different_coefs(model, make().fit(X, names))
    balanced = make(class_weight="balanced").fit(X, names)
    assert_bitwise_equal(balanced, make().fit(X, names, (len(y) / (n_classes * np.bincount(y)))[y]))
    incremental = make(class_weight=class_weight).partial_fit(X, names, classes=np.unique(names))
    assert_bitwise_equal(incremental, make().partial_fit(X, names, weights, classes=np.unique(names)))


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_single_class_is_predicted_for_every_row(solver):
    model = make(solver=solver, max_iter=100).fit(X, np.full(90, "only"))
    np.testing.assert_array_equal(model.predict(X), np.full(90, "only"))
    assert model.predict_proba(X).shape == (90, 2)
    assert model.predict_proba(X)[:, 0].min() > 0.5


def test_partial_fit_after_lbfgs_starts_without_optimizer_state():
    model = make(solver="adam").fit(X, Y).set_params(solver="lbfgs", hidden_layer_sizes=(9,)).fit(X, Y)
    after = model.set_params(solver="adam").partial_fit(X, Y)
    fresh_network = make((9,), solver="lbfgs").fit(X, Y).set_params(solver="adam").partial_fit(X, Y)
    assert_bitwise_equal(after, fresh_network)
    warm = make(warm_start=True).fit(X, Y)
    assert warm.set_params(solver="lbfgs").fit(X, Y).t_ == 5 * 90


def patch_gradient(patched, number, change):
    """Apply `change` to the result of the call of `Network.compute_gradient` whose number is `number`."""
    unpatched_gradient, calls = Network.compute_gradient, itertools.count(1)

    def compute_changed_gradient(self, *arguments):
        result = unpatched_gradient(self, *arguments)
        return change(*result) if next(calls) == number else result

    patched.setattr(Network, "compute_gradient", compute_changed_gradient)


def test_lbfgs_warns_if_it_stalls_because_a_step_overflows(monkeypatch, recwarn):
    def stop_after_first_step(evaluate, start, *, callback, **_):
        for step in range(4):
            loss, gradient = evaluate(start + 1e-6 * step)
        callback(OptimizeResult(x=start, fun=loss))
        return OptimizeResult(x=start, fun=loss, jac=gradient, status=0)

    monkeypatch.setattr(network_lbfgs, "minimize", stop_after_first_step)
    # If nothing overflows, SciPy's status is reported.
    for number, tol, expected in ((0, 1e-4, None), (3, 100.0, None), (3, 1e-4, r"after 1 iteration.*status=2")):
        recwarn.clear()
        with monkeypatch.context() as patched:
            patch_gradient(patched, number, lambda loss, *rest: (np.inf, *rest))
            make(solver="lbfgs", tol=tol).fit(X, Y)
        assert len(recwarn) == (expected is not None)
        assert expected is None or re.search(f"(?s)lbfgs failed to converge {expected}", str(recwarn[0].message))


def test_partial_fit_monitors_the_loss_after_early_stopping():
    parameters = {"learning_rate": "adaptive", "n_iter_no_change": 2}
    # Losses decrease by less than 1, each is lower than the previous one, and all are below the monitored accuracy.
    for tol, is_rate_reduced in ((1.0, True), (0.0, False)):
        model = make(**parameters, tol=tol, early_stopping=True).fit(X, Y).set_params(early_stopping=False)
        for _ in range(12):
            model.partial_fit(X, Y)
        assert (model._optimizer.learning_rate < 0.1 * model.learning_rate_init) == is_rate_reduced, tol


def test_ctrl_c_in_partial_fit_restores_the_random_state(monkeypatch):
    model = make(dropout=0.2).partial_fit(X, Y, classes=[0, 1, 2])
    expected = copy.deepcopy(model).partial_fit(X, Y)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patch_gradient(patched, 1, raise_interrupt)
        model.partial_fit(X, Y)
    assert_bitwise_equal(model.partial_fit(X, Y), expected)


def test_scipys_blas_has_one_thread_during_network_lbfgs(monkeypatch):
    blas, thread_counts = network_lbfgs._find_scipy_blas(), []

    def count(*arguments, **more):
        thread_counts.append([library["num_threads"] for library in blas.info()])
        return minimize(*arguments, **more) if arguments else None

    monkeypatch.setattr(network_lbfgs, "minimize", count)
    with blas.limit(limits=2):
        # After an interrupt at the end of a run, the next run restores the number of threads.
        interrupted = network_lbfgs._limit_scipy_threads()
        interrupted.__enter__()
        with monkeypatch.context() as patched:
            patched.setattr(network_lbfgs, "_LIMITS_LOCK", None)
            with contextlib.suppress(TypeError):
                interrupted.__exit__(None, None, None)
        del interrupted
        first, second = network_lbfgs._limit_scipy_threads(), network_lbfgs._limit_scipy_threads()
        for step in (first.__enter__, second.__enter__, first.gen.close, count, second.gen.close, count):
            step()
        make(solver="lbfgs").fit(X, Y)
    # Some distributions share one BLAS.
    assert thread_counts in ([[1], [2], [1]], [[], [], []])


def test_lbfgs_keeps_the_iteration_with_the_best_validation_score(monkeypatch):
    parameters = {"solver": "lbfgs", "dtype": "float64"}
    model = make(**parameters, max_iter=30).fit(X, Y, X_val=X[:20], y_val=(Y[:20] + 1) % 3)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best < 30
    assert_same_network(model, make(**parameters, max_iter=best).fit(X, Y), 0)
    with monkeypatch.context() as patched, pytest.warns(UserWarning, match="Training interrupted by user"):
        patch_gradient(patched, 12, raise_interrupt)
        interrupted_network = make(**parameters, max_iter=30).fit(X, Y)
    assert interrupted_network.interrupted_ and 0 < interrupted_network.n_iter_ < 12
    assert_same_network(interrupted_network, make(**parameters, max_iter=interrupted_network.n_iter_).fit(X, Y), 0)
    patch_gradient(monkeypatch, 1, raise_interrupt)
    assert_raises(None, make(**parameters).fit, X, Y, error=KeyboardInterrupt)


def test_lbfgs_keeps_the_initial_parameters_if_the_loss_is_not_finite():
    model = make(solver="lbfgs", activation="identity")
    with pytest.warns(ConvergenceWarning, match="diverged.*the initial ones"):
        model.fit(np.abs(X) / np.abs(X).max() * 1e308, Y)
    assert np.isfinite(np.concatenate([coef.ravel() for coef in model.coefs_])).all()
