"""LogisticRegression over Dask arrays and dataframes."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Self

from numpy.typing import ArrayLike

from fastlin.dask.cluster import explain_losses
from fastlin.dask.partitions import leave_task, read_partitions
from fastlin.dask.predictions import DaskPredictions
from fastlin.estimators.endings import kept_on_error
from fastlin.estimators.logistic_regression import LogisticRegression as LocalLogisticRegression

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
        y : Dask array or series of shape (n_samples,)
            Labels of at least two classes: numbers, strings or bools.
        sample_weight : Dask array or series of shape (n_samples,), or None
            Weights of the rows, at least 0 and not all 0; None means ones.
        client : dask.distributed.Client or None
            What computes; None means the current one.
        classes : array-like of shape (n_classes,) or None
            The labels that y has. Where it has others, or lacks one, that is an error. None means those that it has.
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
            X, y or sample_weight is no collection of Dask.
        DataChangedError
            A partition that was computed again, since its worker was lost, has other rows, labels or weights.
        NoWorkersError
            There is no worker for `worker_timeout` seconds, or all that the fit waits for are paused.
        WorkersLostError
            Too many workers were lost, or tasks of the fit were cancelled.
        RuntimeError
            A worker has another version of fastlin, Numba, NumPy or scikit-learn than the client.
        """
        with leave_task(), explain_losses(), contextlib.ExitStack() as held, kept_on_error(self):
            read = partial(read_partitions, client=client, classes=classes, worker_timeout=worker_timeout)
            start = coef_init, intercept_init
            return self._fit(X, y, sample_weight, *start, lambda *given: held.enter_context(read(*given)))
