"""Plots of benchmarks."""

from matplotlib.figure import Figure

from fastlin.figures.benchmarks import plot_curve


def test_the_line_of_a_curve_never_runs_backwards():
    axes = Figure().subplots()
    # The third fit is faster and more accurate than the second fit, for example because of noise.
    pairs = (1.0, 1e-1), (3.0, 1e-2), (2.0, 1e-3), (4.0, 1e-3), (5.0, 0.0)
    points = [{"seconds": seconds, "suboptimality": suboptimality} for seconds, suboptimality in pairs]
    plot_curve(points, axes, 1e-9, label="a", color="black", marker="o")
    line, markers = axes.lines
    assert list(line.get_xdata()) == [1.0, 2.0, 5.0]
    assert list(line.get_ydata()) == [1e-1, 1e-3, 1e-9]
    assert list(markers.get_xdata()) == [1.0, 3.0, 2.0, 4.0, 5.0] and markers.get_linestyle() == "None"
    assert axes.get_legend_handles_labels()[1] == ["a"]
