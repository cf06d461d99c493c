"""Axes to draw on."""

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def axes():
    return Figure(layout="constrained").subplots()


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]
