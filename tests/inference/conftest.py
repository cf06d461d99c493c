"""Rows whose classes overlap, and the inferences of models without a penalty."""

import numpy as np
import pytest
from scipy import sparse

from fastlin import LogisticRegression, blocks


def make_rows(n_classes, n=400, d=3, seed=0):
    """Return X, whose columns are of several sizes and lie apart from zero, and labels of classes that overlap."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, d))
    scores = X @ generator.normal(size=(d, n_classes)) * 0.5 + generator.gumbel(size=(n, n_classes))
    return X * np.logspace(-1, 1, d) + np.arange(d), scores.argmax(axis=1)


def infer(X, y, weights=None, offset=None, parameters=None, **options):
    """Return the Inference of a model without a penalty, and with further parameters."""
    model = LogisticRegression(**{"C": np.inf, "tol": 1e-12, "max_iter": 1000, **(parameters or {})})
    return model.fit(X, y, weights, offset=offset).inference(X, y, weights, offset, **options)


def refuse(message, *data, error=ValueError, **options):
    """Fail unless there is no inference of a model, for a reason."""
    with pytest.raises(error, match=message):
        infer(*data, **options)


def list_forms(X, y):
    """Return X and y in the forms that fits read, y being None where blocks hold it."""
    pieces = blocks.from_arrays(X, y, rows_per_block=90)
    return [(X, y), (np.asfortranarray(X), y), (sparse.csr_array(X), y), (pieces, None)]
