"""The inference of classifiers fitted by Dask: the sums over the rows are made by the workers."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastlin.dask.collections import is_collection
from fastlin.dask.partitions import fit_on_workers
from fastlin.estimators.parameters import limit_jobs
from fastlin.typing import MatrixLike

if TYPE_CHECKING:
    import distributed

    from fastlin.blocks.blocks import Blocks
    from fastlin.dask.collections import DaskCollection
    from fastlin.estimators.logistic_regression import PenalisedClassifier as _Following
    from fastlin.inference import Bootstrap, Inference
else:
    _Following = object


class DaskInferences(_Following):
    """The methods `inference`, of Dask arrays and dataframes too, and `bootstrap`."""

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
