"""LogisticRegressionCV with an explicit validation set, compared with a single fold and with plain loops."""

import itertools
import pickle
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import as_bfloat16, assert_raises, make_problem, mark_params
from linear_models import assert_same_model, make_cv_model
from scipy import sparse
from sklearn import config_context
from sklearn.metrics import get_scorer
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastlin
from fastlin import blocks
from fastlin.estimators import problem
from fastlin.estimators.problem import join_matrices
from fastlin.matrices import BlockMatrix, as_matrix
from fastlin.objective.budget import Budget

CS = [0.01, 1.0, 100.0]
N = 80
ROWWISE_SCORINGS = "neg_log_loss", "accuracy", None, "f1_macro", lambda model, *_, **__: -abs(model.coef_).sum()
# Containers, and the dtype of the coefficients fitted to them.
FORMS = {
    "float16": (lambda rows: rows.astype(np.float16), np.float32),
    "bfloat16": (as_bfloat16, np.float32),
    "float32": (lambda rows: rows.astype(np.float32), np.float32),
    "uint8": (lambda rows: rows.astype(np.uint8), np.float64),
    "int64 by columns": (lambda rows: np.asfortranarray(rows.astype(np.int64)), np.float64),
    "list": (np.ndarray.tolist, np.float64),
    "CSR": (sparse.csr_array, np.float64),
    "COO float32": (lambda rows: sparse.coo_matrix(rows.astype(np.float32)), np.float32),
    "blocks": (lambda rows: blocks.from_arrays(rows, rows_per_block=13), np.float64),
    "sparse blocks": (lambda rows: blocks.from_csr([sparse.csr_array(rows)]), np.float64),
}


def make_training_and_validation():
    X, y, weights, *_ = make_problem(120, 5, 3)
    return (X[:N], y[:N], weights[:N]), (X[N:], y[N:], weights[N:])


# Sets for tests that do not modify them.
TRAINING_SET, VALIDATION_SET = make_training_and_validation()
(X, Y, _), (X_VAL, Y_VAL, WEIGHTS_VAL) = TRAINING_SET, VALIDATION_SET


def join(training, validation):
    return [np.concatenate(pair) for pair in zip(training, validation, strict=True)]


def fit(training, validation, **parameters):
    names = ("X_val", "y_val", "sample_weight_val")
    return make_cv_model(**{"Cs": CS, **parameters}).fit(*training, **dict(zip(names, validation, strict=False)))


@pytest.mark.parametrize("l1_ratios", [(0,), (0.2, 1.0)], ids=str)
@pytest.mark.parametrize(
    "scoring", ROWWISE_SCORINGS, ids=lambda scoring: "callable" if callable(scoring) else str(scoring)
)
def test_results_are_bitwise_equal_to_those_of_one_fold(scoring, l1_ratios):
    cv, options = PredefinedSplit(np.arange(120) // N - 1), {"Cs": CS, "scoring": scoring, "l1_ratios": l1_ratios}
    expected = make_cv_model(cv=cv, **options).fit(*join(TRAINING_SET, VALIDATION_SET))
    for n_jobs in (1, 3):
        actual = fit(TRAINING_SET, VALIDATION_SET, n_jobs=n_jobs, **options)
        assert (actual.C_, actual.l1_ratio_, actual.n_samples_fit_) == (expected.C_, expected.l1_ratio_, N)
        for name in ("scores_", "coefs_paths_", "objectives_", "certificates_", "n_iter_", "coef_"):
            np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), err_msg=name)


# Without weights, all rows have weight one.
@pytest.mark.parametrize(
    ("refit", "n_training_arrays", "n_validation_arrays"),
    [(True, 3, 3), (True, 3, 2), (True, 2, 3), ("train", 3, 3), (False, 3, 3)],
)
def test_the_last_fit_uses_the_rows_that_refit_selects(refit, n_training_arrays, n_validation_arrays):
    training, validation = make_training_and_validation()
    model = fit(
        training[:n_training_arrays], validation[:n_validation_arrays], refit=refit, class_weight="balanced", tol=1e-11
    )
    for (*_, weights), n in ((training, n_training_arrays), (validation, n_validation_arrays)):
        weights[:] = weights if n == 3 else 1
    rows = join(training, validation) if refit is True else training
    plain = fastlin.LogisticRegression(C=model.C_, class_weight="balanced", tol=1e-11).fit(*rows)
    assert_same_model(model, plain, 1e-6)
    if refit is False:
        np.testing.assert_array_equal(model.coef_, model.coefs_paths_[0, 0, CS.index(model.C_), :, :-1])


