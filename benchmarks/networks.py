"""Comparisons of two-layer networks: an epoch of small batches.

All libraries start with the same coefficients, use the same batches and Nesterov momentum, and end with the same
network.
"""

from dataclasses import dataclass
from functools import partial
from itertools import cycle, pairwise

import numpy as np
from sklearn.neural_network import MLPClassifier as ScikitLearnMLPClassifier

import fastlin
from benchmarks.comparisons import Comparison, ComparisonRule
from benchmarks.data import simulate_softmax_data
from benchmarks.problems import LogLossProblem, count_test_rows
from fastlin.benchmarking.timing import fit_without_convergence_warning
from fastlin.kernels.machine.threads import count_threads
from fastlin.matrices import as_matrix
from fastlin.networks import Examples, Network
from fastlin.training import MomentumDescent

# The shapes of CIFAR-10 after PCA to 300 and to 1,200 components. The values are simulated.
N_ROWS, N_FEATURES = 50_000, 300
N_ROWS_OF_LARGE_DATA, N_FEATURES_OF_LARGE_DATA, LARGE_BATCH_SIZE = 45_000, 1_200, 22_000
N_CLASSES = 10
N_HIDDEN_UNITS = 135
BATCH_SIZE = 128
LEARNING_RATE, MOMENTUM, ALPHA = 0.01, 0.9, 1e-4
LARGE_BATCH_LEARNING_RATE, LARGE_BATCH_MOMENTUM, LARGE_BATCH_L2 = 0.004786, 0.2, 0.003694
SEED = 0
# Maximum relative difference of the losses. Coefficients are rounded to float32 after each step.
SAME_STEPS_TOL = 5e-5


def simulate_rows(n_rows, n_features):
    """Return normally distributed float32 X (n, d), and y (n,) drawn from a softmax model of X."""
    return simulate_softmax_data(n_rows, n_features, N_CLASSES, 1 / np.sqrt(n_features), np.float32, SEED)


def sample_initial_parameters(random_state, n_features):
    """Return float32 coefficients and intercepts of both layers, drawn from a RandomState as in scikit-learn."""
    coefs, intercepts = [], []
    for fan_in, fan_out in pairwise((n_features, N_HIDDEN_UNITS, N_CLASSES)):
        bound = np.sqrt(6 / (fan_in + fan_out))
        coefs.append(random_state.uniform(-bound, bound, (fan_in, fan_out)).astype(np.float32))
        intercepts.append(random_state.uniform(-bound, bound, fan_out).astype(np.float32))
    return coefs, intercepts


@dataclass(frozen=True, eq=False)
class Epoch(LogLossProblem):
    """The float32 rows of an epoch. A solution is a list of the layers' coefs and a list of their intercepts."""

    def compute_class_scores(self, X, coefs, intercepts):
        hidden_outputs = np.maximum(X.astype(np.float64) @ coefs[0] + intercepts[0], 0)
        return super().compute_class_scores(hidden_outputs, coefs[1].T, intercepts[1])


def load_epoch(n_rows, n_features=N_FEATURES):
    """Return the Epoch of some or all rows."""
    n_rows = n_rows or N_ROWS
    X, y = simulate_rows(n_rows + count_test_rows(n_rows), n_features)
    return Epoch(X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], N_CLASSES)


def train_estimator(epoch, estimator):
    """Train fastlin's or scikit-learn's MLPClassifier for an epoch."""
    model = estimator(
        N_HIDDEN_UNITS,
        solver="sgd",
        alpha=ALPHA,
        batch_size=BATCH_SIZE,
        learning_rate_init=LEARNING_RATE,
        max_iter=1,
        momentum=MOMENTUM,
        random_state=SEED,
    )
    fit_without_convergence_warning(model, epoch.X, epoch.y)
    return model.coefs_, model.intercepts_


