"""The answers of fitted linear classifiers: scores, classes and probabilities of rows, and their accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from functools import wraps
from typing import Any, NamedTuple, Protocol, Self, TypeVar, cast, overload

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.special import expit, log_expit, log_softmax
from sklearn.metrics import accuracy_score, get_scorer
from sklearn.utils.validation import check_is_fitted

from fastlin.blocks.blocks import Blocks
from fastlin.containers import read_if_sparse
from fastlin.estimators.columns import check_parts, name_features, read_categories, read_matrix
from fastlin.estimators.labels import are_soft, check_nonzero_weights, read_offset, read_scored
from fastlin.estimators.parameters import limit_jobs
from fastlin.estimators.scikit_learn import BaseEstimator, LinearClassifierMixin, SparseCoefMixin, give_labels
from fastlin.fitted import as_array, check_array, describe, read_count, read_scalar, require
from fastlin.typing import Array, FloatArray, MatrixLike

Output = TypeVar("Output", covariant=True)
SCORINGS = "accuracy", "neg_log_loss"


class Prediction(Protocol[Output]):
    """A method that answers for rows at once, or for Blocks one by one."""

    @overload
    def __call__(self, X: Blocks, *, offset: ArrayLike | None = None) -> Iterator[Output]: ...
    @overload
    def __call__(self, X: MatrixLike, *, offset: ArrayLike | None = None) -> Output: ...


def accept_blocks(method: Callable[..., Output]) -> Prediction[Output]:
    """Return a method that answers for rows of any kind, from one that does for rows in memory."""

    @wraps(method)
    def output(self, X, *, offset=None):
        return self._apply_method(method, X, offset)

    return cast("Prediction[Output]", output)


class LinearPredictions(LinearClassifierMixin, SparseCoefMixin, BaseEstimator):
    """The predictions of an estimator with `classes_`, `coef_`, `intercept_` and `n_jobs`.

    For Blocks each method but `score` returns an iterator of arrays, and for Dask's collections a lazy Dask array.
    """

    classes_: Array
    coef_: FloatArray
    intercept_: FloatArray
    n_features_in_: int
    feature_names_in_: Array
    n_jobs: int | None

    @accept_blocks
    def decision_function(self, X: Any, *, offset: ArrayLike | None = None) -> FloatArray:
        """Return the scores ``X coef_' + intercept_ + offset``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            The rows to score; with the classes of `fastlin.dask` also a Dask array or dataframe.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), or None
            What is added to the scores, as `fit` takes it: with three classes and more a number for each class. None
            adds nothing, whatever the fit was given. With a Dask array X it is one too.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes one score a row, which is above 0 where the second class is predicted. Where rows have
            several labels (n_samples, n_labels); a label that was constant in the fit has its value, 0 or 1, as in
            scikit-learn's `OneVsRestClassifier`.
        """
        with limit_jobs(self.n_jobs):
            matrix, _, coef, intercept = self._prepare_scoring(X)
            scores = matrix.compute_scores(coef, intercept)
        scores = scores[:, 0] if scores.shape[1] == 1 else scores
        if offset is not None and is_multilabel(self):
            raise ValueError("offset must be None for a model of several labels a row, which was fitted without.")
        if is_multilabel(self):
            return _fill_constant_labels(self, scores, 0.0, 1.0)
        offsets = read_offset(offset, len(scores), len(self.classes_))
        if offsets is not None:
            # In the type of the scores.
            scores += offsets.reshape(scores.shape).astype(scores.dtype, copy=False)
        return scores

    @accept_blocks
    def predict(self, X: Any, *, offset: ArrayLike | None = None) -> Array:
        """Return the class of the largest score of each row.

        The scores of all rows are never held at once, unless they have offsets.

        Parameters
        ----------
        X, offset : array-like
            The rows to classify and numbers added to their scores, as `decision_function` takes them.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Entries of `classes_`; where rows have several labels 0 or 1 for each, (n_samples, n_labels).
        """
        if is_multilabel(self):
            return (self._score(X, offset) > 0).astype(int)
        if offset is not None:
            scores = self._score(X, offset)
            return read_classes(self)[scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.intp)]
        with limit_jobs(self.n_jobs):
            matrix, classes, coef, intercept = self._prepare_scoring(X)
            return classes[matrix.find_best_class(coef, intercept)]

    @accept_blocks
    def predict_proba(self, X: Any, *, offset: ArrayLike | None = None) -> FloatArray:
        """Return the probability of each class for each row: the logistic function or the softmax of the scores.

        Parameters
        ----------
        X, offset : array-like
            The rows to classify and numbers added to their scores, as `decision_function` takes them.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; where rows have several labels that of each, (n_samples, n_labels).
        """
        scores = self._score(X, offset)
        if scores.ndim == 1:
            probabilities = np.empty((len(scores), 2), scores.dtype)
            expit(scores, out=probabilities[:, 1])
            np.subtract(1, probabilities[:, 1], out=probabilities[:, 0])
            return probabilities
        if is_multilabel(self):
            return _fill_constant_labels(self, expit(scores), 0.0, 1.0)
        # As scikit-learn's softmax, whose look at other array libraries takes 15 microseconds.
        scores -= np.maximum.reduce(scores, axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= np.add.reduce(scores, axis=1, keepdims=True)
        return scores

    @accept_blocks
    def predict_log_proba(self, X: Any, *, offset: ArrayLike | None = None) -> FloatArray:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X, offset : array-like
            The rows to classify and numbers added to their scores, as `decision_function` takes them.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        # A probability that rounds to 0 or 1 has a logarithm all the same.
        scores = self._score(X, offset)
        if is_multilabel(self):
            return _fill_constant_labels(self, log_expit(scores), -np.inf, 0.0)
        if scores.ndim == 1:
            # log(1 + exp(-|score|)) serves both classes.
            distance = np.log1p(np.exp(-np.abs(scores)))
            return np.column_stack([-np.maximum(scores, 0) - distance, np.minimum(scores, 0) - distance])
        return log_softmax(scores, axis=1)

    def score(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> float:
        """Return the part of the rows, or of their weights, whose label is predicted.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            The rows to classify.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Their labels, or soft labels as `fit` takes them, which may all be 0 or 1: then a row counts by the
            probability of the class that is predicted. Of several labels a row all have to be right. None only where X
            is Blocks that hold them.
        sample_weight : array-like of shape (n_samples,) or None
            Their weights; None means those that Blocks hold, or ones.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), or None
            Numbers added to the scores, as in `decision_function`.

        Returns
        -------
        accuracy : float
            From 0 to 1.
        """
        y, sample_weight = read_scored(self, X, y, sample_weight, is_multilabel(self))
        return self._find_accuracy(X, y, sample_weight, offset)

    def get_feature_names_out(self, input_features: Sequence[str] | Array | None = None) -> Array:
        """Return the names of the columns of `coef_`.

        Parameters
        ----------
        input_features : array-like of shape (n_features,) or None, default=None
            The names of the columns of X; None means the fit's names, or x0, x1, ... if it had none.

        Returns
        -------
        names : ndarray of shape (n_coefficients,)
            The name of the column, and for a level of a categorical column "column_level".
        """
        check_is_fitted(self)
        if hasattr(self, "categories_"):
            read_categories(self)
        return name_features(self, input_features)

    def densify(self) -> Self:
        """Make coefficients that `sparsify` has made sparse an array again.

        Returns
        -------
        self
            The fitted estimator.
        """
        check_is_fitted(self)
        check_coefficients(self)
        return super().densify()

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: sparse X is accepted, and more than two classes but with liblinear's name."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if getattr(self, "solver", None) == "liblinear":
            tags.classifier_tags.multi_class = False
        return tags

    def _find_accuracy(self, X, y, sample_weight, offset):
        """Return what `score` does, for labels and weights that have been read."""
        if are_soft(y) and not is_multilabel(self):
            return average(score_rows(self, X, y, "accuracy", offset), sample_weight)
        labels = join(self.predict(X, **({} if offset is None else {"offset": offset})))
        are_whole = y.dtype.kind in "iub" and labels.dtype.kind in "iub"
        if are_whole and y.shape == labels.shape and y.ndim == 1:
            # scikit-learn's checks take 0.4 milliseconds.
            return average(labels == y, sample_weight)
        return accuracy_score(y, labels, sample_weight=sample_weight)

    def _score(self, X, offset):
        """Return the scores of rows in memory; a subclass that overrides their method need not know of offsets."""
        return self.decision_function(X) if offset is None else self.decision_function(X, offset=offset)

    def _apply_method(self, method, X, offset=None):
        """Return a method's answer for X in memory, or an iterator of its answers for the blocks."""
        # scikit-learn's own check takes five microseconds.
        if not hasattr(self, "coef_"):
            check_is_fitted(self)
        if isinstance(X, Blocks):
            offsets = None if offset is None else read_offset(offset, X.shape[0], len(self.classes_))
            parts = [None] * len(X) if offsets is None else np.split(offsets, X.borders[1:-1])
            matrix = read_matrix(self, X, reset=False, takes_blocks=True)
            check_coefficients(self, X.shape[1])
            blocks = check_parts(self, matrix)
            return (method(self, block, offset=part) for block, part in zip(blocks, parts, strict=True))
        return method(self, X, offset=offset)

    def _prepare_scoring(self, X):
        """Return X as a matrix, the classes, and coefficients and intercept in the types that scores come from."""
        matrix = read_matrix(self, X, reset=False)
        classes, coef, intercept = read_coefficients(self, matrix.shape[1])
        dtype = np.float32 if matrix.dtype == coef.dtype == np.float32 else np.float64
        return matrix, classes, coef.astype(dtype, copy=False), intercept


