"""Warnings, each given once in a process, of differences between fastlin and the course's own code."""

import warnings
from typing import Any

from fastlin.exceptions import CourseWarning

_given: set[str] = set()
MESSAGES = {
    # A model without `half`: which of the two penalties it uses.
    "half": "{name} penalizes l2_reg_lambda * ||w||^2, whose gradient is 2 * l2_reg_lambda * w; where backward of the "
    "course adds l2_reg_lambda * w, its penalty is half as large. Write {name}(l2_reg_lambda={weight!r}, half=True) "
    "for that one, or half=False to keep this one without this warning.",
    # A training whose `early_stopping` was not given.
    "early_stopping": "Early stopping with a patience of {patience} would have ended this training after {n_steps} of "
    "its {n_all} steps; a trainer.py of the course may stop by itself, but fastlin's trainers stop only where told to. "
    "Write early_stopping=True to stop there, or early_stopping=False to train on without this warning.",
    # A loader with a size and without `sample_stochastic`.
    "sample_stochastic": "The first training images and the last test images are taken; loaders of the course that "
    "have sizes draw both at random unless they are told otherwise. Write sample_stochastic=True for a draw, or "
    "sample_stochastic=False to keep these images without this warning.",
    # The other differences in the year whose loaders return six arrays.
    "val_percentage": "Six arrays are returned, because {part!r} is a part of the training images. In the course's "
    "year with this argument pre_process_images maps pixels to values from 0 to 1, and some copies divide the softmax "
    "loss by the 10 classes; here the values are from -1 to 1 and the loss is not divided. Keep your own task2a.py and "
    "task3a.py for theirs, or write val_percentage={part!r} to load without this warning.",
}


def warn_once(difference: str, stacklevel: int, **values: Any) -> None:
    """Give a warning once for each difference; a stacklevel of 1 names the line that calls this function."""
    if difference not in _given:
        _given.add(difference)
        warnings.warn(MESSAGES[difference].format(**values), CourseWarning, stacklevel=stacklevel + 1)
