"""MLPClassifier against scikit-learn's and its estimator checks, what it adds to that, and input of every kind."""

import inspect
import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as ScikitLearnMLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from threadpoolctl import threadpool_limits

from fastlin import MLPClassifier
from fastlin.kernels.machine.threads import limit_threads
from fastlin.networks import batch_arrays
from fastlin.training import MomentumDescent

ROUNDING = "float32 rounds by more than the check's relative tolerance of 1e-7"
SAMPLE_WEIGHT_CHECKS = (
    estimator_checks.check_sample_weight_equivalence_on_dense_data,
    estimator_checks.check_sample_weight_equivalence_on_sparse_data,
)
quiet = pytest.mark.filterwarnings(
    "ignore:SCIPY_ARRAY_API", "ignore::FutureWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)


@quiet
@estimator_checks.parametrize_with_checks(
    [MLPClassifier(max_iter=50)],
    expected_failed_checks=lambda estimator: {check.__name__: ROUNDING for check in SAMPLE_WEIGHT_CHECKS},
    xfail_strict=True,
)
def test_estimator_checks(estimator, check):
    check(estimator)


@quiet
@pytest.mark.parametrize("check", SAMPLE_WEIGHT_CHECKS)
def test_float64_passes_the_checks_that_float32_rounds_too_much_for(check):
    check("MLPClassifier", MLPClassifier(max_iter=50, dtype="float64"))


def make_data(n_classes=3, n=90, d=6, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, d))
    scores = X @ generator.normal(size=(d, n_classes)) + generator.gumbel(size=(n, n_classes)) / 2
    return X, scores.argmax(axis=1)


def make(hidden_layer_sizes=(7,), **parameters):
    """Return a classifier that takes all its epochs."""
    defaults = {"max_iter": 5, "batch_size": 20, "learning_rate_init": 0.05, "n_iter_no_change": np.inf}
    return MLPClassifier(hidden_layer_sizes, **{**defaults, "random_state": 0, **parameters})


def make_reference(model):
    """Return scikit-learn's classifier with the parameters of ours."""
    names = ScikitLearnMLPClassifier().get_params()
    return ScikitLearnMLPClassifier(**{name: value for name, value in model.get_params().items() if name in names})


def fit_reference(model, *data):
    with warnings.catch_warnings():
        # It warns whenever it comes to max_iter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*data)


