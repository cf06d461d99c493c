"""The course's trainers against a plain NumPy loop with the same batches, and with user code."""

from functools import partial

import numpy as np
import pytest
from conftest import assert_raises, run_until_line
from naive_course import N_FEATURES, BaseTrainer, Model, make_data

from fastlin.course import trainers
from fastlin.course.trainers import compiled, trainer
from fastlin.training import loop

from .conftest import make_model

DATA = X, Y, X_VAL, Y_VAL = make_data(3)


def make_trainer(model, data, learning_rate=0.1, batch_size=16, shuffle_dataset=True, kind=None, **options):
    kind = kind or (trainers.LogisticTrainer if np.shape(data[1])[1] == 1 else trainers.SoftmaxTrainer)
    options = {"early_stopping": False, "seed": 3, "progress": False, **options}
    return kind(model, learning_rate, batch_size, shuffle_dataset, *data, **options)


def assert_same_histories(actual, expected):
    for actual_history, expected_history in zip(actual, expected, strict=True):
        for kind in ("loss", "accuracy"):
            items = list(actual_history[kind].items()), list(expected_history[kind].items())
            np.testing.assert_allclose(*items, atol=1e-10, rtol=0)


def assert_equals_numpy_loop(trainer, data, n_epochs, **options):
    """Compare histories and weights with those of the NumPy loop; return the histories."""
    model = trainer.model
    plain = make_trainer(Model(N_FEATURES, model.num_outputs, model.l2), data, kind=BaseTrainer, **options)
    histories = trainer.train(n_epochs)
    assert_same_histories(histories, plain.train(n_epochs))
    np.testing.assert_allclose(model.w, plain.model.w, atol=1e-10, rtol=0)
    return histories


@pytest.mark.parametrize(
    ("n_outputs", "options"),
    [
        (1, {"shuffle_dataset": False}),
        (1, {"batch_size": 33}),
        (3, {"momentum": 0.8, "learning_rate_decay": 0.7}),
        # One batch per epoch.
        (3, {"batch_size": 130, "shuffle_dataset": False}),
        (10, {"batch_size": 4}),
    ],
)
def test_compiled_training_equals_the_numpy_loop(n_outputs, options):
    data = make_data(n_outputs)
    # Lists are accepted too.
    trainer = make_trainer(make_model(n_outputs, 0.05), [array.tolist() for array in data], **options)
    assert_equals_numpy_loop(trainer, data, 4, **options)
    assert trainer.learning_rate == 0.1
    assert not trainer.interrupted


class OverridingTrainer(trainers.SoftmaxTrainer):
    """A user's subclass with a step in plain NumPy that counts its calls."""

    n_steps = 0

    def train_step(self, X_batch, Y_batch):
        self.n_steps += 1
        outputs = self.model.forward(X_batch)
        self.model.backward(X_batch, outputs, Y_batch)
        self.model.w -= self.learning_rate * self.model.grad
        return trainers.cross_entropy_loss(Y_batch, outputs)


class UserModel(trainers.SoftmaxModel):
    """A user's model with its own forward pass that counts its calls."""

    n_forward_calls = 0

    def forward(self, X):
        self.n_forward_calls += 1
        return Model.forward(self, X)


def make_user_model():
    return UserModel(n_inputs=N_FEATURES, n_outputs=3)


def test_overridden_methods_and_user_models_give_the_same_histories(monkeypatch):
    expected = make_trainer(make_model(3), DATA).train(3)
    steps = make_trainer(make_model(3), DATA, kind=OverridingTrainer)
    assert_same_histories(steps.train(3), expected)
    assert steps.n_steps == 3 * 8
    model = make_user_model()
    assert_same_histories(make_trainer(model, DATA).train(3), expected)
    assert model.n_forward_calls > 24
    assert_same_histories(make_trainer(Model(), DATA).train(3), expected)
    # A method that was assigned to the class counts as overridden.
    calls, forward = [], trainers.SoftmaxModel.forward
    monkeypatch.setattr(trainers.SoftmaxModel, "forward", lambda self, X: calls.append(1) or forward(self, X))
    make_trainer(make_model(3), DATA).train(1)
    assert len(calls) >= 8


