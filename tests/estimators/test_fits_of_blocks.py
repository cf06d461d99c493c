"""LogisticRegression(CV) fitted to blocks of rows gives the same models, folds and scores as fits to rows in memory."""

import functools
import itertools
import os
import threading
from pathlib import Path

import linear_models
import numpy as np
import pytest
from conftest import JIT_ENABLED, assert_raises, make_problem, run_program
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold, ShuffleSplit

import fastlin
from fastlin import LogisticRegression, LogisticRegressionCV
from fastlin.blocks import Blocks, from_arrays, from_batches, from_csr

N, ROWS_PER_BLOCK = 400, 90
X, Y, WEIGHTS, *_ = make_problem(N, 6, 3)
folds = functools.partial(linear_models.make_cv_model, Cs=[0.1, 1], cv=3, scoring="accuracy", tol=1e-10)


def make_data(n_classes, dtype=np.float64):
    X, labels, weights, *_ = make_problem(N, 6, n_classes, dtype)
    return X, labels, weights


def cut(X):
    return [X[i : i + ROWS_PER_BLOCK] for i in range(0, N, ROWS_PER_BLOCK)]


def make_batches(X, y, weights):
    """Return Blocks based on a function that reuses one buffer and does not allow concurrent reads."""
    buffer, lock = np.empty((ROWS_PER_BLOCK, X.shape[1]), X.dtype), threading.Lock()

    def read():
        assert not lock.locked()
        with lock:
            for part, labels, part_weights in zip(cut(X), cut(y), cut(weights), strict=True):
                buffer[: len(part)] = part
                yield buffer[: len(part)], labels, part_weights

    return from_batches(read)


def make_blocks(kind, X, y, weights):
    if kind == "arrays":
        return from_arrays(X, y, weights, rows_per_block=ROWS_PER_BLOCK)
    if kind == "csr":
        return from_csr([sparse.csr_array(part) for part in cut(X)], y, weights)
    return make_batches(X, y, weights)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_results_depend_only_on_the_block_boundaries(tmp_path, n_classes):
    X, y, weights = make_data(n_classes, np.uint8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    kinds = (
        from_arrays(X, y, weights, rows_per_block=ROWS_PER_BLOCK),
        from_arrays(cut(mapped), y, weights),
        make_blocks("batches", X, y, weights),
    )
    search_attributes = "coef_", "coefs_paths_", "scores_", "certificates_", "certificate_", "converged_"
    for make, names in ((LogisticRegression, ["coef_"]), (functools.partial(folds, tol=1e-4), search_attributes)):
        expected, *others = [make(n_jobs=n_jobs).fit(blocks) for n_jobs in (1, 2, 3) for blocks in kinds]
        for model, name in itertools.product(others, names):
            np.testing.assert_array_equal(getattr(model, name), getattr(expected, name))


def test_labels_come_from_blocks_or_arguments(capsys):
    expected = LogisticRegression().fit(from_arrays(X, Y, WEIGHTS))
    actual = LogisticRegression(verbose=1).fit(from_arrays(X), Y, WEIGHTS)
    np.testing.assert_array_equal(actual.coef_, expected.coef_)
    assert "GB/s" in capsys.readouterr().out
    expected = fastlin.logistic_path(X, Y, Cs=4, sample_weight=WEIGHTS)
    actual = fastlin.logistic_path(from_arrays(X, Y, WEIGHTS, rows_per_block=ROWS_PER_BLOCK), Cs=4)
    np.testing.assert_allclose(actual.coefs, expected.coefs, atol=1e-3)
    path_with_y_argument = fastlin.logistic_path(
        from_arrays(X, rows_per_block=ROWS_PER_BLOCK), Y, Cs=4, sample_weight=WEIGHTS
    )
    np.testing.assert_array_equal(path_with_y_argument.coefs, actual.coefs)
    assert_raises("requires y to be passed", fastlin.logistic_path, X, Cs=3)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["arrays", "csr", "batches"])
def test_predictions_are_yielded_per_block(kind, n_classes):
    X, y, weights = make_data(n_classes)
    blocks = make_blocks(kind, X, y, weights)
    model = LogisticRegression().fit(blocks)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        predictions = list(getattr(model, method)(blocks))
        assert [len(prediction) for prediction in predictions] == np.diff(blocks.borders).tolist()
        np.testing.assert_allclose(np.concatenate(predictions), getattr(model, method)(X), rtol=1e-12)
    assert model.score(blocks) == pytest.approx(model.score(X, y, weights), rel=1e-12)
    assert model.score(from_arrays(X), y) == model.score(X, y)
    assert_raises("0 sample", model.score, from_arrays(X[:0]), y[:0])
    expected = model.predict(X)
    np.testing.assert_array_equal(np.concatenate(list(model.sparsify().predict(blocks))), expected)
    np.testing.assert_array_equal(model.predict(X.tolist()), expected)


