"""The data sets of the studies: MNIST and CIFAR-10, read from disk or downloaded, and scikit-learn's digits."""

from fastlin.course.datasets.cifar10 import CIFAR10_FILES, load_cifar10
from fastlin.course.datasets.dataset import Dataset, load_digits
from fastlin.course.datasets.files import cache_folder, list_folders
from fastlin.course.datasets.mnist import COURSE_IMAGES, MNIST_FILES, find_mnist, load, load_mnist
from fastlin.exceptions import DatasetNotFoundError

__all__ = [
    "CIFAR10_FILES",
    "COURSE_IMAGES",
    "MNIST_FILES",
    "Dataset",
    "DatasetNotFoundError",
    "cache_folder",
    "find_mnist",
    "list_folders",
    "load",
    "load_cifar10",
    "load_digits",
    "load_mnist",
]
