"""Data of the benchmarks. They are read from disk or simulated, never downloaded."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.problems import count_test_rows, make_split_problem
from fastlin import datasets

# The number of categories of each categorical column of a DataFrame, and the number of numeric columns.
DATAFRAME_CATEGORY_COUNTS, N_NUMERIC_COLUMNS = (3, 7, 12, 40), 4
LETTER_FILE = "letter-recognition.csv.gz"
N_LETTER_ROWS, N_LETTER_FEATURES = 20_000, 16
N_LETTER_TRAINING_ROWS = 16_000
# The noise of simulated embeddings, relative to the distance of class means and the fourth root of the dimension.
EMBEDDING_NOISE = 0.82


def load_mnist_pixels(n_train, dtype):
    """Return MNIST with pixels from 0 to 255 as uint8, or from 0 to 1 in float64 or float32."""
    data, dtype = load_mnist(), np.dtype(dtype)
    X_train, X_test = (
        # The division writes to its output array, so no temporary array increases the peak memory.
        X if X.dtype == dtype else np.divide(X, dtype.type(255), out=np.empty(X.shape, dtype), casting="same_kind")
        for X in (data.X_train[:n_train], data.X_test)
    )
    return replace(data, X_train=X_train, y_train=data.y_train[:n_train], X_test=X_test)


def load_mnist():
    """Return MNIST from disk."""
    for folder in (os.environ.get("FASTLIN_DATA"), datasets.cache_folder()):
        if folder:
            try:
                return datasets.load_mnist(folder=folder)
            except datasets.DatasetNotFoundError:
                continue
    raise NotImplementedError(
        "MNIST is not on disk: download it with fastlin.datasets.load_mnist(), or set FASTLIN_DATA to its folder."
    )


def load_letter(folder=None):
    """Load UCI Letter Recognition (P. Frey and D. Slate, 1991) with 16,000 training and 4,000 test rows."""
    folder = folder or os.environ.get("FASTLIN_DATA")
    path = Path(folder) / LETTER_FILE if folder else None
    if path is None or not path.is_file():
        raise NotImplementedError(f"{LETTER_FILE} is not on disk: set FASTLIN_DATA to its folder.")
    rows = np.loadtxt(path, np.int64, delimiter=",", converters={0: ord}, encoding="ascii")
    X, y = rows[:, 1:].astype(np.float64), rows[:, 0] - ord("A")
    if X.shape != (N_LETTER_ROWS, N_LETTER_FEATURES) or not (
        np.isin(X, range(16)).all() and np.isin(y, range(26)).all()
    ):
        raise ValueError(f"{path} is not Letter Recognition, {N_LETTER_ROWS:,} letters of {N_LETTER_FEATURES} numbers.")
    training_slice, test_slice = slice(N_LETTER_TRAINING_ROWS), slice(N_LETTER_TRAINING_ROWS, None)
    return datasets.Dataset("Letter", X[training_slice], y[training_slice], X[test_slice], y[test_slice])


def simulate_clusters(n_classes, n_samples, n_features, seed):
    """Return a Dataset with an overlapping Gaussian cluster per class. There is one test row per five training rows."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(0, 2 / np.sqrt(n_features), (n_classes, n_features))
    n_test = max(n_samples // 5, n_classes)
    # Both splits contain all classes.
    y = np.arange(n_samples + n_test) % n_classes
    generator.shuffle(y[:n_samples])
    X = centers[y] + generator.normal(0, 1, (len(y), n_features))
    return datasets.Dataset("synthetic", X[:n_samples], y[:n_samples], X[n_samples:], y[n_samples:])


def simulate_softmax_data(n, d, n_classes, coef_scale, dtype=np.float64, seed=0):
    """Return normal X (n, d), and labels drawn from a softmax model whose coefficients have the given scale."""
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((n, d), dtype)
    coef = generator.standard_normal((d, n_classes), dtype) * dtype(coef_scale)
    return X, np.argmax(X @ coef + generator.gumbel(size=(n, n_classes)), axis=1)


def simulate_embeddings(n_rows, n_features, n_classes, seed=0):
    """Return float32 rows (n_rows, n_features) of unit length, like embeddings of a frozen network, and labels.

    The mean of a class is that of its superclass plus a deviation, and rows vary around it. All three are normal with
    standard deviations that decay like 1 / sqrt(k) over the principal directions, in a random rotation. The first
    n_classes rows contain all classes. EMBEDDING_NOISE is chosen so that held-out accuracies are between 0.6 and 0.85.
    """
    generator = np.random.default_rng(seed)
    spectrum = 1 / np.sqrt(np.arange(1, n_features + 1))
    spectrum /= np.linalg.norm(spectrum)
    n_superclasses = int(np.ceil(np.sqrt(n_classes)))
    superclass_means = generator.standard_normal((n_superclasses, n_features))
    means = superclass_means[np.arange(n_classes) % n_superclasses] + generator.standard_normal((n_classes, n_features))
    y = generator.integers(0, n_classes, n_rows)
    y[:n_classes] = np.arange(n_classes)
    noise = EMBEDDING_NOISE * n_features**0.25 * generator.standard_normal((n_rows, n_features))
    rotation, _ = np.linalg.qr(generator.standard_normal((n_features, n_features)))
    X = ((means[y] / np.sqrt(2) + noise) * spectrum) @ rotation
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), y


