"""What every solver returns."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Iteration:
    """The state after one iteration.

    Attributes
    ----------
    objective : float
    gradient : float
        The largest absolute entry of the gradient.
    n_passes : int
        Walks over X so far.
    seconds : float
        Since the start.
    """

    objective: float
    gradient: float
    n_passes: int
    seconds: float


@dataclass(frozen=True)
class Solution:
    """The end of a minimisation.

    Attributes
    ----------
    coef : ndarray of shape (K, d), float64
    intercept : ndarray of shape (K,), float64
    n_iter : int
    converged : bool
    message : str
        Why it stopped, in words.
    history : list of Iteration
    """

    coef: np.ndarray
    intercept: np.ndarray
    n_iter: int
    converged: bool
    message: str
    history: list
