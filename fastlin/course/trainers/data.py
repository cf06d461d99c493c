"""Data functions of the course: MNIST loaders, preprocessing, one-hot targets and batches."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from fastlin.course import datasets
from fastlin.course.trainers.checks import check_count, check_number
from fastlin.course.trainers.differences import warn_once
from fastlin.exceptions import CourseAssertionError
from fastlin.typing import Array, FloatArray

# Number of test images in the year of the course in which loaders return three splits.
THREE_SPLIT_TEST_SIZE = 2_000


def pre_process_images(X: Array) -> FloatArray:
    """Map pixels from [0, 255] to [-1, 1] and append a column of ones for the bias.

    Parameters
    ----------
    X : ndarray of shape (N, pixels)
        Values from 0 to 255.

    Returns
    -------
    processed : ndarray of shape (N, pixels + 1), float64

    Raises
    ------
    CourseAssertionError
        X is not two-dimensional or has values outside [0, 255].

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.trainers import pre_process_images
    >>> pre_process_images(np.array([[0, 255]]))
    array([[-1.,  1.,  1.]])
    """
    X = np.asarray(X)
    if X.ndim != 2:
        raise CourseAssertionError(f"X must have shape (N, pixels), got {X.shape}")
    if X.size and (X.min() < 0 or X.max() > 255):
        raise CourseAssertionError(f"X must contain pixels from 0 to 255, got values from {X.min()} to {X.max()}")
    processed = np.empty((X.shape[0], X.shape[1] + 1))
    np.divide(X, 127.5, out=processed[:, :-1])
    processed[:, :-1] -= 1.0
    processed[:, -1] = 1.0
    return processed


def one_hot_encode(Y: Array, num_classes: int) -> FloatArray:
    """Return one-hot rows of integer labels.

    Parameters
    ----------
    Y : ndarray of shape (N, 1) or (N,)
        Integers from 0 to num_classes - 1.
    num_classes : int
        Number of classes.

    Returns
    -------
    encoded : ndarray of shape (N, num_classes), float64

    Raises
    ------
    CourseAssertionError
        Y has another shape or contains a value that is not a class.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.trainers import one_hot_encode
    >>> one_hot_encode(np.array([[2], [0]]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    labels = _flatten_labels(Y)
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes or (labels != labels.astype(int)).any()):
        raise CourseAssertionError(
            f"Y must contain integers from 0 to {num_classes - 1}, got values from {labels.min()} to {labels.max()}"
        )
    encoded = np.zeros((len(labels), num_classes))
    encoded[np.arange(len(labels)), labels.astype(int)] = 1
    return encoded


def batch_loader(
    X: Array, Y: Array, batch_size: int, shuffle: bool = False, drop_last: bool = True
) -> Iterator[tuple[Array, Array]]:
    """Yield the batches (X_batch, Y_batch) of one epoch.

    Parameters
    ----------
    X, Y : ndarray with N rows each
        Rows and their targets.
    batch_size : int
        Number of rows per batch, from 1 to N.
    shuffle : bool, default=False
        Whether to shuffle the rows with NumPy's global random state.
    drop_last : bool, default=True
        Whether to omit the last batch if it is smaller than the others.

    Yields
    ------
    X_batch, Y_batch : ndarray
        Rows of a batch and their targets.

    Raises
    ------
    CourseAssertionError
        X and Y have different numbers of rows.
    ValueError
        `batch_size` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.trainers import batch_loader
    >>> [len(X) for X, Y in batch_loader(np.ones((5, 2)), np.ones((5, 1)), 2, drop_last=False)]
    [2, 2, 1]
    """
    if len(X) != len(Y):
        raise CourseAssertionError(f"X and Y must have the same number of rows, got {len(X)} and {len(Y)}")
    check_count("batch_size", batch_size, len(X))
    order = np.arange(len(X))
    if shuffle:
        np.random.shuffle(order)
    end = len(X) - len(X) % batch_size if drop_last else len(X)
    for start in range(0, end, batch_size):
        rows = order[start : start + batch_size]
        yield X[rows], Y[rows]


def load_full_mnist(
    train_size: float = datasets.COURSE_IMAGES,
    test_size: int = 10_000,
    sample_stochastic: bool | None = None,
    *,
    val_size: int | None = None,
    val_percentage: float | None = None,
) -> tuple[Array, ...]:
    """Return X_train, Y_train, X_val, Y_val of MNIST. The test images are used for validation.

    Parameters
    ----------
    train_size : int, default=20000
        Number of training images, from 1 to 60,000. A float below 1 is used as `val_percentage`, with a CourseWarning.
    test_size : int, default=10000
        Number of test images, from 1 to 10,000.
    sample_stochastic : bool or None, default=None
        Whether to draw the images at random. Otherwise, the first `train_size` training images and the last
        `test_size` test images are returned. The draws use NumPy's global random state:
        ``np.random.choice(60000, train_size, replace=False)`` for the training images, then
        ``np.random.choice(10000, test_size, replace=False)`` for the test images. The images are returned in the order
        drawn. None means False, with a CourseWarning if a size is given.
    val_size : int or None, default=None
        Alias of `test_size`.
    val_percentage : float or None, default=None
        Fraction of the first 20,000 training images that is used for validation, in [0, 1). Six arrays are then
        returned, where X_test and Y_test are the last 2,000 test images. One ``np.random.shuffle`` permutes the
        row indices, and the training images come first.

    Returns
    -------
    X_train, Y_train, X_val, Y_val : ndarray
        Images (n, 784), uint8, from 0 to 255, and labels (n, 1), int64, for training and for validation.
    X_test, Y_test : ndarray
        Test images and labels. Returned only if `val_percentage` is given.

    Raises
    ------
    DatasetNotFoundError
        MNIST is not on disk and cannot be downloaded.
    ValueError
        A size is out of range, or arguments are mutually exclusive.

    Examples
    --------
    >>> from fastlin.trainers import load_full_mnist
    >>> X_train, Y_train, X_val, Y_val = load_full_mnist()  # doctest: +SKIP
    >>> X_train.shape, Y_val.shape  # doctest: +SKIP
    ((20000, 784), (10000, 1))
    """
    return _load_images(train_size, test_size, sample_stochastic, val_size, val_percentage)


def _load_images(train_size, test_size, sample_stochastic, val_size, val_percentage, prune=None):
    """Return the arrays of a loader. If `prune` is given, it selects images of each split.

    Warnings refer to the line that calls the loader.
    """
    fraction, is_fraction = val_percentage, isinstance(train_size, (float, np.floating)) and 0 <= train_size < 1
    if is_fraction and fraction is None:
        fraction, train_size = train_size, datasets.COURSE_IMAGES
    has_custom_sizes = val_size is not None or (train_size, test_size) != (datasets.COURSE_IMAGES, 10_000)
    if fraction is not None:
        if has_custom_sizes or sample_stochastic is not None:
            raise ValueError(
                f"val_percentage={fraction!r}, the fraction of the training images for validation, cannot be combined "
                "with train_size, test_size, val_size or sample_stochastic; pass either val_percentage or the others"
            )
        check_number("val_percentage", fraction, 1, excluded=1)
        if is_fraction:
            warn_once("val_percentage", 3, fraction=fraction)
        train_size, test_size = datasets.COURSE_IMAGES, THREE_SPLIT_TEST_SIZE
    elif val_size is not None:
        if test_size not in (10_000, val_size):
            raise ValueError(
                f"val_size is an alias of test_size; give only one of them, got {val_size!r} and {test_size!r}"
            )
        check_count("val_size", val_size, 10_000)
        test_size = val_size
    if has_custom_sizes and sample_stochastic is None:
        warn_once("sample_stochastic", 3)
    random_state = np.random if sample_stochastic else None
    X, Y, X_test, Y_test = select_images(datasets.load_mnist(), train_size, test_size, random_state)
    if prune is not None:
        (X, Y), (X_test, Y_test) = prune(X, Y), prune(X_test, Y_test)
    if fraction is None:
        return X, Y, X_test, Y_test
    order = np.arange(len(X))
    np.random.shuffle(order)
    train, val = np.split(order, [int(len(X) * (1 - fraction))])
    return X[train], Y[train], X[val], Y[val], X_test, Y_test


def select_images(
    data: datasets.Dataset, train_size: int, test_size: int, random_state: Any = None
) -> tuple[Array, ...]:
    """Return the arrays of `load_full_mnist`.

    `random_state` is a RandomState or numpy.random, or None for the first training images and the last test images.
    """
    n_train, n_test = len(data.X_train), len(data.X_test)
    check_count("train_size", train_size, n_train)
    check_count("test_size", test_size, n_test)
    if random_state is None:
        train_rows, test_rows = slice(train_size), slice(-test_size, None)
    else:
        train_rows = random_state.choice(n_train, train_size, replace=False)
        test_rows = random_state.choice(n_test, test_size, replace=False)
    Y_train, Y_test = data.y_train[train_rows, np.newaxis], data.y_test[test_rows, np.newaxis]
    return data.X_train[train_rows], Y_train, data.X_test[test_rows], Y_test


def load_binary_dataset(
    class1: int,
    class2: int,
    train_size: float = datasets.COURSE_IMAGES,
    test_size: int = 10_000,
    sample_stochastic: bool | None = None,
    *,
    val_size: int | None = None,
    val_percentage: float | None = None,
) -> tuple[Array, ...]:
    """Return X_train, Y_train, X_val, Y_val of two digits, with label 1 for class1 and label 0 for class2.

    The images are selected from those that `load_full_mnist` loads with the same arguments. The sizes are numbers of
    images of all ten digits, before the other digits are removed. `val_percentage` is a fraction of the
    remaining images.

    Parameters
    ----------
    class1, class2 : int
        Two different digits.
    train_size, test_size, sample_stochastic, val_size, val_percentage
        As in `load_full_mnist`.

    Returns
    -------
    X_train, Y_train, X_val, Y_val : ndarray
        As in `load_full_mnist`, but with labels 1 and 0, and followed by X_test and Y_test if `val_percentage` is
        given.

    Raises
    ------
    DatasetNotFoundError, ValueError
        `load_full_mnist` raises this error, or class1 and class2 are equal.

    Examples
    --------
    >>> from fastlin.trainers import load_binary_dataset
    >>> X_train, Y_train, X_val, Y_val = load_binary_dataset(2, 3)  # doctest: +SKIP
    >>> sorted(set(Y_train.ravel().tolist()))  # doctest: +SKIP
    [0, 1]
    """
    prune = partial(binary_prune_dataset, class1, class2)
    return _load_images(train_size, test_size, sample_stochastic, val_size, val_percentage, prune)


def binary_prune_dataset(class1: int, class2: int, X: Array, Y: Array) -> tuple[Array, Array]:
    """Return the rows of X whose label is class1 or class2, and their labels as 1 and 0.

    Parameters
    ----------
    class1, class2 : int
        Two different labels. class1 becomes 1, and class2 becomes 0.
    X : ndarray with N rows
        Rows of any shape.
    Y : ndarray of shape (N,) or (N, 1)
        The label of each row.

    Returns
    -------
    X, Y : ndarray with M rows
        Rows of the two classes and their labels. The labels have the dtype and the number of dimensions of Y.

    Raises
    ------
    CourseAssertionError
        The shape of Y is neither (N,) nor (N, 1).
    ValueError
        class1 and class2 are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.trainers import binary_prune_dataset
    >>> X, Y = binary_prune_dataset(2, 3, np.eye(4), np.array([2, 3, 7, 2]))
    >>> Y
    array([1, 0, 1])
    """
    if class1 == class2:
        raise ValueError(f"class1 and class2 must differ, got {class1!r} twice")
    X, Y = np.asarray(X), np.asarray(Y)
    labels = _flatten_labels(Y)
    if len(X) != len(labels):
        raise CourseAssertionError(f"X and Y must have the same number of rows, got {len(X)} and {len(labels)}")
    is_selected = (labels == class1) | (labels == class2)
    return X[is_selected], (Y[is_selected] == class1).astype(Y.dtype)


def _flatten_labels(Y):
    """Return labels of shape (N,) or (N, 1) as an array of shape (N,)."""
    Y = np.asarray(Y)
    if Y.ndim == 0 or Y.shape not in ((len(Y),), (len(Y), 1)):
        raise CourseAssertionError(f"Y must have shape (N,) or (N, 1), got {Y.shape}")
    return Y.reshape(-1)
