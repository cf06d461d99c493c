"""MiniBatchLogisticRegression: steps compared with a naive loop, the selected epoch, and incremental fits."""

import itertools
import pickle

import numpy as np
import pytest
from conftest import assert_raises, make_problem, requires_scikit_learn
from naive_mini_batches import TOLERANCE, generate_row_orders, make_data, make_model, stack_parameters, train_naively
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from fastlin import LogisticRegression, MiniBatchLogisticRegression
from fastlin.callbacks import TimeLimit
from fastlin.training import linear_descent

X, Y = make_data()
CLASSES = np.unique(Y)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "parameters", [{}, {"alpha": 0.1, "momentum": 0.0}, {"average": True}, {"fit_intercept": False}]
)
@pytest.mark.parametrize("is_weighted", [False, True])
def test_steps_equal_those_of_a_naive_loop(n_classes, parameters, is_weighted):
    X, y = make_data(n_classes)
    weights = np.linspace(0, 2, len(y)) if is_weighted else None
    model = make_model(max_iter=4, learning_rate_init=0.1, **parameters)
    last, mean, losses = train_naively(X, y, np.unique(y), generate_row_orders(len(y), 4), model, weights)
    model.fit(X, y, weights)
    np.testing.assert_allclose(stack_parameters(model), mean if model.average else last, atol=TOLERANCE)
    np.testing.assert_allclose(model.loss_curve_, losses, atol=TOLERANCE)
    assert model.coef_.dtype == np.float64
    assert (model.n_iter_, model.t_, len(model.accuracy_curve_)) == (4, 4 * len(y), 4)
    assert model.validation_loss_curve_ is model.best_validation_loss_ is None


def test_averaging_starts_after_a_number_of_rows():
    model, row_orders = make_model(max_iter=2, average=90), list(generate_row_orders(len(Y), 2))
    # Reading 90 rows takes three steps of 40 rows; an epoch has four steps.
    steps = [train_naively(X, Y, CLASSES, row_orders, model, n_steps=n_steps)[0] for n_steps in range(4, 9)]
    np.testing.assert_allclose(stack_parameters(model.fit(X, Y)), np.mean(steps, axis=0), atol=TOLERANCE)


@pytest.mark.slow
def test_x_in_any_container_gives_the_same_model():
    rounded = np.round(4 * X)
    # X is wide enough that batches use sparse products.
    wide = sparse.random(150, 20_000, density=0.002, random_state=0, format="csr")
    kinds = rounded.astype(np.float16), sparse.csr_array(rounded), sparse.coo_matrix(rounded), wide
    for kind in kinds:
        dense = kind.toarray() if sparse.issparse(kind) else rounded
        model, expected = (make_model(max_iter=3).fit(rows, Y) for rows in (kind, dense))
        np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-12)
        assert (model.predict(kind) == expected.predict(dense)).all()


def test_training_continues_bitwise_equal_after_pickling():
    first = MiniBatchLogisticRegression(max_iter=3, random_state=1).fit(X, Y)
    assert first.coef_.dtype == np.float32
    again = pickle.loads(pickle.dumps(first)).partial_fit(X, Y)
    np.testing.assert_array_equal(again.coef_, first.partial_fit(X, Y).coef_)


def test_the_epoch_of_the_lowest_validation_loss_is_selected():
    validation = {"X_val": X[::3], "y_val": np.roll(Y[::3], 5)}
    parts = [(X[:90], Y[:90]), (X[90:], Y[90:])]
    for train, rate in (
        (lambda model, n, **more: model.set_params(max_iter=n).fit(X, Y, **more), 0.005),
        (lambda model, n, **more: model.fit_batches(parts, CLASSES, n, **more), 0.02),
    ):
        models = [train(make_model(learning_rate_init=rate), n_epochs) for n_epochs in range(1, 9)]
        losses = [log_loss(validation["y_val"], model.predict_proba(X[::3])) for model in models]
        best = int(np.argmin(losses))
        assert 0 < best < 7
        model = train(make_model(learning_rate_init=rate), 8, **validation)
        np.testing.assert_allclose(model.validation_loss_curve_, losses, rtol=1e-12)
        np.testing.assert_array_equal(model.coef_, models[best].coef_)
        assert model.best_validation_loss_ == min(model.validation_loss_curve_)
    stopped = make_model(early_stopping=True, n_iter_no_change=2, learning_rate_init=0.2)
    assert stopped.fit(X, Y, **validation).n_iter_ < 8
    assert make_model(early_stopping=True).fit(X, Y).best_validation_loss_ < 0.5


