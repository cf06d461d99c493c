"""Argument checks that several modules of the course API share."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from fastlin.containers.fitted import describe_value, to_scalar, validate_array
from fastlin.typing import Array


def check_count(name: str, value: Any, highest: int | None = None) -> None:
    """Raise a ValueError with the argument's name unless `value` is an integer from 1 to `highest`."""
    if not (isinstance(value, (int, np.integer)) and value >= 1 and (highest is None or value <= highest)):
        limit = "" if highest is None else f" and at most the number of rows, {highest}"
        raise ValueError(f"{name} must be an integer of at least 1{limit}, got {value!r}")


def check_number(name: str, value: Any, highest: float = np.inf, *, excluded: float | None = None) -> None:
    """Raise a ValueError unless `value` is a finite number from 0 to `highest` other than `excluded`."""
    is_number: bool = isinstance(value, Real)
    if not (is_number and np.isfinite(value) and 0 <= value <= highest and value != excluded):
        excluded_text = "" if excluded is None else f" but not {excluded}"
        raise ValueError(f"{name} must be a finite number from 0 to {highest}{excluded_text}, got {value!r}")


def validate_weights(trainer: Any) -> Array:
    """Return the model's current `w`, which a script may replace; raise a ValueError if its shape or type is wrong."""
    shape = trainer.X_train.shape[1], trainer.Y_train.shape[1]
    return validate_array("model.w", get_weights(trainer.model), shape, ", the columns of X_train and of Y_train")


def get_weights(model: Any) -> Any:
    """Return the model's `w`; raise a ValueError if it is missing, as in the course's network with `ws`."""
    if not hasattr(model, "w"):
        description, advice = type(model).__name__, "Assign w in its constructor."
        others = " and ".join(name for name in ("ws", "grads") if hasattr(model, name))
        if others:
            description += f" with {others}"
            advice = "Train networks of several layers with the course's own trainer or fastlin.MLPClassifier."
        raise ValueError(
            "model must have weights w, one array of shape (inputs, outputs), and their gradient grad, "
            f"got {description}, which has no w. {advice}"
        )
    return model.w


def validate_gradient(model: Any) -> Array:
    """Return the gradient set by the model's `backward`; raise a ValueError if it is missing or has a wrong shape."""
    grad = getattr(model, "grad", None)
    if grad is None:
        raise ValueError(
            f"backward of {type(model).__name__} must set grad, the gradient of the cost with respect to w, of shape "
            f"{np.shape(model.w)}, but it did not. Assign self.grad in backward."
        )
    return validate_array("model.grad", grad, np.shape(model.w), ", the shape of model.w")


def validate_loss(trainer: Any, value: Any) -> float:
    """Return the result of `train_step` as a float; raise a ValueError unless it is one number."""
    loss = to_scalar(value)
    if loss is None:
        raise ValueError(
            f"{type(trainer).__name__}.train_step must return the mean loss of the batch before the step, one number "
            f"(return loss), got {describe_value(value)}"
        )
    return loss


def check_validation_result(trainer: Any, values: Any) -> tuple[float, Any, Any]:
    """Return the loss and the accuracies that `validation_step` returned; raise a ValueError if the loss is invalid.

    An accuracy that is not one number is returned unchanged, because it is only recorded.
    """
    shape = (len(values),) if isinstance(values, Sequence) else getattr(values, "shape", ())
    has_three_values = tuple(shape[:1]) == (3,)
    loss = to_scalar(values[0]) if has_three_values else None
    if loss is None:
        raise ValueError(
            f"{type(trainer).__name__}.validation_step must return the validation loss, one number, and both "
            f"accuracies (return loss, accuracy_train, accuracy_val), got {describe_value(values)}"
            + (f" with {describe_value(values[0])} as the loss" if has_three_values else "")
        )
    accuracy_train, accuracy_val = (value if (number := to_scalar(value)) is None else number for value in values[1:])
    return loss, accuracy_train, accuracy_val
