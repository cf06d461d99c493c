"""scikit-learn's embedded digits, for where nothing else is at hand."""

import numpy as np

from fastlin.datasets.dataset import Dataset

DIGITS_TRAIN = 1297


def load_digits():
    """Load scikit-learn's embedded 8 x 8 digits: 1,297 training and 500 test images, stretched from 0..16 to 0..255.

    Returns
    -------
    Dataset
        Named "digits".
    """
    from sklearn.datasets import load_digits as load_embedded_digits

    images, labels = load_embedded_digits(return_X_y=True)
    X = np.round(images * (255 / 16)).astype(np.uint8)
    y = labels.astype(np.int64)
    return Dataset("digits", X[:DIGITS_TRAIN], y[:DIGITS_TRAIN], X[DIGITS_TRAIN:], y[DIGITS_TRAIN:])
