"""The digits that come with scikit-learn, for machines without other data."""

import numpy as np

from fastlin.course.datasets.dataset import Dataset

DIGITS_TRAIN = 1297


def load_digits() -> Dataset:
    """Load scikit-learn's embedded 8 x 8 digits: 1,297 training and 500 test images.

    Returns
    -------
    Dataset
        The data set "digits", with pixels stretched from 0..16 to 0..255.

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
    return Dataset("digits", X[:DIGITS_TRAIN], y[:DIGITS_TRAIN], X[DIGITS_TRAIN:], y[DIGITS_TRAIN:])
