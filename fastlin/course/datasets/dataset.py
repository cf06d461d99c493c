"""The class `Dataset`, which every loader returns, and scikit-learn's digits for machines without other data."""

from dataclasses import dataclass

import numpy as np

N_TRAIN_DIGITS = 1297


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, split into training, test and optional validation images.

    Data sets are compared by identity and are hashable.

    Attributes
    ----------
    name : str
        Name of the data set.
    X_train, X_test : ndarray of shape (n, values of an image), uint8, C order
        Images, one per row.
    y_train, y_test : ndarray of shape (n,), int64
        Labels.
    X_val, y_val : ndarray or None
        Images and labels for validation, or None without a validation split.
    class_names : tuple of str or None
        Name of each class, in the order of the labels, or None if the classes have no names.

    Examples
    --------
    >>> from fastlin import datasets
    >>> digits = datasets.load_digits()
    >>> digits.name, digits.X_train.dtype
    ('digits', dtype('uint8'))
    """

    name: str
    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    X_val: np.ndarray | None = None
    y_val: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None


def load_digits() -> Dataset:
    """Load scikit-learn's 8 x 8 digits: 1,297 training and 500 test images.

    Returns
    -------
    Dataset
        The data set "digits", with pixels scaled from 0..16 to 0..255.

    Examples
    --------
    >>> from fastlin import datasets
    >>> digits = datasets.load_digits()
    >>> digits.X_train.shape, digits.X_test.shape
    ((1297, 64), (500, 64))
    """
    from sklearn.datasets import load_digits as load_embedded_digits

    images, labels = load_embedded_digits(return_X_y=True)
    X = np.round(images * (255 / 16)).astype(np.uint8)
    y = labels.astype(np.int64)
    return Dataset("digits", X[:N_TRAIN_DIGITS], y[:N_TRAIN_DIGITS], X[N_TRAIN_DIGITS:], y[N_TRAIN_DIGITS:])
