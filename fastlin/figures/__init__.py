"""Draws pictures of models and results; it computes only means and spreads.

The functions that begin with ``plot_`` draw on axes of the caller's. `show_images` and `plot_weights` fill a figure.
`draw` draws the results of a study of the course into a folder. Matplotlib is imported only when something is drawn.
"""

from importlib import import_module
from typing import Any

from fastlin.figures.curves import plot_history, plot_path, plot_scores, plot_stability
from fastlin.figures.fitted_models import plot_coefficients, plot_convergence
from fastlin.figures.image_grid import plot_weights, show_images
from fastlin.figures.style import DOTS_PER_INCH, STYLE

__all__ = [
    "CONTENDERS",
    "DOTS_PER_INCH",
    "STYLE",
    "draw",
    "plot_coefficients",
    "plot_convergence",
    "plot_history",
    "plot_path",
    "plot_scores",
    "plot_stability",
    "plot_weights",
    "show_images",
]


def __getattr__(name: str) -> Any:
    # The course imports this package.
    if name in ("CONTENDERS", "draw"):
        return getattr(import_module("fastlin.course.figures"), name)
    raise AttributeError(f"module 'fastlin.figures' has no attribute {name!r}")