def _fill_constant_labels(model, output, of_zero, of_one):
    """Fill the columns of an answer (n, n_labels) whose labels were constant in the fit: all zeros, or all ones."""
    intercept = as_array("intercept_", model.intercept_)
    output[:, intercept == -np.inf], output[:, intercept == np.inf] = of_zero, of_one
    return output


def score_rows(model: Any, X: Any, y: Array, scoring: str, offset: ArrayLike | None = None) -> FloatArray:
    """Return the score of each row, (m,), by a fitted model; their mean is the accuracy or the negative log loss."""
    # A user's subclass may predict without offsets.
    given = {} if offset is None else {"offset": offset}
    classes = model.classes_
    if are_soft(y):
        if y.shape[1] != len(classes):
            raise ValueError(f"y must have a column for each of the {len(classes)} classes, got the shape {y.shape}.")
        if scoring == "accuracy":
            best = np.searchsorted(classes, join(model.predict(X, **given)))
            return np.take_along_axis(y, best[:, None], axis=1)[:, 0]
        logarithms = _find_logarithms(join(model.predict_proba(X, **given)))
        return np.einsum("ik,ik->i", y, logarithms, dtype=np.float64)
    if scoring == "accuracy":
        return join(model.predict(X, **given)) == y
    labels = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    if (classes[labels] != y).any():
        raise ValueError(f"y has the label {y[classes[labels] != y].tolist()[0]!r}, which the model does not know.")
    return _find_logarithms(join(model.predict_proba(X, **given))[np.arange(len(labels)), labels])


