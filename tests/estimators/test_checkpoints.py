"""Checkpoints of an MLPClassifier: a fit that goes on from one has the bits of a fit that was never interrupted."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_digits

from fastlin import MLPClassifier
from fastlin.training.checkpoint_file import read_checkpoint

LAYERS = ("coefs_", "intercepts_")
CURVES = ("loss_curve_", "accuracy_curve_", "validation_scores_", "best_loss_", "n_iter_", "t_")
TRAININGS = {
    "adam": {},
    "adamw with dropout": {"weight_decay": 0.1, "dropout": 0.3, "label_smoothing": 0.1},
    "sgd, adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.2, "tol": 0.5},
    "sgd, invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "cosine, in the order of the rows": {"learning_rate": "cosine", "shuffle": False},
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
    from fastlin.training.descent import Descent

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
    if not resumed.early_stopping and resumed.learning_rate != "cosine":
        # So do calls of partial_fit after it.
        assert_same_fit(resumed.partial_fit(*data), expected.partial_fit(*data))
    assert [file.name for file in tmp_path.iterdir()] == ["training"]


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
    training, _ = read_checkpoint(path)
    assert len(training.records) == 7
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
    np.savez(tmp_path / "later.npz", content=np.array('{"format": 2}'))
    (tmp_path / "text").write_text("no checkpoint")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "broken").write_bytes(whole[:400] + bytes(200) + whole[600:])
    np.save(tmp_path / "one.npy", np.zeros(3))
    for name in ("text", "empty", "half", "broken", "arrays.npz", "one.npy"):
        with pytest.raises(ValueError, match="is no checkpoint of fastlin, or is damaged"):
            make_model().fit(*data, resume=tmp_path / name)
    with pytest.raises(ValueError, match="format 2; this version of fastlin reads 1"):
        make_model().fit(*data, resume=tmp_path / "later.npz")


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(data, tmp_path, monkeypatch):
    path = tmp_path / "training"
    make_model(max_iter=2, tol=0).fit(*data, save_checkpoint=path)
    whole = path.read_bytes()

    def fill_disk(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", fill_disk)
        model = make_model()
        with pytest.raises(OSError, match="No space left"):
            model.fit(*data, save_checkpoint=path)
    assert not hasattr(model, "coefs_")
    assert path.read_bytes() == whole
    assert [file.name for file in tmp_path.iterdir()] == ["training"]