def assert_same_network(found, expected, tolerance=1e-9):
    for name in ("coefs_", "intercepts_"):
        for ours, theirs in zip(getattr(found, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def assert_same_bits(found, expected):
    for name in ("coefs_", "intercepts_", "batch_norm_scales_", "batch_norm_means_", "batch_norm_variances_"):
        for ours, theirs in zip(getattr(found, name), getattr(expected, name), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert found.loss_curve_ == expected.loss_curve_


def assert_unchanged(model, before):
    """Check that all attributes are the objects that they were."""
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


def differ(first, second):
    return any(not np.array_equal(*pair) for pair in zip(first.coefs_, second.coefs_, strict=True))


def assert_scikit_learns(model, X, y, *weights):
    expected = fit_reference(make_reference(model), X, y, *weights)
    model.fit(X, y, *weights)
    assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-10)
    assert_same_network(model, expected)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(model, name) == getattr(expected, name)
    assert model.loss_ == pytest.approx(expected.loss_, rel=1e-10)
    np.testing.assert_array_equal(model.classes_, expected.classes_)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=1e-8)
    np.testing.assert_allclose(model.predict_log_proba(X), expected.predict_log_proba(X), rtol=1e-8, atol=1e-12)
    assert model.score(X, y) == expected.score(X, y)
    return expected


@pytest.mark.parametrize(
    ("activation", "hidden", "n_classes"),
    [
        ("relu", (), 2),
        ("relu", (), 5),
        ("identity", (7,), 5),
        ("logistic", (6, 4), 5),
        ("relu", (6, 4), 2),
        ("tanh", (7,), 2),
    ],
)
def test_every_epoch_is_scikit_learns(activation, hidden, n_classes):
    X, y = make_data(n_classes)
    assert_scikit_learns(make(hidden, activation=activation, dtype="float64", alpha=0.1), X, y)


@pytest.mark.parametrize(
    "parameters",
    [
        {"nesterovs_momentum": False},
        {"momentum": 0.0},
        {"alpha": 0.0},
        {"alpha": 3.0},
        {"shuffle": False},
        {"batch_size": "auto"},
        {"batch_size": 90},
        {"batch_size": 1, "learning_rate_init": 0.005},
        {"hidden_layer_sizes": 4},
        {"random_state": 7},
        {"max_iter": 60, "n_iter_no_change": 3, "tol": 1e-2},
    ],
    ids=str,
)
def test_every_setting_is_scikit_learns(parameters):
    for n_classes in (2, 3):
        X, y = make_data(n_classes)
        # Weights are a matter of the loss, which two classes compute otherwise than three.
        for weights in ([], [np.random.default_rng(1).uniform(0.1, 3, len(y))]):
            expected = assert_scikit_learns(make(**{"dtype": "float64", **parameters}), X, y, *weights)
            assert "tol" not in parameters or expected.n_iter_ < 60


@pytest.mark.parametrize(
    ("n_classes", "weighted", "validation_fraction"), [(2, False, 0.1), (2, True, 0.3), (3, True, 0.1)]
)
def test_early_stopping_is_scikit_learns(n_classes, weighted, validation_fraction):
    X, y = make_data(n_classes, n=150)
    weights = [np.random.default_rng(1).uniform(0.1, 3, len(y))] if weighted else []
    model = make(
        dtype="float64", early_stopping=True, max_iter=80, n_iter_no_change=4, validation_fraction=validation_fraction
    )
    expected = assert_scikit_learns(model, X, y, *weights)
    assert expected.n_iter_ < 80
    assert model.validation_scores_ == pytest.approx(expected.validation_scores_, rel=1e-12)
    assert model.best_validation_score_ == pytest.approx(expected.best_validation_score_, rel=1e-12)
    assert len(model.validation_loss_curve_) == model.n_iter_


def test_a_warm_start_goes_on_like_scikit_learns():
    X, y = make_data()
    model = make(dtype="float64", warm_start=True, max_iter=3)
    expected = assert_scikit_learns(model, X, y)
    model.set_params(max_iter=4).fit(X, y)
    fit_reference(expected.set_params(max_iter=4), X, y)
    assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-10)
    assert (len(model.loss_curve_), model.n_iter_, model.t_) == (7, 4, 7 * len(y))
    assert_same_network(model, expected)


@pytest.mark.parametrize(("n_classes", "weighted", "shuffle"), [(2, True, True), (3, False, True), (3, True, False)])
def test_partial_fit_is_scikit_learns(n_classes, weighted, shuffle):
    X, y = make_data(n_classes)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(y)) if weighted else np.ones(len(y))
    parameters = {"dtype": "float64", "shuffle": shuffle, "batch_size": 16}
    # From an instance scikit-learn draws further numbers too; it begins a seed anew with each call.
    model = make(**parameters, random_state=np.random.RandomState(5))
    expected = make_reference(make(**parameters, random_state=np.random.RandomState(5)))
    for call, part in enumerate([slice(0, 40), slice(40, 90), slice(0, 90), slice(10, 70)]):
        for each in (model, expected):
            each.partial_fit(X[part], y[part], classes=np.arange(n_classes), sample_weight=weights[part])
        assert_same_network(model, expected)
        assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-10)
        assert model.n_iter_ == call + 1
        assert model.t_ == expected.t_
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


def test_default_parameters_are_scikit_learns():
    theirs = ScikitLearnMLPClassifier().get_params()
    ours = MLPClassifier().get_params()
    shared = theirs.keys() & ours.keys()
    assert {name for name in shared if ours[name] != theirs[name]} == {"solver"}
    assert ours.keys() - theirs.keys() == {
        "learning_rate_decay",
        "batch_norm",
        "dropout",
        "init",
        "init_scale",
        "dtype",
    }


