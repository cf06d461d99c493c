"""LogisticRegression and LogisticRegressionCV over Dask arrays and dataframes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fastlin.dask.partitions import fit_on_workers
from fastlin.dask.predictions import DaskPredictions
from fastlin.dask.shard import average_scores
from fastlin.estimators import LogisticRegression as LocalLogisticRegression
from fastlin.estimators import LogisticRegressionCV as LocalLogisticRegressionCV
from fastlin.estimators.linear_predictions import SCORINGS
from fastlin.estimators.parameters import TO_THE_CALLER_OF_FIT, read_scoring

if TYPE_CHECKING:
    import distributed

    from fastlin.dask.collections import DaskCollection


class LogisticRegression(DaskPredictions, LocalLogisticRegression):
    """`fastlin.LogisticRegression` for data on the workers of a Dask cluster: the same objective and certificate.

    The rows stay with the workers, in the type that they came in. For each pass the client sends the parameters to each
    worker and gets sums back. Samples of the rows come to the client, which finds a start and preconditioners from
    them; they take no more than 256 MB, or an eighth of X up to 4 GB. The bits depend on how the rows are partitioned,
    and not on the number of workers, on their threads, or on who holds what. Where a worker is lost, the others compute
    its partitions again and the fit goes on.

    Parameters, attributes and their meaning are those of `fastlin.LogisticRegression`. `n_jobs` counts the threads of
    the client; each worker uses as many as it has. Probabilities of the rows are not kept: a step of Newton's methods
    computes them anew.

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
            For all that `fastlin.LogisticRegression.fit` refuses, with the partition that has it, and for collections
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
        options: dict[str, Any] = {"client": client, "classes": classes, "worker_timeout": worker_timeout}
        with fit_on_workers(self, **options, offset=offset) as read:
            return self._fit(X, y, sample_weight, coef_init, intercept_init, read)


class LogisticRegressionCV(DaskPredictions, LocalLogisticRegressionCV):
    """`fastlin.LogisticRegressionCV` for data on the workers of a Dask cluster.

    The workers leave the test rows of a fold out by giving them no weight, so that no row is copied or moved.

    Parameters, attributes and their meaning are those of `fastlin.LogisticRegressionCV`, but for two. `cv` is None,
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
        **params: Any,
    ) -> Self:
        """Choose C and l1_ratio by cross-validation and fit the model.

        Parameters
        ----------
        X, y, sample_weight, offset, client, classes, worker_timeout
            As `fastlin.dask.LogisticRegression.fit` has them.
        **params
            Not accepted: there is no validation set and no metadata with Dask.

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
            X, y, sample_weight or offset is no collection of Dask, or there are other arguments.
        DataChangedError
            A partition that was computed again, since its worker was lost, has other rows, labels, weights or offsets.
        NoWorkersError
            There is no worker for `worker_timeout` seconds, or all that the fit waits for are paused.
        WorkersLostError
            Too many workers were lost, or tasks of the fit were cancelled.
        RuntimeError
            A worker has another version of fastlin, Numba, NumPy or scikit-learn than the client.
        """
        if params:
            raise TypeError(
                f"LogisticRegressionCV.fit takes no {', '.join(params)} with Dask, which chooses by folds; "
                "fastlin.LogisticRegressionCV takes X_val and y_val."
            )
        n_folds = 5 if self.cv is None else self.cv
        if not isinstance(n_folds, (int, np.integer)) or isinstance(n_folds, bool) or n_folds < 2:
            raise ValueError(f"cv must be None or a number of folds of at least 2 with Dask, got {self.cv!r}.")
        if self._scoring() not in SCORINGS:
            raise ValueError(f"scoring must be 'accuracy', 'neg_log_loss' or None with Dask, got {self.scoring!r}.")
        options: dict[str, Any] = {"client": client, "classes": classes, "worker_timeout": worker_timeout}
        with fit_on_workers(self, **options, offset=offset, n_folds=n_folds) as read:
            # The workers have the weights.
            return self._fit(X, y, None, {}, lambda estimator, X, y, _: read(estimator, X, y, sample_weight))

    def _scoring(self):
        return read_scoring(self.scoring) or "accuracy"

    def _split(self, X, data, split_params):
        """Return the folds by their numbers, each once for its training and once for its test rows."""
        n_folds, counts = len(data.fold_ends), data.fold_ends[-1]
        # A class of soft labels may be nowhere the most probable.
        counts = counts[counts > 0]
        if (counts < n_folds).all():
            raise ValueError(
                f"n_splits={n_folds} cannot be greater than the number of members in each class: cv must be at most "
                f"{counts.max()}."
            )
        if counts.min() < n_folds:
            warnings.warn(
                f"The least populated class in y has only {counts.min()} members, which is less than n_splits="
                f"{n_folds}.",
                stacklevel=TO_THE_CALLER_OF_FIT,
            )
        return [(fold, fold) for fold in range(n_folds)]

    def _score_models(self, models, data, test_rows, params):
        """Return the scores of models on the test rows of a fold, by its number."""
        return average_scores(data.cluster.ask("score", test_rows, models, self._scoring()).values())
