"""Draws the studies of the course: binary and softmax regression."""

from typing import NamedTuple

import numpy as np

from fastlin.figures.curves import plot_history
from fastlin.figures.style import open_figure, save_figure

TRAIN, VALIDATION, PLAIN, SHUFFLED = "tab:blue", "tab:orange", "tab:red", "tab:blue"
STEP = "global step (batches of 128)"


class Limits(NamedTuple):
    """The range of an axis, as (lowest, highest), or None where Matplotlib chooses it.

    Attributes
    ----------
    loss : tuple of float or None
        The range of the losses.
    accuracy : tuple of float or None
        The range of the accuracies.
    """

    loss: tuple | None = None
    accuracy: tuple | None = None


FREE = Limits()
# The ranges in which the curves of MNIST, at full length, show what the studies are about.
MNIST_LIMITS = {
    "binary": Limits(loss=(0, 0.2), accuracy=(0.93, 0.99)),
    "early_stopping": Limits(loss=(0, 0.2)),
    "shuffling": Limits(loss=(0, 0.2), accuracy=(0.93, 0.99)),
    "softmax": Limits(loss=(0.2, 0.8), accuracy=(0.89, 0.93)),
    "l2_sweep": Limits(accuracy=(0.65, 0.93)),
}


def draw_binary(results, folder, limits):
    """Draw loss and accuracy of 2 against 3."""
    figure, axes = open_figure(1, 2)
    _draw_loss(axes[0], results.series, limits.loss)
    _draw_accuracy(axes[1], results.series, limits.accuracy)
    figure.suptitle("Logistic regression, 2 against 3, without shuffling")
    return [save_figure(figure, folder, "binary.png")]


def draw_early_stopping(results, folder, limits):
    """Draw the losses up to the stop, without and with shuffling, and a histogram of the stops of all seeds."""
    figure, axes = open_figure(1, 3)
    merits, per_epoch = results.merits, results.series["steps_per_epoch"]
    for panel, case, title in ((axes[0], "plain", "no shuffling"), (axes[1], "shuffled", "shuffled, first seed")):
        series = results.series[case]
        _draw_loss(panel, series, limits.loss)
        stop = len(series["train"]["loss"])
        panel.axvline(stop, color="black", linestyle="--", label=f"stop, epoch {stop / per_epoch:.1f}")
        panel.legend()
        panel.set_title(title)
    stops = merits["stop_epochs_with_shuffling"]
    # Each bin holds two whole epochs.
    edges = np.arange(np.floor(min(stops)), np.ceil(max(stops)) + 2, 2)
    axes[2].hist(stops, bins=edges, color=SHUFFLED, alpha=0.7, label=f"shuffled, {len(stops)} seeds")
    plain = merits["stop_epoch_without_shuffling"]
    axes[2].axvline(plain, color=PLAIN, linestyle="--", label=f"no shuffling, {plain:.1f}")
    axes[2].set(xlabel="epoch of the stop", ylabel="number of seeds", title="where training stops")
    axes[2].set_ylim(top=axes[2].get_ylim()[1] * 1.35)
    axes[2].yaxis.get_major_locator().set_params(integer=True)
    axes[2].legend(loc="upper left")
    figure.suptitle("Early stopping, patience of 10 validations")
    return [save_figure(figure, folder, "early_stopping.png")]


def draw_shuffling(results, folder, limits):
    """Draw validation accuracy and training loss with and without shuffling, early stopping on and off."""
    figure, axes = open_figure(2, 2)
    for row, (case, title) in enumerate((("early_stopping", "early stopping"), ("full_length", "full length"))):
        for name, label, color in (("in_order", "in order", PLAIN), ("shuffled", "shuffled", SHUFFLED)):
            series = results.series[case, name]
            spikes = results.merits[f"accuracy_spikes_{case}_{name}"]
            plot_history(series["val"]["accuracy"], f"{label}, spikes {spikes:.4f}", axes=axes[row, 0], color=color)
            spikes = results.merits[f"loss_spikes_{case}_{name}"]
            # The bands of spread are left out, since they would cover each other.
            plot_history(series["train"]["loss"], f"{label}, spikes {spikes:.3f}", 10, False, axes[row, 1], color)
        axes[row, 0].set(xlabel=STEP, ylabel="validation accuracy", title=title)
        axes[row, 1].set(xlabel=STEP, ylabel="training loss (mean of 10 steps)", title=title)
        axes[row, 0].set_ylim(limits.accuracy)
        axes[row, 1].set_ylim(limits.loss)
        for panel, place in zip(axes[row], ("lower right", "upper right"), strict=True):
            panel.legend(loc=place)
    figure.suptitle("Shuffling smooths the curves (spikes: spread of successive differences)")
    return [save_figure(figure, folder, "shuffling.png")]


