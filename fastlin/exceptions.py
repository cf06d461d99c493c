"""Errors and warnings of fastlin. Each inherits from a built-in class or from a class of scikit-learn.

Other errors are ValueError and TypeError for invalid arguments, OSError for files that cannot be read, and
ModuleNotFoundError for optional packages that are not installed. As in scikit-learn, fits issue a UserWarning about
parameters and a FutureWarning about deprecations.
"""

import sklearn.exceptions

__all__ = [
    "CheckpointError",
    "CheckpointWarning",
    "CollinearityError",
    "ConvergenceWarning",
    "CourseAssertionError",
    "CourseWarning",
    "DataChangedError",
    "DatasetNotFoundError",
    "InferenceWarning",
    "NoWorkersError",
    "SeparationError",
    "SeparationWarning",
    "WorkersLostError",
]


class CheckpointError(ValueError):
    """Raised if a checkpoint is invalid or damaged, or was written by a fit with other parameters or data.

    `MLPClassifier.fit` raises it for its argument `resume`.

    Examples
    --------
    >>> from fastlin.exceptions import CheckpointError
    >>> try:  # doctest: +SKIP
    ...     network.fit(X, y, resume="training.npz", save_checkpoint="training.npz")
    ... except CheckpointError:
    ...     network.fit(X, y, save_checkpoint="training.npz")
    """


class CheckpointWarning(UserWarning):
    """Issued if a checkpoint could not be written, for example because the disk is full.

    `MLPClassifier.fit` issues it once for its argument `save_checkpoint`. Training continues, and `fit` tries to write
    a checkpoint again after the next epoch.

    Examples
    --------
    >>> import warnings
    >>> from fastlin.exceptions import CheckpointWarning
    >>> with warnings.catch_warnings():  # doctest: +SKIP
    ...     warnings.simplefilter("error", CheckpointWarning)
    ...     network.fit(X, y, save_checkpoint="training.npz")  # stops if a checkpoint cannot be written
    """


class CollinearityError(ValueError):
    """Raised if columns of X are linearly dependent, so that their coefficients have no standard errors.

    The message names the columns and their dependency.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin import LogisticRegression
    >>> from fastlin.exceptions import CollinearityError
    >>> x = np.array([1.0, 2.0, 4.0, 3.0, 5.0, 2.5])
    >>> X, y = np.column_stack([x, 2 * x]), [0, 0, 1, 0, 1, 1]
    >>> model = LogisticRegression(C=np.inf).fit(X, y)
    >>> try:
    ...     model.inference(X, y)
    ... except CollinearityError as error:
    ...     print(str(error).partition(".")[0])
    Columns of X depend on each other and on the intercept: x1 = 2 x0
    """


class ConvergenceWarning(sklearn.exceptions.ConvergenceWarning):
    """Issued if a fit stopped before convergence or diverged.

    Warning filters for scikit-learn's ConvergenceWarning also apply to this subclass.

    Examples
    --------
    >>> import warnings
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegression
    >>> from fastlin.exceptions import ConvergenceWarning
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     model = LogisticRegression(max_iter=1).fit(*load_iris(return_X_y=True))
    >>> [warning.category is ConvergenceWarning for warning in caught]
    [True]
    """


class CourseAssertionError(AssertionError, ValueError):
    """Raised where the course's code has an assertion. It can be caught as an AssertionError or a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.exceptions import CourseAssertionError
    >>> from fastlin.trainers import pre_process_images
    >>> try:
    ...     pre_process_images(np.array([[256]]))
    ... except CourseAssertionError as error:
    ...     print(error)
    X must contain pixels from 0 to 255, got values from 256 to 256
    """


class CourseWarning(UserWarning):
    """Issued if a course script gives a different result than with the course's own code.

    The message explains how to get either result. Each difference is reported once per process. There are three
    differences: training runs that early stopping would have ended, the convention for the L2 penalty, and arguments of
    loaders from other years.

    Examples
    --------
    >>> import warnings
    >>> from fastlin.exceptions import CourseWarning
    >>> from fastlin.trainers import SoftmaxModel
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", CourseWarning)
    ...     model = SoftmaxModel(l2_reg_lambda=1.0)
    >>> model.half
    False
    """


class DataChangedError(ValueError):
    """Raised if data changed during a fit.

    Either a file was modified, or a function returned different rows than before. Dask may also do so after it lost a
    worker.

    Examples
    --------
    >>> from fastlin.exceptions import DataChangedError
    >>> try:  # doctest: +SKIP
    ...     model.fit(rows)
    ... except DataChangedError as error:
    ...     print(error)  # names the block or the partition
    """


class DatasetNotFoundError(FileNotFoundError):
    """Raised if a data set or its folder was not found and could not be downloaded. The message gives the reason.

    Examples
    --------
    >>> from fastlin import datasets
    >>> from fastlin.exceptions import DatasetNotFoundError
    >>> try:
    ...     datasets.load_mnist(folder="nowhere")
    ... except DatasetNotFoundError as error:
    ...     print(error)
    The data folder nowhere does not exist or is not a folder.
    """


class InferenceWarning(UserWarning):
    """Issued if standard errors are not accurate for the coefficients of the model.

    `LogisticRegression.inference` issues it if `coef_` is more than 1 % of a standard error away from the optimum, for
    example after a fit with a large `tol`, or if the optimum itself is not accurate to 1 % of a standard error.

    Examples
    --------
    >>> import warnings
    >>> from fastlin.exceptions import InferenceWarning
    >>> with warnings.catch_warnings():  # doctest: +SKIP
    ...     warnings.simplefilter("ignore", InferenceWarning)
    ...     inference = model.inference(X, y)
    """


class NoWorkersError(RuntimeError):
    """Raised if a Dask cluster had no available workers for the whole timeout of a fit.

    Examples
    --------
    >>> from fastlin.exceptions import NoWorkersError
    >>> try:  # doctest: +SKIP
    ...     model.fit(dX, dy, worker_timeout=10)
    ... except NoWorkersError:
    ...     cluster.scale(4)
    """


class SeparationError(ValueError):
    """Raised if columns of X separate the classes, so that the coefficients have no finite estimates.

    The message names the columns and the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin import LogisticRegression
    >>> from fastlin.exceptions import SeparationError
    >>> X, y = np.array([[0.0], [0.0], [1.0], [0.0]]), [0, 1, 1, 0]
    >>> model = LogisticRegression(C=np.inf).fit(X, y)
    >>> try:
    ...     model.inference(X, y)
    ... except SeparationError as error:
    ...     print(str(error).partition(".")[0])
    Quasi-complete separation: x0 <= 0 in all rows of class 0, and x0 >= 0 in all rows of class 1
    """


class SeparationWarning(UserWarning):
    """Issued if the test for separation was inconclusive.

    If columns of X separate the classes, the standard errors are meaningless.

    Examples
    --------
    >>> import warnings
    >>> from fastlin.exceptions import SeparationWarning
    >>> with warnings.catch_warnings():  # doctest: +SKIP
    ...     warnings.simplefilter("error", SeparationWarning)
    ...     model.inference(X, y)
    """


class WorkersLostError(RuntimeError):
    """Raised if workers of a Dask cluster were lost repeatedly, or if the tasks of a fit were cancelled.

    The `__cause__` of the error is Dask's error: KilledWorker, CancelledError, or the error of the last call to a lost
    worker.

    Examples
    --------
    >>> from fastlin.exceptions import WorkersLostError
    >>> try:  # doctest: +SKIP
    ...     model.fit(dX, dy)
    ... except WorkersLostError as error:
    ...     print(error.__cause__)  # the task and the worker that ran it last
    """
