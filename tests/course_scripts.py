"""Scripts in the form of the course's and the homework's, written from their interfaces, with the course's imports.

Each is a program whose ``main`` returns what a test compares. The data of these tests are small, so that batches are of
16 rows; otherwise the settings are the assignment's, over fewer epochs.
"""

TASK_2 = """
import matplotlib.pyplot as plt
import numpy as np
import utils
from task2a import cross_entropy_loss, BinaryModel, pre_process_images
from trainer import BaseTrainer
np.random.seed(0)


def calculate_accuracy(X, targets, model):
    return np.mean((model.forward(X) > 0.5) == targets)


class LogisticTrainer(BaseTrainer):

    def train_step(self, X_batch, Y_batch):
        outputs = self.model.forward(X_batch)
        self.model.backward(X_batch, outputs, Y_batch)
        self.model.w -= self.learning_rate * self.model.grad
        return cross_entropy_loss(Y_batch, outputs)

    def validation_step(self):
        loss = cross_entropy_loss(self.Y_val, self.model.forward(self.X_val))
        accuracy_train = calculate_accuracy(self.X_train, self.Y_train, self.model)
        accuracy_val = calculate_accuracy(self.X_val, self.Y_val, self.model)
        return loss, accuracy_train, accuracy_val


def main():
    learning_rate, batch_size = 0.05, 16
    X_train, Y_train, X_val, Y_val = utils.load_binary_dataset(2, 3)
    X_train, X_val = pre_process_images(X_train), pre_process_images(X_val)

    # Task 2b and 2c
    model = BinaryModel()
    trainer = LogisticTrainer(model, learning_rate, batch_size, False, X_train, Y_train, X_val, Y_val)
    train_history, val_history = trainer.train(10)
    print("Final validation loss:", cross_entropy_loss(Y_val, model.forward(X_val)))
    print("Validation accuracy:", calculate_accuracy(X_val, Y_val, model))

    plt.figure()
    plt.subplot(1, 2, 1)
    utils.plot_loss(train_history["loss"], "Training Loss", npoints_to_average=10)
    utils.plot_loss(val_history["loss"], "Validation Loss")
    plt.legend()
    plt.subplot(1, 2, 2)
    utils.plot_loss(train_history["accuracy"], "Training Accuracy")
    utils.plot_loss(val_history["accuracy"], "Validation Accuracy")
    utils.plot_loss(train_history["loss"], "Every step", npoints_to_average=10, plot_variance=False)
    plt.legend()

    # Task 2d
    stopped_model = BinaryModel()
    trainer = LogisticTrainer(
        stopped_model, learning_rate, batch_size, False, X_train, Y_train, X_val, Y_val,
        early_stopping=True, patience=10)
    stopped = trainer.train(100)

    # Task 2e
    shuffled_model = BinaryModel()
    trainer = LogisticTrainer(shuffled_model, learning_rate, batch_size, True, X_train, Y_train, X_val, Y_val)
    shuffled = trainer.train(10)
    weights = model.w, stopped_model.w, shuffled_model.w
    return weights, (train_history, val_history), stopped, shuffled


if __name__ == "__main__":
    result = main()
"""

