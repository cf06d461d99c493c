"""The data of the benchmarks: from disk or drawn from a seed, never downloaded."""

import gzip
import os
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from benchmarks.problems import TriedProblem, count_test_rows, pose_first
from fastlin import datasets
from fastlin.course.studies.compare import make_synthetic

# Classes and features of the Gaussian clusters, which need no data on disk.
SYNTHETIC_CLASSES, SYNTHETIC_FEATURES = 10, 100
# The levels of the columns of categories of a frame, and its columns of numbers.
FRAME_LEVELS, FRAME_NUMBERS = (3, 7, 12, 40), 4
LETTER_FILE = "letter-recognition.csv.gz"
LETTER_ROWS, LETTER_FEATURES, LETTER_LARGEST = 20_000, 16, 15
# The other rows are the test set.
LETTER_TRAIN = 16_000


# asv repeats the setup of a benchmark before each sample, and the cache keeps it from preparing the data each time.
@lru_cache(maxsize=2)
def load_data(name, n_train, dtype):
    """Return a data set with X in one type.

    Parameters
    ----------
    name : {"mnist", "synthetic"}
        The data set.
    n_train : int
        The number of training rows.
    dtype : {"float64", "float32", "uint8"}
        The type of X. Pixels go from 0 to 255 as uint8, and from 0 to 1 otherwise.

    Returns
    -------
    Dataset
        The data set.

    Raises
    ------
    NotImplementedError
        MNIST is not on disk, or the data have no such type; asv then skips the benchmark.
    """
    if name == "mnist":
        mnist = load_mnist()
        return _convert(mnist, n_train, np.dtype(dtype), 1 if dtype == "uint8" else 255)
    if dtype == "uint8":
        raise NotImplementedError("The synthetic data do not exist as bytes.")
    data = make_synthetic(SYNTHETIC_CLASSES, n_train, SYNTHETIC_FEATURES, seed=0)
    return _convert(data, n_train, np.dtype(dtype), 1)


def load_mnist():
    """Return MNIST from disk; a benchmark downloads nothing."""
    for folder in (os.environ.get("FASTLIN_DATA"), datasets.cache_folder()):
        if folder:
            try:
                return datasets.load_mnist(folder=folder)
            except datasets.DatasetNotFoundError:
                continue
    raise NotImplementedError(
        "MNIST is not on disk: fastlin.datasets.load_mnist() fetches it, FASTLIN_DATA names the folder that holds it."
    )


def load_letter(folder=None):
    """Load UCI Letter Recognition (P. Frey and D. Slate, 1991), 16,000 rows to train on and 4,000 to test on.

    Parameters
    ----------
    folder : path or None
        The folder that holds the gzipped file. A line of it is a row: the letter and 16 whole numbers from 0 to 15,
        separated by commas. None: the folder that FASTLIN_DATA names.

    Returns
    -------
    Dataset
        The numbers of each row, float64, and the letters, int64, from 0 for A to 25 for Z.

    Raises
    ------
    NotImplementedError
        The file is not there; asv then skips the benchmark.
    ValueError
        The file is another one; the message names the first wrong line.
    """
    folder = folder or os.environ.get("FASTLIN_DATA")
    path = Path(folder) / LETTER_FILE if folder else None
    if path is None or not path.is_file():
        raise NotImplementedError(f"{LETTER_FILE} is not on disk: FASTLIN_DATA names the folder that holds it.")
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            lines = file.read().splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no gzipped text: {error}") from error
    if len(lines) != LETTER_ROWS:
        raise ValueError(f"{path} has {len(lines):,} lines; Letter Recognition has {LETTER_ROWS:,}.")
    X, y = np.empty((LETTER_ROWS, LETTER_FEATURES)), np.empty(LETTER_ROWS, np.int64)
    for i, line in enumerate(lines):
        letter, *numbers = line.split(",")
        is_row = len(letter) == 1 and "A" <= letter <= "Z" and len(numbers) == LETTER_FEATURES
        if not (is_row and all(number.isdecimal() and int(number) <= LETTER_LARGEST for number in numbers)):
            raise ValueError(
                f"{path}, line {i + 1}: expected a letter from A to Z and {LETTER_FEATURES} whole numbers from 0 to "
                f"{LETTER_LARGEST}, found {line[:80]!r}."
            )
        X[i], y[i] = numbers, ord(letter) - ord("A")
    first, last = slice(LETTER_TRAIN), slice(LETTER_TRAIN, None)
    return datasets.Dataset("Letter", X[first], y[first], X[last], y[last])


@dataclass(frozen=True, eq=False)
class FrameProblem(TriedProblem):
    """A TriedProblem whose rows are those of a frame of pandas, with columns of categories.

    X holds the same rows one-hot, by which its solutions are judged.

    Attributes
    ----------
    frame : DataFrame
        The rows.
    """

    frame: object = None

    def make_pipeline(self, model):
        """Return a pipeline of scikit-learn's one-hot encoder and a model."""
        categorical = make_column_selector(dtype_include="category")
        return make_pipeline(make_column_transformer((OneHotEncoder(), categorical), remainder="passthrough"), model)


def draw_frame(n_rows):
    """Return a FrameProblem of two classes: four columns of categories, then four normal ones.

    Raises
    ------
    NotImplementedError
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise NotImplementedError("pandas is not installed.") from None
    generator, n = np.random.default_rng(0), n_rows + count_test_rows(n_rows)
    codes = [generator.integers(0, n_levels, n) for n_levels in FRAME_LEVELS]
    numbers = generator.standard_normal((n, FRAME_NUMBERS))
    # The encoder leaves out levels that no row has; each has one here.
    for column, n_levels in zip(codes, FRAME_LEVELS, strict=True):
        column[:n_levels] = np.arange(n_levels)
    encoded = [np.eye(n_levels)[column] for column, n_levels in zip(codes, FRAME_LEVELS, strict=True)]
    X = csr_matrix(np.hstack([*encoded, numbers]))
    # The same coefficients for any number of rows.
    y = X @ np.random.default_rng(1).standard_normal(X.shape[1]) + generator.logistic(size=n) > 0
    frame = pd.DataFrame(
        {f"category_{place}": pd.Categorical(column) for place, column in enumerate(codes)}
        | {f"number_{place}": column for place, column in enumerate(numbers.T)}
    )
    problem = pose_first("frame", X, y, 1.0, n_rows)
    values = {field.name: getattr(problem, field.name) for field in fields(problem)}
    return FrameProblem(**values, frame=frame[:n_rows])


def _convert(data, n_train, dtype, largest):
    X_train, X_test = (
        # The division writes straight into its result, so that no temporary array counts as peak memory.
        X if X.dtype == dtype else np.divide(X, dtype.type(largest), out=np.empty(X.shape, dtype), casting="same_kind")
        for X in (data.X_train[:n_train], data.X_test)
    )
    return datasets.Dataset(data.name, X_train, data.y_train[:n_train], X_test, data.y_test)
