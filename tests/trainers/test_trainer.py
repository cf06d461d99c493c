"""The course API: trainers against a plain NumPy loop with the same batches, and what a student's code may do."""

import naive
import numpy as np
import pytest

from fastlin import trainers
from fastlin.kernels.machine.threads import count_blocks, limit_threads
from fastlin.trainers.compiled import CompiledTraining

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
        Y = labels[:, None] if n_outputs == 1 else trainers.one_hot_encode(labels, n_outputs)
        parts += [X.astype(dtype), Y]
    return parts


def make_model(n_outputs, l2_reg_lambda=0.0, half=False):
    if n_outputs == 1:
        return trainers.BinaryModel(n_inputs=N_FEATURES)
    return trainers.SoftmaxModel(l2_reg_lambda, half, n_inputs=N_FEATURES, n_outputs=n_outputs)


def make_trainer(model, data, **options):
    kind = trainers.LogisticTrainer if np.shape(data[1])[1] == 1 else trainers.SoftmaxTrainer
    arguments = {"learning_rate": 0.1, "batch_size": 16, "shuffle_dataset": True, "seed": 3, "progress": False}
    arguments.update(options)
    positional = [arguments.pop(name) for name in ("learning_rate", "batch_size", "shuffle_dataset")]
    return kind(model, *positional, *data, **arguments)


def train_plainly(model, data, epochs, learning_rate, batch_size, shuffle, seed, momentum=0.0, decay=1.0):
    """Train as the assignment's NumPy code does; return train and validation histories and the weights."""
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
        if shuffle:
            random_state.shuffle(order)
        for batch in range(per_epoch):
            rows = order[batch * batch_size : (batch + 1) * batch_size]
            outputs = forward(X[rows])
            train["loss"][step] = loss(Y[rows], outputs)
            gradient = X[rows].T @ (outputs - Y[rows]) / batch_size + model.l2 * w
            velocity = momentum * velocity + gradient
            w = w - learning_rate * velocity
            if step % max(1, per_epoch // 5) == 0:
                val["loss"][step] = loss(Y_val, forward(X_val))
                train["accuracy"][step] = accuracy(X, Y)
                val["accuracy"][step] = accuracy(X_val, Y_val)
            step += 1
        learning_rate *= decay
    return train, val, w


def assert_same_histories(found, expected, tolerance=1e-10):
    for ours, theirs in zip(found, expected, strict=True):
        for kind in ("loss", "accuracy"):
            assert list(ours[kind]) == list(theirs[kind])
            np.testing.assert_allclose(list(ours[kind].values()), list(theirs[kind].values()), atol=tolerance, rtol=0)


@pytest.mark.parametrize("n_outputs", [1, 3, 10])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"momentum": 0.8, "learning_rate_decay": 0.7}, {"batch_size": 130}, {"batch_size": 33}], ids=str
)
def test_compiled_training_is_the_numpy_loop(n_outputs, shuffle, options):
    data = make_data(n_outputs)
    model = make_model(n_outputs, 0.05)
    trainer = make_trainer(model, data, shuffle_dataset=shuffle, **options)
    found = trainer.train(4)
    *expected, w = train_plainly(
        make_model(n_outputs, 0.05), data, 4, 0.1, options.get("batch_size", 16), shuffle, 3,
        options.get("momentum", 0.0), options.get("learning_rate_decay", 1.0),
    )  # fmt: skip
    assert_same_histories(found, expected)
    np.testing.assert_allclose(model.w, w, atol=1e-10, rtol=0)
    assert trainer.learning_rate == 0.1


@pytest.mark.parametrize("half", [False, True])
def test_both_l2_conventions(half):
    data = make_data(3)
    model = make_model(3, 0.2, half)
    make_trainer(model, data, shuffle_dataset=False, batch_size=10).train(1)
    batches = [range(i * 10, (i + 1) * 10) for i in range(13)]
    w, _ = naive.train(
        data[0], data[1].argmax(axis=1), np.zeros((N_FEATURES, 3)).tolist(), 0.1, batches, l2=0.2 if half else 0.4
    )
    np.testing.assert_allclose(model.w, w, atol=1e-12)


