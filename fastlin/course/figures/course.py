"""Figures of the studies of the course: binary and softmax regression."""

from typing import Any

import numpy as np

from fastlin.figures.curves import plot_history
from fastlin.figures.image_grid import plot_weights, show_images
from fastlin.figures.style import COLORS, format_count, make_figure, make_subplots

TRAIN_COLOR, VALIDATION_COLOR = COLORS[0], COLORS[1]
UNSHUFFLED_COLOR, SHUFFLED_COLOR = COLORS[1], COLORS[0]
# The epochs in which the reports' training runs stop.
REPORTED_STOP_EPOCHS = {"A": 17, "B": 19, "C": 33}
RELATIVE_Y_MARGIN = 0.06


def draw_images(results: Any) -> Any:
    """Draw the first images. Each image is a row of pixels in X."""
    figure = make_figure(width=11, height=1.9)
    show_images(results.series["images"], results.series["labels"], figure=figure)
    return figure


def draw_binary(results: Any) -> Any:
    """Draw the loss and the accuracy for the digits 2 vs 3."""
    trained_model = results.series["trained"]
    figure, (losses, accuracies) = make_subplots(1, 2)
    _draw_losses(losses, results, trained_model, "loss")
    _draw_accuracies(accuracies, results, trained_model, "accuracy")
    return figure


def draw_early_stopping(results: Any) -> Any:
    """Draw the losses until early stopping for unshuffled and shuffled rows, and a histogram of stopping epochs."""
    figure, axes = make_subplots(1, 3)
    for panel, name, title in ((axes[0], "in_order", "in order"), (axes[1], "shuffled", "shuffled, first seed")):
        trained_model = results.series[name]
        _draw_losses(panel, results, trained_model, f"{title}: stops in epoch {trained_model.n_epochs_run:.1f}")
        panel.axvline(trained_model.n_steps_run, color="black", linestyle="--", label="stop")
    _draw_stop_histogram(axes[2], results.metrics, results.parameters["data"] == "mnist")
    return figure


def _draw_stop_histogram(axes, metrics, should_mark_reported_stops):
    """Draw a histogram of the stopping epochs, and mark the reports' stopping epochs."""
    stop_epochs = metrics["stop_epochs_shuffled"]
    # Each bin spans two epochs. If all stopping epochs are equal, there is one bin.
    bin_edges = np.arange(np.floor(min(stop_epochs)), np.floor(max(stop_epochs)) + 3, 2)
    axes.hist(
        stop_epochs,
        bins=bin_edges,
        color=SHUFFLED_COLOR,
        alpha=0.7,
        label=format_count(len(stop_epochs), "shuffled order"),
    )
    unshuffled_stop_epoch = metrics["stop_epoch_in_order"]
    axes.axvline(
        unshuffled_stop_epoch, color=UNSHUFFLED_COLOR, linestyle="--", label=f"in order, {unshuffled_stop_epoch:.1f}"
    )
    if should_mark_reported_stops:
        label = "reported: " + ", ".join(
            f"{report} {reported_epoch}" for report, reported_epoch in REPORTED_STOP_EPOCHS.items()
        )
        epochs = list(REPORTED_STOP_EPOCHS.values())
        axes.plot(epochs, [0] * len(epochs), "k^", markersize=13, clip_on=False, zorder=5, label=label)
        for report, reported_epoch in REPORTED_STOP_EPOCHS.items():
            axes.annotate(report, (reported_epoch, 0), textcoords="offset points", xytext=(0, 11), ha="center")
    axes.set(xlabel="stopping epoch", ylabel="number of orders", title="stopping epochs")
    axes.yaxis.get_major_locator().set_params(integer=True)


def draw_shuffling(results: Any) -> Any:
    """Draw validation accuracy and training loss for both row orders, without and with early stopping."""
    figure, axes = make_subplots(2, 2)
    for (accuracy, loss), (case, series) in zip(axes, results.series.items(), strict=True):
        for (name, trained_model), color in zip(series.items(), (UNSHUFFLED_COLOR, SHUFFLED_COLOR), strict=True):
            plot_history(trained_model.val["accuracy"], name, axes=accuracy, color=color)
            plot_history(trained_model.train["loss"], name, axes=loss, color=color)
            loss.lines[-1].set(linewidth=0.8, alpha=0.8)
        accuracy.set(
            xlabel=_format_step_label(results), ylabel="validation accuracy", title=f"{case}: validation accuracy"
        )
        loss.set(xlabel=_format_step_label(results), ylabel="training loss of a batch", title=f"{case}: training loss")
        _set_y_limits(
            accuracy,
            [
                trained_model.values_after_first_epoch(trained_model.val["accuracy"])
                for trained_model in series.values()
            ],
        )
        _set_y_limits(
            loss,
            [trained_model.values_after_first_epoch(trained_model.train["loss"]) for trained_model in series.values()],
            lowest=0,
        )
    return figure


