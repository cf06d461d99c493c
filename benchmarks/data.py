"""The data of the benchmarks: from disk or drawn from a seed, never downloaded. sparse_data.py draws sparse rows.

The functions `load_…` raise NotImplementedError where data are missing; asv then skips the benchmark.
"""

import gzip
import os
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from benchmarks.problems import count_test_rows, pose_first
from fastlin import datasets
from fastlin.course.studies.compare import make_synthetic

# Classes and features of the Gaussian clusters, which need no data on disk.
SYNTHETIC_CLASSES, SYNTHETIC_FEATURES = 10, 100
# The levels of the columns of categories of a frame, and its columns of numbers.
FRAME_LEVELS, FRAME_NUMBERS = (3, 7, 12, 40), 4
LETTER_FILE = "letter-recognition.csv.gz"
LETTER_ROWS, LETTER_FEATURES = 20_000, 16
LETTER_LINE = re.compile(r"[A-Z](,(1[0-5]|[0-9])){16}")
# The other rows are the test set.
LETTER_TRAIN = 16_000


# asv repeats the setup of a benchmark before each sample, and the cache keeps it from preparing the data each time.
@lru_cache(maxsize=2)
def load_data(name, n_train, dtype):
    """Return the Dataset "mnist" or "synthetic" with X in float64, float32 or uint8.

    Pixels go from 0 to 255 as uint8, and from 0 to 1 otherwise. The synthetic data do not exist as bytes.
    """
    if name == "mnist":
        return _convert(load_mnist(), n_train, np.dtype(dtype), 1 if dtype == "uint8" else 255)
    data = make_synthetic(SYNTHETIC_CLASSES, n_train, SYNTHETIC_FEATURES, seed=0)
    return _convert(data, n_train, np.dtype(dtype), 1)


def load_mnist():
    """Return MNIST from disk."""
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

    The folder, that of FASTLIN_DATA by default, holds the gzipped file. A line of it is a row: the letter and 16 whole
    numbers from 0 to 15, separated by commas. A ValueError names the first wrong line of another file.
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
    for number, line in enumerate(lines, 1):
        if not LETTER_LINE.fullmatch(line):
            raise ValueError(
                f"{path}, line {number}: expected a letter from A to Z and {LETTER_FEATURES} whole numbers from 0 to "
                f"15, found {line[:80]!r}."
            )
    X = np.array([line[2:].split(",") for line in lines], np.float64)
    y = np.array([ord(line[0]) - ord("A") for line in lines], np.int64)
    first, last = slice(LETTER_TRAIN), slice(LETTER_TRAIN, None)
    return datasets.Dataset("Letter", X[first], y[first], X[last], y[last])


def draw_frame(n_rows):
    """Return a TriedProblem of two classes: four columns of categories, then four normal ones.

    What is given is a frame of pandas. X holds the same rows one-hot, by which solutions are judged.
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
    return replace(pose_first("frame", X, y, 1.0, n_rows), given=frame[:n_rows])


def encode_before(model):
    """Return a pipeline of scikit-learn's one-hot encoder of the columns of categories and a model."""
    categorical = make_column_selector(dtype_include="category")
    return make_pipeline(make_column_transformer((OneHotEncoder(), categorical), remainder="passthrough"), model)


def _convert(data, n_train, dtype, largest):
    X_train, X_test = (
        # The division writes straight into its result, so that no temporary array counts as peak memory.
        X if X.dtype == dtype else np.divide(X, dtype.type(largest), out=np.empty(X.shape, dtype), casting="same_kind")
        for X in (data.X_train[:n_train], data.X_test)
    )
    return datasets.Dataset(data.name, X_train, data.y_train[:n_train], X_test, data.y_test)
