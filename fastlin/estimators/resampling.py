"""The method `bootstrap` of linear models: fits of resamples of the rows, each from the optimum of all rows."""

from __future__ import annotations

import warnings
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from fastlin.blocks.blocks import Blocks
from fastlin.estimators.training_data import TrainingData, reading_known_data
from fastlin.exceptions import ConvergenceWarning
from fastlin.typing import MatrixLike, RandomState

if TYPE_CHECKING:
    from fastlin.inference.bootstrap import Bootstrap, Refits


class Resampling:
    """The method `bootstrap` of an estimator with `coef_` and `intercept_`."""

    def bootstrap(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        *,
        n_resamples: int = 1000,
        random_state: RandomState = None,
        clusters: ArrayLike | None = None,
    ) -> Bootstrap:
        """Return the coefficients of fits to resamples of the rows, with errors and intervals made of them.

        Each resample draws as many rows as there are, with replacement, and its fit has the parameters of this model,
        with C at the chosen one. It starts from the coefficients of all rows and ends, by its certificate where it has
        one, within a hundredth of a standard error of its own. Fits run side by side on the threads that `n_jobs`
        allows, and the number of threads changes no bit. A resample that lacks a class is drawn again.

        Fits by Firth's penalised likelihood have no certificate and end within a thousandth of a standard error. A
        resample whose columns depend on each other is drawn again too, and the acceleration of BCa intervals leaves
        out the penalty.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            The rows of the fit.
        y : array-like of shape (n_samples,)
            Their labels. None only where X is Blocks that hold them.
        sample_weight : array-like of shape (n_samples,) or None
            Their weights in the fit; None means ones. A row keeps its weight each time that it is drawn, and
            ``class_weight="balanced"`` is found anew in each resample.
        offset : array-like or None
            The offsets of the fit.
        n_resamples : int, default=1000
            The number of resamples, at least 2.
        random_state : int, RandomState or None, default=None
            The seed of the draws. The first resamples are the same for any number of them.
        clusters : array-like of shape (n_samples,) or None
            The cluster of each row: whole clusters are then drawn, as many as there are. None draws single rows.

        Returns
        -------
        Bootstrap
            Coefficients, certificates, errors and intervals.

        Raises
        ------
        ValueError
            The rows are not those of such a fit, a class is so rare that resamples lack it, or clusters are not one
            for each row, and at least two.

        Warns
        -----
        ConvergenceWarning
            Some fits stopped before they came so near to their minimum.
        """
        from fastlin.inference.bootstrap import Draws, collect, resample
        from fastlin.inference.clusters import read_clusters

        if isinstance(n_resamples, bool) or not isinstance(n_resamples, (int, np.integer)) or n_resamples < 2:
            raise ValueError(f"n_resamples must be a whole number of at least 2, got {n_resamples!r}")
        n_resamples = int(n_resamples)
        model: Any = copy(self)
        # Those of each resample follow from its rows.
        model.class_weight = None
        with reading_known_data(model, X, y, sample_weight, offset) as data:
            numbers = None
            if clusters is not None:
                numbers = _read_key(read_clusters(clusters, len(data.labels)))
            seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
            draws = Draws(seed, data.labels, data.weights, data.targets, numbers)
            refits = self._prepare_refits(data)
            found = collect(resample(refits, draws, n_resamples), n_resamples, refits, numbers)
        n_missed = n_resamples - np.count_nonzero(found.converged)
        if n_missed:
            warnings.warn(
                f"{n_missed} of {n_resamples} fits of resamples stopped before they came near their optimum; "
                "`converged` says which, and `certificates` what each has proven. Raise max_iter, or with C=inf look "
                "for resamples whose classes are separable: their coefficients grow without end.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return found

    def _prepare_refits(self, data: TrainingData) -> Refits:
        """Return what fits resamples of the rows of data."""
        raise NotImplementedError


def _read_key(keys):
    """Return the only key of clusters, of which there are at least two."""
    if len(keys) != 1:
        raise ValueError(f"clusters must be one key of the rows for a bootstrap, got {len(keys)} keys.")
    if not keys[0].any():
        raise ValueError("clusters must be at least two for a bootstrap, but all rows lie in one.")
    return keys[0]
