"""The curve of a loss as the course's scripts draw it."""

from collections.abc import Mapping

import numpy as np

from fastlin.extras import needs


def plot_loss(
    loss_dict: Mapping[int, float], label: str | None = None, npoints_to_average: int = 1, plot_variance: bool = True
) -> None:
    """Plot a history on the current axes of Matplotlib, as the course's function of that name does.

    Each value is drawn, unless several are averaged: then their mean stands at the middle one of their steps, within a
    band of one standard deviation to both sides. The last values that are too few for a mean are left out.

    Parameters
    ----------
    loss_dict : dict of int to float
        Global step to value.
    label : str or None, default=None
        The name of the curve in the legend. Means are called ``"<label> (mean over 10 steps)"`` and their band
        ``"<label> variance over 10 steps"``.
    npoints_to_average : int, default=1
        Number of successive values of which the mean is drawn.
    plot_variance : bool, default=True
        Whether values are averaged at all: the course draws each value where this is False.

    Raises
    ------
    ValueError
        `npoints_to_average` is not a whole number of at least 1.

    Examples
    --------
    >>> from fastlin.trainers import plot_loss
    >>> plot_loss({0: 2.0, 10: 1.5, 20: 1.2}, "validation")
    """
    with needs("studies"):
        import matplotlib.pyplot as plt

    if npoints_to_average < 1 or npoints_to_average != int(npoints_to_average):
        raise ValueError(f"npoints_to_average must be a whole number of at least 1, got {npoints_to_average!r}")
    steps, values = np.array(list(loss_dict)), np.array(list(loss_dict.values()))
    if npoints_to_average == 1 or not plot_variance:
        plt.plot(steps, values, label=label)
        return
    n_means = len(values) // npoints_to_average
    groups = values[: n_means * npoints_to_average].reshape(n_means, npoints_to_average)
    middles = steps[npoints_to_average // 2 :: npoints_to_average][:n_means]
    mean, deviation = groups.mean(axis=1), groups.std(axis=1)
    names = [None, None]
    if label is not None:
        names = [f"{label} (mean over {npoints_to_average} steps)", f"{label} variance over {npoints_to_average} steps"]
    (line,) = plt.plot(middles, mean, label=names[0])
    plt.fill_between(middles, mean - deviation, mean + deviation, alpha=0.2, color=line.get_color(), label=names[1])
