"""LogisticRegression and LogisticRegressionCV for Dask arrays and DataFrames: fits, lazy predictions, inference."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, overload

import dask
import dask.array
import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.validation import check_is_fitted

from fastlin.dask.collections import is_dask_collection, list_column_names, list_partitions, read_rows, rechunk_like
from fastlin.dask.partitions import fit_on_workers
from fastlin.dask.shard import average_scores, sum_scores
from fastlin.estimators import LogisticRegression as LocalLogisticRegression
from fastlin.estimators import LogisticRegressionCV as LocalLogisticRegressionCV
from fastlin.estimators.columns import check_features
from fastlin.estimators.labels import check_offset_shape, validate_test_labels, validate_weights
from fastlin.estimators.linear_predictions import ROWWISE_SCORINGS, check_coefficients
from fastlin.estimators.parameters import limit_jobs, resolve_scoring
from fastlin.kernels.machine.threads import limit_threads
from fastlin.objective.rows import make_samples
from fastlin.typing import Array, FloatArray, MatrixLike

if TYPE_CHECKING:
    import distributed

    from fastlin.blocks.blocks import Blocks
    from fastlin.dask.collections import DaskCollection
    from fastlin.estimators.logistic_regression import PenalizedClassifier as _PenalizedClassifierBase
    from fastlin.inference import Bootstrap, Inference

    Result = TypeVar("Result", covariant=True)

    class Prediction(Protocol[Result]):
        """A method that returns an array for rows in memory, an iterator for Blocks, or a Dask array."""

        @overload
        def __call__(self, X: Blocks, *, offset: ArrayLike | None = None) -> Iterator[Result]: ...
        @overload
        def __call__(self, X: DaskCollection, *, offset: DaskCollection | None = None) -> dask.array.Array: ...
        @overload
        def __call__(self, X: MatrixLike, *, offset: ArrayLike | None = None) -> Result: ...

else:
    _PenalizedClassifierBase = object


class DaskPredictions(_PenalizedClassifierBase):
    """Mixin that returns predictions for Dask collections as Dask arrays, and delegates other data to `super()`."""

    _local_estimator_class: type[Any]

    if TYPE_CHECKING:
        decision_function: Prediction[FloatArray]  # type: ignore[assignment]
        predict: Prediction[Array]  # type: ignore[assignment]
        predict_proba: Prediction[FloatArray]  # type: ignore[assignment]
        predict_log_proba: Prediction[FloatArray]  # type: ignore[assignment]

    def score(
        self,
        X: DaskCollection | MatrixLike | Blocks,
        y: DaskCollection | ArrayLike | None = None,
        sample_weight: DaskCollection | ArrayLike | None = None,
        *,
        offset: DaskCollection | ArrayLike | None = None,
        **score_params: Any,
    ) -> float:
        """Return the accuracy, or the score that the `scoring` of LogisticRegressionCV selects.

        Parameters
        ----------
        X, y, sample_weight, offset
            Rows, labels, weights and offsets, either as Dask collections as in `fit`, or in memory as in
            `fastlin.LogisticRegression.score`.
        **score_params
            Metadata for LogisticRegressionCV's scorer, if X is not a Dask collection.

        Returns
        -------
        score : float
            The score; larger is better.

        Raises
        ------
        TypeError
            Only one of X and y is a Dask collection, or metadata are passed with a Dask collection.
        ValueError
            X is a Dask collection and y is None.
        """
        if not is_dask_collection(X):
            return super().score(X, y, sample_weight, offset=offset, **score_params)
        if score_params:
            raise TypeError(
                "score of a Dask collection accepts only X, y, sample_weight and offset, got "
                f"{', '.join(score_params)} as well."
            )
        if y is None:
            raise ValueError(f"{type(self).__name__}.score requires y if X is a Dask collection, got None.")
        rows, model = self._read(X), dask.delayed(self._to_local_without_names(), pure=False)
        labels = rechunk_like(rows, y, "y")
        weights = rechunk_like(rows, sample_weight, "sample_weight")
        parts = list_partitions(rows, labels, weights, self._rechunk_offset(rows, offset))
        sums = dask.compute(
            *(dask.delayed(_score_partition, pure=False)(model, *part, self._get_scoring()) for part in parts)
        )
        return float(average_scores(sums)[0])

    def _get_scoring(self):
        """Return the `scoring` argument of `score_rows`."""
        return "accuracy"

    def to_local(self) -> Any:
        """Return the model as an instance of the class for data in memory, which does not need Dask.

        Returns
        -------
        LogisticRegression or LogisticRegressionCV
            The model, with the same parameters and attributes.
        """
        model = self._local_estimator_class(**self.get_params(deep=False))
        vars(model).update({name: value for name, value in vars(self).items() if name.endswith("_")})
        return model

    def inference(
        self,
        X: DaskCollection | MatrixLike | Blocks,
        y: DaskCollection | ArrayLike | None = None,
        sample_weight: DaskCollection | ArrayLike | None = None,
        offset: DaskCollection | ArrayLike | None = None,
        *,
        client: distributed.Client | None = None,
        worker_timeout: float = 60.0,
        **options: Any,
    ) -> Inference:
        """Return standard errors, tests and intervals of the coefficients.

        Parameters
        ----------
        X, y, sample_weight, offset
            The training data, as Dask collections as in `fit`, or in memory.
        client, worker_timeout
            See `fit`.
        **options
            Options of `fastlin.LogisticRegression.inference`, except clusters, which require rows in memory.

        Returns
        -------
        Inference
            The same result as for rows in memory. Methods that read the rows again, such as marginal_effects, raise an
            error.

        Raises
        ------
        ValueError
            See `fastlin.LogisticRegression.inference`.
        """
        if not is_dask_collection(X):
            return super().inference(X, y, sample_weight, offset, **options)
        model: Any = self
        model._read(X)
        # The estimator is copied, because reading rows sets its attributes.
        copied_estimator = copy(model)
        fit_options = {"client": client, "classes": model.classes_, "worker_timeout": worker_timeout, "offset": offset}
        with limit_jobs(model.n_jobs), fit_on_workers(copied_estimator, **fit_options) as read:
            return self._compute_inference(read(copied_estimator, X, y, sample_weight), **options)

    def bootstrap(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        **options: Any,
    ) -> Bootstrap:
        """Return the bootstrap for rows in memory; see `fastlin.LogisticRegression.bootstrap`.

        Parameters
        ----------
        X, y, sample_weight, offset
            The training data, in memory.
        **options
            Options of `fastlin.LogisticRegression.bootstrap`.

        Returns
        -------
        Bootstrap
            Coefficients, certificates, standard errors and intervals.

        Raises
        ------
        ValueError
            X is a Dask collection. For other cases, see `fastlin.LogisticRegression.bootstrap`.
        """
        if is_dask_collection(X):
            raise ValueError(
                f"bootstrap requires rows in memory, got a {type(X).__name__} of Dask. Pass arrays or Blocks."
            )
        return super().bootstrap(X, y, sample_weight, offset, **options)

    def _apply_prediction_method(self, method, X, offset=None):
        """Return the result of a prediction method for X, an array of shape (n,) or (n, n_classes)."""
        if not is_dask_collection(X):
            return super()._apply_prediction_method(method, X, offset)
        rows, model, name = self._read(X), self._to_local_without_names(), method.__name__
        # The result for one row provides the shape and dtype.
        empty_predictions = getattr(model, name)(np.zeros((1, rows.shape[1]), rows.dtype))[:0]
        shape = (
            {"chunks": (rows.chunks[0], empty_predictions.shape[1:])}
            if empty_predictions.ndim == 2
            else {"drop_axis": 1}
        )
        offsets = self._rechunk_offset(rows, offset)
        if offsets is not None:
            # map_blocks requires arrays with the same number of dimensions.
            offsets = offsets[:, None] if offsets.ndim == 1 else offsets
        return dask.array.map_blocks(
            _predict_partition,
            rows,
            *([] if offsets is None else [offsets]),
            model=dask.delayed(model, pure=False),
            method=name,
            empty_predictions=empty_predictions,
            meta=empty_predictions,
            **shape,
        )

    def _read(self, X):
        """Return X as a Dask array, after a check that its columns are those of the fit."""
        check_is_fitted(self)
        rows, names = read_rows(X), list_column_names(X)
        check_features(self, rows.shape[1], names, "X has")
        check_coefficients(self, rows.shape[1])
        return rows

    def _rechunk_offset(self, rows, offset):
        """Return the offsets as a Dask array with the chunks of `rows`, or None if there are none."""
        offsets = rechunk_like(rows, offset, "offset")
        if offsets is not None:
            check_offset_shape(offsets.shape, np.nan, len(self.classes_))
        return offsets

    def _to_local_without_names(self):
        """Return the local model without feature names, because it predicts for arrays."""
        model = self.to_local()
        vars(model).pop("feature_names_in_", None)
        return model


class LogisticRegression(DaskPredictions, LocalLogisticRegression):
    """`fastlin.LogisticRegression` for data on the workers of a Dask cluster, with the same objective and certificate.

    The rows stay on the workers, in their original dtype. In each pass, the client sends the parameters to all workers
    and receives sums. The client also receives a sample of the rows, for the starting point and the preconditioners.
    The sample takes at most 256 MB, or an eighth of X up to 4 GB. Results are bitwise reproducible for the same
    partitions. They do not depend on the number of workers or threads, or on which worker stores which partition. If a
    worker is lost, the other workers compute its partitions again and the fit continues.

    For parameters and attributes, see `fastlin.LogisticRegression`. `n_jobs` is the number of threads of the client;
    each worker uses all of its threads. The probabilities of the rows are not stored, so Newton steps compute them
    again.

    Examples
    --------
    >>> import dask.array
    >>> from dask.distributed import Client
    >>> from sklearn.datasets import load_iris
    >>> from fastlin.dask import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> with Client(n_workers=1, dashboard_address=None):  # doctest: +SKIP
    ...     dX, dy = (dask.array.from_array(each, chunks=50) for each in (X, y))
    ...     LogisticRegression().fit(dX, dy).score(dX, dy)
    0.97...
    """

    _local_estimator_class = LocalLogisticRegression

    # `fit` requires Dask collections.
    def fit(  # type: ignore[override]
        self,
        X: DaskCollection,
        y: DaskCollection,
        sample_weight: DaskCollection | None = None,
        *,
        offset: DaskCollection | None = None,
        client: distributed.Client | None = None,
        classes: ArrayLike | None = None,
        worker_timeout: float = 60.0,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : Dask array or dataframe of shape (n_samples, n_features)
            Rows of finite numbers; the chunks are NumPy arrays or SciPy sparse matrices. X is computed once, and stays
            in the memory of the workers until `fit` returns.
        y : Dask array or series of shape (n_samples,), or array or dataframe of shape (n_samples, n_classes)
            Labels of at least two classes (numbers, strings or booleans), or soft labels; see
            `fastlin.LogisticRegression.fit`.
        sample_weight : Dask array or series of shape (n_samples,), or None
            Nonnegative weights of the rows, not all zero. None means ones.
        offset : Dask array, series or dataframe of shape (n_samples,) or (n_samples, n_classes), or None
            Finite numbers that are added to the scores; see `fastlin.LogisticRegression.fit`.
        client : dask.distributed.Client or None
            The client of the cluster. None means the current client.
        classes : array-like of shape (n_classes,) or None
            The labels in y. Any other label in y, or a missing label, raises an error. None means the labels found in
            y. For soft labels, `classes` contains the sorted classes of the columns, and None means 0, 1, 2, ...
        worker_timeout : float
            If there are no workers for this number of seconds, or all workers are paused, `fit` raises a
            NoWorkersError.
        coef_init, intercept_init : array-like or None
            The starting point; see `fastlin.LogisticRegression.fit`.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            The partitions of the collections do not match. For other cases, see `fastlin.LogisticRegression.fit`; the
            error names the partition.
        TypeError
            X, y, sample_weight or offset is not a Dask collection.
        DataChangedError
            A worker was lost, and a partition that was computed again has different rows, labels, weights or offsets.
        NoWorkersError
            For `worker_timeout` seconds, there were no workers or all workers were paused.
        WorkersLostError
            Too many workers were lost, or tasks of the fit were cancelled.
        RuntimeError
            The versions of fastlin, Numba, NumPy or scikit-learn differ between a worker and the client.
        """
        with fit_on_workers(self, client=client, classes=classes, worker_timeout=worker_timeout, offset=offset) as read:
            return self._fit(X, y, sample_weight, coef_init, intercept_init, read)


