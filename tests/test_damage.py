"""Calls of public methods with damaged models and containers, in a child process. Each call must raise an error.

`damages.py` samples the damages. The child process runs this file: ``python tests/test_damage.py FIRST`` prints a line
of JSON before and after each call, starting with call FIRST. If the child crashes, the last line names the call. A call
consists of a name, an error message pattern, a function and, if a model must not change, the model.
"""

import contextlib
import copy
import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import cache, partial
from itertools import islice, product
from types import SimpleNamespace

import damages
import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model
import sklearn.neural_network
from conftest import JIT_ENABLED, assert_unchanged
from linear_models import make_cv_model
from scipy import sparse

import fastlin
from fastlin.trainers import BinaryModel, LogisticTrainer, SoftmaxModel, SoftmaxTrainer

SEED = 34
# If the child crashes, it is restarted after the call that crashed.
MIN_TESTED_CALLS, MAX_CRASHES = 685, 5
GENERATOR = np.random.default_rng(0)
N, D = 60, 5
X = GENERATOR.normal(size=(N, D)) * (GENERATOR.uniform(size=(N, D)) < 0.6)
BINARY_LABELS, FOUR_CLASS_LABELS = np.arange(N) % 2, np.arange(N) % 4
TABLE = pd.DataFrame({"a": pd.Categorical(GENERATOR.choice(list("uvw"), N)), "b": X[:, 0], "c": X[:, 1]})
FORMS = {
    "C": X,
    "F": np.asfortranarray(X),
    "float32": X.astype(np.float32),
    "csr": sparse.csr_array(X),
    "csc": sparse.csc_matrix(X),
    "blocks": fastlin.blocks.from_arrays(X),
}
PREDICTION_METHODS = "decision_function", "predict", "predict_proba", "predict_log_proba"
# A network trains for two epochs.
SHORT_TRAINING_OPTIONS, WARM_START_OPTION = {"max_iter": 2, "random_state": 0}, {"warm_start": True}
ESTIMATORS = {
    "two classes": fastlin.LogisticRegression(**WARM_START_OPTION),
    "four classes": fastlin.LogisticRegression(**WARM_START_OPTION),
    "sparsified": fastlin.LogisticRegression(**WARM_START_OPTION),
    "cross-validated": make_cv_model(Cs=2, cv=2, scoring="accuracy"),
    "of scikit-learn": sklearn.linear_model.LogisticRegression(),
    "network of scikit-learn": sklearn.neural_network.MLPClassifier((3,), **SHORT_TRAINING_OPTIONS),
    "table": fastlin.LogisticRegression(categorical_features="from_dtype"),
    "mini-batches": fastlin.MiniBatchLogisticRegression(average=True, **SHORT_TRAINING_OPTIONS, **WARM_START_OPTION),
    "network": fastlin.MLPClassifier((3,), **SHORT_TRAINING_OPTIONS, **WARM_START_OPTION),
    "normalized network": fastlin.MLPClassifier(
        (3,), solver="sgd", batch_norm="both", **SHORT_TRAINING_OPTIONS, **WARM_START_OPTION
    ),
}
# This object replaces the model in calls without a model.
NO_MODEL = SimpleNamespace()


@cache
def fit(name):
    """Return a fitted model. Callers must copy the model before they change it."""
    model = ESTIMATORS[name].fit(
        TABLE if name == "table" else X, BINARY_LABELS if name == "two classes" else FOUR_CLASS_LABELS
    )
    return model.sparsify() if name == "sparsified" else model


def predict(rows, method, model, y):
    """Return the result of a method for rows. If the method yields one result per block, return a list."""
    result = getattr(model, method)(rows)
    return list(result) if isinstance(result, Iterator) else result


def plot(model, y):
    from matplotlib.figure import Figure

    return fastlin.figures.plot_coefficients(model, axes=Figure().add_subplot())