def test_float32_comes_near_scikit_learns():
    X, y = load_digits(return_X_y=True)
    model = make((30,), max_iter=5, batch_size=64, learning_rate_init=0.01)
    expected = fit_reference(make_reference(model), X / 16, y)
    model.fit(X / 16, y)
    assert model.coefs_[0].dtype == model.predict_proba(X).dtype == np.float32
    assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-4)
    assert_same_network(model, expected, 1e-3)


def test_a_partial_fit_of_few_rows_is_one_batch():
    X, y = make_data()
    small, whole = make(batch_size=500), make(batch_size=30)
    for model in (small, whole):
        model.partial_fit(X[:30], y[:30], classes=[0, 1, 2])
    assert_same_bits(small, whole)


@pytest.mark.parametrize("parameters", [{}, {"dropout": 0.3, "batch_norm": "both", "init": "he"}], ids=str)
def test_a_decay_is_a_schedule_by_hand(parameters):
    X, y = make_data()
    # A fit shuffles the order of its last epoch, as scikit-learn's does, a call of partial_fit that of its rows.
    parameters = {"shuffle": False, **parameters}
    decaying = make(learning_rate_decay=0.7, **parameters).fit(X, y)
    by_hand, by_calls = make(**parameters), make(learning_rate_decay=0.7, **parameters)
    for epoch in range(5):
        by_hand.set_params(learning_rate_init=0.05 * 0.7**epoch).partial_fit(X, y, classes=[0, 1, 2])
        by_calls.partial_fit(X, y, classes=[0, 1, 2])
    assert_same_bits(by_hand, decaying)
    assert_same_bits(by_calls, decaying)
    assert differ(make(**parameters).fit(X, y), decaying)


@pytest.mark.parametrize(
    ("dtype", "parameters"),
    [("float64", {}), ("float32", {"dropout": 0.5}), ("float32", {"batch_norm": "both"}), ("float32", {"init": "he"})],
)
def test_the_seed_decides(parameters, dtype):
    X, y = make_data()
    model = make((7, 5), dtype=dtype, **parameters).fit(X, y)
    assert_same_bits(make((7, 5), dtype=dtype, **parameters).fit(X, y), model)
    assert_same_bits(make((7, 5), dtype=dtype, **parameters, random_state=np.random.RandomState(0)).fit(X, y), model)
    assert differ(make((7, 5), dtype=dtype, **parameters, random_state=1).fit(X, y), model)


def test_dropout_and_batch_norm_change_the_training():
    X, y = make_data()
    settings = [{}, {"dropout": 0.2}, {"dropout": 0.5}, *({"batch_norm": name} for name in ("input", "hidden", "both"))]
    models = [make((7, 5), **parameters).fit(X, y) for parameters in settings]
    for first in range(len(models)):
        for second in range(first):
            assert differ(models[first], models[second])
    sizes = [(len(model.batch_norm_scales_), len(model.batch_norm_means_)) for model in models]
    assert sizes == [(0, 0), (0, 0), (0, 0), (0, 1), (2, 2), (2, 3)]
    # The statistics of the input follow from X alone.
    X_means = models[3].batch_norm_means_[0] / (1 - 0.9 ** len(models[3].loss_curve_ * 5))
    np.testing.assert_allclose(X_means, X.mean(axis=0), atol=0.3)


@pytest.mark.parametrize("batch_norm", ["input", "hidden", "both"])
def test_batch_norm_makes_raw_columns_learnable(batch_norm):
    X, y = load_breast_cancer(return_X_y=True)
    parameters = {"max_iter": 30, "batch_size": 64, "learning_rate_init": 0.02, "dropout": 0.1}
    assert make((20, 10), batch_norm=batch_norm, **parameters).fit(X, y).score(X, y) > 0.9


def draw_initial(hidden, X, y, **parameters):
    """Return a classifier whose parameters are those it began with, but for rounding."""
    return make(hidden, max_iter=1, learning_rate_init=1e-30, dtype="float64", **parameters).fit(X, y)


