"""Training of networks by L-BFGS on all rows at once, for small data."""

import re
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from fastlin.networks.network import Examples, Network
from fastlin.training.epochs import Epoch
from fastlin.training.loop import Training
from fastlin.training.monitors import Checkpoint

# What the line search is told of a loss that is not finite: it interpolates, which infinity would spoil.
TOO_LARGE = 1e100
# Where SciPy's wheels keep their BLAS, on Linux and Windows or on macOS.
OWN_BLAS = re.compile(r"[/\\]scipy(\.libs|/\.dylibs)[/\\]")
# The limits on threads that trainings hold, one for each.
_HELD: list[Any] = []
_LOCK = Lock()
# How a training ended, by SciPy's status of its minimizer.
STOP_REASONS = {0: "converged", 1: "limit", 2: "stalled", 99: "stopped"}


def train_by_lbfgs(
    network: Network,
    examples: Examples,
    validation: Examples | None,
    *,
    alpha: float,
    max_iter: int,
    max_fun: int,
    tol: float,
    on_iteration: Callable[[Training], object] | None = None,
) -> Training:
    """Minimize the loss of all examples, with the penalty, by SciPy's L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995).

    The network, without batch normalization and dropout, ends with the parameters of the best iteration on the
    validation examples, or of the last one. The training ends where no entry of the gradient exceeds tol, where the
    loss no longer falls by 2e-9 of it, or where on_iteration returns something true. The records of the Training are
    Epochs.
    """
    descent = _Descent(network, examples, validation, alpha, on_iteration)
    training, start = descent.training, descent.training.last.saved
    limits = {"maxiter": max_iter, "maxfun": max_fun, "gtol": tol}
    try:
        # The losses of a training that diverges overflow.
        with np.errstate(over="ignore", invalid="ignore"), _hold_scipy():
            found = minimize(
                descent.evaluate, start, method="L-BFGS-B", jac=True, callback=descent.end_iteration, options=limits
            )
        training.ended = "diverged" if descent.has_diverged else STOP_REASONS[found.status]
        # After a loss that was not finite the search takes steps so small that the loss seems to fall no more.
        if training.ended == "converged" and descent.has_overflowed and np.abs(found.jac).max() > tol:
            training.ended = "stalled"
    except KeyboardInterrupt:
        if not training.records:
            raise
        training.ended = "interrupted"
    finally:
        network.parameters[:] = training.last.saved
    return training


@cache
def _find_blas_of_scipy():
    """Return the libraries of BLAS that SciPy brings along, which take milliseconds to find."""
    libraries = ThreadpoolController()
    return libraries.select(filepath=[path for each in libraries.info() if OWN_BLAS.search(path := each["filepath"])])


@contextmanager
def _hold_scipy():
    """Give SciPy's own BLAS one thread while any training goes on.

    Its threads wait busily after each step, beside those of NumPy's BLAS: digits took six times as long.
    """
    with _LOCK:
        _HELD.append(_find_blas_of_scipy().limit(limits=1))
    try:
        yield
    finally:
        with _LOCK:
            # The first one, which knows what was there before, is the last to go.
            limits = _HELD.pop()
            if not _HELD:
                limits.restore_original_limits()


class _Descent:
    """The function that L-BFGS evaluates, and the Training; a loss that is not finite makes it overflow or diverge."""

    def __init__(self, network, examples, validation, alpha, on_iteration):
        # Everything is computed by the first, in float64; the other one is what callbacks see.
        self._network, self._given = network.fold(np.float64), network
        self._examples, self._validation = examples, validation
        self._alpha, self._on_iteration = alpha, on_iteration
        self._accuracy: float = 0.0
        self._best: float = -np.inf
        self.training = Training([], Checkpoint(0, network.parameters.astype(np.float64)))
        self.has_diverged = self.has_overflowed = False

    def evaluate(self, parameters):
        """Return the loss with its penalty, and the gradient (p,), both float64."""
        network, examples = self._network, self._examples
        network.parameters[:] = parameters
        loss, n_correct, total = network.compute_gradient(examples, examples.rows_of(slice(0, len(examples))))
        coefs = network.parameters[: network.n_coefficients]
        gradient = network.gradient.copy()
        gradient[: network.n_coefficients] += self._alpha / total * coefs
        loss += 0.5 * self._alpha / total * float(np.sum(coefs * coefs))
        self._accuracy = n_correct / total
        if not (np.isfinite(loss) and np.isfinite(gradient).all()):
            # The line search takes a shorter step; at the start there is none.
            self.has_overflowed = True
            training = self.training
            is_start = not training.records and np.array_equal(parameters, training.last.saved)
            self.has_diverged = self.has_diverged or is_start
            return TOO_LARGE, np.zeros_like(gradient)
        return float(loss), gradient

    def end_iteration(self, intermediate_result):
        """Take note of the iteration that ends at these parameters."""
        # Evaluated last, so that the accuracy is theirs.
        network, training, parameters = self._network, self.training, intermediate_result.x.copy()
        validation: Any = ()
        if self._validation is not None:
            network.parameters[:] = parameters
            validation = network.fold().measure(self._validation)
        training.records.append(Epoch(float(intermediate_result.fun), self._accuracy, *validation))
        if not validation or validation[1] > self._best:
            self._best = validation[1] if validation else self._best
            training.n_kept = len(training.records)
            training.last = Checkpoint(training.n_kept, parameters)
        self._given.parameters[:] = parameters
        if self._on_iteration is not None and self._on_iteration(training):
            raise StopIteration
