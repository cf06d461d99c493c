"""What every solver returns."""

from dataclasses import dataclass, field

import numpy as np


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
    history : list of tuple (objective, largest gradient entry)
        One entry per iteration.
    """

    coef: np.ndarray
    intercept: np.ndarray
    n_iter: int
    converged: bool
    message: str
    history: list = field(default_factory=list)