def test_float32_data_train_in_float32():
    data = make_data(3, dtype=np.float32)
    model = make_model(3)
    train, val = make_trainer(model, data).train(3)
    assert model.w.dtype == np.float32
    expected_train, expected_val, w = train_plainly(make_model(3), make_data(3), 3, 0.1, 16, True, 3)
    np.testing.assert_allclose(model.w, w, atol=1e-5)
    np.testing.assert_allclose(list(train["loss"].values()), list(expected_train["loss"].values()), atol=1e-5)
    assert list(val["accuracy"].values()) == list(expected_val["accuracy"].values())


def test_numbers_of_threads_give_the_same_bits():
    data = make_data(10, n_train=100_000, n_val=100_000)
    assert count_blocks(100_000, N_FEATURES * 10, 0, data[0].nbytes) > 3
    results = []
    for n_threads in (1, 2, 3):
        model = make_model(10)
        with limit_threads(n_threads):
            histories = make_trainer(model, data, batch_size=5000).train(2)
        results.append((model.w.tobytes(), histories))
    assert results[1:] == results[:1] * 2


class OwnStep(trainers.SoftmaxTrainer):
    """A student's subclass: the step in plain NumPy, counted."""

    n_steps = 0

    def train_step(self, X_batch, Y_batch):
        self.n_steps += 1
        outputs = self.model.forward(X_batch)
        self.model.backward(X_batch, outputs, Y_batch)
        self.model.w -= self.learning_rate * self.model.grad
        return trainers.cross_entropy_loss(Y_batch, outputs)


class OwnValidation(trainers.SoftmaxTrainer):
    """A student's subclass: the validation in plain NumPy, counted."""

    n_validations = 0

    def validation_step(self):
        self.n_validations += 1
        loss = trainers.cross_entropy_loss(self.Y_val, self.model.forward(self.X_val))
        accuracies = [
            trainers.calculate_accuracy(X, Y, self.model)
            for X, Y in ((self.X_train, self.Y_train), (self.X_val, self.Y_val))
        ]
        return loss, *accuracies


class OwnModel(trainers.SoftmaxModel):
    """A student's model with a forward pass of its own."""

    n_forwards = 0

    def forward(self, X):
        self.n_forwards += 1
        exponentials = np.exp(X @ self.w)
        return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_what_a_subclass_overrides_is_called_and_gives_the_same_histories():
    data = make_data(3)
    expected = make_trainer(make_model(3), data).train(3)
    steps = OwnStep(make_model(3), 0.1, 16, True, *data, seed=3, progress=False)
    assert_same_histories(steps.train(3), expected)
    assert steps.n_steps == 3 * 8
    validations = OwnValidation(make_model(3), 0.1, 16, True, *data, seed=3, progress=False)
    assert_same_histories(validations.train(3), expected)
    assert validations.n_validations == len(expected[1]["loss"]) == 24
    model = OwnModel(0.0, n_inputs=N_FEATURES, n_outputs=3)
    assert_same_histories(make_trainer(model, data).train(3), expected)
    assert model.n_forwards > 24


def test_a_method_put_on_the_instance_counts_as_overridden():
    data = make_data(3)
    trainer = make_trainer(make_model(3), data)
    seen = []
    trainer.train_step = lambda X, Y: seen.append(len(X)) or 0.5
    train, _ = trainer.train(1)
    assert seen == [16] * 8
    assert set(train["loss"].values()) == {0.5}


def test_own_steps_are_not_called_for_steps_that_early_stopping_drops():
    data = make_data(3, n_train=40, n_val=200)
    trainer = OwnStep(make_model(3), 2.0, 10, True, *data, seed=3, progress=False, early_stopping=True, patience=3)
    train, val = trainer.train(500)
    assert trainer.n_steps == len(train["loss"]) == list(val["loss"])[-1] + 1


