"""An independent oracle of TwoLayerNet: its data, loss, gradients and training in plain NumPy, without fastlin."""

import numpy as np


def make_data(n=60, d=6, n_classes=3, seed=0):
    """Return X, y, X_val, y_val that a network can learn from."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, n_classes, n + 25)
    X = generator.normal(size=(n + 25, d))
    X[np.arange(len(X)), y] += 2
    return X[:n], y[:n], X[n:], y[n:]


def score_plainly(params, X):
    return np.maximum(X @ params["W1"] + params["b1"], 0) @ params["W2"] + params["b2"]


def find_probabilities_plainly(params, X):
    exponentials = np.exp(score_plainly(params, X))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def differentiate_plainly(params, X, y, reg):
    """Return loss and gradients."""
    hidden = np.maximum(X @ params["W1"] + params["b1"], 0)
    probabilities = find_probabilities_plainly(params, X)
    loss = -np.mean(np.log(probabilities[np.arange(len(y)), y]))
    slopes = (probabilities - np.eye(len(params["b2"]))[y]) / len(y)
    hidden_slopes = slopes @ params["W2"].T * (hidden > 0)
    return loss + reg * (np.sum(params["W1"] ** 2) + np.sum(params["W2"] ** 2)), {
        "W1": X.T @ hidden_slopes + 2 * reg * params["W1"],
        "b1": hidden_slopes.sum(axis=0),
        "W2": hidden.T @ slopes + 2 * reg * params["W2"],
        "b2": slopes.sum(axis=0),
    }


def train_plainly(params, X, y, X_val, y_val, learning_rate, decay, reg, num_iters, batch_size, momentum):
    """Train as the homework does; return the histories and the parameters."""
    params = {name: value.copy() for name, value in params.items()}
    velocity = {name: 0.0 for name in params}
    stats = {"loss_history": [], "train_acc_history": [], "val_acc_history": []}
    for iteration in range(num_iters):
        rows = np.random.choice(len(X), batch_size)
        loss, grads = differentiate_plainly(params, X[rows], y[rows], reg)
        stats["loss_history"].append(loss)
        for name in params:
            velocity[name] = momentum * velocity[name] - learning_rate * grads[name]
            params[name] = params[name] + velocity[name]
        if iteration % max(len(X) / batch_size, 1) == 0:
            stats["train_acc_history"].append(np.mean(score_plainly(params, X[rows]).argmax(axis=1) == y[rows]))
            stats["val_acc_history"].append(np.mean(score_plainly(params, X_val).argmax(axis=1) == y_val))
            learning_rate *= decay
    return stats, params


class PlainTwoLayerNet:
    """The homework's class with its signatures."""

    def __init__(self, input_size, hidden_size, output_size, std=1e-4):
        self.params = {
            "W1": std * np.random.randn(input_size, hidden_size),
            "b1": np.zeros(hidden_size),
            "W2": std * np.random.randn(hidden_size, output_size),
            "b2": np.zeros(output_size),
        }

    def loss(self, X, y=None, reg=0.0):
        if y is None:
            return find_probabilities_plainly(self.params, X)
        return differentiate_plainly(self.params, X, y, reg)

    def train(
        self,
        X,
        y,
        X_val,
        y_val,
        learning_rate=1e-3,
        learning_rate_decay=0.95,
        reg=5e-6,
        num_iters=100,
        batch_size=200,
        verbose=False,
    ):
        data = X, y, X_val, y_val
        stats, self.params = train_plainly(
            self.params, *data, learning_rate, learning_rate_decay, reg, num_iters, batch_size, momentum=0.0
        )
        return stats

    def predict(self, X):
        return score_plainly(self.params, X).argmax(axis=1)
