"""What LogisticRegression and LogisticRegressionCV share: inference, resampling and exchange with scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn import linear_model
from sklearn.utils import check_random_state

from fastlin.blocks.blocks import Blocks
from fastlin.estimators.coefficients import read_coefficients
from fastlin.estimators.features import name_features
from fastlin.estimators.linear_predictions import LinearPredictions
from fastlin.estimators.parameters import (
    TO_THE_CALLER_OF_FIT,
    GivenBounds,
    Solver,
    estimator,
    fitted,
    parameter,
    read_bounds,
    read_penalty,
)
from fastlin.estimators.scikit_learn import BaseEstimator, CallbackSupportMixin
from fastlin.estimators.summary import FitSummary, copy_linear_model
from fastlin.estimators.training_data import TrainingData, make_training_data, reading_known_data
from fastlin.exceptions import ConvergenceWarning
from fastlin.typing import Array, ClassWeight, MatrixLike, RandomState

if TYPE_CHECKING:
    from fastlin.inference.bootstrap import Bootstrap, Refits
    from fastlin.inference.inference import Inference


@estimator
class Resampling:
    """What linear estimators that read rows of any kind share: the method `bootstrap`."""

    fit_intercept: bool = parameter(default=True, accepts=["boolean"])
    n_jobs: int | None = parameter(default=None, accepts=[None, "whole number"])
    categorical_features: Literal["from_dtype"] | ArrayLike | None = parameter(
        default=None, accepts=["from_dtype", "array-like", None]
    )
    missing_level: bool = parameter(default=False, accepts=["boolean"])

    n_samples_fit_: int = fitted()
    categories_: list[Array | None] = fitted()

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


@estimator
class PenalisedClassifier(CallbackSupportMixin, FitSummary, Resampling, LinearPredictions, BaseEstimator):
    """A linear classifier whose fits minimise a penalised mean loss."""

    dual: bool = parameter(default=False, accepts=["boolean"])
    tol: float = parameter(default=1e-4, accepts=["at least 0"])
    intercept_scaling: float = parameter(default=1, accepts=["above 0"])
    class_weight: ClassWeight = parameter(default=None, accepts=[dict, "balanced", None])
    random_state: RandomState = parameter(default=None, accepts=["random_state"])
    solver: Solver = parameter(default="auto", accepts=[Solver])
    max_iter: int = parameter(default=1000, accepts=["count or 0"])
    verbose: int = parameter(default=0, accepts=["verbose"])
    penalty_factors: ArrayLike | None = parameter(default=None, accepts=["array-like", None])
    group_by_class: bool = parameter(default=False, accepts=["boolean"])
    lower_bounds: GivenBounds = parameter(default=None, accepts=[Real, dict, "array-like", None])
    upper_bounds: GivenBounds = parameter(default=None, accepts=[Real, dict, "array-like", None])

    # The name of the class in both packages.
    _scikit_learn_name: ClassVar[str]

    def to_sklearn(self) -> Any:
        """Return a fitted model of scikit-learn's class with the same coefficients.

        Returns
        -------
        model : estimator of sklearn.linear_model
            Its class has the name of this one. Parameters at their defaults have scikit-learn's, and those that it has
            not are left out.

        Raises
        ------
        ValueError
            Columns are categorical, which scikit-learn's class does not know.
        """
        if hasattr(self, "categories_"):
            raise ValueError(
                "to_sklearn needs a model without categorical columns: scikit-learn's takes the columns that "
                "OneHotEncoder(categories=...) makes of them."
            )
        return copy_linear_model(self, getattr(linear_model, self._scikit_learn_name))

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """Return a fitted model of this class with the coefficients of scikit-learn's.

        Parameters
        ----------
        model : estimator of sklearn.linear_model
            A fitted model, whose class has the name of this one.

        Returns
        -------
        model : LogisticRegression or LogisticRegressionCV
            It has no certificate: nothing is known of the rows that it was fitted to.

        Raises
        ------
        TypeError
            The model is of another class.
        """
        return copy_linear_model(model, cls)

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
        with reading_known_data(self, X, y, sample_weight, offset) as data:
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
        from fastlin.estimators.problem import Problem, count_fits_at_once
        from fastlin.inference.bootstrap import Refits, Resampled, choose_tol

        C, l1_ratio = self._read_strength()
        model: Any = copy(self)
        # Other solvers ask for a small gradient, which tells no distance in standard errors.
        model.solver = "auto"
        _, coef, intercept = read_coefficients(model)

        def make_problem(weights):
            if model.class_weight is None:
                return Problem(model, replace(data, weights=weights))
            # Class weights follow from the rows of the resample.
            weights = weights * data.weight_unit
            return Problem(model, make_training_data(model, data.matrix, data.y, weights, data.offsets, data.classes))

        def find(problem, start, tol, check=None):
            fit = problem.minimize(C, l1_ratio, [start], check, tol)
            return Resampled(fit.coef, fit.intercept, fit.certificate, fit.solution.converged), fit.solution

        n_rows, n_features = data.matrix.shape
        whole = make_problem(np.ones(n_rows) if data.weights is None else data.weights)
        objective = whole.objective(C, l1_ratio)
        first, solution = find(whole, (coef.astype(np.float64), intercept.astype(np.float64)), model.tol)
        tol = choose_tol(model.tol, solution.value, n_rows)
        best, solution = find(whole, (first.coef, first.intercept), tol)
        origin = best.coef.astype(np.float64), best.intercept.astype(np.float64)
        point = None
        if objective.keeps_probabilities and objective.affords_hessian and not objective.penalty.group_by_class:
            point = objective.at(solution.parameters, out=objective.make_room())
        return Refits(
            lambda weights, check: find(make_problem(weights), origin, tol, check)[0],
            best,
            point,
            np.append(np.ones(n_features, bool), model.fit_intercept),
            count_fits_at_once(data.matrix, objective.shape, l1_ratio == 0),
        )

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
        from fastlin.estimators.problem import Problem, take_differences
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
