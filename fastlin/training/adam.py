"""Mini-batch gradient descent by Adam."""

import math

import numpy as np

from fastlin.kernels.networks.layers import update_with_adam
from fastlin.networks.network import Network
from fastlin.training.network_descent import Descent


class AdamDescent(Descent):
    """Steps of Adam on a network's parameters, with the gradient as `Descent` has it.

    Step t is w -= learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon), m and v being decaying
    means of the gradient and of its square (Kingma and Ba 2015, section 2). With weight decay, which is AdamW,
    coefficients lose learning_rate weight_decay w beside that (Loshchilov and Hutter 2019, algorithm 2). `means` and
    `squares` (p,) are m and v, and `n_steps` (1,) is t.
    """

    def __init__(
        self,
        network: Network,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        random_state: np.random.RandomState | None = None,
    ) -> None:
        self.means, self.squares = np.zeros_like(network.parameters), np.zeros_like(network.parameters)
        self.n_steps = np.zeros(1, np.uint64)
        super().__init__(network, (self.means, self.squares, self.n_steps), random_state)
        self._beta_1, self._beta_2, self._epsilon = float(beta_1), float(beta_2), float(epsilon)
        self._weight_decay = float(weight_decay)

    def _update(self, learning_rate, l2):
        network = self.network
        self.n_steps += 1
        n_steps = int(self.n_steps[0])
        correction = math.sqrt(1 - self._beta_2**n_steps) / (1 - self._beta_1**n_steps)
        vectors = network.parameters, network.gradient, self.means, self.squares
        rates = learning_rate * self._weight_decay, learning_rate * correction
        return update_with_adam(*vectors, network.n_coefficients, l2, *rates, self._beta_1, self._beta_2, self._epsilon)
