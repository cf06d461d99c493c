"""What all pictures share: sizes, colours, and how a picture is opened and saved."""

DOTS_PER_INCH = 110
# The letters are large enough to be read at half size.
STYLE = {
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


def open_figure(n_rows, n_columns, width=None, height=None):
    """Return a figure and its axes; width and height are in inches, and follow from the number of axes by default."""
    # pyplot's figures would open windows and change global state; this one leaves the caller's figures as they are.
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(width or min(7.5 * n_columns, 18), height or 5.2 * n_rows), dpi=DOTS_PER_INCH, layout="constrained"
    )
    return figure, figure.subplots(n_rows, n_columns)


def save_figure(figure, folder, name):
    """Save a figure under a name in a folder, and return the name."""
    figure.savefig(folder / name)
    return name


def count_nouns(number, noun):
    """Return the number and the noun, in the plural unless the number is one."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
