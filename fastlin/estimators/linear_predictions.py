"""Predictions of fitted linear classifiers: decision values, classes, probabilities and scores."""

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
from fastlin.containers.fitted import as_array, check_array, describe_value, require, to_scalar, validate_count
from fastlin.containers.sparse_containers import validate_if_sparse
from fastlin.estimators.columns import iterate_finite_parts, name_coef_columns, validate_categories, validate_matrix
from fastlin.estimators.labels import are_soft_labels, check_nonzero_weights, validate_offset, validate_test_labels
from fastlin.estimators.parameters import limit_jobs
from fastlin.estimators.scikit_learn import BaseEstimator, LinearClassifierMixin, SparseCoefMixin, add_labels_to_scorer
from fastlin.typing import Array, FloatArray, MatrixLike

Output = TypeVar("Output", covariant=True)
ROWWISE_SCORINGS = "accuracy", "neg_log_loss"


class Prediction(Protocol[Output]):
    """The type of a prediction method, which returns an array or, for Blocks, an iterator of arrays."""

    @overload
    def __call__(self, X: Blocks, *, offset: ArrayLike | None = None) -> Iterator[Output]: ...
    @overload
    def __call__(self, X: MatrixLike, *, offset: ArrayLike | None = None) -> Output: ...


def accept_blocks(method: Callable[..., Output]) -> Prediction[Output]:
    """Extend a method for rows in memory to a method that also accepts Blocks."""

    @wraps(method)
    def output(self, X, *, offset=None):
        return self._apply_prediction_method(method, X, offset)

    return cast("Prediction[Output]", output)


