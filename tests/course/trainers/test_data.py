"""The data of the course: pre-processing, one-hot targets, batches and the assignment's selections."""

from functools import partial

import numpy as np
import pytest

from fastlin.course import datasets, trainers
from fastlin.exceptions import CourseWarning


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


@pytest.fixture
def small_mnist(monkeypatch):
    """A data set in place of MNIST: each image has one pixel, its number; test images count from 100."""
    small = datasets.Dataset(
        "mnist", np.arange(50)[:, None], np.arange(50) % 10, 100 + np.arange(20)[:, None], np.arange(20) % 10
    )
    monkeypatch.setattr(datasets, "load_mnist", lambda: small)


def test_sizes_count_first_training_and_last_test_images(small_mnist):
    X_train, Y_train, X_val, Y_val = trainers.load_full_mnist(12, 5, sample_stochastic=False)
    np.testing.assert_array_equal(X_train[:, 0], np.arange(12))
    np.testing.assert_array_equal(X_val[:, 0], np.arange(115, 120))
    np.testing.assert_array_equal(Y_train, X_train % 10)
    np.testing.assert_array_equal(Y_val, X_val % 10)
    X_train, Y_train, X_val, Y_val = trainers.load_binary_dataset(
        1, 7, train_size=12, test_size=5, sample_stochastic=False
    )
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


LOADERS = [trainers.load_full_mnist, partial(trainers.load_binary_dataset, 1, 7)]


@pytest.mark.parametrize("loader", LOADERS)
def test_val_size_is_another_name_of_test_size(small_mnist, loader):
    expected = loader(12, 5, sample_stochastic=False)
    for found in (
        loader(12, val_size=5, sample_stochastic=False),
        loader(train_size=12, test_size=5, val_size=5, sample_stochastic=False),
    ):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match=r"^val_size is another name of test_size: give one of them, got 5 and 6$"):
        loader(12, 6, val_size=5)
    with pytest.raises(ValueError, match=r"^val_size must be a whole number .* got 0\.2$"):
        loader(12, val_size=0.2)


def test_sizes_without_a_draw_are_warned_of_once(small_mnist):
    with pytest.warns(CourseWarning, match=r"sample_stochastic=True .* sample_stochastic=False to keep") as warned:
        X_train, *_ = trainers.load_full_mnist(12, 5)
    assert warned[0].filename == __file__
    np.testing.assert_array_equal(X_train[:, 0], np.arange(12))
    trainers.load_binary_dataset(1, 7, 12, val_size=5)


@pytest.fixture
def large_mnist(monkeypatch):
    """A data set of MNIST's size in place of it: each image has one pixel, its number."""
    numbers, test_numbers = np.arange(60_000), np.arange(10_000)
    large = datasets.Dataset("mnist", numbers[:, None], numbers % 10, test_numbers[:, None], test_numbers % 10)
    monkeypatch.setattr(datasets, "load_mnist", lambda: large)


def test_a_part_that_validates_gives_six_arrays(large_mnist):
    order = np.arange(20_000)
    np.random.seed(3)
    np.random.shuffle(order)
    np.random.seed(3)
    X_train, Y_train, X_val, Y_val, X_test, Y_test = trainers.load_full_mnist(val_percentage=0.2)
    for X, Y, rows in ((X_train, Y_train, order[:16_000]), (X_val, Y_val, order[16_000:])):
        np.testing.assert_array_equal(X[:, 0], rows)
        np.testing.assert_array_equal(Y[:, 0], rows % 10)
    np.testing.assert_array_equal(X_test[:, 0], np.arange(8_000, 10_000))
    np.testing.assert_array_equal(Y_test, X_test % 10)


def test_the_images_of_two_digits_are_split_after_the_others_are_left_out(large_mnist):
    twos_and_threes = np.arange(20_000)[np.isin(np.arange(20_000) % 10, (2, 3))]
    order = np.arange(4_000)
    np.random.seed(3)
    np.random.shuffle(order)
    np.random.seed(3)
    with pytest.warns(CourseWarning, match=r"Six arrays .* val_percentage=0\.1 to load without") as warned:
        X_train, Y_train, X_val, Y_val, X_test, Y_test = trainers.load_binary_dataset(2, 3, 0.1)
    assert warned[0].filename == __file__
    np.testing.assert_array_equal(X_train[:, 0], twos_and_threes[order[:3_600]])
    np.testing.assert_array_equal(X_val[:, 0], twos_and_threes[order[3_600:]])
    assert (len(X_test), int(X_test.min())) == (400, 8_002)
    for X, Y in ((X_train, Y_train), (X_val, Y_val), (X_test, Y_test)):
        np.testing.assert_array_equal(Y, X % 10 == 2)
    # It is said once.
    assert len(trainers.load_full_mnist(0.1)) == 6


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ((0.2,), {"val_size": 5}),
        ((0.2, 5), {}),
        ((0.2,), {"sample_stochastic": True}),
        ((0.2,), {"val_percentage": 0.2}),
        ((12,), {"val_percentage": 0.2}),
        ((), {"val_percentage": 0.2, "test_size": 5}),
    ],
)
def test_a_part_and_numbers_of_images_exclude_each_other(sizes, options):
    for load in LOADERS:
        with pytest.raises(ValueError, match=r"^With val_percentage, .* 0\.2, there is no choice of train_size"):
            load(*sizes, **options)
    with pytest.raises(ValueError, match=r"^val_percentage must be a finite number from 0 to 1 but not 1, got 1$"):
        trainers.load_full_mnist(val_percentage=1)
