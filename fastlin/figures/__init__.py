"""Draws pictures from results; it computes only the means and spreads of what is drawn.

`draw` draws the results of a study into a folder; the functions that begin with ``plot_`` draw on axes of the caller's.
`show_images` and `plot_weights` fill a figure.
Matplotlib is imported only when something is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastlin.extras import needs
from fastlin.figures.comparisons import CONTENDERS, draw_compare, draw_peers
from fastlin.figures.course import (
    draw_binary,
    draw_early_stopping,
    draw_images,
    draw_l2_norm,
    draw_l2_sweep,
    draw_l2_weights,
    draw_shuffling,
    draw_softmax,
)
from fastlin.figures.curves import plot_history, plot_path, plot_scores
from fastlin.figures.images import plot_weights, show_images
from fastlin.figures.models import plot_coefficients, plot_convergence
from fastlin.figures.networks import draw_deep, draw_search, draw_two_layer
from fastlin.figures.style import DOTS_PER_INCH, STYLE

if TYPE_CHECKING:
    from pathlib import Path

    from fastlin.figures.style import Picture, StudyResults

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
    "plot_weights",
    "show_images",
]

DRAWINGS = {
    "images": draw_images,
    "binary": draw_binary,
    "early_stopping": draw_early_stopping,
    "shuffling": draw_shuffling,
    "softmax": draw_softmax,
    "l2_weights": draw_l2_weights,
    "l2_sweep": draw_l2_sweep,
    "l2_norm": draw_l2_norm,
    "compare": draw_compare,
    "peers": draw_peers,
    "cifar10_two_layer": draw_two_layer,
    "cifar10_search": draw_search,
    "cifar10_deep": draw_deep,
}


def draw(study: str, results: StudyResults, folder: Path) -> list[Picture]:
    """Draw the results of a study.

    Parameters
    ----------
    study : str
        The name of the study, as the program takes it.
    results : studies.settings.Results
        What the study found.
    folder : Path
        Where the pictures are written.

    Returns
    -------
    list of Picture
        The files, with a caption and an alternative text each; empty for a study that has no picture.
    """
    if study not in DRAWINGS:
        return []
    with needs("studies"):
        import matplotlib as mpl

    with mpl.rc_context(STYLE):
        return DRAWINGS[study](results, folder)