class ScoredRows(NamedTuple):
    """Rows that models are scored on, and their labels."""

    X: Any  # rows of numbers, a table's matrix or Blocks
    y: np.ndarray
    classes: np.ndarray
    offsets: ArrayLike | None
    params: Mapping[str, Any]  # metadata of the rows for the scorer
    matrix: Any = None  # of a given validation set
    weights: Any = None  # of a given validation set, as they were given

    def score(self, model: Any, scoring: Any) -> float:
        """Return the score of a model by the parameter `scoring`."""
        from fastlin.matrices import as_matrix

        name = check_row_scoring(scoring, self.y, self.offsets)
        if name is not None:
            # scikit-learn's checks take most of the time of small searches: 8 milliseconds a score of 83 rows.
            rows = as_matrix(self.X) if isinstance(self.X, np.ndarray) else self.X
            return average(score_rows(model, rows, self.y, name, self.offsets), self.params.get("sample_weight"))
        # The rows need not hold every class.
        scorer = give_labels(get_scorer(scoring), self.classes)
        found = scorer(
            join_block_outputs(model) if isinstance(self.X, Blocks) else model, self.X, self.y, **self.params
        )
        score = read_scalar(found)
        if score is None:
            raise ValueError(f"scoring must return one number, a float, got {describe(found)} from {scoring!r}.")
        return score