@pytest.mark.parametrize(
    "parameters", [{}, {"average": True}, {"learning_rate": "invscaling", "learning_rate_init": 1.0}]
)
def test_partial_fit_and_fit_batches_are_equivalent(parameters):
    incremental, model_of_batches, two_epoch_model = (make_model(**parameters) for _ in range(3))
    for part in (slice(0, 90), slice(90, 150)):
        incremental.partial_fit(X[part], Y[part], classes=CLASSES)
    parts = [(X[:90], Y[:90]), (sparse.csr_array(X[90:]), Y[90:], np.ones(60))]
    model_of_batches.fit_batches(parts, CLASSES)
    if "learning_rate" not in parameters:
        # "invscaling" lowers the learning rate after an epoch, and an epoch of fit_batches consists of all parts.
        np.testing.assert_allclose(model_of_batches.coef_, incremental.coef_, atol=1e-12)
    assert (model_of_batches.t_, model_of_batches.n_iter_, incremental.n_iter_) == (150, 1, 2)
    two_epoch_model.fit_batches(lambda: iter(parts), CLASSES, n_epochs=2)
    np.testing.assert_array_equal(model_of_batches.fit_batches(iter(parts)).coef_, two_epoch_model.coef_)
    assert len(two_epoch_model.loss_curve_) == 2


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("part 1 of batches: .*y must contain only the classes .*, got .*'d'", [(X, Y), (X, np.full(150, "d"))]),
        ("part 1 of batches: .*NaN", [(X, Y), (np.where(X > 2, np.nan, X), Y)]),
        ("part 1 of batches: X has 3 features", [(X, Y), (X[:, :3], Y)]),
        ("part 0 of batches: .*inconsistent numbers of samples", [(X, Y[:-1])]),
        ("part 1 of batches: ", [(X, Y), X]),
        ("batches must hold at least one part, got none", []),
    ],
)
def test_invalid_batches_do_not_change_the_model(message, parts):
    assert_raises(message, make_model().fit_batches, parts, CLASSES)
    fitted = make_model().partial_fit(X, Y, CLASSES)
    before = pickle.dumps(fitted.__dict__)
    assert_raises(message, fitted.fit_batches, parts)
    assert pickle.dumps(fitted.__dict__) == before


