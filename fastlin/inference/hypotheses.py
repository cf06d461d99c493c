"""Tail probabilities and quantiles from scipy.special, which imports sooner than scipy.stats, and results of tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

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


def find_two_sided(z: FloatArray, df: float | None) -> Any:
    """Return the probability of a number at least as large in magnitude as z, by Student's t or, without df, normal."""
    from scipy.special import ndtr, stdtr

    below = -np.abs(z)
    return 2 * (ndtr(below) if df is None else stdtr(df, below))


def find_quantile(level: float, df: float | None) -> float:
    """Return the half width of the interval of a level, in standard errors, by Student's t or, without df, normal."""
    from scipy.special import ndtri, stdtrit

    half = 0.5 + 0.5 * level
    return float(ndtri(half) if df is None else stdtrit(df, half))


def compare(name: str, statistic: float, df: float, df_denominator: float | None = None) -> TestResult:
    """Return the test of a statistic that is chi-squared where the hypothesis holds, but for its scale with F."""
    from scipy.special import chdtrc, fdtrc

    if df_denominator is None:
        return TestResult(name, statistic, df, None, float(chdtrc(df, max(statistic, 0.0))))
    statistic /= df
    return TestResult(name, statistic, df, df_denominator, float(fdtrc(df, df_denominator, max(statistic, 0.0))))