def test_initialisations():
    X, y = make_data(d=50)
    for parameters, deviations in (
        ({"init": "he"}, [np.sqrt(2 / 50), np.sqrt(2 / 300)]),
        ({"init": "normal"}, [0.01, 0.01]),
        ({"init": "normal", "init_scale": 0.3}, [0.3, 0.3]),
        ({}, [np.sqrt(2 / (50 + 300)), np.sqrt(2 / (300 + 3))]),
        ({"activation": "logistic"}, [np.sqrt(2 / 3 / (50 + 300)), np.sqrt(2 / 3 / (300 + 3))]),
    ):
        model = draw_initial((300,), X, y, **parameters)
        assert [coef.std() for coef in model.coefs_] == pytest.approx(deviations, rel=0.1)
        assert all(
            np.abs(b).max() > 1e-3 if "init" not in parameters else np.abs(b).max() < 1e-20 for b in model.intercepts_
        )


def test_validation_data_are_recorded_and_the_best_epoch_is_kept():
    X, y = make_data(n=200)
    X_val, y_val = make_data(n=100, seed=1)
    y_val = np.where(np.arange(100) < 60, y[:100], y_val)
    model = make(max_iter=20).fit(X, y, X_val=X_val, y_val=y_val)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_ == 20
    best = int(np.argmax(model.validation_scores_))
    assert 0 < best < 19
    assert model.best_validation_score_ == model.validation_scores_[best] == model.score(X_val, y_val)
    probabilities = model.predict_proba(X_val)[np.arange(100), y_val]
    assert model.validation_loss_curve_[best] == pytest.approx(-np.log(probabilities).mean(), rel=1e-5)
    # They change nothing of the training itself.
    alone = make(max_iter=best + 1).fit(X, y)
    assert alone.loss_curve_ == model.loss_curve_[: best + 1]
    assert not differ(alone, model)
    assert alone.validation_scores_ is alone.validation_loss_curve_ is alone.best_validation_score_ is None


def test_early_stopping_on_given_data_trains_on_all_rows():
    X, y = make_data(n=200)
    X_val, y_val = make_data(n=50, seed=0)
    model = make(max_iter=100, early_stopping=True, n_iter_no_change=3).fit(X, y, X_val=X_val, y_val=y_val)
    assert model.n_iter_ < 100
    assert model.t_ == 200 * model.n_iter_
    plain = make(max_iter=model.n_iter_).fit(X, y)
    assert plain.loss_curve_ == model.loss_curve_


def test_validation_labels_may_lack_classes():
    X, y = make_data()
    named = np.array(["a", "b", "c"])[y]
    only = y == 2
    model = make().fit(X, named, X_val=X[only], y_val=named[only])
    assert model.best_validation_score_ == np.mean(model.predict(X[only]) == "c")


def test_the_accuracy_curve_is_that_of_the_batches_before_each_step():
    X, y = make_data()
    model = make(max_iter=1, learning_rate_init=1e-30).fit(X, y)
    assert model.accuracy_curve_ == [pytest.approx(model.score(X, y), rel=1e-12)]


@pytest.mark.parametrize("parameters", [{}, {"batch_norm": "both", "dropout": 0.2}], ids=str)
def test_pickles_and_clones(parameters):
    X, y = make_data()
    model = make((7, 5), **parameters).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    # Momentum and random numbers go with it.
    assert_same_bits(copy.partial_fit(X, y), model.partial_fit(X, y))
    with pytest.raises(NotFittedError):
        clone(model).predict(X)
    assert_same_bits(clone(model).fit(X, y), make((7, 5), **parameters).fit(X, y))


def test_a_warm_start_keeps_running_statistics():
    X, y = make_data()
    model = make((7,), batch_norm="both", dropout=0.2, warm_start=True, learning_rate_init=1e-30, max_iter=30).fit(X, y)
    before = model.predict_proba(X)
    model.set_params(max_iter=1).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), before, atol=0.05)
    assert len(model.loss_curve_) == 31
    assert model.n_iter_ == 1


def test_a_network_asked_for_later_changes_no_prediction_but_is_none_to_go_on_with():
    X, y = make_data()
    model = make((1,), warm_start=True, batch_norm="hidden").fit(X, y)
    expected = model.predict_proba(X)
    for change, name in (({"hidden_layer_sizes": (5,)}, "hidden_layer_sizes"), ({"batch_norm": "input"}, "batch_norm")):
        changed = pickle.loads(pickle.dumps(model)).set_params(**change)
        np.testing.assert_array_equal(changed.predict_proba(X), expected)
        for train in (changed.fit, changed.partial_fit):
            with pytest.raises(ValueError, match=f"^{name} must be that of the last training"):
                train(X, y)
        np.testing.assert_array_equal(changed.predict_proba(X), expected)