def test_invalid_calls_raise_an_error():
    soft_labels, rest, batches = np.full((150, 3), 1 / 3), iter([(X, Y)]), [(X, Y)]
    model, warm = make_model(), make_model(max_iter=500, warm_start=True).fit(X, Y)
    balanced_model, early_stopping_model = make_model(class_weight="balanced"), make_model(early_stopping=True)
    assert_raises("batches must be iterable 2 times, got an iterator", model.fit_batches, rest, CLASSES, 2)
    assert_raises("n_epochs must be an integer of at least 1, got 0", model.fit_batches, batches, CLASSES, 0)
    assert_raises("batches must hold at least one part in every epoch", model.fit_batches, lambda: rest, CLASSES, 2)
    assert_raises("classes must be passed on the first call", model.partial_fit, X, Y)
    assert_raises(
        "one class per row, got probabilities of the classes", model.partial_fit, X, soft_labels, classes=[0, 1, 2]
    )
    assert_raises("only one class: a", model.fit, X[:10], np.full(10, "a"))
    assert_raises('"balanced" is not supported by fit_batches', balanced_model.fit_batches, batches, CLASSES)
    assert_raises("early_stopping", early_stopping_model.partial_fit, X, Y, CLASSES)
    assert_raises(
        "fit_batches with early_stopping=True requires X_val", early_stopping_model.fit_batches, batches, CLASSES
    )
    assert_raises("warm_start .* same classes as in the previous call", warm.fit, X, np.where(Y == "a", "z", Y))


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize(
    ("by", "n_steps", "steps_per_call"),
    [("fit", 1, 1), ("fit", 4, 1), ("partial_fit", 3, 1), ("fit_batches", 6, 1), ("fit", 3, 3)],
)
def test_ctrl_c_keeps_the_last_complete_step(by, n_steps, steps_per_call, average, monkeypatch):
    model = make_model(max_iter=3, shuffle=False, average=average)
    expected, mean, losses = train_naively(X, Y, CLASSES, [np.arange(150)] * 3, model, n_steps=n_steps)
    calls = {
        "fit": lambda: model.fit(X, Y),
        "partial_fit": lambda: model.partial_fit(X, Y, CLASSES),
        "fit_batches": lambda: model.fit_batches([(X, Y)], CLASSES, 3),
    }
    numbers, take_steps = itertools.count(), linear_descent.train_steps

    def take_steps_and_interrupt(*arguments):
        if next(numbers) == n_steps:
            raise KeyboardInterrupt
        take_steps(*arguments)
        if steps_per_call > 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(linear_descent, "MAX_KERNEL_CALL_WORK", steps_per_call * 2 * 40 * 12 if steps_per_call > 1 else 1)
        patch.setattr(linear_descent, "train_steps", take_steps_and_interrupt)
        with pytest.warns(UserWarning, match=rf"after {n_steps // 4} complete epochs; .* keeps them and the steps"):
            calls[by]()
    assert model.interrupted_
    np.testing.assert_allclose(stack_parameters(model), mean if average else expected, atol=TOLERANCE)
    np.testing.assert_allclose(model.loss_curve_, losses, atol=TOLERANCE)
    assert model.t_ == 150 * (n_steps // 4) + 40 * (n_steps % 4)
    assert np.isfinite(model.partial_fit(X[:40], Y[:40]).coef_).all()


@pytest.mark.parametrize("average", [False, True])
def test_a_diverging_training_keeps_the_last_finite_model(average):
    with pytest.warns(ConvergenceWarning, match="diverged.*Lower learning_rate_init"):
        model = make_model(learning_rate_init=1e300, average=average).fit(X, Y)
    assert np.isfinite(model.coef_).all()
    fitted = make_model(average=average).partial_fit(X, Y, CLASSES)
    before = fitted.coef_
    with pytest.warns(ConvergenceWarning, match="diverged"):
        fitted.set_params(learning_rate_init=1e300).partial_fit(X, Y)
    np.testing.assert_array_equal(fitted.coef_, before)
    epochs = iter([[(X, Y)], [(X, Y)], [(1e300 * X, Y)]])
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model = make_model(average=average).fit_batches(lambda: iter(next(epochs)), CLASSES, 3, X_val=X, y_val=Y)
    assert log_loss(Y, model.predict_proba(X)) == pytest.approx(model.best_validation_loss_, rel=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_converted_model_of_scikit_learn_predicts_the_same(n_classes):
    X, y = make_data(n_classes)
    model = make_model(max_iter=5).fit(X, y)
    theirs = model.to_sklearn()
    np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), atol=1e-12)
    assert (theirs.predict(X) == model.predict(X)).all()


@requires_scikit_learn(1, 9)
def test_callbacks_stop_training_after_an_epoch():
    assert make_model(max_iter=9).set_callbacks(TimeLimit(0)).fit(X, Y).n_iter_ == 1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_training_with_soft_labels_approaches_the_exact_fit(n_classes):
    X, _, weights, *_ = make_problem(600, 4, n_classes)
    soft_labels = np.random.default_rng(1).dirichlet(np.ones(n_classes), 600)
    exact = LogisticRegression(C=1 / (0.01 * weights.sum()), tol=1e-10).fit(X, soft_labels, weights)
    model = make_model(alpha=0.01, batch_size=100, average=True, max_iter=60, n_iter_no_change=np.inf)
    for rows in (X, sparse.csr_array(X)):
        model.fit(rows, soft_labels, weights)
        np.testing.assert_allclose(stack_parameters(model), stack_parameters(exact), atol=0.02)
    # The monitored loss uses the soft labels; class labels are also valid for validation.
    model.fit(X[100:], soft_labels[100:], X_val=X[:100], y_val=soft_labels[:100])
    logarithms = model.predict_log_proba(X[:100])
    assert model.best_validation_loss_ == pytest.approx(-(soft_labels[:100] * logarithms).sum(axis=1).mean(), rel=1e-6)
    model.fit(X[100:], soft_labels[100:], X_val=X[:100], y_val=soft_labels[:100].argmax(axis=1))


