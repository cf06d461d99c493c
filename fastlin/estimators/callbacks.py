"""What a fit tells scikit-learn's callbacks: a task for the fit, and within it one for each iteration."""

from fastlin.estimators.scikit_learn import open_tasks


class IterationTasks:
    """The tasks of one fit, for the callbacks that an estimator has.

    Each iteration is a task that begins where the one before it ended, so that the task that is open in the end stays
    empty, as scikit-learn's lbfgs leaves it.

    Parameters
    ----------
    estimator : LogisticRegression or MLPClassifier
        The estimator that is fitted.
    X, y, sample_weight : array-like
        What its `fit` was given.
    describe : callable
        Takes the number of an iteration and what its model consists of; returns the attributes, by name, that a fitted
        estimator predicts with.
    """

    def __init__(self, estimator, X, y, sample_weight, describe):
        self._describe = describe
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        # One iteration is told of even where max_iter is 0, and behind the last one is the empty task.
        self._fit = open_tasks(estimator, max(estimator.max_iter, 1) + 1)
        self._fit.call_on_fit_task_begin(**self._data)
        self._n_iter = 0
        self._begin(None)

    def __call__(self, n_iter, iteration, model):
        """End the task of an iteration and begin the next one; return whether a callback asks to stop.

        n_iter is the number of the iteration, model a function that returns what its model consists of.
        """
        self._n_iter = n_iter

        def attributes():
            return self._describe(n_iter, *model())

        stop = self._iteration.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes)
        self._begin(attributes)
        return stop

    def end(self, *model):
        """End the tasks of a fit that has led to a model."""
        self._end_empty()
        if self._n_iter == 0:
            self._begin(None)
            self._end_empty()
        attributes = self._describe(self._n_iter, *model)
        self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes)

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
