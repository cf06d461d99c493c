"""Compilation of all kernels of the estimators and trainers, by fits of small data of each dtype."""

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from fastlin import trainers
from fastlin.estimators import LogisticRegression, MiniBatchLogisticRegression, MLPClassifier
from fastlin.typing import Array, BoolArray, IntArray, MatrixLike

# The numbers of rows, features and classes of a fit in the row space.
ROW_SPACE_SHAPE = 60, 190, 6
SOLVER_OPTIONS: list[dict[str, Any]] = [{"solver": solver} for solver in ("auto", "lbfgs", "newton-cg")]


def make_problem(dtype: str, n_rows: int, n_features: int, n_classes: int) -> tuple[Array, IntArray]:
    """Return X and labels, which are independent random integers, so that fits take several iterations."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 8, (n_rows, n_features)).astype(dtype), generator.integers(0, n_classes, n_rows)


def convert_to_sparse(X: Array) -> Any:
    """Return a quarter of the entries of X as CSR. If X had more entries, it would be converted to dense."""
    return sparse.csr_array(np.where(X > 5, X, 0).astype(X.dtype))


def fit_and_predict(X: MatrixLike, y: IntArray | BoolArray, **options: Any) -> None:
    """Fit and predict, ignoring warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(**options).fit(X, y)
    model.predict(X)
    model.predict_proba(X)


def fit_with_options(X: MatrixLike, y: IntArray, *options: Mapping[str, Any]) -> None:
    """Fit and predict with each of the options, for all classes and for the first class vs the others."""
    for labels in (y, y > 0):
        for parameters in options:
            fit_and_predict(X, labels, **parameters)


def fit_few_rows(dtype: str) -> None:
    """Fit few rows of a dtype with every solver."""
    fit_with_options(*make_problem(dtype, 200, 8, 3), *SOLVER_OPTIONS)
    # 800 coefficients are fitted with L-BFGS and a preconditioner block per class.
    fit_and_predict(*make_problem(dtype, 500, 80, 10))
    # 4,000 rows exceed the cache of a CPU core, and separable labels lead to other preconditioners.
    fit_separable(dtype, 4_000, 40, 3)
    fit_and_predict(*make_problem(dtype, *ROW_SPACE_SHAPE))


def fit_separable(dtype: str, n_rows: int, n_features: int, n_classes: int, **options: Any) -> None:
    """Fit rows whose classes are a function of X, for all classes and for the first class vs the others."""
    X, _ = make_problem(dtype, n_rows, n_features, n_classes)
    fit_with_options(X, X[:, :n_classes].argmax(axis=1), options)


def fit_many_rows(dtype: str) -> None:
    """Fit enough rows of a dtype that the fit starts in float32."""
    X, y = make_problem(dtype, 5_000, 400, 10)
    for solver in ("auto", "newton-cg"):
        fit_and_predict(X, y, solver=solver, max_iter=3)
    # A start from a sample of this many rows leads to the Hessian of a sample. Rows with rare values have influence.
    many_rows, labels = make_problem(dtype, 60_000, 60, 6)
    many_rows[:, 0] = np.arange(60_000) % 100 == 0
    # The solution of the sample then takes several iterations.
    labels[::2] = many_rows[::2, 1:7].argmax(axis=1)
    fit_and_predict(many_rows, labels)
    # Fits of 40 classes start with mini-batches, and share one preconditioner factor.
    y = np.random.default_rng(0).integers(0, 40, len(X))
    fit_and_predict(X, y, max_iter=1)


def fit_sparse_rows(dtype: str) -> None:
    """Fit a few sparse rows of a dtype, with two and three classes."""
    X, y = make_problem(dtype, 200, 8, 3)
    fit_with_options(convert_to_sparse(X), y, *SOLVER_OPTIONS)
    X, y = make_problem(dtype, *ROW_SPACE_SHAPE)
    fit_and_predict(convert_to_sparse(X), y)
    # With many rows and labels that depend on X, preconditioner blocks per class are computed from a sample of the
    # rows.
    generator = np.random.default_rng(0)
    X = (generator.normal(size=(2_500, 200)) * (generator.random((2_500, 200)) < 0.2)).astype(dtype)
    fit_and_predict(sparse.csr_array(X), (X @ generator.normal(size=(200, 5))).argmax(axis=1), solver="newton-cg")


