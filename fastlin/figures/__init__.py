"""Plots of models and results. This package computes only means and standard deviations.

Functions whose names begin with ``plot_`` plot on axes that the caller provides. `show_images` and `plot_weights` fill
a figure. Matplotlib is imported only when a figure is plotted.
"""

from fastlin.figures.curves import plot_history, plot_path, plot_scores, plot_stability
from fastlin.figures.fitted_models import plot_coefficients, plot_convergence, plot_influence, plot_strengths
from fastlin.figures.image_grid import plot_weights, show_images
from fastlin.figures.style import STYLE

__all__ = [
    "STYLE",
    "plot_coefficients",
    "plot_convergence",
    "plot_history",
    "plot_influence",
    "plot_path",
    "plot_scores",
    "plot_stability",
    "plot_strengths",
    "plot_weights",
    "show_images",
]
