"""Results of tests, and Wald statistics. This module uses scipy.special, because importing scipy.stats is slower."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from fastlin.typing import Array, FloatArray


@dataclass(frozen=True)
class TestResult:
    """The result of a hypothesis test.

    Attributes
    ----------
    name : str
        The null hypothesis, or the kind of test.
    statistic : float
        The F statistic if Student's t replaces the normal distribution (`use_t`), otherwise the chi-squared statistic.
    df, df_denominator : float, float or None
        The degrees of freedom of the numerator and the denominator of F, or the degrees of freedom of chi-squared and
        None.
    p_value : float
        The probability of a statistic at least this large under the null hypothesis.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlin import LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LogisticRegression(C=float("inf"), tol=1e-12).fit(X[:, :2], y)
    >>> model.inference(X[:, :2], y).wald_test(["x0", "x1"]).df
    2
    """

    # pytest must not collect this as a test class.
    __test__ = False

    name: str
    statistic: float
    df: float
    df_denominator: float | None
    p_value: float

    def __str__(self) -> str:
        """Return the result on one line."""
        kind = f"chi2({self.df:g})" if self.df_denominator is None else f"F({self.df:g}, {self.df_denominator:g})"
        return f"{self.name}: {kind} = {self.statistic:.4f}, p = {self.p_value:.4g}"


def check_confidence_level(level: float) -> float:
    """Return a confidence level; raise a ValueError if it is not between 0 and 1."""
    if np.ndim(level) or isinstance(level, str) or not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}.")
    return level


def find_half_width_quantile(level: float, df: float | None) -> float:
    """Return half the width of a confidence interval in standard errors; `df` as in `WaldStatistics._wald_inputs`."""
    probability = 0.5 + 0.5 * check_confidence_level(level)
    return float(ndtri(probability) if df is None else stdtrit(df, probability))


class WaldStatistics:
    """Mixin with Wald tests and intervals for estimates with standard errors."""

    # The names (p,) of the columns of the estimates, and the classes (K',) of their rows.
    names: Array
    classes: Array
    # Whether the p-values follow from z; tables label the columns accordingly.
    _has_wald_p_values = True

    @property
    def _wald_inputs(self) -> tuple[FloatArray, FloatArray, float | None]:
        """The estimates, their standard errors, and the degrees of freedom of Student's t.

        The degrees of freedom are None for the normal distribution.
        """
        raise NotImplementedError

    @property
    def z(self) -> FloatArray:
        """Wald statistics: the estimates divided by their standard errors, with the same shape."""
        estimates, std_errors, _ = self._wald_inputs
        with np.errstate(invalid="ignore", divide="ignore"):
            return estimates / std_errors

    @property
    def p_values(self) -> FloatArray:
        """Two-sided p-values of the Wald tests that the estimates are zero, with the same shape."""
        negative_abs_z, df = -np.abs(self.z), self._wald_inputs[2]
        return 2 * (ndtr(negative_abs_z) if df is None else stdtr(df, negative_abs_z))

    def conf_int(self, level: float = 0.95) -> FloatArray:
        """Return Wald confidence intervals of the estimates.

        Parameters
        ----------
        level : float
            Confidence level, between 0 and 1.

        Returns
        -------
        ndarray of shape (n_rows, n_columns, 2)
            The lower and upper limits, for estimates of shape (n_rows, n_columns).
        """
        estimates, std_errors, df = self._wald_inputs
        half_width = find_half_width_quantile(level, df) * std_errors
        return np.stack([estimates - half_width, estimates + half_width], axis=-1)


def compute_test(name: str, statistic: float, df: float, df_denominator: float | None = None) -> TestResult:
    """Return the chi-squared test of a statistic, or the F test of statistic / df if df_denominator is given."""
    if df_denominator is None:
        return TestResult(name, statistic, df, None, float(chdtrc(df, max(statistic, 0.0))))
    statistic /= df
    return TestResult(name, statistic, df, df_denominator, float(fdtrc(df, df_denominator, max(statistic, 0.0))))
