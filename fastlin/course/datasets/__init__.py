"""The data of the studies: MNIST and CIFAR-10, found on disk or downloaded, and scikit-learn's embedded digits."""

from fastlin.datasets.cifar10 import CIFAR10_FORMS, load_cifar10
from fastlin.datasets.dataset import Dataset
from fastlin.datasets.digits import load_digits
from fastlin.datasets.folders import cache_folder, list_places
from fastlin.datasets.mnist import COURSE_IMAGES, MNIST_FILES, find_mnist, load_mnist
from fastlin.exceptions import DatasetNotFoundError

__all__ = [
    "CIFAR10_FORMS",
    "COURSE_IMAGES",
    "MNIST_FILES",
    "Dataset",
    "DatasetNotFoundError",
    "cache_folder",
    "find_mnist",
    "list_places",
    "load_cifar10",
    "load_digits",
    "load_mnist",
]
