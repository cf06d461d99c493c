"""Pictures of rows of pixels: images of a data set, and the weights that a model has learned for each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.extras import needs
from fastlin.figures.style import list_names, read_coef
from fastlin.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


def show_images(
    images: Array,
    labels: Sequence[object] | Array | None = None,
    n_columns: int = 10,
    *,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Show images as a grid of pictures, in gray or, where a row has three planes, in color.

    All pictures share one scale, from the least to the largest value of the images.

    Parameters
    ----------
    images : ndarray of shape (N, pixels) or (pixels,)
        Rows of pixels of any range: n² values for a picture of n × n, such as 784 of MNIST or 64 of the digits, or 3 n²
        for red, green and blue planes, such as 3,072 of CIFAR-10. A last column of ones is left out.
    labels : sequence of N or None, default=None
        What is written above each picture.
    n_columns : int, default=10
        The largest number of pictures in a row.
    figure : matplotlib Figure or SubFigure, or None
        Where it is drawn. None: in a new figure of pyplot.

    Returns
    -------
    matplotlib Figure or SubFigure
        The figure that was drawn in, with one axes for each picture.

    Raises
    ------
    ValueError
        The rows have no length that makes a square picture, or `labels` has another length than the images.
    TypeError
        `labels` is no sequence, or holds a figure.

    Examples
    --------
    >>> from fastlin import datasets, figures
    >>> digits = datasets.load_digits()
    >>> figure = figures.show_images(digits.X_train[:10], digits.y_train[:10], n_columns=5)
    >>> len(figure.axes)
    10
    """
    pictures = _to_pictures("images", np.atleast_2d(images))
    lowest, highest = pictures.min(), pictures.max()
    pictures = (pictures - lowest) / (highest - lowest or 1)
    return _draw_grid(pictures, labels, n_columns, figure, cmap="gray", vmin=0, vmax=1)[0]


def plot_weights(
    w: Any,
    labels: Sequence[object] | Array | None = None,
    n_columns: int = 10,
    *,
    figure: Figure | SubFigure | None = None,
    shape: tuple[int, ...] | None = None,
) -> list[Axes]:
    """Plot the weights of each output as a picture: red speaks for the output, blue against it.

    All pictures share a scale, symmetric around 0. Weights of red, green and blue planes have these colors; 0 is gray.

    Parameters
    ----------
    w : fitted linear model, or ndarray of shape (pixels + 1, outputs), (pixels, outputs) or (pixels,)
        A model with `coef_`, or weights such as ``model.w`` of the course's models or ``params["W1"]`` of a
        `TwoLayerNet`. The bias, the last row of an array, is left out.
    labels : sequence or None, default=None
        What is written above each picture. None: the classes of the model, or the numbers of the outputs.
    n_columns : int, default=10
        The largest number of pictures in a row.
    figure : matplotlib Figure or SubFigure, or None
        Where it is drawn. None: in a new figure of pyplot.
    shape : tuple of int, or None
        Height and width of a picture, and 3 after them for planes of red, green and blue. None: a square.

    Returns
    -------
    list of matplotlib Axes
        One axes for each output, all of one figure; for weights of one plane the figure has a color bar too.

    Raises
    ------
    ValueError
        The columns make no square or no picture of the shape, or `labels` and outputs differ in number.
    TypeError
        `labels` is no sequence, or holds a figure.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastlin import LogisticRegression, figures
    >>> model = LogisticRegression(C=0.01).fit(*load_digits(return_X_y=True))
    >>> panels = figures.plot_weights(model)
    >>> len(panels)
    10
    """
    if shape is not None and (not isinstance(shape, tuple) or len(shape) not in (2, 3)):
        raise ValueError(f"shape must be (height, width) or (height, width, 3), got {shape!r}")
    has_bias = not hasattr(w, "coef_")
    if not has_bias:
        labels = w.classes_[-w.coef_.shape[0] :] if labels is None else labels
        w = read_coef(w).T
    pictures = _to_pictures("w", np.atleast_2d(np.asarray(w).T), shape, has_bias)
    largest = np.abs(pictures).max() or 1
    labels = range(len(pictures)) if labels is None else labels
    if pictures.ndim == 4:
        return _draw_grid((1 + pictures / largest) / 2, labels, n_columns, figure)[1]
    figure, axes = _draw_grid(pictures, labels, n_columns, figure, cmap="RdBu_r", vmin=-largest, vmax=largest)
    # Texts of one width, so that two such rows of pictures below each other are aligned.
    ticks = "{x:+.3f}" if 0.01 <= largest < 10 else "{x:+.1e}"
    figure.colorbar(axes[0].images[0], ax=axes, pad=0.02, ticks=[-largest, 0, largest], format=ticks)
    return axes


def _to_pictures(name, rows, shape=None, has_bias=True):
    """Return rows of pixels as pictures in float64: (N, height, width), or (N, height, width, 3) of three planes."""
    for n_pixels in (rows.shape[-1], rows.shape[-1] - 1)[: 1 + has_bias]:
        for n_planes in (1, 3):
            side = isqrt(max(n_pixels, 0) // n_planes)
            wanted = (side, side, n_planes) if shape is None else (*shape, 1)[:3]
            if rows.ndim == 2 and len(rows) and side and wanted[2] == n_planes and prod(wanted) == n_pixels:
                planes = rows[:, :n_pixels].astype(np.float64).reshape(-1, n_planes, *wanted[:2])
                return planes[:, 0] if n_planes == 1 else planes.transpose(0, 2, 3, 1)
    wanted = "n² or 3 n² pixels" if shape is None else f"the pixels of shape={shape}"
    raise ValueError(
        f"{name} must have {wanted} for each picture, with or without a one or bias after them, got "
        f"{rows.shape[-1]} and {len(rows)} pictures"
    )


def _draw_grid(pictures, labels, n_columns, figure, **style):
    """Draw each picture on axes of its own; return the figure and the axes."""
    # The course's labels have shape (N, 1).
    labels = None if labels is None else np.ravel(list_names("labels", labels, "figure"))
    if labels is not None and len(labels) != len(pictures):
        raise ValueError(f"labels must be one for each of {len(pictures)} pictures, got {len(labels)}")
    n_columns = min(n_columns, len(pictures))
    n_rows = -(-len(pictures) // n_columns)
    if figure is None:
        with needs("studies", "matplotlib.pyplot"):
            import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(1 + 1.3 * n_columns, 1.6 * n_rows), layout="constrained")
    axes = [figure.add_subplot(n_rows, n_columns, place + 1) for place in range(len(pictures))]
    for place, (panel, picture) in enumerate(zip(axes, pictures, strict=True)):
        panel.imshow(picture, **style)
        panel.set_title("" if labels is None else labels[place], wrap=True)
        panel.set_axis_off()
    return figure, axes
