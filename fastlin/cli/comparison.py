"""Poses the problem of a table in a file that `fastlin compare` comparisons libraries on."""

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

from fastlin.cli.arguments import refuse, require
from fastlin.cli.data_files import read_training
from fastlin.cli.notes import print_notes
from fastlin.other_libraries import Problem

LIBSVM = (".svm", ".libsvm", ".txt")
PART_HELD_OUT = 0.2
# A comparison holds the rows, their encoding and a library's own copies.
COPIES = 4


def pose(options: SimpleNamespace) -> tuple[Problem, Problem]:
    """Return the Problems of the rows to fit and of those held out: numbers are standardized, texts one-hot coded."""
    name, texts = options.table, np.empty((0, 0))
    # Windows does not tell its memory here.
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if COPIES * os.path.getsize(name) > memory:
            raise MemoryError(f"it may take {COPIES} times its size in memory; fastlin.blocks reads larger files")
    if name.lower().endswith((".npz", *LIBSVM)):
        with refuse(f"cannot read {name}", Exception):
            numbers, labels = _read_arrays(name, options.target)
    else:
        require("tables")
        table, text_columns, labels, notes = read_training(name, options)
        print_notes(notes)
        columns = {column: values.to_numpy() for column, values in zip(table.column_names, table.columns, strict=True)}
        texts = np.array([columns.pop(column) for column in text_columns], object).T
        numbers = np.array(list(columns.values()), float).reshape(-1, len(labels)).T
    given = {"accept_sparse": "csr", "dtype": options.dtype, "order": "C", "ensure_min_features": 0}
    numbers, labels = check_X_y(numbers, labels, **given)
    if type_of_target(labels) == "continuous":
        raise ValueError(f"{options.target!r} holds numbers that are no labels of classes, such as {labels[0]}")
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"all labels are {classes[0]}, and two classes are the least")
    fitted, held_out = train_test_split(np.arange(len(y)), test_size=PART_HELD_OUT, random_state=0, stratify=y)
    parts = []
    if numbers.size:
        scaler = StandardScaler(with_mean=not sparse.issparse(numbers)).fit(numbers[fitted])
        parts.append(scaler.transform(numbers))
    if texts.size:
        encoder = OneHotEncoder(handle_unknown="ignore", dtype=options.dtype).fit(texts[fitted])
        parts.append(encoder.transform(texts))
    X = parts[0] if len(parts) == 1 else _fill(sparse.hstack(parts, "csr"))
    train = Problem("the table", X[fitted], y[fitted], len(classes), options.C, fit_intercept=True)
    return train, replace(train, X=X[held_out], y=y[held_out])


def _read_arrays(name, target):
    """Return X and the labels in a file of NumPy or libsvm."""
    if name.lower().endswith(LIBSVM):
        X, labels = load_svmlight_file(name)
        return _fill(X), labels
    with np.load(name) as arrays:
        return arrays["X"], arrays[target]


def _fill(X):
    """Return sparse rows as an array where a third of their entries are there."""
    return X.toarray() if 3 * X.nnz >= np.prod(X.shape) else X