def test_a_method_put_on_the_model_class_counts_as_overridden(monkeypatch):
    data = make_data(3)
    calls = []
    forward = trainers.SoftmaxModel.forward
    monkeypatch.setattr(trainers.SoftmaxModel, "forward", lambda self, X: calls.append(1) or forward(self, X))
    make_trainer(make_model(3), data).train(1)
    assert len(calls) >= 8


class PlainModel:
    """A student's model that shares nothing with ours."""

    def __init__(self):
        self.w = np.zeros((N_FEATURES, 3))
        self.grad = None

    def forward(self, X):
        exponentials = np.exp(X @ self.w)
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def backward(self, X, outputs, targets):
        self.grad = X.T @ (outputs - targets) / len(X)


def test_a_model_of_the_students_own_is_trained():
    data = make_data(3)
    assert_same_histories(make_trainer(PlainModel(), data).train(2), make_trainer(make_model(3), data).train(2))


@pytest.mark.parametrize("model", [PlainModel, lambda: OwnModel(0.0, n_inputs=N_FEATURES, n_outputs=3)])
def test_float32_stays_float32_where_nothing_is_compiled(model):
    model = model()
    train, _ = make_trainer(model, make_data(3, dtype=np.float32), momentum=0.5).train(1)
    assert model.w.dtype == model.grad.dtype == np.float32
    expected, _ = make_trainer(make_model(3), make_data(3, dtype=np.float32), momentum=0.5).train(1)
    assert list(train["loss"].values()) == pytest.approx(list(expected["loss"].values()), abs=1e-5)


def test_lists_are_taken():
    data = make_data(3)
    expected = make_trainer(make_model(3), data).train(1)
    lists = [array.tolist() for array in data]
    assert_same_histories(make_trainer(make_model(3), lists).train(1), expected)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_a_diverged_training_is_not_right_about_anything(n_outputs):
    data = make_data(n_outputs)
    train, val = make_trainer(make_model(n_outputs), data, learning_rate=1e308).train(2)
    assert not np.isfinite(list(train["loss"].values())[-1])
    if n_outputs == 3:
        assert np.isnan(list(val["loss"].values())[-1])
        assert list(val["accuracy"].values())[-1] == 0


def test_weights_of_another_shape_are_refused():
    trainer = make_trainer(make_model(3), make_data(3))
    trainer.train(1)
    trainer.model.w = np.zeros((N_FEATURES - 1, 3))
    with pytest.raises(ValueError, match=r"model\.w has shape"):
        trainer.train(1)


def test_soft_targets_are_not_taken_for_labels():
    X, Y, X_val, Y_val = make_data(3)
    soft = 0.8 * Y + 0.2 / 3
    model = make_model(3)
    make_trainer(model, (X, soft, X_val, Y_val), shuffle_dataset=False).train(2)
    *_, w = train_plainly(make_model(3), (X, soft, X_val, Y_val), 2, 0.1, 16, False, 0)
    np.testing.assert_allclose(model.w, w, atol=1e-10)


@pytest.mark.parametrize("own_validation", [False, True])
def test_early_stopping_goes_back_to_the_best_weights(own_validation):
    # Few rows and a large step: the validation loss soon rises.
    data = make_data(3, n_train=40, n_val=200)
    model = make_model(3)
    options = {"early_stopping": True, "patience": 4, "learning_rate": 2.0, "batch_size": 10}
    trainer = make_trainer(model, data, **options)
    if own_validation:
        trainer.validation_step = lambda: trainers.BaseTrainer.validation_step(trainer)
    train, val = trainer.train(500)
    steps, losses = list(val["loss"]), list(val["loss"].values())
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 4
    assert list(train["loss"])[-1] == steps[-1]
    assert trainers.cross_entropy_loss(data[3], model.forward(data[2])) == pytest.approx(losses[best], abs=1e-12)
    full = make_trainer(make_model(3), data, **{**options, "early_stopping": False}).train(20)
    assert losses == pytest.approx(list(full[1]["loss"].values())[: len(losses)], abs=1e-12)


