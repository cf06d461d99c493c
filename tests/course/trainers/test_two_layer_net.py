"""TwoLayerNet against the homework's numbers and a plain NumPy version of it, and what may go wrong."""

import warnings

import numpy as np
import pytest
from naive_two_layer_net import NAMES, PlainTwoLayerNet, make_data

from fastlin import TwoLayerNet


def make_net(d=6, n_classes=3, std=0.5, kind=TwoLayerNet):
    np.random.seed(5)
    return kind(d, 7, n_classes, std)


def assert_same_params(found, expected, tolerance=0.0):
    assert sorted(found) == sorted(NAMES)
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], atol=tolerance, rtol=0)


def assert_same_results(net, X, y, reg, tolerance=1e-13):
    """Compare probabilities, loss and gradients with those of NumPy for the same parameters; return the gradients."""
    plain = make_net(kind=PlainTwoLayerNet)
    plain.params = {name: values.astype(np.float64) for name, values in net.params.items()}
    np.testing.assert_allclose(net.loss(X), plain.loss(X), atol=tolerance)
    (loss, grads), (expected_loss, expected) = net.loss(X, y, reg), plain.loss(X, y, reg)
    assert loss == pytest.approx(expected_loss, abs=tolerance)
    assert_same_params(grads, expected, tolerance)
    return grads


def test_the_first_parameters_are_the_homeworks():
    params = []
    for kind in (TwoLayerNet, PlainTwoLayerNet):
        np.random.seed(3)
        params.append(kind(3, 4, 2).params)
    assert_same_params(*params)
    assert {values.dtype for values in params[0].values()} == {np.dtype(np.float64)}


@pytest.mark.parametrize(("n_classes", "reg"), [(2, 0.3), (3, 0.0), (10, 0.3)])
def test_loss_and_gradients_are_those_of_numpy(n_classes, reg):
    X, y, *_ = make_data(40, 11, n_classes)
    assert_same_results(make_net(11, n_classes), X, y, reg)


@pytest.mark.parametrize(
    ("n_classes", "options"),
    [
        (2, {}),
        (3, {"batch_size": 12, "momentum": 0.8, "learning_rate_decay": 0.7}),
        (10, {"batch_size": 1, "reg": 0.0}),
        (3, {"batch_size": 60, "reg": 0.2, "learning_rate_decay": 1.0}),
        (3, {"batch_size": 45, "momentum": 0.5}),
        (2, {"batch_size": 200, "learning_rate": 0.0}),
    ],
    ids=str,
)
def test_training_is_the_numpy_loop(n_classes, options):
    data = make_data(60, 11, n_classes)
    net, plain = make_net(11, n_classes), make_net(11, n_classes, kind=PlainTwoLayerNet)
    options = {
        "learning_rate": 0.1,
        "learning_rate_decay": 0.9,
        "reg": 0.01,
        "num_iters": 40,
        "batch_size": 20,
        **options,
    }
    np.random.seed(8)
    expected = plain.train(*data, **options)
    state = np.random.get_state()[1:3]
    np.random.seed(8)
    found = net.train(*data, **options)
    assert list(found) == list(expected)
    for name in expected:
        assert isinstance(found[name], list)
        np.testing.assert_allclose(found[name], expected[name], atol=1e-12, rtol=0)
    assert_same_params(net.params, plain.params, 1e-12)
    assert not net.interrupted
    # Nothing else is drawn from the global state.
    np.testing.assert_array_equal(np.random.get_state()[1], state[0])
    assert np.random.get_state()[2] == state[1]


def test_float32_rows_are_computed_in_float32():
    X, y, *validation = make_data()
    X, net = X.astype(np.float32), make_net()
    grads = assert_same_results(net, X, y, 0.01, 1e-6)
    assert {array.dtype for array in (net.loss(X), *grads.values())} == {np.dtype(np.float32)}
    net.train(X, y, *validation, num_iters=3)
    for values in net.params.values():
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, values.astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "change"),
    [
        (np.uint8, np.asfortranarray),
        (np.int8, lambda X: np.repeat(X, 2, axis=1)[:, ::2]),
        (np.int64, np.ndarray.tolist),
        (np.float16, np.asarray),
    ],
)
def test_rows_of_any_type_and_layout(dtype, change):
    generator = np.random.default_rng(2)
    X, y = generator.integers(0, 100, (50, 6)).astype(dtype), generator.integers(0, 3, 50)
    y_column = y[:, np.newaxis].astype(np.uint8)
    net, same = make_net(std=0.01), make_net(std=0.01)
    rows = change(X)
    exact = X.astype(np.float64)
    np.testing.assert_array_equal(net.predict(rows), same.predict(exact))
    assert net.loss(rows, y_column)[0] == pytest.approx(same.loss(exact, y)[0], abs=1e-13)
    histories = []
    for network, data in ((net, (rows, y_column, rows, y_column)), (same, (exact, y, exact, y))):
        np.random.seed(8)
        histories.append(network.train(*data, num_iters=10, batch_size=20))
    assert histories[0] == histories[1]
    assert_same_params(net.params, same.params)


