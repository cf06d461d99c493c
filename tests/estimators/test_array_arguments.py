"""Arguments that are arrays, in every container and type that users have: the same numbers give the same bits."""

from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import assert_refused
from linear_models import make_cv
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

import fastlin
from fastlin import FirthLogisticRegression, LogisticRegression, MiniBatchLogisticRegression, MLPClassifier
from fastlin.blocks import from_arrays, from_batches, from_csr

GENERATOR = np.random.default_rng(0)
N = 40
X = GENERATOR.integers(0, [5, 5, 2], (N, 3)).astype(float)
CHANCES = 1 / (1 + np.exp(2 - X[:, 0]))
Y = (GENERATOR.random(N) < CHANCES) * 1
SOFT = np.column_stack([1 - CHANCES, CHANCES])
ONES = GENERATOR.integers(0, 2, N)
polars, arrow = partial(pytest.importorskip, "polars"), partial(pytest.importorskip, "pyarrow")


def read_only(array):
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


# Of zeros and ones, which every type holds: a container of each way in which they are read.
COLUMNS = {
    "list": lambda array, _: array.tolist(),
    "read-only": lambda array, _: read_only(array),
    "read-only floats": lambda array, _: read_only(array.astype(float)),
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
TABLES = {
    "list": lambda array, _: array.tolist(),
    "read-only": lambda array, _: read_only(array),
    "memory-mapped": save,
    "strided": lambda array, _: np.repeat(array, 2, axis=0)[::2],
    "by columns": lambda array, _: np.asfortranarray(array),
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


def fit_by_groups(groups):
    with sklearn.config_context(enable_metadata_routing=True):
        return make_cv(cv=GroupKFold(2), Cs=2).fit(X, Y, groups=groups)


@cache
def fitted(estimator):
    return estimator().fit(X, Y)


def fits(estimator, method="fit", **usual):
    """Return a call of a method that fits; what it is given in place of X and Y may be parameters too."""

    def call(**given):
        given, own = {"X": X, "y": Y, **usual, **given}, clone(estimator)
        own.set_params(**{name: given.pop(name) for name in given.keys() & own.get_params()})
        return getattr(own, method)(**given)

    return call


def asks(estimator, method, **usual):
    return lambda **given: getattr(fitted(estimator), method)(**{"X": X, **usual, **given})


def infers(estimator, **usual):
    """Return a call of `inference` after a fit with the same weights and offset."""

    def call(**given):
        own = {name: given[name] for name in ("sample_weight", "offset") if name in given}
        return clone(estimator).fit(X, Y, **own).inference(**{"X": X, "y": Y, **usual, **given})

    return call


FREE = model(C=np.inf)
CSR, CONTRASTS = sparse.csr_array(X), np.eye(3, 4)
SEARCH = GridSearchCV(model(), {"C": [1, 2]}, cv=2, error_score="raise")
RESAMPLED = {"y": Y, "n_resamples": 2, "random_state": 0}
VALIDATED = {"X_val": X, "y_val": Y, "sample_weight_val": ONES, "offset": ONES, "offset_val": ONES}
VALIDATION = ", ".join(["sample_weight", *VALIDATED, "y_val of probabilities"])
LABELS, WEIGHTED, ROWS = "y, sample_weight", "X, y, sample_weight", "X, y, sample_weight, offset"
# Each call is tried with all containers of each argument that is named beside it.
CALLS = {
    "fit": (fits(model()), ROWS),
    "parameters": (fits(model()), "penalty_factors, lower_bounds, upper_bounds, lower_bounds of coefficients"),
    "a start": (fits(model(tol=1.0)), "coef_init, intercept_init"),
    "L1": (fits(model(l1_ratio=1)), "X"),
    "balanced classes": (fits(model(class_weight="balanced")), "sample_weight"),
    "weighted classes of soft labels": (fits(model(class_weight={0: 2}), y=SOFT), "sample_weight"),
    "blocks": (fits(model(), X=from_arrays(X)), "y, sample_weight, offset"),
    "blocks of arrays": (lambda y=Y, sample_weight=None: model().fit(from_arrays(X, y, sample_weight)), LABELS),
    "blocks of CSR": (lambda y=Y, sample_weight=None: model().fit(from_csr(CSR, y, sample_weight)), LABELS),
    "batches": (lambda y=Y, sample_weight=ONES: model().fit(from_batches(lambda: [(X, y, sample_weight)])), LABELS),
    "predictions": (asks(model, "predict_proba"), "X, offset"),
    "score": (asks(model, "score", y=Y), "y, sample_weight, offset"),
    "score of soft labels": (asks(model, "score", y=SOFT), "sample_weight"),
    "cross-validation": (fits(make_cv(cv=2, Cs=2)), WEIGHTED + ", penalty_factors"),
    "validation set": (fits(make_cv(Cs=2), **VALIDATED), VALIDATION),
    "path": (lambda **given: fastlin.logistic_path(**{"X": X, "y": Y, "Cs": 2, **given}), ROWS),
    "path within": (lambda **given: fastlin.logistic_path(X, Y, Cs=2, **given), "penalty_factors, upper_bounds"),
    "inference": (infers(FREE), ROWS),
    "HC1": (infers(FREE, covariance="HC1"), "sample_weight"),
    "clusters": (infers(FREE, covariance="cluster"), "clusters, clusters of two kinds"),
    "hypothesis": (lambda R=CONTRASTS, r=None: infers(FREE)().wald_test(R, r), "R, r"),
    "bootstrap": (asks(model, "bootstrap", **RESAMPLED), ROWS + ", clusters"),
    "Firth": (fits(FirthLogisticRegression()), ROWS),
    "Firth's inference": (infers(FirthLogisticRegression()), LABELS),
    "Firth's bootstrap": (asks(FirthLogisticRegression, "bootstrap", **RESAMPLED), "sample_weight"),
    "steps": (fits(steps()), WEIGHTED),
    "steps, validation": (fits(steps(early_stopping=True), X_val=X), "y_val"),
    "score of steps": (asks(steps, "score", y=Y), "sample_weight"),
    "partial_fit of steps": (fits(steps(), "partial_fit", classes=[0, 1]), WEIGHTED),
    "batched": (lambda X=X, y=Y, sample_weight=ONES: steps().fit_batches([(X, y, sample_weight)], [0, 1]), WEIGHTED),
    "network": (fits(network()), WEIGHTED),
    "network by lbfgs": (fits(network(solver="lbfgs", tol=1e3)), "sample_weight"),
    "network, validation": (fits(network(early_stopping=True), X_val=X, y_val=Y), "X_val, y_val"),
    "network, soft validation": (fits(network(early_stopping=True), y=SOFT, X_val=X), "y_val of probabilities"),
    "partial_fit of a network": (fits(network(), "partial_fit", classes=[0, 1]), LABELS),
    "predictions of a network": (asks(network, "predict_proba"), "X"),
    "score of a network": (asks(network, "score", y=Y), LABELS),
    "search": (fits(SEARCH), LABELS),
    "grouped search": (lambda groups: cross_val_score(model(), X, Y, groups=groups, cv=GroupKFold(2)), "groups"),
    "groups": (fit_by_groups, "groups"),
}
# Calls that take soft labels for y.
OF_SOFT_LABELS = "fit", "blocks", "score", "cross-validation", "path", "bootstrap", "steps", "network"
ARGUMENTS = {
    **dict.fromkeys(("X", "X_val"), X),
    **dict.fromkeys(("y", "y_val"), Y),
    **dict.fromkeys(("y of probabilities", "y_val of probabilities"), SOFT),
    **dict.fromkeys(("sample_weight", "sample_weight_val", "offset", "offset_val", "clusters", "groups"), ONES),
    **dict.fromkeys(("penalty_factors", "lower_bounds", "upper_bounds", "r"), np.array([1, 0, 1])),
    **dict.fromkeys(("coef_init", "lower_bounds of coefficients"), np.array([[1.0, 0, 1]])),
    "intercept_init": np.ones(1),
    "R": CONTRASTS,
    "clusters of two kinds": np.column_stack([np.arange(N) // 4, np.arange(N) % 10]).astype(float),
}
TEXTS = {
    "strings": lambda texts: pd.Series(texts, dtype="string"),
    "objects": lambda texts: read_only(texts.astype(object)),
    "category": lambda texts: pd.Series(texts, dtype="category"),
    "polars": lambda texts: polars().Series(texts),
    "Enum": lambda texts: polars().Series(texts).cast(polars().Enum(["no", "yes"])),
    "arrow": lambda texts: arrow().array(texts),
    "dictionary": lambda texts: arrow().array(texts).dictionary_encode(),
    "chunks": lambda texts: arrow().chunked_array([texts[:7], texts[7:]]),
}


def find_numbers(result):
    """Return the numbers that an answer consists of, coefficients where it is a model."""
    result = getattr(result, "best_estimator_", result)
    for name in ("coef_", "coefs", "coef", "std_errors", "statistic"):
        if hasattr(result, name):
            return getattr(result, name)
    return np.concatenate([each.ravel() for each in result.coefs_]) if hasattr(result, "coefs_") else result


# The models of some calls were fitted to an array.
@pytest.mark.filterwarnings("ignore:X has feature names", "ignore:pandas.DataFrame with sparse columns")
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_what_is_given_in_any_container_is_the_numbers_it_holds(argument, tmp_path):
    array, name, failures = ARGUMENTS[argument], argument.split()[0], []
    calls = {what: call for what, (call, arguments) in CALLS.items() if argument in arguments.split(", ")}
    if argument == "y of probabilities":
        calls = {what: CALLS[what][0] for what in OF_SOFT_LABELS}
    assert calls
    for what, call in calls.items():
        expected = find_numbers(call(**{name: array}))
        for container, make in (TABLES if array.ndim == 2 else COLUMNS).items():
            try:
                given = make(array, tmp_path)
            except pytest.skip.Exception:
                continue
            before = np.array(given)
            try:
                np.testing.assert_allclose(find_numbers(call(**{name: given})), expected, rtol=1e-6, atol=1e-9)
                np.testing.assert_array_equal(np.asarray(given), before)
            except Exception as error:
                failures.append(f"{what}, {container}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("texts", TEXTS)
def test_labels_are_texts_of_every_type(texts):
    y = np.array(["no", "yes"])[Y]
    expected = model().fit(X, Y)
    for estimator in (model(), make_cv(Cs=[1.0], cv=2), steps(), network(), FirthLogisticRegression()):
        found = estimator.fit(X, TEXTS[texts](y))
        assert found.classes_.tolist() == ["no", "yes"]
        assert set(found.predict(X)) == {"no", "yes"}
    np.testing.assert_array_equal(model().fit(X, TEXTS[texts](y)).coef_, expected.coef_)


@pytest.mark.parametrize(
    "weights", [["a"] * N, pd.Series(pd.period_range("2020", periods=N)), [{}] * N], ids=["text", "periods", "dicts"]
)
def test_weights_that_are_no_numbers_are_named(weights):
    for estimator in (model(), make_cv(cv=2), steps(), network(), FirthLogisticRegression()):
        assert_refused("^sample_weight: ", estimator.fit, X, Y, weights, error=(TypeError, ValueError))
    with pytest.raises((TypeError, ValueError), match=r"^sample_weight: "):
        fastlin.logistic_path(X, Y, sample_weight=weights)


def test_arrays_with_masked_entries_are_refused():
    mask = np.arange(N) == 3
    rows, labels, numbers = np.ma.array(X, mask=X > 1), np.ma.array(Y, mask=mask), np.ma.array(ONES, mask=mask)
    features = np.ma.array(np.zeros(3), mask=[True, False, False])
    given = {"X": rows, "y": labels, "sample_weight": numbers, "offset": numbers, "coef_init": features[None]}
    given |= dict.fromkeys(("lower_bounds", "upper_bounds", "penalty_factors"), features)
    calls = [(name, array, fits(model())) for name, array in given.items()]
    calls += [("X", rows, asks(model, "predict")), ("clusters", numbers, infers(FREE, covariance="cluster"))]
    for name, array, call in calls:
        assert_refused(rf"\b{name} is a masked array with masked entries", call, **{name: array})
    # Without masked entries it is an array like others.
    np.testing.assert_array_equal(model().fit(np.ma.array(X), Y).coef_, model().fit(X, Y).coef_)