@pytest.mark.parametrize("estimator", [fastlin.MLPClassifier(), fastlin.MiniBatchLogisticRegression()])
def test_estimators_without_support_for_blocks_raise_an_error(estimator):
    message = f"{type(estimator).__name__} accepts arrays .* linear classifiers accept Blocks"
    assert_raises(message, estimator.fit, from_arrays(X), Y, error=TypeError)


def record_reads(blocks):
    """Return a list to which each pass over the blocks adds an entry."""
    read_calls, read = [], blocks._read
    blocks._read = lambda: read_calls.append(1) or read()
    return read_calls


def test_preconditioners_of_many_classes_read_the_blocks_once():
    X, y, *_ = make_problem(3000, 60, 12, weighted=False)
    blocks = from_arrays(X, y, rows_per_block=1000)
    read_calls = record_reads(blocks)
    model = LogisticRegression(solver="newton-cg", C=100).fit(blocks)
    # Additional reads: statistics, and a sample of rows per preconditioner.
    assert len(read_calls) <= model.n_passes_ + 2 + 2 * model.n_iter_[0]


@pytest.mark.thorough
def test_a_fit_uses_less_memory_than_a_quarter_of_the_file(tmp_path):
    resource = pytest.importorskip("resource", reason="the system limits no memory")
    if not (JIT_ENABLED and hasattr(resource, "RLIMIT_DATA") and Path("/proc/self/status").exists()):
        pytest.skip("the system does not limit private memory alone")
    n, d, path = 400_000, 1000, tmp_path / "X"
    path.write_bytes(np.random.default_rng(0).integers(0, 256, (60_000, d), np.uint8).tobytes())
    # The rest of the file is a hole, which reads as zeros and occupies no disk space.
    os.truncate(path, n * d)
    code = f"""
import re, resource
import numpy as np
from fastlin import LogisticRegression
from fastlin.blocks import from_arrays
X, generator = np.memmap({str(path)!r}, np.uint8, "r", shape=({n}, {d})), np.random.default_rng(1)
y = generator.integers(0, 2, {n}, np.int8)
y[:60_000] = X[:60_000, 0] > generator.integers(0, 256, 60_000)
# Load compiled code and start threads before the measurement.
LogisticRegression(max_iter=1).fit(from_arrays(X[:60_000], y[:60_000]))
used = 1024 * int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1])
resource.setrlimit(resource.RLIMIT_DATA, (used + X.nbytes // 4, -1))
try:
    np.array(X[: {n} // 2])
except MemoryError:
    print("limited")
model = LogisticRegression(max_iter=2).fit(from_arrays(X, y))
print(model.score(X[:60_000], y[:60_000]))
"""
    memory_status, accuracy = run_program(code).split()
    assert memory_status == "limited"
    # Two iterations improve the model; the best possible accuracy is 3/4.
    assert 0.55 < float(accuracy) < 0.8


def assert_same_fit(actual, expected):
    np.testing.assert_allclose(actual.scores_, expected.scores_, atol=1e-5)
    assert actual.coefs_paths_.shape == expected.coefs_paths_.shape
    np.testing.assert_allclose(actual.coefs_paths_, expected.coefs_paths_, atol=1e-3)
    np.testing.assert_allclose(actual.objectives_, expected.objectives_, rtol=1e-6)
    np.testing.assert_allclose(actual.coef_, expected.coef_, atol=1e-3)
    assert (actual.C_, actual.l1_ratio_) == (expected.C_, expected.l1_ratio_)


