"""Tail probabilities and quantiles from scipy.special, which imports sooner than scipy.stats, and results of tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from fastlin.typing import FloatArray


@dataclass(frozen=True)
class TestResult:
    """The outcome of a test.

    Attributes
    ----------
    name : str
        What was tested, and how.
    statistic : float
        The statistic: chi-squared, or F with Student's t in place of the normal distribution.
    df, df_denominator : float, float or None
        The degrees of freedom of the numerator and of the denominator of F, or of chi-squared and None.
    p_value : float
        The probability of so large a statistic where the hypothesis holds.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlin import LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LogisticRegression(C=float("inf"), tol=1e-12).fit(X[:, :2], y)
    >>> model.inference(X[:, :2], y).wald_test(["x0", "x1"]).df
    2
    """

    # pytest is not to collect it.
    __test__ = False

    name: str
    statistic: float
    df: float
    df_denominator: float | None
    p_value: float

    def __str__(self) -> str:
        """Return the test in a line."""
        kind = f"chi2({self.df:g})" if self.df_denominator is None else f"F({self.df:g}, {self.df_denominator:g})"
        return f"{self.name}: {kind} = {self.statistic:.4f}, p = {self.p_value:.4g}"


def check_level(level: float) -> float:
    """Return the level of an interval, which lies between 0 and 1."""
    if np.ndim(level) or isinstance(level, str) or not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}.")
    return level


class WaldTested:
    """Wald's tests and intervals of estimates that have standard errors."""

    @property
    def _to_test(self) -> tuple[FloatArray, FloatArray, float | None]:
        """The estimates, their errors, and the degrees of freedom of Student's t, None for the normal distribution."""
        raise NotImplementedError

    @property
    def z(self) -> FloatArray:
        """The estimates divided by their standard errors, in their shape."""
        estimates, std_errors, _ = self._to_test
        with np.errstate(invalid="ignore", divide="ignore"):
            return estimates / std_errors

    @property
    def p_values(self) -> FloatArray:
        """The two-sided p-value of each estimate against zero, in their shape."""
        below, df = -np.abs(self.z), self._to_test[2]
        return 2 * (ndtr(below) if df is None else stdtr(df, below))

    def conf_int(self, level: float = 0.95) -> FloatArray:
        """Return the confidence intervals of the estimates by Wald's method.

        Parameters
        ----------
        level : float
            How often an interval covers the true value, between 0 and 1.

        Returns
        -------
        ndarray of shape (n_rows, n_columns, 2)
            The lower and the upper ends, of estimates of shape (n_rows, n_columns).
        """
        (estimates, std_errors, df), tail = self._to_test, 0.5 + 0.5 * check_level(level)
        half = (ndtri(tail) if df is None else stdtrit(df, tail)) * std_errors
        return np.stack([estimates - half, estimates + half], axis=-1)


def compare(name: str, statistic: float, df: float, df_denominator: float | None = None) -> TestResult:
    """Return the test of a statistic that is chi-squared where the hypothesis holds, but for its scale with F."""
    if df_denominator is None:
        return TestResult(name, statistic, df, None, float(chdtrc(df, max(statistic, 0.0))))
    statistic /= df
    return TestResult(name, statistic, df, df_denominator, float(fdtrc(df, df_denominator, max(statistic, 0.0))))