def test_interrupted_training_returns_whole_steps(monkeypatch):
    data = make_data(3)
    model = make_model(3)
    calls = []
    original = CompiledTraining.train

    def interrupted(self, order, first, last, losses, taken):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        original(self, order, first, last, losses, taken)

    monkeypatch.setattr(CompiledTraining, "train", interrupted)
    train, val = make_trainer(model, data, early_stopping=True).train(10)
    assert list(train["loss"]) == [0, 1, 2, 3]
    assert list(val["loss"]) == [0, 1, 2, 3]
    monkeypatch.undo()
    again = make_model(3)
    expected, _ = make_trainer(again, data).train(1)
    assert list(train["loss"].values()) == list(expected["loss"].values())[:4]
    # The weights are those after the fourth step: the loss of the fifth batch is the one recorded for it.
    order = np.arange(130)
    np.random.RandomState(3).shuffle(order)
    rows = order[64:80]
    loss = trainers.cross_entropy_loss(data[1][rows], model.forward(data[0][rows]))
    assert loss == pytest.approx(expected["loss"][4], abs=1e-12)


def test_a_validation_that_is_interrupted_is_not_recorded(monkeypatch):
    data = make_data(3)
    original = CompiledTraining.start_evaluation
    calls = []

    def start_evaluation(self):
        finish = original(self)
        calls.append(1)

        def interrupted():
            if len(calls) == 3:
                raise KeyboardInterrupt
            return finish()

        return interrupted

    monkeypatch.setattr(CompiledTraining, "start_evaluation", start_evaluation)
    model = make_model(3)
    train, val = make_trainer(model, data).train(10)
    assert list(val["loss"]) == [0, 1]
    assert list(train["loss"]) == [0, 1, 2, 3]


def test_a_penalty_changed_later_counts():
    data = make_data(3)
    model, expected = make_model(3, 0.0), make_model(3, 0.7)
    model.l2_reg_lambda = 0.7
    make_trainer(model, data).train(1)
    make_trainer(expected, data).train(1)
    np.testing.assert_array_equal(model.w, expected.w)


def test_without_a_seed_numpys_global_state_is_drawn_from():
    data = make_data(3)
    results = []
    for seed in (5, 5, 6):
        np.random.seed(seed)
        results.append(make_trainer(make_model(3), data, seed=None).train(1)[0]["loss"])
    assert results[0] == results[1] != results[2]


def test_training_goes_on_from_the_models_weights():
    data = make_data(3)
    twice = make_model(3)
    for _ in range(2):
        make_trainer(twice, data, shuffle_dataset=False).train(2)
    once = make_model(3)
    train, _ = make_trainer(once, data, shuffle_dataset=False).train(4)
    np.testing.assert_allclose(twice.w, once.w, atol=1e-14)
    assert list(train["loss"]) == list(range(32))
    assert make_trainer(once, data).train(0) == ({"loss": {}, "accuracy": {}}, {"loss": {}, "accuracy": {}})


def test_the_bar_is_shown(capsys):
    make_trainer(make_model(3), make_data(3), progress=True).train(2)
    out = capsys.readouterr().out
    assert "16/16" in out
    assert "accuracy" in out


def test_data_stay_the_callers():
    data = make_data(3)
    copies = [array.copy() for array in data]
    for array in data:
        array.flags.writeable = False
    make_trainer(make_model(3), data).train(2)
    for array, copy in zip(data, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size"), ({"batch_size": 131}, "batch_size"), ({"batch_size": 2.5}, "batch_size"),
        ({"learning_rate": -1}, "learning_rate"), ({"learning_rate": np.nan}, "learning_rate"),
        ({"momentum": 1.5}, "momentum"), ({"learning_rate_decay": np.inf}, "learning_rate_decay"),
        ({"patience": 0}, "patience"),
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(make_model(3), make_data(3), **change)


def test_data_that_do_not_fit_are_named():
    X, Y, X_val, Y_val = make_data(3)
    with pytest.raises(ValueError, match="X_train and Y_train"):
        make_trainer(make_model(3), (X[:-1], Y, X_val, Y_val))
    with pytest.raises(ValueError, match="X_val"):
        make_trainer(make_model(3), (X, Y, X_val[:, :-1], Y_val))
    with pytest.raises(ValueError, match=r"model.w has shape \(12, 4\)"):
        make_trainer(make_model(4), (X, Y, X_val, Y_val))
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"X_train.*NaN"):
        make_trainer(make_model(3), (X, Y, X_val, Y_val))
    with pytest.raises(ValueError, match="num_epochs"):
        make_trainer(make_model(3), make_data(3)).train(-1)


