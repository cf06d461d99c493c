"""MNIST, CIFAR-10 and scikit-learn's digits, by the name that programs import them from."""

from typing import TYPE_CHECKING, Any

from fastlin.course.datasets import *  # noqa: F403
from fastlin.course.datasets import __all__ as __all__

# Type checkers would take any name for one of a module with this function.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # `from fastlin.datasets import` hides the message of an AttributeError.
        if name == "get_CIFAR10_data":
            raise ImportError(
                "fastlin has no get_CIFAR10_data, because its copies differ: some return six arrays with an image in "
                "each row, some eight with X_dev and y_dev, and some a dict of images (N, 3, 32, 32). Keep your own "
                "function, or write cifar10 = fastlin.datasets.load_cifar10(n_validation=1_000): its X_train, "
                "y_train, X_val, y_val, X_test and y_test have pixels from 0 to 255, from which no mean is subtracted, "
                "and a row has all red values of an image before the green and the blue ones."
            )
        raise AttributeError(f"module 'fastlin.datasets' has no attribute {name!r}")