# Calls are functions of a model and of the labels in its fit.
PREDICT_CALLS = {
    f"{method}({form})": partial(predict, rows, method) for method in PREDICTION_METHODS for form, rows in FORMS.items()
}
SUMMARY_CALLS = {"summary": lambda model, y: model.summary()}
COMMON_CALLS = {
    **SUMMARY_CALLS,
    "score": lambda model, y: model.score(X, y),
    "to_sklearn": lambda model, y: model.to_sklearn(),
}
LINEAR_CALLS = {**PREDICT_CALLS, **COMMON_CALLS, "plot_coefficients": plot}
REFIT_CALLS = {"fit": lambda model, y: model.fit(X, y)}
PARTIAL_FIT_CALLS = {"partial_fit": lambda model, y: model.partial_fit(X, y)}
NETWORK_CALLS = (
    COMMON_CALLS
    | REFIT_CALLS
    | PARTIAL_FIT_CALLS
    | {name: PREDICT_CALLS[name] for name in ("predict(C)", "predict_proba(csr)")}
)
TABLE_CALLS = {method: partial(predict, TABLE, method) for method in PREDICTION_METHODS}
CLASSES = {"fewer": np.arange(3), "more": np.arange(9), "one": np.arange(1), "none": np.arange(0), "None": None}
CLASSES |= {"a column": np.arange(4)[:, None], "lists of several lengths": [[1], [1, 2]]}
UNSORTED_CLASSES = np.arange(4)[::-1], np.array([0, 1, 1, 3]), np.array([0, "a", 1, 2], object)
CATEGORIES = {
    "None": None,
    "fewer columns": [None],
    "more columns": [None] * 4,
    "fewer categories": [np.array(["u"], object), None, None],
    "more categories": [np.array([*"uvw", *map(str, range(5000))], object), None, None],
    "no categories": [np.array([], object), None, None],
    "lists": [["u", "v", "w"], None, None],
    "categories of two dimensions": [np.array([["u", "v", "w"]], object), None, None],
    "categories twice": [np.array(["v", "v", "w"], object), None, None],
    "categories that are lists": [np.array([["u"], ["v", "w"], ["x"]], object), None, None],
    "a word": "uvw",
}
CURVES = {"a set": {1.0}, "a word": "loss", "an array": np.ones(3)}
# Replacement values for some attributes. Other attributes are damaged according to their type.
ATTRIBUTE_REPLACEMENTS = {
    "classes_": CLASSES,
    "categories_": CATEGORIES,
    "n_features_in_": damages.INVALID_COUNTS,
    "t_": damages.INVALID_COUNTS,
    "loss_curve_": CURVES,
    "_plan": CURVES,
    "out_activation_": {"logistic": "logistic", "None": None, "an array": np.ones(3)},
}


def damage_attribute(generator, attribute, value):
    """Return a damaged value for a fitted attribute."""
    if attribute in ATTRIBUTE_REPLACEMENTS:
        return damages.choose(generator, ATTRIBUTE_REPLACEMENTS[attribute])
    if attribute == "_random_state":
        value = np.random.RandomState(0)
        name, words, *_ = value.get_state()
        value.set_state((name, words, 10**9, 0, 0.0))
        return "a position far outside", value
    if attribute == "_optimizer":
        is_tuple = isinstance(value.optimizer_arrays, tuple)
        parts = list(value.optimizer_arrays) if is_tuple else [value.optimizer_arrays]
        index = int(generator.integers(len([part for part in parts if isinstance(part, np.ndarray)])))
        name, parts[index] = damages.damage_array(generator, parts[index])
        return name, value._replace(optimizer_arrays=tuple(parts) if is_tuple else parts[0])
    if isinstance(value, list):
        return damages.damage_list(generator, value)
    if sparse.issparse(value):
        return damages.damage_container(generator, value.toarray(), "csr")
    # The intercept of two classes may be a number.
    return damages.damage_array(generator, value, [()] if value.shape == (1,) else [])


