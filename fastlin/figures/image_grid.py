"""Grids of images: rows of a data set, or a model's weights for each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.environment.extras import import_extra
from fastlin.figures.style import get_dense_coef, validate_names
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
    """Show images in a grid, in gray or, if rows contain three color channels, in color.

    All images have the same scale, from the smallest to the largest value.

    Parameters
    ----------
    images : ndarray of shape (N, pixels) or (pixels,)
        Rows of pixels in any range. An image of n × n pixels has n² values, such as 784 for MNIST or 64 for the digits,
        or 3 n² for red, green and blue channels, such as 3,072 for CIFAR-10. A last column of ones is ignored.
    labels : sequence of N or None, default=None
        Titles of the images.
    n_columns : int, default=10
        Maximum number of images per row of the grid.
    figure : matplotlib Figure or SubFigure, or None
        Figure to draw in. None means a new pyplot figure.

    Returns
    -------
    matplotlib Figure or SubFigure
        The figure, with one Axes for each image.

    Raises
    ------
    ValueError
        The length of a row does not match a square image, or the length of `labels` is not the number of images.
    TypeError
        `labels` is not a sequence, or contains a figure.

    Examples
    --------
    >>> from fastlin import datasets, figures
    >>> digits = datasets.load_digits()
    >>> figure = figures.show_images(digits.X_train[:10], digits.y_train[:10], n_columns=5)
    >>> len(figure.axes)
    10
    """
    images = _reshape_to_images("images", np.atleast_2d(images))
    min_value, max_value = images.min(), images.max()
    images = (images - min_value) / (max_value - min_value or 1)
    return _plot_image_grid(images, labels, n_columns, figure, cmap="gray", vmin=0, vmax=1)[0]


def plot_weights(
    w: Any,
    labels: Sequence[object] | Array | None = None,
    n_columns: int = 10,
    *,
    figure: Figure | SubFigure | None = None,
    shape: tuple[int, ...] | None = None,
) -> list[Axes]:
    """Plot the weights of each output as an image: red favors the output, blue disfavors it.

    All images have the same scale, symmetric around 0. Weights for red, green and blue channels are shown in these
    colors, with gray for 0.

    Parameters
    ----------
    w : fitted linear model, or ndarray of shape (pixels + 1, outputs), (pixels, outputs) or (pixels,)
        A model with `coef_`, or weights such as ``model.w`` of the course's models or ``params["W1"]`` of a
        `TwoLayerNet`. The bias, the last row of an array, is ignored.
    labels : sequence or None, default=None
        Titles of the images. None means the classes of the model, or the indices of the outputs.
    n_columns : int, default=10
        Maximum number of images per row of the grid.
    figure : matplotlib Figure or SubFigure, or None
        Figure to draw in. None means a new pyplot figure.
    shape : tuple of int, or None
        (height, width) of an image, or (height, width, 3) for red, green and blue channels. None means a square.

    Returns
    -------
    list of matplotlib Axes
        One Axes for each output. For weights of a single channel, the figure also has a color bar.

    Raises
    ------
    ValueError
        The number of pixels does not match `shape` or a square, or `labels` does not have one entry per output.
    TypeError
        `labels` is not a sequence, or contains a figure.

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
        w = get_dense_coef(w).T
    images = _reshape_to_images("w", np.atleast_2d(np.asarray(w).T), shape, has_bias)
    largest = np.abs(images).max() or 1
    labels = range(len(images)) if labels is None else labels
    if images.ndim == 4:
        return _plot_image_grid((1 + images / largest) / 2, labels, n_columns, figure)[1]
    figure, axes = _plot_image_grid(images, labels, n_columns, figure, cmap="RdBu_r", vmin=-largest, vmax=largest)
    # The tick labels have equal widths, so that two figures one below the other are aligned.
    ticks = "{x:+.3f}" if 0.01 <= largest < 10 else "{x:+.1e}"
    figure.colorbar(axes[0].images[0], ax=axes, pad=0.02, ticks=[-largest, 0, largest], format=ticks)
    return axes


def _reshape_to_images(name, rows, shape=None, has_bias=True):
    """Return rows of pixels as float64 images (N, height, width), or (N, height, width, 3) for three channels."""
    for n_pixels in (rows.shape[-1], rows.shape[-1] - 1)[: 1 + has_bias]:
        for n_channels in (1, 3):
            side = isqrt(max(n_pixels, 0) // n_channels)
            image_shape = (side, side, n_channels) if shape is None else (*shape, 1)[:3]
            if rows.ndim == 2 and len(rows) and side and image_shape[2] == n_channels and prod(image_shape) == n_pixels:
                channels = rows[:, :n_pixels].astype(np.float64).reshape(-1, n_channels, *image_shape[:2])
                return channels[:, 0] if n_channels == 1 else channels.transpose(0, 2, 3, 1)
    accepted_sizes = "n² or 3 n² pixels" if shape is None else f"the number of pixels of shape={shape}"
    raise ValueError(
        f"{name} must have {accepted_sizes} per image, optionally followed by a one or a bias, got "
        f"{rows.shape[-1]} values per image for {len(rows)} images"
    )


def _plot_image_grid(images, labels, n_columns, figure, **style):
    """Plot each image on its own axes. Return the figure and the axes."""
    # The course's labels have shape (N, 1).
    labels = None if labels is None else np.ravel(validate_names("labels", labels, "figure"))
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"labels must have one entry for each of {len(images)} images, got {len(labels)}")
    n_columns = min(n_columns, len(images))
    n_rows = -(-len(images) // n_columns)
    if figure is None:
        with import_extra("studies", "matplotlib.pyplot"):
            import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(1 + 1.3 * n_columns, 1.6 * n_rows), layout="constrained")
    axes = [figure.add_subplot(n_rows, n_columns, index + 1) for index in range(len(images))]
    for index, (panel, image) in enumerate(zip(axes, images, strict=True)):
        panel.imshow(image, **style)
        panel.set_title("" if labels is None else labels[index], wrap=True)
        panel.set_axis_off()
    return figure, axes
