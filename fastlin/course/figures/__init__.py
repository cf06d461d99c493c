"""Draws the results of studies: `draw` draws the results of one study into a folder, with captions.

A function with the study's name draws its picture; plots.toml has the picture's title, caption and text.
"""

from pathlib import Path
from typing import Any, NamedTuple

from fastlin.course import find_functions
from fastlin.course.figures import comparisons, course, networks
from fastlin.course.figures.comparisons import LIBRARIES
from fastlin.course.figures.losses import plot_loss
from fastlin.course.texts import DATA_NAMES, read_texts, write
from fastlin.extras import needs
from fastlin.figures.style import STYLE
from fastlin.file_system import write_whole

__all__ = ["LIBRARIES", "draw", "plot_loss"]

DRAWINGS = find_functions("draw_", comparisons, course, networks)


class Plot(NamedTuple):
    """A file with a picture; `caption` names what is drawn, and `alt` describes the picture for the blind."""

    file: str
    caption: str
    alt: str


def draw(study: str, results: Any, folder: Path) -> list[Plot]:
    """Draw the Results of a study, by the name that the program takes, into a folder; return a list of Picture.

    Each is a file with a caption and an alternative text. The list is empty for a study that has no picture.
    """
    if study not in DRAWINGS:
        return []
    with needs("studies", "matplotlib"):
        import matplotlib as mpl

    found = {**results.parameters, **results.metrics}
    texts = {name: write(text, found) for name, text in read_texts("figures", "plots.toml")[study].items()}
    file = f"{study}.png"
    with mpl.rc_context(STYLE), write_whole(folder / file) as part:
        figure = DRAWINGS[study](results)
        # A figure with one panel is narrower than most titles.
        figure.suptitle(f"{DATA_NAMES[found['data']]}, {texts['title']}", wrap=True)
        # Each label appears once, in one legend below all panels, where it covers no curve.
        labels = (zip(*panel.get_legend_handles_labels(), strict=True) for panel in figure.axes)
        handles = {label: handle for panel in labels for handle, label in panel}
        if handles and not figure.legends:
            n_columns = max(2, round(figure.get_figwidth() / 3.5))
            figure.legend(handles.values(), handles, loc="outside lower center", ncols=n_columns)
        # The name of the unfinished file has no suffix that names a format.
        figure.savefig(part, format="png")
    return [Plot(file, texts["caption"], texts["alt"])]
