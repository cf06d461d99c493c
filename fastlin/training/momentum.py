"""Mini-batch gradient descent with momentum."""

import numpy as np

from fastlin.kernels.networks.layers import update_with_momentum
from fastlin.networks.network import Network
from fastlin.training.network_descent import Descent


class MomentumDescent(Descent):
    """Steps v = momentum v - learning_rate g, w += v on a network's parameters, with g as `Descent` has it.

    Nesterov's form is w += momentum v - learning_rate g with the new v (Sutskever, Martens, Dahl and Hinton 2013,
    section 2). `velocity` (p,) is v.
    """

    def __init__(
        self,
        network: Network,
        momentum: float = 0.0,
        nesterov: bool = False,
        random_state: np.random.RandomState | None = None,
    ) -> None:
        self.velocity = np.zeros_like(network.parameters)
        super().__init__(network, (self.velocity,), random_state)
        self._momentum, self._nesterov = float(momentum), bool(nesterov)

    def _update(self, learning_rate, l2):
        network = self.network
        vectors = network.parameters, network.gradient, self.velocity
        return update_with_momentum(*vectors, network.n_coefficients, l2, learning_rate, self._momentum, self._nesterov)
