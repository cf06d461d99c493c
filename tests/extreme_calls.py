"""Draws of fits at extreme scales: X and C from 1e-300 to 1e300, entries that are subnormal, columns that vanish."""

from functools import partial

import numpy as np
from linear_models import make_cv
from scipy import sparse

import fastlin

# Of X; float32 holds numbers of such powers of ten, and float16 none of them.
POWERS = {np.float64: 300, np.float32: 36}
PENALTIES = {
    "L2": {},
    "L1": {"l1_ratio": 1.0},
    "elastic net": {"l1_ratio": 0.5},
    "grouped": {"l1_ratio": 1.0, "group_by_class": True},
    "none": {"C": np.inf},
}


def draw_powers(generator, most, size=None):
    return 10.0 ** generator.uniform(-most, most, size)


def draw_rows(generator, dtype):
    """Return X and its labels: of two or three classes that a column tells a little of."""
    n, d, most = generator.integers(8, 30), generator.integers(1, 5), POWERS[dtype]
    X = generator.normal(size=(n, d))
    y = np.argsort(np.argsort(X[:, 0] + 2 * generator.normal(size=n))) * generator.integers(2, 4) // n
    match generator.integers(6):
        case 0:
            X *= draw_powers(generator, most)
        case 1:
            X *= draw_powers(generator, most, d)
        case 2:
            # Columns that nearly vanish beside their mean.
            X = draw_powers(generator, most / 2) * (1 + X * 10.0 ** -generator.uniform(0, 18, d))
        case 3:
            X[generator.integers(n), generator.integers(d)] = 5e-324 if dtype == np.float64 else 1e-45
        case 4:
            X[generator.integers(n), generator.integers(d)] *= draw_powers(generator, most)
        case 5:
            # But for one entry, which is tiny, a column is zero.
            X[:, -1] = 0
            X[generator.integers(n), -1] = draw_powers(generator, most)
    return X.astype(dtype), y


def draw_call(generator, dtypes):
    """Return the description of an estimator and its rows, and functions to call with the model, by their names."""
    dtype = dtypes[generator.integers(len(dtypes))]
    X, y = draw_rows(generator, dtype)
    n, d = X.shape
    n_classes = len(np.unique(y))
    layout = ["C", "F", "csr"][generator.integers(3)]
    rows = sparse.csr_array(X) if layout == "csr" else np.asarray(X, order=layout)
    name = list(PENALTIES)[generator.integers(len(PENALTIES))]
    parameters = {"C": [1.0, draw_powers(generator, 300)][generator.integers(2)], **PENALTIES[name]}
    given = {}
    if generator.integers(3) == 0:
        most = [1, 150][generator.integers(2)]
        ratios = draw_powers(generator, [0, most][generator.integers(2)], n)
        given["sample_weight"] = draw_powers(generator, most) * ratios
    if generator.integers(4) == 0:
        shape = n if n_classes == 2 else (n, n_classes)
        given["offset"] = generator.normal(size=shape) * draw_powers(generator, 29)
    if name != "grouped" and generator.integers(4) == 0:
        parameters["lower_bounds"] = -abs(draw_powers(generator, 300))
    if generator.integers(4) == 0:
        parameters["penalty_factors"] = draw_powers(generator, [1, 300][generator.integers(2)], d)
    text = f"{dtype.__name__} {layout} {n} x {d}, {n_classes} classes, {name}, {parameters}, {sorted(given)}"
    data = {"X": rows, "y": y, **given}
    return text, LISTS[generator.choice(list(LISTS), p=SHARES)](parameters, data)


def predict(model, data, *methods):
    offset = {"offset": data["offset"]} if "offset" in data else {}
    for method in methods:
        assert np.isfinite(getattr(model, method)(data["X"], **offset)).all(), f"{method} is not finite"
    assert np.isfinite(model.score(data["X"], data["y"], data.get("sample_weight"), **offset)), "score is not finite"


SCORES = "decision_function", "predict_proba", "predict_log_proba"


def fit_linear(parameters, data):
    model = fastlin.LogisticRegression(max_iter=200, **parameters)
    yield "fit", lambda: model.fit(**data)
    yield "predictions", lambda: predict(model, data, *SCORES)
    if parameters.get("l1_ratio"):
        # Its errors are refused.
        return
    is_penalised = parameters["C"] < np.inf and np.any(parameters.get("penalty_factors", 1.0))
    choices = {"penalised": "sandwich"} if is_penalised else {}

    def infer():
        found = model.inference(**data, covariance="HC0", weights_are="importance", **choices)
        assert not np.isinf(found.std_errors).any(), "std_errors are infinite"
        str(found.summary())
        found.conf_int()
        found.marginal_effects().table()

    yield "inference", infer
    yield "bootstrap", lambda: model.bootstrap(**data, n_resamples=2, random_state=0).std_errors


def fit_folds(parameters, data):
    ratio = parameters.pop("l1_ratio", 0.0)
    C = parameters.pop("C")
    model = make_cv(Cs=[min(C, 1e300)], cv=2, l1_ratios=(ratio,), max_iter=200, **parameters)
    yield "folds", lambda: model.fit(**data)
    yield "predictions", lambda: predict(model, data, *SCORES)


def fit_path(parameters, data):
    ratio, _ = parameters.pop("l1_ratio", 0.0), parameters.pop("C")
    yield "path", lambda: fastlin.logistic_path(**data, Cs=3, l1_ratio=max(ratio, 0.1), max_iter=200, **parameters)


def fit_firth(parameters, data):
    model = fastlin.FirthLogisticRegression()
    yield "fit", lambda: model.fit(**data)
    yield "predictions", lambda: predict(model, data, *SCORES)
    yield "inference", lambda: str(model.inference(**data).conf_int(method="wald"))


def train(make, parameters, data):
    given = {name: values for name, values in data.items() if name != "offset"}
    model = make(alpha=1 / parameters["C"], max_iter=2, n_iter_no_change=np.inf, random_state=0)
    yield "training", lambda: model.fit(**given)
    yield "predictions", lambda: predict(model, given, "predict_proba")
    if getattr(model, "solver", "") != "lbfgs":
        yield "partial_fit", lambda: model.partial_fit(**given)


LISTS = {
    "linear": fit_linear,
    "folds": fit_folds,
    "path": fit_path,
    "Firth": fit_firth,
    "steps": partial(train, fastlin.MiniBatchLogisticRegression),
    "network": partial(train, partial(fastlin.MLPClassifier, (2,))),
    "network by lbfgs": partial(train, partial(fastlin.MLPClassifier, (2,), solver="lbfgs")),
}
SHARES = 0.5, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05
