"""A figure and axes to draw on, which are drawn in the end."""

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def figure():
    figure = Figure(layout="constrained")
    yield figure
    figure.draw_without_rendering()


@pytest.fixture
def axes(figure):
    return figure.subplots()


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def ticks(axes):
    return [label.get_text() for label in axes.get_yticklabels()]
