"""scikit-learn's callbacks: every solver passes them its state and stops on request."""

import warnings
from collections import Counter
from functools import partial

import numpy as np
import pytest
from conftest import assert_raises, load_standardized, make_problem, mark_params, requires_scikit_learn
from linear_models import make_cv_model
from reference import objective
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

import fastlin
from fastlin.blocks import from_arrays
from fastlin.callbacks import TimeLimit
from fastlin.estimators import problem

pytestmark = requires_scikit_learn(1, 9)

X, Y = load_standardized(load_iris)
NETWORKS = {
    "adam": {},
    "sgd": {"solver": "sgd", "batch_norm": "both", "dropout": 0.1},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True},
}
make_search = partial(make_cv_model, Cs=[0.1, 10.0], cv=3, l1_ratios=(0.0, 0.5), scoring="accuracy")


class RecordingCallback:
    """A callback that records calls, and can stop the fit or raise an error after an iteration."""

    def __init__(self, stop_iteration=None, error_iteration=None, error=ZeroDivisionError):
        self.stop_iteration, self.error_iteration, self.error = stop_iteration, error_iteration, error
        self.names, self.models = [], []

    def setup(self, estimator, context):
        self.names.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.names.append(f"begin {context.task_name}")
        self.data = X, y, metadata

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.names.append(f"end {context.task_name}")
        if context.task_name == "iteration" and fitted_estimator is not None:
            self.models.append(fitted_estimator)
        if len(self.models) == self.error_iteration:
            raise self.error
        return len(self.models) == self.stop_iteration

    def teardown(self, estimator, context):
        self.names.append("teardown")


def make_wide_data():
    X = sparse.random_array((60, 400), density=0.1, format="csr", rng=0)
    return X, (X @ np.random.default_rng(0).normal(size=400) > 0).astype(int)


# Each case has a function that returns rows and labels, parameters, and the tolerance of the objective.
FITS = {
    "auto": (lambda: (X, Y), {}, 1e-9),
    "lbfgs": (lambda: (X, Y), {"solver": "lbfgs"}, 1e-9),
    "newton-cg": (lambda: (X, Y), {"solver": "newton-cg", "fit_intercept": False}, 1e-9),
    "proximal Newton": (lambda: (X, Y), {"l1_ratio": 1.0}, 1e-9),
    "row space": (make_wide_data, {"C": 10.0}, 1e-9),
    "float32": (lambda: make_problem(1000, 300, 80, np.float32, weighted=False)[:2], {"C": 0.1}, 1e-4),
}


# Compiling kernels for float32 and many classes takes most of a minute.
@pytest.mark.parametrize("name", [*list(FITS)[:-1], *mark_params(pytest.mark.thorough, "float32")])
def test_callbacks_receive_the_model_of_each_iteration(name):
    load, parameters, tolerance = FITS[name]
    X, y = load()
    recorder, weights = RecordingCallback(), np.ones(len(y))
    model = fastlin.LogisticRegression(**parameters).set_callbacks(recorder).fit(X, y, weights)
    n_iter = int(model.n_iter_[0])
    assert n_iter > 1
    iteration = ["begin iteration", "end iteration"]
    assert recorder.names == ["setup", "begin fit", *(n_iter + 1) * iteration, "end fit", "teardown"]
    assert recorder.data[0] is X
    assert recorder.data[1] is y
    np.testing.assert_array_equal(recorder.data[2]["sample_weight"], weights)
    dense = X.toarray() if sparse.issparse(X) else X
    labels, C, ratio = np.searchsorted(model.classes_, y), model.C * len(y), model.l1_ratio
    for iteration_model, record in zip(recorder.models, model.history_, strict=True):
        actual = objective(
            dense, labels, iteration_model.coef_, iteration_model.intercept_, (1 - ratio) / C, l1=ratio / C
        )
        assert float(actual) == pytest.approx(record.objective, rel=tolerance)
        assert set(iteration_model.predict(X)) <= set(y)
    plain = fastlin.LogisticRegression(**parameters).fit(X, y, weights)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    stopped = clone(plain).set_callbacks(RecordingCallback(), RecordingCallback(stop_iteration=1)).fit(X, y, weights)
    assert (stopped.n_iter_[0], len(stopped.history_), stopped.converged_) == (1, 1, False)
    assert stopped.history_[0].objective == pytest.approx(plain.history_[0].objective)
    assert np.isfinite(stopped.certificate_)


def test_callbacks_work_with_blocks():
    rows, recorder = from_arrays(X, Y, rows_per_block=60), RecordingCallback()
    model = fastlin.LogisticRegression().set_callbacks(recorder).fit(rows)
    assert recorder.data[0] is rows
    assert len(recorder.models) == recorder.names.count("end iteration") - 1 == model.n_iter_[0] > 1
    np.testing.assert_array_equal(np.concatenate(list(recorder.models[-1].predict(rows))), model.predict(X))
    for callback in (RecordingCallback(stop_iteration=1), TimeLimit(0)):
        stopped = fastlin.LogisticRegression().set_callbacks(callback).fit(rows)
        assert (stopped.n_iter_[0], stopped.converged_) == (1, False)
        assert stopped.history_[0].objective == model.history_[0].objective
    recorder = RecordingCallback()
    model = make_search(l1_ratios=(0.0,)).set_callbacks(recorder).fit(rows)
    assert [recorder.names.count(f"end {name}") for name in ("fold", "refit", "fit")] == [3, 1, 1]
    n_iter = model.n_iter_.sum()
    assert model.set_callbacks(TimeLimit(0)).fit(rows).n_iter_.sum() < n_iter


