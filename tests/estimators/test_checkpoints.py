"""Checkpoints of an MLPClassifier: a resumed fit is bitwise equal to an uninterrupted one."""

import itertools
import json
import pickle
import zipfile
from functools import partial

import numpy as np
import pytest
import scipy.sparse
from conftest import assert_raises
from sklearn.datasets import load_digits
from small_networks import assert_bitwise_equal

from fastlin import MLPClassifier
from fastlin.estimators.checkpoints import read_checkpoint
from fastlin.exceptions import CheckpointError, CheckpointWarning
from fastlin.training.network_descent import GradientDescent

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = (array[:300] for array in load_digits(return_X_y=True))
X = X / 16
TRAINING_PARAMETERS = {
    "adam": {},
    "dropout": {"dropout": 0.3},
    "sgd, adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.2, "tol": 0.5},
    "sgd, invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "without shuffling": {"learning_rate_decay": 0.9, "shuffle": False},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 4, "learning_rate_init": 0.02},
    "batch normalization": {"batch_norm": "both", "early_stopping": True},
    "stopped early by tol": {"tol": 10.0, "n_iter_no_change": 4},
}
make_model = partial(MLPClassifier, (12,), random_state=3, max_iter=9, batch_size=50, n_iter_no_change=np.inf)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "training"


def interrupt_fit(model, path, n_epochs, monkeypatch, *data, **more):
    """Fit a model and raise an error halfway through the epoch that follows n_epochs epochs of six steps."""
    step, numbers = GradientDescent.step, itertools.count()

    def step_or_interrupt(*arguments, **options):
        if next(numbers) > 6 * n_epochs:
            raise RuntimeError("crash")
        return step(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="crash"):
        patch.setattr(GradientDescent, "step", step_or_interrupt)
        model.fit(*data, save_checkpoint=path, **more)


def assert_same_fit(model, expected):
    assert_bitwise_equal(model, expected)
    for name in ("accuracy_curve_", "validation_scores_", "best_loss_", "n_iter_", "t_"):
        assert getattr(model, name) == getattr(expected, name), name


@pytest.mark.parametrize("name", TRAINING_PARAMETERS)
def test_a_resumed_fit_is_bitwise_equal_to_an_uninterrupted_one(name, path, monkeypatch):
    expected = make_model(**TRAINING_PARAMETERS[name]).fit(X, Y)
    interrupt_fit(make_model(**TRAINING_PARAMETERS[name]), path, 3, monkeypatch, X, Y)
    resumed_network = make_model(**TRAINING_PARAMETERS[name]).fit(X, Y, resume=path, save_checkpoint=path)
    assert_same_fit(resumed_network, expected)
    # A completed fit does not continue.
    assert_same_fit(make_model(**TRAINING_PARAMETERS[name]).fit(X, Y, resume=path), expected)
    assert name != "stopped early by tol" or expected.n_iter_ < 9
    if not resumed_network.early_stopping:
        assert_same_fit(resumed_network.partial_fit(X, Y), expected.partial_fit(X, Y))
    assert [file.name for file in path.parent.iterdir()] == ["training"]


def test_a_fit_can_be_resumed_with_another_max_iter(path, monkeypatch):
    rows = scipy.sparse.csr_array(X)
    data = rows, Y, np.linspace(0, 1, len(Y))
    validation = {"X_val": rows[:50], "y_val": Y[:50]}
    expected = make_model(max_iter=12).fit(*data, **validation)
    interrupt_fit(make_model(), path, 1, monkeypatch, *data, **validation)
    interrupt_fit(make_model(), path, 2, monkeypatch, *data, **validation, resume=path)
    stopped = make_model(max_iter=7).fit(*data, **validation, resume=path, save_checkpoint=path)
    assert stopped.n_iter_ == 7
    assert len(read_checkpoint(path)[1]["records"]) == 7
    assert_same_fit(make_model(max_iter=12).fit(*data, **validation, resume=path), expected)


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(5)])
def test_random_numbers_continue_from_the_checkpoint(random_state, path, monkeypatch):
    parameters = {"random_state": random_state, "early_stopping": True, "dropout": 0.2}
    interrupt_fit(make_model(**parameters), path, 4, monkeypatch, X, Y)
    before = pickle.dumps(random_state)
    one, other = (make_model(**parameters).fit(X, Y, resume=path) for _ in range(2))
    assert_same_fit(one, other)
    assert pickle.dumps(random_state) == before