# Compiling the kernels for five types takes seconds.
@pytest.mark.thorough
@pytest.mark.parametrize(
    ("one", "other"),
    [
        *itertools.product(["float32"], list(FORMS)[:6]),
        *((name, name) for name in ("CSR", "blocks", "sparse blocks", "uint8", "bfloat16")),
        *(("CSR", "COO float32"), ("uint8", "float16"), ("float16", "uint8"), ("bfloat16", "uint8")),
    ],
)
def test_rows_in_any_container_are_read_without_changes(one, other):
    dense, dense_validation = np.round(8 * X).clip(0, 100), np.round(8 * X_VAL).clip(0, 100)
    expected = fit((dense, Y), (dense_validation, Y_VAL), tol=1e-10)
    (make, dtype), (make_validation, _) = FORMS[one], FORMS[other]
    rows, validation_rows = make(dense), make_validation(dense_validation)
    original_rows = (dense, dense_validation) if "blocks" in one else (rows, validation_rows)
    before = pickle.dumps(original_rows)
    actual = fit((rows, Y), (validation_rows, Y_VAL), tol=1e-10)
    np.testing.assert_allclose(actual.scores_, expected.scores_, rtol=1e-3)
    np.testing.assert_allclose(actual.coef_, expected.coef_, rtol=1e-3, atol=1e-5)
    assert actual.coefs_paths_.dtype == dtype
    # The last fit uses the common type.
    types = {FORMS[name][1] for name in (one, other) if name != "uint8"}
    assert actual.coef_.dtype == (np.float32 if types == {np.float32} else np.float64)
    assert pickle.dumps(original_rows) == before


def test_validation_rows_in_another_kind_of_container_raise_an_error():
    kinds = {"dense rows": "list", "sparse rows": "CSR", "dense blocks": "blocks", "sparse blocks": "sparse blocks"}
    for one, other in itertools.permutations(kinds, 2):
        with pytest.raises(ValueError, match=f"^X_val .*: expected {one} as for X, got {other}"):
            fit((FORMS[kinds[one]][0](X), Y), (FORMS[kinds[other]][0](X_VAL), Y_VAL))


@pytest.mark.parametrize("dtype", [np.float64, *mark_params(pytest.mark.thorough, np.float32)])
def test_tables_with_categories_are_supported(dtype):
    generator = np.random.default_rng(0)
    dataframe = pd.DataFrame(
        {
            "color": pd.Series(generator.choice(["red", "green", "blue", None], 300)).astype("category"),
            "kind": pd.Series(generator.integers(200, size=300).astype(str)).astype("category"),
            "size": generator.normal(size=300).astype(dtype),
        }
    )
    y = np.where((dataframe["color"] == "red") + dataframe["size"] + generator.normal(size=300) > 0.5, "late", "early")
    training, validation = dataframe[:200].copy(), dataframe[200:].copy()
    # Categories that occur only in the validation rows get no column.
    training["kind"] = training["kind"].cat.remove_unused_categories()
    options = {"categorical_features": "from_dtype", "missing_as_category": True, "tol": 1e-10}
    model = fit((training, y[:200]), (validation, y[200:]), **options)

    def encode(table):
        categories = [(name, category) for j, name in enumerate(["color", "kind"]) for category in model.categories_[j]]
        columns = [
            table[name].isna() if pd.isna(category) else table[name] == category for name, category in categories
        ]
        return np.column_stack([*columns, table["size"]])

    plain = fit((encode(training), y[:200]), (encode(validation), y[200:]), tol=1e-10)
    np.testing.assert_allclose(model.scores_, plain.scores_, rtol=1e-5)
    assert model.C_ == plain.C_
    np.testing.assert_allclose(model.coef_, plain.coef_, atol=1e-4)


def test_a_large_validation_set_is_not_copied_for_the_last_fit(monkeypatch):
    small = fit((X, Y), (X_VAL, Y_VAL), tol=1e-10)
    with monkeypatch.context() as patch:
        patch.setattr(problem, "Budget", SimpleNamespace(from_data_size=lambda n_bytes: Budget(0)))
        for kind in (np.asarray, sparse.csr_array):
            joined_matrix = join_matrices(as_matrix(kind(X)), as_matrix(kind(X_VAL)))
            assert isinstance(joined_matrix, BlockMatrix)
            assert joined_matrix.budget_bytes >= 8 * (X.size + X_VAL.size)
            actual = fit((kind(X), Y), (kind(X_VAL), Y_VAL), tol=1e-10)
            np.testing.assert_allclose(actual.coef_, small.coef_, atol=1e-6)
    # Without a memory budget for copies, the joined rows are read in place.
    many = np.zeros((100_000, 100))
    tracemalloc.start()
    joined_matrix = join_matrices(as_matrix(many), as_matrix(many[:100].astype(np.float32)))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert joined_matrix.shape == (100_100, 100)


