"""The data of the course: MNIST as its scripts take it, pre-processing, one-hot targets and batches."""

import numpy as np

from fastlin import datasets
from fastlin.trainers.checks import check_count


def pre_process_images(X):
    """Map images from 0..255 to [-1, 1] and append the column of ones of the bias trick.

    Parameters
    ----------
    X : ndarray of shape (N, pixels)
        Values from 0 to 255.

    Returns
    -------
    processed : ndarray of shape (N, pixels + 1), float64
        The images, and the column of ones as the last one.

    Raises
    ------
    ValueError
        X is not two-dimensional, or has values outside 0 to 255.
    """
    X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(f"X must have shape (N, pixels), got {X.shape}")
    if X.size and (X.min() < 0 or X.max() > 255):
        raise ValueError(f"X must hold pixels from 0 to 255, got values from {X.min()} to {X.max()}")
    processed = np.empty((X.shape[0], X.shape[1] + 1))
    np.divide(X, 127.5, out=processed[:, :-1])
    processed[:, :-1] -= 1.0
    processed[:, -1] = 1.0
    return processed


def one_hot_encode(Y, num_classes):
    """Return the (N, num_classes) array with a 1 at each label.

    Parameters
    ----------
    Y : ndarray of shape (N, 1) or (N,)
        Whole numbers from 0 to num_classes - 1.
    num_classes : int
        Number of classes.

    Returns
    -------
    encoded : ndarray of shape (N, num_classes), float64
        One 1 in each row.

    Raises
    ------
    ValueError
        Y holds a value that is no class.
    """
    labels = np.asarray(Y).reshape(-1)
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes or (labels != labels.astype(int)).any()):
        raise ValueError(
            f"Y must hold whole numbers from 0 to {num_classes - 1}, got values from {labels.min()} to {labels.max()}"
        )
    encoded = np.zeros((len(labels), num_classes))
    encoded[np.arange(len(labels)), labels.astype(int)] = 1
    return encoded


def batch_loader(X, Y, batch_size, shuffle=False, drop_last=True):
    """Yield the batches (X_batch, Y_batch) of one epoch.

    Parameters
    ----------
    X, Y : ndarray with N rows each
        Rows and their targets.
    batch_size : int
        Number of rows of a batch, from 1 to N.
    shuffle : bool, default=False
        Whether a new order of the rows is drawn from NumPy's global random state.
    drop_last : bool, default=True
        Whether the last batch is left out where it would be smaller than the others.

    Yields
    ------
    X_batch, Y_batch : ndarray
        The rows of a batch and their targets.

    Raises
    ------
    ValueError
        X and Y differ in their number of rows, or `batch_size` is out of range.
    """
    if len(X) != len(Y):
        raise ValueError(f"X and Y must have the same number of rows, got {len(X)} and {len(Y)}")
    check_count("batch_size", batch_size, len(X))
    order = np.arange(len(X))
    if shuffle:
        np.random.shuffle(order)
    end = len(X) - len(X) % batch_size if drop_last else len(X)
    for start in range(0, end, batch_size):
        rows = order[start : start + batch_size]
        yield X[rows], Y[rows]


def load_full_mnist():
    """Return X_train, Y_train, X_val, Y_val: the first 20,000 training and the 10,000 test images, labels (N, 1)."""
    mnist = datasets.load_mnist(datasets.COURSE_IMAGES)
    return mnist.X_train, mnist.y_train.reshape(-1, 1), mnist.X_test, mnist.y_test.reshape(-1, 1)


def load_binary_dataset(class1, class2):
    """Return X_train, Y_train, X_val, Y_val of two digits, with class1 as 1 and class2 as 0.

    The images are those of `load_full_mnist` that show one of the two digits; labels have the shape (N, 1).

    Parameters
    ----------
    class1, class2 : int
        Two different digits.
    """
    X_train, Y_train, X_val, Y_val = load_full_mnist()
    return (
        *binary_prune_dataset(class1, class2, X_train, Y_train),
        *binary_prune_dataset(class1, class2, X_val, Y_val),
    )


def binary_prune_dataset(class1, class2, X, Y):
    """Return the rows of X whose label is class1 or class2, and their labels as 1 and 0.

    Parameters
    ----------
    class1, class2 : int
        Two different labels; class1 becomes 1, class2 becomes 0.
    X : ndarray with N rows
        Rows of any shape.
    Y : ndarray of shape (N, 1) or (N,)
        The label of each row.

    Returns
    -------
    X : ndarray with M rows
        The rows of the two classes.
    Y : ndarray of shape (M, 1), int64
        Their labels.

    Raises
    ------
    ValueError
        class1 and class2 are equal.
    """
    if class1 == class2:
        raise ValueError(f"class1 and class2 must differ, got {class1!r} twice")
    labels = np.asarray(Y).reshape(-1)
    kept = (labels == class1) | (labels == class2)
    return X[kept], (labels[kept] == class1).astype(np.int64).reshape(-1, 1)