@pytest.mark.thorough
@pytest.mark.parametrize("make", [Model, make_user_model])
def test_float32_stays_float32_without_compiled_code(make):
    model, data = make(), make_data(3, dtype=np.float32)
    train, _ = make_trainer(model, data, momentum=0.5).train(1)
    assert model.w.dtype == model.grad.dtype == np.float32
    expected, _ = make_trainer(make_model(3), data, momentum=0.5).train(1)
    assert list(train["loss"].values()) == pytest.approx(list(expected["loss"].values()), abs=1e-5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_a_diverged_training_has_zero_accuracy(n_outputs):
    data = make_data(n_outputs)
    train, val = make_trainer(make_model(n_outputs), data, learning_rate=1e308).train(2)
    assert not np.isfinite(list(train["loss"].values())[-1])
    if n_outputs == 3:
        assert np.isnan(list(val["loss"].values())[-1])
        assert list(val["accuracy"].values())[-1] == 0


def test_soft_targets_are_not_treated_as_labels():
    data = X, 0.8 * Y + 0.2 / 3, X_VAL, Y_VAL
    assert_equals_numpy_loop(make_trainer(make_model(3), data), data, 2)


@pytest.mark.parametrize("is_validation_overridden", [False, True])
def test_early_stopping_restores_the_best_weights(is_validation_overridden):
    # With few rows and a large step, the validation loss soon rises.
    data = make_data(3, n_train=40, n_val=200)
    options = {"early_stopping": True, "patience": 4, "learning_rate": 2.0, "batch_size": 10}
    trainer = make_trainer(make_model(3), data, **options)
    if is_validation_overridden:
        trainer.validation_step = lambda: trainers.BaseTrainer.validation_step(trainer)
    _, val = assert_equals_numpy_loop(trainer, data, 500, **options)
    losses = list(val["loss"].values())
    assert len(losses) == int(np.argmin(losses)) + 1 + 4


@pytest.mark.parametrize("own", [None, "train_step", "validation_step"])
def test_ctrl_c_at_any_line_leaves_complete_steps(own):
    files = loop.__file__, trainer.__file__, compiled.__file__

    def make():
        new_trainer = make_trainer(make_model(3), DATA, batch_size=40)
        if own is not None:
            setattr(new_trainer, own, partial(getattr(trainers.BaseTrainer, own), new_trainer))
        return new_trainer

    def train(interrupted_line=np.inf):
        """Train with Ctrl-C at line `interrupted_line`; return weights, histories and the number of executed lines."""
        trained = make()
        histories, n_lines = run_until_line(lambda: trained.train(1), files, interrupted_line)
        return trained.model.w, histories, n_lines

    (uninterrupted_train, uninterrupted_val), n_lines = train()[1:]
    weights = [np.zeros((N_FEATURES, 3))]
    recorder = make()
    recorder.validation_step = lambda: weights.append(recorder.model.w.copy()) or (0.0, 0.0, 0.0)
    recorder.train(1)
    numbers = set()
    for line in range(1, n_lines + 1):
        w, histories, _ = train(line)
        if histories is not None:
            n_steps = len(histories[0]["loss"])
            numbers.add(n_steps)
            np.testing.assert_array_equal(w, weights[n_steps])
            assert histories[0]["loss"] == {step: uninterrupted_train["loss"][step] for step in range(n_steps)}
            # The validation of the last steps may be missing.
            assert histories[1]["loss"].items() <= uninterrupted_val["loss"].items()
            assert len(histories[1]["loss"]) in range(n_steps - 2 if own is None else n_steps, n_steps + 1)
    assert numbers == {0, 1, 2, 3}


def test_overridden_steps_use_the_decayed_learning_rate():
    trainer = make_trainer(make_model(3), DATA, learning_rate_decay=0.5)
    learning_rates = []
    trainer.train_step = lambda X, Y: learning_rates.append(trainer.learning_rate) or 0.5
    train, _ = trainer.train(3)
    assert learning_rates == [0.1] * 8 + [0.05] * 8 + [0.025] * 8
    assert set(train["loss"].values()) == {0.5}
    assert trainer.learning_rate == 0.1
    data = make_data(3, n_train=40, n_val=200)
    trainer = make_trainer(make_model(3), data, 2.0, 10, kind=OverridingTrainer, early_stopping=True, patience=3)
    train, val = trainer.train(500)
    assert trainer.n_steps == len(train["loss"]) == list(val["loss"])[-1] + 1


# One number in several forms, as user scripts return it: `np.mean(…, axis=0)` has shape (1,).
SCALAR_WRAPPERS = [
    np.float32,
    lambda value: np.array([value]),
    lambda value: np.array([[value]]),
    lambda value: (value,),
]


@pytest.mark.parametrize("early_stopping", [False, True])
def test_overridden_methods_may_return_arrays_or_tuples_of_one_number(early_stopping):
    options = {"early_stopping": early_stopping, "patience": 3}
    expected = make_trainer(Model(), DATA, kind=BaseTrainer, **options).train(3)

    class WrappingTrainer(OverridingTrainer):
        def train_step(self, X_batch, Y_batch):
            return self.wrap(super().train_step(X_batch, Y_batch))

        def validation_step(self):
            return [self.wrap(value) for value in super().validation_step()]

    for wrap in SCALAR_WRAPPERS:
        new_trainer = make_trainer(make_model(3), DATA, kind=WrappingTrainer, progress=True, **options)
        new_trainer.wrap = wrap
        # Conversion to float32 has a relative error of at most eps / 2; all other values agree to float64 accuracy.
        rtol = np.finfo(np.float32).eps / 2 if wrap is np.float32 else 0
        for ours, theirs in zip(new_trainer.train(3), expected, strict=True):
            for kind in ("loss", "accuracy"):
                assert {type(value) for value in ours[kind].values()} == {float}
                np.testing.assert_allclose(list(ours[kind].items()), list(theirs[kind].items()), rtol=rtol, atol=1e-10)


def test_accuracies_of_several_numbers_are_recorded_unchanged(capsys):
    new_trainer = make_trainer(make_model(3), DATA, progress=True)
    new_trainer.validation_step = lambda: (0.5, (0.6, 78), None)
    train, val = new_trainer.train(1)
    assert (train["accuracy"][0], val["accuracy"][0], val["loss"][0]) == ((0.6, 78), None, 0.5)
    assert "8/8 loss" in capsys.readouterr().out


def test_a_step_whose_loss_is_not_a_number_raises():
    new_trainer = make_trainer(make_model(3), DATA)
    values = None, np.array([0.5, 0.6]), "0.5", (), (0.5, 0.6)
    for value in values:
        new_trainer.train_step = lambda X, Y, value=value: value
        message = r"^SoftmaxTrainer\.train_step must return the mean loss .*one number \(return loss\), got"
        assert_raises(message, new_trainer.train, 1)
    new_trainer.train_step = lambda X, Y: 0.5
    invalid_results = np.array(0.5), {"loss": 0.5, "train": 0.5, "val": 0.5}, {0.5, 0.6, 0.7}
    for value in (*values, *invalid_results, *((value, 0.5, 0.5) for value in values)):
        new_trainer.validation_step = lambda value=value: value
        message = r"^SoftmaxTrainer\.validation_step must return .*\(return loss, accuracy_train, accuracy_val\), got"
        assert_raises(message, new_trainer.train, 1)


class Network:
    """The course's network, whose weights and gradients are lists."""

    def __init__(self):
        self.ws, self.grads = [np.zeros((N_FEATURES, 4)), np.zeros((4, 3))], [None, None]

    def forward(self, X):
        return X @ self.ws[0] @ self.ws[1]

    def backward(self, X, outputs, targets):
        self.grads = [np.zeros_like(w) for w in self.ws]


class ModelWithoutGradient(Model):
    """A model that stores its gradient in an attribute with another name."""

    def backward(self, X, outputs, targets):
        self.grads = [X.T @ (outputs - targets)]


class ModelWithBroadcastGradient(Model):
    """A model whose gradient has the wrong shape: NumPy would broadcast it to each row of the weights."""

    def backward(self, X, outputs, targets):
        self.grad = (outputs - targets).mean(axis=0)


def test_a_model_without_weights_or_gradient_raises():
    message = r"^model must have weights w, .* got {}, which has no w\. {}".format
    networks = message("Network with ws and grads", "Train networks of several layers with")
    assert_raises(networks, make_trainer, Network(), DATA)
    assert_raises(networks, trainers.gradient_approximation_test, Network(), X, Y)
    assert_raises(message("object", "Assign w in"), make_trainer, object(), DATA)
    new_trainer = make_trainer(ModelWithoutGradient(), DATA)
    assert_raises(
        r"^backward of ModelWithoutGradient must set grad, .* of shape \(12, 3\), but it did not", new_trainer.train, 1
    )
    new_trainer = make_trainer(ModelWithBroadcastGradient(), DATA)
    assert_raises(
        r"^model\.grad must be real numbers of shape \(12, 3\).* got float64 of shape \(3,\)", new_trainer.train, 1
    )


def test_training_continues_from_the_models_weights():
    model_trained_twice, model_trained_once = make_model(3), make_model(3)
    for _ in range(2):
        make_trainer(model_trained_twice, DATA, shuffle_dataset=False).train(2)
    train, _ = make_trainer(model_trained_once, DATA, shuffle_dataset=False).train(4)
    np.testing.assert_allclose(model_trained_twice.w, model_trained_once.w, atol=1e-14)
    assert list(train["loss"]) == list(range(32))
    assert make_trainer(model_trained_once, DATA).train(0) == (
        {"loss": {}, "accuracy": {}},
        {"loss": {}, "accuracy": {}},
    )


def test_training_shows_a_progress_bar(capsys):
    data = make_data(3)
    for array in data:
        array.flags.writeable = False
    make_trainer(make_model(3), data, progress=True).train(2)
    out = capsys.readouterr().out
    assert "16/16" in out
    assert "accuracy" in out
    for array, before in zip(data, DATA, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(("batch_size", size, "^batch_size must") for size in (0, 131, 2.5)),
        *(("learning_rate", rate, "^learning_rate must") for rate in (-1, np.nan)),
        ("momentum", 1.5, "^momentum must"),
        ("learning_rate_decay", np.inf, "^learning_rate_decay must"),
        ("patience", 0, "^patience must"),
        ("data", (X[:-1], Y, X_VAL, Y_VAL), "X_train and Y_train"),
        ("data", (X, Y, X_VAL[:, :-1], Y_VAL), "X_val"),
        ("data", (np.where(X == X[0, 0], np.nan, X), Y, X_VAL, Y_VAL), "X_train.*NaN"),
        ("model", make_model(4), r"model.w must be real numbers of shape .* got float64 of shape \(12, 4\)"),
    ],
)
def test_invalid_parameters_and_data_raise(name, value, message):
    assert_raises(message, make_trainer, **{"model": make_model(3), "data": DATA, name: value})


def test_invalid_epochs_and_weights_of_another_shape_raise():
    trainer = make_trainer(make_model(3), DATA)
    assert_raises("num_epochs", trainer.train, -1)
    trainer.model.w = np.zeros((N_FEATURES - 1, 3))
    assert_raises(r"model\.w must be real numbers of shape", trainer.train, 1)
