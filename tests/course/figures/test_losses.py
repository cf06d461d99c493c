"""`plot_loss` of the course: plotted values and labels."""

import matplotlib
import numpy as np
import pytest

from fastlin.course import trainers

LOSS_HISTORY = {3 * step: float(step % 4) for step in range(25)}


@pytest.fixture
def axes():
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_means_are_plotted_at_the_middle_step_with_a_band(axes):
    trainers.plot_loss(LOSS_HISTORY, "training", npoints_to_average=10)
    (line,), (band,) = axes.lines, axes.collections
    values = np.array(list(LOSS_HISTORY.values()))[:20].reshape(2, 10)
    np.testing.assert_allclose(line.get_xydata(), np.transpose([[15, 45], values.mean(axis=1)]))
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx((values.mean(axis=1) + values.std(axis=1)).max())
    assert heights.min() == pytest.approx((values.mean(axis=1) - values.std(axis=1)).min())
    names = [text.get_text() for text in axes.legend().get_texts()]
    assert names == ["training (mean over 10 steps)", "training variance over 10 steps"]
    assert band.get_facecolor()[0][:3] == pytest.approx(matplotlib.colors.to_rgb(line.get_color()))


def test_every_value_is_plotted_without_a_variance(axes):
    trainers.plot_loss(LOSS_HISTORY, "training", npoints_to_average=10, plot_variance=False)
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), list(LOSS_HISTORY.items()))
    assert axes.get_legend_handles_labels()[1] == ["training"]


def test_a_curve_without_label_has_no_legend(axes):
    trainers.plot_loss(LOSS_HISTORY)
    for number, n_means in ((5, 5), (30, 0)):
        trainers.plot_loss(LOSS_HISTORY, npoints_to_average=number)
        assert len(axes.lines[-1].get_xdata()) == n_means
    assert axes.get_legend_handles_labels() == ([], [])


@pytest.mark.parametrize("number", [0, -1, 2.5])
def test_an_invalid_number_of_points_raises(axes, number):
    with pytest.raises(ValueError, match=f"^npoints_to_average must be an integer of at least 1, got {number}$"):
        trainers.plot_loss(LOSS_HISTORY, npoints_to_average=number)
    assert not axes.lines
