"""LogisticRegression and its cross-validation on blocks of rows: the models, folds and scores of the rows in memory."""

import functools
from pathlib import Path

import linear_models
import numpy as np
import pytest
from conftest import COMPILED, assert_refused, make_problem, run_program
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold, ShuffleSplit

import fastlin
from fastlin import LogisticRegression, LogisticRegressionCV
from fastlin.blocks import Blocks, from_arrays, from_batches, from_csr

N, ROWS = 400, 90
folds = functools.partial(linear_models.make_cv, Cs=[0.1, 1], cv=3, scoring="accuracy", tol=1e-10)


def make_data(n_classes, dtype=np.float64):
    X, labels, weights, *_ = make_problem(N, 6, n_classes, dtype)
    return X, labels, weights


def cut(X):
    return [X[i : i + ROWS] for i in range(0, N, ROWS)]


def make_batches(X, y, weights):
    """Return Blocks of a function that fills the same memory again and stands no second reading at the same time."""
    room, n_readers = np.empty((ROWS, X.shape[1]), X.dtype), 0

    def read():
        nonlocal n_readers
        n_readers += 1
        assert n_readers == 1
        try:
            for part, labels, own_weights in zip(cut(X), cut(y), cut(weights), strict=True):
                room[: len(part)] = part
                yield room[: len(part)], labels, own_weights
        finally:
            n_readers -= 1

    return from_batches(read)


def make_blocks(kind, X, y, weights):
    if kind == "arrays":
        return from_arrays(X, y, weights, rows_per_block=ROWS)
    if kind == "csr":
        return from_csr([sparse.csr_array(part) for part in cut(X)], y, weights)
    return make_batches(X, y, weights)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_bits_depend_on_the_cuts_alone(tmp_path, n_classes):
    X, y, weights = make_data(n_classes, np.uint8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    models = [
        LogisticRegression(n_jobs=n_jobs).fit(blocks)
        for n_jobs in (1, 2, 3)
        for blocks in (
            from_arrays(X, y, weights, rows_per_block=ROWS),
            from_arrays(cut(mapped), y, weights),
            make_blocks("batches", X, y, weights),
        )
    ]
    for model in models[1:]:
        np.testing.assert_array_equal(model.coef_, models[0].coef_)
    models = [
        folds(tol=1e-4, n_jobs=n_jobs).fit(make_blocks(kind, X, y, weights))
        for n_jobs in (1, 2)
        for kind in ("arrays", "batches")
    ]
    for model in models[1:]:
        for name in ("coef_", "coefs_paths_", "scores_", "certificates_"):
            np.testing.assert_array_equal(getattr(model, name), getattr(models[0], name))


def test_labels_and_weights_may_stand_beside_the_blocks():
    X, y, weights = make_data(3)
    expected = LogisticRegression().fit(from_arrays(X, y, weights))
    found = LogisticRegression().fit(from_arrays(X), y, weights)
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    model = LogisticRegression()
    for blocks, arguments, message in (
        (from_arrays(X, y), (y,), "y is given, but the blocks hold y too"),
        (from_arrays(X, y, weights), (None, weights), "sample_weight is given"),
        (from_arrays(X), (), "requires y to be passed"),
        (from_arrays(X), (y[:5],), "y has 5 entries, but X has 400 rows"),
        (from_arrays(X[:0], y[:0]), (), r"0 sample\(s\)"),
        (from_arrays(X[:, :0], y), (), r"0 feature\(s\)"),
    ):
        assert_refused(message, model.fit, blocks, *arguments)
    assert_refused("requires y to be passed", model.fit, X)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["arrays", "csr", "batches"])
def test_predictions_come_block_by_block(kind, n_classes):
    X, y, weights = make_data(n_classes)
    blocks = make_blocks(kind, X, y, weights)
    model = LogisticRegression().fit(blocks)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        answers = list(getattr(model, method)(blocks))
        assert [len(answer) for answer in answers] == np.diff(blocks.borders).tolist()
        np.testing.assert_allclose(np.concatenate(answers), getattr(model, method)(X), rtol=1e-12)
    assert model.score(blocks) == pytest.approx(model.score(X, y, weights), rel=1e-12)
    assert model.score(from_arrays(X), y) == model.score(X, y)
    expected = model.predict(X)
    np.testing.assert_array_equal(np.concatenate(list(model.sparsify().predict(blocks))), expected)
    np.testing.assert_array_equal(model.predict(X.tolist()), expected)
    message = "X has 2 features, but LogisticRegression is expecting 6"
    assert_refused(message, model.predict, from_arrays(X[:, :2]))