def test_pipeline_and_grid_search():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), make(max_iter=20))
    search = GridSearchCV(pipeline, {"mlpclassifier__hidden_layer_sizes": [(5,), (10, 5)]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.9


@pytest.mark.parametrize("verbose", [True, 2])
def test_verbose_shows_a_bar_with_the_figures(capsys, verbose):
    X, y = make_data()
    model = make(verbose=verbose).fit(X, y, X_val=X, y_val=y)
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("fastlin ")
    # Also on 80 columns nothing is cut.
    assert " 5/5 " in shown
    assert f"loss {model.loss_:.4f} / {model.validation_loss_curve_[-1]:.4f} " in shown
    assert f"accuracy {model.accuracy_curve_[-1]:.4f} / {model.validation_scores_[-1]:.4f} " in shown
    make().fit(X, y)
    assert not capsys.readouterr().out


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
        for array, copy in zip(data, copies, strict=True):
            np.testing.assert_array_equal(array, copy)


def test_weights_count_like_repeated_rows():
    X, y = make_data()
    times = np.random.default_rng(0).integers(0, 4, len(y))
    parameters = {"batch_size": "auto", "dtype": "float64", "shuffle": False, "max_iter": 10}
    weighted = make(**parameters).fit(X, y, times)
    repeated = make(**parameters).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    assert_same_network(weighted, repeated)


def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(batch_arrays, "count_blocks", lambda *arguments, **options: 5)
    X, y = load_digits(return_X_y=True)
    models = []
    for n_threads in (1, 2, 5):
        # OpenBLAS adds up large products in another order on another number of its own threads.
        with limit_threads(n_threads), threadpool_limits(1, user_api="blas"):
            models.append(make((30,), max_iter=2, batch_norm="both", dropout=0.2, batch_size=256).fit(X, y))
    for model in models[1:]:
        assert_same_bits(model, models[0])


def test_the_same_bits_from_run_to_run_of_products_that_blas_splits():
    # OpenBLAS computes products of these shapes otherwise on one thread than on two.
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(256, 300)), generator.integers(0, 10, 256)
    models = [make((135,), max_iter=3, batch_size=128, dtype="float64").fit(X, y) for _ in range(3)]
    for model in models[1:]:
        assert_same_bits(model, models[0])


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
        case "one class":
            data["y"] = np.zeros(40)
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
            data["y"] = np.column_stack([y, y])
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
        ("one class", "only one class"),
        ("1-D X", "Expected 2D array"),
        ("no rows", "0 sample"),
        ("no columns", "0 feature"),
        ("complex X", "[Cc]omplex"),
        ("continuous y", "continuous"),
        ("two columns of y", "y should be a 1d array"),
        ("NaN in X_val", "X_val contains NaN"),
        ("infinity in X_val", "X_val contains infinity"),
        ("NaN in y_val", "y_val contains NaN"),
        ("X_val alone", "X_val and y_val must be given together, got only X_val"),
        ("y_val alone", "X_val and y_val must be given together, got only y_val"),
        ("short y_val", r"^X_val must have .* each of the 9 labels of y_val, got the shape \(10, 3\)"),
        ("columns of X_val", r"^X_val must have the 3 columns of X .* got the shape \(10, 2\)"),
        ("1-D X_val", "Expected 2D array"),
        ("no rows in X_val", "0 sample"),
        ("labels of y_val", r"^y_val must hold classes of \[0 1\] only, got \[2\]"),
        ("type of y_val", "^y_val must hold classes"),
        ("broken X_val", "broken CSC matrix"),
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
        "dropout": [1.0, -0.1, np.nan],
        "learning_rate_init": [0, -1, np.inf, np.nan],
        "learning_rate_decay": [0, 1.1, np.nan],
        "alpha": [-1, np.inf, np.nan],
        "tol": [-1e-4, np.nan],
        "max_iter": [0, 2.5],
        "solver": ["adam"],
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
        ({"batch_size": 41}, "^batch_size must be at most the number of rows to train on, 40, got 41"),
        (
            {"batch_size": 37, "early_stopping": True},
            "^batch_size must be at most the number of rows to train on, 36, got 37",
        ),
        (
            {"early_stopping": True, "validation_fraction": 0.01},
            "^validation_fraction=0.01 of 40 rows cannot be set aside .* X_val and y_val",
        ),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_the_data_are_named(parameters, message):
    assert_refused(parameters, message)


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
        ValueError, match=r"warm_start needs y with the classes of the last fit, \[0 1 2\], got \[1 2 3\]"
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


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_unfinished_fit_warns_with_what_to_do(early_stopping):
    X, y = make_data()
    what = "the validation accuracy" if early_stopping else "the loss"
    with pytest.warns(ConvergenceWarning, match=f"came to max_iter=2 epochs before {what} stopped to improve"):
        make(n_iter_no_change=10, max_iter=2, early_stopping=early_stopping).fit(X, y)


# The loss of layers without bounds grows without bound under a large learning rate.
DIVERGING = {"activation": "identity", "batch_size": 90, "nesterovs_momentum": False, "alpha": 0.0, "max_iter": 200}


@pytest.mark.parametrize(("dtype", "validated"), [("float32", False), ("float64", False), ("float32", True)])
def test_a_diverging_run_stops_there_and_keeps_the_best_epoch(dtype, validated):
    X, y = make_data()
    data = {"X_val": X, "y_val": y} if validated else {}
    parameters = {**DIVERGING, "dtype": dtype, "learning_rate_init": 3.0}
    model = make((30, 30), **parameters)
    with pytest.warns(
        ConvergenceWarning, match="The training diverged: its loss was no longer finite in epoch"
    ) as caught:
        model.fit(X, y, **data)
    message = str(caught[0].message)
    assert "learning_rate_init (now 3.0)" in message
    epoch = int(re.search(r"in epoch (\d+)\.", message).group(1))
    kept = 0 if "those that it began with" in message else int(re.search(r"those of epoch (\d+)", message).group(1))
    assert epoch == model.n_iter_ + 1 == len(model.loss_curve_) + 1
    assert np.isfinite(model.loss_curve_).all()
    # The loss of an epoch describes the parameters that it began with.
    assert kept == (np.argmax(model.validation_scores_) + 1 if validated else np.argmin(model.loss_curve_))
    assert kept < epoch
    if kept:
        same = make((30, 30), **{**parameters, "max_iter": kept}).fit(X, y)
        assert not differ(model, same)
    assert np.isfinite(model.predict_proba(X)).all()


def overflowing():
    """Return data, and a model whose first epoch has finite losses and ends with parameters whose scores overflow."""
    generator = np.random.RandomState(0)
    X = generator.randn(200, 20)
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    return X, y, make((30, 30), max_iter=30, learning_rate_init=100, batch_size=50)


@pytest.mark.parametrize("validated", [False, True])
def test_a_network_whose_scores_overflow_is_not_kept(validated):
    X, y, model = overflowing()
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(X, y, **({"X_val": X, "y_val": y} if validated else {}))
    assert np.isfinite(model.predict_proba(X)).all()
    assert np.isfinite(model.validation_loss_curve_ or []).all()


def test_partial_fit_does_not_keep_a_network_whose_scores_overflow():
    X, y, model = overflowing()
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.partial_fit(X, y, classes=[0, 1, 2])
    assert np.isfinite(model.predict_proba(X)).all()
    assert model.loss_curve_ == []


def test_rows_whose_scores_overflow_have_no_prediction():
    X, y = make_data()
    model = make(max_iter=2).fit(X, y)
    for predict in (model.predict, model.predict_proba):
        with pytest.raises(ValueError, match=r'X has rows whose scores overflow float32.*dtype="float64"'):
            predict(X * 1e300)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "score"])
