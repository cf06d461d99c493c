"""Training by mini-batch gradient descent: one loop for networks and for the models of the course.

`train` runs segments of steps from a generator. At the end, it restores the best or the last parameters.
`MomentumDescent`, `LinearDescent` and `AdamDescent` are the optimizers of networks. `train_by_epochs` trains a network
with one of these optimizers and a `LearningRate` schedule. `train_by_lbfgs` uses all rows at once.
"""

from fastlin.training.epochs import EpochSchedule, train_by_epochs
from fastlin.training.learning_rate import LearningRate
from fastlin.training.linear_descent import LinearDescent
from fastlin.training.loop import DivergedError, Training, train
from fastlin.training.monitors import BestCheckpoint, Checkpoint, EarlyStopping
from fastlin.training.network_descent import AdamDescent, MomentumDescent
from fastlin.training.network_lbfgs import train_by_lbfgs

__all__ = [
    "AdamDescent",
    "BestCheckpoint",
    "Checkpoint",
    "DivergedError",
    "EarlyStopping",
    "EpochSchedule",
    "LearningRate",
    "LinearDescent",
    "MomentumDescent",
    "Training",
    "train",
    "train_by_epochs",
    "train_by_lbfgs",
]
