"""Draws what the studies have found: `draw` draws the results of one into a folder, with captions."""

from pathlib import Path

from fastlin.course.figures import comparisons, course, networks
from fastlin.course.figures.comparisons import CONTENDERS
from fastlin.course.figures.losses import plot_loss
from fastlin.extras import needs
from fastlin.figures.style import STYLE, Picture, StudyResults

__all__ = ["CONTENDERS", "draw", "plot_loss"]

DRAWINGS = {
    "images": [course.draw_images],
    "binary": [course.draw_binary],
    "early_stopping": [course.draw_early_stopping],
    "shuffling": [course.draw_shuffling],
    "softmax": [course.draw_softmax],
    "l2_weights": [course.draw_l2_weights],
    "l2_sweep": [course.draw_l2_sweep],
    "l2_norm": [course.draw_l2_norm],
    "compare": [comparisons.draw_compare],
    "peers": [comparisons.draw_peers],
    "cifar10_two_layer": [networks.draw_two_layer],
    "cifar10_search": [networks.draw_search],
    "cifar10_deep": [networks.draw_depths, networks.draw_few_layers, networks.draw_curves],
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
        return [drawing(results, folder) for drawing in DRAWINGS[study]]
