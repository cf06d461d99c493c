"""The course's modules in plain NumPy: an independent reference for `fastlin.trainers` that does not import fastlin."""

from types import ModuleType

import numpy as np
from scipy import special

N_FEATURES = 12
OPTIONS = {"early_stopping": False, "patience": 10, "momentum": 0.0, "learning_rate_decay": 1.0, "seed": None}


def make_data(n_outputs, n_train=130, n_val=40, dtype=np.float64, seed=0):
    """Return X_train, Y_train, X_val and Y_val. Y has shape (N, 1), or is one-hot with shape (N, n_outputs)."""
    generator = np.random.default_rng(seed)
    arrays = []
    for n in (n_train, n_val):
        X = generator.normal(size=(n, N_FEATURES))
        X[:, -1] = 1
        signal = X[:, : max(n_outputs, 2)] + generator.normal(size=(n, max(n_outputs, 2)))
        labels = signal.argmax(axis=1)
        Y = labels[:, None] if n_outputs == 1 else np.eye(n_outputs)[labels]
        arrays += [X.astype(dtype), Y]
    return arrays


def make_course_modules(X_train, y_train, X_test, y_test):
    """Return {name: module} for the imports of the course's scripts. Images have shape (N, 784), values 0 to 255."""

    def load_full_mnist():
        return X_train, y_train[:, None], X_test, y_test[:, None]

    def load_binary_dataset(class1, class2):
        arrays = []
        for X, y in ((X_train, y_train), (X_test, y_test)):
            is_selected = (y == class1) | (y == class2)
            arrays += [X[is_selected], (y[is_selected] == class1).astype(int)[:, None]]
        return arrays

    contents = {
        "utils": {
            "load_full_mnist": load_full_mnist,
            "load_binary_dataset": load_binary_dataset,
            "plot_loss": lambda *arguments, **options: None,
        },
        "task2a": {"pre_process_images": pre_process_images, "BinaryModel": lambda: Model(785, 1)},
        "task3a": {"one_hot_encode": one_hot_encode, "SoftmaxModel": lambda weight: Model(785, 10, 2 * weight)},
        "trainer": {"BaseTrainer": BaseTrainer},
    }
    modules = {name: ModuleType(name) for name in contents}
    for name, members in contents.items():
        vars(modules[name]).update(members, cross_entropy_loss=cross_entropy_loss)
    return modules


def pre_process_images(X):
    return np.hstack([X / 127.5 - 1, np.ones((len(X), 1))])


def one_hot_encode(Y, num_classes):
    return np.eye(num_classes)[Y.reshape(-1)]


def cross_entropy_loss(targets, outputs):
    if targets.shape[1] == 1:
        return -np.mean(targets * np.log(outputs) + (1 - targets) * np.log(1 - outputs))
    return -np.mean(np.sum(targets * np.log(outputs), axis=1))


def calculate_accuracy(X, targets, model):
    outputs = model.forward(X)
    if targets.shape[1] == 1:
        return np.mean((outputs >= 0.5) == targets)
    return np.mean(outputs.argmax(axis=1) == targets.argmax(axis=1))


class Model:
    """Logistic regression if there is one output, otherwise softmax regression. The gradient of the penalty is l2 w."""

    def __init__(self, n_inputs=N_FEATURES, num_outputs=3, l2=0.0):
        self.w, self.grad = np.zeros((n_inputs, num_outputs)), None
        self.num_outputs, self.l2 = num_outputs, l2

    def forward(self, X):
        scores = X @ self.w
        return special.expit(scores) if self.num_outputs == 1 else special.softmax(scores, axis=1)

    def backward(self, X, outputs, targets):
        self.grad = X.T @ (outputs - targets) / len(X) + self.l2 * self.w


class BaseTrainer:
    """The training loop of the course, with the options of fastlin's trainers."""

    def __init__(self, model, learning_rate, batch_size, shuffle_dataset, *data, **options):
        self.model, self.learning_rate, self.batch_size = model, learning_rate, batch_size
        self.shuffle_dataset, self.velocity = shuffle_dataset, 0.0
        self.X_train, self.Y_train, self.X_val, self.Y_val = data
        vars(self).update({**OPTIONS, **options})

    def train_step(self, X, Y):
        outputs = self.model.forward(X)
        self.model.backward(X, outputs, Y)
        self.velocity = self.momentum * self.velocity + self.model.grad
        self.model.w = self.model.w - self.learning_rate * self.velocity
        return cross_entropy_loss(Y, outputs)

    def validation_step(self):
        loss = cross_entropy_loss(self.Y_val, self.model.forward(self.X_val))
        accuracies = [
            calculate_accuracy(X, Y, self.model) for X, Y in ((self.X_train, self.Y_train), (self.X_val, self.Y_val))
        ]
        return loss, *accuracies

    def train(self, num_epochs):
        train, val = {"loss": {}, "accuracy": {}}, {"loss": {}, "accuracy": {}}
        random_state = np.random if self.seed is None else np.random.RandomState(self.seed)
        steps_per_epoch = len(self.X_train) // self.batch_size
        step, best, n_without_improvement = 0, (np.inf, None), 0
        for _ in range(num_epochs):
            order = np.arange(len(self.X_train))
            if self.shuffle_dataset:
                random_state.shuffle(order)
            for batch in range(steps_per_epoch):
                rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
                train["loss"][step] = self.train_step(self.X_train[rows], self.Y_train[rows])
                if step % max(1, steps_per_epoch // 5) == 0:
                    val["loss"][step], train["accuracy"][step], val["accuracy"][step] = self.validation_step()
                    n_without_improvement = 0 if val["loss"][step] < best[0] else n_without_improvement + 1
                    if n_without_improvement == 0:
                        best = val["loss"][step], self.model.w.copy()
                    if self.early_stopping and n_without_improvement == self.patience:
                        self.model.w = best[1]
                        return train, val
                step += 1
            self.learning_rate *= self.learning_rate_decay
        return train, val