def test_what_is_not_finite_is_named_by_its_rows():
    X, y, _ = make_data(3)
    model = LogisticRegression().fit(X, y)
    X[200, 2] = np.inf
    blocks = from_arrays(X, y, rows_per_block=ROWS)
    with pytest.raises(ValueError, match="rows 180 to 269 of X contains infinity"):
        LogisticRegression().fit(blocks)
    answers = model.predict(blocks)
    assert len(next(answers)) == len(next(answers)) == ROWS
    with pytest.raises(ValueError, match="rows 180 to 269 of X contains infinity"):
        next(answers)


def test_verbose_shows_how_fast_data_are_read(capsys):
    X, y, weights = make_data(3)
    LogisticRegression(verbose=1).fit(make_blocks("arrays", X, y, weights))
    assert "GB/s" in capsys.readouterr().out


@pytest.mark.parametrize("estimator", [fastlin.MLPClassifier(), fastlin.MiniBatchLogisticRegression()])
def test_other_estimators_say_that_they_take_no_blocks(estimator):
    X, y, _ = make_data(3)
    message = f"{type(estimator).__name__} takes arrays .* linear classifiers fit blocks"
    assert_refused(message, estimator.fit, from_arrays(X), y, error=TypeError)


def test_preconditioners_of_many_classes_read_the_blocks_once():
    X, y, *_ = make_problem(3000, 60, 12, weighted=False)
    blocks, reads = from_arrays(X, y, rows_per_block=1000), []
    read = blocks._read
    blocks._read = lambda: reads.append(1) or read()
    model = LogisticRegression(solver="newton-cg", C=100).fit(blocks)
    # Statistics, and for each preconditioner the rows that are drawn.
    assert len(reads) <= model.n_passes_ + 2 + 2 * model.n_iter_[0]


def test_paths_take_labels_of_blocks_or_beside_them():
    X, y, weights = make_data(3)
    expected = fastlin.logistic_path(X, y, Cs=4, sample_weight=weights)
    found = fastlin.logistic_path(from_arrays(X, y, weights, rows_per_block=ROWS), Cs=4)
    np.testing.assert_allclose(found.coefs, expected.coefs, atol=1e-3)
    beside = fastlin.logistic_path(from_arrays(X, rows_per_block=ROWS), y, Cs=4, sample_weight=weights)
    np.testing.assert_array_equal(beside.coefs, found.coefs)
    with pytest.raises(ValueError, match="requires y to be passed"):
        fastlin.logistic_path(X, Cs=3)


