"""Inference for Firth's penalized likelihood: profile tests and confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from fastlin.coefficient_names import OmittedCategories, append_intercept
from fastlin.inference.contrasts import Contrasts, find_reference
from fastlin.inference.hypotheses import TestResult
from fastlin.inference.inference import Inference, InferenceBasis, collect_inference_fields
from fastlin.inference.likelihood import LikelihoodState
from fastlin.inference.predictions import EncodeRows
from fastlin.inference.profile import ESTIMATE_TOL, MAX_STEPS, maximize_likelihood
from fastlin.typing import Array, FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class FirthInference(Inference):
    """An `Inference` for Firth's penalized likelihood, returned by `FirthLogisticRegression.inference`.

    The covariance is the inverse of the expected information at the estimates. Tests and intervals use the profile of
    the penalized likelihood (Heinze and Schemper 2002). The penalty includes all columns, even if a coefficient is
    fixed. If the classes are separable, the likelihood with a fixed coefficient may have several maxima; the maximum
    that is reached from the estimates is used. `z` and `wald_test` use the standard errors, so `p_values` cannot be
    computed from `z`.

    Attributes
    ----------
    penalized_log_likelihood : float
        The maximum of the penalized log-likelihood, l + log det I / 2, where I is the information matrix for the
        coefficients of the original columns.

    Examples
    --------
    >>> from fastlin import FirthLogisticRegression
    >>> X, y = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]], [0, 0, 0, 1, 1, 1]
    >>> inference = FirthLogisticRegression().fit(X, y).inference(X, y)
    >>> inference.conf_int().round(2).tolist()
    [[[0.0, 6.07], [-15.63, 0.41]]]
    >>> inference.p_values.round(3).tolist()
    [[0.05, 0.099]]
    """

    penalized_log_likelihood: float

    _has_wald_p_values = False

    @cached_property
    def p_values(self) -> FloatArray:
        """P-values of the penalized likelihood-ratio tests that the estimates are zero, (K', p)."""
        return self._likelihood_profile.compute_p_values(self._basis.positions)

    def conf_int(self, level: float = 0.95, method: Literal["profile", "wald"] = "profile") -> FloatArray:
        """Return confidence intervals of the estimates.

        Parameters
        ----------
        level : float, default=0.95
            Confidence level, between 0 and 1.
        method : {"profile", "wald"}, default="profile"
            "profile" uses the profile of the penalized likelihood, "wald" the standard errors.

        Returns
        -------
        ndarray of shape (K', p, 2)
            The lower and upper limits.
        """
        if method not in ("profile", "wald"):
            raise ValueError(f'method must be "profile" or "wald", got {method!r}.')
        return super().conf_int(level) if method == "wald" else self.profile_conf_int(level=level)

    def lr_test(self, smaller: str | int | Sequence[str | tuple[str, Any] | int] | Inference) -> TestResult:
        """Return the penalized likelihood-ratio test that all coefficients of some columns are zero.

        Parameters
        ----------
        smaller : str, int or sequence
            The columns whose coefficients are zero in the smaller model: `names`, pairs (column, category) for
            categories of categorical columns, or indices into `names`. The penalty is still computed from all columns,
            so the test differs from a comparison with a model that is fitted without these columns. Therefore, the
            Inference of such a model is not accepted.

        Returns
        -------
        TestResult
            A chi-squared test. Its degrees of freedom are the number of coefficients that the null hypothesis sets to
            zero.

        Raises
        ------
        TypeError
            `smaller` is an Inference.
        ValueError
            A name is unknown or ambiguous.
        """
        if isinstance(smaller, Inference):
            raise TypeError(
                "smaller must be the names of the columns to test, got an Inference: penalized likelihoods of models "
                "with different columns are not comparable."
            )
        return self._likelihood_profile.compute_column_test(
            self._basis.positions[self._find_column_indices("smaller", smaller)]
        )


def compute_firth_inference(
    start: LikelihoodState,
    classes: Array,
    names: Array,
    omitted_categories: OmittedCategories,
    reference: Any,
    encode_rows: EncodeRows,
) -> FirthInference:
    """Return the FirthInference at the maximum near `start`, the state of a fitted model. `names` has shape (d,)."""
    if start.likelihood.objective.rows.has_targets:
        raise ValueError(
            "FirthLogisticRegression.inference requires observed labels: likelihood-ratio tests are not valid with "
            "soft labels. Use bootstrap."
        )
    maximum = maximize_likelihood(start, ESTIMATE_TOL, MAX_STEPS)
    state, likelihood = maximum.state, maximum.state.likelihood
    objective = likelihood.objective
    contrasts = Contrasts.from_reference(find_reference(reference, classes), len(classes), objective)
    # Omitted categories have no coefficients.
    positions = np.flatnonzero(likelihood.free[: contrasts.n_columns])
    units = contrasts.build_contrast_matrix(positions)[:, likelihood.positions]
    covariance = units @ (units @ state.factor.invert()).T
    columns = append_intercept(names, objective.fit_intercept)
    point = objective.at(objective.center(state.parameters))
    basis = InferenceBasis("model", "firth", contrasts, positions, point, encode_rows, omitted_categories)
    return FirthInference(
        **collect_inference_fields(
            basis, point, start.parameters, covariance, columns, classes, likelihood.total_weight
        ),
        n_samples=likelihood.total_weight,
        df_model=float(likelihood.positions.size - contrasts.n_intercepts),
        distance_from_optimum=maximum.newton_decrement,
        penalized_log_likelihood=likelihood.unscale_log_likelihood(state),
    )
