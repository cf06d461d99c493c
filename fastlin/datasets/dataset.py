"""What every loader returns, and the error of data that cannot be had."""

from dataclasses import dataclass

import numpy as np


class DatasetNotFoundError(FileNotFoundError):
    """The data are neither on disk nor within reach."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, split into training, test and, where asked for, validation; one equals itself alone.

    Attributes
    ----------
    name : str
    X_train, X_test : ndarray of shape (n, values of an image), uint8, C order
    y_train, y_test : ndarray of shape (n,), int64
    X_val, y_val : ndarrays of the same kind, or None where nothing was set apart
    class_names : tuple of str, or None where the labels are their own names
    """

    name: str
    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    X_val: np.ndarray | None = None
    y_val: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
