"""Checkpoints of an MLPClassifier: a fit that goes on from one has the bits of a fit that was never interrupted."""

import json
import warnings
import zipfile

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_digits

from fastlin import MLPClassifier
from fastlin.estimators.checkpoints import digest, read_checkpoint
from fastlin.exceptions import CheckpointError, CheckpointWarning

LAYERS = ("coefs_", "intercepts_")
CURVES = ("loss_curve_", "accuracy_curve_", "validation_scores_", "best_loss_", "n_iter_", "t_")
TRAININGS = {
    "adam": {},
    "adamw with dropout": {"weight_decay": 0.1, "dropout": 0.3},
    "sgd, adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.2, "tol": 0.5},
    "sgd, invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "in the order of the rows": {"learning_rate_decay": 0.9, "shuffle": False},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 4, "learning_rate_init": 0.02},
    "batch normalisation": {"batch_norm": "both", "early_stopping": True},
    "an exhausted patience": {"tol": 10.0, "n_iter_no_change": 4},
}


class Crash(Exception):
    """What ends a process, as far as a fit can tell."""


@pytest.fixture
def data():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


def make_model(**parameters):
    given = {"random_state": 3, "max_iter": 9, "batch_size": 50, "n_iter_no_change": np.inf, **parameters}
    return MLPClassifier((12,), **given)


def fit_and_crash(model, path, n_epochs, monkeypatch, *data, **more):
    """Fit a model and end the fit in the middle of the epoch after n_epochs."""
    from fastlin.training.network_descent import Descent

    n_begun = 0
    run_epoch = Descent.run_epoch

    def run_or_crash(descent, examples, order, *rest):
        nonlocal n_begun
        n_begun += 1
        if n_begun > n_epochs:
            run_epoch(descent, examples, np.arange(70) if order is None else order[:70], *rest)
            raise Crash
        return run_epoch(descent, examples, order, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Descent, "run_epoch", run_or_crash)
        with pytest.raises(Crash):
            model.fit(*data, save_checkpoint=path, **more)


def assert_same_fit(model, expected):
    for name in LAYERS:
        for layer, of_expected in zip(getattr(model, name), getattr(expected, name), strict=True):
            np.testing.assert_array_equal(layer, of_expected, err_msg=name)
    for name in CURVES:
        assert getattr(model, name) == getattr(expected, name), name


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", TRAININGS)
def test_a_fit_goes_on_with_the_same_bits(name, data, tmp_path, monkeypatch):
    path = tmp_path / "training"
    expected = make_model(**TRAININGS[name]).fit(*data)
    fit_and_crash(make_model(**TRAININGS[name]), path, 3, monkeypatch, *data)
    resumed = make_model(**TRAININGS[name]).fit(*data, resume=path)
    assert_same_fit(resumed, expected)
    if not resumed.early_stopping:
        # So do calls of partial_fit after it.
        assert_same_fit(resumed.partial_fit(*data), expected.partial_fit(*data))
    assert [file.name for file in tmp_path.iterdir()] == ["training"]


def test_a_fit_whose_patience_is_exhausted_stays_as_it_ended(data, tmp_path):
    path, limits = tmp_path / "training", TRAININGS["an exhausted patience"]
    expected = make_model(**limits).fit(*data, save_checkpoint=path)
    assert expected.n_iter_ < expected.max_iter
    assert_same_fit(make_model(**limits).fit(*data, resume=path), expected)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_may_end_several_times_and_elsewhere(data, tmp_path, monkeypatch):
    path = tmp_path / "training"
    X = scipy.sparse.csr_array(data[0])
    weights = np.linspace(0, 1, len(data[1]))
    given = X, data[1], weights
    validation = {"X_val": X[:50], "y_val": data[1][:50]}
    expected = make_model(max_iter=12).fit(*given, **validation)
    fit_and_crash(make_model(), path, 1, monkeypatch, *given, **validation)
    fit_and_crash(make_model(), path, 2, monkeypatch, *given, **validation, resume=path)
    stopped = make_model(max_iter=7).fit(*given, **validation, resume=path, save_checkpoint=path)
    assert stopped.n_iter_ == 7
    assert len(read_checkpoint(path)[1]["records"]) == 7
    for _ in range(2):
        # What has come to its end stays there.
        resumed = make_model(max_iter=12).fit(*given, **validation, resume=path, save_checkpoint=path)
        assert_same_fit(resumed, expected)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("random_state", [None, np.random.RandomState(5)])
