"""Callbacks for `set_callbacks`, of fastlin's estimators and, with scikit-learn 1.9 and later, of its own."""

from datetime import UTC, datetime
from numbers import Real
from typing import Any

__all__ = ["TimeLimit"]


class TimeLimit:
    """A callback that asks a fit to stop after a number of seconds: the iteration under way is the last one.

    Set on a search or a pipeline, the limit is for all its fits together. The model is the last iteration's, and its
    certificate bounds the distance from the minimum.

    Parameters
    ----------
    seconds : float
        The seconds from the start of the outermost `fit`, at least 0.

    Raises
    ------
    ValueError
        `seconds` is no number of at least 0.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastlin import LogisticRegression
    >>> from fastlin.callbacks import TimeLimit
    >>> X, y = load_digits(return_X_y=True)
    >>> model = LogisticRegression().set_callbacks(TimeLimit(0)).fit(X, y)
    >>> model.n_iter_
    array([1], dtype=int32)
    """

    # scikit-learn hands it on to every estimator within.
    max_propagation_depth = None

    def __init__(self, seconds: float) -> None:
        is_number: bool = isinstance(seconds, Real)
        if not (is_number and seconds >= 0):
            raise ValueError(f"seconds must be a number of at least 0, got {seconds!r}")
        self.seconds = seconds

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing: the contexts know when they began."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Return whether the seconds have passed since the outermost task began."""
        while context.parent is not None:
            context = context.parent
        return (datetime.now(UTC) - context.init_time).total_seconds() >= self.seconds

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""
