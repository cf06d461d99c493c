"""An independent reference for TwoLayerNet in plain NumPy, without fastlin, and data for tests."""

from types import SimpleNamespace

import naive_network
import numpy as np

NAMES = "W1", "b1", "W2", "b2"
# The options have the order of the positional arguments.
OPTIONS = {"learning_rate": 1e-3, "learning_rate_decay": 0.95, "reg": 5e-6, "num_iters": 100, "batch_size": 200}
OPTIONS |= {"verbose": False, "momentum": 0.0}


def make_data(n=60, d=6, n_classes=3, seed=0):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, n_classes, n + 25)
    X = generator.normal(size=(n + 25, d))
    X[np.arange(len(X)), y] += 2
    return X[:n], y[:n], X[n:], y[n:]


class NumpyTwoLayerNet:
    """The homework's class with the original signatures, and with momentum."""

    def __init__(self, input_size, hidden_size, output_size, std=1e-4):
        W1, b1 = std * np.random.randn(input_size, hidden_size), np.zeros(hidden_size)
        W2, b2 = std * np.random.randn(hidden_size, output_size), np.zeros(output_size)
        self.params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}

    def loss(self, X, y=None, reg=0.0):
        W1, b1, W2, b2 = (self.params[name] for name in NAMES)
        if y is None:
            return naive_network.predict(X, [W1, W2], [b1, b2])
        loss, (W1_gradient, W2_gradient), (b1_gradient, b2_gradient), _ = naive_network.loss_and_gradient(
            X, y, None, [W1, W2], [b1, b2]
        )
        slopes = W1_gradient + 2 * reg * W1, b1_gradient, W2_gradient + 2 * reg * W2, b2_gradient
        return loss + reg * (np.sum(W1**2) + np.sum(W2**2)), dict(zip(NAMES, slopes, strict=True))

    def predict(self, X):
        return self.loss(X).argmax(axis=1)

    def train(self, X, y, X_val, y_val, *arguments, **keywords):
        options = SimpleNamespace(**OPTIONS | dict(zip(OPTIONS, arguments, strict=False)) | keywords)
        velocity = dict.fromkeys(NAMES, 0.0)
        stats = {"loss_history": [], "train_acc_history": [], "val_acc_history": []}
        for iteration in range(options.num_iters):
            rows = np.random.choice(len(X), options.batch_size)
            loss, grads = self.loss(X[rows], y[rows], options.reg)
            stats["loss_history"].append(loss)
            for name in NAMES:
                velocity[name] = options.momentum * velocity[name] - options.learning_rate * grads[name]
                self.params[name] = self.params[name] + velocity[name]
            if iteration % max(len(X) / options.batch_size, 1) == 0:
                stats["train_acc_history"].append(np.mean(self.predict(X[rows]) == y[rows]))
                stats["val_acc_history"].append(np.mean(self.predict(X_val) == y_val))
                options.learning_rate *= options.learning_rate_decay
        return stats