def test_random_numbers_are_those_of_the_checkpoint(random_state, data, tmp_path, monkeypatch):
    path = tmp_path / "training"
    given = {"random_state": random_state, "early_stopping": True, "dropout": 0.2}
    fit_and_crash(make_model(**given), path, 4, monkeypatch, *data)
    before = None if random_state is None else random_state.get_state()[1].copy()
    one, other = (make_model(**given).fit(*data, resume=path) for _ in range(2))
    assert_same_fit(one, other)
    if random_state is not None:
        np.testing.assert_array_equal(random_state.get_state()[1], before)


def test_what_cannot_go_on_is_refused(data, tmp_path):
    X, y = data
    path = tmp_path / "training"
    make_model(max_iter=2, tol=0).fit(X, y, save_checkpoint=path)
    refused = [
        ("alpha=0.0001, this one has 0.01", make_model(alpha=0.01), X, y),
        ("the shape of X is", make_model(), X[:200], y[:200]),
        ("the classes are", make_model(), X, y + 1),
        ("labels have the digest", make_model(), X, y[::-1]),
        ("the first and the last 64 rows", make_model(), X * 16, y),
        ("so many rows are to validate on", make_model(early_stopping=False), X, y),
    ]
    for message, model, X_new, y_new in refused:
        validation = {"X_val": X, "y_val": y} if "validate" in message else {}
        with pytest.raises(ValueError, match=message):
            model.fit(X_new, y_new, resume=path, **validation)
        assert not hasattr(model, "coefs_")
    for name in ("save_checkpoint", "resume"):
        with pytest.raises(ValueError, match=f"{name} needs solver 'adam' or 'sgd'"):
            make_model(solver="lbfgs").fit(X, y, **{name: path})
        with pytest.raises(ValueError, match=f"{name} needs warm_start=False"):
            make_model(warm_start=True).fit(X, y, **{name: path})
    with pytest.raises(ValueError, match="save_checkpoint must be a file in a folder that exists"):
        make_model().fit(X, y, save_checkpoint=tmp_path / "none" / "training")
    with pytest.raises(FileNotFoundError, match="none"):
        make_model().fit(X, y, resume=tmp_path / "none")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_equal_parameters_are_the_same_and_other_limits_count(data, tmp_path):
    X, y = data
    path = tmp_path / "training"
    limits = {"tol": 0.05, "n_iter_no_change": 3, "max_iter": 40}
    validation = {"X_val": X[:50], "y_val": y[:50]}
    ended = make_model(**limits).fit(X, y, save_checkpoint=path, **validation)
    assert ended.n_iter_ < 40
    same = MLPClassifier([12], random_state=3, batch_size=np.int64(50), alpha=np.float64(1e-4), max_iter=40, tol=0)
    resumed = same.fit(X, y, resume=path, **validation)
    # As if the fit had had the lower tol from the beginning.
    assert_same_fit(
        resumed, make_model(**{**limits, "tol": 0, "n_iter_no_change": 10}).fit(X, y, X_val=X[:50], y_val=y[:50])
    )
    with pytest.raises(ValueError, match="the validation data have the digest"):
        make_model().fit(X, y, resume=path, X_val=X[50:100], y_val=y[50:100])


def test_a_file_that_is_no_checkpoint_is_refused(data, tmp_path):
    path = tmp_path / "training"
    make_model(max_iter=2, tol=0).fit(*data, save_checkpoint=path)
    whole = path.read_bytes()
    arrays = tmp_path / "arrays.npz"
    np.savez(arrays, content=np.array("[]"), x=np.zeros(3))
    np.savez(tmp_path / "former.npz", content=np.array('{"format": 3}'))
    (tmp_path / "text").write_text("no checkpoint")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "broken").write_bytes(whole[:400] + bytes(200) + whole[600:])
    np.save(tmp_path / "one.npy", np.zeros(3))
    for name in ("text", "empty", "half", "broken", "arrays.npz", "one.npy"):
        with pytest.raises(ValueError, match="is no checkpoint of fastlin, or is damaged"):
            make_model().fit(*data, resume=tmp_path / name)
    with pytest.raises(ValueError, match="format 3; this fastlin reads 4"):
        make_model().fit(*data, resume=tmp_path / "former.npz")


def edit(source, target, change):
    """Write a checkpoint anew after a change of its content and its arrays, with the digest that belongs to them."""
    with np.load(source) as file:
        arrays = dict(file)
    content = json.loads(str(arrays.pop("content")))
    del arrays["digest"]
    change(content, arrays)
    text = json.dumps(content)
    np.savez(target, content=np.array(text), digest=np.array(digest(text, arrays)), **arrays)


def put(value, *place):
    """Return a change that puts a value into the content of a checkpoint."""

    def change(content, arrays):
        for step in place[:-1]:
            content = content[step]
        content[place[-1]] = value

    return change


def put_array(name, make):
    """Return a change that puts what a function makes of an array in its place."""

    def change(content, arrays):
        arrays[name] = make(arrays[name])

    return change


