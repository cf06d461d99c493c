"""The course API: models, trainers and functions that replace the NumPy code of the classic assignment.

Names, shapes and histories follow the assignment. X has shape (N, pixels + 1), and its last column contains ones.
Y has shape (N, 1), or is one-hot of shape (N, K). The weights ``w`` have shape (pixels + 1, outputs), and their last
row is the bias. `BaseTrainer.train` runs several steps in one compiled call, unless methods are overridden.
`TwoLayerNet` belongs to another homework.
"""

from fastlin.course.figures.losses import plot_loss
from fastlin.course.trainers.data import (
    batch_loader,
    binary_prune_dataset,
    load_binary_dataset,
    load_full_mnist,
    one_hot_encode,
    pre_process_images,
)
from fastlin.course.trainers.measures import calculate_accuracy, cross_entropy_loss, gradient_approximation_test
from fastlin.course.trainers.models import BinaryModel, SoftmaxModel
from fastlin.course.trainers.trainer import BaseTrainer, LogisticTrainer, SoftmaxTrainer
from fastlin.course.trainers.two_layer_net import TwoLayerNet
from fastlin.exceptions import CourseAssertionError

__all__ = [
    "BaseTrainer",
    "BinaryModel",
    "CourseAssertionError",
    "LogisticTrainer",
    "SoftmaxModel",
    "SoftmaxTrainer",
    "TwoLayerNet",
    "batch_loader",
    "binary_prune_dataset",
    "calculate_accuracy",
    "cross_entropy_loss",
    "gradient_approximation_test",
    "load_binary_dataset",
    "load_full_mnist",
    "one_hot_encode",
    "plot_loss",
    "pre_process_images",
]
