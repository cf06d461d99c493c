"""Training of networks by L-BFGS with all rows at once, for small data sets."""

import re
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any
from weakref import WeakSet

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from fastlin.networks.network import Examples, Network
from fastlin.training.epochs import Epoch
from fastlin.training.loop import Training
from fastlin.training.monitors import Checkpoint

# This value replaces a loss that is not finite, because the line search interpolates losses.
MAX_LOSS = 1e100
# The path of the BLAS in SciPy's wheels: the first alternative is for Linux and Windows, the second for macOS.
SCIPY_BLAS_PATH = re.compile(r"[/\\]scipy(\.libs|/\.dylibs)[/\\]")
# The training runs that limit SciPy's threads. A run that an interrupt keeps from its removal disappears with the
# traceback.
_LIMITED_RUNS: WeakSet[Any] = WeakSet()
# The limits of the first of these runs, which contain the original numbers of threads.
_FIRST_LIMITS: list[Any] = []
_LIMITS_LOCK = Lock()
# The stop reasons for each status of SciPy's minimizer.
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
    """Minimize the loss of all examples plus the penalty with SciPy's L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995).

    The network must have neither batch normalization nor dropout. Its final parameters are those of the iteration with
    the best validation score or, without validation, of the last iteration. The training run ends if no entry of the
    gradient exceeds `tol`, if the relative decrease of the loss is below 2e-9, or if `on_iteration` returns a true
    value.
    The records of the returned Training are Epochs.
    """
    descent = _LbfgsObjective(network, examples, validation, alpha, on_iteration)
    training, start = descent.training, descent.training.last.saved
    limits = {"maxiter": max_iter, "maxfun": max_fun, "gtol": tol}
    try:
        # Losses may overflow if the training run diverges.
        with np.errstate(over="ignore", invalid="ignore"), _limit_scipy_threads():
            result = minimize(
                descent.evaluate, start, method="L-BFGS-B", jac=True, callback=descent.end_iteration, options=limits
            )
        training.stop_reason = "diverged" if descent.has_diverged else STOP_REASONS[result.status]
        # After a loss that is not finite, steps may be so short that the loss appears to have converged.
        if training.stop_reason == "converged" and descent.has_overflowed and np.abs(result.jac).max() > tol:
            training.stop_reason = "stalled"
    except KeyboardInterrupt:
        if not training.records:
            raise
        training.stop_reason = "interrupted"
    finally:
        network.parameters[:] = training.last.saved
    return training


@cache
def _find_scipy_blas():
    """Return the BLAS libraries in SciPy's wheel. The result is cached, because the search takes milliseconds."""
    libraries = ThreadpoolController()
    paths = [library["filepath"] for library in libraries.info()]
    return libraries.select(filepath=[path for path in paths if SCIPY_BLAS_PATH.search(path)])


@contextmanager
def _limit_scipy_threads():
    """Limit SciPy's BLAS to one thread during training.

    SciPy's BLAS threads busy-wait after each step and compete with those of NumPy's BLAS
    (docs/benchmarks/design-choices.md: scipy threads).
    """
    run = _LimitedRun()
    with _LIMITS_LOCK:
        _LIMITED_RUNS.add(run)
        limits = _find_scipy_blas().limit(limits=1)
        # If an interrupt kept the last run from restoring the limits, this run restores them.
        if not _FIRST_LIMITS:
            _FIRST_LIMITS.append(limits)
    try:
        yield
    finally:
        with _LIMITS_LOCK:
            _LIMITED_RUNS.discard(run)
            if not _LIMITED_RUNS:
                _FIRST_LIMITS[0].restore_original_limits()
                _FIRST_LIMITS.clear()


class _LimitedRun:
    """A training run during which SciPy's BLAS has one thread."""


class _LbfgsObjective:
    """The objective of L-BFGS and the Training. `has_overflowed` becomes true if a loss is not finite."""

    def __init__(self, network, examples, validation, alpha, on_iteration):
        # The first network computes in float64. The second network is the user's, and callbacks may read it.
        self._network, self._user_network = network.make_prediction_network(np.float64), network
        self._examples, self._validation = examples, validation
        self._alpha, self._on_iteration = alpha, on_iteration
        self._accuracy: float = 0.0
        self._best_score: float = -np.inf
        self.training = Training([], Checkpoint(0, network.parameters.astype(np.float64)))
        self.has_diverged = self.has_overflowed = False

    def evaluate(self, parameters):
        """Return the loss with the penalty, and the gradient (p,). Both are in float64."""
        network, examples = self._network, self._examples
        network.parameters[:] = parameters
        loss, n_correct, total = network.compute_gradient(examples, examples.select_rows(slice(0, len(examples))))
        coefs = network.parameters[: network.n_coefficients]
        gradient = network.gradient.copy()
        gradient[: network.n_coefficients] += self._alpha / total * coefs
        loss += 0.5 * self._alpha / total * float(np.sum(coefs * coefs))
        self._accuracy = n_correct / total
        if not (np.isfinite(loss) and np.isfinite(gradient).all()):
            # The line search takes a shorter step, except at the start.
            self.has_overflowed = True
            training = self.training
            is_start = not training.records and np.array_equal(parameters, training.last.saved)
            self.has_diverged = self.has_diverged or is_start
            return MAX_LOSS, np.zeros_like(gradient)
        return float(loss), gradient

    def end_iteration(self, intermediate_result):
        """Record an iteration."""
        # These parameters were evaluated last, so `_accuracy` is their accuracy.
        network, training, parameters = self._network, self.training, intermediate_result.x.copy()
        validation: Any = ()
        if self._validation is not None:
            network.parameters[:] = parameters
            validation = network.make_prediction_network().measure(self._validation)
        training.records.append(Epoch(float(intermediate_result.fun), self._accuracy, *validation))
        if not validation or validation[1] > self._best_score:
            self._best_score = validation[1] if validation else self._best_score
            training.n_kept_records = len(training.records)
            training.last = Checkpoint(training.n_kept_records, parameters)
        self._user_network.parameters[:] = parameters
        if self._on_iteration is not None and self._on_iteration(training):
            raise StopIteration