def test_pre_processing():
    X = np.array([[0, 255, 51], [102, 0, 255]], dtype=np.uint8)
    np.testing.assert_allclose(trainers.pre_process_images(X), [[-1, 1, -0.6, 1], [-0.2, -1, 1, 1]])
    for bad in (np.zeros(3), np.full((1, 3), 256), np.full((1, 3), -1)):
        with pytest.raises(ValueError, match="X must"):
            trainers.pre_process_images(bad)


def test_one_hot():
    np.testing.assert_array_equal(trainers.one_hot_encode(np.array([[1], [0]]), 3), [[0, 1, 0], [1, 0, 0]])
    for bad in ([3], [-1], [0.5]):
        with pytest.raises(ValueError, match="whole numbers from 0 to 2"):
            trainers.one_hot_encode(np.array(bad), 3)


def test_cross_entropy():
    assert trainers.cross_entropy_loss(np.array([[1], [0]]), np.array([[0.8], [0.4]])) == pytest.approx(
        -(np.log(0.8) + np.log(0.6)) / 2
    )
    assert trainers.cross_entropy_loss(np.eye(2), np.array([[0.9, 0.1], [0.3, 0.7]])) == pytest.approx(
        -(np.log(0.9) + np.log(0.7)) / 2
    )
    assert np.isfinite(trainers.cross_entropy_loss(np.eye(2), np.eye(2)[::-1]))
    assert np.isfinite(trainers.cross_entropy_loss(np.array([[1.0]]), np.array([[0.0]])))
    with pytest.raises(ValueError, match="targets and outputs"):
        trainers.cross_entropy_loss(np.eye(2), np.ones((2, 1)))


def test_models():
    X, Y, *_ = make_data(3)
    model = make_model(3, 0.5)
    model.w = np.random.default_rng(0).normal(size=model.w.shape)
    outputs = model.forward(X)
    np.testing.assert_allclose(outputs.sum(axis=1), 1)
    model.backward(X, outputs, Y)
    loss, gradient, _ = naive.loss_and_gradient(X, Y.argmax(axis=1), np.ones(len(X)), model.w.T, np.zeros(3))
    np.testing.assert_allclose(model.grad, np.array(gradient).T / len(X) + 2 * 0.5 * model.w, atol=1e-12)
    assert trainers.cross_entropy_loss(Y, outputs) == pytest.approx(loss / len(X))
    model.zero_grad()
    assert model.grad is None
    assert trainers.BinaryModel().w.shape == (785, 1)
    assert trainers.SoftmaxModel(0.1).w.shape == (785, 10)
    with pytest.raises(ValueError, match="l2_reg_lambda"):
        trainers.SoftmaxModel(-1)
    with pytest.raises(ValueError, match="column of ones"):
        model.forward(X[:, :-1])


def test_binary_forward_does_not_overflow():
    model = trainers.BinaryModel(n_inputs=1)
    model.w[:] = 1
    np.testing.assert_array_equal(model.forward(np.array([[1e4], [-1e4], [0.0]])), [[1], [0], [0.5]])


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_gradient_check_passes_and_can_fail(n_outputs):
    X, Y, *_ = make_data(n_outputs)
    model = make_model(n_outputs, 0.3)
    model.w = np.random.default_rng(0).normal(size=model.w.shape)
    weights = model.w
    assert trainers.gradient_approximation_test(model, X, Y) < 1e-6
    assert model.w is weights
    right = type(model).backward

    def wrong(X, outputs, targets):
        right(model, X, outputs, targets)
        model.grad[2, 0] += 1e-4

    model.backward = wrong
    with pytest.raises(AssertionError, match=r"w\[2, 0\]"):
        trainers.gradient_approximation_test(model, X, Y)
    assert model.w is weights


