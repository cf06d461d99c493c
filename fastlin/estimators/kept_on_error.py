"""Fits are all or nothing: an estimator whose fit raises stays as it was."""

import contextlib


@contextlib.contextmanager
def kept_on_error(estimator):
    """Put the attributes of an estimator back where the ``with`` block raises, Ctrl-C included."""
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        # That includes n_features_in_ of the last fit, which the checks of X overwrite.
        estimator.__dict__ = before
        raise