def test_a_pipeline_of_scikit_learn_passes_the_validation_set():
    with config_context(enable_metadata_routing=True):
        last = make_cv_model(Cs=CS).set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), last, transform_input=["X_val"]).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    scale = StandardScaler().fit(X).transform
    np.testing.assert_array_equal(pipeline[-1].coef_, fit((scale(X), Y), (scale(X_VAL), Y_VAL)).coef_)


def test_invalid_validation_sets_do_not_change_the_estimator():
    damaged = X_VAL.copy()
    damaged[3, 1] = np.nan
    validation_blocks = blocks.from_arrays(X_VAL, Y_VAL, WEIGHTS_VAL)
    model = fit((X, Y), (X_VAL, Y_VAL))
    for rows, labels, ratios, message in (
        (X_VAL, None, None, "X_val and y_val must be given together, got only X_val"),
        (None, Y_VAL, None, "X_val and y_val must be given together, got only y_val"),
        (None, None, WEIGHTS_VAL, "X_val and y_val .* got only sample_weight_val"),
        (blocks.from_arrays(X_VAL), None, None, "X_val and y_val must be given together, got only X_val"),
        (validation_blocks, Y_VAL, None, "y_val was passed, but the blocks of X_val also contain y"),
        (validation_blocks, None, WEIGHTS_VAL, "sample_weight_val was passed, but the blocks"),
        (X_VAL[:, :4], Y_VAL, None, "X_val must be rows .* with the columns of X: X has 4 features"),
        (blocks.from_arrays(X_VAL[:, :4], Y_VAL), None, None, "X_val must be rows .* 4 features"),
        (X_VAL[:0], Y_VAL[:0], None, "X_val must be rows .* 0 sample"),
        (blocks.from_arrays(X_VAL[:0], Y_VAL[:0]), None, None, "X_val must be rows .* 0 rows"),
        (damaged, Y_VAL, None, "X_val must be rows of finite numbers .*NaN"),
        (blocks.from_arrays(damaged, Y_VAL), None, None, "X_val must be rows of finite numbers .*NaN"),
        (X_VAL, Y_VAL[:-1], None, "y_val must contain one label per row of X_val: .*39"),
        (X_VAL, Y_VAL + 1, None, "y_val contains the label 3, which does not occur in y; the labels of y are"),
        (X_VAL, np.where(Y_VAL, np.nan, 0), None, "y_val must contain one label .*NaN"),
        (X_VAL, Y_VAL, -1 - WEIGHTS_VAL, "sample_weight_val must be one"),
        (X_VAL, Y_VAL, 0 * WEIGHTS_VAL, "sample_weight_val .* not all 0"),
    ):
        arguments = {"X_val": rows, "y_val": labels, "sample_weight_val": ratios}
        assert_raises(f"(?s)^{message}", model.fit, X, Y, **arguments)
    assert_raises("refit='train' requires X_val", make_cv_model(refit="train").fit, X, Y)
    assert_raises("The 'refit' parameter", make_cv_model(refit="all").fit, X, Y)
    assert_raises("The 'time_limit' parameter", make_cv_model(time_limit=0).fit, X, Y)
    assert_raises("cv must be None with X_val.*got 3", make_cv_model(cv=3).fit, X, Y, X_val=X_VAL, y_val=Y_VAL)
    with config_context(enable_metadata_routing=True):
        assert_raises("no metadata .*groups", model.fit, X, Y, X_val=X_VAL, y_val=Y_VAL, groups=Y)


def test_validation_labels_can_lack_classes():
    names, keep = np.array(["a", "bb", "ccc"]), Y_VAL > 0
    expected = fit((X, Y), (X_VAL[keep], Y_VAL[keep]))
    assert np.isfinite(expected.scores_).all()
    for labels, labels_val in ((Y, Y_VAL.astype(float)), (names[Y], names[Y_VAL].astype(object))):
        actual = fit((X, labels), (X_VAL[keep], labels_val[keep]))
        np.testing.assert_array_equal(actual.scores_, expected.scores_)
        np.testing.assert_array_equal(actual.coef_, expected.coef_)


