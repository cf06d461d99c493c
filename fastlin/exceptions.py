"""The errors and warnings that users may want to catch, each of which is also what it would be without fastlin.

Other errors are ValueError and TypeError for what a caller has given wrongly, OSError for files that cannot be read,
and ModuleNotFoundError for packages of an extra that is not installed. Fits warn of parameters by UserWarning, and of
deprecations by FutureWarning, as scikit-learn does.
"""

import sklearn.exceptions

__all__ = [
    "CheckpointError",
    "ConvergenceWarning",
    "CourseAssertionError",
    "DataChangedError",
    "DatasetNotFoundError",
    "NoWorkersError",
]


class CheckpointError(ValueError):
    """A file is no checkpoint, is damaged, or holds a fit with other parameters or data than the one that resumes it.

    `MLPClassifier.fit` raises it for its parameter `resume`.
    """


class ConvergenceWarning(sklearn.exceptions.ConvergenceWarning):
    """A fit or a training stopped before it converged, or diverged. Filters for scikit-learn's warning apply to it."""


class CourseAssertionError(AssertionError, ValueError):
    """The error that is raised where the course's code asserts: caught as AssertionError and as ValueError."""


class DataChangedError(ValueError):
    """Blocks are not what they were when they were made: a file was written to, or a function made other batches."""


class DatasetNotFoundError(FileNotFoundError):
    """A data set, or the folder that it is looked for in, was not found and not downloaded; the message says why."""


class NoWorkersError(RuntimeError):
    """A Dask cluster has had no workers for as long as a fit was to wait for one."""
