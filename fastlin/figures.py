"""Draws pictures from results; computes nothing but means and spreads of what is drawn."""

import numpy as np


def plot_history(history, label=None, npoints_to_average=1, plot_variance=True):
    """Plot a dict from global step to value on the current axes; see trainers.plot_loss."""
    import matplotlib.pyplot as plt

    steps = np.array(list(history))
    values = np.array(list(history.values()))
    if npoints_to_average <= 1:
        plt.plot(steps, values, label=label)
        return
    n_groups = len(values) // npoints_to_average
    groups = values[: n_groups * npoints_to_average].reshape(n_groups, npoints_to_average)
    middles = steps[: n_groups * npoints_to_average].reshape(n_groups, npoints_to_average).mean(axis=1)
    mean, spread = groups.mean(axis=1), groups.std(axis=1)
    (line,) = plt.plot(middles, mean, label=label)
    if plot_variance:
        plt.fill_between(middles, mean - spread, mean + spread, alpha=0.3, color=line.get_color(), linewidth=0)