class LinearPredictionMixin(LinearClassifierMixin, SparseCoefMixin, BaseEstimator):
    """Mixin with the prediction methods of linear classifiers with `classes_`, `coef_`, `intercept_` and `n_jobs`.

    All methods except `score` return an iterator of arrays for Blocks, and a lazy Dask array for Dask collections.
    """

    classes_: Array
    coef_: FloatArray
    intercept_: FloatArray
    n_features_in_: int
    feature_names_in_: Array
    n_jobs: int | None

    @accept_blocks
    def decision_function(self, X: Any, *, offset: ArrayLike | None = None) -> FloatArray:
        """Compute the decision function ``X coef_' + intercept_ + offset``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            Input data. The classes of `fastlin.dask` also accept Dask arrays and DataFrames.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), or None
            Values that are added to the scores, as in `fit`: one per row for two classes, otherwise one per row and
            class. None means no offsets, even if offsets were used in the fit. If X is a Dask collection, the offsets
            must be a Dask array.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Decision values (linear predictors). For two classes, there is one value per row; if it is above 0, the
            second class is predicted. For multilabel y, the shape is (n_samples, n_labels). If a label was constant in
            the training data, its decision value is this constant, 0 or 1, as in scikit-learn's `OneVsRestClassifier`.
        """
        with limit_jobs(self.n_jobs):
            matrix, _, coef, intercept = self._prepare_scoring(X)
            scores = matrix.compute_scores(coef, intercept)
        scores = scores[:, 0] if scores.shape[1] == 1 else scores
        if offset is not None and is_multilabel(self):
            raise ValueError("offset must be None for a multilabel model.")
        if is_multilabel(self):
            return _fill_constant_labels(self, scores, 0.0, 1.0)
        offsets = validate_offset(offset, len(scores), len(self.classes_))
        if offsets is not None:
            # The offsets are cast, so that the scores keep their dtype.
            scores += offsets.reshape(scores.shape).astype(scores.dtype, copy=False)
        return scores

    @accept_blocks
    def predict(self, X: Any, *, offset: ArrayLike | None = None) -> Array:
        """Predict the class of each row.

        Without offsets, the scores of all rows are never in memory at once.

        Parameters
        ----------
        X, offset : array-like
            Input data and offsets, as in `decision_function`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Predicted class labels or, for multilabel y, zeros and ones of shape (n_samples, n_labels).
        """
        if is_multilabel(self):
            return (self._score(X, offset) > 0).astype(int)
        if offset is not None:
            scores = self._score(X, offset)
            return validate_classes(self)[scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.intp)]
        with limit_jobs(self.n_jobs):
            matrix, classes, coef, intercept = self._prepare_scoring(X)
            return classes[matrix.find_best_class(coef, intercept)]

    @accept_blocks
    def predict_proba(self, X: Any, *, offset: ArrayLike | None = None) -> FloatArray:
        """Predict class probabilities: the logistic function or the softmax of the decision function.

        Parameters
        ----------
        X, offset : array-like
            Input data and offsets, as in `decision_function`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities, with columns in the order of `classes_`. For multilabel y, the probabilities of the labels
            have shape (n_samples, n_labels).
        """
        scores = self._score(X, offset)
        if scores.ndim == 1:
            probabilities = np.empty((len(scores), 2), scores.dtype)
            expit(scores, out=probabilities[:, 1])
            np.subtract(1, probabilities[:, 1], out=probabilities[:, 0])
            return probabilities
        if is_multilabel(self):
            return _fill_constant_labels(self, expit(scores), 0.0, 1.0)
        # scikit-learn's softmax is not used, because of the overhead of its array API dispatch.
        scores -= np.maximum.reduce(scores, axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= np.add.reduce(scores, axis=1, keepdims=True)
        return scores

    @accept_blocks
    def predict_log_proba(self, X: Any, *, offset: ArrayLike | None = None) -> FloatArray:
        """Predict logarithms of class probabilities.

        Parameters
        ----------
        X, offset : array-like
            Input data and offsets, as in `decision_function`.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Log-probabilities, in the order of the columns of `predict_proba`.
        """
        # A logarithm that is computed from the scores is accurate even if the probability rounds to 0 or 1.
        scores = self._score(X, offset)
        if is_multilabel(self):
            return _fill_constant_labels(self, log_expit(scores), -np.inf, 0.0)
        if scores.ndim == 1:
            # Both classes share the term log(1 + exp(-|score|)).
            softplus_term = np.log1p(np.exp(-np.abs(scores)))
            return np.column_stack([-np.maximum(scores, 0) - softplus_term, np.minimum(scores, 0) - softplus_term])
        return log_softmax(scores, axis=1)

    def score(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> float:
        """Return the accuracy on test data, or the subset accuracy for multilabel y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            Test data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            True labels, or soft labels, which may all be 0 or 1. With soft labels, the score of a row is the
            probability of the predicted class. y may be None only if X is a `Blocks` object with labels.
        sample_weight : array-like of shape (n_samples,) or None
            Sample weights. None means the weights in the Blocks, if any, or ones.
        offset : array-like of shape (n_samples,) or (n_samples, n_classes), or None
            Offsets, as in `decision_function`.

        Returns
        -------
        accuracy : float
            Accuracy, from 0 to 1.
        """
        y, sample_weight = validate_test_labels(self, X, y, sample_weight, is_multilabel(self))
        return self._compute_accuracy(X, y, sample_weight, offset)

    def get_feature_names_out(self, input_features: Sequence[str] | Array | None = None) -> Array:
        """Return the names of the columns of `coef_`.

        Parameters
        ----------
        input_features : array-like of shape (n_features,) or None, default=None
            Names of the columns of X; None means `feature_names_in_`, or x0, x1, ... if it does not exist.

        Returns
        -------
        names : ndarray of shape (n_coefficients,)
            Names of numeric columns, and "column_category" for each category of a categorical column.
        """
        check_is_fitted(self)
        if hasattr(self, "categories_"):
            validate_categories(self)
        return name_coef_columns(self, input_features)

    def densify(self) -> Self:
        """Convert `coef_` back to an array after `sparsify`.

        Returns
        -------
        self
            Fitted estimator.
        """
        check_is_fitted(self)
        check_coefficients(self)
        return super().densify()

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags, with support for sparse X and, unless the solver is liblinear, multiclass y."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if getattr(self, "solver", None) == "liblinear":
            tags.classifier_tags.multi_class = False
        return tags

    def _compute_accuracy(self, X, y, sample_weight, offset):
        """Return the accuracy for validated labels and weights."""
        if are_soft_labels(y) and not is_multilabel(self):
            return average(score_rows(self, X, y, "accuracy", offset), sample_weight)
        labels = join_outputs(self.predict(X, **({} if offset is None else {"offset": offset})))
        are_integers = y.dtype.kind in "iub" and labels.dtype.kind in "iub"
        if are_integers and y.shape == labels.shape and y.ndim == 1:
            # This avoids the overhead of scikit-learn's checks.
            return average(labels == y, sample_weight)
        return accuracy_score(y, labels, sample_weight=sample_weight)

    def _score(self, X, offset):
        """Return the decision values; `decision_function` of a user-defined subclass might not accept offsets."""
        return self.decision_function(X) if offset is None else self.decision_function(X, offset=offset)

    def _apply_prediction_method(self, method, X, offset=None):
        """Return the result of a method for X in memory, or an iterator of its results for Blocks."""
        # This avoids the overhead of scikit-learn's check in the usual case.
        if not hasattr(self, "coef_"):
            check_is_fitted(self)
        if isinstance(X, Blocks):
            offsets = None if offset is None else validate_offset(offset, X.shape[0], len(self.classes_))
            parts = [None] * len(X) if offsets is None else np.split(offsets, X.borders[1:-1])
            matrix = validate_matrix(self, X, reset=False, allows_blocks=True)
            check_coefficients(self, X.shape[1])
            blocks = iterate_finite_parts(self, matrix)
            return (method(self, block, offset=part) for block, part in zip(blocks, parts, strict=True))
        return method(self, X, offset=offset)

    def _prepare_scoring(self, X):
        """Return X as a matrix, the classes, the coefficients in the dtype of the scores, and the intercept."""
        matrix = validate_matrix(self, X, reset=False)
        classes, coef, intercept = validate_coefficients(self, matrix.shape[1])
        dtype = np.float32 if matrix.dtype == coef.dtype == np.float32 else np.float64
        return matrix, classes, coef.astype(dtype, copy=False), intercept


def _fill_constant_labels(model, output, value_of_constant_zero, value_of_constant_one):
    """Fill the columns of an output (n, n_labels) whose labels were constant (0 or 1) in the training data."""
    intercept = as_array("intercept_", model.intercept_)
    output[:, intercept == -np.inf], output[:, intercept == np.inf] = value_of_constant_zero, value_of_constant_one
    return output


def score_rows(model: Any, X: Any, y: Array, scoring: str, offset: ArrayLike | None = None) -> FloatArray:
    """Return the score of a fitted model on each row; the mean score is the accuracy or the negative log loss."""
    # The prediction methods of user-defined subclasses might not accept offsets.
    options = {} if offset is None else {"offset": offset}
    classes = model.classes_
    if are_soft_labels(y):
        if y.shape[1] != len(classes):
            raise ValueError(f"y must have a column for each of the {len(classes)} classes, got the shape {y.shape}.")
        if scoring == "accuracy":
            best = np.searchsorted(classes, join_outputs(model.predict(X, **options)))
            return np.take_along_axis(y, best[:, None], axis=1)[:, 0]
        log_probabilities = _compute_logarithms(join_outputs(model.predict_proba(X, **options)))
        return np.einsum("ik,ik->i", y, log_probabilities, dtype=np.float64)
    if scoring == "accuracy":
        return join_outputs(model.predict(X, **options)) == y
    labels = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    if (classes[labels] != y).any():
        unseen_label = y[classes[labels] != y].tolist()[0]
        raise ValueError(f"y contains the label {unseen_label!r}, which is not one of the classes of the model.")
    return _compute_logarithms(join_outputs(model.predict_proba(X, **options))[np.arange(len(labels)), labels])


class ScoredRows(NamedTuple):
    """Test rows of a fold, or validation rows, with their labels."""

    X: Any  # an array, a sparse matrix, the matrix of a table, or Blocks
    y: np.ndarray
    classes: np.ndarray
    offsets: ArrayLike | None
    params: Mapping[str, Any]  # metadata of the rows for the scorer
    matrix: Any = None  # X as a matrix, for a validation set
    weights: Any = None  # of a validation set, not scaled

    def score(self, model: Any, scoring: Any) -> float:
        """Return the score of a model for the parameter `scoring`."""
        from fastlin.matrices import as_matrix

        name = find_rowwise_scoring(scoring, self.y, self.offsets)
        if name is not None:
            # This avoids scikit-learn's checks, which would take most of the time of small searches
            # (docs/benchmarks/design-choices.md: scores of small folds).
            rows = as_matrix(self.X) if isinstance(self.X, np.ndarray) else self.X
            return average(score_rows(model, rows, self.y, name, self.offsets), self.params.get("sample_weight"))
        # All classes are passed to the scorer, because the rows might lack some of them.
        scorer = add_labels_to_scorer(get_scorer(scoring), self.classes)
        scored_model = join_block_outputs(model) if isinstance(self.X, Blocks) else model
        result = scorer(scored_model, self.X, self.y, **self.params)
        score = to_scalar(result)
        if score is None:
            raise ValueError(f"scoring must return one number, a float, got {describe_value(result)} from {scoring!r}.")
        return score


def average(scores: Array, weights: Any) -> float:
    """Return the mean of the row scores, weighted unless `weights` is None."""
    if weights is not None:
        check_nonzero_weights(weights)
    return float(np.average(scores.astype(np.float64), weights=weights))


def find_rowwise_scoring(scoring: Any, y: Any, offset: Any) -> str | None:
    """Return the name of a scorer in ROWWISE_SCORINGS, or None for other scorers.

    Raise a ValueError if another scorer is combined with an offset or soft labels.
    """
    name = "accuracy" if scoring is None else scoring
    if isinstance(name, str) and name in ROWWISE_SCORINGS:
        return name
    if offset is not None or are_soft_labels(y):
        raise ValueError(
            f"scoring must be 'accuracy', 'neg_log_loss' or None with "
            f"{'soft labels' if offset is None else 'an offset'}, which other scorers do not support, got {scoring!r}."
        )
    return None


def join_block_outputs(model: Any) -> Any:
    """Return a shallow copy of a fitted model whose predictions for Blocks are single arrays, as scorers expect."""
    model_with_joined_outputs = copy(model)
    model_with_joined_outputs._apply_prediction_method = lambda method, X, offset=None: join_outputs(
        model._apply_prediction_method(method, X, offset)
    )
    return model_with_joined_outputs


def join_outputs(output: Any) -> Array:
    """Return the output of a prediction method, an array or an iterator of arrays, as one array."""
    return output if isinstance(output, np.ndarray) else np.concatenate(list(output))


def _compute_logarithms(probabilities):
    # Probabilities are clipped as in scikit-learn's log_loss.
    smallest = np.finfo(probabilities.dtype).eps
    return np.log(np.clip(probabilities, smallest, 1 - smallest))


def validate_coefficients(
    model: Any, n_features: int | None = None, classes: Array | None = None
) -> tuple[Array, FloatArray, FloatArray]:
    """Return the validated `classes_`, dense `coef_` and `intercept_` of a fitted linear model."""
    classes, coef, intercept = check_coefficients(model, n_features, classes)
    return classes, coef.toarray() if sparse.issparse(coef) else coef, intercept


def check_coefficients(
    model: Any, n_features: int | None = None, classes: Array | None = None
) -> tuple[Array, Any, FloatArray]:
    """Return the same values as `validate_coefficients`, except that sparse coefficients remain sparse."""
    n_features = _count_features(model) if n_features is None else n_features
    indicators = is_multilabel(model)
    if classes is None:
        classes = model.classes_ if indicators else validate_classes(model)
    n_rows = 1 if len(classes) == 2 and not indicators else len(classes)
    reason = f", for {len(classes)} {'labels' if indicators else 'classes'} and {n_features} features"
    # The index arrays are validated, because SciPy does not check their bounds.
    values = validate_if_sparse(model.coef_, "coef_")
    coef = values if sparse.issparse(values) else as_array("coef_", values)
    check_array("coef_", coef, (n_rows, n_features), reason)
    intercept = as_array("intercept_", model.intercept_)
    # The intercept of a binary model may be a scalar.
    intercept = intercept if intercept.ndim else intercept.reshape(1)
    return classes, coef, check_array("intercept_", intercept, (n_rows,), reason)


def is_multilabel(model: Any) -> bool:
    """Return whether a fitted model is multilabel; `classes_` are then the column indices of the labels."""
    return getattr(model, "multilabel_", False) is True


def validate_classes(model: Any) -> Array:
    """Return the validated `classes_` of a model: at least two classes."""
    if is_multilabel(model):
        raise ValueError(
            f"The model was fitted to multilabel y with {len(model.classes_)} labels, which is not supported here; fit "
            "a separate model to a single column of y."
        )
    classes = as_array("classes_", model.classes_)
    is_valid = classes.ndim == 1 and len(classes) > 1
    require(is_valid, "classes_", "be a 1-D array of at least two classes", classes)
    if classes.dtype.kind == "U" and classes.tobytes() and np.array(classes, "=U").view(np.uint32).max() > 0x10FFFF:
        raise ValueError("classes_ must contain Unicode strings, got a code point above 0x10FFFF")
    return classes


def _count_features(model):
    """Return the number of columns of `coef_`, from validated `categories_` and `n_features_in_`."""
    if not hasattr(model, "categories_"):
        return validate_count("n_features_in_", model.n_features_in_)
    return sum(1 if categories is None else len(categories) for categories in validate_categories(model))
