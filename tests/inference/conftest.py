"""Rows whose classes overlap, and inference of unpenalized models."""

import numpy as np
import pytest
from scipy import sparse

from fastlin import LogisticRegression, blocks


def make_rows(n_classes, n=400, d=3, seed=0):
    """Return X, whose columns have different scales and means, and labels of classes that overlap."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, d))
    scores = X @ generator.normal(size=(d, n_classes)) * 0.5 + generator.gumbel(size=(n, n_classes))
    return X * np.logspace(-1, 1, d) + np.arange(d), scores.argmax(axis=1)


def infer(X, y, weights=None, offset=None, parameters=None, **options):
    """Return the Inference of a model, without a penalty unless `parameters` set C."""
    model = LogisticRegression(**{"C": np.inf, "tol": 1e-12, "max_iter": 1000, **(parameters or {})})
    return model.fit(X, y, weights, offset=offset).inference(X, y, weights, offset, **options)


def assert_inference_raises(message, *data, error=ValueError, **options):
    """Check that inference raises an error with this message."""
    with pytest.raises(error, match=message):
        infer(*data, **options)


def list_input_formats(X, y):
    """Return (X, y) in each format that `fit` accepts; y is None if blocks contain it."""
    row_blocks = blocks.from_arrays(X, y, rows_per_block=90)
    return [(X, y), (np.asfortranarray(X), y), (sparse.csr_array(X), y), (row_blocks, None)]
