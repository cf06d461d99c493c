"""Sets the style of the gallery's figures before each example."""

import matplotlib as mpl

from fastlin.figures import STYLE


def reset(gallery_conf, name):
    """Set the style of fastlin's figures."""
    mpl.rcdefaults()
    mpl.rcParams.update({**STYLE, "figure.dpi": 110})
