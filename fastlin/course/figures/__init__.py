"""Figures of the studies: `draw` saves the figure of one study in a folder and returns its caption.

The function `draw_<study>` draws the figure of a study. Titles, captions and alternative texts are in plots.toml.
"""

from pathlib import Path
from typing import Any, NamedTuple

from fastlin.course import find_functions_with_prefix
from fastlin.course.figures import comparisons, course, networks
from fastlin.course.figures.comparisons import LIBRARIES
from fastlin.course.figures.losses import plot_loss
from fastlin.course.text_templates import DATASET_TITLES, fill_placeholders, read_toml
from fastlin.environment.extras import import_extra
from fastlin.environment.file_system import write_atomically
from fastlin.figures.style import STYLE

__all__ = ["LIBRARIES", "draw", "plot_loss"]

DRAWING_FUNCTIONS = find_functions_with_prefix("draw_", comparisons, course, networks)


class Plot(NamedTuple):
    """The file of a figure with its caption; `alt` is the alternative text for screen readers."""

    file: str
    caption: str
    alt: str


def draw(study: str, results: Any, folder: Path) -> list[Plot]:
    """Save the figure of a study's Results in a folder. Return a list with its Plot, or [] if there is no figure."""
    if study not in DRAWING_FUNCTIONS:
        return []
    with import_extra("studies", "matplotlib"):
        import matplotlib as mpl

    values = {**results.parameters, **results.metrics}
    labels = {name: fill_placeholders(text, values) for name, text in read_toml("figures", "plots.toml")[study].items()}
    file = f"{study}.png"
    with mpl.rc_context(STYLE), write_atomically(folder / file) as part:
        figure = DRAWING_FUNCTIONS[study](results)
        # Most titles are wider than a figure with one panel.
        figure.suptitle(f"{DATASET_TITLES[values['data']]}, {labels['title']}", wrap=True)
        # A single legend below all panels shows each label once and covers no curve.
        legends = (zip(*panel.get_legend_handles_labels(), strict=True) for panel in figure.axes)
        handles = {label: handle for legend in legends for handle, label in legend}
        if handles and not figure.legends:
            n_columns = max(2, round(figure.get_figwidth() / 3.5))
            figure.legend(handles.values(), handles, loc="outside lower center", ncols=n_columns)
        # Matplotlib cannot infer the format, because the temporary file has no suffix.
        figure.savefig(part, format="png")
    return [Plot(file, labels["caption"], labels["alt"])]
