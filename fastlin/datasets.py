"""Loaders for MNIST, CIFAR-10 and scikit-learn's digits, re-exported from `fastlin.course.datasets`."""

from fastlin.course.datasets import *  # noqa: F403
from fastlin.course.datasets import __all__ as __all__
