"""What classifiers fitted by Dask answer for its collections: predictions lazily, block by block, and inference."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import dask
import dask.array
import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from fastlin.dask.collections import cut_alike, is_collection, list_partitions, name_columns, read_rows
from fastlin.dask.partitions import fit_on_workers
from fastlin.dask.shard import average_scores, sum_scores
from fastlin.estimators.features import check_features
from fastlin.estimators.labels import check_offset_shape, read_probabilities
from fastlin.estimators.linear_predictions import check_coefficients
from fastlin.estimators.parameters import limit_jobs
from fastlin.kernels.machine.threads import limit_threads
from fastlin.typing import Array, FloatArray, MatrixLike

if TYPE_CHECKING:
    import distributed

    from fastlin.blocks.blocks import Blocks
    from fastlin.dask.collections import DaskCollection
    from fastlin.estimators.logistic_regression import PenalisedClassifier as _Following
    from fastlin.inference import Bootstrap, Inference

    Found = TypeVar("Found", covariant=True)

    class Prediction(Protocol[Found]):
        """A method that answers for rows at once, for Blocks one by one, and for collections of Dask lazily."""

        @overload
        def __call__(self, X: Blocks, *, offset: ArrayLike | None = None) -> Iterator[Found]: ...
        @overload
        def __call__(self, X: DaskCollection, *, offset: DaskCollection | None = None) -> dask.array.Array: ...
        @overload
        def __call__(self, X: MatrixLike, *, offset: ArrayLike | None = None) -> Found: ...

else:
    _Following = object


class DaskPredictions(_Following):
    """What an estimator answers for Dask arrays and dataframes: predictions are Dask arrays that are not computed yet.

    For anything but a collection the answers are those of the class that follows in the order of bases.
    """

    _local_class: type[Any]

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
        """Return the score: accuracy, or with LogisticRegressionCV what `scoring` says.

        Parameters
        ----------
        X : Dask array or dataframe, or array-like, of shape (n_samples, n_features)
            The rows to classify.
        y : Dask array or series, or array-like, of shape (n_samples,) or (n_samples, n_classes)
            Their labels, which may be soft; a collection where X is one. None only where X is Blocks that hold them.
        sample_weight : Dask array or series, or array-like, of shape (n_samples,), or None
            Their weights; None means ones.
        offset : Dask array or series, or array-like, of shape (n_samples,) or (n_samples, n_classes), or None
            What is added to the scores, as `decision_function` has it.
        **score_params
            Metadata for the scorer of LogisticRegressionCV, where X is no collection of Dask.

        Returns
        -------
        score : float
            Larger for better models.

        Raises
        ------
        TypeError
            Of X and y one is a collection of Dask and the other is none, or there is metadata beside a collection.
        ValueError
            y is None beside a collection.
        """
        if not is_collection(X):
            return super().score(X, y, sample_weight, offset=offset, **score_params)
        if score_params:
            raise TypeError(
                "score of a collection of Dask takes X, y, sample_weight and offset alone, got "
                f"{', '.join(score_params)} too."
            )
        if y is None:
            raise ValueError(f"{type(self).__name__}.score requires y beside a collection of Dask.")
        rows, model = self._read(X), dask.delayed(self._without_names(), pure=False)
        labels = cut_alike(rows, y, "y", takes_columns=True)
        weights = cut_alike(rows, sample_weight, "sample_weight")
        parts = list_partitions(rows, labels, weights, self._cut_offset(rows, offset))
        found = dask.compute(*(dask.delayed(_score_part, pure=False)(model, *part, self._scoring()) for part in parts))
        return float(average_scores(found)[0])

    def _scoring(self):
        """Return the name of the score of `score`, as `score_rows` takes it."""
        return "accuracy"

    def to_local(self) -> Any:
        """Return the model as fastlin's class for data in memory, which needs no Dask.

        Returns
        -------
        LogisticRegression or LogisticRegressionCV
            The class that this one is made of, with the same parameters and attributes.
        """
        made = self._local_class(**self.get_params(deep=False))
        vars(made).update({name: value for name, value in vars(self).items() if name.endswith("_")})
        return made

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
            The rows of the fit, as `fit` takes them, or in memory.
        client, worker_timeout
            As `fit` has them.
        **options
            As `fastlin.LogisticRegression.inference` has them, but for clusters, whose rows must lie in memory.

        Returns
        -------
        Inference
            That of the rows in memory, without what reads them once more, such as marginal effects.

        Raises
        ------
        ValueError
            For what `fastlin.LogisticRegression.inference` refuses.
        """
        if not is_collection(X):
            return super().inference(X, y, sample_weight, offset, **options)
        model: Any = self
        model._read(X)
        # A copy, since reading rows sets what a fit knows of them.
        reader = copy(model)
        given = {"client": client, "classes": model.classes_, "worker_timeout": worker_timeout, "offset": offset}
        with limit_jobs(model.n_jobs), fit_on_workers(reader, **given) as read:
            return self._infer(read(reader, X, y, sample_weight), **options)

    def bootstrap(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        **options: Any,
    ) -> Bootstrap:
        """Return the coefficients of fits to resamples of rows in memory, as `fastlin.LogisticRegression` does.

        Parameters
        ----------
        X, y, sample_weight, offset
            The rows of the fit, in memory.
        **options
            As `fastlin.LogisticRegression.bootstrap` has them.

        Returns
        -------
        Bootstrap
            Coefficients, certificates, errors and intervals.

        Raises
        ------
        ValueError
            The rows lie in a Dask array or dataframe, or what `fastlin.LogisticRegression.bootstrap` refuses.
        """
        if is_collection(X):
            raise ValueError("bootstrap fits each resample to rows in memory: give arrays or Blocks, not a collection.")
        return super().bootstrap(X, y, sample_weight, offset, **options)

    def _answer(self, method, X, offset=None):
        """Return what a method for rows in memory answers for X: an array (n,), or (n, n_classes)."""
        if not is_collection(X):
            return super()._answer(method, X, offset)
        rows, name = self._read(X), method.__name__
        n_columns = len(self.classes_)
        is_wide = name.endswith("proba") or (name == "decision_function" and n_columns > 2)
        dtype = self.classes_.dtype
        if name != "predict":
            dtype = np.dtype(np.float32 if rows.dtype == self.coef_.dtype == np.float32 else np.float64)
        shape = {"chunks": (rows.chunks[0], (n_columns,))} if is_wide else {"drop_axis": 1}
        offsets = self._cut_offset(rows, offset)
        if offsets is not None:
            # Blocks that go together have as many dimensions.
            offsets = offsets[:, None] if offsets.ndim == 1 else offsets
        return dask.array.map_blocks(
            _answer_part,
            rows,
            *([] if offsets is None else [offsets]),
            model=dask.delayed(self._without_names(), pure=False),
            method=name,
            shape=(0, n_columns) if is_wide else (0,),
            answer_dtype=dtype,
            dtype=dtype,
            meta=np.empty((0,) * (1 + is_wide), dtype),
            **shape,
        )

    def _read(self, X):
        """Return X as a Dask array with the columns of the fit."""
        check_is_fitted(self)
        rows, names = read_rows(X), name_columns(X)
        check_features(self, rows.shape[1], names, "X has")
        check_coefficients(self, rows.shape[1])
        return rows

    def _cut_offset(self, rows, offset):
        """Return the offsets of rows as a Dask array that is cut as they are, or None."""
        offsets = cut_alike(rows, offset, "offset", takes_columns=True)
        if offsets is not None:
            check_offset_shape(offsets.shape, np.nan, len(self.classes_))
        return offsets

    def _without_names(self):
        """Return the local model for arrays, which have no names of columns."""
        model = self.to_local()
        vars(model).pop("feature_names_in_", None)
        return model


def _answer_part(X, offset=None, *, model, method, shape, answer_dtype):
    """Return what a method of a model answers for a partition; workers take several of them side by side."""
    if not X.shape[0]:
        return np.empty(shape, answer_dtype)
    with limit_threads(1):
        return getattr(model, method)(X, offset=offset)


def _score_part(model, X, y, sample_weight, offset, scoring):
    """Return what `sum_scores` does for the rows of a partition."""
    weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
    with limit_threads(1):
        y = np.asarray(y)
        y = read_probabilities(y, "y") if y.ndim == 2 and len(y) else y
        return sum_scores([model], X, y, weights, scoring, offset)
