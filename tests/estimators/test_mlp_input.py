"""Input of MLPClassifier: data and labels of every kind, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from conftest import assert_refused
from scipy import sparse
from sklearn.exceptions import DataConversionWarning
from small_networks import assert_same_bits, make, make_data

X, Y = make_data()
N, CLASSES = len(Y), [0, 1, 2]
SEVERAL = np.eye(3, dtype=int)[Y]
SOFT = 0.8 * SEVERAL + 0.2 / 3


def test_validation_data_have_the_names_of_the_data():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = make().fit(frame, Y, X_val=frame, y_val=pd.Series(Y))
    assert_same_bits(model, make().fit(X, Y, X_val=X, y_val=Y))
    assert_refused("feature names", make().fit, frame, Y, X_val=frame[list("fedcba")], y_val=Y)


@pytest.mark.parametrize("parameters", [{}, {"dtype": "float64", "shuffle": False, "batch_norm": "both"}], ids=str)
def test_any_type_of_data_gives_the_same_bits(parameters):
    whole = np.random.default_rng(0).integers(0, 5, (90, 6))
    X = whole.astype(parameters.get("dtype", "float32"))
    expected = make(**parameters).fit(X, Y, X_val=X, y_val=Y)
    names = "float64", "float32", "float16", "uint8", "int8", "int64"
    kinds = np.asfortranarray(X), sparse.csr_array(X), sparse.csc_matrix(X), sparse.coo_array(whole)
    for form in (*map(whole.astype, names), *kinds):
        found = make(**parameters).fit(form, Y, X_val=form, y_val=Y)
        assert found.validation_loss_curve_ == expected.validation_loss_curve_
        assert_same_bits(found, expected)
        np.testing.assert_array_equal(found.predict_proba(form), expected.predict_proba(X))


X_VAL, Y_VAL = X[:10], Y[:10]
NAN, INFINITE = (np.where(X_VAL == X_VAL.max(), value, X_VAL) for value in (np.nan, np.inf))


@pytest.mark.parametrize(
    ("X_val", "y_val", "message"),
    [
        (NAN, Y_VAL, "X_val must be rows of finite numbers .*: Input X contains NaN"),
        (INFINITE, Y_VAL, "X_val must be rows of finite numbers .*: Input X contains infinity"),
        (X_VAL, np.full(10, np.nan), ".*y_val contains NaN"),
        (X_VAL, None, "X_val and y_val must be given together, got only X_val"),
        (None, Y_VAL, "X_val and y_val must be given together, got only y_val"),
        (X_VAL, Y_VAL[:-1], ".*y_val has 9 entries, but X_val has 10 rows"),
        (X_VAL[:, :2], Y_VAL, "X_val must be rows .* X has 2 features, but MLPClassifier is .* 6"),
        (X_VAL[:, 0], Y_VAL, "X_val must be rows .*: Expected 2D array"),
        (X_VAL[:0], Y_VAL[:0], "X_val must be rows .*0 sample"),
        (X_VAL, Y_VAL + 1, r"y_val must hold classes of \[0 1 2\] only, got \[3\]"),
        (X_VAL, Y_VAL.astype(str), "y_val must hold classes"),
    ],
)
def test_bad_validation_data_are_refused_and_the_estimator_stays_as_it_was(X_val, y_val, message):
    for model in (make(), make().fit(*make_data(3, d=5))):
        assert_refused(f"^{message}", model.fit, X, Y, X_val=X_val, y_val=y_val)


@pytest.mark.parametrize(("parameters", "n_rows"), [({}, 40), ({"early_stopping": True}, 36)])
def test_a_batch_of_more_rows_than_there_are_has_all_rows(parameters, n_rows):
    X, y = make_data(n=40)
    with pytest.warns(UserWarning, match=f"clipped to the {n_rows} rows"):
        model = make(batch_size=n_rows + 1, **parameters).fit(X, y)
    assert model.loss_curve_ == make(batch_size=n_rows, **parameters).fit(X, y).loss_curve_


def test_a_column_of_labels_is_taken_with_a_warning():
    for given in ({"y": Y[:, np.newaxis]}, {"y": Y, "X_val": X, "y_val": Y[:, np.newaxis]}):
        with pytest.warns(DataConversionWarning):
            model = make().fit(X, **given)
        assert_same_bits(model, make().fit(X, Y))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (3, 0)}, r"^hidden_layer_sizes must be whole numbers > 0, got \(3, 0\)"),
        ({"hidden_layer_sizes": [[3]]}, "^hidden_layer_sizes must be whole numbers > 0"),
        ({"solver": "lbfgs", "batch_norm": "both"}, "solver='lbfgs' has neither batch_norm nor dropout"),
        ({"solver": "lbfgs", "dropout": 0.2}, "solver='lbfgs' has neither batch_norm nor dropout"),
        ({"batch_norm": "hidden", "batch_size": 1}, "must be at least 2 with batch_norm='hidden', got 1"),
        ({"early_stopping": True, "validation_fraction": 0.01}, "^validation_fraction=0.01 of 90 .* cannot .* X_val"),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_the_data_are_named(parameters, message):
    assert_refused(message, make(**parameters).fit, X, Y)


def test_targets_and_weights_that_are_none_are_named():
    fit, stopped = make().fit, make(early_stopping=True, batch_size="auto")
    assert_refused(r"row \d+ holds 1\.\d+", fit, X, 2 * SOFT)
    assert_refused(r"y should be a 1d array .* got .* \(90, 3\)", fit, X, 2 + SEVERAL)
    assert_refused("class_weight needs one class a row", make(class_weight={0: 2}).fit, X, SEVERAL)
    assert_refused("^validation_fraction=0.1 of 9 .*: at least 2 rows are needed", stopped.fit, X[:9], np.arange(9) % 3)
    assert_refused("sample_weight leaves no weight above zero", stopped.fit, X, Y, np.arange(N) < 2)


def test_sparse_labels_that_are_broken_are_refused_before_they_are_converted():
    broken, fitted = sparse.csc_array(SEVERAL), make().fit(X, SEVERAL)
    broken.indices[3] = 100_000_000
    for method, given in ((make().fit, {}), (make().partial_fit, {"classes": CLASSES}), (fitted.score, {})):
        assert_refused("^y is a broken CSC matrix", method, X, broken, **given)
    assert_refused("^y_val is a broken CSC matrix", make().fit, X, SEVERAL, X_val=X, y_val=broken)


def test_another_kind_of_target_is_refused_where_training_goes_on():
    warm, several = make(warm_start=True).fit(X, Y), make().fit(X, SEVERAL)
    two, soft = make(warm_start=True).fit(X, Y % 2), make().partial_fit(X, SOFT, classes=CLASSES)
    halves, ones = np.full((N, 2), 0.5), np.ones((N, 3), int)
    assert_refused("y must be of the kind of the last training", warm.fit, X, SEVERAL)
    assert_refused(r"same classes .* Previously got \[0 1 2\], `y` has \[1 2 3\]", warm.fit, X, Y + 1)
    assert_refused("features", warm.fit, X[:, :2], Y)
    assert_refused("kind of the last training, class, got 'soft'", two.fit, X, halves)
    assert_refused("y must be of the kind", several.partial_fit, X, Y)
    assert_refused("y must have a column for each of 3 classes, got 2", several.partial_fit, X, SEVERAL[:, :2])
    assert_refused("y_val must be of the kind of y, multilabel, got 'class'", several.fit, X, SEVERAL, X_val=X, y_val=Y)
    assert_refused("kind of the last training, soft, got 'multilabel'", soft.partial_fit, X, ones)


@pytest.mark.parametrize(
    ("parameters", "y", "classes", "message"),
    [
        ({}, Y, None, "classes must be passed on the first call"),
        ({}, Y, [0], "classes must hold at least 2 classes, got only one class"),
        ({"early_stopping": True}, Y, CLASSES, "partial_fit does not support early_stopping=True"),
        ({"class_weight": "balanced"}, Y, CLASSES, 'class_weight="balanced" is not supported for partial_fit'),
        ({"batch_norm": "input"}, Y[:1], CLASSES, "batch_norm='input' needs at least 2 rows to train on, got 1"),
    ],
)
def test_first_calls_of_partial_fit_that_are_refused(parameters, y, classes, message):
    assert_refused(message, make(**parameters).partial_fit, X[: len(y)], y, classes=classes)


def test_later_calls_of_partial_fit_that_are_refused_change_nothing():
    model = make().partial_fit(X, Y, classes=CLASSES)
    for message, rows, y, more in (
        ("classes", X, Y, {"classes": [0, 1]}),
        ("features", X[:, :2], Y, {}),
        ("NaN", np.where(X > 1, np.nan, X), Y, {}),
        ("weight", X, Y, {"sample_weight": np.zeros(N)}),
        ("samples", X, Y[:-1], {}),
        (r"^y must hold classes of \[0 1 2\] only, got \[3\]", X, Y + 1, {}),
    ):
        assert_refused(message, model.partial_fit, rows, y, **more)
    assert_same_bits(model.partial_fit(X, Y), make().partial_fit(X, Y, classes=CLASSES).partial_fit(X, Y))