@pytest.mark.thorough
def test_a_fit_takes_no_more_than_a_quarter_of_the_file(tmp_path):
    resource = pytest.importorskip("resource", reason="the system limits no memory")
    if not (COMPILED and hasattr(resource, "RLIMIT_DATA") and Path("/proc/self/status").exists()):
        pytest.skip("the system does not limit private memory alone")
    n, d = 400_000, 1000
    generator = np.random.default_rng(0)
    written = generator.integers(0, 256, (60_000, d), np.uint8)
    # The rest of the file is a hole, which reads as zeros and takes no disk.
    with open(tmp_path / "X", "wb") as file:
        file.write(written.tobytes())
        file.truncate(n * d)
    y = generator.integers(0, 2, n, np.int8)
    y[: len(written)] = written[:, 0] > generator.integers(0, 256, len(written))
    np.save(tmp_path / "y.npy", y)
    code = f"""
import re, resource
import numpy as np
from fastlin import LogisticRegression
from fastlin.blocks import from_arrays
X, y = np.memmap({str(tmp_path / "X")!r}, np.uint8, "r", shape=({n}, {d})), np.load({str(tmp_path / "y.npy")!r})
# Compiled code and threads are the program's, whatever the data.
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
    limited, accuracy = run_program(code).split()
    assert limited == "limited"
    # Two iterations tell something: three labels in four are right at best.
    assert 0.55 < float(accuracy) < 0.8


def compare(found, expected, atol=1e-3):
    np.testing.assert_allclose(found.scores_, expected.scores_, atol=1e-5)
    assert found.coefs_paths_.shape == expected.coefs_paths_.shape
    np.testing.assert_allclose(found.coefs_paths_, expected.coefs_paths_, atol=atol)
    np.testing.assert_allclose(found.objectives_, expected.objectives_, rtol=1e-6)
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=atol)
    assert (found.C_, found.l1_ratio_) == (expected.C_, expected.l1_ratio_)


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
def test_folds_scores_and_models_are_those_of_the_rows_together(kind, n_classes, parameters):
    X, y, weights = make_data(n_classes)
    expected = folds(**parameters).fit(X, y, weights)
    found = folds(**parameters).fit(make_blocks(kind, X, y, weights))
    compare(found, expected)
    assert found.n_samples_fit_ == N


def mean_distance(model, X, y):
    return -np.abs(model.predict_proba(X)[:, 1] - y).mean()


def own_accuracy(model, X, y):
    if isinstance(model, LogisticRegressionCV):
        return (model.predict(X) == y).mean()
    assert type(model) is LogisticRegression
    return model.score(X, y)


def accuracy_by_block(model, X, y):
    if not isinstance(X, Blocks):
        return (model.predict(X) == y).mean()
    parts = [model.predict(part) for part, _, _ in X]
    assert all(len(part) for part in parts)
    return (np.concatenate(parts) == y).mean()


@pytest.mark.parametrize(
    "scoring",
    [None, "neg_log_loss", "roc_auc", mean_distance, own_accuracy, accuracy_by_block],
    ids=lambda scoring: getattr(scoring, "__name__", scoring),
)
def test_scorers_get_the_predictions_of_all_test_rows(scoring):
    X, y, weights = make_data(2)
    given = (None,) if callable(scoring) else (weights,)
    expected = folds(scoring=scoring).fit(X, y, *given)
    blocks = from_arrays(X, y, rows_per_block=ROWS) if callable(scoring) else make_batches(X, y, weights)
    found = folds(scoring=scoring).fit(blocks)
    compare(found, expected)
    assert found.score(blocks) == pytest.approx(expected.score(X, y, *given), abs=1e-5)
    assert found.score(from_arrays(X), y, *given) == pytest.approx(found.score(X, y, *given), rel=1e-12)


def test_folds_may_be_any_rows():
    X, y, weights = make_data(3)
    blocks, generator = from_arrays(X, y, weights, rows_per_block=ROWS), np.random.default_rng(0)
    drawn = [(generator.integers(0, N, 300), generator.permutation(N)[:50]) for _ in range(2)]
    # The first block has no training row of one fold, and no test row of the other.
    masks = [(np.arange(N) >= ROWS, np.arange(N) < ROWS), (np.arange(N) < 300, np.arange(N) >= 300)]
    groups = list(GroupKFold(3).split(X, y, generator.integers(0, 20, N)))
    for cv in (drawn, masks, groups, ShuffleSplit(2, random_state=0)):
        compare(*(folds(cv=cv).fit(*data) for data in ((blocks,), (X, y, weights))))


def test_columns_of_blocks_keep_their_names():
    X, y, weights = make_data(3)
    blocks = from_arrays(X, y, weights, rows_per_block=ROWS)
    blocks.feature_names = list("abcdef")
    # A warning of names that the model of a fold does not know would be an error here.
    model = folds(scoring="neg_log_loss").fit(blocks)
    assert model.feature_names_in_.tolist() == blocks.feature_names
    assert model.score(blocks) < 0


def test_what_is_wrong_is_named_and_leaves_the_model_as_it_was():
    X, y, weights = make_data(3)
    blocks, model = from_arrays(X, y, weights, rows_per_block=ROWS), folds()
    broken = X.copy()
    broken[200, 2] = np.nan
    for data, message in (
        ((from_arrays(broken, y, rows_per_block=ROWS),), "rows 180 to 269 of X contains NaN"),
        ((blocks, y), "y is given, but the blocks hold y too"),
        ((blocks, None, weights), "sample_weight is given"),
        ((from_arrays(X),), "requires y to be passed"),
        ((X,), "requires y to be passed"),
    ):
        assert_refused(message, model.fit, *data)
    light = from_arrays(X, y, np.where(np.arange(N) < 5, 0, weights), rows_per_block=ROWS)
    lightest = folds(cv=[(range(5), range(7, N))])
    assert_refused("training rows have some weight", lightest.fit, light)
    assert_refused("categorical_features must be None for blocks", folds(categorical_features=[0]).fit, blocks)
    model.fit(blocks)
    assert_refused("score requires y, which only Blocks may hold", model.score, X)
    message = "X has 2 features, but LogisticRegressionCV is expecting 6"
    assert_refused(message, model.score, from_arrays(X[:, :2], y))


def test_test_rows_are_read_once_for_each_model():
    X, y, weights = make_data(3)
    blocks, reads = from_arrays(X, y, weights, rows_per_block=ROWS), []
    read = blocks._read
    blocks._read = lambda: reads.append(1) or read()
    model = folds(Cs=4, max_iter=0, refit=False)
    with pytest.warns(ConvergenceWarning):
        model.fit(blocks)
    # The statistics of each fold, and for each C one pass and the test rows.
    assert len(reads) == 3 * (1 + 4 * 2)
