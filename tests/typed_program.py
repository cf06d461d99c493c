"""A user's program that never runs. Mypy checks the types that editors infer for its fits and predictions."""

from collections.abc import Iterator
from typing import Any, assert_type

import dask.array
import numpy as np
from numpy.typing import NDArray

import fastlin
import fastlin.dask
from fastlin import LogisticRegression, LogisticRegressionCV, MLPClassifier, blocks, figures, trainers
from fastlin.estimators import RegularizationPath, StabilitySelection
from fastlin.typing import Array, FloatArray, IntArray

Labels = NDArray[Any]
Floats = NDArray[np.floating[Any]]


def fit_linear_models(X: NDArray[np.float64], y: NDArray[np.int64]) -> None:
    model = LogisticRegression(C=0.1, solver="newton-cg", class_weight={0: 1.0, 1: 2.0})
    assert_type(model.fit(X, y), LogisticRegression)
    assert_type(LogisticRegression().fit(X.tolist(), ["a", "b"]).predict([[1.0]]), Labels)
    assert_type(model.predict_proba(X), Floats)
    assert_type(model.fit(X, X, offset=X[:, 0], classes=["a", "b"]), LogisticRegression)
    assert_type(model.decision_function(X, offset=X[:, 0]), Floats)
    assert_type(model.score(X, y), float)
    assert_type(model.coef_, FloatArray)
    assert_type(model.certificate_, float)
    assert_type(model.history_[0].objective, float)
    assert_type(model.get_feature_names_out(["a", "b"]), Array)
    assert_type(LogisticRegressionCV(Cs=[0.1, 1.0], l1_ratios=(0,)).fit(X, y), LogisticRegressionCV)
    assert_type(fastlin.logistic_path(X, y, Cs=5), RegularizationPath)
    assert_type(fastlin.stability_selection(model, X, y, n_selected=5), StabilitySelection)
    # Mypy must report these mistakes. Otherwise, warn_unused_ignores reports the comments.
    LogisticRegression(solver="newton")  # type: ignore[arg-type]
    LogisticRegression(penalty="l3")  # type: ignore[arg-type]
    LogisticRegression(1.0, 2.0)  # type: ignore[arg-type, call-arg]
    fastlin.LogisticRegresion()  # type: ignore[attr-defined]


def fit_blocks(X: NDArray[np.float64], y: NDArray[np.int64]) -> None:
    rows = blocks.from_arrays([X, X], y)
    assert_type(rows, blocks.Blocks)
    model = LogisticRegression().fit(rows)
    assert_type(model.predict(rows), Iterator[Labels])
    assert_type(model.predict_log_proba(rows), Iterator[Floats])


def fit_collections(X: dask.array.Array, y: dask.array.Array) -> None:
    model = fastlin.dask.LogisticRegression().fit(X, y)
    assert_type(model, fastlin.dask.LogisticRegression)
    assert_type(model.predict(X), dask.array.Array)
    assert_type(model.predict(np.zeros((1, 2))), Labels)


def fit_networks(X: NDArray[np.float32], y: NDArray[np.int64]) -> None:
    network = MLPClassifier((100, 50), init="he", batch_norm="hidden").fit(X, y, X_val=X, y_val=y)
    assert_type(network, MLPClassifier)
    assert_type(network.predict_proba(X), Floats)
    assert_type(network.loss_curve_, list[float])
    assert_type(network.validation_scores_, list[float] | None)
    model = fastlin.MiniBatchLogisticRegression(n_iter_no_change=np.inf)
    assert_type(model.partial_fit(X, y, classes=[0, 1]), fastlin.MiniBatchLogisticRegression)
    assert_type(model.fit_batches([(X, y), (X, y)]), fastlin.MiniBatchLogisticRegression)
    assert_type(fastlin.TwoLayerNet(4, 10, 3).predict(X), IntArray)


def train_softmax_trainer() -> None:
    data = fastlin.datasets.load_digits()
    assert_type(data.X_train, np.ndarray)
    X, Y = trainers.pre_process_images(data.X_train), trainers.one_hot_encode(data.y_train, 10)
    model = trainers.SoftmaxModel(0.1, half=False, n_inputs=X.shape[1])
    train, _ = trainers.SoftmaxTrainer(model, 0.01, 32, True, X, Y, X, Y).train(1)
    assert_type(train, dict[str, dict[int, float]])
    figures.plot_history(train["loss"])


class OwnModel:
    # A student's own model needs no base class.
    def __init__(self) -> None:
        self.w = np.zeros((3, 1))
        self.grad: Any = None

    def forward(self, X: Array) -> FloatArray:
        return np.asarray(X @ self.w)

    def backward(self, X: Array, outputs: FloatArray, targets: Array) -> None:
        self.grad = X.T @ (outputs - targets)


def train_plot_and_resume(X: FloatArray, y: NDArray[np.int64], path: str) -> MLPClassifier:
    trainers.LogisticTrainer(OwnModel(), 0.1, 2, False, X, X, X, X)
    figures.plot_path(fastlin.logistic_path(X, y), feature_names=["a", "b"])
    figures.plot_scores(LogisticRegressionCV(use_legacy_attributes=False).fit(X, y))
    try:
        return MLPClassifier().fit(X, y, resume=path)
    except fastlin.exceptions.CheckpointError:
        return MLPClassifier().fit(X, y, save_checkpoint=path)
