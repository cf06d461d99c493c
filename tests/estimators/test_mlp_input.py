"""Input of MLPClassifier: data and labels of every kind, and what is refused."""

import copy

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import DataConversionWarning
from small_networks import assert_same_bits, assert_unchanged, differ, make, make_data


@pytest.mark.parametrize(
    ("labels", "n_classes"),
    [(["a", "b", "c"], 3), ([10, -5, 3], 3), ([0.0, 1.0], 2), (np.array(["x", "yy"], object), 2), ([False, True], 2)],
)
def test_labels_of_any_kind_are_kept(labels, n_classes):
    X, y = make_data(n_classes)
    named = np.asarray(labels)[y]
    model = make(max_iter=30).fit(X, named)
    np.testing.assert_array_equal(model.classes_, np.unique(named))
    assert model.predict(X).dtype == named.dtype
    assert model.score(X, named) > 0.7
    again = make(max_iter=30).partial_fit(X, named, classes=np.unique(named)[::-1])
    np.testing.assert_array_equal(again.classes_, model.classes_)


def test_validation_data_have_the_names_of_the_data():
    X, y = make_data()
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = make().fit(frame, y, X_val=frame, y_val=pd.Series(y))
    assert_same_bits(model, make().fit(X, y, X_val=X, y_val=y))
    with pytest.raises(ValueError, match="feature names"):
        make().fit(frame, y, X_val=frame[list("fedcba")], y_val=y)


@pytest.mark.parametrize(
    ("dtype", "parameters"), [("float32", {}), ("float64", {"shuffle": False, "batch_norm": "both"})]
)
def test_any_type_of_data_gives_the_same_bits(dtype, parameters):
    whole = np.random.default_rng(0).integers(0, 5, (90, 6))
    y = make_data()[1]
    X = whole.astype(dtype)
    forms = {
        **{name: whole.astype(name) for name in ("float64", "float32", "float16", "uint8", "int8", "int64")},
        "Fortran": np.asfortranarray(X),
        "CSR": sparse.csr_array(X),
        "CSC": sparse.csc_matrix(X),
        "COO": sparse.coo_array(whole),
    }
    expected = make(dtype=dtype, **parameters).fit(X, y, X_val=X, y_val=y)
    for name, form in forms.items():
        found = make(dtype=dtype, **parameters).fit(form, y, X_val=form, y_val=y)
        assert found.loss_curve_ == expected.loss_curve_, name
        assert found.validation_loss_curve_ == expected.validation_loss_curve_, name
        assert_same_bits(found, expected)
        np.testing.assert_array_equal(found.predict_proba(form), expected.predict_proba(X), name)


def test_bad_validation_data_are_refused_and_the_estimator_stays_as_it_was():
    X, y = make_data(2, n=40, d=3)
    X_val, y_val = X[:10], y[:10]
    damaged, infinite, broken = X_val.copy(), X_val.copy(), sparse.csc_array(X_val)
    damaged[0, 0], infinite[0, 0] = np.nan, np.inf
    # CSC, which scikit-learn would convert.
    broken.indices[0] = 77
    for given, message in (
        ({"X_val": damaged, "y_val": y_val}, "X_val must be rows of finite numbers .*: Input X contains NaN"),
        ({"X_val": infinite, "y_val": y_val}, "X_val must be rows of finite numbers .*: Input X contains infinity"),
        ({"X_val": X_val, "y_val": np.full(10, np.nan)}, ".*y_val contains NaN"),
        ({"X_val": X_val}, "X_val and y_val must be given together, got only X_val"),
        ({"y_val": y_val}, "X_val and y_val must be given together, got only y_val"),
        ({"X_val": X_val, "y_val": y_val[:-1]}, ".*y_val has 9 entries, but X_val has 10 rows"),
        ({"X_val": X_val[:, :2], "y_val": y_val}, "X_val must be rows .* X has 2 features, but MLPClassifier is .* 3"),
        ({"X_val": X_val[:, 0], "y_val": y_val}, "X_val must be rows .*: Expected 2D array"),
        ({"X_val": X[:0], "y_val": y[:0]}, "X_val must be rows .*0 sample"),
        ({"X_val": X_val, "y_val": y_val + 1}, r"y_val must hold classes of \[0 1\] only, got \[2\]"),
        ({"X_val": X_val, "y_val": y_val.astype(str)}, "y_val must hold classes"),
        ({"X_val": broken, "y_val": y_val}, "X_val must be rows .*: X is a broken CSC matrix"),
    ):
        for model in (make(), make().fit(*make_data(3, d=5))):
            before = dict(vars(model))
            with pytest.raises(ValueError, match=f"^{message}"):
                model.fit(X, y, **given)
            assert_unchanged(model, before)
    several = "y must hold one class a row, probabilities of the classes or zeros and ones, got multiclass-multioutput"
    with pytest.raises(ValueError, match=several):
        make().fit(X, np.column_stack([y, y + 1]))


