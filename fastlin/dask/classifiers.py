"""LogisticRegression and LogisticRegressionCV over Dask arrays and dataframes: fits, lazy predictions, inference."""

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

from fastlin.dask.collections import cut_alike, is_collection, list_partitions, name_columns, read_rows
from fastlin.dask.partitions import fit_on_workers
from fastlin.dask.shard import average_scores, sum_scores
from fastlin.estimators import LogisticRegression as LocalLogisticRegression
from fastlin.estimators import LogisticRegressionCV as LocalLogisticRegressionCV
from fastlin.estimators.columns import check_features
from fastlin.estimators.labels import check_offset_shape, read_scored, read_weights
from fastlin.estimators.linear_predictions import SCORINGS, check_coefficients
from fastlin.estimators.parameters import limit_jobs, read_scoring
from fastlin.kernels.machine.threads import limit_threads
from fastlin.objective.rows import make_samples
from fastlin.typing import Array, FloatArray, MatrixLike

if TYPE_CHECKING:
    import distributed

    from fastlin.blocks.blocks import Blocks
    from fastlin.dask.collections import DaskCollection
    from fastlin.estimators.logistic_regression import PenalizedClassifier as _Following
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
    """Predictions of Dask's collections as Dask arrays, and of other data by the next class in the order of bases."""

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
        X, y, sample_weight, offset
            Rows, labels, weights and offsets: collections of Dask, as `fit` takes them, or in memory, as
            `fastlin.LogisticRegression.score` takes them.
        **score_params
            Metadata for the scorer of LogisticRegressionCV, where X is no collection of Dask.

        Returns
        -------
        score : float
            Larger for better models.

        Raises
        ------
        TypeError
            Only one of X and y is a collection of Dask, or there is metadata with a collection.
        ValueError
            y is None with a collection.
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
        labels = cut_alike(rows, y, "y")
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

    def _apply_method(self, method, X, offset=None):
        """Return what a method for rows in memory answers for X: an array (n,), or (n, n_classes)."""
        if not is_collection(X):
            return super()._apply_method(method, X, offset)
        rows, model, name = self._read(X), self._without_names(), method.__name__
        # The answer for one row tells shape and type.
        empty = getattr(model, name)(np.zeros((1, rows.shape[1]), rows.dtype))[:0]
        shape = {"chunks": (rows.chunks[0], empty.shape[1:])} if empty.ndim == 2 else {"drop_axis": 1}
        offsets = self._cut_offset(rows, offset)
        if offsets is not None:
            # Blocks that go together have as many dimensions.
            offsets = offsets[:, None] if offsets.ndim == 1 else offsets
        return dask.array.map_blocks(
            _answer_part,
            rows,
            *([] if offsets is None else [offsets]),
            model=dask.delayed(model, pure=False),
            method=name,
            empty=empty,
            meta=empty,
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
        offsets = cut_alike(rows, offset, "offset")
        if offsets is not None:
            check_offset_shape(offsets.shape, np.nan, len(self.classes_))
        return offsets

    def _without_names(self):
        """Return the local model for arrays, which have no names of columns."""
        model = self.to_local()
        vars(model).pop("feature_names_in_", None)
        return model


class LogisticRegression(DaskPredictions, LocalLogisticRegression):
    """`fastlin.LogisticRegression` for data on the workers of a Dask cluster: the same objective and certificate.

    The rows stay with the workers, in the type that they came in. For each pass the client sends the parameters to each
    worker and gets sums back. Samples of the rows come to the client, which finds a start and preconditioners from
    them; they take no more than 256 MB, or an eighth of X up to 4 GB. The bits depend on how the rows are partitioned,
    and not on the workers: their number, their threads, or their partitions. If a worker is lost, the others compute
    its partitions again and the fit goes on.

    Parameters and attributes mean the same as in `fastlin.LogisticRegression`. `n_jobs` counts the threads of
    the client; each worker uses as many as it has. Probabilities of the rows are not kept: a step of Newton's methods
    computes them again.

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

    _local_class = LocalLogisticRegression

    # The rows of a fit are collections of Dask.
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
            Rows of finite numbers, whose blocks are NumPy arrays or SciPy sparse matrices. It is computed once, and
            held by the workers until the fit ends.
        y : Dask array or series of shape (n_samples,), or array or dataframe of shape (n_samples, n_classes)
            Labels of at least two classes: numbers, strings or bools; or soft labels, as
            `fastlin.LogisticRegression.fit` takes them.
        sample_weight : Dask array or series of shape (n_samples,), or None
            Weights of the rows, at least 0 and not all 0; None means ones.
        offset : Dask array, series or dataframe of shape (n_samples,) or (n_samples, n_classes), or None
            Finite numbers that are added to the scores, as `fastlin.LogisticRegression.fit` takes them.
        client : dask.distributed.Client or None
            What computes; None means the current one.
        classes : array-like of shape (n_classes,) or None
            The labels that y has. Where it has others, or lacks one, that is an error. None means those that it has. Of
            soft labels they are the classes of the columns, sorted; None means numbers from 0 on.
        worker_timeout : float
            Seconds after which the fit gives up while the cluster has no workers, or none that is not paused.
        coef_init, intercept_init : array-like or None
            What the fit starts from, as `fastlin.LogisticRegression.fit` has them.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            For all that `fastlin.LogisticRegression.fit` refuses, with the name of the partition, and for collections
            that are not cut alike.
        TypeError
            X, y, sample_weight or offset is no collection of Dask.
        DataChangedError
            A partition that was computed again, since its worker was lost, has other rows, labels, weights or offsets.
        NoWorkersError
            There is no worker for `worker_timeout` seconds, or all that the fit waits for are paused.
        WorkersLostError
            Too many workers were lost, or tasks of the fit were cancelled.
        RuntimeError
            A worker has another version of fastlin, Numba, NumPy or scikit-learn than the client.
        """
        with fit_on_workers(self, client=client, classes=classes, worker_timeout=worker_timeout, offset=offset) as read:
            return self._fit(X, y, sample_weight, coef_init, intercept_init, read)


class LogisticRegressionCV(DaskPredictions, LocalLogisticRegressionCV):
    """`fastlin.LogisticRegressionCV` for data on the workers of a Dask cluster.

    The workers leave the test rows of a fold out by giving them no weight, so that no row is copied or moved.

    Parameters and attributes mean the same as in `fastlin.LogisticRegressionCV`, but for two. `cv` is None,
    which means 5, or a number of folds: the stratified ones of scikit-learn, the first rows of each class in the first.
    `scoring` is "accuracy", "neg_log_loss", or None, which means accuracy.

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

    _local_class = LocalLogisticRegressionCV

    # The rows of a fit are collections of Dask.
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
            As `fastlin.dask.LogisticRegression.fit` has them.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            For what `fastlin.dask.LogisticRegression.fit` refuses, other folds and other scorers, and folds without
            training rows of weight above zero.
        TypeError
            X, y, sample_weight or offset is no collection of Dask.
        DataChangedError, NoWorkersError, WorkersLostError, RuntimeError
            As `fastlin.dask.LogisticRegression.fit` raises them.
        """
        n_folds = self._count_folds()
        if not isinstance(n_folds, (int, np.integer)) or isinstance(n_folds, bool) or n_folds < 2:
            raise ValueError(f"cv must be None or a number of folds of at least 2 with Dask, got {self.cv!r}.")
        if self._scoring() not in SCORINGS:
            raise ValueError(f"scoring must be 'accuracy', 'neg_log_loss' or None with Dask, got {self.scoring!r}.")
        with fit_on_workers(self, client=client, classes=classes, worker_timeout=worker_timeout, offset=offset) as read:
            return self._fit(X, y, None, {}, lambda estimator, X, y, _: read(estimator, X, y, sample_weight))

    def _scoring(self):
        return read_scoring(self.scoring) or "accuracy"

    def _count_folds(self):
        return 5 if self.cv is None else self.cv

    def _split(self, X, data, split_params):
        return list(StratifiedKFold(self._count_folds()).split(np.empty((len(data.labels), 0)), data.labels))

    def _score_models(self, models, data, test_rows, params):
        soft = data.y if data.y.ndim == 2 else None
        samples = make_samples(data.labels, data.sample_weight, test_rows, data.offsets, soft)
        return average_scores(data.matrix.cluster.ask(samples, "score", models, self._scoring()).values())


def _answer_part(X, offset=None, *, model, method, empty):
    """Return the answer of a model's method for a partition; a worker runs several partitions side by side."""
    if not X.shape[0]:
        return empty
    with limit_threads(1):
        return getattr(model, method)(X, offset=offset)


def _score_part(model, X, y, sample_weight, offset, scoring):
    """Return what `sum_scores` does for the rows of a partition."""
    with limit_threads(1):
        y = read_scored(model, X, np.asarray(y), None)[0] if X.shape[0] else y
        weights = sample_weight
        if weights is not None:
            weights = read_weights(np.asarray(weights, np.float64), y, are_signed=True)
        return sum_scores([model], X, y, weights, scoring, offset)
