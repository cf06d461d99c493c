"""Draws what the studies have found: `draw` draws the results of one into a folder, with captions."""

from pathlib import Path

from fastlin.course.figures.comparisons import CONTENDERS, draw_compare, draw_peers
from fastlin.course.figures.course import (
    draw_binary,
    draw_early_stopping,
    draw_images,
    draw_l2_norm,
    draw_l2_sweep,
    draw_l2_weights,
    draw_shuffling,
    draw_softmax,
)
from fastlin.course.figures.losses import plot_loss
from fastlin.course.figures.networks import draw_deep, draw_search, draw_two_layer
from fastlin.extras import needs
from fastlin.figures.style import STYLE, Picture, StudyResults

__all__ = ["CONTENDERS", "draw", "plot_loss"]

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
    results : course.studies.settings.Results
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
