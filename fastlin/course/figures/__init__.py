"""Draws the results of studies: `draw` draws the results of one study into a folder, with captions."""

from pathlib import Path

from fastlin.course.figures import comparisons, course, networks
from fastlin.course.figures.comparisons import CONTENDERS
from fastlin.course.figures.losses import plot_loss
from fastlin.extras import needs
from fastlin.figures.style import STYLE, Picture, StudyResults, place_legend, save_figure

__all__ = ["CONTENDERS", "draw", "plot_loss"]

# What draws the pictures of each study, by their names.
DRAWINGS = {
    "images": {"images": course.draw_images},
    "binary": {"binary": course.draw_binary},
    "early_stopping": {"early_stopping": course.draw_early_stopping},
    "shuffling": {"shuffling": course.draw_shuffling},
    "softmax": {"softmax": course.draw_softmax},
    "l2_weights": {"l2_weights": course.draw_l2_weights},
    "l2_sweep": {"l2_sweep": course.draw_l2_sweep},
    "l2_norm": {"l2_norm": course.draw_l2_norm},
    "compare": {"compare": comparisons.draw_compare},
    "learning": {"learning": comparisons.draw_learning},
    "peers": {"peers": comparisons.draw_peers},
    "cifar10_two_layer": {"cifar10_two_layer": networks.draw_two_layer},
    "cifar10_search": {"cifar10_search": networks.draw_search},
    "cifar10_deep": {
        "cifar10_deep": networks.draw_depths,
        "cifar10_few_layers": networks.draw_few_layers,
        "cifar10_deep_curves": networks.draw_curves,
    },
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
        return [_save(name, drawing(results), folder) for name, drawing in DRAWINGS[study].items()]


def _save(name, drawing, folder):
    """Save a Drawing, completed by its title and a legend, and return the Picture."""
    figure, title, caption, alt = drawing
    figure.suptitle(title)
    if not figure.legends:
        place_legend(figure)
    return Picture(save_figure(figure, folder, f"{name}.png"), caption, alt)
