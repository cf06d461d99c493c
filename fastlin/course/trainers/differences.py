"""Warnings about differences between fastlin and the course's own code, each issued once per process."""

import warnings
from typing import Any

from fastlin.exceptions import CourseWarning

_issued_warnings: set[str] = set()
DIFFERENCE_MESSAGES = {
    # A model was created without `half`, which selects one of two penalties.
    "half": "{name} uses the penalty l2_reg_lambda * ||w||^2, whose gradient is 2 * l2_reg_lambda * w. If backward of "
    "the course's code adds l2_reg_lambda * w, its penalty is half as large. Write {name}(l2_reg_lambda={weight!r}, "
    "half=True) for the latter, or half=False to keep the former without this warning.",
    # A training run did not receive the argument `early_stopping`.
    "early_stopping": "Early stopping with a patience of {patience} would have ended this training after {n_steps} of "
    "its {n_all} steps. Some trainers of the course always stop early, but those of fastlin only on request. Write "
    "early_stopping=True to stop early, or early_stopping=False to train without this warning.",
    # A loader received a size but not `sample_stochastic`.
    "sample_stochastic": "The first training images and the last test images are used, but loaders of the course that "
    "take sizes draw both at random by default. Write sample_stochastic=True to draw them, or "
    "sample_stochastic=False to keep these images without this warning.",
    # A loader received a fraction, as in the year of the course in which loaders return six arrays. Other functions of
    # that year differ too.
    "val_percentage": "Six arrays are returned, because {fraction!r} is a fraction of the training images. In the year "
    "of the course with this argument, pre_process_images scales pixels to [0, 1], and some copies divide the softmax "
    "loss by the 10 classes; here pixels are scaled to [-1, 1] and the loss is not divided. Keep your own task2a.py "
    "and task3a.py for the former, or write val_percentage={fraction!r} to load without this warning.",
}


def warn_once(difference: str, stacklevel: int, **values: Any) -> None:
    """Issue a warning once per difference. A stacklevel of 1 refers to the line that calls this function."""
    if difference not in _issued_warnings:
        _issued_warnings.add(difference)
        warnings.warn(DIFFERENCE_MESSAGES[difference].format(**values), CourseWarning, stacklevel=stacklevel + 1)