def average(scores: Array, weights: Any) -> float:
    """Return the mean of the scores of rows, by their weights if there are any."""
    if weights is not None:
        check_nonzero_weights(weights)
    return float(np.average(scores.astype(np.float64), weights=weights))


def check_row_scoring(scoring: Any, y: Any, offset: Any) -> str | None:
    """Return which of SCORINGS `scoring` names, or None; no other scorer sees offsets and soft labels."""
    name = "accuracy" if scoring is None else scoring
    if isinstance(name, str) and name in SCORINGS:
        return name
    if offset is not None or are_soft(y):
        raise ValueError(
            f"scoring must be 'accuracy', 'neg_log_loss' or None for rows with "
            f"{'soft labels' if offset is None else 'an offset'}, which no other scorer sees, got {scoring!r}."
        )
    return None


def join_block_outputs(model: Any) -> Any:
    """Return a shallow copy of a fitted model that answers for Blocks with one array, as scorers want it."""
    joined = copy(model)
    joined._apply_method = lambda method, X, offset=None: join(model._apply_method(method, X, offset))
    return joined


def join(output: Any) -> Array:
    """Return an answer for rows, or those for Blocks, as one array."""
    return output if isinstance(output, np.ndarray) else np.concatenate(list(output))


def _find_logarithms(probabilities):
    # As in scikit-learn's log_loss.
    smallest = np.finfo(probabilities.dtype).eps
    return np.log(np.clip(probabilities, smallest, 1 - smallest))


def read_coefficients(
    model: Any, n_features: int | None = None, classes: Array | None = None
) -> tuple[Array, FloatArray, FloatArray]:
    """Return `classes_`, `coef_` (K, n_features) and `intercept_` (K,) of a fitted linear model, for kernels."""
    classes, coef, intercept = check_coefficients(model, n_features, classes)
    return classes, coef.toarray() if sparse.issparse(coef) else coef, intercept


def check_coefficients(
    model: Any, n_features: int | None = None, classes: Array | None = None
) -> tuple[Array, Any, FloatArray]:
    """Return what `read_coefficients` does; coefficients that `sparsify` has made sparse stay so."""
    n_features = _count_features(model) if n_features is None else n_features
    indicators = is_multilabel(model)
    if classes is None:
        classes = model.classes_ if indicators else read_classes(model)
    n_rows = 1 if len(classes) == 2 and not indicators else len(classes)
    reason = f", for {len(classes)} {'labels' if indicators else 'classes'} and {n_features} features"
    # SciPy would read where broken index arrays point.
    given = read_if_sparse(model.coef_, "coef_")
    coef = given if sparse.issparse(given) else as_array("coef_", given)
    check_array("coef_", coef, (n_rows, n_features), reason)
    intercept = as_array("intercept_", model.intercept_)
    # A model of two classes may have a number.
    intercept = intercept if intercept.ndim else intercept.reshape(1)
    return classes, coef, check_array("intercept_", intercept, (n_rows,), reason)


def is_multilabel(model: Any) -> bool:
    """Say whether a fitted model predicts several labels a row, whose numbers are `classes_` then."""
    return getattr(model, "multilabel_", False) is True


def read_classes(model: Any) -> Array:
    """Return `classes_` of a model, (n_classes,), at least two."""
    if is_multilabel(model):
        raise ValueError(
            f"This model was fitted to {len(model.classes_)} labels a row, and this needs one label a row: fit a model "
            "of its own to the column of y."
        )
    classes = as_array("classes_", model.classes_)
    is_right = classes.ndim == 1 and len(classes) > 1
    require(is_right, "classes_", "hold at least two classes in one dimension", classes)
    if classes.dtype.kind == "U" and classes.tobytes() and np.array(classes, "=U").view(np.uint32).max() > 0x10FFFF:
        raise ValueError("classes_ must hold texts of Unicode, got a character beyond its last one")
    return classes


def _count_features(model):
    """Return how many columns `coef_` of a model must have, after a check of `categories_` and `n_features_in_`."""
    if not hasattr(model, "categories_"):
        return read_count("n_features_in_", model.n_features_in_)
    return sum(1 if levels is None else len(levels) for levels in read_categories(model))
