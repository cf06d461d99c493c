"""Warnings, each given once in a process, of differences between fastlin and the course's own code."""

import warnings
from typing import Any

from fastlin.exceptions import CourseWarning

_given: set[str] = set()
# How many times as long plain NumPy takes for the course's softmax training, by the table of docs/benchmarks.md.
NUMPY_TIMES = {"float64": 3.1, "float32": 5.5}


def warn_once(difference: str, message: str, stacklevel: int) -> None:
    """Give a warning once for each difference; a stacklevel of 1 names the line that calls this function."""
    if difference not in _given:
        _given.add(difference)
        warnings.warn(message, CourseWarning, stacklevel=stacklevel + 1)


def warn_of_penalty(model: Any) -> None:
    """Warn from the constructor of a model without `half` which of the two penalties it uses."""
    name, weight = type(model).__name__, model.l2_reg_lambda
    warn_once(
        "half",
        f"{name} penalises l2_reg_lambda * ||w||^2, whose gradient is 2 * l2_reg_lambda * w; where backward of the "
        f"course adds l2_reg_lambda * w, its penalty is half as large. Write {name}(l2_reg_lambda={weight!r}, "
        "half=True) for that one, or half=False to keep this one without this warning.",
        stacklevel=4,
    )


def warn_of_numpy(methods: list[str], names: list[str]) -> None:
    """Warn from `train` that methods of the script run in NumPy; names are the fastlin classes that replace them."""
    classes = " and ".join(f"fastlin.trainers.{name}" for name in names)
    # A model of the student's own may be another one, such as a network, which fastlin's models cannot replace.
    kind = {"BinaryModel": "logistic", "SoftmaxModel": "softmax"}.get(names[-1])
    begin = f"If your model is {kind} regression, use" if kind else "Use"
    warn_once(
        "NumPy",
        f"Your own {', '.join(methods)} run in NumPy, one batch at a time; in the course's published softmax training "
        f"plain NumPy takes {NUMPY_TIMES['float64']} times as long as compiled steps, and {NUMPY_TIMES['float32']} "
        f"times as long as those in float32. {begin} {classes} without methods of your own for this speed, or inherit "
        f"from {'it' if len(names) == 1 else 'them'} to keep yours without this warning. To silence this and every "
        'other CourseWarning write warnings.filterwarnings("ignore", category=fastlin.exceptions.CourseWarning).',
        stacklevel=3,
    )


def warn_of_early_stopping(n_steps: int, n_all: int, patience: int) -> None:
    """Warn from `train` that early stopping would have ended a training whose `early_stopping` was not given."""
    warn_once(
        "early_stopping",
        f"Early stopping with a patience of {patience} would have ended this training after {n_steps} of its {n_all} "
        "steps; a trainer.py of the course may stop by itself, but fastlin's trainers stop only where told to. "
        "Write early_stopping=True to stop there, or early_stopping=False to train on without this warning.",
        stacklevel=3,
    )


def warn_of_draw() -> None:
    """Warn for the caller of a loader that images are not drawn, where a size was given without `sample_stochastic`."""
    warn_once(
        "sample_stochastic",
        "The first training images and the last test images are taken; loaders of the course that have sizes draw both "
        "at random unless they are told otherwise. Write sample_stochastic=True for a draw, or sample_stochastic=False "
        "to keep these images without this warning.",
        stacklevel=4,
    )


def warn_of_val_percentage(part: float) -> None:
    """Warn for the caller of a loader of the other differences in the year whose loaders return six arrays."""
    warn_once(
        "val_percentage",
        f"Six arrays are returned, because {part!r} is a part of the training images. In the course's year with this "
        "argument pre_process_images maps pixels to values from 0 to 1, and some copies divide the softmax loss by the "
        "10 classes; here the values are from -1 to 1 and the loss is not divided. Keep your own task2a.py and "
        f"task3a.py for theirs, or write val_percentage={part!r} to load without this warning.",
        stacklevel=4,
    )