TASK_3 = """
import matplotlib.pyplot as plt
import numpy as np
import utils
from task2a import pre_process_images
from trainer import BaseTrainer
from task3a import cross_entropy_loss, SoftmaxModel, one_hot_encode
np.random.seed(0)


def calculate_accuracy(X, targets, model):
    return np.mean(model.forward(X).argmax(axis=1) == targets.argmax(axis=1))


class SoftmaxTrainer(BaseTrainer):

    def train_step(self, X_batch, Y_batch):
        outputs = self.model.forward(X_batch)
        self.model.backward(X_batch, outputs, Y_batch)
        self.model.w = self.model.w - self.learning_rate * self.model.grad
        return cross_entropy_loss(Y_batch, outputs)

    def validation_step(self):
        loss = cross_entropy_loss(self.Y_val, self.model.forward(self.X_val))
        accuracy_train = calculate_accuracy(self.X_train, self.Y_train, self.model)
        accuracy_val = calculate_accuracy(self.X_val, self.Y_val, self.model)
        return loss, accuracy_train, accuracy_val


def main():
    num_epochs, learning_rate, batch_size, shuffle_dataset = 2, 0.01, 16, True
    X_train, Y_train, X_val, Y_val = utils.load_full_mnist()
    X_train, X_val = pre_process_images(X_train), pre_process_images(X_val)
    Y_train, Y_val = one_hot_encode(Y_train, 10), one_hot_encode(Y_val, 10)

    def train(l2_reg_lambda):
        model = SoftmaxModel(l2_reg_lambda)
        trainer = SoftmaxTrainer(
            model, learning_rate, batch_size, shuffle_dataset, X_train, Y_train, X_val, Y_val)
        return model, *trainer.train(num_epochs)

    # Task 3b and 3c
    model, train_history, val_history = train(0)
    print("Final training loss:", cross_entropy_loss(Y_train, model.forward(X_train)))
    plt.figure()
    utils.plot_loss(train_history["loss"], "Training Loss", npoints_to_average=10)
    utils.plot_loss(val_history["loss"], "Validation Loss")
    plt.legend()

    # Task 4b
    penalised, *penalised_histories = train(1.0)
    weight = np.vstack([
        np.hstack([m.w[:-1, digit].reshape(28, 28) for digit in range(m.num_outputs)]) for m in (model, penalised)])
    plt.figure()
    plt.imshow(weight, cmap="gray")

    # Task 4c to 4e
    plt.figure()
    norms = []
    for l2_reg_lambda in (1.0, 0.1, 0.01, 0.001):
        model_of_lambda, _, history = train(l2_reg_lambda)
        utils.plot_loss(history["accuracy"], f"lambda = {l2_reg_lambda}")
        norms.append(np.sum(model_of_lambda.w ** 2))
    plt.legend()
    return (model.w, penalised.w), weight, norms, train_history, val_history, penalised_histories


if __name__ == "__main__":
    result = main()
"""

# The homework's check on toy data. Its numbers are the homework's.
TWO_LAYER_NET = """
import numpy as np
from two_layernet import TwoLayerNet


def init_toy_model():
    np.random.seed(0)
    return TwoLayerNet(4, 10, 3, std=1e-1)


def init_toy_data():
    np.random.seed(1)
    return 10 * np.random.randn(5, 4), np.array([0, 1, 2, 2, 1])


def eval_numerical_gradient(f, x, h=1e-5):
    gradient = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        value = x[place]
        x[place] = value + h
        above = f(x)
        x[place] = value - h
        below = f(x)
        x[place] = value
        gradient[place] = (above - below) / (2 * h)
    return gradient


def rel_error(x, y):
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))


net = init_toy_model()
X, y = init_toy_data()
scores = net.loss(X)
correct_scores = np.asarray([
    [0.36446210, 0.22911264, 0.40642526],
    [0.47590629, 0.17217039, 0.35192332],
    [0.43035767, 0.26164229, 0.30800004],
    [0.41583127, 0.29832280, 0.28584593],
    [0.36328815, 0.32279939, 0.31391246]])
assert np.sum(np.abs(scores - correct_scores)) < 1e-7

loss, grads = net.loss(X, y, reg=0.05)
assert abs(loss - 1.30378789133) < 1e-11
for param_name in grads:
    f = lambda W: net.loss(X, y, reg=0.05)[0]
    numerical = eval_numerical_gradient(f, net.params[param_name])
    assert rel_error(numerical, grads[param_name]) < 1e-6

net = init_toy_model()
stats = net.train(X, y, X, y, learning_rate=1e-1, reg=5e-6, num_iters=100, verbose=False)
assert stats["loss_history"][-1] < 0.02
assert (net.predict(X) == y).all()

# The arguments in the homework's order: verbose stands after batch_size.
net = init_toy_model()
np.random.seed(2)
again = net.train(X, y, X, y, 1e-1, 0.95, 5e-6, 20, 3, False)
result = scores, loss, grads, net.params, stats, again
"""
