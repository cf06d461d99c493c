"""An independent oracle of the course's training: random data and a plain NumPy loop; it imports nothing of fastlin."""

import numpy as np

N_FEATURES = 12


def make_data(n_outputs, n_train=130, n_val=40, dtype=np.float64, seed=0):
    """Return X_train, Y_train, X_val, Y_val with targets of shape (N, 1) or one-hot (N, n_outputs)."""
    generator = np.random.default_rng(seed)
    parts = []
    for n in (n_train, n_val):
        X = generator.normal(size=(n, N_FEATURES))
        X[:, -1] = 1
        signal = X[:, : max(n_outputs, 2)] + generator.normal(size=(n, max(n_outputs, 2)))
        labels = signal.argmax(axis=1)
        Y = labels[:, None] if n_outputs == 1 else np.eye(n_outputs)[labels]
        parts += [X.astype(dtype), Y]
    return parts


def train_plainly(data, epochs, batch_size=16, learning_rate=0.1, *, seed=None, l2=0.0, momentum=0.0, decay=1.0):
    """Train as the assignment's NumPy code does; return train and validation histories and the weights.

    seed is that of the shuffling; None means that the rows stay in their order.
    """
    X, Y, X_val, Y_val = data
    w = np.zeros((X.shape[1], Y.shape[1]))
    velocity = np.zeros_like(w)
    random_state = np.random.RandomState(seed)
    per_epoch = len(X) // batch_size
    train, val = {"loss": {}, "accuracy": {}}, {"loss": {}, "accuracy": {}}

    def forward(X):
        scores = X @ w
        if w.shape[1] == 1:
            return 1 / (1 + np.exp(-scores))
        exponentials = np.exp(scores)
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def loss(Y, outputs):
        if Y.shape[1] == 1:
            return -np.mean(Y * np.log(outputs) + (1 - Y) * np.log(1 - outputs))
        return -np.mean(np.sum(Y * np.log(outputs), axis=1))

    def accuracy(X, Y):
        outputs = forward(X)
        if Y.shape[1] == 1:
            return np.mean((outputs >= 0.5) == Y)
        return np.mean(outputs.argmax(axis=1) == Y.argmax(axis=1))

    step = 0
    for _ in range(epochs):
        order = np.arange(len(X))
        if seed is not None:
            random_state.shuffle(order)
        for batch in range(per_epoch):
            rows = order[batch * batch_size : (batch + 1) * batch_size]
            outputs = forward(X[rows])
            train["loss"][step] = loss(Y[rows], outputs)
            gradient = X[rows].T @ (outputs - Y[rows]) / batch_size + l2 * w
            velocity = momentum * velocity + gradient
            w = w - learning_rate * velocity
            if step % max(1, per_epoch // 5) == 0:
                val["loss"][step] = loss(Y_val, forward(X_val))
                train["accuracy"][step] = accuracy(X, Y)
                val["accuracy"][step] = accuracy(X_val, Y_val)
            step += 1
        learning_rate *= decay
    return train, val, w