def test_checkpoints_of_other_data_or_parameters_raise_an_error(path):
    model = make_model(max_iter=2, tol=0).fit(X, Y, save_checkpoint=path)
    for message, parameters, rows, y in (
        ("alpha=0.0001, this fit has 0.01", {"alpha": 0.01}, X, Y),
        ("was saved for other data", {}, X[:200], Y[:200]),
        ("was saved for other data", {}, X, Y + 1),
        ("was saved for other data", {}, X, Y[::-1]),
        ("was saved for other data", {}, X * 16, Y),
    ):
        assert_raises(message, make_model(**parameters).fit, rows, y, resume=path)
    assert_raises("was saved for other data", model.fit, X, Y, resume=path, X_val=X, y_val=Y)
    by_lbfgs, warm, missing_path = (
        make_model(solver="lbfgs"),
        make_model(warm_start=True),
        path.parent / "none" / "training",
    )
    for name in ("save_checkpoint", "resume"):
        assert_raises(f"{name} requires solver 'adam' or 'sgd'", by_lbfgs.fit, X, Y, **{name: path})
        assert_raises(f"{name} requires warm_start=False", warm.fit, X, Y, **{name: path})
    assert_raises("save_checkpoint must be a file in an existing folder", model.fit, X, Y, save_checkpoint=missing_path)
    assert_raises("none", model.fit, X, Y, resume=missing_path.parent, error=FileNotFoundError)


def test_a_resumed_fit_accepts_other_parameter_types_and_stopping_criteria(path):
    limits, validation = {"tol": 0.05, "n_iter_no_change": 3, "max_iter": 40}, {"X_val": X[:50], "y_val": Y[:50]}
    ended = make_model(**limits).fit(X, Y, save_checkpoint=path, **validation)
    assert ended.n_iter_ < 40
    same = MLPClassifier([12], random_state=3, batch_size=np.int64(50), alpha=np.float64(1e-4), max_iter=40, tol=0)
    expected = make_model(tol=0, max_iter=40, n_iter_no_change=10).fit(X, Y, **validation)
    assert_same_fit(same.fit(X, Y, resume=path, **validation), expected)
    other = {"X_val": X[50:100], "y_val": Y[50:100]}
    assert_raises("was saved for other data", make_model().fit, X, Y, resume=path, **other)


def save(path, save_arrays, *arrays, **named):
    """Write a file with a NumPy function; passing an open file prevents NumPy from appending a suffix to the path."""
    with path.open("wb") as file:
        save_arrays(file, *arrays, **named)


def edit_checkpoint(change):

    def write(path, _):
        content, arrays = read_checkpoint(path)
        change(content, arrays)
        save(path, np.savez, content=np.array(json.dumps(content)), **arrays)

    return write


def change_array(name, make):
    """Return a function that replaces an array in a checkpoint with `make(array)`."""
    return lambda content, arrays: arrays.update({name: make(arrays[name])})


def write_zip_bomb(path, _):
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    with zipfile.ZipFile(path, "w") as archive:
        start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        archive.writestr("content.npy", start + header.encode() + bytes(24))


