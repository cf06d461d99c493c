"""Images as problems that other libraries can solve too."""

from dataclasses import replace

import numpy as np

from fastlin.benchmarking.comparison_problem import ComparisonProblem
from fastlin.course.datasets import Dataset
from fastlin.typing import Array

C = 1.0
N_QUICK_ROWS = 1000


def make_problems(data: Dataset, quick: bool, dtype: str) -> list[tuple[ComparisonProblem, ComparisonProblem]]:
    """Return training and test problems: all classes with an intercept, and even vs odd labels without an intercept.

    The second problem exists because several libraries support only two classes, and one library penalizes the
    intercept. With `quick`, the training problems have N_QUICK_ROWS rows.
    """
    X, y, X_test, y_test = scale_pixels(data, N_QUICK_ROWS if quick else None, dtype)
    classes, y = np.unique(y, return_inverse=True)
    n_classes, y_test = len(classes), np.searchsorted(classes, y_test)
    problems = [ComparisonProblem("even or odd", X, y % 2, 2, C, fit_intercept=False)]
    if n_classes > 2:
        problems.insert(0, ComparisonProblem(f"{n_classes} classes", X, y, n_classes, C, fit_intercept=True))
    return [(problem, replace(problem, X=X_test, y=y_test % problem.n_classes)) for problem in problems]


def scale_pixels(data: Dataset, n_train: int | None, dtype: str) -> tuple[Array, Array, Array, Array]:
    """Return X, y, X_test and y_test with pixels in [0, 1] and labels 0, 1, ...

    X and y are the first `n_train` training rows, or all of them if `n_train` is None.
    """
    scale = 255 if data.X_train.dtype == np.uint8 else 1
    X, X_test = (np.ascontiguousarray(rows / scale, dtype=dtype) for rows in (data.X_train[:n_train], data.X_test))
    _, labels = np.unique(np.concatenate([data.y_train[:n_train], data.y_test]), return_inverse=True)
    return X, labels[: len(X)], X_test, labels[len(X) :]