NETWORK_ERROR_PATTERNS = {"coefs_": "coefs_", "intercepts_": "intercepts_", "classes_": "classes"}
CONVERSION_CALLS = {"from": lambda model, y: getattr(fastlin, type(model).__name__).from_sklearn(model)}
COEF_ERROR_PATTERNS = {"coef_": "coef_", "intercept_": "intercept_", "classes_": "classes"}
# Each row: a model, its calls, the number of damages per attribute, and the error pattern for each attribute.
MODELS = [
    ("two classes", LINEAR_CALLS | REFIT_CALLS, 14, COEF_ERROR_PATTERNS),
    ("four classes", LINEAR_CALLS | REFIT_CALLS, 16, COEF_ERROR_PATTERNS),
    ("sparsified", LINEAR_CALLS | {"densify": lambda model, y: model.densify()}, 20, COEF_ERROR_PATTERNS),
    ("cross-validated", LINEAR_CALLS, 6, COEF_ERROR_PATTERNS),
    ("mini-batches", LINEAR_CALLS | PARTIAL_FIT_CALLS, 10, COEF_ERROR_PATTERNS),
    ("table", TABLE_CALLS | SUMMARY_CALLS, 8, COEF_ERROR_PATTERNS),
    ("table", TABLE_CALLS, 24, {"categories_": "categories_|coef_"}),
    ("four classes", LINEAR_CALLS, 8, {"n_features_in_": "n_features_in_|5 features"}),
    (
        "mini-batches",
        PARTIAL_FIT_CALLS,
        6,
        {name: name for name in ("n_features_in_", "t_", "loss_curve_", "_optimizer")},
    ),
    ("network", PARTIAL_FIT_CALLS, 6, {name: name for name in ("t_", "loss_curve_", "_optimizer")}),
    ("network", NETWORK_CALLS, 12, NETWORK_ERROR_PATTERNS),
    ("network", NETWORK_CALLS, 6, {name: name for name in ("n_features_in_", "out_activation_", "_plan")}),
    ("normalized network", NETWORK_CALLS, 8, NETWORK_ERROR_PATTERNS),
    (
        "normalized network",
        NETWORK_CALLS,
        8,
        {f"batch_norm_{name}_": name for name in ("scales", "means", "variances")},
    ),
    ("of scikit-learn", CONVERSION_CALLS, 5, COEF_ERROR_PATTERNS),
    ("network of scikit-learn", CONVERSION_CALLS, 8, {"coefs_": "coefs_", "intercepts_": "intercepts_"}),
    ("mini-batches", PARTIAL_FIT_CALLS, 1, {"_random_state": "_random_state"}),
    ("network", PARTIAL_FIT_CALLS, 1, {"_random_state": "_random_state"}),
]


def list_model_calls(generator):
    for name, methods, n_draws, words in MODELS:
        for attribute, pattern in words.items():
            for _ in range(n_draws):
                model = copy.deepcopy(fit(name))
                what, damaged = damage_attribute(generator, attribute, getattr(model, attribute))
                setattr(model, attribute, damaged)
                method, call = damages.choose(generator, methods)
                run = partial(call, model, BINARY_LABELS if name == "two classes" else FOUR_CLASS_LABELS)
                yield (f"{name}, {attribute}: {what}; {method}", pattern, run, model)
    for name, value in product(("mini-batches", "network"), UNSORTED_CLASSES):
        model = copy.deepcopy(fit(name))
        model.classes_ = value
        yield (f"{name}, {value}", "classes_", partial(model.partial_fit, X, FOUR_CLASS_LABELS), model)


def train_course(attribute, value, n_classes, steps):
    """Train a course model with a changed attribute. If `steps` is true, each step changes it, otherwise the caller."""
    model = BinaryModel(n_inputs=D) if n_classes == 2 else SoftmaxModel(n_inputs=D, n_outputs=4)
    Y = BINARY_LABELS[:, None].astype(float) if n_classes == 2 else np.eye(4)[FOUR_CLASS_LABELS]
    trainer_class = LogisticTrainer if n_classes == 2 else SoftmaxTrainer
    if steps:

        class StudentTrainer(trainer_class):
            def train_step(self, X_batch, Y_batch):
                loss = super().train_step(X_batch, Y_batch)
                self.model.w = value
                return loss

        trainer_class = StudentTrainer
    trainer = trainer_class(model, 0.1, 20, True, X, Y, X, Y, early_stopping=False, progress=False)
    if not steps:
        setattr(model if attribute == "w" else trainer, attribute, value)
    trainer.train(2)


def list_course_calls(generator):
    """Yield calls to the course's classes with arrays that a student has changed."""
    for number in range(40):
        n_classes = int(generator.choice([2, 4]))
        K = 1 if n_classes == 2 else 4
        shapes = {"X_train": (N, D), "X_val": (N, D), "Y_train": (N, K), "Y_val": (N, K), "w": (D, K)}
        attribute = "w" if number % 2 else list(shapes)[generator.integers(5)]
        what, value = damages.damage_array(generator, np.zeros(shapes[attribute]))
        steps = attribute == "w" and bool(generator.integers(2))
        words = r"model\.w" if attribute == "w" else "X_|Y_|model.w"
        run = partial(train_course, attribute, value, n_classes, steps)
        yield (f"course of {n_classes}, {attribute}: {what}; steps {steps}", words, run)


