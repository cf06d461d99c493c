"""What a fit tells scikit-learn's callbacks: a task for the fit, and within it one for each iteration."""

import numpy as np

from fastlin.estimators.scikit_learn import open_tasks


class IterationTasks:
    """The tasks of one fit, for the callbacks that an estimator has.

    Each iteration is a task that begins where the one before it ended, so that the task that is open in the end stays
    empty, as scikit-learn's lbfgs leaves it.

    Parameters
    ----------
    estimator : LogisticRegression
        The estimator that is fitted.
    X, y, sample_weight : array-like
        What its `fit` was given.
    classes : ndarray of shape (n_classes,)
        The labels of the classes.
    """

    def __init__(self, estimator, X, y, sample_weight, classes):
        self._classes = classes
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        # One iteration is told of even where max_iter is 0, and behind the last one is the empty task.
        self._fit = open_tasks(estimator, max(estimator.max_iter, 1) + 1)
        self._fit.call_on_fit_task_begin(**self._data)
        self._n_iter = 0
        self._begin(None)

    def __call__(self, n_iter, iteration, model):
        """End the task of an iteration and begin the next one; return whether a callback asks to stop.

        n_iter is the number of the iteration, model a function that returns coef and intercept.
        """
        self._n_iter = n_iter

        def attributes():
            return self._attributes(n_iter, *model())

        stop = self._iteration.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes)
        self._begin(attributes)
        return stop

    def end(self, fit):
        """End the tasks of a fit that has led to a Fit."""
        self._end_empty()
        if self._n_iter == 0:
            self._begin(None)
            self._end_empty()
        attributes = self._attributes(self._n_iter, fit.coef, fit.intercept)
        self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes)

    def _attributes(self, n_iter, coef, intercept):
        """Return the attributes that a fitted estimator predicts with."""
        return {"classes_": self._classes, "coef_": coef, "intercept_": intercept, "n_iter_": np.array([n_iter])}

    def _begin(self, attributes):
        self._iteration = self._fit.subcontext(task_name="iteration")
        self._iteration.call_on_fit_task_begin(**self._data, reconstruction_attributes=attributes)

    def _end_empty(self):
        self._iteration.call_on_fit_task_end(**self._data)


def tell_all(*listeners):
    """Return a function that passes on what it is given, and returns whether any listener asks to stop.

    Listeners that are None are left out. Where there is no other, the result is None.
    """
    told = [listener for listener in listeners if listener is not None]
    if not told:
        return None
    # Every listener is told, also where an earlier one asks to stop.
    return lambda *news: any([listener(*news) for listener in told])
