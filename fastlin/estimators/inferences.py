"""The methods `inference` and `bootstrap` of linear models: they read the rows as a fit does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from fastlin.blocks.blocks import Blocks
from fastlin.estimators.coefficients import check_coefficients, read_coefficients
from fastlin.estimators.features import name_features
from fastlin.estimators.labels import are_soft, choose_labels, read_labels
from fastlin.estimators.parameters import TO_THE_CALLER_OF_FIT, limit_jobs, read_bounds, read_penalty
from fastlin.estimators.training_data import make_training_data, read_blocks, read_matrix
from fastlin.typing import MatrixLike, RandomState

if TYPE_CHECKING:
    from fastlin.estimators.training_data import TrainingData
    from fastlin.inference.bootstrap import Bootstrap, Refits
    from fastlin.inference.inference import Inference


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
        from fastlin.estimators.resampling import bootstrap

        model: Any = copy(self)
        # Those of each resample follow from its rows.
        model.class_weight = None
        with reading(model, X, y, sample_weight, offset) as data:
            return bootstrap(lambda: self._prepare_refits(data), data, n_resamples, random_state, clusters)

    def _prepare_refits(self, data: TrainingData) -> Refits:
        """Return what fits resamples of the rows of data."""
        raise NotImplementedError


class Inferences(Resampling):
    """The method `inference` of an estimator with `coef_`, `intercept_` and the parameters of its penalty."""

    def inference(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        *,
        covariance: Literal["model", "HC0", "HC1", "cluster"] = "model",
        clusters: ArrayLike | Sequence[ArrayLike] | None = None,
        reference: Any = None,
        penalised: Literal["laplace", "sandwich"] | None = None,
        use_t: bool = False,
        weights_are: Literal["frequency", "importance"] = "frequency",
        features: Sequence[str] | None = None,
    ) -> Inference:
        """Return standard errors, tests and intervals of the coefficients.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Blocks
            The rows of the fit.
        y : array-like of shape (n_samples,)
            Their labels. None only where X is Blocks that hold them.
        sample_weight : array-like of shape (n_samples,) or None
            Their weights in the fit; None means ones.
        offset : array-like or None
            The offsets of the fit.
        covariance : {"model", "HC0", "HC1", "cluster"}
            "model" is the inverse of the Fisher information, right where the model is. "HC0" is robust against errors
            of the model (Huber 1967, White 1982), "HC1" is that times n / (n - q) for n rows and q parameters, and
            "cluster" allows for rows of a cluster that depend on each other: times G / (G - 1) (n - 1) / (n - q) for G
            clusters. With several keys the covariances of all combinations of them are added and subtracted (Cameron,
            Gelbach and Miller 2011), each with its own factor.
        clusters : array-like of shape (n_samples,) or (n_samples, n_keys), or None
            The cluster of each row, for ``covariance="cluster"``.
        reference : object
            The class whose coefficients are zero; None means the first of `classes_`. "symmetric" reports those of all
            classes, which sum to zero over the classes, as `coef_` does.
        penalised : {"laplace", "sandwich"} or None
            What the errors of a penalised model mean, which has none by itself. "laplace" takes the penalty as a normal
            prior, and reports the standard deviations of the posterior around its largest density. "sandwich" reports
            how the penalised estimates vary over repeated samples, around their own mean: they are biased.
        use_t : bool
            Whether Student's t takes the place of the normal distribution, and F that of chi-squared: with n - q
            degrees of freedom, and G - 1 of the key with the fewest clusters for ``covariance="cluster"``.
        weights_are : {"frequency", "importance"}
            What weights mean: "frequency" that a row stands for so many equal ones, or "importance" that it matters so
            much, as sampling weights say; these take a robust covariance. `class_weight` is of the latter kind.
        features : sequence of str or None
            The names of the columns that are reported, "intercept" among them; None means all. Of a model with more
            than 4,096 parameters only named ones can be had, by conjugate gradients, with the covariances "model",
            "HC0" and "HC1".

        Returns
        -------
        Inference
            The estimates, with everything that follows from their covariance.

        Raises
        ------
        ValueError
            The rows are not those of such a fit, the model is penalised and `penalised` is None, or has an L1 penalty,
            weights do not fit the covariance, or there are more than 4,096 parameters.

        Warns
        -----
        InferenceWarning
            `coef_` are more than a hundredth of a standard error from the optimum, to which the inference belongs.
        """
        with reading(self, X, y, sample_weight, offset) as data:
            return self._infer(
                data,
                covariance=covariance,
                clusters=clusters,
                reference=reference,
                penalised=penalised,
                use_t=use_t,
                weights_are=weights_are,
                features=features,
            )

    def _prepare_refits(self, data):
        from fastlin.estimators.resampling import prepare_refits

        model: Any = self
        return prepare_refits(model, data, *self._read_strength())

    def _infer(
        self,
        data,
        *,
        covariance="model",
        clusters=None,
        reference=None,
        penalised=None,
        use_t=False,
        weights_are="frequency",
        features=None,
    ):
        """Return the Inference over the rows of data, with the choices of `inference`, which calls it."""
        from fastlin.estimators.problem import Problem
        from fastlin.estimators.reference_levels import take_differences
        from fastlin.inference.clusters import read_clusters
        from fastlin.inference.estimation import Meaning, answer, ask

        # A copy, so that no check changes the model.
        model: Any = copy(self)
        classes, coef, intercept = read_coefficients(model)
        C, l1_ratio = self._read_strength()
        if model.penalty_factors is not None and not np.any(model.penalty_factors):
            # Nothing is penalised at any C.
            C = np.inf
        names, reference_levels = name_features(model, None), []
        _drop_bounds(model, data, coef, names)
        if hasattr(model, "categories_") and C == np.inf:
            data, coef, intercept, kept, references = take_differences(data, coef, intercept, model.fit_intercept)
            names, reference_levels, model.penalty_factors = names[kept], names[references].tolist(), None
        question = ask(
            classes,
            reference,
            Meaning(weights_are, data.weight_unit, model.class_weight is not None),
            covariance=covariance,
            penalised=penalised,
            use_t=use_t,
            names=names,
            reference_levels=reference_levels,
            clusters=[] if clusters is None else read_clusters(clusters, data.matrix.shape[0]),
            tol=model.tol,
            stacklevel=TO_THE_CALLER_OF_FIT + 1,
            features=features,
        )
        return answer(Problem(model, data).objective(C, l1_ratio), coef, intercept, question)

    def _read_strength(self):
        """Return C and l1_ratio of the fit."""
        model: Any = self
        if hasattr(model, "C_"):
            if not model.refit:
                raise ValueError(
                    "refit must be True or 'train', got False: the coefficients are the means of those of the folds, "
                    "where no likelihood has its maximum."
                )
            return float(np.ravel(model.C_)[0]), float(np.ravel(model.l1_ratio_)[0])
        with warnings.catch_warnings():
            # The fit has warned of them.
            warnings.simplefilter("ignore")
            return read_penalty(model.penalty, model.C, model.l1_ratio)


@contextmanager
def reading(
    model: Any,
    X: MatrixLike | Blocks,
    y: ArrayLike | None,
    sample_weight: ArrayLike | None,
    offset: ArrayLike | None,
) -> Iterator[TrainingData]:
    """Yield the rows of the fit of a model, within the limits of its `n_jobs`."""
    check_is_fitted(model)
    # What overflows at extreme scales is looked for in what is found.
    with limit_jobs(model.n_jobs), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        yield _read_known_data(model, X, y, sample_weight, offset)


def _drop_bounds(model, data, coef, names):
    """Take the bounds of coefficients from a copy of a model, once it is known that none of them bind."""
    bounds = read_bounds(model, data.matrix, len(coef))
    if bounds is not None:
        binds = ((coef <= bounds[0]) | (coef >= bounds[1])).any(axis=0)
        if binds.any():
            shown = ", ".join(map(str, names[binds][:5])) + (", ..." if binds.sum() > 5 else "")
            raise ValueError(
                f"The coefficients of {shown} are at their lower_bounds or upper_bounds, where estimates have no "
                "normal distribution, so that no standard errors hold for them. Leave the bounds out."
            )
    model.lower_bounds = model.upper_bounds = None


def _read_known_data(model, X, y, sample_weight, offset):
    """Return the TrainingData of rows whose columns and classes are those of a fitted model."""
    if isinstance(X, Blocks):
        matrix: Any = read_blocks(model, X, reset=False)
        y, sample_weight = choose_labels(X, y, sample_weight)
    else:
        # The measurement of the columns finds out whether X is finite.
        matrix = read_matrix(model, X, reset=False, ensure_all_finite=False)
    y = read_labels(model, y, matrix.shape[0])
    check_coefficients(model, matrix.shape[1])
    classes = model.classes_ if are_soft(y) else None
    # Its checks may not change the model.
    data = make_training_data(copy(model), matrix, y, sample_weight, offset, classes)
    _check_classes(data.classes, model.classes_)
    return data


def _check_classes(found, known):
    """Raise a ValueError where rows do not have the classes of a model."""
    if found.shape == known.shape and (found == known).all():
        return
    unknown = [label for label in found.tolist() if label not in known.tolist()]
    if unknown:
        raise ValueError(f"y holds {unknown[0]!r}, which is none of the classes of the model, {known.tolist()}.")
    missing = [label for label in known.tolist() if label not in found.tolist()]
    raise ValueError(f"No row of y has the class {missing[0]!r} of the model: its coefficients have no finite optimum.")