def test_parameters_may_be_changed_and_replaced():
    X, y, *_ = make_data()
    net = make_net()
    net.params["W1"] -= 0.1 * net.loss(X, y)[1]["W1"]
    net.params["b2"] = np.array([1, 2, 3])
    net.params["W2"] = np.asfortranarray(net.params["W2"].astype(np.float32))
    grads = assert_same_results(net, X, y, 0.1)
    # What was returned belongs to the caller.
    kept = {name: grad.copy() for name, grad in grads.items()}
    net.loss(X[:10], y[:10])
    assert_same_params(grads, kept)


def test_a_second_training_goes_on_without_the_velocity_of_the_first():
    data, options = make_data(), (0.1, 0.9, 0.01, 5, 20, False, 0.9)
    net, plain = make_net(), make_net(kind=PlainTwoLayerNet)
    given, arrays = net.params, dict(net.params)
    for network in (plain, net):
        np.random.seed(8)
        for _ in range(2):
            network.train(*data, *options)
    assert_same_params(net.params, plain.params, 1e-12)
    # New arrays are put into the same dict.
    assert net.params is given
    assert_same_params(arrays, make_net().params)


def test_predictions_are_the_first_of_the_best_classes():
    X, *_ = make_data()
    net = make_net()
    labels = net.predict(X)
    assert labels.dtype == np.int64
    assert len(np.unique(labels)) == 3
    np.testing.assert_array_equal(labels, net.loss(X).argmax(axis=1))
    # Scores so close, and so far apart, that the probabilities of the two best are equal; and equal ones.
    net.params["W2"] = np.zeros((7, 3))
    for best in ([1.0, 1.0 + 1e-15, -800.0], [0.0, 1.0, 1.0]):
        net.params["b2"] = np.array(best)
        np.testing.assert_array_equal(net.predict(X), np.ones(60))


@pytest.mark.parametrize(("dtype", "learning_rate"), [(np.float64, 1e4), (np.float32, 1e4), (np.float64, 1e307)])
def test_a_training_that_diverges_stops_with_the_last_finite_parameters(dtype, learning_rate):
    X, y, X_val, y_val = make_data()
    X = X.astype(dtype)
    net, same = make_net(), make_net()
    np.random.seed(8)
    with pytest.warns(RuntimeWarning, match="diverged") as warned:
        stats = net.train(X, y, X_val, y_val, learning_rate, reg=1e-3, batch_size=20)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    n = len(stats["loss_history"])
    assert n < 100
    assert f"in iteration {n}," in str(warned[0].message)
    assert np.isfinite(stats["loss_history"]).all()
    assert all(np.isfinite(values).all() for values in net.params.values())
    assert not net.interrupted
    if n:
        np.random.seed(8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert stats == same.train(X, y, X_val, y_val, learning_rate, reg=1e-3, batch_size=20, num_iters=n)
    assert_same_params(net.params, same.params)


def test_a_loss_beyond_all_numbers_is_a_divergence_too():
    net, same = make_net(), make_net()
    for network in (net, same):
        network.params["W1"] *= 1e200
    with pytest.warns(RuntimeWarning, match="in iteration 0,"):
        stats = net.train(*make_data(), reg=1.0, learning_rate=0.0, num_iters=3)
    assert stats["loss_history"] == []
    assert_same_params(net.params, same.params)


def test_verbose_shows_a_bar_with_the_loss(capsys):
    net = make_net()
    net.train(*make_data(), num_iters=12, batch_size=20)
    assert capsys.readouterr().out == ""
    stats = net.train(*make_data(), num_iters=12, batch_size=20, verbose=True)
    shown = capsys.readouterr().out
    assert "12/12" in shown
    assert f"loss {stats['loss_history'][-1]:.4f}" in shown
