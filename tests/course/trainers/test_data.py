"""Data functions of the course: preprocessing, one-hot targets, batches and the selection of images."""

from functools import partial

import numpy as np
import pytest
from conftest import assert_raises

from fastlin.course import datasets, trainers
from fastlin.exceptions import CourseWarning

LOADERS = [trainers.load_full_mnist, partial(trainers.load_binary_dataset, 1, 7)]
SIZE_MESSAGE = r"^val_percentage=0\.2, .* cannot be combined with train_size"
INVALID_SELECTIONS = [
    *(
        (sizes, {"sample_stochastic": size == 0}, rf"^{name}_size must be an integer .* {highest}, got {size}$")
        for size in (0, 60_001, 1.5, None)
        for name, highest, sizes in (("train", 60_000, (size, 5)), ("test", 10_000, (12, size)))
    ),
    ((12, 6), {"val_size": 5}, r"^val_size is an alias of test_size; give only one of them, got 5 and 6$"),
    ((12,), {"val_size": 0.2}, r"^val_size must be an integer .* got 0\.2$"),
    ((), {"val_percentage": 1}, r"^val_percentage must be a finite number from 0 to 1 but not 1, got 1$"),
    *(
        ((0.2,), option, SIZE_MESSAGE)
        for option in ({"val_size": 5}, {"sample_stochastic": True}, {"val_percentage": 0.2})
    ),
    ((0.2, 5), {}, SIZE_MESSAGE),
    ((12,), {"val_percentage": 0.2}, SIZE_MESSAGE),
    ((), {"val_percentage": 0.2, "test_size": 5}, SIZE_MESSAGE),
]
ROW_COUNT_MESSAGE, LABEL_SHAPE_MESSAGE = (
    "^X and Y must have the same number of rows",
    r"^Y must have shape \(N,\) or \(N, 1\)",
)
X, Y = np.eye(3), np.arange(3)
INVALID_DATA = [
    *((trainers.pre_process_images, (X,), "^X must") for X in (np.zeros(3), [[256, 0]], [[-1, 0]])),
    *((trainers.one_hot_encode, (Y, 3), "integers from 0 to 2") for Y in ([3], [-1], [0.5])),
    (trainers.one_hot_encode, (np.eye(2), 2), LABEL_SHAPE_MESSAGE),
    (trainers.batch_loader, (X, np.arange(2), 2), ROW_COUNT_MESSAGE),
    (trainers.binary_prune_dataset, (2, 3, X, np.arange(2)), ROW_COUNT_MESSAGE),
    *((trainers.binary_prune_dataset, (2, 3, X, Y), LABEL_SHAPE_MESSAGE) for Y in (np.zeros((3, 2)), 2)),
]