def leave_out(name):
    """Return a change that leaves an array out."""
    return lambda content, arrays: arrays.pop(name)


DAMAGES = {
    "records must be real numbers of shape .2, 2.": put_array("records", lambda records: records[:, :1]),
    "records must be finite": put_array("records", lambda records: records * np.nan),
    "'records'": leave_out("records"),
    "'best_2'": leave_out("best_2"),
    "'parameters'": lambda content, arrays: content.pop("parameters"),
    "start must have a position up to 624": put(10**9, "start", 2),
    "the words of generator must be real numbers of shape .624,.": put([1] * 9, "generator", 1),
    r"last.0. must be real numbers of shape": put_array("last_0", lambda parameters: parameters[:5]),
    r"best.0. must be finite": put_array("best_0", lambda parameters: parameters * np.inf),
    "n_rows must be a whole number": put(10**30, "n_rows"),
    "order must name each row to train on once": put_array("order", lambda order: order[:-1]),
    "order must name each row to": put_array("order", lambda order: order * 10**6),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The checkpoint of a fit of two epochs without validation, and its data."""
    X, y = load_digits(return_X_y=True)
    path, data = tmp_path_factory.mktemp("checkpoint") / "training.npz", (X[:300] / 16, y[:300])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make_model(max_iter=2).fit(*data, save_checkpoint=path)
    return path, data


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_checkpoint_is_refused(message, checkpoint, tmp_path):
    path, data = checkpoint
    edit(path, tmp_path / "damaged.npz", DAMAGES[message])
    model = make_model(max_iter=2)
    with pytest.raises(CheckpointError, match=rf"damaged\.npz is no checkpoint of fastlin, or is damaged: .*{message}"):
        model.fit(*data, resume=tmp_path / "damaged.npz")
    assert not hasattr(model, "coefs_")


def test_a_checkpoint_that_names_other_data_is_refused(checkpoint, tmp_path):
    path, data = checkpoint
    for place in ("parameters", "data"):
        edit(path, tmp_path / "other.npz", put({}, place))
        with pytest.raises(CheckpointError, match=r"the checkpoint .*other\.npz"):
            make_model().fit(*data, resume=tmp_path / "other.npz")


def test_a_file_that_changed_by_accident_is_refused(checkpoint, tmp_path):
    path, data = checkpoint
    with np.load(path) as file:
        arrays = dict(file)
    arrays["last_1"] = arrays["last_1"] + 1
    np.savez(tmp_path / "changed.npz", **arrays)
    with pytest.raises(CheckpointError, match=r"changed\.npz .* its digest is not that"):
        make_model().fit(*data, resume=tmp_path / "changed.npz")


def test_an_array_that_asks_for_more_memory_than_there_is_is_refused(data, tmp_path):
    path = tmp_path / "bomb.npz"
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    with zipfile.ZipFile(path, "w") as archive:
        start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        archive.writestr("content.npy", start + header.encode() + bytes(24))
    with pytest.raises(CheckpointError, match=r"bomb\.npz is no checkpoint of fastlin, or is damaged"):
        make_model().fit(*data, resume=path)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_checkpoint_that_cannot_be_written_is_tried_again(data, tmp_path, monkeypatch):
    path = tmp_path / "training"
    expected = make_model().fit(*data)
    n_tried, save = 0, np.savez

    def fill_disk(file, **arrays):
        nonlocal n_tried
        n_tried += 1
        if 3 <= n_tried <= 6:
            assert len(read_checkpoint(path)[1]["records"]) == 2
            file.write(b"half")
            raise OSError(28, "No space left on device")
        save(file, **arrays)

    with monkeypatch.context() as patch, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", CheckpointWarning)
        patch.setattr(np, "savez", fill_disk)
        model = make_model().fit(*data, save_checkpoint=path)
    (warning,) = [each for each in warned if each.category is CheckpointWarning]
    assert f"The checkpoint {path} cannot be written: [Errno 28] No space left on device" in str(warning.message)
    assert_same_fit(model, expected)
    assert n_tried == model.n_iter_ == 9
    assert len(read_checkpoint(path)[1]["records"]) == 9
    assert [file.name for file in tmp_path.iterdir()] == ["training"]


def test_who_turns_the_warning_into_an_error_ends_the_fit(data, tmp_path, monkeypatch):
    def fill_disk(file, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fill_disk)
    model = make_model()
    with warnings.catch_warnings(), pytest.raises(CheckpointWarning, match="No space left"):
        warnings.simplefilter("error", CheckpointWarning)
        model.fit(*data, save_checkpoint=tmp_path / "training")
    assert not hasattr(model, "coefs_")
