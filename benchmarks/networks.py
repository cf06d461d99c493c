"""asv benchmarks of networks of two layers: an epoch of small batches beside its peers, and a step on a large batch.

All contenders begin with the same coefficients and take the same batches in the same order. They follow the rule of
scikit-learn's MLPClassifier: Nesterov's momentum, and a penalty of alpha / 2 times the squares of the coefficients over
the rows of a batch. So after an epoch all have the same network, up to rounding. A step on a large batch is compared
with its products of matrices alone.
"""

from functools import lru_cache
from itertools import cycle, pairwise

import numpy as np
from sklearn.neural_network import MLPClassifier as ScikitLearnMLPClassifier

import fastlin
from benchmarks.common import evaluate_scores, fit, interleaved_ratio, require
from benchmarks.kernels import repeat
from fastlin.kernels.machine.threads import count_threads
from fastlin.matrices import as_matrix
from fastlin.networks import Examples, Network
from fastlin.training import MomentumDescent

# The shapes of CIFAR-10 after PCA to 300 and to 1,200 components; the values are drawn.
N_ROWS, N_FEATURES = 50_000, 300
N_LARGE_ROWS, N_LARGE_FEATURES, LARGE_BATCH_SIZE = 45_000, 1_200, 22_000
N_CLASSES = 10
N_HIDDEN = 135
BATCH_SIZE = 128
LEARNING_RATE, MOMENTUM, ALPHA = 0.01, 0.9, 1e-4
LARGE_LEARNING_RATE, LARGE_MOMENTUM, LARGE_L2 = 0.004786, 0.2, 0.003694
SEED = 0
N_TURNS = 7


# asv repeats the setup of a benchmark before each sample.
@lru_cache(maxsize=2)
def draw_data(n_rows, n_features):
    """Return normal X (n, d), float32, and y (n,), int64, the best class by a linear model plus as much noise."""
    generator = np.random.default_rng(SEED)
    X = generator.standard_normal((n_rows, n_features), np.float32)
    coef = generator.standard_normal((n_features, N_CLASSES), np.float32) / np.sqrt(np.float32(n_features))
    scores = X @ coef + generator.standard_normal((n_rows, N_CLASSES), np.float32)
    return X, scores.argmax(axis=1)


def draw_start(random_state, n_features):
    """Return coefficients and intercepts of both layers, float32, as scikit-learn draws them from a RandomState."""
    coefs, intercepts = [], []
    for fan_in, fan_out in pairwise((n_features, N_HIDDEN, N_CLASSES)):
        bound = np.sqrt(6 / (fan_in + fan_out))
        coefs.append(random_state.uniform(-bound, bound, (fan_in, fan_out)).astype(np.float32))
        intercepts.append(random_state.uniform(-bound, bound, fan_out).astype(np.float32))
    return coefs, intercepts


def evaluate_network(X, y, coefs, intercepts):
    """Return mean loss and accuracy of a network of two layers in float64, from the formula alone."""
    hidden = np.maximum(X.astype(np.float64) @ coefs[0] + intercepts[0], 0)
    best = (hidden @ coefs[1] + intercepts[1]).argmax(axis=1)
    return evaluate_scores(hidden, y, coefs[1].T, intercepts[1]), float(np.mean(best == y))


def train_fastlin(X, y):
    """Train for an epoch; return the coefficients and the intercepts as lists over the layers."""
    return _fit(fastlin.MLPClassifier, X, y)


def train_scikit_learn(X, y):
    """Train scikit-learn's MLPClassifier for an epoch."""
    return _fit(ScikitLearnMLPClassifier, X, y)


def _fit(estimator, X, y):
    model = estimator(
        N_HIDDEN,
        solver="sgd",
        alpha=ALPHA,
        batch_size=BATCH_SIZE,
        learning_rate_init=LEARNING_RATE,
        max_iter=1,
        momentum=MOMENTUM,
        random_state=SEED,
    )
    fit(model, X, y)
    return model.coefs_, model.intercepts_


def train_torch(X, y):
    """Train the same network in a plain loop of PyTorch for an epoch.

    The weight decay of the optimizer is the gradient of half the squares, alpha over the rows of the batch, and only of
    coefficients. Unlike the estimators, the loop does not check its input.

    Raises
    ------
    NotImplementedError
        PyTorch is not installed.
    """
    require("torch")
    import torch

    torch.set_num_threads(count_threads())
    random_state = np.random.RandomState(SEED)
    network = torch.nn.Sequential(
        torch.nn.Linear(X.shape[1], N_HIDDEN), torch.nn.ReLU(), torch.nn.Linear(N_HIDDEN, N_CLASSES)
    )
    layers = network[0], network[2]
    with torch.no_grad():
        for layer, coef, intercept in zip(layers, *draw_start(random_state, X.shape[1]), strict=True):
            layer.weight.copy_(torch.from_numpy(coef.T))
            layer.bias.copy_(torch.from_numpy(intercept))
    places = np.arange(len(y))
    random_state.shuffle(places)
    order, X, y = torch.from_numpy(places), torch.from_numpy(X), torch.from_numpy(y)
    optimizer = torch.optim.SGD(
        [{"params": [layer.weight for layer in layers]}, {"params": [layer.bias for layer in layers]}],
        lr=LEARNING_RATE,
        momentum=MOMENTUM,
        nesterov=True,
        # The fastest form of the optimizer: 100 ms of one processor for 20,000 rows, where plain takes 105 and foreach
        # 108.
        fused=True,
    )
    for rows in order.split(BATCH_SIZE):
        optimizer.param_groups[0]["weight_decay"] = ALPHA / len(rows)
        optimizer.zero_grad()
        scores = network(X.index_select(0, rows))
        torch.nn.functional.cross_entropy(scores, y.index_select(0, rows)).backward()
        optimizer.step()
    return [layer.weight.detach().numpy().T for layer in layers], [layer.bias.detach().numpy() for layer in layers]


