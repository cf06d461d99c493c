"""scikit-learn's callbacks on LogisticRegression: what every solver tells them, and that a fit stops for them."""

import warnings

import numpy as np
import pytest
from conftest import load_scaled, make_problem, marked, since
from linear_models import make_cv
from reference import objective
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import fastlin
from fastlin.blocks import from_arrays
from fastlin.callbacks import TimeLimit
from fastlin.estimators import problem

X, Y = load_scaled(load_iris)

pytestmark = since(1, 9)


class Recorder:
    """A callback that keeps what it is told, and may ask to stop or raise an error at the end of an iteration."""

    def __init__(self, stop_at=None, fail_at=None, error=ZeroDivisionError):
        self.stop_at, self.fail_at, self.error = stop_at, fail_at, error
        self.names, self.models = [], []

    def setup(self, estimator, context):
        self.names.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.names.append(f"begin {context.task_name}")
        self.seen = X, y, metadata

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.names.append(f"end {context.task_name}")
        if context.task_name == "iteration" and fitted_estimator is not None:
            self.models.append(fitted_estimator)
        if len(self.models) == self.fail_at:
            raise self.error
        return len(self.models) == self.stop_at

    def teardown(self, estimator, context):
        self.names.append("teardown")


def wide_data():
    generator = np.random.default_rng(0)
    X = sparse.random_array((60, 400), density=0.1, format="csr", rng=generator)
    return X, (X @ generator.normal(size=400) > 0).astype(int)


FITS = {
    "auto": (lambda: load_scaled(load_iris), {}),
    "lbfgs": (lambda: load_scaled(load_iris), {"solver": "lbfgs"}),
    "newton-cg": (lambda: load_scaled(load_iris), {"solver": "newton-cg", "fit_intercept": False}),
    "proximal Newton": (lambda: load_scaled(load_iris), {"l1_ratio": 1.0}),
    "row space": (wide_data, {"C": 10.0}),
    "float32": (lambda: make_problem(1000, 300, 80, np.float32, weighted=False)[:2], {"C": 0.1}),
}
# Kernels of float32 for many classes take most of a minute of the compiler.
NAMES = [*list(FITS)[:-1], *marked(pytest.mark.thorough, "float32")]


@pytest.mark.parametrize("name", NAMES)
def test_each_iteration_is_told_with_its_model(name):
    load, parameters = FITS[name]
    X, y = load()
    recorder = Recorder()
    model = fastlin.LogisticRegression(**parameters).set_callbacks(recorder).fit(X, y, np.ones(len(y)))
    n_iter = int(model.n_iter_[0])
    assert n_iter > 1
    iteration = ["begin iteration", "end iteration"]
    assert recorder.names == ["setup", "begin fit", *(n_iter + 1) * iteration, "end fit", "teardown"]
    assert recorder.seen[0] is X
    assert recorder.seen[1] is y
    np.testing.assert_array_equal(recorder.seen[2]["sample_weight"], np.ones(len(y)))
    dense = X.toarray() if sparse.issparse(X) else X
    labels = np.searchsorted(model.classes_, y)
    ratio, C = parameters.get("l1_ratio", 0.0), parameters.get("C", 1.0)
    for told, record in zip(recorder.models, model.history_, strict=True):
        found = objective(dense, labels, told.coef_, told.intercept_, (1 - ratio) / C / len(y), l1=ratio / C / len(y))
        assert float(found) == pytest.approx(record.objective, rel=1e-4 if name == "float32" else 1e-9)
        assert set(told.predict(X)) <= set(y)
    plain = fastlin.LogisticRegression(**parameters).fit(X, y, np.ones(len(y)))
    np.testing.assert_array_equal(model.coef_, plain.coef_)


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_stops_where_a_callback_asks(name):
    load, parameters = FITS[name]
    X, y = load()
    # Any warning is an error here: who asks to stop knows of it.
    model = fastlin.LogisticRegression(**parameters).set_callbacks(Recorder(), Recorder(stop_at=1)).fit(X, y)
    assert (model.n_iter_[0], len(model.history_), model.converged_) == (1, 1, False)
    full = fastlin.LogisticRegression(**parameters).fit(X, y)
    assert model.history_[0].objective == pytest.approx(full.history_[0].objective)
    assert np.isfinite(model.certificate_)


def test_fits_of_blocks_are_told_and_stopped():
    rows, recorder = from_arrays(X, Y, rows_per_block=60), Recorder()
    model = fastlin.LogisticRegression().set_callbacks(recorder).fit(rows)
    assert recorder.seen[0] is rows
    assert len(recorder.models) == recorder.names.count("end iteration") - 1 == model.n_iter_[0] > 1
    np.testing.assert_array_equal(np.concatenate(list(recorder.models[-1].predict(rows))), model.predict(X))
    for callback in (Recorder(stop_at=1), TimeLimit(0)):
        stopped = fastlin.LogisticRegression().set_callbacks(callback).fit(rows)
        assert (stopped.n_iter_[0], stopped.converged_) == (1, False)
        assert stopped.history_[0].objective == model.history_[0].objective
    recorder = Recorder()
    model = make_search(l1_ratios=(0.0,)).set_callbacks(recorder).fit(rows)
    assert [recorder.names.count(f"end {name}") for name in ("fold", "refit", "fit")] == [3, 1, 1]
    n_iter = model.n_iter_.sum()
    assert model.set_callbacks(TimeLimit(0)).fit(rows).n_iter_.sum() < n_iter


