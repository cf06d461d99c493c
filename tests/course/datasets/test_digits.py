"""The embedded digits, shaped and stretched like the other images."""

import numpy as np

from fastlin.course import datasets


def test_digits():
    data = datasets.load_digits()
    assert data.name == "digits"
    assert data.X_train.shape == (1297, 64)
    assert data.X_test.shape == (500, 64)
    assert data.X_train.dtype == np.uint8
    assert data.X_train.max() == 255
    assert set(data.y_test) == set(range(10))
