"""Scripts of each task give the same results on plain NumPy and, with only their import lines changed, on fastlin.

The data are small, with batches of 16 rows and fewer epochs; the other settings are those of the assignment.
"""

import re
import sys
import warnings
from types import ModuleType

import matplotlib.pyplot
import numpy as np
import pytest
from naive_course import make_course_modules
from naive_two_layer_net import NumpyTwoLayerNet
from repository import read

from fastlin.course import datasets
from fastlin.exceptions import CourseWarning

EARLY_STOPPING_WARNING = "Early stopping with a patience of 10 would have ended this training after 46 of its 160 steps"
# The beginning of the scripts of both tasks.
COMMON_SCRIPT_START = """
import matplotlib.pyplot as plt
import numpy as np
import utils
from task2a import cross_entropy_loss, BinaryModel, pre_process_images
from trainer import BaseTrainer
np.random.seed(0)


class OwnTrainer(BaseTrainer):

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


def list_numbers(*histories):
    return [list(history[name].items()) for history in histories for name in ("loss", "accuracy")]
"""

TASK_2_SCRIPT = f"""{COMMON_SCRIPT_START}

def calculate_accuracy(X, targets, model):
    return np.mean((model.forward(X) > 0.5) == targets)


X_train, Y_train, X_val, Y_val = utils.load_binary_dataset(2, 3)
X_train, X_val = pre_process_images(X_train), pre_process_images(X_val)


def train(num_epochs, shuffle_dataset, **options):
    model = BinaryModel()
    trainer = OwnTrainer(model, 0.05, 16, shuffle_dataset, X_train, Y_train, X_val, Y_val, **options)
    return *trainer.train(num_epochs), model.w


# Task 2b and 2c
train_history, val_history, w = train(10, False)
plt.figure()
utils.plot_loss(train_history["loss"], "Training Loss", npoints_to_average=10)
utils.plot_loss(val_history["loss"], "Validation Loss")
utils.plot_loss(train_history["loss"], "Every step", npoints_to_average=10, plot_variance=False)

# Task 2d and 2e
*stopped, stopped_w = train(100, False, early_stopping=True, patience=10)
*shuffled, shuffled_w = train(10, True)
result = w, stopped_w, shuffled_w, *list_numbers(train_history, val_history, *stopped, *shuffled)
"""

TASK_3_SCRIPT = f"""{COMMON_SCRIPT_START}
from task3a import cross_entropy_loss, SoftmaxModel, one_hot_encode


def calculate_accuracy(X, targets, model):
    return np.mean(model.forward(X).argmax(axis=1) == targets.argmax(axis=1))


X_train, Y_train, X_val, Y_val = utils.load_full_mnist()
X_train, X_val = pre_process_images(X_train), pre_process_images(X_val)
Y_train, Y_val = one_hot_encode(Y_train, 10), one_hot_encode(Y_val, 10)


def train(l2_reg_lambda):
    model = SoftmaxModel(l2_reg_lambda)
    trainer = OwnTrainer(model, 0.01, 16, True, X_train, Y_train, X_val, Y_val)
    histories = trainer.train(2)
    # Task 4b
    weight = np.hstack([model.w[:-1, digit].reshape(28, 28) for digit in range(model.num_outputs)])
    return model.w, weight, *list_numbers(*histories)


# Task 3b to 4e
result = *train(0), *train(1.0), *train(0.01)
"""

# The homework's check on toy data, with the numbers of the homework.
TWO_LAYER_NET_SCRIPT = """
import numpy as np
from two_layernet import TwoLayerNet


def init_toy_model():
    np.random.seed(0)
    return TwoLayerNet(4, 10, 3, std=1e-1)


net = init_toy_model()
np.random.seed(1)
X, y = 10 * np.random.randn(5, 4), np.array([0, 1, 2, 2, 1])
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

stats = net.train(X, y, X, y, learning_rate=1e-1, reg=5e-6, num_iters=100, verbose=False)
assert stats["loss_history"][-1] < 0.02
assert (net.predict(X) == y).all()

# The arguments in the homework's order: verbose stands after batch_size.
net = init_toy_model()
np.random.seed(2)
again = net.train(X, y, X, y, 1e-1, 0.95, 5e-6, 20, 3, False)
parts = [values[name] for values in (grads, net.params) for name in ("W1", "b1", "W2", "b2")]
result = scores, loss, *parts, *stats.values(), *again.values()
"""

# Each script, and the first words of the warnings it emits.
SCRIPTS = {
    "TASK_2": (TASK_2_SCRIPT, [EARLY_STOPPING_WARNING]),
    "TASK_3": (TASK_3_SCRIPT, ["SoftmaxModel uses the penalty l2_reg_lambda"]),
    "TWO_LAYER_NET": (TWO_LAYER_NET_SCRIPT, []),
}


def run(script):
    matplotlib.use("Agg")
    names = {"__name__": "__main__"}
    exec(compile(script, "script", "exec"), names)
    matplotlib.pyplot.close("all")
    return names["result"]


@pytest.mark.parametrize(("script", "warning_beginnings"), SCRIPTS.values(), ids=SCRIPTS)
def test_scripts_give_the_same_results_after_changing_only_import_lines(
    script, warning_beginnings, monkeypatch, capsys
):
    digits = datasets.load_digits()
    # The digits, enlarged to the number of pixels of MNIST images.
    X_train, X_test = (np.pad(X.repeat(9, axis=1), ((0, 0), (0, 208))) for X in (digits.X_train, digits.X_test))
    modules = make_course_modules(X_train, digits.y_train, X_test, digits.y_test)
    modules["two_layernet"] = ModuleType("two_layernet")
    modules["two_layernet"].TwoLayerNet = NumpyTwoLayerNet
    for module, contents in modules.items():
        monkeypatch.setitem(sys.modules, module, contents)
    expected = run(script)
    # The course's modules can no longer be imported.
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    small = modules["utils"].load_full_mnist()
    monkeypatch.setattr(datasets, "load_mnist", lambda: None)
    monkeypatch.setattr("fastlin.course.trainers.data.select_images", lambda *selection: small)
    page = read("docs/coming-from-the-course.md")
    for theirs, ours in re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", page, re.MULTILINE):
        line = rf"^{re.escape(theirs.removesuffix(' …'))}(?= |$)"
        script = re.sub(line, ours.removesuffix(" …"), script, flags=re.MULTILINE)
    with warnings.catch_warnings(record=True, action="always") as caught:
        actual = run(script)
    assert all(warning.category is CourseWarning for warning in caught)
    for warning, warning_beginning in zip(caught, warning_beginnings, strict=True):
        assert str(warning.message).startswith(warning_beginning)
    for actual_array, expected_array in zip(actual, expected, strict=True):
        np.testing.assert_allclose(actual_array, expected_array, rtol=0, atol=1e-10)
