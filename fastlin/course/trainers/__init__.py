"""The course API: models, trainers and small functions of the classic assignment, as a drop-in for its NumPy code.

Names, shapes and histories follow the assignment: X is (N, pixels + 1) with a last column of ones, Y is (N, 1) or
one-hot (N, K), and the weights ``w`` are (pixels + 1, outputs) with the bias as their last row. `BaseTrainer.train`
compiles stretches of an epoch, but calls overridden methods step by step. `TwoLayerNet` follows another homework.
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
