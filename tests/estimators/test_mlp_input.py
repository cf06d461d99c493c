"""Input of MLPClassifier: data and labels of every kind, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from conftest import assert_refused
from scipy import sparse
from sklearn.exceptions import DataConversionWarning
from small_networks import assert_same_bits, make, make_data

X, Y = make_data()


def test_validation_data_have_the_names_of_the_data():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = make().fit(frame, Y, X_val=frame, y_val=pd.Series(Y))
    assert_same_bits(model, make().fit(X, Y, X_val=X, y_val=Y))
    with pytest.raises(ValueError, match="feature names"):
        make().fit(frame, Y, X_val=frame[list("fedcba")], y_val=Y)


@pytest.mark.parametrize("parameters", [{}, {"dtype": "float64", "shuffle": False, "batch_norm": "both"}], ids=str)
def test_any_type_of_data_gives_the_same_bits(parameters):
    whole = np.random.default_rng(0).integers(0, 5, (90, 6))
    X = whole.astype(parameters.get("dtype", "float32"))
    forms = {
        **{name: whole.astype(name) for name in ("float64", "float32", "float16", "uint8", "int8", "int64")},
        "Fortran": np.asfortranarray(X),
        "CSR": sparse.csr_array(X),
        "CSC": sparse.csc_matrix(X),
        "COO": sparse.coo_array(whole),
    }
    expected = make(**parameters).fit(X, Y, X_val=X, y_val=Y)
    for name, form in forms.items():
        found = make(**parameters).fit(form, Y, X_val=form, y_val=Y)
        assert found.validation_loss_curve_ == expected.validation_loss_curve_, name
        assert_same_bits(found, expected)
        np.testing.assert_array_equal(found.predict_proba(form), expected.predict_proba(X), name)


X_VAL, Y_VAL = X[:10], Y[:10]
NAN, INFINITE = (np.where(X_VAL == X_VAL.max(), value, X_VAL) for value in (np.nan, np.inf))
# CSC, which scikit-learn would convert.
BROKEN = sparse.csc_array(X_VAL)
BROKEN.indices[0] = 77


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
        (BROKEN, Y_VAL, "X_val must be rows .*: X is a broken CSC matrix"),
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