def draw_softmax(results: Any) -> Any:
    """Draw the loss, the accuracy on two scales, and the gap between training and validation accuracy."""
    figure, axes = make_subplots(2, 2)
    trained_model, metrics = results.series["trained"], results.metrics
    loss, close_up_panel, full_range_panel, gap = axes.flat
    lowest = metrics["lowest_validation_loss_at_step"]
    _draw_losses(loss, results, trained_model, f"loss: lowest in step {lowest:,}")
    loss.axvline(lowest, color="black", linestyle=":", label="lowest validation loss (mean of 5)")
    _draw_accuracies(close_up_panel, results, trained_model, "accuracy, enlarged")
    _draw_accuracies(full_range_panel, results, trained_model, "accuracy, full range")
    full_range_panel.set_ylim(0, 1.02)
    gap.plot(results.series["gap_steps"], results.series["gap"], color=COLORS[2], label="mean of 5 validations")
    gap.axhline(0, color="black", linewidth=1)
    overtaking_step = metrics["train_accuracy_overtakes_at_step"]
    if overtaking_step is not None:
        gap.axvline(overtaking_step, color="black", linestyle="--", label=f"above 0 from step {overtaking_step:,} on")
    gap.set(
        xlabel=_format_step_label(results), ylabel="difference in accuracy", title="training minus validation accuracy"
    )
    return figure


def draw_l2_weights(results: Any) -> Any:
    """Draw the weights of each digit without a penalty (top) and with a penalty (bottom)."""
    weights = results.series["weights"]
    figure = make_figure(width=15, height=5)
    # Each row has its own color scale, because the penalized weights are much smaller.
    subfigures: Any = figure.subfigures(2, 1)
    for subfigure, name in zip(subfigures, ("0", "1"), strict=True):
        plot_weights(weights[name], figure=subfigure)
        largest = np.abs(weights[name][:-1]).max()
        subfigure.suptitle(f"λ = {name}: colors from −{largest:.2g} to {largest:.2g}", fontsize=13)
    return figure


def draw_l2_sweep(results: Any) -> Any:
    """Draw validation accuracy against steps for each penalty strength."""
    figure, axes = make_subplots(1, 1, width=10, height=5.6)
    best = results.metrics["best_validation_accuracy"]
    for (name, history), color in zip(results.series["accuracy"].items(), COLORS, strict=False):
        label = f"λ = {name}, best {best[name]:.3f}"
        # With a strong penalty the five validation accuracies of an epoch differ a lot, so they are averaged.
        # The first epoch is omitted because the accuracy increases steeply in it.
        plot_history(dict(list(history.items())[5:]), label, 5, axes=axes, color=color)
        # The curves without a penalty and with the weakest penalty coincide.
        axes.lines[-1].set_linestyle("--" if name == "0" else "-")
    axes.set(xlabel=_format_step_label(results), ylabel="validation accuracy")
    return figure


def draw_l2_norm(results: Any) -> Any:
    """Draw the squared norm of the weights for each penalty strength."""
    figure, axes = make_subplots(1, 1, width=9, height=5.2)
    norms = dict(reversed(results.metrics["squared_norm"].items()))
    # A log axis cannot show λ = 0, so the penalty strengths are categorical.
    bars = axes.bar([f"λ = {name}" for name in norms], norms.values(), color=COLORS[0], width=0.6)
    axes.bar_label(bars, fmt="{:.3g}", padding=5)
    axes.grid(axis="x", visible=False)
    axes.set(ylabel="‖w‖² after training", ylim=(0, 1.12 * max(norms.values())))
    return figure


def _draw_losses(panel, results, trained_model, title):
    """Draw the losses of a training run. The y-axis shows all losses after the first epoch and their bands."""
    # Means over less than one epoch would depend on the order of the batches.
    n = trained_model.steps_per_epoch
    _draw_histories(panel, results, trained_model, "loss", n)
    panel.set(ylabel="cross-entropy loss", title=title)
    losses = trained_model.values_after_first_epoch(trained_model.train["loss"])
    epochs = losses[: len(losses) // n * n].reshape(-1, n)
    _set_y_limits(
        panel,
        [epochs.mean(axis=1) + epochs.std(axis=1), trained_model.values_after_first_epoch(trained_model.val["loss"])],
        0,
    )


def _draw_accuracies(panel, results, trained_model, title):
    """Draw the accuracies of a training run. The y-axis shows all values after the first epoch."""
    _draw_histories(panel, results, trained_model, "accuracy")
    panel.set(ylabel="accuracy", title=title)
    _set_y_limits(
        panel,
        [
            trained_model.values_after_first_epoch(histories["accuracy"])
            for histories in (trained_model.train, trained_model.val)
        ],
    )


def _draw_histories(panel, results, trained_model, measure, n_averaged_steps=1):
    """Draw a measure of the training images and of the validation images vs steps.

    Values of the training images are averaged over `n_averaged_steps` steps.
    """
    label = "training (loss: mean of an epoch)"
    plot_history(trained_model.train[measure], label, n_averaged_steps, axes=panel, color=TRAIN_COLOR)
    plot_history(trained_model.val[measure], "validation", axes=panel, color=VALIDATION_COLOR)
    panel.set_xlabel(_format_step_label(results))


def _format_step_label(results):
    return f"step (batches of {results.parameters['batch_size']})"


def _set_y_limits(axes, arrays, lowest=None):
    """Set the limits of the y-axis so that it shows all values of the arrays."""
    values = np.concatenate(arrays)
    if len(values) == 0:
        return
    low, high = values.min(), values.max()
    margin = RELATIVE_Y_MARGIN * (high - low) or RELATIVE_Y_MARGIN
    axes.set_ylim(low - margin if lowest is None else lowest, high + margin)
