"""Mini-batch gradient descent whose predictions come from the mean over its steps."""

import numpy as np

from fastlin.networks import Network
from fastlin.training.momentum import MomentumDescent


class AveragedDescent(MomentumDescent):
    """Steps with momentum; the parameters that predict are the mean of those after each step.

    The mean of the steps of a convex problem converges faster than the steps (Polyak and Juditsky 1992).

    Parameters
    ----------
    network : Network
        The network to train, without normalisation and dropout.
    momentum : float
        As `MomentumDescent` has it.
    first_row : int
        The mean begins with the first step after so many rows.
    n_rows_before : int
        The rows that steps were taken with before.

    Attributes
    ----------
    mean : ndarray of shape (p,), float64
        The mean of the parameters after each of these steps.
    n_averaged : int
        The number of these steps.
    """

    def __init__(self, network, momentum, first_row, n_rows_before=0):
        super().__init__(network, momentum)
        self.mean, self.n_averaged = np.zeros(len(network.parameters)), 0
        self._n_rows_left = first_row - n_rows_before

    def predictor(self):
        """As `Descent.predictor` has it: a network with the mean, as soon as there is one."""
        if not self.n_averaged:
            return super().predictor()
        averaged = Network(self.network.layer_sizes, dtype=self.network.dtype)
        averaged.parameters[:] = self.mean
        return averaged

    def save(self):
        """As `Descent.save` has it: the velocity, the mean and the number of its steps."""
        return super().save(), self.mean.copy(), self.n_averaged

    def restore(self, saved):
        """As `Descent.restore` has it."""
        velocity, self.mean[:], self.n_averaged = saved
        super().restore(velocity)

    def reset(self):
        """As `Descent.reset` has it."""
        super().reset()
        self.mean[:], self.n_averaged = 0, 0

    def _update(self, learning_rate, l2):
        squares = super()._update(learning_rate, l2)
        if self.n_rows >= self._n_rows_left:
            self.mean += (self.network.parameters - self.mean) / (self.n_averaged + 1)
            self.n_averaged += 1
        return squares
