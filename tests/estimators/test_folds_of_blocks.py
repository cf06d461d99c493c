"""LogisticRegressionCV on blocks of rows: the folds, scores and models of the same rows in memory."""

import numpy as np
import pytest
from conftest import make_problem
from scipy import sparse
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold, ShuffleSplit

from fastlin import LogisticRegression, LogisticRegressionCV, logistic_path
from fastlin.blocks import Blocks, from_arrays, from_batches, from_csr

N, ROWS = 400, 90
DEFAULTS = {
    "Cs": [0.1, 1],
    "l1_ratios": (0,),
    "cv": 3,
    "scoring": "accuracy",
    "tol": 1e-10,
    "use_legacy_attributes": False,
}


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
    expected = LogisticRegressionCV(**{**DEFAULTS, **parameters}).fit(X, y, weights)
    found = LogisticRegressionCV(**{**DEFAULTS, **parameters}).fit(make_blocks(kind, X, y, weights))
    compare(found, expected)
    assert found.n_samples_fit_ == N


def mean_distance(model, X, y):
    return -np.abs(model.predict_proba(X)[:, 1] - y).mean()


def own_accuracy(model, X, y):
    assert type(model) is LogisticRegression or isinstance(model, LogisticRegressionCV)
    if isinstance(model, LogisticRegressionCV):
        return (model.predict(X) == y).mean()
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
    parameters = {**DEFAULTS, "scoring": scoring}
    given = (None,) if callable(scoring) else (weights,)
    expected = LogisticRegressionCV(**parameters).fit(X, y, *given)
    blocks = from_arrays(X, y, rows_per_block=ROWS) if callable(scoring) else make_batches(X, y, weights)
    found = LogisticRegressionCV(**parameters).fit(blocks)
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
        compare(*(LogisticRegressionCV(**{**DEFAULTS, "cv": cv}).fit(*data) for data in ((blocks,), (X, y, weights))))


class SplitsByRows(ShuffleSplit):
    """A splitter that looks at the rows."""

    def split(self, X, y=None, groups=None):
        yield np.flatnonzero(X[:, 0] > 0), np.flatnonzero(X[:, 0] <= 0)


def test_a_splitter_finds_no_rows_to_look_at():
    X, y, _ = make_data(3)
    model = LogisticRegressionCV(**{**DEFAULTS, "cv": SplitsByRows()}).fit(X, y)
    with pytest.raises(IndexError):
        model.fit(from_arrays(X, y))


def test_groups_reach_the_splitter():
    X, y, _ = make_data(3)
    groups = np.random.default_rng(0).integers(0, 20, N)
    with config_context(enable_metadata_routing=True):
        model = LogisticRegressionCV(**{**DEFAULTS, "cv": GroupKFold(3)})
        expected = model.fit(X, y, groups=groups).scores_
        np.testing.assert_array_equal(
            model.fit(from_arrays(X, rows_per_block=ROWS), y, groups=groups).scores_, expected
        )


def test_columns_of_blocks_keep_their_names():
    X, y, weights = make_data(3)
    blocks = from_arrays(X, y, weights, rows_per_block=ROWS)
    blocks.feature_names = list("abcdef")
    # A warning of names that the model of a fold does not know would be an error here.
    model = LogisticRegressionCV(**{**DEFAULTS, "scoring": "neg_log_loss"}).fit(blocks)
    assert model.feature_names_in_.tolist() == blocks.feature_names
    assert model.score(blocks) < 0


def test_bits_depend_on_the_cuts_alone():
    X, y, weights = make_data(3, np.float32)
    models = [
        LogisticRegressionCV(**DEFAULTS, n_jobs=n_jobs).fit(blocks)
        for n_jobs in (1, 2)
        for blocks in (from_arrays(X, y, weights, rows_per_block=ROWS), make_batches(X, y, weights))
    ]
    for model in models[1:]:
        for name in ("coef_", "coefs_paths_", "scores_", "certificates_"):
            np.testing.assert_array_equal(getattr(model, name), getattr(models[0], name))


def test_what_is_wrong_is_named_and_leaves_the_model_as_it_was():
    X, y, weights = make_data(3)
    blocks, model = from_arrays(X, y, weights, rows_per_block=ROWS), LogisticRegressionCV(**DEFAULTS)
    broken = X.copy()
    broken[200, 2] = np.nan
    for data, message in (
        ((from_arrays(broken, y, rows_per_block=ROWS),), "rows 180 to 269 of X contains NaN"),
        ((blocks, y), "y is given, but the blocks hold y too"),
        ((blocks, None, weights), "sample_weight is given"),
        ((from_arrays(X),), "requires y to be passed"),
        ((X,), "requires y to be passed"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(*data)
    light = from_arrays(X, y, np.where(np.arange(N) < 5, 0, weights), rows_per_block=ROWS)
    with pytest.raises(ValueError, match="training rows have some weight"):
        LogisticRegressionCV(**{**DEFAULTS, "cv": [(range(5), range(7, N))]}).fit(light)
    with pytest.raises(ValueError, match="categorical_features must be None for blocks"):
        LogisticRegressionCV(**DEFAULTS, categorical_features=[0]).fit(blocks)
    assert not hasattr(model, "coef_") and not hasattr(model, "n_features_in_")
    model.fit(blocks)
    with pytest.raises(ValueError, match=r"score requires y, which only Blocks may hold"):
        model.score(X)
    with pytest.raises(ValueError, match=r"X has 2 features, but LogisticRegressionCV is expecting 6"):
        model.score(from_arrays(X[:, :2], y))


def test_paths_take_labels_of_blocks():
    X, y, weights = make_data(3)
    blocks = from_arrays(X, y, weights, rows_per_block=ROWS)
    expected = logistic_path(blocks, None, Cs=3)
    np.testing.assert_array_equal(logistic_path(blocks, Cs=3).coefs, expected.coefs)
    with pytest.raises(ValueError, match="requires y to be passed"):
        logistic_path(X, Cs=3)


def test_test_rows_are_read_once_for_each_model():
    X, y, weights = make_data(3)
    blocks, reads = from_arrays(X, y, weights, rows_per_block=ROWS), []
    read = blocks._read
    blocks._read = lambda: reads.append(1) or read()
    model = LogisticRegressionCV(**{**DEFAULTS, "Cs": 4, "max_iter": 0, "refit": False})
    with pytest.warns(ConvergenceWarning):
        model.fit(blocks)
    # The statistics of each fold, and for each C one pass and the test rows.
    assert len(reads) == 3 * (1 + 4 * 2)