def test_arguments_come_in_the_order_of_scikit_learn(method):
    ours, theirs = (
        list(inspect.signature(getattr(kind, method)).parameters) for kind in (MLPClassifier, ScikitLearnMLPClassifier)
    )
    assert ours[: len(theirs)] == theirs


@pytest.mark.parametrize(("n", "batch_size", "sizes"), [(402, 200, [134] * 3), (400, 200, [200] * 2), (3, 2, [3])])
def test_normalised_batches_are_of_equal_size(monkeypatch, n, batch_size, sizes):
    taken, step = [], MomentumDescent.step

    def watch(self, examples, rows, *arguments, **options):
        taken.append(rows)
        return step(self, examples, rows, *arguments, **options)

    monkeypatch.setattr(MomentumDescent, "step", watch)
    X, y = make_data(2, n=n, d=3)
    make(batch_norm="hidden", batch_size=batch_size, max_iter=1).fit(X, y)
    assert [len(rows) for rows in taken] == sizes
    assert sorted(np.concatenate(taken)) == list(range(n))


def test_normalised_batches_need_two_rows():
    X, y = make_data(2, n=10, d=3)
    with pytest.raises(ValueError, match="batch_size must be at least 2 with batch_norm='hidden', got 1"):
        make(batch_norm="hidden", batch_size=1).fit(X, y)
    with pytest.raises(ValueError, match="batch_norm='input' needs at least 2 rows to train on, got 1"):
        make(batch_norm="input").partial_fit(X[:1], y[:1], classes=[0, 1])


