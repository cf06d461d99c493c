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
    [(["a", "b", "c"], 3), ([10, -5, 3], 3), ([0.0, 1.0], 2), (np.array(["x", "yy"], object), 2)],
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


def test_bool_labels():
    X, y = make_data(2)
    model = make(max_iter=20).fit(X, y == 1)
    assert model.classes_.dtype == model.predict(X).dtype == bool
    np.testing.assert_array_equal(model.predict(X), make(max_iter=20).fit(X, y).predict(X) == 1)


def test_data_frames_are_remembered_by_name():
    X, y = make_data()
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = make().fit(frame, y, X_val=frame, y_val=pd.Series(y))
    assert_same_bits(model, make().fit(X, y, X_val=X, y_val=y))
    np.testing.assert_array_equal(model.feature_names_in_, list("abcdef"))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("fedcba")])
    with pytest.raises(ValueError, match="feature names"):
        make().fit(frame, y, X_val=frame[list("fedcba")], y_val=y)


@pytest.mark.parametrize(
    ("dtype", "parameters"), [("float32", {}), ("float64", {"shuffle": False, "batch_norm": "both"})]
)
def test_any_form_of_data_gives_the_same_bits(tmp_path, dtype, parameters):
    whole = np.random.default_rng(0).integers(0, 5, (90, 6))
    y = make_data()[1]
    X = whole.astype(dtype)
    np.save(tmp_path / "X.npy", X)
    read_only = X.copy()
    read_only.flags.writeable = False
    forms = {
        **{name: whole.astype(name) for name in ("float64", "float32", "float16", "uint8", "int8", "int64")},
        "Fortran": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=0)[::2],
        "big-endian": X.astype(">f8"),
        "lists": X.tolist(),
        "read-only": read_only,
        "memory-mapped": np.load(tmp_path / "X.npy", mmap_mode="r"),
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


def test_the_callers_arrays_stay_as_they_are():
    X, y = make_data()
    data = X, y, np.full(len(y), 2.0), X[:20].copy(), y[:20].copy()
    copies = [array.copy() for array in data]
    for parameters in ({}, {"batch_norm": "both", "dropout": 0.2, "shuffle": False, "dtype": "float64"}):
        model = make(**parameters).fit(data[0], data[1], data[2], X_val=data[3], y_val=data[4])
        model.partial_fit(*data[:2], sample_weight=data[2])
        model.predict_proba(X)
        for array, kept in zip(data, copies, strict=True):
            np.testing.assert_array_equal(array, kept)


