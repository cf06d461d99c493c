"""MNIST, CIFAR-10 and scikit-learn's digits, by the name that programs import them from."""

from fastlin.course.datasets import *  # noqa: F403
from fastlin.course.datasets import __all__ as __all__