def train_torch(epoch):
    """Train the same network for an epoch in a plain PyTorch loop."""
    import torch

    torch.set_num_threads(count_threads())
    X, y = epoch.X, epoch.y
    random_state = np.random.RandomState(SEED)
    network = torch.nn.Sequential(
        torch.nn.Linear(X.shape[1], N_HIDDEN_UNITS), torch.nn.ReLU(), torch.nn.Linear(N_HIDDEN_UNITS, N_CLASSES)
    )
    layers = network[0], network[2]
    with torch.no_grad():
        for layer, coef, intercept in zip(layers, *sample_initial_parameters(random_state, X.shape[1]), strict=True):
            layer.weight.copy_(torch.from_numpy(coef.T))
            layer.bias.copy_(torch.from_numpy(intercept))
    permutation = np.arange(len(y))
    random_state.shuffle(permutation)
    order, X, y = torch.from_numpy(permutation), torch.from_numpy(X), torch.from_numpy(y)
    optimizer = torch.optim.SGD(
        [{"params": [layer.weight for layer in layers]}, {"params": [layer.bias for layer in layers]}],
        lr=LEARNING_RATE,
        momentum=MOMENTUM,
        nesterov=True,
        fused=True,
    )
    for rows in order.split(BATCH_SIZE):
        optimizer.param_groups[0]["weight_decay"] = ALPHA / len(rows)
        optimizer.zero_grad()
        scores = network(X.index_select(0, rows))
        torch.nn.functional.cross_entropy(scores, y.index_select(0, rows)).backward()
        optimizer.step()
    return [layer.weight.detach().numpy().T for layer in layers], [layer.bias.detach().numpy() for layer in layers]


class LargeBatchStep:
    """A step of fastlin's momentum descent. Two large batches alternate, each with at most half of the rows."""

    def __init__(self, X, y, batch_size):
        self.network = Network((X.shape[1], N_HIDDEN_UNITS, N_CLASSES))
        coefs, intercepts = sample_initial_parameters(np.random.RandomState(SEED), X.shape[1])
        for parameters, initial_values in zip(
            self.network.coefs + self.network.intercepts, coefs + intercepts, strict=True
        ):
            parameters[:] = initial_values
        order = np.random.default_rng(SEED).permutation(len(y))
        self.batches = order[:batch_size], order[batch_size : 2 * batch_size]
        self._next_batches = cycle(self.batches)
        self._examples = Examples(as_matrix(X), y)
        self._descent = MomentumDescent(self.network, LARGE_BATCH_MOMENTUM)

    def __call__(self):
        """Take a step; return the loss before the step, including the penalty."""
        return self._descent.step(self._examples, next(self._next_batches), LARGE_BATCH_LEARNING_RATE, LARGE_BATCH_L2)[
            0
        ]


class LargeBatchProducts:
    """Only the matrix products of a LargeBatchStep, with the first rows of X and random residuals."""

    def __init__(self, X, batch_size):
        self._X = X[:batch_size]
        self.coefs, _ = sample_initial_parameters(np.random.RandomState(SEED), X.shape[1])
        self.residuals = np.random.default_rng(SEED).standard_normal((batch_size, N_CLASSES), np.float32)
        self.hidden_outputs, self.slopes = np.empty((2, batch_size, N_HIDDEN_UNITS), np.float32)
        self.scores = np.empty((batch_size, N_CLASSES), np.float32)
        self.gradients = [np.empty_like(coef) for coef in self.coefs]

    def __call__(self):
        np.matmul(self._X, self.coefs[0], out=self.hidden_outputs)
        np.matmul(self.hidden_outputs, self.coefs[1], out=self.scores)
        np.matmul(self.hidden_outputs.T, self.residuals, out=self.gradients[1])
        np.matmul(self.residuals, self.coefs[1].T, out=self.slopes)
        np.matmul(self._X.T, self.slopes, out=self.gradients[0])


def _make_comparison(baseline, solve, package=""):
    return Comparison(
        f"an epoch of a network with {N_HIDDEN_UNITS} hidden units, batches of {BATCH_SIZE}",
        load_epoch,
        partial(train_estimator, estimator=fastlin.MLPClassifier),
        {baseline: solve},
        rows=20_000,
        rule=ComparisonRule(same_steps_tol=SAME_STEPS_TOL),
        n_warm_up_rows=2 * BATCH_SIZE,
        package=package,
    )


COMPARISONS = {
    "epoch-scikit-learn": _make_comparison(
        "scikit-learn", partial(train_estimator, estimator=ScikitLearnMLPClassifier)
    ),
    "epoch-torch": _make_comparison("PyTorch", train_torch, "torch"),
}
