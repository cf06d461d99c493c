"""Pictures of rows of pixels: images of a data set, and the weights that a model has learned for each pixel."""

from math import isqrt

import numpy as np

from fastlin.extras import needs


def show_images(images, labels=None, n_columns=10, figure=None):
    """Show images as a grid of pictures, in grey or, where a row has three planes, in colour.

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
    """
    pictures = _to_pictures("images", np.atleast_2d(images))
    lowest, highest = pictures.min(), pictures.max()
    pictures = (pictures - lowest) / (highest - lowest or 1)
    return _draw_grid(pictures, labels, n_columns, figure, cmap="gray", vmin=0, vmax=1)[0]


def plot_weights(w, labels=None, n_columns=10, figure=None):
    """Plot the weights of each output as a picture: red speaks for the output, blue against it.

    All pictures share one scale, which is symmetric around 0. Weights of red, green and blue planes are drawn in these
    colours, with grey for 0.

    Parameters
    ----------
    w : ndarray of shape (pixels + 1, outputs), (pixels, outputs) or (pixels,)
        Weights, such as ``model.w`` of the course's models or ``params["W1"]`` of a `TwoLayerNet`, with as many pixels
        as `show_images` takes. The bias, the last row, is left out.
    labels : sequence or None, default=None
        What is written above each picture. None: the numbers of the outputs.
    n_columns : int, default=10
        The largest number of pictures in a row.
    figure : matplotlib Figure or SubFigure, or None
        Where it is drawn. None: in a new figure of pyplot.

    Returns
    -------
    matplotlib Figure or SubFigure
        The figure that was drawn in, with one axes for each output and, for weights of one plane, a colour bar.

    Raises
    ------
    ValueError
        The columns have no length that makes a square picture, or `labels` has another length than there are outputs.
    """
    pictures = _to_pictures("w", np.atleast_2d(np.asarray(w).T))
    largest = np.abs(pictures).max() or 1
    labels = range(len(pictures)) if labels is None else labels
    if pictures.ndim == 4:
        return _draw_grid((1 + pictures / largest) / 2, labels, n_columns, figure)[0]
    figure, axes = _draw_grid(pictures, labels, n_columns, figure, cmap="RdBu_r", vmin=-largest, vmax=largest)
    figure.colorbar(axes[0].images[0], ax=axes, pad=0.02)
    return figure


def _to_pictures(name, rows):
    """Return rows of pixels as pictures in float64: (N, n, n), or (N, n, n, 3) of three planes."""
    for n_pixels in (rows.shape[-1], rows.shape[-1] - 1):
        for n_planes in (1, 3):
            side = isqrt(max(n_pixels, 0) // n_planes)
            if rows.ndim == 2 and len(rows) and side and n_planes * side**2 == n_pixels:
                planes = rows[:, :n_pixels].astype(np.float64).reshape(-1, n_planes, side, side)
                return planes[:, 0] if n_planes == 1 else planes.transpose(0, 2, 3, 1)
    raise ValueError(
        f"{name} must have n² or 3 n² pixels for each picture, with or without a one or bias after them, got "
        f"{rows.shape[-1]} and {len(rows)} pictures"
    )


def _draw_grid(pictures, labels, n_columns, figure, **style):
    """Draw each picture on axes of its own; return the figure and the axes."""
    # The course's labels have shape (N, 1).
    labels = None if labels is None else np.ravel(labels)
    if labels is not None and len(labels) != len(pictures):
        raise ValueError(f"labels must be one for each of {len(pictures)} pictures, got {len(labels)}")
    n_columns = min(n_columns, len(pictures))
    n_rows = -(-len(pictures) // n_columns)
    if figure is None:
        with needs("studies"):
            import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(1 + 1.3 * n_columns, 1.6 * n_rows), layout="constrained")
    axes = [figure.add_subplot(n_rows, n_columns, place + 1) for place in range(len(pictures))]
    for place, (panel, picture) in enumerate(zip(axes, pictures, strict=True)):
        panel.imshow(picture, **style)
        panel.set(title="" if labels is None else labels[place])
        panel.set_axis_off()
    return figure, axes
