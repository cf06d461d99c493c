"""Comparisons of predictions for one row, a million rows and DataFrames, from models with equal coefficients."""

from dataclasses import dataclass
from functools import partial

import numpy as np

import fastlin
from benchmarks.comparisons import FASTLIN, Comparison, ComparisonRule
from benchmarks.data import make_one_hot_pipeline, simulate_dataframe
from benchmarks.problems import LogLossProblem
from benchmarks.scaling import BASE_SETTINGS, make_problem

N_TRAINING_ROWS, N_ROWS, N_DATAFRAME_ROWS, N_FEATURES = 1_000, 1_000_000, 100_000, 20
SAME_STEPS_TOL = 1e-10
BASELINE = "scikit-learn"


@dataclass(frozen=True, eq=False)
class Prediction(LogLossProblem):
    """Test rows. A solution contains probabilities (n, K), which a library's model predicts for `rows`."""

    rows: object = None
    models: dict = None

    def compute_class_scores(self, X, probabilities):
        return np.log(probabilities)


def predict(prediction, name):
    """Return the probabilities that a library's model predicts."""
    return (prediction.models[name].predict_proba(prediction.rows),)


def _load_prediction(n_rows, n_all, n_classes, as_dataframe=False):
    n_rows = min(n_rows or n_all, n_all)
    problem = make_problem(**{**BASE_SETTINGS, "n": N_TRAINING_ROWS + n_rows, "d": N_FEATURES, "K": n_classes})
    X, X_train, y = problem.X[:n_rows], problem.X[n_rows:], problem.y[:n_rows]
    rows = X
    if as_dataframe:
        import pandas as pd

        rows, X_train = (pd.DataFrame(array).add_prefix("column_") for array in (X, X_train))
    model = fastlin.LogisticRegression().fit(X_train, problem.y[n_rows:])
    return Prediction(X, y, X, y, n_classes, rows, {FASTLIN: model, BASELINE: model.to_sklearn()})


def _load_dataframe(n_rows, n_all):
    training_problem, prediction_problem = simulate_dataframe(N_TRAINING_ROWS), simulate_dataframe(n_rows, n_all)
    fastlin_model = fastlin.LogisticRegression(categorical_features="from_dtype").fit(
        training_problem.other_inputs, training_problem.y
    )
    baseline_model = make_one_hot_pipeline(
        fastlin.LogisticRegression().fit(training_problem.X, training_problem.y).to_sklearn()
    )
    # Only the encoder is fitted, because fitting the pipeline would refit the model.
    baseline_model[0].fit(training_problem.other_inputs)
    baseline_model[1].coef_, baseline_model[1].intercept_ = fastlin_model.coef_, fastlin_model.intercept_
    X, y = prediction_problem.X, prediction_problem.y
    return Prediction(
        X, y, X, y, 2, prediction_problem.other_inputs, {FASTLIN: fastlin_model, BASELINE: baseline_model}
    )


def _make_comparison(title, load, rows=None, package=""):
    ours, theirs = (partial(predict, name=name) for name in (FASTLIN, BASELINE))
    rule = ComparisonRule(same_steps_tol=SAME_STEPS_TOL)
    return Comparison(f"probabilities of {title}", load, ours, {BASELINE: theirs}, rows, rule=rule, package=package)


LOAD_DATAFRAME = partial(_load_prediction, n_all=N_DATAFRAME_ROWS, n_classes=2, as_dataframe=True)
COMPARISONS = {
    "predict-row": _make_comparison("one row", partial(_load_prediction, n_all=1, n_classes=2)),
    "predict-rows": _make_comparison("many rows", partial(_load_prediction, n_all=N_ROWS, n_classes=3), 100_000),
    "predict-dataframe": _make_comparison("a DataFrame", LOAD_DATAFRAME, 10_000, "pandas"),
    "predict-categories": _make_comparison(
        "a DataFrame with categories", partial(_load_dataframe, n_all=N_DATAFRAME_ROWS), 10_000, "pandas"
    ),
}
