"""The data of the course: pre-processing, one-hot targets, batches and the assignment's selections."""

import numpy as np
import pytest

from fastlin.course import datasets, trainers


def test_pre_processing():
    X = np.array([[0, 255, 51], [102, 0, 255]], dtype=np.uint8)
    np.testing.assert_allclose(trainers.pre_process_images(X), [[-1, 1, -0.6, 1], [-0.2, -1, 1, 1]])
    for bad in (np.zeros(3), np.full((1, 3), 256), np.full((1, 3), -1)):
        with pytest.raises(ValueError, match="X must"):
            trainers.pre_process_images(bad)


def test_one_hot():
    np.testing.assert_array_equal(trainers.one_hot_encode(np.array([[1], [0]]), 3), [[0, 1, 0], [1, 0, 0]])
    for bad in ([3], [-1], [0.5]):
        with pytest.raises(ValueError, match="whole numbers from 0 to 2"):
            trainers.one_hot_encode(np.array(bad), 3)
    with pytest.raises(AssertionError, match=r"Y must have shape \(N,\) or \(N, 1\), got \(2, 2\)"):
        trainers.one_hot_encode(np.eye(2), 2)


def test_batches():
    X, Y = np.arange(10)[:, None], np.arange(10)
    batches = list(trainers.batch_loader(X, Y, 4))
    assert [list(y) for _, y in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [len(y) for _, y in trainers.batch_loader(X, Y, 4, drop_last=False)] == [4, 4, 2]
    np.random.seed(0)
    shuffled = [(x[:, 0].tolist(), y.tolist()) for x, y in trainers.batch_loader(X, Y, 5, shuffle=True)]
    assert all(x == y for x, y in shuffled)
    assert sorted(label for _, y in shuffled for label in y) == list(range(10))
    assert shuffled[0][1] != [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="batch_size"):
        list(trainers.batch_loader(X, Y, 11))
    with pytest.raises(ValueError, match="same number of rows"):
        list(trainers.batch_loader(X, Y[:-1], 2))
    with pytest.raises(AssertionError, match="same number of rows"):
        list(trainers.batch_loader(X, Y[:-1], 2))


def test_pruning():
    X, Y = np.arange(6)[:, None], np.array([[2], [3], [1], [2], [9], [3]])
    pruned, targets = trainers.binary_prune_dataset(2, 3, X, Y)
    np.testing.assert_array_equal(pruned[:, 0], [0, 1, 3, 5])
    np.testing.assert_array_equal(targets, [[1], [0], [1], [0]])
    with pytest.raises(ValueError, match="differ"):
        trainers.binary_prune_dataset(2, 2, X, Y)
    for bad in (Y[:-1], np.hstack([Y, Y]), np.array(2)):
        with pytest.raises(AssertionError, match=r"^X and Y must have the same|^Y must have shape"):
            trainers.binary_prune_dataset(2, 3, X, bad)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_pruning_keeps_shape_and_type_of_the_labels(shape, dtype):
    X, Y = np.arange(12).reshape(6, 2), np.array([2, 3, 1, 2, 9, 3], dtype)
    pruned, targets = trainers.binary_prune_dataset(2, 3, X, Y.reshape(shape))
    np.testing.assert_array_equal(pruned, X[[0, 1, 3, 5]])
    assert targets.dtype == dtype
    np.testing.assert_array_equal(targets, np.array([1, 0, 1, 0]).reshape(shape))


def test_the_assignments_data(mnist_folder, monkeypatch):
    monkeypatch.setenv("FASTLIN_DATA", str(mnist_folder))
    X_train, Y_train, X_val, Y_val = trainers.load_full_mnist()
    assert (X_train.shape, Y_train.shape) == ((20000, 784), (20000, 1))
    assert (X_val.shape, Y_val.shape) == ((10000, 784), (10000, 1))
    X_train, Y_train, X_val, Y_val = trainers.load_binary_dataset(2, 3)
    assert (len(X_train), len(X_val)) == (4005, 2042)
    assert (Y_train.shape, Y_val.shape, Y_train.dtype) == ((4005, 1), (2042, 1), np.int64)
    assert set(Y_train.ravel()) == set(Y_val.ravel()) == {0, 1}


@pytest.fixture
def small_mnist(monkeypatch):
    """A data set in place of MNIST: each image has one pixel, its number; test images count from 100."""
    small = datasets.Dataset(
        "mnist", np.arange(50)[:, None], np.arange(50) % 10, 100 + np.arange(20)[:, None], np.arange(20) % 10
    )
    monkeypatch.setattr(datasets, "load_mnist", lambda: small)


def test_sizes_count_first_training_and_last_test_images(small_mnist):
    X_train, Y_train, X_val, Y_val = trainers.load_full_mnist(12, 5)
    np.testing.assert_array_equal(X_train[:, 0], np.arange(12))
    np.testing.assert_array_equal(X_val[:, 0], np.arange(115, 120))
    np.testing.assert_array_equal(Y_train, X_train % 10)
    np.testing.assert_array_equal(Y_val, X_val % 10)
    X_train, Y_train, X_val, Y_val = trainers.load_binary_dataset(1, 7, train_size=12, test_size=5)
    assert (X_train.ravel().tolist(), Y_train.tolist()) == ([1, 7, 11], [[1], [0], [1]])
    assert (X_val.ravel().tolist(), Y_val.tolist()) == ([117], [[0]])


def test_a_random_draw_is_one_choice_of_training_and_then_one_of_test_images(small_mnist):
    np.random.seed(4)
    rows, test_rows = np.random.choice(50, 12, replace=False), np.random.choice(20, 5, replace=False)
    following = np.random.random()
    np.random.seed(4)
    X_train, Y_train, X_val, Y_val = trainers.load_full_mnist(12, 5, sample_stochastic=True)
    assert np.random.random() == following
    np.testing.assert_array_equal(X_train[:, 0], rows)
    np.testing.assert_array_equal(X_val[:, 0], 100 + test_rows)
    np.testing.assert_array_equal(Y_train, X_train % 10)
    np.testing.assert_array_equal(Y_val, X_val % 10)
    np.random.seed(4)
    binary, targets, *_ = trainers.load_binary_dataset(1, 7, 12, 5, True)
    shown = rows[np.isin(rows % 10, (1, 7))]
    assert (binary.ravel().tolist(), targets.ravel().tolist()) == (
        shown.tolist(),
        (shown % 10 == 1).astype(int).tolist(),
    )


@pytest.mark.parametrize("size", [0, -1, 51, 1.5, None])
def test_sizes_out_of_range_are_named(small_mnist, size):
    for draw in (False, True):
        with pytest.raises(ValueError, match=rf"^train_size must be a whole number .* 50, got {size}$"):
            trainers.load_full_mnist(size, 5, draw)
        with pytest.raises(ValueError, match=rf"^test_size must be a whole number .* 20, got {size}$"):
            trainers.load_binary_dataset(1, 7, 12, size, draw)


def test_the_random_draw_of_a_report_stops_where_it_was_measured(mnist_folder, monkeypatch):
    monkeypatch.setenv("FASTLIN_DATA", str(mnist_folder))
    np.random.seed(0)
    X_train, Y_train, X_val, Y_val = trainers.load_binary_dataset(2, 3, 18_000, 2_000, sample_stochastic=True)
    assert (len(X_train), len(X_val)) == (3596, 403)
    X_train, X_val = trainers.pre_process_images(X_train), trainers.pre_process_images(X_val)
    trainer = trainers.LogisticTrainer(
        trainers.BinaryModel(), 0.05, 128, False, X_train, Y_train, X_val, Y_val, early_stopping=True, progress=False
    )
    train, _ = trainer.train(500)
    # 28 steps are an epoch: epoch 19.5.
    assert len(train["loss"]) == 546
