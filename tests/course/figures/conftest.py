"""Figures that are saved without being rendered, which takes long."""

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def opened(monkeypatch):
    """The figures that were saved since, of which there are empty files."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **options: figures.append(figure) or file.touch())
    return figures