class LogisticRegressionCV(DaskPredictions, LocalLogisticRegressionCV):
    """`fastlin.LogisticRegressionCV` for data on the workers of a Dask cluster.

    The test rows of a fold have weight zero in training, so no rows are copied or moved.

    For parameters and attributes, see `fastlin.LogisticRegressionCV`. There are two exceptions. `cv` must be the number
    of stratified folds, which are not shuffled, or None for 5 folds. `scoring` must be "accuracy", "neg_log_loss", or
    None for accuracy.

    Examples
    --------
    >>> import dask.array
    >>> from dask.distributed import Client
    >>> from sklearn.datasets import load_iris
    >>> from fastlin.dask import LogisticRegressionCV
    >>> X, y = load_iris(return_X_y=True)
    >>> with Client(n_workers=1, dashboard_address=None):  # doctest: +SKIP
    ...     dX, dy = (dask.array.from_array(each, chunks=50) for each in (X, y))
    ...     LogisticRegressionCV(l1_ratios=(0,), scoring="accuracy", use_legacy_attributes=False).fit(dX, dy).C_
    21.54...
    """

    _local_estimator_class = LocalLogisticRegressionCV

    # `fit` requires Dask collections.
    def fit(  # type: ignore[override]
        self,
        X: DaskCollection,
        y: DaskCollection,
        sample_weight: DaskCollection | None = None,
        *,
        offset: DaskCollection | None = None,
        client: distributed.Client | None = None,
        classes: ArrayLike | None = None,
        worker_timeout: float = 60.0,
    ) -> Self:
        """Choose C and l1_ratio by cross-validation and fit the model.

        Parameters
        ----------
        X, y, sample_weight, offset, client, classes, worker_timeout
            See `fastlin.dask.LogisticRegression.fit`.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            `cv` or `scoring` has an unsupported value, or all training rows of a fold have weight zero. For other
            cases, see `fastlin.dask.LogisticRegression.fit`.
        TypeError
            X, y, sample_weight or offset is not a Dask collection.
        DataChangedError, NoWorkersError, WorkersLostError, RuntimeError
            See `fastlin.dask.LogisticRegression.fit`.
        """
        n_folds = self._count_folds()
        if not isinstance(n_folds, (int, np.integer)) or isinstance(n_folds, bool) or n_folds < 2:
            raise ValueError(f"With Dask, cv must be None or an integer of at least 2, got {self.cv!r}.")
        if self._get_scoring() not in ROWWISE_SCORINGS:
            raise ValueError(f"With Dask, scoring must be 'accuracy', 'neg_log_loss' or None, got {self.scoring!r}.")
        with fit_on_workers(self, client=client, classes=classes, worker_timeout=worker_timeout, offset=offset) as read:
            return self._fit(X, y, None, {}, lambda estimator, X, y, _: read(estimator, X, y, sample_weight))

    def _get_scoring(self):
        return resolve_scoring(self.scoring) or "accuracy"

    def _count_folds(self):
        return 5 if self.cv is None else self.cv

    def _make_folds(self, X, data, split_params):
        return list(StratifiedKFold(self._count_folds()).split(np.empty((len(data.labels), 0)), data.labels))

    def _score_models(self, models, data, test_rows, params):
        soft_labels = data.y if data.y.ndim == 2 else None
        samples = make_samples(data.labels, data.sample_weight, test_rows, data.offsets, soft_labels)
        return average_scores(data.matrix.cluster.call(samples, "score", models, self._get_scoring()).values())


def _predict_partition(X, offset=None, *, model, method, empty_predictions):
    """Return the result of a method for a partition. Use one thread, because a worker runs several tasks at once."""
    if not X.shape[0]:
        return empty_predictions
    with limit_threads(1):
        return getattr(model, method)(X, offset=offset)


def _score_partition(model, X, y, sample_weight, offset, scoring):
    """Return the result of `sum_scores` for the rows of a partition."""
    with limit_threads(1):
        y = validate_test_labels(model, X, np.asarray(y), None)[0] if X.shape[0] else y
        weights = sample_weight
        if weights is not None:
            weights = validate_weights(np.asarray(weights, np.float64), y, may_be_negative=True)
        return sum_scores([model], X, y, weights, scoring, offset)
