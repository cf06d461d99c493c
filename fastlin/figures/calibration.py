"""A plot of the calibration of probabilities in bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.environment.terminal import make_printable
from fastlin.figures.style import COLORS
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_calibration(
    counts: IntArray, probabilities: FloatArray, fractions: FloatArray, description: str, *, axes: Axes
) -> Axes:
    """Plot the mean probability and the fraction of events of each bin of rows, with the largest bin at the top.

    If the probabilities are calibrated, about 95 % of the fractions are within two standard deviations of the binomial
    distribution from the mean probability, which error bars show.

    Parameters
    ----------
    counts, probabilities, fractions : ndarray of shape (n_bins,)
        The number of rows, the mean probability and the fraction of events of each bin.
    description : str
        The event and the rows, such as "the probability of yes, validation rows".
    axes : matplotlib Axes
        Axes to draw on.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from fastlin.figures.calibration import plot_calibration
    >>> bins = np.array([50, 50]), np.array([0.1, 0.6]), np.array([0.12, 0.58])
    >>> axes = plot_calibration(*bins, "the probability of yes", axes=plt.figure().add_subplot())
    >>> axes.get_yticklabels()[0].get_text()
    '6 of 50'
    """
    positions = np.arange(len(counts))
    two_deviations = 2 * np.sqrt(probabilities * (1 - probabilities) / counts)
    errors = [np.minimum(two_deviations, probabilities), np.minimum(two_deviations, 1 - probabilities)]
    axes.errorbar(
        probabilities, positions, xerr=errors, fmt="o", markersize=6, color=COLORS[0], label="mean probability"
    )
    axes.plot(fractions, positions, "D", markersize=6, color=COLORS[1], clip_on=False, label="observed fraction")
    n_events = np.rint(fractions * counts).astype(int)
    axes.set_yticks(positions, [f"{n:,} of {count:,}" for n, count in zip(n_events, counts, strict=True)])
    axes.set_xlim(left=0)
    axes.set(xlabel="probability, with 2 standard deviations", ylabel="observed events in each bin of rows")
    axes.set_title(make_printable(f"Calibration of {description}").replace("$", r"\$"), wrap=True)
    axes.legend(loc="lower right")
    return axes
