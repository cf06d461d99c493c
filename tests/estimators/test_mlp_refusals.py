"""What MLPClassifier refuses, by name, and stays as it was."""

import numpy as np
import pytest
from conftest import assert_refused
from scipy import sparse
from small_networks import assert_same_bits, make, make_data

X, Y = make_data()
N = len(Y)
CLASSES = [0, 1, 2]
SEVERAL = np.eye(3, dtype=int)[Y]
SOFT = 0.8 * SEVERAL + 0.2 / 3
BROKEN = sparse.csc_array(SEVERAL)
BROKEN.indices[3] = 100_000_000


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (3, 0)}, r"^hidden_layer_sizes must be whole numbers > 0, got \(3, 0\)"),
        ({"hidden_layer_sizes": (3, 2.5)}, "^hidden_layer_sizes must be whole numbers > 0"),
        ({"hidden_layer_sizes": [[3]]}, "^hidden_layer_sizes must be whole numbers > 0"),
        ({"solver": "lbfgs", "batch_norm": "both"}, "solver='lbfgs' has neither batch_norm nor dropout"),
        ({"solver": "lbfgs", "dropout": 0.2}, "solver='lbfgs' has neither batch_norm nor dropout"),
        ({"solver": "lbfgs", "weight_decay": 0.1}, "weight_decay needs solver='adam'"),
        ({"solver": "sgd", "weight_decay": 0.1}, "weight_decay needs solver='adam'"),
        ({"batch_norm": "hidden", "batch_size": 1}, "must be at least 2 with batch_norm='hidden', got 1"),
        ({"early_stopping": True, "validation_fraction": 0.01}, "^validation_fraction=0.01 of 90 .* cannot .* X_val"),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_the_data_are_named(parameters, message):
    assert_refused(message, make(**parameters).fit, X, Y)


def test_targets_and_weights_that_are_none_are_named():
    fit, stopped = make().fit, make(early_stopping=True, batch_size="auto")
    assert_refused("row 0 sums to 2", fit, X, 2 * SOFT)
    assert_refused(r"y should be a 1d array, got .* \(90, 3\)", fit, X, 2 + SEVERAL)
    assert_refused("class_weight needs one class a row", make(class_weight={0: 2}).fit, X, SEVERAL)
    message = r"^validation_fraction=0.1 of 9 rows .* X_val and y_val: at least 2 rows are needed"
    assert_refused(message, stopped.fit, X[:9], np.arange(9) % 3)
    assert_refused("sample_weight leaves no weight above zero", stopped.fit, X, Y, np.arange(N) < 2)


def test_sparse_labels_that_are_broken_are_refused_before_they_are_converted():
    assert_refused("^y is a broken CSC matrix", make().fit, X, BROKEN)
    assert_refused("^y is a broken CSC matrix", make().partial_fit, X, BROKEN, classes=CLASSES)
    assert_refused("^y is a broken CSC matrix", make().fit(X, SEVERAL).score, X, BROKEN)
    assert_refused("^y_val is a broken CSC matrix", make().fit, X, SEVERAL, X_val=X, y_val=BROKEN)


def test_another_kind_of_target_is_refused_where_training_goes_on():
    warm, several = make(warm_start=True).fit(X, Y), make().fit(X, SEVERAL)
    two, soft = make(warm_start=True).fit(X, Y % 2), make().partial_fit(X, SOFT, classes=CLASSES)
    classes = r"same classes as in the previous call to fit. Previously got \[0 1 2\], `y` has \[1 2 3\]"
    halves, ones = np.full((N, 2), 0.5), np.ones((N, 3), int)
    assert_refused("y must be of the kind of the last training", warm.fit, X, SEVERAL)
    assert_refused(classes, warm.fit, X, Y + 1)
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
        ({}, Y, [0, 1], r"^y must hold classes of \[0 1\] only, got \[2\]"),
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
        ("y must hold classes of", X, Y + 1, {}),
    ):
        assert_refused(message, model.partial_fit, rows, y, **more)
    assert_same_bits(model.partial_fit(X, Y), make().partial_fit(X, Y, classes=CLASSES).partial_fit(X, Y))
