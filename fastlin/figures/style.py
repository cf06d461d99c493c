"""Style, colors and helper functions for all figures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.environment.extras import import_extra
from fastlin.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
# Fonts are large enough to be legible at half size.
STYLE: dict[Any, Any] = {
    "font.size": 13,
    "legend.fontsize": 11,
    "figure.titlesize": 15,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
}
# The colorblind-safe colors of Okabe and Ito (2008), followed by colors of Tol for more classes.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#000000", "#999933", "#44AA99")


def make_subplots(
    n_rows: int, n_columns: int, width: float | None = None, height: float | None = None
) -> tuple[Figure, Any]:
    """Return a figure and its axes. Width and height are in inches; the defaults depend on the number of axes."""
    figure = make_figure(width or min(7.5 * n_columns, 18), height or 5.2 * n_rows)
    return figure, figure.subplots(n_rows, n_columns)


def make_figure(width: float, height: float) -> Figure:
    """Return a figure without axes. Width and height are in inches."""
    # Unlike pyplot, this class opens no window and does not change the caller's current figure.
    with import_extra("studies", "matplotlib.figure", "matplotlib.layout_engine"):
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

    # With the default padding, the title of the figure would touch the titles of the axes.
    layout = ConstrainedLayoutEngine(h_pad=0.09)
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=layout)


def get_current_axes() -> Axes:
    """Return the current axes of pyplot. If there are none, return new axes with space for long names."""
    with import_extra("studies", "matplotlib.pyplot"):
        import matplotlib.pyplot as plt

    if not plt.get_fignums():
        plt.figure(layout="constrained")
    return plt.gca()


def label_log_axis(axis: Any, subs: tuple[int, ...] = (1, 2, 5)) -> None:
    """Label a log axis with plain numbers at the given multiples of powers of ten."""
    from matplotlib.ticker import LogLocator

    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def make_data_url(plot: Callable[[Axes], object], width: float, height: float) -> str:
    """Call a function that plots on axes, and return the figure as a data URL. Width and height are in inches."""
    figure, file = make_figure(width, height), io.BytesIO()
    plot(figure.subplots())
    figure.savefig(file, format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def get_dense_coef(model: Any) -> Array:
    """Return the coefficients of a linear model as a dense array, even after `sparsify`."""
    # `densify` changes the model, so it is called on a copy. In fastlin's estimators, it also checks the coefficients.
    return np.asarray(copy(model).densify().coef_ if hasattr(model, "densify") else model.coef_)


def validate_names(
    argument: str, value: Any, keyword_name: str, accepted_kind: str = "a sequence of names"
) -> list[Any]:
    """Return the names in an argument. Raise a TypeError if it is not a sequence or contains axes or figures."""
    # Users may pass axes as a positional argument, because other libraries accept it.
    is_sequence = isinstance(value, Iterable) and not isinstance(value, str)
    names = list(value) if is_sequence else [value]
    if not is_sequence or any(hasattr(name, "get_figure") for name in names):
        raise TypeError(
            f"{argument} must be {accepted_kind} or None, got {type(names[0]).__name__}; pass the {keyword_name} by "
            f"keyword, as {keyword_name}=..."
        )
    return names


def format_count(number: int, noun: str) -> str:
    """Return a number followed by a noun. The noun is in the plural unless the number is 1."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