PEERS = {"scikit-learn": train_scikit_learn, "torch": train_torch}


class LargeStep:
    """A step of fastlin's momentum descent, on two large batches in turn.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        The rows.
    y : ndarray of shape (n,), int64
        The labels.
    batch_size : int
        The rows of a batch, at most n / 2.

    Attributes
    ----------
    network : Network
        The network, which each step changes.
    batches : tuple of ndarray of int64
        The numbers of the rows of both batches.
    """

    def __init__(self, X, y, batch_size):
        self.network = Network((X.shape[1], N_HIDDEN, N_CLASSES))
        coefs, intercepts = draw_start(np.random.RandomState(SEED), X.shape[1])
        for part, start in zip(self.network.coefs + self.network.intercepts, coefs + intercepts, strict=True):
            part[:] = start
        order = np.random.default_rng(SEED).permutation(len(y))
        self.batches = order[:batch_size], order[batch_size : 2 * batch_size]
        self._turns = cycle(self.batches)
        self._examples = Examples(as_matrix(X), y)
        self._descent = MomentumDescent(self.network, LARGE_MOMENTUM)

    def __call__(self):
        """Take a step; return the loss before it, with its penalty."""
        return self._descent.step(self._examples, next(self._turns), LARGE_LEARNING_RATE, LARGE_L2)[0]


class LargeProducts:
    """The products of matrices of such a step and nothing else, on rows that lie together.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        The rows, of which the first are the batch.
    batch_size : int
        The rows of the batch.

    Attributes
    ----------
    coefs : list of ndarray of shapes (d, h) and (h, K)
        The coefficients of both layers.
    gradients : list of ndarray of the same shapes
        The products that a step takes for the gradients.
    hidden : ndarray of shape (m, h)
        The values of the hidden units, without an activation.
    slopes : ndarray of shape (m, h)
        The derivatives by the hidden units.
    scores : ndarray of shape (m, K)
        The scores.
    residuals : ndarray of shape (m, K)
        The derivatives by the scores, which are drawn.
    """

    def __init__(self, X, batch_size):
        self._X = X[:batch_size]
        self.coefs, _ = draw_start(np.random.RandomState(SEED), X.shape[1])
        self.residuals = np.random.default_rng(SEED).standard_normal((batch_size, N_CLASSES), np.float32)
        self.hidden, self.slopes = np.empty((2, batch_size, N_HIDDEN), np.float32)
        self.scores = np.empty((batch_size, N_CLASSES), np.float32)
        self.gradients = [np.empty_like(coef) for coef in self.coefs]

    def __call__(self):
        """Compute all products."""
        np.matmul(self._X, self.coefs[0], out=self.hidden)
        np.matmul(self.hidden, self.coefs[1], out=self.scores)
        np.matmul(self.hidden.T, self.residuals, out=self.gradients[1])
        np.matmul(self.residuals, self.coefs[1].T, out=self.slopes)
        np.matmul(self._X.T, self.slopes, out=self.gradients[0])


def measure_part_of_products(step, products, n_turns=N_TURNS):
    """Return the time of the products alone over that of the step; each call makes several of them."""
    return interleaved_ratio(repeat(products), repeat(step), n_turns)


class Epoch:
    """An epoch of the network on 50,000 x 300, in batches of 128."""

    timeout = 120
    rounds = 1
    repeat = (3, 10, 5.0)

    def setup(self):
        self.data = draw_data(N_ROWS, N_FEATURES)
        # This compiles for the type.
        train_fastlin(*draw_data(2 * BATCH_SIZE, N_FEATURES))

    def time_epoch(self):
        train_fastlin(*self.data)

    def peakmem_epoch(self):
        train_fastlin(*self.data)

    def track_accuracy(self):
        return evaluate_network(*self.data, *train_fastlin(*self.data))[1]

    track_accuracy.unit = "accuracy on the rows trained on"


class EpochAndPeer:
    """The same epoch beside a peer."""

    params = (list(PEERS),)
    param_names = ("peer",)
    timeout = 300

    def setup(self, peer):
        self.data = draw_data(N_ROWS, N_FEATURES)
        # This raises where the peer is not installed.
        self.networks = [train(*self.data) for train in (PEERS[peer], train_fastlin)]

    def track_ratio(self, peer):
        return interleaved_ratio(lambda: PEERS[peer](*self.data), lambda: train_fastlin(*self.data), N_TURNS)

    track_ratio.unit = "the peer's time / fastlin's"

    def track_loss_gap(self, peer):
        theirs, ours = (evaluate_network(*self.data, *network)[0] for network in self.networks)
        return abs(ours - theirs)

    track_loss_gap.unit = "mean loss after the epoch"


class StepOnLargeBatch:
    """A step on 22,000 of 45,000 x 1,200, and the part of its time that the products alone take."""

    timeout = 300
    rounds = 1
    repeat = (5, 30, 5.0)

    def setup(self):
        X, y = draw_data(N_LARGE_ROWS, N_LARGE_FEATURES)
        self.step, self.products = LargeStep(X, y, LARGE_BATCH_SIZE), LargeProducts(X, LARGE_BATCH_SIZE)
        # This compiles for the type.
        self.step()

    def time_step(self):
        self.step()

    def time_products(self):
        self.products()

    def track_part_of_products(self):
        return measure_part_of_products(self.step, self.products)

    track_part_of_products.unit = "products' time / the step's"