def test_a_refused_partial_fit_leaves_the_estimator_as_it_was():
    X, y = make_data(2, n=40, d=3)
    ones = np.ones(40)
    for rows, labels, weights, message in (
        (np.where(X > 1, np.nan, X), y, ones, "NaN"),
        (X, y, np.where(y, np.nan, 1), "NaN"),
        (X, y[:-1], ones, "samples"),
        (X, y, 0 * ones, "weight"),
        (X, y + 1, ones, "y must hold classes of"),
    ):
        model = make().partial_fit(X, y, classes=[0, 1])
        before = dict(vars(model))
        with pytest.raises(ValueError, match=message):
            model.partial_fit(rows, labels, sample_weight=weights)
        assert_unchanged(model, before)
    assert_same_bits(model.partial_fit(X, y), make().partial_fit(X, y, classes=[0, 1]).partial_fit(X, y))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (3, 0)}, r"^hidden_layer_sizes must be whole numbers > 0, got \(3, 0\)"),
        ({"hidden_layer_sizes": (3, 2.5)}, "^hidden_layer_sizes must be whole numbers > 0"),
        ({"hidden_layer_sizes": [[3]]}, "^hidden_layer_sizes must be whole numbers > 0"),
        (
            {"early_stopping": True, "validation_fraction": 0.01},
            "^validation_fraction=0.01 of 40 rows cannot be set aside .* X_val and y_val",
        ),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_the_data_are_named(parameters, message):
    model = make(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(*make_data(2, n=40, d=3))
    assert not hasattr(model, "coefs_")
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize(("parameters", "n_rows"), [({}, 40), ({"early_stopping": True}, 36)])
def test_a_batch_of_more_rows_than_there_are_has_all_rows(parameters, n_rows):
    X, y = make_data(n=40)
    with pytest.warns(UserWarning, match=f"clipped to the {n_rows} rows"):
        model = make(batch_size=n_rows + 1, **parameters).fit(X, y)
    assert model.loss_curve_ == make(batch_size=n_rows, **parameters).fit(X, y).loss_curve_


def test_another_solver_begins_with_nothing_and_so_does_an_older_pickle():
    X, y = make_data()
    model = make(max_iter=1).partial_fit(X, y, classes=np.unique(y))
    older = copy.deepcopy(model)
    # The versions before this attribute.
    del older._optimizer
    trained = {}
    for solver in ("sgd", "adam"):
        pair = [copy.deepcopy(each).set_params(solver=solver).partial_fit(X, y) for each in (model, older)]
        trained[solver] = not differ(*pair)
    assert trained == {"sgd": False, "adam": True}


def test_what_partial_fit_refuses():
    X, y = make_data(3)
    for parameters, arguments, message in (
        ({"early_stopping": True}, {"classes": [0, 1, 2]}, "partial_fit does not support early_stopping=True"),
        ({}, {}, "classes must be passed on the first call"),
        ({}, {"classes": [0]}, "classes must hold at least 2 classes, got only one class"),
        ({}, {"classes": [0, 1]}, r"^y must hold classes of \[0 1\] only, got \[2\]"),
    ):
        model = make(**parameters)
        with pytest.raises(ValueError, match=message):
            model.partial_fit(X, y, **arguments)
        assert not hasattr(model, "classes_")
    model = make().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="classes"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :2], y)


def test_a_warm_start_needs_the_same_data():
    X, y = make_data(3)
    model = make(warm_start=True).fit(X, y)
    with pytest.raises(
        ValueError, match=r"same classes as in the previous call to fit. Previously got \[0 1 2\], `y` has \[1 2 3\]"
    ):
        model.fit(X, y + 1)
    with pytest.raises(ValueError, match="features"):
        model.fit(X[:, :2], y)


def test_early_stopping_needs_two_rows_to_validate_on():
    X, _ = make_data(3)
    with pytest.raises(
        ValueError, match=r"^validation_fraction=0.1 of 9 rows .* X_val and y_val \(at least 2 rows are needed"
    ):
        make(early_stopping=True, batch_size="auto").fit(X[:9], np.arange(9) % 3)


def test_weights_must_reach_both_parts_of_early_stopping():
    X, y = make_data(3)
    weights = np.zeros(len(y))
    weights[:2] = 1
    with pytest.raises(ValueError, match="sample_weight leaves no weight above zero"):
        make(early_stopping=True).fit(X, y, weights)


def test_a_column_of_labels_is_taken_with_a_warning():
    X, y = make_data()
    with pytest.warns(DataConversionWarning):
        model = make().fit(X, y[:, np.newaxis])
    assert_same_bits(model, make().fit(X, y))
    with pytest.warns(DataConversionWarning):
        make().fit(X, y, X_val=X, y_val=y[:, np.newaxis])