@pytest.mark.parametrize("refit", ["train", False])
@pytest.mark.parametrize("labels", [np.arange(3), np.array(["a", "bb", "ccc"])], ids=["numbers", "text"])
def test_validation_labels_that_y_lacks_count_as_wrong(labels, refit):
    rows, y, y_val = X[Y > 0], labels[Y[Y > 0]], labels[Y_VAL]
    for scoring in ("accuracy", None, "f1_macro"):
        model = fit((rows, y), (X_VAL, y_val, WEIGHTS_VAL), scoring=scoring, refit=refit)
        assert model.classes_.tolist() == labels[1:].tolist()
        plain = fastlin.LogisticRegression(C=model.C_, tol=1e-10).fit(rows, y)
        expected = get_scorer(scoring or "accuracy")(plain, X_VAL, y_val, sample_weight=WEIGHTS_VAL)
        assert model.scores_.max() == pytest.approx(expected)
    all_rows, others = slice(None), y_val == labels[0]
    for part, scoring, is_refit in (
        (all_rows, "accuracy", True),
        (all_rows, "neg_log_loss", refit),
        (all_rows, "roc_auc_ovr", refit),
        (others, "accuracy", refit),
    ):
        with pytest.raises(
            ValueError, match=r"y_val contains .*, which does not occur in y; .* count as misclassified"
        ):
            fit((rows, y), (X_VAL[part], y_val[part]), scoring=scoring, refit=is_refit)


def test_a_time_limit_keeps_the_fits_that_all_folds_have_finished(monkeypatch):
    training, validation = ([*rows[:2]] for rows in make_training_and_validation())
    model = fit(training, validation, time_limit=1e-9)
    folds = make_cv_model(Cs=CS, cv=3, l1_ratios=(0, 0.5), time_limit=1e-9).fit(*training)
    mean = make_cv_model(Cs=CS, cv=3, refit=False, time_limit=1e-9).fit(*training)
    for actual in (model, folds, mean):
        assert actual.timed_out_
        assert actual.C_ == CS[0]
        is_finished = np.zeros(actual.scores_.shape, bool)
        is_finished[:, 0, 0] = True
        for name in ("scores_", "objectives_", "certificates_"):
            np.testing.assert_array_equal(np.isfinite(getattr(actual, name)), is_finished)
        np.testing.assert_array_equal(np.isnan(actual.coefs_paths_).any(axis=(3, 4)), ~is_finished)
        assert np.isfinite(actual.coef_).all()
    whole = fit(training, validation, time_limit=1e9)
    assert not whole.timed_out_ and not fit(training, validation).timed_out_
    np.testing.assert_array_equal(model.scores_[..., 0], whole.scores_[..., 0])
    # The clock advances with each call. Some fits finish, more of them in one fold than in the other.
    monkeypatch.setattr("fastlin.estimators.fit_reporting.perf_counter", itertools.count().__next__)
    actual = make_cv_model(Cs=np.logspace(-3, 3, 20), cv=2, n_jobs=1, time_limit=60).fit(*training)
    counts = np.isfinite(actual.scores_[:, 0]).sum(axis=1)
    assert actual.timed_out_
    assert counts[0] > counts[1] >= 1
    assert actual.C_ == actual.Cs_[np.argmax(actual.scores_[:, 0, : counts[1]].sum(axis=0))]


# scikit-learn 1.6 warns about l1_ratios with an L2 penalty.
@pytest.mark.filterwarnings("ignore:l1_ratios parameter is only used")
def test_the_converted_model_of_scikit_learn_drops_the_validation_set():
    model = fit(TRAINING_SET, VALIDATION_SET, refit="train", time_limit=1e9)
    converted = model.to_sklearn()
    assert converted.refit is True
    np.testing.assert_array_equal(converted.coef_, model.coef_)
    converted.set_params(solver="lbfgs", max_iter=1000).fit(*TRAINING_SET[:2])


def test_the_progress_bar_and_the_summary_mention_the_validation_rows(capsys):
    model = fit(TRAINING_SET, VALIDATION_SET, verbose=1)
    out = capsys.readouterr().out
    assert "4/4" in out
    assert f"C={model.C_:g} gap=" in out
    assert f"{model.scores_.max():.6g} on the validation set" in model.summary()
    limited = fit(TRAINING_SET, VALIDATION_SET, time_limit=1e-9, use_legacy_attributes=True)
    assert limited.C_.tolist() == [CS[0]] * 3
    assert "1 of 3 within 1e-09 s" in limited.summary()


@pytest.mark.parametrize("n_empty_columns", [(0, 4), (4, 0)])
def test_sparse_training_and_validation_rows_can_have_different_densities(n_empty_columns):
    row_sets = make_training_and_validation()
    for (X, *_), n in zip(row_sets, n_empty_columns, strict=True):
        X[:, :n] = 0
    actual, expected = (
        fit(*[(make(X), *others) for X, *others in row_sets], tol=1e-10).predict_proba(row_sets[0][0])
        for make in (sparse.csr_array, np.asarray)
    )
    np.testing.assert_allclose(actual, expected, atol=1e-4)
