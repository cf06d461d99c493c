"""The course's modules in plain NumPy, an independent oracle of `fastlin.trainers`: nothing of fastlin is imported.

`make_modules` returns ``utils``, ``task2a``, ``task3a`` and ``trainer``, as the course's scripts import them, over
data of the test's own. Early stopping, which a student adds, has the arguments of fastlin's trainers.
"""

from types import ModuleType

import numpy as np


def make_modules(X_train, y_train, X_test, y_test):
    """Return the four modules by name; images are (N, 784) from 0 to 255 and labels (N,)."""

    def load_full_mnist():
        return X_train, y_train.reshape(-1, 1), X_test, y_test.reshape(-1, 1)

    def load_binary_dataset(class1, class2):
        parts = []
        for X, y in ((X_train, y_train), (X_test, y_test)):
            X, Y = binary_prune_dataset(class1, class2, X, y)
            parts += [X, Y.reshape(-1, 1)]
        return parts

    contents = {
        "utils": [batch_loader, binary_prune_dataset, load_binary_dataset, load_full_mnist, plot_loss],
        "task2a": [pre_process_images, binary_cross_entropy_loss, BinaryModel],
        "task3a": [one_hot_encode, softmax_cross_entropy_loss, SoftmaxModel],
        "trainer": [BaseTrainer],
    }
    modules = {}
    for name, members in contents.items():
        modules[name] = ModuleType(name)
        for member in members:
            # Both modules call theirs cross_entropy_loss.
            public = member.__name__.removeprefix("binary_") if name == "task2a" else member.__name__
            setattr(modules[name], public.removeprefix("softmax_"), member)
    return modules


def pre_process_images(X):
    assert X.ndim == 2
    return np.hstack([X / 127.5 - 1, np.ones((len(X), 1))])


def one_hot_encode(Y, num_classes):
    assert Y.min() >= 0 and Y.max() < num_classes
    return np.eye(num_classes)[Y.reshape(-1)]


def binary_cross_entropy_loss(targets, outputs):
    assert targets.shape == outputs.shape
    return -np.mean(targets * np.log(outputs) + (1 - targets) * np.log(1 - outputs))


def softmax_cross_entropy_loss(targets, outputs):
    assert targets.shape == outputs.shape
    return -np.mean(np.sum(targets * np.log(outputs), axis=1))


class BinaryModel:
    l2_reg_lambda = 0.0

    def __init__(self):
        self.I, self.num_outputs = 785, 1
        self.w, self.grad = np.zeros((785, 1)), None

    def forward(self, X):
        assert X.shape[1] == self.I
        return 1 / (1 + np.exp(-(X @ self.w)))

    def backward(self, X, outputs, targets):
        assert targets.shape == outputs.shape
        self.grad = X.T @ (outputs - targets) / len(X) + 2 * self.l2_reg_lambda * self.w
        assert self.grad.shape == self.w.shape


class SoftmaxModel(BinaryModel):
    def __init__(self, l2_reg_lambda):
        self.I, self.num_outputs = 785, 10
        self.w, self.grad, self.l2_reg_lambda = np.zeros((785, 10)), None, l2_reg_lambda

    def forward(self, X):
        assert X.shape[1] == self.I
        exponentials = np.exp(X @ self.w)
        return exponentials / exponentials.sum(axis=1, keepdims=True)


def batch_loader(X, Y, batch_size, shuffle=False, drop_last=True):
    assert len(X) == len(Y)
    order = list(range(len(X)))
    if shuffle:
        np.random.shuffle(order)
    for start in range(0, len(X), batch_size):
        rows = order[start : start + batch_size]
        if len(rows) == batch_size or not drop_last:
            yield X[rows], Y[rows]


def binary_prune_dataset(class1, class2, X, Y):
    kept = (Y == class1) | (Y == class2)
    targets = Y.copy()
    targets[Y == class1] = 1
    targets[Y == class2] = 0
    return X[kept], targets[kept]


def plot_loss(loss_dict, label=None, npoints_to_average=1, plot_variance=True):
    import matplotlib.pyplot as plt

    steps, values = list(loss_dict.keys()), list(loss_dict.values())
    if npoints_to_average == 1 or not plot_variance:
        plt.plot(steps, values, label=label)
        return
    middles, means, spreads = [], [], []
    for end in range(npoints_to_average, len(values) + 1, npoints_to_average):
        first = end - npoints_to_average
        middles.append(steps[first + npoints_to_average // 2])
        means.append(np.mean(values[first:end]))
        spreads.append(np.std(values[first:end]))
    means, spreads = np.array(means), np.array(spreads)
    plt.plot(middles, means, label=f"{label} (mean over {npoints_to_average} steps)")
    label = f"{label} variance over {npoints_to_average} steps"
    plt.fill_between(middles, means - spreads, means + spreads, alpha=0.2, label=label)


class BaseTrainer:
    def __init__(
        self,
        model,
        learning_rate,
        batch_size,
        shuffle_dataset,
        X_train,
        Y_train,
        X_val,
        Y_val,
        *,
        early_stopping=False,
        patience=10,
    ):
        self.model, self.learning_rate, self.batch_size = model, learning_rate, batch_size
        self.shuffle_dataset = shuffle_dataset
        self.X_train, self.Y_train, self.X_val, self.Y_val = X_train, Y_train, X_val, Y_val
        self.early_stopping, self.patience = early_stopping, patience

    def train(self, num_epochs):
        train, val = {"loss": {}, "accuracy": {}}, {"loss": {}, "accuracy": {}}
        steps_per_validation = len(self.X_train) // self.batch_size // 5
        step, best, n_worse = 0, (np.inf, None), 0
        for _ in range(num_epochs):
            for X, Y in batch_loader(self.X_train, self.Y_train, self.batch_size, self.shuffle_dataset):
                train["loss"][step] = self.train_step(X, Y)
                if step % steps_per_validation == 0:
                    val["loss"][step], train["accuracy"][step], val["accuracy"][step] = self.validation_step()
                    n_worse = 0 if val["loss"][step] < best[0] else n_worse + 1
                    if n_worse == 0:
                        best = val["loss"][step], self.model.w.copy()
                    if self.early_stopping and n_worse == self.patience:
                        self.model.w = best[1]
                        return train, val
                step += 1
        return train, val
