"""Callbacks for the method `set_callbacks` of fastlin's and scikit-learn's estimators (scikit-learn 1.9 or later)."""

from datetime import UTC, datetime
from numbers import Real
from typing import Any

__all__ = ["TimeLimit"]


class TimeLimit:
    """Callback that stops a fit after a given time, at the end of an iteration.

    If the callback is set on a search or a pipeline, the limit applies to the total time of all fits. The model has the
    coefficients of the last iteration, and `certificate_` bounds its suboptimality.

    Parameters
    ----------
    seconds : float
        Maximum time since the start of the outermost `fit`, in seconds, at least 0.

    Raises
    ------
    ValueError
        If `seconds` is not a number of at least 0.

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

    # scikit-learn propagates the callback to all nested estimators.
    max_propagation_depth = None

    def __init__(self, seconds: float) -> None:
        is_number: bool = isinstance(seconds, Real)
        if not (is_number and seconds >= 0):
            raise ValueError(f"seconds must be a number of at least 0, got {seconds!r}")
        self.seconds = seconds

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing, because scikit-learn stores the start time in the context."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Return whether the time limit has passed since the start of the outermost task."""
        while context.parent is not None:
            context = context.parent
        return (datetime.now(UTC) - context.init_time).total_seconds() >= self.seconds

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""
