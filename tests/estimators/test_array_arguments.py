"""Array arguments in every container and type: equal values give equal results."""

from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import assert_raises
from linear_models import make_cv_model
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

import fastlin
from fastlin import FirthLogisticRegression, LogisticRegression, MiniBatchLogisticRegression, MLPClassifier
from fastlin.blocks import from_arrays, from_batches, from_csr

GENERATOR = np.random.default_rng(0)
N = 40
X = GENERATOR.integers(0, [5, 5, 2], (N, 3)).astype(float)
PROBABILITIES = 1 / (1 + np.exp(2 - X[:, 0]))
Y = (GENERATOR.random(N) < PROBABILITIES) * 1
SOFT_LABELS = np.column_stack([1 - PROBABILITIES, PROBABILITIES])
INDICATORS = GENERATOR.integers(0, 2, N)
polars, arrow = partial(pytest.importorskip, "polars"), partial(pytest.importorskip, "pyarrow")


def make_read_only(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


def save(array, tmp_path):
    np.save(tmp_path / "array.npy", array)
    return np.load(tmp_path / "array.npy", mmap_mode="r")


def make_series(dtype):
    return lambda array, _: pd.Series(array).astype(arrow() and dtype if "pyarrow" in dtype else dtype)


def make_dataframe(array):
    return pd.DataFrame(array).rename(columns=lambda j: f"x{j}")


def narrow(column):
    kinds = [kind for kind in (bool, "int32", "float64") if (column.astype(kind) == column).all()]
    return column.astype(kinds[0])


# Containers for columns of zeros and ones, which every type can represent; one container per conversion.
COLUMN_CONVERTERS = {
    "list": lambda array, _: array.tolist(),
    "read-only": lambda array, _: make_read_only(array),
    "read-only floats": lambda array, _: make_read_only(array.astype(float)),
    "memory-mapped": save,
    "memory-mapped floats": lambda array, tmp_path: save(array.astype(float), tmp_path),
    "strided": lambda array, _: np.repeat(array.astype(float), 2)[::2],
    "Int64": make_series("Int64"),
    "Float32": make_series("Float32"),
    "boolean": make_series("boolean"),
    "category": make_series("category"),
    "int64[pyarrow]": make_series("int64[pyarrow]"),
    "polars Int64": lambda array, _: polars().Series(array).cast(polars().Int64),
    "polars Boolean": lambda array, _: polars().Series(array).cast(polars().Boolean),
    "chunked bool": lambda array, _: arrow().chunked_array([array[:7] == 1, array[7:] == 1]),
    "pandas' sparse": lambda array, _: pd.Series(pd.arrays.SparseArray(array)),
    "longdouble": lambda array, _: array.astype("g"),
}
TABLE_CONVERTERS = {
    "list": lambda array, _: array.tolist(),
    "read-only": lambda array, _: make_read_only(array),
    "memory-mapped": save,
    "strided": lambda array, _: np.repeat(array, 2, axis=0)[::2],
    "Fortran order": lambda array, _: np.asfortranarray(array),
    "big-endian": lambda array, _: array.astype(">f8"),
    "float64": lambda array, _: make_dataframe(array),
    "several types": lambda array, _: make_dataframe(array).apply(narrow),
    "sparse": lambda array, _: make_dataframe(array).astype(pd.SparseDtype(float, 0.0)),
    "objects": lambda array, _: make_dataframe(array).astype(object),
    "numbers as names": lambda array, _: pd.DataFrame(array),
    "Float64": lambda array, _: make_dataframe(array).astype("Float64"),
    "double[pyarrow]": lambda array, _: make_dataframe(array).astype(arrow() and "double[pyarrow]"),
    "polars": lambda array, _: polars().from_numpy(array),
    "arrow": lambda array, _: arrow().table({f"x{j}": x for j, x in enumerate(array.T)}),
}
EPOCHS = {"max_iter": 2, "n_iter_no_change": np.inf, "random_state": 0}
model, steps = LogisticRegression, partial(MiniBatchLogisticRegression, **EPOCHS)
network = partial(MLPClassifier, (2,), **EPOCHS)


def fit_group_folds(groups):
    with sklearn.config_context(enable_metadata_routing=True):
        return make_cv_model(cv=GroupKFold(2), Cs=2).fit(X, Y, groups=groups)


@cache
def fitted(estimator):
    return estimator().fit(X, Y)


def make_fit_call(estimator, method="fit", **defaults):
    """Return a function that fits a clone; the function's keywords replace X, Y or parameters of the estimator."""

    def call(**arguments):
        arguments, copy = {"X": X, "y": Y, **defaults, **arguments}, clone(estimator)
        copy.set_params(**{name: arguments.pop(name) for name in arguments.keys() & copy.get_params()})
        return getattr(copy, method)(**arguments)

    return call


def make_method_call(estimator, method, **defaults):
    return lambda **arguments: getattr(fitted(estimator), method)(**{"X": X, **defaults, **arguments})


def make_inference_call(estimator, **defaults):
    """Return a function that calls `inference` after a fit with the same weights and offset."""

    def call(**arguments):
        fit_arguments = {name: arguments[name] for name in ("sample_weight", "offset") if name in arguments}
        return clone(estimator).fit(X, Y, **fit_arguments).inference(**{"X": X, "y": Y, **defaults, **arguments})

    return call


UNPENALIZED_MODEL = model(C=np.inf)
CSR_ROWS, CONTRASTS = sparse.csr_array(X), np.eye(3, 4)
GRID_SEARCH = GridSearchCV(model(), {"C": [1, 2]}, cv=2, error_score="raise")
BOOTSTRAP_ARGUMENTS = {"y": Y, "n_resamples": 2, "random_state": 0}
VALIDATION_ARGUMENTS = {
    "X_val": X,
    "y_val": Y,
    "sample_weight_val": INDICATORS,
    "offset": INDICATORS,
    "offset_val": INDICATORS,
}
VALIDATION_ARGUMENT_NAMES = ", ".join(["sample_weight", *VALIDATION_ARGUMENTS, "y_val of probabilities"])
LABEL_ARGUMENT_NAMES, WEIGHTED_ARGUMENT_NAMES, ROW_ARGUMENT_NAMES = (
    "y, sample_weight",
    "X, y, sample_weight",
    "X, y, sample_weight, offset",
)
# Calls and their arguments; each argument is passed in every container.
ESTIMATOR_CALLS = {
    "fit": (make_fit_call(model()), ROW_ARGUMENT_NAMES),
    "parameters": (make_fit_call(model()), "penalty_factors, lower_bounds, upper_bounds, lower_bounds of coefficients"),
    "a start": (make_fit_call(model(tol=1.0)), "coef_init, intercept_init"),
    "L1": (make_fit_call(model(l1_ratio=1)), "X"),
    "balanced classes": (make_fit_call(model(class_weight="balanced")), "sample_weight"),
    "weighted classes of soft labels": (make_fit_call(model(class_weight={0: 2}), y=SOFT_LABELS), "sample_weight"),
    "blocks": (make_fit_call(model(), X=from_arrays(X)), "y, sample_weight, offset"),
    "blocks of arrays": (
        lambda y=Y, sample_weight=None: model().fit(from_arrays(X, y, sample_weight)),
        LABEL_ARGUMENT_NAMES,
    ),
    "blocks of CSR": (
        lambda y=Y, sample_weight=None: model().fit(from_csr(CSR_ROWS, y, sample_weight)),
        LABEL_ARGUMENT_NAMES,
    ),
    "batches": (
        lambda y=Y, sample_weight=INDICATORS: model().fit(from_batches(lambda: [(X, y, sample_weight)])),
        LABEL_ARGUMENT_NAMES,
    ),
    "predictions": (make_method_call(model, "predict_proba"), "X, offset"),
    "score": (make_method_call(model, "score", y=Y), "y, sample_weight, offset"),
    "score of soft labels": (make_method_call(model, "score", y=SOFT_LABELS), "sample_weight"),
    "cross-validation": (make_fit_call(make_cv_model(cv=2, Cs=2)), WEIGHTED_ARGUMENT_NAMES + ", penalty_factors"),
    "validation set": (make_fit_call(make_cv_model(Cs=2), **VALIDATION_ARGUMENTS), VALIDATION_ARGUMENT_NAMES),
    "path": (lambda **arguments: fastlin.logistic_path(**{"X": X, "y": Y, "Cs": 2, **arguments}), ROW_ARGUMENT_NAMES),
    "path within": (
        lambda **arguments: fastlin.logistic_path(X, Y, Cs=2, **arguments),
        "penalty_factors, upper_bounds",
    ),
    "inference": (make_inference_call(UNPENALIZED_MODEL), ROW_ARGUMENT_NAMES),
    "HC1": (make_inference_call(UNPENALIZED_MODEL, covariance="HC1"), "sample_weight"),
    "clusters": (make_inference_call(UNPENALIZED_MODEL, covariance="cluster"), "clusters, clusters of two kinds"),
    "hypothesis": (lambda R=CONTRASTS, r=None: make_inference_call(UNPENALIZED_MODEL)().wald_test(R, r), "R, r"),
    "bootstrap": (make_method_call(model, "bootstrap", **BOOTSTRAP_ARGUMENTS), ROW_ARGUMENT_NAMES + ", clusters"),
    "Firth": (make_fit_call(FirthLogisticRegression()), ROW_ARGUMENT_NAMES),
    "Firth's inference": (make_inference_call(FirthLogisticRegression()), LABEL_ARGUMENT_NAMES),
    "Firth's bootstrap": (
        make_method_call(FirthLogisticRegression, "bootstrap", **BOOTSTRAP_ARGUMENTS),
        "sample_weight",
    ),
    "steps": (make_fit_call(steps()), WEIGHTED_ARGUMENT_NAMES),
    "steps, validation": (make_fit_call(steps(early_stopping=True), X_val=X), "y_val"),
    "score of steps": (make_method_call(steps, "score", y=Y), "sample_weight"),
    "partial_fit of steps": (make_fit_call(steps(), "partial_fit", classes=[0, 1]), WEIGHTED_ARGUMENT_NAMES),
    "batched": (
        lambda X=X, y=Y, sample_weight=INDICATORS: steps().fit_batches([(X, y, sample_weight)], [0, 1]),
        WEIGHTED_ARGUMENT_NAMES,
    ),
    "network": (make_fit_call(network()), WEIGHTED_ARGUMENT_NAMES),
    "network by lbfgs": (make_fit_call(network(solver="lbfgs", tol=1e3)), "sample_weight"),
    "network, validation": (make_fit_call(network(early_stopping=True), X_val=X, y_val=Y), "X_val, y_val"),
    "network, soft validation": (
        make_fit_call(network(early_stopping=True), y=SOFT_LABELS, X_val=X),
        "y_val of probabilities",
    ),
    "partial_fit of a network": (make_fit_call(network(), "partial_fit", classes=[0, 1]), LABEL_ARGUMENT_NAMES),
    "predictions of a network": (make_method_call(network, "predict_proba"), "X"),
    "score of a network": (make_method_call(network, "score", y=Y), LABEL_ARGUMENT_NAMES),
    "search": (make_fit_call(GRID_SEARCH), LABEL_ARGUMENT_NAMES),
    "grouped search": (lambda groups: cross_val_score(model(), X, Y, groups=groups, cv=GroupKFold(2)), "groups"),
    "groups": (fit_group_folds, "groups"),
}
# Calls that accept soft labels as y.
SOFT_LABEL_CALLS = "fit", "blocks", "score", "cross-validation", "path", "bootstrap", "steps", "network"
ARGUMENT_VALUES = {
    **dict.fromkeys(("X", "X_val"), X),
    **dict.fromkeys(("y", "y_val"), Y),
    **dict.fromkeys(("y of probabilities", "y_val of probabilities"), SOFT_LABELS),
    **dict.fromkeys(("sample_weight", "sample_weight_val", "offset", "offset_val", "clusters", "groups"), INDICATORS),
    **dict.fromkeys(("penalty_factors", "lower_bounds", "upper_bounds", "r"), np.array([1, 0, 1])),
    **dict.fromkeys(("coef_init", "lower_bounds of coefficients"), np.array([[1.0, 0, 1]])),
    "intercept_init": np.ones(1),
    "R": CONTRASTS,
    "clusters of two kinds": np.column_stack([np.arange(N) // 4, np.arange(N) % 10]).astype(float),
}
STRING_TYPES = {
    "strings": lambda labels: pd.Series(labels, dtype="string"),
    "objects": lambda labels: make_read_only(labels.astype(object)),
    "category": lambda labels: pd.Series(labels, dtype="category"),
    "polars": lambda labels: polars().Series(labels),
    "Enum": lambda labels: polars().Series(labels).cast(polars().Enum(["no", "yes"])),
    "arrow": lambda labels: arrow().array(labels),
    "dictionary": lambda labels: arrow().array(labels).dictionary_encode(),
    "chunks": lambda labels: arrow().chunked_array([labels[:7], labels[7:]]),
}


def collect_numbers(result):
    """Return the numbers in a result, for example the coefficients of a model."""
    result = getattr(result, "best_estimator_", result)
    for name in ("coef_", "coefs", "coef", "std_errors", "statistic"):
        if hasattr(result, name):
            return getattr(result, name)
    return np.concatenate([coef.ravel() for coef in result.coefs_]) if hasattr(result, "coefs_") else result


# Some models are fitted to arrays, which have no feature names.
@pytest.mark.filterwarnings("ignore:X has feature names", "ignore:pandas.DataFrame with sparse columns")
@pytest.mark.parametrize("argument", ARGUMENT_VALUES)
def test_arguments_in_any_container_give_the_same_result(argument, tmp_path):
    array, name, failures = ARGUMENT_VALUES[argument], argument.split()[0], []
    tested_calls = {
        what: call for what, (call, arguments) in ESTIMATOR_CALLS.items() if argument in arguments.split(", ")
    }
    if argument == "y of probabilities":
        tested_calls = {what: ESTIMATOR_CALLS[what][0] for what in SOFT_LABEL_CALLS}
    assert tested_calls
    for what, call in tested_calls.items():
        expected = collect_numbers(call(**{name: array}))
        for container, make in (TABLE_CONVERTERS if array.ndim == 2 else COLUMN_CONVERTERS).items():
            try:
                value = make(array, tmp_path)
            except pytest.skip.Exception:
                continue
            before = np.array(value)
            try:
                np.testing.assert_allclose(collect_numbers(call(**{name: value})), expected, rtol=1e-6, atol=1e-9)
                np.testing.assert_array_equal(np.asarray(value), before)
            except Exception as error:
                failures.append(f"{what}, {container}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("kind", STRING_TYPES)
def test_labels_are_strings_of_every_type(kind):
    y = np.array(["no", "yes"])[Y]
    expected = model().fit(X, Y)
    for estimator in (model(), make_cv_model(Cs=[1.0], cv=2), steps(), network(), FirthLogisticRegression()):
        actual = estimator.fit(X, STRING_TYPES[kind](y))
        assert actual.classes_.tolist() == ["no", "yes"]
        assert set(actual.predict(X)) == {"no", "yes"}
    np.testing.assert_array_equal(model().fit(X, STRING_TYPES[kind](y)).coef_, expected.coef_)


@pytest.mark.parametrize(
    "weights", [["a"] * N, pd.Series(pd.period_range("2020", periods=N)), [{}] * N], ids=["text", "periods", "dicts"]
)
def test_weights_that_are_not_numbers_raise_an_error_that_names_them(weights):
    for estimator in (model(), make_cv_model(cv=2), steps(), network(), FirthLogisticRegression()):
        assert_raises("^sample_weight: ", estimator.fit, X, Y, weights, error=(TypeError, ValueError))
    with pytest.raises((TypeError, ValueError), match=r"^sample_weight: "):
        fastlin.logistic_path(X, Y, sample_weight=weights)


def test_arrays_with_masked_entries_raise_an_error():
    mask = np.arange(N) == 3
    rows, labels, numbers = np.ma.array(X, mask=X > 1), np.ma.array(Y, mask=mask), np.ma.array(INDICATORS, mask=mask)
    features = np.ma.array(np.zeros(3), mask=[True, False, False])
    arguments = {"X": rows, "y": labels, "sample_weight": numbers, "offset": numbers, "coef_init": features[None]}
    arguments |= dict.fromkeys(("lower_bounds", "upper_bounds", "penalty_factors"), features)
    cases = [(name, array, make_fit_call(model())) for name, array in arguments.items()]
    cases += [
        ("X", rows, make_method_call(model, "predict")),
        ("clusters", numbers, make_inference_call(UNPENALIZED_MODEL, covariance="cluster")),
    ]
    for name, array, call in cases:
        assert_raises(rf"\b{name} is a masked array with masked entries", call, **{name: array})
    # A masked array without masked entries is valid.
    np.testing.assert_array_equal(model().fit(np.ma.array(X), Y).coef_, model().fit(X, Y).coef_)
