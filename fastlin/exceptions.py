"""The errors and warnings that users may want to catch; each inherits a built-in or scikit-learn class.

Other errors are ValueError and TypeError for a wrong argument, OSError for files that cannot be read,
and ModuleNotFoundError for packages of an extra that is not installed. Fits warn of parameters by UserWarning, and of
deprecations by FutureWarning, as scikit-learn does.
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
    """A file is no checkpoint, is damaged, or holds a fit with other parameters or data than the one that resumes it.

    `MLPClassifier.fit` raises it for its parameter `resume`.

    Examples
    --------
    >>> from fastlin.exceptions import CheckpointError
    >>> try:  # doctest: +SKIP
    ...     network.fit(X, y, resume="training.npz", save_checkpoint="training.npz")
    ... except CheckpointError:
    ...     network.fit(X, y, save_checkpoint="training.npz")
    """


class CheckpointWarning(UserWarning):
    """A checkpoint of a training could not be written, since the disk is full for instance. The training goes on.

    `MLPClassifier.fit` warns once for its parameter `save_checkpoint`, and the next epoch tries again.

    Examples
    --------
    >>> import warnings
    >>> from fastlin.exceptions import CheckpointWarning
    >>> with warnings.catch_warnings():  # doctest: +SKIP
    ...     warnings.simplefilter("error", CheckpointWarning)
    ...     network.fit(X, y, save_checkpoint="training.npz")  # ends where it cannot be written
    """


class CollinearityError(ValueError):
    """Columns of X depend on each other, so that their coefficients have no standard errors; the message names them.

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
    """A fit or a training stopped before it converged, or diverged. Filters for scikit-learn's warning apply to it.

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
    """The error that is raised where the course's code asserts: caught as AssertionError and as ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.exceptions import CourseAssertionError
    >>> from fastlin.trainers import pre_process_images
    >>> try:
    ...     pre_process_images(np.array([[256]]))
    ... except CourseAssertionError as error:
    ...     print(error)
    X must hold pixels from 0 to 255, got values from 256 to 256
    """


class CourseWarning(UserWarning):
    """A script of the course gets something else here than in its own code; the message says how to get either.

    Each of these differences is named once in a process: a training that early stopping would have ended, the
    convention of an L2 penalty, and the loaders' arguments of other years.

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
    """Data are not what they were: a file was written to, or a function, or Dask for a lost worker, made other rows.

    Examples
    --------
    >>> from fastlin.exceptions import DataChangedError
    >>> try:  # doctest: +SKIP
    ...     model.fit(rows)
    ... except DataChangedError as error:
    ...     print(error)  # it names the block, or the partition
    """


class DatasetNotFoundError(FileNotFoundError):
    """A data set, or the folder that it is looked for in, was not found and not downloaded; the message says why.

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
    """Standard errors hold for another point than the model's coefficients, or are less certain than asked for.

    `LogisticRegression.inference` warns where `coef_` are more than 1 % of a standard error from the optimum, as with a
    large `tol`, and where the optimum itself is not known to 1 % of a standard error.

    Examples
    --------
    >>> import warnings
    >>> from fastlin.exceptions import InferenceWarning
    >>> with warnings.catch_warnings():  # doctest: +SKIP
    ...     warnings.simplefilter("ignore", InferenceWarning)
    ...     found = model.inference(X, y)
    """


class NoWorkersError(RuntimeError):
    """A Dask cluster has had no workers that take tasks for as long as a fit was to wait for one.

    Examples
    --------
    >>> from fastlin.exceptions import NoWorkersError
    >>> try:  # doctest: +SKIP
    ...     model.fit(dX, dy, worker_timeout=10)
    ... except NoWorkersError:
    ...     cluster.scale(4)
    """


class SeparationError(ValueError):
    """Columns of X separate the classes, so that coefficients have no finite estimates; the message names both.

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
    """It was not decided whether columns of X separate the classes, which would make standard errors meaningless.

    Examples
    --------
    >>> import warnings
    >>> from fastlin.exceptions import SeparationWarning
    >>> with warnings.catch_warnings():  # doctest: +SKIP
    ...     warnings.simplefilter("error", SeparationWarning)
    ...     model.inference(X, y)
    """


class WorkersLostError(RuntimeError):
    """Workers of a Dask cluster were lost again and again, or the tasks of a fit were cancelled.

    Its cause is Dask's own error: KilledWorker, CancelledError, or what the last call of a lost worker ended with.

    Examples
    --------
    >>> from fastlin.exceptions import WorkersLostError
    >>> try:  # doctest: +SKIP
    ...     model.fit(dX, dy)
    ... except WorkersLostError as error:
    ...     print(error.__cause__)  # the task, and the worker that took it last
    """
