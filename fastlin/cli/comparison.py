"""Reads the table of `fastlin compare` into the problems that all libraries solve."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from scipy import sparse
from sklearn.datasets import load_svmlight_file
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import check_X_y
from sklearn.utils.multiclass import type_of_target

from fastlin.cli.arguments import convert_errors, require
from fastlin.cli.data_files import validate_training_data
from fastlin.cli.notes import print_notes
from fastlin.other_libraries import ComparisonProblem

LIBSVM_SUFFIXES = (".svm", ".libsvm", ".txt")
HELD_OUT_FRACTION = 0.2
# Number of copies of the table that must fit into memory: the rows, the encoded rows and a library's copies.
N_TABLE_COPIES = 4


def read_training_and_held_out_problems(options: SimpleNamespace) -> tuple[ComparisonProblem, ComparisonProblem]:
    """Return the problems of the training and the held-out rows, with standardized numbers and one-hot encoded text."""
    name, strings = options.table, np.empty((0, 0))
    # Windows does not have sysconf.
    if hasattr(os, "sysconf"):
        total_memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if N_TABLE_COPIES * os.path.getsize(name) > total_memory_bytes:
            raise MemoryError(
                f"it may need {N_TABLE_COPIES} times its size in memory, more than this machine has; "
                "use fastlin.blocks to fit larger files"
            )
    if name.lower().endswith((".npz", *LIBSVM_SUFFIXES)):
        with convert_errors(f"cannot read {name}", Exception):
            numbers, labels = _read_arrays(name, options.target)
    else:
        require("tables")
        table, text_columns, labels, notes = validate_training_data(name, options)
        print_notes(notes)
        columns = {column: values.to_numpy() for column, values in zip(table.column_names, table.columns, strict=True)}
        strings = np.array([columns.pop(column) for column in text_columns], object).T
        numbers = np.array(list(columns.values()), float).reshape(-1, len(labels)).T
    validation_options = {"accept_sparse": "csr", "dtype": options.dtype, "order": "C", "ensure_min_features": 0}
    numbers, labels = check_X_y(numbers, labels, **validation_options)
    if type_of_target(labels) == "continuous":
        fraction = labels[labels != np.trunc(labels)][0]
        raise ValueError(f"{options.target!r} contains {fraction}, which is no class label; use integers or strings")
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"all labels are {classes[0]}, but at least two classes are required")
    train_rows, held_out_rows = train_test_split(
        np.arange(len(y)), test_size=HELD_OUT_FRACTION, random_state=0, stratify=y
    )
    blocks = []
    if numbers.size:
        scaler = StandardScaler(with_mean=not sparse.issparse(numbers)).fit(numbers[train_rows])
        blocks.append(scaler.transform(numbers))
    if strings.size:
        encoder = OneHotEncoder(handle_unknown="ignore", dtype=options.dtype).fit(strings[train_rows])
        blocks.append(encoder.transform(strings))
    X = blocks[0] if len(blocks) == 1 else _densify(sparse.hstack(blocks, "csr"))
    train = ComparisonProblem("the table", X[train_rows], y[train_rows], len(classes), options.C, fit_intercept=True)
    return train, replace(train, X=X[held_out_rows], y=y[held_out_rows])


def _read_arrays(name, target):
    """Return X and the labels from a NumPy or libsvm file."""
    if name.lower().endswith(LIBSVM_SUFFIXES):
        X, labels = load_svmlight_file(name)
        return _densify(X), labels
    with np.load(name) as arrays:
        return arrays["X"], arrays[target]


def _densify(X):
    """Return sparse rows as a dense array if at least a third of their entries are stored."""
    return X.toarray() if 3 * X.nnz >= np.prod(X.shape) else X
