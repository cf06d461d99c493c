"""Fits are all or nothing: an estimator whose fit raises stays as it was. One that ends leaves how long it took."""

import contextlib
from collections.abc import Iterator
from time import perf_counter
from typing import Any


@contextlib.contextmanager
def kept_on_error(estimator: Any) -> Iterator[None]:
    """Put the attributes of an estimator back where the ``with`` block raises, Ctrl-C included; else time the block."""
    before, begin = estimator.__dict__.copy(), perf_counter()
    try:
        yield
    except BaseException:
        # That includes n_features_in_ of the last fit, which the checks of X overwrite.
        estimator.__dict__ = before
        raise
    estimator.fit_seconds_ = perf_counter() - begin
