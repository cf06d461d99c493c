"""The races of predictions: the probabilities of one row, of a million rows and of frames, beside scikit-learn's.

Both models have the same coefficients, so that their probabilities have to be the same.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

import fastlin
from benchmarks.data import draw_frame
from benchmarks.problems import Scores
from benchmarks.races import FASTLIN, Race, Rule
from benchmarks.scaling import BASE, make_problem

N_FITTED, N_ROWS, N_FRAME_ROWS, N_FEATURES = 1_000, 1_000_000, 100_000, 20
# The relative difference of the log losses.
ALLOWED = 1e-10
PEER = "scikit-learn"


@dataclass(frozen=True, eq=False)
class Prediction:
    """Rows and two models, which are solved by the probabilities of the rows, of shape (n, K).

    Attributes
    ----------
    X : ndarray or csr_matrix of shape (n, d)
        The rows, one-hot where they are a frame with categories.
    y : ndarray of shape (n,), int64
        Their classes, from 0 on.
    n_classes : int
        The number of classes.
    rows : ndarray or DataFrame of n rows
        What the models are given.
    models : dict of str to object
        The model of each contender.
    """

    X: np.ndarray
    y: np.ndarray
    n_classes: int
    rows: object
    models: dict

    def objective(self, probabilities):
        """Return the log loss of the rows."""
        return float(-np.mean(np.log(probabilities[np.arange(len(self.y)), self.y])))

    def accuracy(self, probabilities):
        """Return the part of the rows whose own class has the largest probability."""
        return float(np.mean(probabilities.argmax(axis=1) == self.y))

    def test(self, probabilities):
        """Return the Scores: no model was trained on these rows."""
        return Scores(self.accuracy(probabilities), self.objective(probabilities))


def predict(prediction, name):
    """Return the probabilities by the model of a contender."""
    return (prediction.models[name].predict_proba(prediction.rows),)


def _load(n_rows, n_all, n_classes, as_frame=False):
    n_rows = min(n_rows or n_all, n_all)
    drawn = make_problem(**{**BASE, "n": N_FITTED + n_rows, "d": N_FEATURES, "K": n_classes})
    X, X_train = drawn.X[:n_rows], drawn.X[n_rows:]
    rows = X
    if as_frame:
        import pandas as pd

        rows, X_train = (pd.DataFrame(each).add_prefix("column_") for each in (X, X_train))
    model = fastlin.LogisticRegression().fit(X_train, drawn.y[n_rows:])
    return Prediction(X, drawn.y[:n_rows], n_classes, rows, {FASTLIN: model, PEER: model.to_sklearn()})


def _load_frame(n_rows, n_all):
    fitted = draw_frame(N_FITTED)
    ours = fastlin.LogisticRegression(categorical_features="from_dtype").fit(fitted.frame, fitted.y)
    predicted = draw_frame(n_rows or n_all)
    theirs = fitted.make_pipeline(fastlin.LogisticRegression().fit(fitted.X, fitted.y).to_sklearn())
    # Fitting the pipeline would fit the model again.
    theirs[0].fit(fitted.frame)
    theirs[1].coef_, theirs[1].intercept_ = ours.coef_, ours.intercept_
    return Prediction(predicted.X, predicted.y, 2, predicted.frame, {FASTLIN: ours, PEER: theirs})


def _race(title, load, rows=None, package=""):
    return Race(
        f"probabilities of {title}",
        load,
        partial(predict, name=FASTLIN),
        {PEER: partial(predict, name=PEER)},
        rows=rows,
        rule=Rule(same_steps=ALLOWED),
        package=package,
    )


RACES = {
    "predict-row": _race("one row", partial(_load, n_all=1, n_classes=2)),
    "predict-rows": _race("many rows", partial(_load, n_all=N_ROWS, n_classes=3), rows=100_000),
    "predict-frame": _race(
        "a frame", partial(_load, n_all=N_FRAME_ROWS, n_classes=2, as_frame=True), rows=10_000, package="pandas"
    ),
    "predict-categories": _race(
        "a frame with categories", partial(_load_frame, n_all=N_FRAME_ROWS), rows=10_000, package="pandas"
    ),
}
