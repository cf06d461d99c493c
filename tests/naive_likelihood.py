"""The log-likelihood of softmax regression and its information in plain NumPy, which share no code with fastlin."""

import numpy as np
from scipy.special import softmax


def sum_rows(coef, X, labels, weights, is_firth):
    """Return the likelihood at coefficients (R, p) of all classes but the first, the last column of X being the ones.

    Also its expected information. With Firth's penalty the value has half the log-determinant of that too.
    """
    R, p = coef.shape
    scores = np.column_stack([np.zeros(len(X)), X @ coef.T])
    chances = softmax(scores, axis=1)
    value = np.sum(weights * np.log(chances[np.arange(len(X)), labels]))
    information = np.zeros((R, p, R, p))
    for a in range(R):
        for b in range(R):
            curvature = weights * chances[:, a + 1] * ((a == b) - chances[:, b + 1])
            information[a, :, b] = X.T @ (curvature[:, None] * X)
    information = information.reshape(R * p, R * p)
    return value + (0.5 * np.linalg.slogdet(information)[1] if is_firth else 0.0), information
