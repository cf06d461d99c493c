"""What makes a fit all or nothing: an estimator that raises stays as it was."""

import contextlib


@contextlib.contextmanager
def kept_on_error(estimator):
    """Leave the estimator as it was where the ``with`` block raises, Ctrl-C included."""
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        # Also n_features_in_ of the last fit, which the checks of X overwrite.
        estimator.__dict__ = before
        raise
