"""Draws the results of studies: `draw` draws the results of one study into a folder, with captions.

A function with the picture's name draws it from the results; pictures.toml has its title, caption and text.
"""

from pathlib import Path
from typing import Any, NamedTuple

from fastlin.course.figures import comparisons, course, networks
from fastlin.course.figures.comparisons import CONTENDERS
from fastlin.course.figures.losses import plot_loss
from fastlin.course.texts import DATA_NAMES, read_texts, write
from fastlin.extras import needs
from fastlin.figures.style import STYLE
from fastlin.places import write_whole

__all__ = ["CONTENDERS", "draw", "plot_loss"]

DRAWINGS = {
    name.removeprefix("draw_"): function
    for module in (comparisons, course, networks)
    for name, function in vars(module).items()
    if name.startswith("draw_")
}


class Picture(NamedTuple):
    """A file with a picture; `caption` names what is drawn, and `alt` describes the picture for the blind."""

    file: str
    caption: str
    alt: str


def draw(study: str, results: Any, folder: Path) -> list[Picture]:
    """Draw the Results of a study, by the name that the program takes, into a folder; return a list of Picture.

    Each is a file with a caption and an alternative text. The list is empty for a study that has no picture.
    """
    texts = {name: text for name, text in read_texts("figures", "pictures.toml").items() if text["study"] == study}
    if not texts:
        return []
    with needs("studies"):
        import matplotlib as mpl

    found = {**results.parameters, **results.merits}
    with mpl.rc_context(STYLE):
        return [_draw(name, text, results, found, folder) for name, text in texts.items()]


def _draw(name, text, results, found, folder):
    """Draw and save one picture, with its title and one legend of all panels below them, where it covers no curve."""
    figure = DRAWINGS[name](results)
    figure.suptitle(f"{DATA_NAMES[found['data']]}, {write(text['title'], found)}")
    # Each label appears once.
    handles = dict(pair[::-1] for panel in figure.axes for pair in zip(*panel.get_legend_handles_labels(), strict=True))
    if handles and not figure.legends:
        n_columns = max(2, round(figure.get_figwidth() / 3.5))
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=n_columns)
    file = f"{name}.png"
    with write_whole(folder / file) as part:
        # The name of the unfinished file has no suffix that names a format.
        figure.savefig(part, format="png")
    return Picture(file, write(text["caption"], found), write(text["alt"], found))