def test_batch_loader_yields_each_row_at_most_once():
    X, Y = np.arange(10)[:, None], np.arange(10)
    batches = list(trainers.batch_loader(X, Y, 4))
    assert [list(y) for _, y in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [len(y) for _, y in trainers.batch_loader(X, Y, 4, drop_last=False)] == [4, 4, 2]
    np.random.seed(0)
    shuffled = [(x[:, 0].tolist(), y.tolist()) for x, y in trainers.batch_loader(X, Y, 5, shuffle=True)]
    assert all(x == y for x, y in shuffled)
    assert sorted(label for _, y in shuffled for label in y) == list(range(10))
    assert shuffled[0][1] != [0, 1, 2, 3, 4]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_pruning_keeps_shape_and_dtype_of_the_labels(shape, dtype):
    X, Y = np.arange(12).reshape(6, 2), np.array([2, 3, 1, 2, 9, 3], dtype)
    pruned_rows, targets = trainers.binary_prune_dataset(2, 3, X, Y.reshape(shape))
    np.testing.assert_array_equal(pruned_rows, X[[0, 1, 3, 5]])
    assert targets.dtype == dtype
    np.testing.assert_array_equal(targets, np.array([1, 0, 1, 0]).reshape(shape))


@pytest.mark.parametrize(("function", "arguments", "message"), INVALID_DATA)
def test_invalid_data_raise_an_error_that_is_also_an_assertion(function, arguments, message):
    for error in (ValueError, AssertionError):
        assert_raises(message, lambda: list(function(*arguments)), error=error)


def test_invalid_arguments_raise():
    assert_raises("batch_size", lambda: list(trainers.batch_loader(X, Y, 4)))
    assert_raises("differ", trainers.binary_prune_dataset, 2, 2, X, Y)


@pytest.fixture
def numbered_images(monkeypatch):
    """Replace MNIST by a data set of the same size. Images have one pixel: their index in the training or test set."""
    numbers, numbers_of_test_images = np.arange(60_000), np.arange(10_000)
    large = datasets.Dataset(
        "mnist", numbers[:, None], numbers % 10, numbers_of_test_images[:, None], numbers_of_test_images % 10
    )
    monkeypatch.setattr(datasets, "load_mnist", lambda: large)


def assert_image_numbers(X, Y, numbers, classes=None):
    """Assert that X and Y are the images and labels with the indices `numbers`, optionally only of two classes."""
    if classes is not None:
        numbers = [number for number in numbers if number % 10 in classes]
    np.testing.assert_array_equal(X[:, 0], numbers)
    np.testing.assert_array_equal(Y, X % 10 if classes is None else X % 10 == classes[0])


@pytest.mark.parametrize("draws", [False, True])
def test_sizes_select_the_first_images_or_a_random_sample(numbered_images, draws):
    np.random.seed(4)
    rows, test_rows = np.arange(40), np.arange(9_970, 10_000)
    if draws:
        rows, test_rows = np.random.choice(60_000, 40, replace=False), np.random.choice(10_000, 30, replace=False)
    next_random_number = np.random.random()
    np.random.seed(4)
    X_train, Y_train, X_val, Y_val = trainers.load_full_mnist(40, 30, draws)
    assert np.random.random() == next_random_number
    assert_image_numbers(X_train, Y_train, rows)
    assert_image_numbers(X_val, Y_val, test_rows)
    np.random.seed(4)
    X_train, Y_train, X_val, Y_val = trainers.load_binary_dataset(1, 7, 40, 30, draws)
    assert_image_numbers(X_train, Y_train, rows, (1, 7))
    assert_image_numbers(X_val, Y_val, test_rows, (1, 7))


@pytest.mark.parametrize("loader", LOADERS)
def test_val_size_is_an_alias_of_test_size(numbered_images, loader):
    expected = loader(12, 5, False)
    for actual in (loader(12, val_size=5, sample_stochastic=False), loader(12, 5, False, val_size=5)):
        for actual_array, expected_array in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(actual_array, expected_array)


def test_sizes_without_sample_stochastic_warn_once(numbered_images):
    with pytest.warns(CourseWarning, match=r"sample_stochastic=True .* sample_stochastic=False to keep") as caught:
        X_train, *_ = trainers.load_full_mnist(12, 5)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(X_train[:, 0], np.arange(12))
    trainers.load_binary_dataset(1, 7, 12, val_size=5)


def shuffle(n):
    """Return the order in which the loaders will shuffle n rows, and reset the seed for them."""
    order = np.arange(n)
    np.random.seed(3)
    np.random.shuffle(order)
    np.random.seed(3)
    return order


def test_val_percentage_gives_six_arrays(numbered_images):
    order = shuffle(20_000)
    X_train, Y_train, X_val, Y_val, X_test, Y_test = trainers.load_full_mnist(val_percentage=0.2)
    assert_image_numbers(X_train, Y_train, order[:16_000])
    assert_image_numbers(X_val, Y_val, order[16_000:])
    assert_image_numbers(X_test, Y_test, np.arange(8_000, 10_000))


def test_images_of_two_digits_are_split_after_the_others_are_removed(numbered_images):
    twos_and_threes = np.flatnonzero(np.isin(np.arange(20_000) % 10, (2, 3)))[shuffle(4_000)]
    with pytest.warns(CourseWarning, match=r"Six arrays .* val_percentage=0\.1 to load without") as caught:
        X_train, Y_train, X_val, Y_val, X_test, Y_test = trainers.load_binary_dataset(2, 3, 0.1)
    assert caught[0].filename == __file__
    assert_image_numbers(X_train, Y_train, twos_and_threes[:3_600], (2, 3))
    assert_image_numbers(X_val, Y_val, twos_and_threes[3_600:], (2, 3))
    assert_image_numbers(X_test, Y_test, range(8_000, 10_000), (2, 3))
    assert len(trainers.load_full_mnist(0.1)) == 6


@pytest.mark.parametrize(("sizes", "options", "message"), INVALID_SELECTIONS)
def test_invalid_selections_raise(numbered_images, sizes, options, message):
    for load in LOADERS:
        assert_raises(message, load, *sizes, **options)
