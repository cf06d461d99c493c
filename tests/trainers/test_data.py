"""The data of the course: pre-processing, one-hot targets, batches and the assignment's selections."""

import numpy as np
import pytest

from fastlin import trainers


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


def test_pruning():
    X, Y = np.arange(6)[:, None], np.array([[2], [3], [1], [2], [9], [3]])
    pruned, targets = trainers.binary_prune_dataset(2, 3, X, Y)
    np.testing.assert_array_equal(pruned[:, 0], [0, 1, 3, 5])
    np.testing.assert_array_equal(targets, [[1], [0], [1], [0]])
    with pytest.raises(ValueError, match="differ"):
        trainers.binary_prune_dataset(2, 2, X, Y)


def test_the_assignments_data(mnist_folder, monkeypatch):
    monkeypatch.setenv("FASTLIN_DATA", str(mnist_folder))
    X_train, Y_train, X_val, Y_val = trainers.load_full_mnist()
    assert (X_train.shape, Y_train.shape) == ((20000, 784), (20000, 1))
    assert (X_val.shape, Y_val.shape) == ((10000, 784), (10000, 1))
    X_train, Y_train, X_val, Y_val = trainers.load_binary_dataset(2, 3)
    assert (len(X_train), len(X_val)) == (4005, 2042)
    assert set(Y_train.ravel()) == set(Y_val.ravel()) == {0, 1}
