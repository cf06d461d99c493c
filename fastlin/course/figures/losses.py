"""`plot_loss` draws loss curves like the function of that name in the course's code."""

from collections.abc import Mapping

from fastlin.environment.extras import import_extra
from fastlin.figures.curves import split_history_into_groups


def plot_loss(
    loss_dict: Mapping[int, float], label: str | None = None, npoints_to_average: int = 1, plot_variance: bool = True
) -> None:
    """Plot a history on Matplotlib's current axes, like the course's function of that name.

    The mean of each group of values is drawn at the middle of its steps, with a band of plus and minus one standard
    deviation. An incomplete last group is omitted.

    Parameters
    ----------
    loss_dict : dict of int to float
        Value at each global step.
    label : str or None, default=None
        Label of the curve in the legend. Means are labeled ``"<label> (mean over 10 steps)"``, and their band
        ``"<label> variance over 10 steps"``.
    npoints_to_average : int, default=1
        Number of successive values to average.
    plot_variance : bool, default=True
        Whether to average values. If False, each value is drawn.

    Raises
    ------
    ValueError
        `npoints_to_average` is not an integer of at least 1.

    Examples
    --------
    >>> from fastlin.trainers import plot_loss
    >>> plot_loss({0: 2.0, 10: 1.5, 20: 1.2}, "validation")
    """
    with import_extra("studies", "matplotlib.pyplot"):
        import matplotlib.pyplot as plt

    if npoints_to_average < 1 or npoints_to_average != int(npoints_to_average):
        raise ValueError(f"npoints_to_average must be an integer of at least 1, got {npoints_to_average!r}")
    n = int(npoints_to_average) if plot_variance else 1
    step_groups, values = split_history_into_groups(loss_dict, n)
    if n == 1:
        plt.plot(step_groups, values, label=label)
        return
    group_middle_steps, mean, standard_deviation = step_groups[:, n // 2], values.mean(axis=1), values.std(axis=1)
    labels = (
        (f"{label} (mean over {n} steps)", f"{label} variance over {n} steps") if label is not None else (None, None)
    )
    (line,) = plt.plot(group_middle_steps, mean, label=labels[0])
    plt.fill_between(
        group_middle_steps,
        mean - standard_deviation,
        mean + standard_deviation,
        alpha=0.2,
        color=line.get_color(),
        label=labels[1],
    )
