"""Fixtures that save figures without the slow rendering."""

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def saved(monkeypatch):
    """Return a list of the figures that are saved; their files are empty."""
    saved_figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **options: saved_figures.append(figure) or file.touch())
    return saved_figures


def is_inside_figure(text, figure):
    """Return whether a text is within the width of its figure."""
    box = text.get_window_extent()
    return 0 <= box.x0 < box.x1 <= figure.bbox.width
