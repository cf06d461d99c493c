"""The images of the course: each row of pixels is an image of a digit."""

import numpy as np

from fastlin.course.studies.settings import Results, Settings
from fastlin.typing import Array

N_SHOWN_IMAGES = 10
# Smallest and largest width that the study tries, relative to the side length of the images.
RELATIVE_WIDTH_RANGE = 0.5, 1.5


def study_images(settings: Settings) -> Results:
    """Find the width with the highest correlation between vertical neighbors, and return the first images."""
    X, y = settings.data.X_train, settings.data.y_train
    side = round(X.shape[1] ** 0.5)
    pixels = X[:1000].astype(np.float64)
    widths = range(round(RELATIVE_WIDTH_RANGE[0] * side), round(RELATIVE_WIDTH_RANGE[1] * side) + 1)
    correlations = {width: correlate_rows(pixels, width) for width in widths}
    return Results(
        parameters={
            "data": settings.data.name,
            "images": len(pixels),
            "widths": [widths.start, widths.stop - 1],
            "shown": N_SHOWN_IMAGES,
            "labels": y[:N_SHOWN_IMAGES].tolist(),
        },
        metrics={
            "side": side,
            "width_of_most_alike_rows": max(correlations, key=correlations.__getitem__),
            "correlation_at_that_width": max(correlations.values()),
            "correlation_at_one_pixel_more": correlations[side + 1],
        },
        series={"images": X[:N_SHOWN_IMAGES], "labels": y[:N_SHOWN_IMAGES]},
    )


def correlate_rows(pixels: Array, width: int) -> float:
    """Return the correlation between pixels and the pixels below them in images of the given width."""
    return float(np.corrcoef(pixels[:, :-width].ravel(), pixels[:, width:].ravel())[0, 1])
