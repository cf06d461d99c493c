"""What all pictures share: sizes, colours, names, and the functions that open and save them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from fastlin.extras import needs
from fastlin.places import write_whole
from fastlin.typing import Array

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
# The letters are large enough to be read at half size.
STYLE: dict[Any, Any] = {
    "font.size": 13,
    "legend.fontsize": 11,
    "figure.titlesize": 15,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
}
# Colours that the colour-blind tell apart (Okabe and Ito 2008), and five more (Tol's) where there are more classes.
COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#882255",
    "#000000",
    "#999933",
    "#44AA99",
)

DATA_NAMES = {"mnist": "MNIST", "cifar10": "CIFAR-10", "digits": "8 × 8 digits", "synthetic": "synthetic data"}


class Picture(NamedTuple):
    """A file with a picture; `caption` names what is drawn, and `alt` describes the picture for the blind."""

    file: str
    caption: str
    alt: str


class Drawing(NamedTuple):
    """A figure, its title, and the texts of its `Picture`."""

    figure: Figure
    title: str
    caption: str
    alt: str


class StudyResults(Protocol):
    """The attributes of `course.studies.settings.Results` that figures read."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What was run."""

    @property
    def merits(self) -> dict[str, Any]:
        """What the study found."""

    @property
    def series(self) -> dict[str, Any]:
        """Histories and arrays."""


def open_figure(
    n_rows: int, n_columns: int, width: float | None = None, height: float | None = None
) -> tuple[Figure, Any]:
    """Return a figure and its axes; width and height are in inches, and follow from the number of axes by default."""
    figure = make_figure(width or min(7.5 * n_columns, 18), height or 5.2 * n_rows)
    return figure, figure.subplots(n_rows, n_columns)


def make_figure(width: float, height: float) -> Figure:
    """Return a figure without axes, of a width and a height in inches."""
    # pyplot's figures would open windows and change global state; this one leaves the caller's figures as they are.
    with needs("studies"):
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

    # The title of the figure would touch those of the panels.
    layout = ConstrainedLayoutEngine(h_pad=0.09)
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=layout)


def current_axes() -> Axes:
    """Return the current axes of pyplot."""
    with needs("studies"):
        import matplotlib.pyplot as plt

    return plt.gca()


def embed(plot: Callable[[Axes], object], width: float, height: float) -> str:
    """Return what a function draws on axes, as a data URL; width and height are in inches."""
    figure, file = make_figure(width, height), io.BytesIO()
    plot(figure.subplots())
    figure.savefig(file, format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def read_coef(model: Any) -> Array:
    """Return the coefficients of a linear model, which `sparsify` may have made sparse, as an array (rows, columns)."""
    # A copy, since the model stays as it is. Estimators of fastlin check their coefficients then.
    return np.asarray(copy(model).densify().coef_ if hasattr(model, "densify") else model.coef_)


def save_figure(figure: Figure, folder: Path, name: str) -> str:
    """Save a figure under a name in a folder, and return the name."""
    with write_whole(folder / name) as part:
        # The name of the unfinished file has no suffix that names a format.
        figure.savefig(part, format=name.rpartition(".")[2])
    return name


def count_nouns(number: int, noun: str) -> str:
    """Return the number and the noun, in the plural unless the number is one."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def name_data(results: StudyResults) -> str:
    """Return the name of a study's data set for titles."""
    return DATA_NAMES.get(results.parameters["data"], results.parameters["data"])


def place_legend(figure: Figure) -> None:
    """Put one legend of all panels below them, where it covers no curve; each label appears once."""
    handles: dict[str, Any] = {}
    for panel in figure.axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        n_columns = max(2, round(figure.get_figwidth() / 3.5))
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=n_columns)
