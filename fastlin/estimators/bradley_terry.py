"""BradleyTerry: strengths of items from paired comparisons, a logistic regression on differences of indicators."""

from __future__ import annotations

import warnings
from math import log
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted

from fastlin.coefficient_names import NO_OMITTED_CATEGORIES
from fastlin.containers.fitted import validate_count
from fastlin.estimators.batched_fits import prepare_refits
from fastlin.estimators.fit_reporting import restore_on_error
from fastlin.estimators.labels import validate_training_data
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.matches import Matches, MatchResampler, find_items, read_covariates, read_matches
from fastlin.estimators.parameters import draw_seed, estimator, fitted, parameter
from fastlin.estimators.problem import Problem
from fastlin.estimators.scikit_learn import BaseEstimator, check_parameters
from fastlin.exceptions import ConvergenceWarning, SeparationError
from fastlin.inference.bootstrap import choose_refit_tol, fit_resamples
from fastlin.inference.contrasts import Contrasts
from fastlin.inference.covariances import compute_covariance
from fastlin.inference.estimation import find_estimates, is_large
from fastlin.inference.hypotheses import find_half_width_quantile
from fastlin.inference.options import InferenceOptions, WeightInfo
from fastlin.inference.tables import convert_to_dataframe
from fastlin.typing import Array, FloatArray, RandomState

# The largest tol of the fits.
MAX_TOL = 1e-8
# The Elo rating of a strength of zero, and the Elo points per unit of strength: 400 points are odds of 10 to 1.
ELO_CENTER, ELO_SCALE = 1000, 400 / log(10)


