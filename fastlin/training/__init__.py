"""Training by steps of gradient descent: one loop for networks and for the course's models.

`train` takes the stretches of steps that a generator makes, and keeps the right parameters, however the training ends.
`MomentumDescent`, `LinearDescent` and `AdamDescent` take the steps of networks. `train_by_epochs` trains a network
with one of them, at the `LearningRate` of each epoch, and `train_by_lbfgs` takes all rows at once.
"""

from fastlin.training.epochs import EpochSchedule, train_by_epochs
from fastlin.training.learning_rate import LearningRate
from fastlin.training.linear_descent import LinearDescent
from fastlin.training.loop import DivergedError, Training, train
from fastlin.training.monitors import BestCheckpoint, Checkpoint, Patience
from fastlin.training.network_descent import AdamDescent, MomentumDescent
from fastlin.training.network_lbfgs import train_by_lbfgs

__all__ = [
    "AdamDescent",
    "BestCheckpoint",
    "Checkpoint",
    "DivergedError",
    "EpochSchedule",
    "LearningRate",
    "LinearDescent",
    "MomentumDescent",
    "Patience",
    "Training",
    "train",
    "train_by_epochs",
    "train_by_lbfgs",
]