def fit_table() -> None:
    """Fit a few rows of a table with categorical columns, with two and three classes, also with an L1 penalty."""
    options = [{**parameters, "categorical_features": [0, 1]} for parameters in (*SOLVER_OPTIONS, {"l1_ratio": 1})]
    fit_with_options(*make_problem("float64", 200, 3, 3), *options)


def fit_l1(dtype: str, n_features: int) -> None:
    """Fit dense and sparse rows with an L1 penalty.

    With few features, the fit uses the full Hessian. With many features, it uses coordinate descent by columns.
    """
    X, y = make_problem(dtype, 40, n_features, 3)
    for rows in (X, convert_to_sparse(X)):
        # With this C, some coefficients become zero in Newton steps, for which there is a separate kernel.
        fit_and_predict(rows, y, l1_ratio=1, C=1000)


def fit_problem_batches(dtype: str) -> None:
    """Fit dense and sparse multilabel problems with each penalty, and resamples of two and three classes."""
    X, y = make_problem(dtype, 200, 8, 3)
    for rows in (X, convert_to_sparse(X)):
        for l1_ratio in (0, 1):
            fit_and_predict(rows, (y[:, None] == np.arange(3)).astype(int), l1_ratio=l1_ratio)
    # The factors of many columns are solved for several classes at once.
    many_columns, y_of_many_columns = make_problem(dtype, 400, 70, 3)
    for rows, labels in ((X, y > 0), (X, y), (many_columns, y_of_many_columns)):
        LogisticRegression().fit(rows, labels).bootstrap(rows, labels, n_resamples=2, random_state=0)


def fit_network(dtype: str, network_dtype: str) -> None:
    """Train a network of one dtype on a few dense and sparse rows of another, and predict with it."""
    X, y = make_problem(dtype, 20, 2, 3)
    options: dict[str, Any] = {"dtype": network_dtype, "max_iter": 1, "n_iter_no_change": np.inf}
    network = MLPClassifier(3, batch_norm="both", dropout=0.1, **options)
    for solver, rows in (("adam", X), ("sgd", convert_to_sparse(X))):
        for model in (network.set_params(solver=solver), MiniBatchLogisticRegression(**options)):
            model.fit(rows, y, X_val=rows, y_val=y).predict(rows)


def train_course_model(dtype: str) -> None:
    """Train and validate a model of the course on a few rows of a dtype."""
    X, Y = np.ones((8, 3), dtype), np.tile([[0], [1]], (4, 1))
    arguments = 0.1, 4, False, X, Y, X, Y
    trainers.LogisticTrainer(trainers.BinaryModel(3), *arguments, early_stopping=False, progress=False).train(1)


DTYPE_NAMES = ("float64", "float32", "uint8")

STEPS = {
    **{f"small fits, {dtype}": partial(fit_few_rows, dtype) for dtype in DTYPE_NAMES},
    **{f"large fits, {dtype}": partial(fit_many_rows, dtype) for dtype in DTYPE_NAMES},
    **{f"sparse fits, {dtype}": partial(fit_sparse_rows, dtype) for dtype in ("float64", "float32")},
    "tables": partial(fit_table),
    **{f"L1, {d} features, {dtype}": partial(fit_l1, dtype, d) for d in (20, 300) for dtype in DTYPE_NAMES},
    **{f"many fits, {dtype}": partial(fit_problem_batches, dtype) for dtype in ("float64", "float32")},
    **{
        f"networks, {network_dtype}, {dtype}": partial(fit_network, dtype, network_dtype)
        for network_dtype in ("float32", "float64")
        for dtype in DTYPE_NAMES
    },
    **{f"trainers, {dtype}": partial(train_course_model, dtype) for dtype in ("float64", "float32")},
}