@pytest.mark.parametrize(
    ("kind", "n_classes", "parameters"),
    [
        ("arrays", 2, {}),
        ("csr", 4, {"class_weight": "balanced"}),
        ("batches", 4, {"refit": False, "fit_intercept": False}),
        ("arrays", 2, {"l1_ratios": (0.5, 1), "solver": "saga"}),
        ("csr", 3, {"solver": "newton-cg"}),
        pytest.param("csr", 2, {"l1_ratios": (0.5, 1)}, marks=pytest.mark.slow),
        pytest.param("batches", 3, {"solver": "newton-cholesky"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_folds_scores_and_models_equal_those_of_rows_in_memory(kind, n_classes, parameters):
    X, y, weights = make_data(n_classes)
    expected = folds(**parameters).fit(X, y, weights)
    actual = folds(**parameters).fit(make_blocks(kind, X, y, weights))
    assert_same_fit(actual, expected)
    assert actual.n_samples_fit_ == N


def score_mean_distance(model, X, y):
    return -np.abs(model.predict_proba(X)[:, 1] - y).mean()


def score_accuracy_per_block(model, X, y):
    parts = [model.predict(part) for part, _, _ in X] if isinstance(X, Blocks) else [model.predict(X)]
    assert all(len(part) for part in parts)
    accuracy = (np.concatenate(parts) == y).mean()
    if not isinstance(model, LogisticRegressionCV):
        assert type(model) is LogisticRegression
        assert model.score(X, y) == pytest.approx(accuracy)
    return accuracy


@pytest.mark.parametrize(
    "scoring",
    [None, "neg_log_loss", "roc_auc", score_mean_distance, score_accuracy_per_block],
    ids=lambda scoring: getattr(scoring, "__name__", scoring),
)
def test_scorers_receive_the_predictions_of_all_test_rows(scoring):
    X, y, weights = make_data(2)
    weight_arguments = (None,) if callable(scoring) else (weights,)
    expected = folds(scoring=scoring).fit(X, y, *weight_arguments)
    blocks = from_arrays(X, y, rows_per_block=ROWS_PER_BLOCK) if callable(scoring) else make_batches(X, y, weights)
    # Warnings are errors here, including those about missing feature names in a fold's model.
    blocks.feature_names = None if callable(scoring) else list("abcdef")
    actual = folds(scoring=scoring).fit(blocks)
    assert_same_fit(actual, expected)
    assert actual.score(blocks) == pytest.approx(expected.score(X, y, *weight_arguments), abs=1e-5)
    assert [*vars(actual).pop("feature_names_in_", [])] == (blocks.feature_names or [])
    assert actual.score(from_arrays(X), y, *weight_arguments) == pytest.approx(
        actual.score(X, y, *weight_arguments), rel=1e-12
    )


def test_folds_can_contain_arbitrary_rows():
    blocks, generator = from_arrays(X, Y, WEIGHTS, rows_per_block=ROWS_PER_BLOCK), np.random.default_rng(0)
    drawn = [(generator.integers(0, N, 300), generator.permutation(N)[:50]) for _ in range(2)]
    # The first block contains no training rows of one fold and no test rows of the other.
    folds_as_masks = [
        (np.arange(N) >= ROWS_PER_BLOCK, np.arange(N) < ROWS_PER_BLOCK),
        (np.arange(N) < 300, np.arange(N) >= 300),
    ]
    groups = list(GroupKFold(3).split(X, Y, generator.integers(0, 20, N)))
    for cv in (drawn, folds_as_masks, groups, ShuffleSplit(2, random_state=0)):
        assert_same_fit(*(folds(cv=cv).fit(*data) for data in ((blocks,), (X, Y, WEIGHTS))))
    light = from_arrays(X, Y, np.where(np.arange(N) < 5, 0, WEIGHTS), rows_per_block=ROWS_PER_BLOCK)
    assert_raises("training rows of positive weight", folds(cv=[(range(5), range(7, N))]).fit, light)


@pytest.mark.parametrize("make", [LogisticRegression, folds], ids=["fit", "search"])
def test_invalid_blocks_do_not_change_the_model(make):
    blocks, model = from_arrays(X, Y, WEIGHTS, rows_per_block=ROWS_PER_BLOCK), make()
    broken = X.copy()
    broken[200, 2] = np.nan
    broken = from_arrays(broken, Y, rows_per_block=ROWS_PER_BLOCK)
    for data, message in (
        ((broken,), "rows 180 to 269 of X contains NaN"),
        ((blocks, Y), "y was passed, but the blocks of X also contain y"),
        ((blocks, None, WEIGHTS), "sample_weight was passed"),
        ((from_arrays(X),), "requires y to be passed"),
        ((X,), "requires y to be passed"),
        ((from_arrays(X), Y[:5]), "y has 5 entries, but X has 400 rows"),
        ((from_arrays(X[:0], Y[:0]),), r"0 sample\(s\)"),
        ((from_arrays(X[:, :0], Y),), r"0 feature\(s\)"),
    ):
        assert_raises(message, model.fit, *data)
    assert_raises("categorical_features must be None for blocks", make(categorical_features=[0]).fit, blocks)
    model.fit(blocks)
    message = f"X has 2 features, but {type(model).__name__} is expecting 6"
    assert_raises(message, model.score, from_arrays(X[:, :2], Y))
    assert_raises("score requires y, unless X is Blocks that contain labels", model.score, X)
    predictions = model.predict(broken)
    assert len(next(predictions)) == len(next(predictions)) == ROWS_PER_BLOCK
    assert_raises("rows 180 to 269 of X contains NaN", next, predictions)


def test_test_rows_are_read_once_for_each_model():
    blocks = from_arrays(X, Y, WEIGHTS, rows_per_block=ROWS_PER_BLOCK)
    read_calls = record_reads(blocks)
    model = folds(Cs=4, max_iter=0, refit=False)
    with pytest.warns(ConvergenceWarning):
        model.fit(blocks)
    # One read per fold for statistics, and per C one pass and one read of the test rows.
    assert len(read_calls) == 3 * (1 + 4 * 2)
