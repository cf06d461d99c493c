"""MiniBatchLogisticRegression from training to training: means, counts, epochs and Ctrl-C."""

import numpy as np
import pytest
from naive_mini_batches import TOLERANCE, make_data, make_model, parameters_of, step_naively
from scipy import sparse
from sklearn.metrics import log_loss

from fastlin.training import linear_descent

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@quiet
def test_a_mean_survives_a_training_that_diverges():
    X, y = make_data()
    fitted = make_model(average=True).partial_fit(X, y, np.unique(y))
    before = fitted.coef_
    fitted.set_params(learning_rate_init=1e300).partial_fit(X, y)
    np.testing.assert_array_equal(fitted.coef_, before)
    # The epoch that validates best is kept too, where a later one diverges.
    parts = [[(X, y)], [(X, y)], [(1e300 * X, y)]]
    epochs = iter(parts)
    validation = {"X_val": X, "y_val": y}
    model = make_model(average=True).fit_batches(lambda: iter(next(epochs)), np.unique(y), 3, **validation)
    assert log_loss(y, model.predict_proba(X)) == pytest.approx(model.best_validation_loss_, rel=1e-12)


@quiet
def test_numpys_numbers_mean_what_pythons_do():
    X, y = make_data()
    for given, same in (
        ({"average": np.False_}, {"average": False}),
        ({"average": np.True_}, {"average": True}),
        ({"average": np.int16(60)}, {"average": 60}),
        ({"batch_size": np.int16(40)}, {}),
        ({"batch_size": np.uint64(40)}, {}),
        ({"batch_size": 10**19}, {"batch_size": 150}),
    ):
        model, expected = (make_model(max_iter=2, **each).fit(X, y) for each in (given, same))
        np.testing.assert_array_equal(model.coef_, expected.coef_)


@quiet
def test_all_epochs_that_are_asked_for_are_taken():
    X, y = make_data()
    model = make_model(tol=10.0, n_iter_no_change=1).fit_batches([(X, y)], np.unique(y), 5)
    assert model.fit_batches([(X, y)], n_epochs=4).n_iter_ == 9
    for _ in range(3):
        model.partial_fit(X, y)
    assert (model.n_iter_, len(model.loss_curve_), model.t_) == (12, 12, 12 * 150)
    stopped = make_model(tol=10.0, n_iter_no_change=1, early_stopping=True)
    assert stopped.fit_batches([(X, y)], np.unique(y), 9, X_val=X, y_val=y).n_iter_ == 3
    with pytest.raises(ValueError, match="early_stopping=True of fit_batches needs X_val and y_val"):
        stopped.fit_batches([(X, y)])
    with pytest.raises(ValueError, match="not supported for fit_batches"):
        make_model(class_weight="balanced").fit_batches([(X, y)], np.unique(y))


@quiet
def test_switching_the_mean_keeps_the_momentum():
    X, y = make_data()
    classes = np.unique(y)
    plain = make_model().partial_fit(X, y, classes).partial_fit(X, y)
    on = make_model().partial_fit(X, y, classes).set_params(average=True).partial_fit(X, y)
    off = make_model(average=True).partial_fit(X, y, classes).set_params(average=False).partial_fit(X, y)
    np.testing.assert_array_equal(off.coef_, plain.coef_)
    np.testing.assert_array_equal(on.set_params(average=False).partial_fit(X, y).coef_, plain.partial_fit(X, y).coef_)
    # A mean that begins later is no longer that of before.
    late = make_model(average=True).partial_fit(X, y, classes).set_params(average=10**6).partial_fit(X, y)
    np.testing.assert_array_equal(late.coef_, off.coef_)


@quiet
def test_ctrl_c_behind_a_run_counts_its_steps(monkeypatch):
    X, y = make_data()
    expected, mean, _ = step_naively(X, y, np.unique(y), [np.arange(150)], make_model(), n_steps=3)
    take_steps = linear_descent.train_steps

    def interrupt_behind(*given):
        take_steps(*given)
        raise KeyboardInterrupt

    for given, parameters in (({}, expected), ({"average": True}, mean)):
        model = make_model(shuffle=False, **given)
        with monkeypatch.context() as patch:
            # A run of three steps.
            patch.setattr(linear_descent, "RUN_WORK", 3 * 2 * 40 * 12)
            patch.setattr(linear_descent, "train_steps", interrupt_behind)
            with pytest.warns(UserWarning, match="after 0 whole epochs"):
                model.fit(X, y)
        np.testing.assert_allclose(parameters_of(model), parameters, atol=TOLERANCE)
        assert model.t_ == 120


@quiet
def test_accuracies_of_parts_count_by_weight():
    X, y = make_data()
    weights = np.append(np.full(75, 0.01), np.full(75, 3.0))
    parts = [(X[:80], y[:80], weights[:80]), (X[80:], y[80:], weights[80:])]
    given = {"shuffle": False, "batch_size": 10}
    in_parts = make_model(**given).fit_batches(parts, np.unique(y))
    whole = make_model(max_iter=1, **given).fit(X, y, weights)
    np.testing.assert_allclose(in_parts.coef_, whole.coef_, atol=1e-12)
    assert in_parts.accuracy_curve_ == pytest.approx(whole.accuracy_curve_)
    assert in_parts.loss_curve_ == pytest.approx(whole.loss_curve_)


@quiet
def test_warm_starts_go_on_counting_and_take_sparse_coefficients():
    X, y = make_data()
    model = make_model(max_iter=2, warm_start=True).fit(X, y)
    coef = model.coef_.copy()
    assert model.fit(X, y).t_ == 4 * 150
    again = make_model(max_iter=2, warm_start=True).fit(X, y).sparsify()
    np.testing.assert_array_equal(again.coef_.toarray(), coef)
    np.testing.assert_array_equal(again.fit(X, y).coef_, model.coef_)


@quiet
def test_without_an_intercept_none_moves():
    for X in (make_data()[0], sparse.csr_array(make_data()[0])):
        model = make_model().partial_fit(X, make_data()[1], np.unique(make_data()[1]))
        intercept = model.intercept_
        model.set_params(fit_intercept=False).partial_fit(X, make_data()[1])
        np.testing.assert_array_equal(model.intercept_, intercept)