@estimator
class BradleyTerry(BaseEstimator):
    """Bradley-Terry model of paired comparisons: strengths of players, teams or models from the results of matches.

    The log odds that item i wins against item j are the difference of their strengths, plus the effects of covariates
    of the match such as home advantage [1]_::

        log(p / (1 - p)) = strength_i - strength_j + covariates @ covariate_coef

    The fit maximizes the likelihood of the outcomes. It is a logistic regression without an intercept, whose rows are
    +1 for the first item and -1 for the second. A tie counts as half a win for both items. Without covariates and
    clusters, identical matches are merged first, so the cost of a fit depends on the number of distinct pairs.

    The fitted model stores the matches for `to_frame` and `bootstrap`.

    Without a penalty, strengths are finite if and only if, for each division of the items into two groups, each group
    has a win against the other [2]_. Otherwise, `fit` raises an error that names the items.

    Parameters
    ----------
    C : float, default=inf
        Inverse strength of the L2 penalty, as in `LogisticRegression`: the penalty sum_i strength_i^2 / (2 C) is
        subtracted from the log-likelihood. At the maximum, the strengths sum to zero. The coefficients of covariates
        are not penalized. ``np.inf`` means no penalty.

    Attributes
    ----------
    items_ : ndarray of shape (n_items,)
        The items with matches of positive weight, sorted.
    strengths_ : ndarray of shape (n_items,)
        Strengths of the items, which sum to zero.
    covariate_coef_ : ndarray of shape (n_covariates,)
        Coefficients of the covariates: changes of the log odds that `first` wins.
    covariate_names_ : list of str
        Names of the covariates: those of the DataFrame, or x0, x1 and so on.
    covariance_ : ndarray of shape (n_items + n_covariates, n_items + n_covariates), or None
        Covariance matrix of the strengths, which sum to zero, and of the coefficients of the covariates. Without
        clusters, it is the inverse of the Fisher information; with a penalty, this is the posterior covariance under
        the prior N(0, C) of the strengths (Laplace approximation). With clusters, it is the cluster-robust covariance
        of `LogisticRegression.inference`. It is None for more than 4,096 parameters.
    certificate_ : float
        Certified upper bound on the suboptimality of the mean loss, as in `LogisticRegression`; inf if there is none.
    converged_ : bool
        Whether the fit converged.
    fit_seconds_ : float
        Duration of the fit in seconds.

    See Also
    --------
    LogisticRegression : The model that is fitted.

    References
    ----------
    .. [1] R. A. Bradley and M. E. Terry (1952). Rank Analysis of Incomplete Block Designs: I. The Method of Paired
       Comparisons. Biometrika 39(3/4), 324-345.
    .. [2] L. R. Ford (1957). Solution of a Ranking Problem from Binary Comparisons. American Mathematical Monthly
       64(8), 28-33.

    Examples
    --------
    >>> from fastlin import BradleyTerry
    >>> first, second = ["a", "a", "b", "c", "c"], ["b", "c", "c", "a", "b"]
    >>> model = BradleyTerry().fit(first, second, [1, 1, 1, 1, 0.5])
    >>> model.items_
    array(['a', 'b', 'c'], dtype='<U1')
    >>> model.predict_proba(["a"], ["b"]).round(2)
    array([0.63])
    """

    C: float = parameter(default=np.inf, accepts=["above 0, or inf"])

    items_: Array = fitted()
    strengths_: FloatArray = fitted()
    covariate_coef_: FloatArray = fitted()
    covariate_names_: list[str] = fitted()
    covariance_: FloatArray | None = fitted()
    certificate_: float = fitted()
    converged_: bool = fitted()
    fit_seconds_: float = fitted()
    _matches: Matches = fitted()
    # The C of the fit, the coefficients (1, d) of its logistic regression, and the index of the item without a column.
    _C: float = fitted()
    _coef: FloatArray = fitted()
    _reference: int | None = fitted()

    def fit(
        self,
        first: ArrayLike,
        second: ArrayLike,
        outcome: ArrayLike,
        sample_weight: ArrayLike | None = None,
        clusters: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> Self:
        """Fit the strengths to the outcomes of matches.

        Parameters
        ----------
        first, second : array-like of shape (n_matches,)
            The two items of each match: strings, or numbers.
        outcome : array-like of shape (n_matches,)
            1 if `first` wins, 0 if `second` wins, 0.5 for a tie, or any number in between, such as a probability.
        sample_weight : array-like of shape (n_matches,) or None
            The number of identical matches that each match represents, at least 0 and not all 0. A match of weight
            zero is ignored. If some weights are not integers, `bootstrap` draws matches with their weights, and the
            correction for clusters counts each match once. None means that all weights are one.
        clusters : array-like of shape (n_matches,) or None
            Cluster of each match, for example the voter. Standard errors and the bootstrap then allow for dependence
            within clusters.
        covariates : array-like of shape (n_matches, n_covariates) or None
            Covariates of the match from the point of view of `first`, for example 1 if `first` plays at home and -1 if
            `second` does. They change sign if `first` and `second` are swapped.

        Returns
        -------
        self
            Fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid, if a match is between an item and itself, or if covariates are collinear
            (`CollinearityError`).
        SeparationError
            If there are no finite estimates without a penalty. Covariates are only checked if there are at most 4,096
            parameters.
        """
        check_parameters(self)
        # NumPy's warnings are not needed, because the results are checked for overflow.
        with restore_on_error(self), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            matches = read_matches(first, second, outcome, sample_weight, clusters, covariates)
            self._matches, self._C, self._reference = matches, self.C, None
            if self.C == np.inf:
                matches.check_estimates_exist()
                # Without a penalty, the item with the most matches has no column.
                self._reference = int(matches.sum_wins_and_matches()[1].argmax())
            self.items_, self.covariate_names_ = matches.items, matches.covariate_names
            model, data = self._prepare_model()
            problem = Problem(model, data)
            fit = problem.minimize(self.C, 0.0)
            self.certificate_, self.converged_ = fit.certificate, fit.solution.converged
            objective, coef, covariance = problem.objective(self.C, 0.0), fit.coef, None
            if not is_large(objective):
                coef, covariance = self._compute_estimates(objective, fit, data.weight_unit)
            elif not self.converged_:
                warnings.warn(
                    f"The fit stopped before it converged ({fit.solution.stop_reason.message}), so strengths_ may be "
                    "inaccurate. Use a penalty, or a smaller C.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            self._coef, (self.strengths_, self.covariate_coef_) = coef, self._extract_strengths(coef[0])
            self.covariance_ = None if covariance is None else self._center_covariance(covariance)
        return self

    def predict_proba(self, first: ArrayLike, second: ArrayLike, covariates: ArrayLike | None = None) -> FloatArray:
        """Return the probabilities that `first` wins.

        Parameters
        ----------
        first, second : array-like of shape (n_matches,)
            The two items of each match, from `items_`.
        covariates : array-like of shape (n_matches, n_covariates) or None
            Covariates of the matches, as in `fit`. None means zeros.

        Returns
        -------
        ndarray of shape (n_matches,)
            The probability that `first` wins; a tie counts as half a win.

        Raises
        ------
        ValueError
            If an item is unknown, or if the shapes of the arguments do not match.
        """
        check_is_fitted(self)
        first_indices, second_indices = (
            find_items(name, values, self.items_) for name, values in (("first", first), ("second", second))
        )
        if len(first_indices) != len(second_indices):
            raise ValueError(
                f"first and second must have one entry per match, got {len(first_indices)} and {len(second_indices)} "
                "entries. Pass arrays of the same length."
            )
        log_odds = self.strengths_[first_indices] - self.strengths_[second_indices]
        if covariates is not None:
            values, names = read_covariates(covariates, len(log_odds))
            names = names if hasattr(covariates, "columns") else self.covariate_names_
            if values.shape[1] != len(self.covariate_coef_) or names != self.covariate_names_:
                description = f"the columns {names}" if hasattr(covariates, "columns") else f"shape {values.shape}"
                remedy = f"Pass the columns {self.covariate_names_}" if self.covariate_names_ else "Set covariates=None"
                raise ValueError(
                    f"covariates must have the {len(self.covariate_names_)} columns of the fit, got {description}. "
                    f"{remedy}."
                )
            log_odds += np.einsum("ij,j->i", values, self.covariate_coef_)
        return expit(log_odds)

    def to_frame(self, level: float = 0.95) -> Any:
        """Return a table of the items, in descending order of strength.

        Parameters
        ----------
        level : float, default=0.95
            Confidence level of the intervals, between 0 and 1.

        Returns
        -------
        pandas.DataFrame or dict of ndarray
            A dict if pandas is not installed. The columns are:

            - item, strength, std_error: the strengths, which sum to zero, and their standard errors;
            - lower, upper: Wald confidence limits of the strength;
            - rank: 1 for the strongest item;
            - rank_lower, rank_upper: the rank range. rank_lower is 1 plus the number of items whose interval lies above
              that of the item, and rank_upper is n_items minus the number of items whose interval lies below it;
            - elo: the strength on the Elo scale, 1000 + strength * 400 / ln 10;
            - matches, wins: the total weight of the item's matches, and of its wins (with ties as half wins).

        Raises
        ------
        ValueError
            If `level` is invalid, or if there are no standard errors, because there are more than 4,096 parameters.
        """
        check_is_fitted(self)
        if self.covariance_ is None:
            raise ValueError(
                f"to_frame requires standard errors, which are limited to 4,096 parameters, but the model has "
                f"{len(self.items_) + len(self.covariate_coef_):,}. Use strengths_ and bootstrap."
            )
        n_items, half_width = len(self.items_), find_half_width_quantile(level, None)
        order = np.argsort(-self.strengths_, kind="stable")
        strengths, std_errors = self.strengths_[order], np.sqrt(np.diagonal(self.covariance_)[:n_items])[order]
        lower, upper = strengths - half_width * std_errors, strengths + half_width * std_errors
        wins, n_matches = self._matches.sum_wins_and_matches()
        columns = {
            "item": self.items_[order],
            "strength": strengths,
            "std_error": std_errors,
            "lower": lower,
            "upper": upper,
            "rank": np.arange(1, n_items + 1),
            "rank_lower": 1 + n_items - np.searchsorted(np.sort(lower), upper, side="right"),
            "rank_upper": n_items - np.searchsorted(np.sort(upper), lower, side="left"),
            "elo": ELO_CENTER + ELO_SCALE * strengths,
            "matches": n_matches[order],
            "wins": wins[order],
        }
        return convert_to_dataframe(columns)

    def bootstrap(self, n_resamples: int = 1000, random_state: RandomState = None) -> FloatArray:
        """Bootstrap the strengths: refit the model to resamples of the matches, or of the clusters if there are any.

        Each resample has as many matches as the data, drawn with replacement. Each refit stops within a hundredth of a
        standard error of its optimum. With a finite C and without covariates, refits are batched. The result does not
        depend on the number of threads.

        The refits use the C of the fit. Without a penalty, a resample without finite strengths is drawn again, and a
        warning reports how often. Resamples in which covariates separate wins from losses are not drawn again; most of
        their refits do not converge, which the warning reports too.

        Parameters
        ----------
        n_resamples : int, default=1000
            Number of resamples, at least 2.
        random_state : int, RandomState or None, default=None
            Seed of the resamples. The first m resamples are the same for any larger n_resamples.

        Returns
        -------
        ndarray of shape (n_resamples, n_items)
            Strengths of each resample, which sum to zero.

        Raises
        ------
        ValueError
            If `n_resamples` is invalid, or if too many resamples have no finite strengths.

        Warns
        -----
        ConvergenceWarning
            If some resamples were drawn again, or if some refits did not converge.
        """
        check_is_fitted(self)
        n_resamples = validate_count("n_resamples", n_resamples, minimum=2)
        model, data = self._prepare_model()
        model.classes_, model.coef_, model.intercept_ = np.arange(2), self._coef, np.zeros(1)
        resampler: Any = MatchResampler(
            self._matches, draw_seed(random_state), data.weight_unit, must_connect=self._C == np.inf
        )
        strengths, n_unconverged = np.empty((n_resamples, len(self.items_))), 0
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for number, fit in fit_resamples(prepare_refits(model, data, self._C, 0.0), resampler, n_resamples):
                strengths[number] = self._extract_strengths(fit.coef[0])[0]
                n_unconverged += not fit.converged
        n_redraws = sum(resampler.n_redraws.values())
        if n_redraws or n_unconverged:
            warnings.warn(
                f"{n_redraws} resamples without finite strengths were drawn again, and {n_unconverged} of "
                f"{n_resamples} refits stopped before they converged. The spread of the strengths is conditional on "
                f"finite estimates. Add matches, or {'use a smaller C' if self._C < np.inf else 'a penalty, C=1.0'}"
                f"{', or remove covariates' * bool(self.covariate_names_)}.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return strengths

    def _prepare_model(self):
        """Return the LogisticRegression of the fit, without coefficients, and its TrainingData."""
        matches, q = self._matches, len(self.covariate_names_)
        X, labels = matches.build_rows(self._reference)
        weights = matches.compute_row_weights()
        factors = None if self._C == np.inf or not q else np.repeat([1.0, 0.0], [len(matches.items), q])
        tol = choose_refit_tol(MAX_TOL, log(2), weights.sum())
        model = LogisticRegression(C=self._C, tol=tol, fit_intercept=False, penalty_factors=factors)
        return model, validate_training_data(model, X, labels, weights)

    def _compute_estimates(self, objective, fit, weight_unit):
        """Return the coefficients (1, d) at the optimum and their covariance (d, d)."""
        matches, has_penalty = self._matches, not objective.penalty.is_zero
        has_clusters = matches.clusters is not None
        n, n_parameters = matches.n_matches, len(self.items_) - 1 + len(self.covariate_names_)
        if has_clusters and n <= n_parameters:
            raise ValueError(
                f"clusters require more matches than parameters, got {n} matches and {n_parameters} parameters. Add "
                "matches, or set clusters=None."
            )
        names = np.array([*(f"item {item}" for item in self.items_), *self.covariate_names_], object)
        options = InferenceOptions(
            covariance="cluster" if has_clusters else "model",
            penalized=("sandwich" if has_clusters else "laplace") if has_penalty else None,
            use_t=False,
            features=None,
            reference=0,
            classes=np.array(["loss", "win"]),
            names=names if self._reference is None else np.delete(names, self._reference),
            omitted_categories=NO_OMITTED_CATEGORIES,
            clusters=[] if matches.clusters is None else [matches.clusters[matches.row_weights.indices]],
            weights=WeightInfo("frequency", weight_unit, False),
            tol=0.0,
            stacklevel=4,
        )
        total_weight = objective.rows.total_weight * weight_unit
        start = objective.coordinates.to_parameters(*fit.start)
        try:
            optimum = find_estimates(objective, start, options, total_weight)
        except SeparationError as error:
            # Without covariates, this cannot happen, because finite strengths exist.
            raise SeparationError(
                f"The covariates {', '.join(self.covariate_names_)} have no finite coefficients, because they separate "
                f"the wins from the losses. Remove covariates, or add matches. {str(error).partition('. ')[0]}."
            ) from error
        contrasts = Contrasts.from_reference(0, 2, objective)
        units = contrasts.build_contrast_matrix(np.arange(contrasts.n_columns))
        covariance = compute_covariance(optimum, units, options, total_weight)[0] / total_weight
        if has_clusters:
            covariance *= (n - 1) / (n - n_parameters)
        return contrasts.of(optimum.point.parameters), covariance

    def _insert_reference(self, values, axis=0):
        """Return values with zeros for the reference item along an axis, if there is one."""
        return values if self._reference is None else np.insert(values, self._reference, 0.0, axis)

    def _extract_strengths(self, coef):
        """Return the strengths, which sum to zero, and the coefficients of the covariates, from all coefficients."""
        coef, n_items = self._insert_reference(coef), len(self.items_)
        return coef[:n_items] - coef[:n_items].mean(), coef[n_items:].copy()

    def _center_covariance(self, covariance):
        """Return the covariance of the centered strengths and of the covariates."""
        covariance, n_items = self._insert_reference(self._insert_reference(covariance), axis=1), len(self.items_)
        covariance[:n_items] -= covariance[:n_items].mean(axis=0)
        covariance[:, :n_items] -= covariance[:, :n_items].mean(axis=1, keepdims=True)
        return 0.5 * (covariance + covariance.T)
