"""The plot of the calibration."""

import numpy as np
from matplotlib.figure import Figure

from fastlin.figures.calibration import plot_calibration


def test_plot_calibration_shows_probabilities_fractions_and_counts():
    figure = Figure(layout="constrained")
    counts, probabilities, fractions = np.array([2_000, 50]), np.array([0.001, 0.6]), np.array([0.0005, 0.7])
    axes = plot_calibration(counts, probabilities, fractions, "the price in $\x1b", axes=figure.subplots())
    figure.draw_without_rendering()
    means, observed = axes.lines[0], axes.lines[-1]
    np.testing.assert_array_equal(means.get_xdata(), probabilities)
    np.testing.assert_array_equal(observed.get_xdata(), fractions)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1 of 2,000", "35 of 50"]
    (bars,) = axes.containers[0].lines[2]
    low, high = np.array(bars.get_segments())[:, :, 0].T
    deviations = np.sqrt(probabilities * (1 - probabilities) / counts)
    np.testing.assert_allclose(high, probabilities + 2 * deviations, rtol=1e-14)
    # The interval of a probability does not extend below zero.
    np.testing.assert_allclose(low, [0, 0.6 - 2 * deviations[1]], atol=1e-17)
    assert axes.get_title() == r"Calibration of the price in \$\x1b"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["observed fraction", "mean probability"]
