"""After the warm-up, no fit compiles a kernel."""

import json

import pytest
from conftest import run_program

from fastlin.warmup import STEPS

# This program runs the given warm-up steps without compiled kernels, and prints which later fits compile kernels.
PROGRAM = """
import json, sys, warnings
import numpy as np
from scipy import sparse
from fastlin import LogisticRegression, LogisticRegressionCV, MiniBatchLogisticRegression, MLPClassifier, trainers
from fastlin.kernels.machine.archives import list_signatures
from fastlin.warmup import STEPS

dtypes, steps = json.loads(sys.argv[1])
warnings.simplefilter("error")
for name in steps:
    STEPS[name]()
warnings.simplefilter("ignore")
generator, compiled, missing = np.random.default_rng(1), set(map(str, list_signatures())), {}
assert compiled

def make(n, d, n_classes, dtype, density=1.0):
    X = generator.normal(size=(n, d)) * (generator.random((n, d)) < density)
    y = (X @ generator.normal(size=(d, n_classes)) + generator.gumbel(size=(n, n_classes))).argmax(axis=1)
    return (X if dtype != "uint8" else np.clip(20 * X + 100, 0, 255)).astype(dtype), y

def fit(model, X, y, *weights):
    model.fit(X, y, *weights)
    model.predict(X), model.predict_proba(X), model.score(X, y)
    now = set(map(str, list_signatures()))
    if now - compiled:
        missing[f"{model}, {X.dtype}, {X.shape}, {len(model.classes_)} classes"] = sorted(now - compiled)
        compiled.update(now)

CHANGES = [{}, {"C": 100}, {"C": np.inf}, {"fit_intercept": False}, {"class_weight": "balanced"}]
CHANGES += [{"solver": solver} for solver in ("lbfgs", "newton-cg", "newton-cholesky")]
CHANGES += [{"l1_ratio": 1}, {"l1_ratio": 0.5}]
CV = {"Cs": 2, "cv": 2, "l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}
for dtype in dtypes:
    for shape in ((300, 5, 2), (150, 4, 3), (2000, 60, 10), (100, 400, 5), (20_000, 30, 2)):
        fit(LogisticRegression(), *make(*shape, dtype))
    X, y = make(400, 10, 3, dtype)
    for labels in (y, y > 0):
        for change in CHANGES:
            fit(LogisticRegression(**change), X, labels)
    fit(LogisticRegression(), np.asfortranarray(X), y, generator.random(len(y)))
    fit(LogisticRegressionCV(**CV), X, y)
    fit(MiniBatchLogisticRegression(max_iter=2), X, y)
    for network_dtype in ("float32", "float64"):
        fit(MLPClassifier(5, max_iter=2, early_stopping=True, dtype=network_dtype), X, y)
    if f"large fits, {dtype}" in steps:
        many_rows, many_labels = make(60_000, 60, 6, dtype)
        for column in (many_rows[:, 0], np.arange(60_000) % 200 == 0):
            many_rows[:, 0] = column
            fit(LogisticRegression(), many_rows, many_labels)
    if dtype == "uint8":
        continue
    for change in ({}, {"l1_ratio": 1}):
        for rows in (X, sparse.csr_array(X * (X > 1))):
            fit(LogisticRegression(**change), rows, (y[:, None] == np.arange(3)).astype(int))
    for shape in ((300, 50, 2), (300, 50, 4), (2500, 200, 5), (200, 2000, 6)):
        X, y = make(*shape, dtype, density=0.2)
        for change in ({}, {"solver": "newton-cg"}, {"l1_ratio": 1}):
            fit(LogisticRegression(**change), sparse.csr_array(X), y)
    Y = y[:, None] % 2
    data = X, Y, X, Y
    options = {"early_stopping": False, "progress": False}
    trainers.LogisticTrainer(trainers.BinaryModel(X.shape[1]), 0.1, 9, True, *data, **options).train(1)
columns = np.column_stack([np.repeat([0.0, 1.0], 200), np.arange(400) % 7, generator.normal(size=400)])
for labels in (np.arange(400) % 2, np.arange(400) % 3):
    fit(LogisticRegression(categorical_features=[0, 1]), columns, labels)
    fit(LogisticRegression(categorical_features=[0, 1], l1_ratio=1), columns, labels)
print(json.dumps(missing))
"""


def find_compiling_fits(dtypes, steps):
    return json.loads(run_program(PROGRAM, json.dumps([dtypes, steps])))


@pytest.mark.thorough
def test_after_the_warm_up_of_one_type_no_fit_compiles():
    needed = [name for name in STEPS if name.endswith("float64") and not name.startswith("large fits")]
    assert find_compiling_fits(["float64"], [*needed, "tables"]) == {}


@pytest.mark.slow  # With an empty cache, the warm-up compiles for minutes.
def test_after_a_warm_up_no_fit_compiles():
    assert find_compiling_fits(["float64", "float32", "uint8"], list(STEPS)) == {}


def test_the_warm_up_steps_cover_every_kind_of_fit():
    names = (
        "fit_few_rows fit_many_rows fit_sparse_rows fit_table fit_l1 fit_problem_batches fit_network train_course_model"
    )
    assert {step.func.__name__ for step in STEPS.values()} == set(names.split())