def test_what_scikit_learn_ships_works():
    from sklearn.callback import ProgressBar, ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    model = fastlin.LogisticRegression().set_callbacks(monitor, ProgressBar()).fit(X, Y)
    scores = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    assert len(scores) == model.n_iter_[0]
    assert scores[-1] == model.score(X, Y)
    monitor = ScoringMonitor(scoring="accuracy")
    make_search().set_callbacks(monitor, ProgressBar()).fit(X, Y)
    assert {row["task_name"] for row in monitor.get_logs().data} >= {"iteration"}


def test_a_time_limit_stops_every_fit_of_a_search():
    grid = {"C": [0.1, 1.0]}
    search = GridSearchCV(fastlin.LogisticRegression(), grid, cv=2).set_callbacks(TimeLimit(0)).fit(X, Y)
    assert search.best_estimator_.n_iter_[0] == 1
    late = clone(search).set_callbacks(TimeLimit(3600)).fit(X, Y)
    plain = GridSearchCV(fastlin.LogisticRegression(), grid, cv=2).fit(X, Y)
    np.testing.assert_array_equal(late.best_estimator_.coef_, plain.best_estimator_.coef_)
    assert late.best_estimator_.converged_


NETWORKS = {
    "adam": {},
    "sgd": {"solver": "sgd", "batch_norm": "both", "dropout": 0.1},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True},
}


def make_network(name, **parameters):
    # No training ends by itself within these epochs.
    return fastlin.MLPClassifier((5,), max_iter=6, n_iter_no_change=np.inf, tol=0, random_state=0).set_params(
        **{**NETWORKS[name], **parameters}
    )


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("name", NETWORKS)
def test_callbacks_see_each_epoch_of_a_network(name):
    recorder = Recorder()
    model = make_network(name).set_callbacks(recorder).fit(X, Y)
    expected = make_network(name).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.loss_curve_ == expected.loss_curve_
    epochs = ["begin iteration", "end iteration"] * 7
    assert recorder.names == ["setup", "begin fit", *epochs, "end fit", "teardown"]
    assert [each.n_iter_ for each in recorder.models] == [1, 2, 3, 4, 5, 6]
    # The model of an epoch is that of a training which ends there.
    if name != "early stopping":
        shorter = make_network(name, max_iter=3).fit(X, Y)
        np.testing.assert_array_equal(recorder.models[2].predict_proba(X), shorter.predict_proba(X))
        np.testing.assert_array_equal(recorder.models[-1].predict(X), model.predict(X))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_callback_stops_a_network_after_the_epoch(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = make_network(name, n_iter_no_change=5).set_callbacks(Recorder(stop_at=2)).fit(X, Y)
        assert model.n_iter_ == len(model.loss_curve_) == 2
        stopped = make_network(name, max_iter=1000).set_callbacks(TimeLimit(0)).fit(X, Y)
    assert stopped.n_iter_ == 1 and not stopped.interrupted_


def make_search(**parameters):
    return make_cv(**{"Cs": [0.1, 10.0], "cv": 3, "l1_ratios": (0.0, 0.5), "scoring": "accuracy", **parameters})


@pytest.mark.parametrize("refit", [True, False])
def test_every_fold_is_told_of_with_its_iterations(refit):
    recorder = Recorder()
    model = make_search(refit=refit).set_callbacks(recorder).fit(X, Y, np.ones(len(Y)))
    plain = make_search(refit=refit).fit(X, Y, np.ones(len(Y)))
    np.testing.assert_array_equal(model.coefs_paths_, plain.coefs_paths_)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    counts = {name: recorder.names.count(f"begin {name}") for name in ("fit", "fold", "C", "refit", "iteration")}
    n_fits = 3 * 2 * 2 + refit
    assert (counts["fit"], counts["fold"], counts["C"], counts["refit"]) == (1, 6, n_fits, int(refit))
    # Behind the last iteration of each fit is an empty task.
    assert len(recorder.models) + n_fits == counts["iteration"] >= model.n_iter_.sum() + n_fits
    assert all(recorder.names.count(f"end {name}") == count for name, count in counts.items())
    assert recorder.names[0] == "setup" and recorder.names[-2:] == ["end fit", "teardown"]
    assert set(recorder.models[-1].predict(X)) <= set(Y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_callback_stops_the_fits_of_a_cross_validation(n_jobs, monkeypatch):
    monkeypatch.setattr(problem, "PRODUCTS_IN_TURN", 0)
    # Any warning is an error here: who asks to stop knows of it.
    model = make_search(n_jobs=n_jobs).set_callbacks(TimeLimit(0)).fit(X, Y)
    assert (model.n_iter_ == 1).all()
    late = make_search(n_jobs=n_jobs).set_callbacks(TimeLimit(3600)).fit(X, Y)
    np.testing.assert_array_equal(late.coef_, make_search().fit(X, Y).coef_)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (fastlin.LogisticRegression, ZeroDivisionError),
        # It is no overflow of X where a callback raises it.
        (fastlin.LogisticRegression, OverflowError),
        (lambda: make_network("adam"), ZeroDivisionError),
        (make_search, ZeroDivisionError),
    ],
    ids=["linear", "overflow", "network", "cross-validation"],
)
def test_an_error_of_a_callback_leaves_the_estimator_as_it_was(make, error):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = make().fit(X, Y)
        failing = Recorder(fail_at=2, error=error)
        model.set_callbacks(failing)
        before = dict(vars(model))
        with pytest.raises(error):
            model.fit(X[:, :3], Y)
        assert failing.names[-1] == "teardown"
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is value for name, value in before.items())
        assert model.set_callbacks().fit(X[:, :3], Y).n_features_in_ == 3