@pytest.mark.parametrize(
    ("name", "numpy_value", "python_value"),
    [
        ("average", np.False_, False),
        ("average", np.True_, True),
        ("average", np.int16(60), 60),
        ("batch_size", np.int16(40), 40),
        ("batch_size", np.uint64(40), 40),
        ("batch_size", 10**19, 150),
    ],
)
def test_numpy_scalars_equal_python_numbers_as_parameters(name, numpy_value, python_value):
    model, expected = (make_model(max_iter=2, **{name: value}).fit(X, Y) for value in (numpy_value, python_value))
    np.testing.assert_array_equal(model.coef_, expected.coef_)


def test_all_requested_epochs_are_run():
    model = make_model(tol=10.0, n_iter_no_change=1).fit_batches([(X, Y)], CLASSES, 5)
    assert model.fit_batches([(X, Y)], n_epochs=4).n_iter_ == 9
    for _ in range(3):
        model.partial_fit(X, Y)
    assert (model.n_iter_, len(model.loss_curve_), model.t_) == (12, 12, 12 * 150)
    stopped = make_model(tol=10.0, n_iter_no_change=1, early_stopping=True)
    assert stopped.fit_batches([(X, Y)], CLASSES, 9, X_val=X, y_val=Y).n_iter_ == 3


def test_switching_averaging_keeps_the_momentum():
    plain, newly_averaged_model, formerly_averaged_model = (
        make_model(average=average).partial_fit(X, Y, CLASSES) for average in (False, False, True)
    )
    for model, average in ((plain, False), (newly_averaged_model, True), (formerly_averaged_model, False)):
        model.set_params(average=average).partial_fit(X, Y)
    np.testing.assert_array_equal(formerly_averaged_model.coef_, plain.coef_)
    # An average that starts later replaces the earlier average.
    late = make_model(average=True).partial_fit(X, Y, CLASSES).set_params(average=10**6).partial_fit(X, Y)
    np.testing.assert_array_equal(late.coef_, plain.coef_)
    np.testing.assert_array_equal(
        newly_averaged_model.set_params(average=False).partial_fit(X, Y).coef_, plain.partial_fit(X, Y).coef_
    )


def test_batch_accuracies_are_averaged_by_weight():
    weights, parameters = np.repeat([0.01, 3.0], 75), {"shuffle": False, "batch_size": 10}
    parts = [(X[part], Y[part], weights[part]) for part in (slice(80), slice(80, None))]
    model_of_batches = make_model(**parameters).fit_batches(parts, CLASSES)
    whole = make_model(max_iter=1, **parameters).fit(X, Y, weights)
    np.testing.assert_allclose(model_of_batches.coef_, whole.coef_, atol=1e-12)
    assert model_of_batches.accuracy_curve_ == pytest.approx(whole.accuracy_curve_)
    assert model_of_batches.loss_curve_ == pytest.approx(whole.loss_curve_)


def test_warm_starts_continue_from_the_fitted_model():
    model, again = (make_model(max_iter=2, warm_start=True).fit(X, Y) for _ in range(2))
    again.sparsify()
    np.testing.assert_array_equal(again.coef_.toarray(), model.coef_)
    assert model.fit(X, Y).t_ == 4 * 150
    np.testing.assert_array_equal(again.fit(X, Y).coef_, model.coef_)
    warm = make_model(max_iter=500, warm_start=True).fit(X, Y)
    n_first_epochs = warm.n_iter_
    assert warm.fit(X, Y).n_iter_ < n_first_epochs < 500
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached.*the loss was still improving"):
        make_model(max_iter=2).fit(X, Y)


@pytest.mark.parametrize("make_rows", [np.asarray, sparse.csr_array])
def test_partial_fit_without_fit_intercept_keeps_the_intercept(make_rows):
    model = make_model().partial_fit(make_rows(X), Y, CLASSES)
    intercept = model.intercept_
    model.set_params(fit_intercept=False).partial_fit(make_rows(X), Y)
    np.testing.assert_array_equal(model.intercept_, intercept)