def test_gradient_check_passes_where_probabilities_round_to_one():
    X, *_ = make_data(1)
    model = make_model(1)
    model.w = 30 * np.random.default_rng(0).normal(size=model.w.shape)
    # Rows far from the bend of the loss, each predicted with certainty and half of them wrongly.
    X = X[np.abs(X @ model.w)[:, 0] > 40][:10]
    assert np.isin(model.forward(X), (0, 1)).any()
    Y = np.arange(len(X))[:, None] % 2
    assert trainers.gradient_approximation_test(model, X, Y) < 1e-6


def test_accuracy_refuses_targets_of_another_shape():
    X, Y, *_ = make_data(3)
    with pytest.raises(ValueError, match="targets"):
        trainers.calculate_accuracy(X, Y.argmax(axis=1), make_model(3))


def test_batches():
    X, Y = np.arange(10)[:, None], np.arange(10)
    batches = list(trainers.batch_loader(X, Y, 4))
    assert [list(y) for _, y in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [len(y) for _, y in trainers.batch_loader(X, Y, 4, drop_last=False)] == [4, 4, 2]
    np.random.seed(0)
    shuffled = [(x[:, 0].tolist(), y.tolist()) for x, y in trainers.batch_loader(X, Y, 5, shuffle=True)]
    assert all(x == y for x, y in shuffled)
    assert sorted(label for _, y in shuffled for label in y) == list(range(10))
    assert shuffled[0][1] != [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="batch_size"):
        list(trainers.batch_loader(X, Y, 11))
    with pytest.raises(ValueError, match="same number of rows"):
        list(trainers.batch_loader(X, Y[:-1], 2))


def test_pruning():
    X, Y = np.arange(6)[:, None], np.array([[2], [3], [1], [2], [9], [3]])
    pruned, targets = trainers.binary_prune_dataset(2, 3, X, Y)
    np.testing.assert_array_equal(pruned[:, 0], [0, 1, 3, 5])
    np.testing.assert_array_equal(targets, [[1], [0], [1], [0]])
    with pytest.raises(ValueError, match="differ"):
        trainers.binary_prune_dataset(2, 2, X, Y)


def test_the_assignments_data(mnist_folder, monkeypatch):
    monkeypatch.setenv("FASTLIN_DATA", str(mnist_folder))
    X_train, Y_train, X_val, Y_val = trainers.load_full_mnist()
    assert [array.shape for array in (X_train, Y_train, X_val, Y_val)] == [
        (20000, 784), (20000, 1), (10000, 784), (10000, 1)
    ]  # fmt: skip
    X_train, Y_train, X_val, Y_val = trainers.load_binary_dataset(2, 3)
    assert (len(X_train), len(X_val)) == (4005, 2042)
    assert set(Y_train.ravel()) == set(Y_val.ravel()) == {0, 1}


def test_plot_loss_draws_on_the_current_axes():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    trainers.plot_loss({0: 1.0, 1: 0.5, 2: 0.7}, "plain")
    trainers.plot_loss({step: float(step % 3) for step in range(25)}, "mean", npoints_to_average=10)
    trainers.plot_loss({step: 1.0 for step in range(25)}, npoints_to_average=10, plot_variance=False)
    assert [len(line.get_xdata()) for line in axes.lines] == [3, 2, 2]
    assert list(axes.lines[1].get_xdata()) == [4.5, 14.5]
    assert len(axes.collections) == 1
    assert [text.get_text() for text in axes.legend().get_texts()] == ["plain", "mean"]
    plt.close(figure)