def bad_input(name):
    """Return the arguments of a fit, one of which is wrong."""
    X, y = make_data(2, n=40, d=3)
    data = {"X": X, "y": y, "sample_weight": np.ones(40), "X_val": X[:10].copy(), "y_val": y[:10].copy()}
    match name:
        case "NaN in X":
            X[3, 1] = np.nan
        case "infinity in X":
            X[3, 1] = np.inf
        case "NaN in sparse X":
            X[3, 1] = np.nan
            data["X"] = sparse.csr_array(X)
        case "NaN in y":
            data["y"] = np.where(y == 1, np.nan, 0.0)
        case "NaN in weights":
            data["sample_weight"][2] = np.nan
        case "negative weight":
            data["sample_weight"][2] = -1
        case "all weights zero":
            data["sample_weight"][:] = 0
        case "short weights":
            data["sample_weight"] = np.ones(39)
        case "short y":
            data["y"] = y[:-1]
        case "1-D X":
            data["X"] = X[:, 0]
        case "no rows":
            data.update(X=X[:0], y=y[:0], sample_weight=np.ones(0))
        case "no columns":
            data["X"] = X[:, :0]
        case "complex X":
            data["X"] = X + 1j
        case "continuous y":
            data["y"] = y + 0.3 * X[:, 0]
        case "two columns of y":
            data["y"] = np.column_stack([y, y + 1])
        case "NaN in X_val":
            data["X_val"][0, 0] = np.nan
        case "infinity in X_val":
            data["X_val"][0, 0] = np.inf
        case "NaN in y_val":
            data["y_val"] = np.full(10, np.nan)
        case "X_val alone":
            del data["y_val"]
        case "y_val alone":
            del data["X_val"]
        case "short y_val":
            data["y_val"] = data["y_val"][:-1]
        case "columns of X_val":
            data["X_val"] = data["X_val"][:, :2]
        case "1-D X_val":
            data["X_val"] = data["X_val"][:, 0]
        case "no rows in X_val":
            data.update(X_val=X[:0], y_val=y[:0])
        case "labels of y_val":
            data["y_val"] = data["y_val"] + 1
        case "type of y_val":
            data["y_val"] = data["y_val"].astype(str)
        case "broken X_val":
            # CSC, which scikit-learn would convert.
            data["X_val"] = sparse.csc_array(data["X_val"])
            data["X_val"].indices[0] = 77
    return data


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NaN in X", "^Input X contains NaN"),
        ("infinity in X", "^Input X contains infinity"),
        ("NaN in sparse X", "X contains NaN"),
        ("NaN in y", "y contains NaN"),
        ("NaN in weights", "sample_weight contains NaN"),
        ("negative weight", "sample_weight"),
        ("all weights zero", "weight.*zero|zero.*weight"),
        ("short weights", "sample_weight.shape"),
        ("short y", "inconsistent numbers of samples"),
        ("1-D X", "Expected 2D array"),
        ("no rows", "0 sample"),
        ("no columns", "0 feature"),
        ("complex X", "[Cc]omplex"),
        ("continuous y", "continuous"),
        (
            "two columns of y",
            "y must hold one class a row, probabilities of the classes or zeros and ones, got multiclass-multioutput",
        ),
        ("NaN in X_val", "^X_val must be rows of finite numbers .*: Input X contains NaN"),
        ("infinity in X_val", "^X_val must be rows of finite numbers .*: Input X contains infinity"),
        ("NaN in y_val", "y_val contains NaN"),
        ("X_val alone", "X_val and y_val must be given together, got only X_val"),
        ("y_val alone", "X_val and y_val must be given together, got only y_val"),
        ("short y_val", "y_val has 9 entries, but X_val has 10 rows"),
        ("columns of X_val", "^X_val must be rows .* columns of X: X has 2 features, but MLPClassifier is expecting 3"),
        ("1-D X_val", "^X_val must be rows .*: Expected 2D array"),
        ("no rows in X_val", "^X_val must be rows .*0 sample"),
        ("labels of y_val", r"^y_val must hold classes of \[0 1\] only, got \[2\]"),
        ("type of y_val", "^y_val must hold classes"),
        ("broken X_val", "^X_val must be rows .*: X is a broken CSC matrix"),
    ],
)
def test_bad_input_is_refused_and_the_estimator_stays_as_it_was(name, message):
    for model in (make(), make().fit(*make_data(3, d=5))):
        before = dict(vars(model))
        with pytest.raises((ValueError, TypeError), match=message):
            model.fit(**bad_input(name))
        assert_unchanged(model, before)


@pytest.mark.parametrize("name", ["NaN in X", "NaN in weights", "short y", "all weights zero", "labels"])
def test_a_refused_partial_fit_leaves_the_estimator_as_it_was(name):
    X, y = make_data(2, n=40, d=3)
    model = make().partial_fit(X, y, classes=[0, 1])
    before = dict(vars(model))
    wrong = bad_input(name)
    with pytest.raises(ValueError, match="y must hold classes of" if name == "labels" else "NaN|samples|weight"):
        model.partial_fit(wrong["X"], y + 1 if name == "labels" else wrong["y"], sample_weight=wrong["sample_weight"])
    assert_unchanged(model, before)
    assert_same_bits(model.partial_fit(X, y), make().partial_fit(X, y, classes=[0, 1]).partial_fit(X, y))


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "hidden_layer_sizes": [0, -3, 2.5, "5"],
        "batch_size": [0, 2.5, "all"],
        "momentum": [1, -0.1, np.nan],
        "beta_1": [1, -0.1, np.nan],
        "beta_2": [1, -0.1, np.nan],
        "epsilon": [0, -1e-8, np.nan],
        "dropout": [1.0, -0.1, np.nan],
        "learning_rate_init": [0, -1, np.inf, np.nan],
        "learning_rate_decay": [0, 1.1, np.nan],
        "alpha": [-1, np.inf, np.nan],
        "tol": [-1e-4, np.nan],
        "max_iter": [0, 2.5],
        "solver": ["newton-cg"],
        "learning_rate": ["optimal"],
        "power_t": [-0.5],
        "max_fun": [0, 1.5],
        "weight_decay": [-1e-3],
        "class_weight": ["equal"],
        "activation": ["gelu", None],
        "init": ["zeros"],
        "init_scale": [0, np.inf],
        "dtype": ["float16"],
        "batch_norm": [True, "output"],
        "validation_fraction": [0, 1],
        "n_iter_no_change": [0, 1.5],
        "random_state": ["seed"],
        "shuffle": ["yes"],
        "early_stopping": [2],
        "warm_start": [None],
    }.items(),
)
def test_parameters_out_of_range_are_named(name, values):
    for value in values:
        assert_refused({name: value}, f"'{name}' parameter")


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
    assert_refused(parameters, message)


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


def assert_refused(parameters, message):
    model = make(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(*make_data(2, n=40, d=3))
    assert not hasattr(model, "coefs_")
    assert not hasattr(model, "n_features_in_")


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