def test_callbacks_of_scikit_learn_are_supported():
    from sklearn.callback import ProgressBar, ScoringMonitor

    for model in (fastlin.LogisticRegression(), make_search()):
        monitor = ScoringMonitor(scoring="accuracy")
        model.set_callbacks(monitor, ProgressBar()).fit(X, Y)
        scores = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "iteration"]
        # `n_iter_` does not count the iterations of the last fit of a search.
        assert len(scores) >= model.n_iter_.sum() if hasattr(model, "C_") else len(scores) == model.n_iter_[0]
        assert scores[-1] == model.score(X, Y)
    search = GridSearchCV(fastlin.LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
    assert search.set_callbacks(TimeLimit(0)).fit(X, Y).best_estimator_.n_iter_[0] == 1
    assert search.set_callbacks(TimeLimit(3600)).fit(X, Y).best_estimator_.converged_


def make_network(name, **parameters):
    # No training run converges within this number of epochs.
    model = fastlin.MLPClassifier((5,), max_iter=6, n_iter_no_change=np.inf, tol=0, random_state=0)
    return model.set_params(**NETWORKS[name], **parameters)


@pytest.mark.parametrize("name", NETWORKS)
def test_callbacks_receive_each_epoch_of_a_network(name):
    # A stop on request must not emit a warning. Any warning is an error here.
    stopped = make_network(name, n_iter_no_change=5).set_callbacks(RecordingCallback(stop_iteration=2)).fit(X, Y)
    assert stopped.n_iter_ == len(stopped.loss_curve_) == 2
    stopped = make_network(name, max_iter=1000).set_callbacks(TimeLimit(0)).fit(X, Y)
    assert stopped.n_iter_ == 1 and not stopped.interrupted_
    warnings.filterwarnings("ignore", "lbfgs failed to converge")
    recorder = RecordingCallback()
    model, expected = make_network(name).set_callbacks(recorder).fit(X, Y), make_network(name).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.loss_curve_ == expected.loss_curve_
    epochs = ["begin iteration", "end iteration"] * 7
    assert recorder.names == ["setup", "begin fit", *epochs, "end fit", "teardown"]
    assert [iteration_model.n_iter_ for iteration_model in recorder.models] == [1, 2, 3, 4, 5, 6]
    if name != "early stopping":
        shorter_network = make_network(name, max_iter=3).fit(X, Y)
        np.testing.assert_array_equal(recorder.models[2].predict_proba(X), shorter_network.predict_proba(X))
        np.testing.assert_array_equal(recorder.models[-1].predict(X), model.predict(X))


@pytest.mark.parametrize("refit", [True, False])
def test_callbacks_receive_every_fold_and_its_iterations(refit):
    recorder = RecordingCallback()
    model = make_search(refit=refit).set_callbacks(recorder).fit(X, Y)
    plain = make_search(refit=refit).fit(X, Y)
    np.testing.assert_array_equal(model.coefs_paths_, plain.coefs_paths_)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    begun_fits, ended_fits = (
        [name.split()[1] for name in recorder.names if name.startswith(word)] for word in ("begin", "end")
    )
    counts, n_fits = Counter(begun_fits), 3 * 2 * 2 + refit
    assert counts == Counter(ended_fits)
    assert (counts["fit"], counts["fold"], counts["C"], counts["refit"]) == (1, 6, n_fits, int(refit))
    # Each fit begins one more task after its last iteration, and the task stays empty.
    assert len(recorder.models) + n_fits == counts["iteration"] >= model.n_iter_.sum() + n_fits
    assert recorder.names[0] == "setup" and recorder.names[-2:] == ["end fit", "teardown"]
    assert set(recorder.models[-1].predict(X)) <= set(Y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_callback_stops_the_fits_of_a_cross_validation(n_jobs, monkeypatch):
    monkeypatch.setattr(problem, "MAX_PRODUCTS_OF_SEQUENTIAL_FITS", 0)
    model = make_search(n_jobs=n_jobs).set_callbacks(TimeLimit(0)).fit(X, Y)
    assert (model.n_iter_ == 1).all()
    unlimited_search = make_search(n_jobs=n_jobs).set_callbacks(TimeLimit(3600)).fit(X, Y)
    np.testing.assert_array_equal(unlimited_search.coef_, make_search().fit(X, Y).coef_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("make", "error"),
    [
        (fastlin.LogisticRegression, ZeroDivisionError),
        # This must not be reported as an overflow of X.
        (fastlin.LogisticRegression, OverflowError),
        (lambda: make_network("adam"), ZeroDivisionError),
        (make_search, ZeroDivisionError),
    ],
    ids=["linear", "overflow", "network", "cross-validation"],
)
def test_an_error_of_a_callback_does_not_change_the_estimator(make, error):
    failing_recorder = RecordingCallback(error_iteration=2, error=error)
    model = make().fit(X, Y).set_callbacks(failing_recorder)
    assert_raises(None, model.fit, X[:, :3], Y, error=error)
    assert failing_recorder.names[-1] == "teardown"
    assert model.set_callbacks().fit(X[:, :3], Y).n_features_in_ == 3