def list_container_calls(generator):
    new = {"tol": 0.1, "max_iter": 5}
    calls = {
        "fit": lambda rows: fastlin.LogisticRegression(**new).fit(rows, FOUR_CLASS_LABELS),
        "fit with L1": lambda rows: fastlin.LogisticRegression(l1_ratio=1, **new).fit(rows, BINARY_LABELS),
        "fit of the cross-validation": lambda rows: fastlin.LogisticRegressionCV(Cs=2, cv=2).fit(rows, BINARY_LABELS),
        "path": lambda rows: fastlin.logistic_path(rows, BINARY_LABELS, Cs=2),
        "fit by mini-batches": lambda rows: fastlin.MiniBatchLogisticRegression(max_iter=1).fit(
            rows, FOUR_CLASS_LABELS
        ),
        "partial_fit": lambda rows: copy.deepcopy(fit("mini-batches")).partial_fit(rows, FOUR_CLASS_LABELS),
        "fit of a network": lambda rows: fastlin.MLPClassifier((3,), max_iter=1).fit(rows, FOUR_CLASS_LABELS),
        "validation": lambda rows: fastlin.MLPClassifier((3,), max_iter=1).fit(
            X, FOUR_CLASS_LABELS, X_val=rows, y_val=FOUR_CLASS_LABELS
        ),
        "predictions of a network": lambda rows: fit("network").predict(rows),
        "score": lambda rows: fit("four classes").score(rows, FOUR_CLASS_LABELS),
        "sparse coefficients": lambda rows: fit("sparsified").predict_proba(rows),
        "blocks": lambda rows: fastlin.LogisticRegression(**new).fit(fastlin.blocks.from_csr(rows), FOUR_CLASS_LABELS),
        "batches": lambda rows: fastlin.blocks.from_batches(lambda: [(rows, FOUR_CLASS_LABELS)]),
        "predictions": lambda rows: [getattr(fit("four classes"), method)(rows) for method in PREDICTION_METHODS],
    }
    for form in damages.CONTAINER_DAMAGES:
        for _ in range(30):
            what, rows = damages.damage_container(generator, X, form)
            method, call = damages.choose(generator, calls)
            yield (f"{what}; {method}", r"\bX\b|X_val|piece 0|batch 0", partial(call, rows))


def list_calls():
    """Yield all calls. Each kind has its own seed."""
    yield from list_model_calls(np.random.default_rng(SEED))
    yield from list_course_calls(np.random.default_rng(SEED + 1))
    yield from list_container_calls(np.random.default_rng(SEED + 2))


def find_failure(pattern, call, unchanged_model=NO_MODEL):
    """Return None if a call raises an error that names the damage. Otherwise, return a description of the failure."""
    before = dict(vars(unchanged_model))
    try:
        with pytest.raises(ValueError, match=pattern):
            call()
        assert_unchanged(unchanged_model, before)
    except (Exception, pytest.fail.Exception) as error:
        return f"{type(error).__name__}: {error}"
    return None


def run_calls(first):
    """Starting at call `first`, print the name of each call before it runs, and any failure after it."""
    # The output of the calls must not mix with these lines.
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        for name, *call in islice(list_calls(), first, None):
            print(json.dumps(name), file=lines)
            print(json.dumps(find_failure(*call)), file=lines)


@pytest.mark.skipif(not JIT_ENABLED, reason="uncompiled kernels read nothing out of bounds")
def test_damaged_input_raises_an_error_that_names_it():
    names, failures, n_crashes, status = [], [], 0, None
    while status != 0 and n_crashes < MAX_CRASHES:
        command = [sys.executable, "-X", "faulthandler", __file__, str(len(names))]
        completed_process = subprocess.run(command, capture_output=True, text=True, timeout=300)
        lines, status = (
            [json.loads(line) for line in completed_process.stdout.splitlines()],
            completed_process.returncode,
        )
        assert lines, completed_process.stderr[-1_000:]
        names += lines[::2]
        # The call that crashed the child has no second line.
        ends = lines[1::2] + [f"the process ended with status {status}"] * (len(lines) % 2)
        failures += [f"{name}: {end}" for name, end in zip(lines[::2], ends, strict=True) if end is not None]
        n_crashes += 1
    assert not failures, "\n".join([f"{len(failures)} of {len(names)} damages:", *failures])
    assert status == 0
    assert len(names) >= MIN_TESTED_CALLS


if __name__ == "__main__":
    run_calls(int(sys.argv[1]))