def test_a_run_that_diverges_at_once_keeps_what_it_began_with():
    X, y = make_data()
    model = make(learning_rate_init=1e30, dtype="float64", batch_size=5, max_iter=3)
    with pytest.warns(ConvergenceWarning, match=r"in epoch 1\. The parameters kept are those that it began with"):
        model.fit(X, y)
    assert (model.n_iter_, model.loss_curve_) == (0, [])
    assert_same_network(model, draw_initial((7,), X, y, batch_size=5))
    assert np.isfinite(model.predict_proba(X)).all()


def test_partial_fit_recovers_from_a_call_that_diverged():
    X, y = make_data()
    model = make(batch_size=5).partial_fit(X, y, classes=[0, 1, 2])
    before = model.predict_proba(X)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.set_params(learning_rate_init=1e25).partial_fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert len(model.loss_curve_) == 1
    for _ in range(5):
        model.set_params(learning_rate_init=0.05).partial_fit(X, y)
    assert model.loss_curve_[-1] < model.loss_curve_[0]


@pytest.fixture
def interrupt_after(monkeypatch):
    """Set after how many batches Ctrl-C is pressed."""

    def set_batches(n_batches):
        step, calls = MomentumDescent.step, []

        def interrupt(*arguments, **options):
            calls.append(1)
            if len(calls) > n_batches:
                raise KeyboardInterrupt
            return step(*arguments, **options)

        monkeypatch.setattr(MomentumDescent, "step", interrupt)

    return set_batches


@pytest.mark.parametrize("parameters", [{}, {"batch_norm": "both", "dropout": 0.2}], ids=str)
def test_ctrl_c_keeps_the_last_whole_epoch(interrupt_after, parameters):
    X, y = make_data()
    expected = make(batch_size=30, max_iter=4, **parameters).fit(X, y)
    # Three batches an epoch.
    interrupt_after(4 * 3 + 2)
    model = make(batch_size=30, max_iter=20, **parameters)
    with pytest.warns(UserWarning, match="Ctrl-C ended the training after 4 whole epochs"):
        model.fit(X, y)
    assert model.interrupted_
    assert not expected.interrupted_
    assert model.n_iter_ == 4
    assert_same_bits(model, expected)


@pytest.mark.parametrize("fitted", [False, True])
def test_ctrl_c_in_the_first_epoch_leaves_the_estimator_as_it_was(interrupt_after, fitted):
    X, y = make_data()
    model = make()
    if fitted:
        model.fit(*make_data(2, d=3))
    before = dict(vars(model))
    interrupt_after(2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert_unchanged(model, before)


def test_numbers_beyond_float32_diverge_with_a_warning():
    X, y = make_data()
    with pytest.warns(ConvergenceWarning, match="diverged.* scale X"):
        make().fit(X * 1e200, y)