BROKEN = "is not a checkpoint of fastlin, or is damaged"
FAR = 10**9
CHECKPOINT_DAMAGES = {
    "fewer records": (change_array("records", lambda records: records[:, :1]), "records must be real .* shape .2, 2."),
    "no records": (lambda content, arrays: arrays.pop("records"), "'records'"),
    "no array": (lambda content, arrays: arrays.pop("best_2"), "'best_2'"),
    "no parameters": (lambda content, arrays: content.pop("parameters"), "'parameters'"),
    "start": (lambda content, arrays: content["start"].__setitem__(2, FAR), "start must have a position of at most"),
    "generator": (lambda content, arrays: content["generator"].__setitem__(2, FAR), "generator must have a position"),
    "short": (change_array("last_0", lambda parameters: parameters[:5]), r"last.0. must be real numbers of shape"),
    "infinite": (change_array("best_0", lambda parameters: parameters * np.inf), r"best.0. must be finite"),
    "many rows": (lambda content, arrays: content.update(n_rows=10**30), "n_rows must be an integer"),
    "far order": (change_array("order", lambda order: order * 10**6), "order must contain the index of each"),
}
# Each case has a function of a path and the bytes of a checkpoint that writes a file, and the error message.
INVALID_FILES = {
    "text": (lambda path, _: path.write_text("no checkpoint"), BROKEN),
    "nothing": (lambda path, _: path.write_bytes(b""), BROKEN),
    "half": (lambda path, content: path.write_bytes(content[: len(content) // 2]), BROKEN),
    "zeros": (lambda path, content: path.write_bytes(content[:400] + bytes(200) + content[600:]), BROKEN),
    "an array": (lambda path, _: save(path, np.save, np.zeros(3)), BROKEN),
    "a list": (lambda path, _: save(path, np.savez, content=np.array("[]"), x=np.zeros(3)), BROKEN),
    "format": (lambda path, _: save(path, np.savez, content=np.array('{"format": 3}')), "format version 3; .* reads 5"),
    "bomb": (write_zip_bomb, BROKEN),
    "parameters": (edit_checkpoint(lambda content, arrays: content.update(parameters={})), "the checkpoint .*training"),
    "data": (edit_checkpoint(lambda content, arrays: content.update(data={})), "the checkpoint .*training"),
    **{
        name: (edit_checkpoint(change), f"training {BROKEN}: .*{message}")
        for name, (change, message) in CHECKPOINT_DAMAGES.items()
    },
}


@pytest.mark.parametrize("name", INVALID_FILES)
def test_a_file_that_is_not_a_checkpoint_raises_an_error(name, path):
    write, message = INVALID_FILES[name]
    make_model(max_iter=2, tol=0).fit(X, Y, save_checkpoint=path)
    write(path, path.read_bytes())
    assert_raises(message, make_model(max_iter=2, tol=0).fit, X, Y, resume=path, error=CheckpointError)


def raise_full_disk(file, **arrays):
    file.write(b"half")
    raise OSError(28, "No space left on device")


def test_writing_a_checkpoint_is_retried_after_a_failure(path, monkeypatch):
    expected, numbers, save = make_model().fit(X, Y), itertools.count(1), np.savez

    def save_or_raise_full_disk(file, **arrays):
        if next(numbers) in range(3, 7):
            assert len(read_checkpoint(path)[1]["records"]) == 2
            raise_full_disk(file)
        save(file, **arrays)

    monkeypatch.setattr(np, "savez", save_or_raise_full_disk)
    with pytest.warns(CheckpointWarning) as warnings_caught:
        model = make_model().fit(X, Y, save_checkpoint=path)
    (message,) = (str(warning.message) for warning in warnings_caught if warning.category is CheckpointWarning)
    assert f"The checkpoint {path} cannot be written: [Errno 28] No space left on device" in message
    assert_same_fit(model, expected)
    assert next(numbers) - 1 == model.n_iter_ == len(read_checkpoint(path)[1]["records"]) == 9
    assert [file.name for file in path.parent.iterdir()] == ["training"]


def test_a_failure_to_write_ends_the_fit_if_warnings_are_errors(path, monkeypatch):
    monkeypatch.setattr(np, "savez", raise_full_disk)
    assert_raises("No space left", make_model().fit, X, Y, save_checkpoint=path, error=CheckpointWarning)
