"""Mini-batch gradient descent for networks, with momentum or Adam: single steps and epochs."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fastlin.kernels.machine.threads import READ_NUMBER_WORK, count_work_blocks, run_blocks
from fastlin.kernels.networks.layers import update_with_adam, update_with_momentum
from fastlin.networks.network import Examples, Network
from fastlin.typing import Array, IntArray

# The cost of updating a parameter, in multiply-adds. An update reads three numbers and writes two.
PARAMETER_UPDATE_WORK = 2 * READ_NUMBER_WORK


class EpochTotals(NamedTuple):
    """Sums of metrics over the rows of an epoch. The metrics of a batch are computed before the step."""

    loss: float  # the mean loss times the number of rows of each batch, summed without weights
    n_rows: float
    n_correct: float  # the total weight of correctly classified rows
    weight: float


class GradientDescent:
    """Gradient descent on the parameters of a network. Subclasses implement the update rule.

    A step uses the gradient of the loss of a batch plus (l2 / 2) ||W||^2. `optimizer_arrays` lists the arrays that each
    step updates, such as velocities. `counts[0]` is the number of training rows so far, and `n_steps` (1,) is the
    number of steps.
    """

    def __init__(
        self, network: Network, optimizer_arrays: tuple[Array, ...], random_state: np.random.RandomState | None = None
    ) -> None:
        self.network, self.optimizer_arrays, self.counts = network, optimizer_arrays, np.zeros(2, np.int64)
        self.n_steps = np.zeros(1, np.uint64)
        self._vectors, self._random_state = (network.parameters, network.gradient, *optimizer_arrays), random_state
        self._n_blocks = count_work_blocks(PARAMETER_UPDATE_WORK * len(network.parameters))

    @property
    def n_rows(self) -> int:
        """The number of training rows so far, including repetitions."""
        return int(self.counts[0])

    def make_predictor(self) -> Network:
        """Return the network for predictions after the steps taken so far."""
        return self.network.make_prediction_network()

    def save(self) -> list[Array]:
        """Return copies of the arrays of the network and of the `optimizer_arrays` arrays."""
        return [array.copy() for array in (*self.network.state, *self.optimizer_arrays)]

    def restore(self, saved: list[Array]) -> None:
        """Restore a result of `save`."""
        for array, values in zip((*self.network.state, *self.optimizer_arrays), saved, strict=True):
            array[...] = values

    def reset(self) -> None:
        """Set the `optimizer_arrays` arrays to zero."""
        for array in self.optimizer_arrays:
            array[...] = 0

    def _update_parameters(self, vectors, n_penalized_parameters, learning_rate, l2):
        """Update parameters. Return the sum of squares of the first `n_penalized_parameters`, the coefficients."""
        raise NotImplementedError

    def _update_parameter_blocks(self, learning_rate, l2):
        """Update all parameters on several threads. Return the sum of squares of all coefficients."""
        n, n_coefficients = len(self.network.parameters), self.network.n_coefficients
        squares = np.empty(self._n_blocks)

        def update(block, n_blocks):
            part = slice(n * block // n_blocks, n * (block + 1) // n_blocks)
            n_penalized_parameters = min(max(n_coefficients - part.start, 0), part.stop - part.start)
            vectors = [vector[part] for vector in self._vectors]
            squares[block] = self._update_parameters(vectors, n_penalized_parameters, learning_rate, l2)

        run_blocks(update, self._n_blocks)
        return float(squares.sum())

    def step(
        self,
        examples: Examples,
        rows: IntArray | slice,
        learning_rate: float,
        l2: float,
        *,
        divides_l2_by_batch_weight: bool = False,
    ) -> tuple[float, float, float]:
        """Take one step with a batch, given as rows of the matrix of the examples.

        Return the loss before the step, with the penalty, and the two weights of `Network.compute_gradient`. If
        `divides_l2_by_batch_weight` is true, l2 is divided by the weight of the batch.
        """
        network = self.network
        n_rows = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        seed = 0
        if network.dropout:
            assert self._random_state is not None
            seed = int(self._random_state.randint(2**32, dtype=np.uint32))
        if not isinstance(rows, slice):
            # Sorted rows are gathered faster (docs/benchmarks/design-choices.md: sorted batches).
            rows = np.sort(rows)
            # Contiguous rows are not copied.
            if rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
                rows = slice(int(rows[0]), int(rows[-1]) + 1)
        loss, n_correct, total = network.compute_gradient(examples, rows, seed)
        # The gradient for a batch of weight zero is zero, and its penalty may be infinite.
        if total > 0:
            l2 = float(l2 / total if divides_l2_by_batch_weight else l2)
            self.n_steps[0] += 1
            rate_and_l2 = float(learning_rate), l2
            if self._n_blocks > 1:
                squares = self._update_parameter_blocks(*rate_and_l2)
            else:
                squares = self._update_parameters(self._vectors, network.n_coefficients, *rate_and_l2)
            loss += l2 / 2 * squares
        self.counts[0] += n_rows
        return loss, n_correct, total

    def run_epoch(
        self, examples: Examples, order: IntArray | None, batch_size: int, learning_rate: float, alpha: float
    ) -> EpochTotals:
        """Take a step with each batch of the examples. The last batch has the remaining rows.

        `order` contains row indices of the matrix of the examples. None means all rows in their order. The epoch ends
        early if the loss of a batch, with the penalty, is not finite.
        """
        n_rows = len(examples) if order is None else len(order)
        loss = n_correct = total = 0.0
        # Losses may overflow if the training run diverges.
        with np.errstate(over="ignore", invalid="ignore"):
            for part in self._split_batches(n_rows, batch_size):
                batch = examples.select_rows(part) if order is None else order[part]
                batch_loss, correct, weight = self.step(
                    examples, batch, learning_rate, alpha, divides_l2_by_batch_weight=True
                )
                loss += batch_loss * (part.stop - part.start)
                n_correct, total = n_correct + correct, total + weight
                if not math.isfinite(batch_loss):
                    break
        return EpochTotals(loss, n_rows, n_correct, total)

    def _split_batches(self, n_rows, batch_size):
        """Return the slices of the batches of an epoch. Normalized batches have nearly equal sizes."""
        if not self.network.normalizations:
            return [slice(start, min(start + batch_size, n_rows)) for start in range(0, n_rows, batch_size)]
        # A normalized batch must have at least two rows, because a single row would become zero.
        n_batches = max(1, min(-(-n_rows // batch_size), n_rows // 2))
        borders = [n_rows * batch // n_batches for batch in range(n_batches + 1)]
        return [slice(*pair) for pair in pairwise(borders)]


class MomentumDescent(GradientDescent):
    """Gradient descent with momentum. `velocity` (p,) is the v of `update_with_momentum`."""

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

    def _update_parameters(self, vectors, n_penalized_parameters, learning_rate, l2):
        return update_with_momentum(*vectors, n_penalized_parameters, l2, learning_rate, self._momentum, self._nesterov)


class AdamDescent(GradientDescent):
    """Gradient descent with Adam. See `update_with_adam`.

    The learning rate of step t is learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t). `means` (p,) is m, `squares` (p,)
    is v, and `n_steps` is t.
    """

    def __init__(
        self,
        network: Network,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        random_state: np.random.RandomState | None = None,
    ) -> None:
        self.means, self.squares = np.zeros_like(network.parameters), np.zeros_like(network.parameters)
        super().__init__(network, (self.means, self.squares), random_state)
        self.optimizer_arrays += (self.n_steps,)
        self._beta_1, self._beta_2, self._epsilon = float(beta_1), float(beta_2), float(epsilon)

    def _update_parameters(self, vectors, n_penalized_parameters, learning_rate, l2):
        n_steps = int(self.n_steps[0])
        correction = math.sqrt(1 - self._beta_2**n_steps) / (1 - self._beta_1**n_steps)
        rate = learning_rate * correction
        return update_with_adam(*vectors, n_penalized_parameters, l2, rate, self._beta_1, self._beta_2, self._epsilon)