def draw_softmax(results, folder, limits):
    """Draw the loss, the accuracy close up and whole, and the gap between training and validation accuracy."""
    figure, axes = open_figure(2, 2)
    _draw_loss(axes[0, 0], results.series, limits.loss)
    _draw_accuracy(axes[0, 1], results.series, limits.accuracy)
    _draw_accuracy(axes[1, 0], results.series, (0, 1))
    panel = axes[1, 1]
    panel.plot(results.series["gap_steps"], results.series["gap"], color="tab:green", label="mean of 5 validations")
    panel.axhline(0, color="black", linewidth=1)
    onset = results.merits["overfitting_onset_step"]
    if onset is not None:
        panel.axvline(onset, color="black", linestyle="--", label=f"above 0 from step {onset:,} on")
    panel.set(xlabel=STEP, ylabel="training − validation accuracy", title="where overfitting begins")
    panel.legend(loc="lower right")
    figure.suptitle("Softmax regression, ten digits")
    return [save_figure(figure, folder, "softmax.png")]


def draw_l2_weights(results, folder):
    """Draw the weights of each digit, without a penalty above and with one below: a picture per convention."""
    weights = results.series["weights"]
    files = []
    for file, penalised in (("l2_weights.png", "1"), ("l2_weights_half.png", "2 (½ convention)")):
        figure, axes = open_figure(2, 10, width=15, height=4.1)
        for row, name in enumerate(("0", penalised)):
            pixels = weights[name][:-1]
            side = round(len(pixels) ** 0.5)
            # Each row has a colour scale of its own, because the penalised weights are much smaller.
            largest = np.abs(pixels).max()
            for digit, panel in enumerate(axes[row]):
                panel.imshow(pixels[:, digit].reshape(side, side), cmap="RdBu_r", vmin=-largest, vmax=largest)
                panel.set(xticks=[], yticks=[], title=str(digit) if row == 0 else "")
                panel.grid(False)
            axes[row, 0].set_ylabel(f"λ = {name.replace(' ', chr(10), 1)}", fontsize=13)
            figure.colorbar(panel.images[0], ax=axes[row], fraction=0.012, pad=0.01)
        figure.suptitle("Weights per digit: red speaks for it, blue against it")
        files.append(save_figure(figure, folder, file))
    return files


def draw_l2_sweep(results, folder, limits):
    """Draw validation accuracy against steps for each strength of the penalty."""
    figure, axes = open_figure(1, 1)
    for l2_reg_lambda, history in results.series["accuracy"].items():
        plot_history(history, f"λ = {l2_reg_lambda:g}, best {max(history.values()):.3f}", axes=axes)
    axes.set_ylim(limits.accuracy)
    axes.set(xlabel=STEP, ylabel="validation accuracy", title="L2 penalties on the softmax model")
    axes.legend(loc="lower right")
    return [save_figure(figure, folder, "l2_sweep.png")]


def draw_l2_norm(results, folder):
    """Draw the squared length of the weights against the strength of the penalty."""
    figure, axes = open_figure(1, 1)
    norms = results.series["norms"]
    axes.plot(list(norms), list(norms.values()), "o-", markersize=8)
    for l2_reg_lambda, norm in norms.items():
        axes.annotate(f"{norm:.2f}", (l2_reg_lambda, norm), textcoords="offset points", xytext=(6, 8))
    axes.set(xscale="log", xlabel="λ", ylabel="‖w‖²", title="The penalty shortens the weights")
    axes.set_ylim(0, 1.15 * max(norms.values()))
    axes.margins(x=0.12)
    return [save_figure(figure, folder, "l2_norm.png")]


def _draw_loss(axes, series, limits):
    plot_history(series["train"]["loss"], "training (mean and spread of 10)", 10, axes=axes, color=TRAIN)
    plot_history(series["val"]["loss"], "validation", axes=axes, color=VALIDATION)
    axes.set(xlabel=STEP, ylabel="cross-entropy loss")
    axes.set_ylim(limits)
    axes.legend(loc="upper right")


def _draw_accuracy(axes, series, limits):
    plot_history(series["train"]["accuracy"], "training", axes=axes, color=TRAIN)
    plot_history(series["val"]["accuracy"], "validation", axes=axes, color=VALIDATION)
    axes.set(xlabel=STEP, ylabel="accuracy")
    axes.set_ylim(limits)
    axes.legend(loc="lower right")