def standardize(X, *other_arrays):
    """Return X with standardized columns, and the other arrays transformed with the same means and deviations."""
    scaler = StandardScaler().fit(X)
    return [scaler.transform(rows) for rows in (X, *other_arrays)]


def simulate_dataframe(
    n_rows, n_all=None, category_counts=DATAFRAME_CATEGORY_COUNTS, n_numeric_columns=N_NUMERIC_COLUMNS
):
    """Return a problem with two classes. The columns of its DataFrame are categorical or normally distributed."""
    try:
        import pandas as pd
    except ImportError:
        raise NotImplementedError("pandas is not installed.") from None
    n_rows, n_categorical = n_rows or n_all, len(category_counts)
    generator, n = np.random.default_rng(0), n_rows + count_test_rows(n_rows)
    category_codes = [generator.integers(0, n_categories, n) for n_categories in category_counts]
    numeric_columns = generator.standard_normal((n, n_numeric_columns))
    # The encoder omits categories without rows, so each category is assigned to a row here.
    for column, n_categories in zip(category_codes, category_counts, strict=True):
        column[:n_categories] = np.arange(n_categories)
    first_column_indices = np.cumsum([0, *category_counts, *[1] * n_numeric_columns])
    indices = np.tile(first_column_indices[:-1].astype(np.int32), (n, 1))
    indices[:, :n_categorical] += np.transpose(category_codes).astype(np.int32)
    entries = np.hstack([np.ones((n, n_categorical)), numeric_columns])
    row_starts = np.arange(n + 1, dtype=np.int32) * entries.shape[1]
    X = csr_matrix((entries.ravel(), indices.ravel(), row_starts), shape=(n, first_column_indices[-1]))
    y = X @ np.random.default_rng(1).standard_normal(X.shape[1]) + generator.logistic(size=n) > 0
    dataframe = pd.DataFrame(
        {f"category_{i}": pd.Categorical(column) for i, column in enumerate(category_codes)}
        | {f"number_{i}": column for i, column in enumerate(numeric_columns.T)}
    )
    return replace(make_split_problem("dataframe", X, y, 1.0, n_rows), other_inputs=dataframe[:n_rows])


def make_one_hot_pipeline(model):
    """Return a pipeline that one-hot encodes categorical columns with scikit-learn and then applies a model."""
    categorical_selector = make_column_selector(dtype_include="category")
    return make_pipeline(
        make_column_transformer((OneHotEncoder(), categorical_selector), remainder="passthrough"), model
    )
