"""What is known of coefficients by Firth's penalized likelihood, with its tests and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from fastlin.coefficient_names import LeftOut, append_intercept
from fastlin.inference.contrasts import Contrasts, find_reference
from fastlin.inference.hypotheses import TestResult
from fastlin.inference.inference import Basis, Inference, report
from fastlin.inference.likelihood import State
from fastlin.inference.profile import EXACT, MAX_STEPS, maximize
from fastlin.typing import Array, FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class FirthInference(Inference):
    """An `Inference` by Firth's penalized likelihood; `FirthLogisticRegression.inference` makes it.

    The covariance is the inverse of the expected information at the estimates. Tests and intervals come from the
    penalized likelihood (Heinze and Schemper 2002); its penalty is by all columns, also if a coefficient is held. If
    classes are separable a profile may have several maxima; the one on the way from the estimates counts.

    Attributes
    ----------
    penalized_log_likelihood : float
        The maximum of the penalized likelihood, l + log det I / 2, with I by the coefficients of the columns as they
        are.

    Examples
    --------
    >>> from fastlin import FirthLogisticRegression
    >>> X, y = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]], [0, 0, 0, 1, 1, 1]
    >>> found = FirthLogisticRegression().fit(X, y).inference(X, y)
    >>> found.conf_int().round(2).tolist()
    [[[0.0, 6.07], [-15.63, 0.41]]]
    >>> found.p_values.round(3).tolist()
    [[0.05, 0.099]]
    """

    penalized_log_likelihood: float

    @cached_property
    def p_values(self) -> FloatArray:
        """The p-value of each estimate against zero, (K', p), by the ratio of penalized likelihoods."""
        return self._profile.find_p_values(self._basis.positions)

    def conf_int(self, level: float = 0.95, method: Literal["profile", "wald"] = "profile") -> FloatArray:
        """Return the confidence intervals of the estimates.

        Parameters
        ----------
        level : float, default=0.95
            How often an interval covers the true value, between 0 and 1.
        method : {"profile", "wald"}, default="profile"
            By the profile of the penalized likelihood, or by standard errors.

        Returns
        -------
        ndarray of shape (K', p, 2)
            The lower and the upper ends.
        """
        if method not in ("profile", "wald"):
            raise ValueError(f'method must be "profile" or "wald", got {method!r}.')
        return super().conf_int(level) if method == "wald" else self.profile_conf_int(level=level)

    def lr_test(self, smaller: str | int | Sequence[str | tuple[str, Any] | int] | Inference) -> TestResult:
        """Test whether all coefficients of some columns are zero, by the ratio of penalized likelihoods.

        Parameters
        ----------
        smaller : str, int or sequence
            The columns whose coefficients are zero in the smaller model: `names`, pairs (column, level) for levels of
            categorical columns, or indices among `names`. It is penalized by all columns,
            so that it is no model of its own, and an Inference of one is refused.

        Returns
        -------
        TestResult
            By chi-squared with as many degrees of freedom as there are coefficients.

        Raises
        ------
        TypeError
            It is an Inference.
        ValueError
            A name stands for no column, or for several.
        """
        if isinstance(smaller, Inference):
            raise TypeError(
                "smaller must be the names of the columns that are left out: penalized likelihoods of models with "
                "other columns cannot be compared."
            )
        return self._profile.test_columns(self._basis.positions[self._find("smaller", smaller)])


def infer(begin: State, classes: Array, names: Array, left_out: LeftOut, reference: Any) -> FirthInference:
    """Return the FirthInference of the maximum near the State of a fitted model, whose columns have names (d,)."""
    if begin.likelihood.objective.rows.has_targets:
        raise ValueError("Soft labels are no draws, whose likelihoods tests and intervals compare; resample the rows.")
    found = maximize(begin, EXACT, MAX_STEPS)
    state, likelihood = found.state, found.state.likelihood
    objective = likelihood.objective
    contrasts = Contrasts.against(find_reference(reference, classes), len(classes), objective)
    # Levels that are left out have no coefficients.
    positions = np.flatnonzero(likelihood.free[: contrasts.n_columns])
    units = contrasts.list_units(positions)[:, likelihood.positions]
    covariance = units @ (units @ state.factor.invert()).T
    columns = append_intercept(names, objective.fit_intercept)
    point = objective.at(objective.center(state.parameters))
    basis = Basis("model", "firth", contrasts, positions, point, left_out)
    return FirthInference(
        **report(basis, point, begin.parameters, covariance, columns, classes, likelihood.total_weight),
        n_samples=likelihood.total_weight,
        df_model=float(likelihood.positions.size - contrasts.n_intercepts),
        distance=found.distance,
        penalized_log_likelihood=likelihood.restore_value(state),
    )
