"""The style of the figures in the gallery, set before each example."""

import matplotlib as mpl

from fastlin.figures import STYLE


def reset(gallery_conf, name):
    """Set the style of fastlin's pictures."""
    mpl.rcdefaults()
    mpl.rcParams.update({**STYLE, "figure.dpi": 110})
