"""Figures of the CIFAR-10 studies: training curves, accuracy vs parameters of the random search, accuracy vs depth."""

from typing import Any

import numpy as np

from fastlin.figures.style import COLORS, make_subplots

# Axis labels of the search parameters whose names are not descriptive.
PARAMETER_LABELS = {"hidden": "hidden units", "decay": "learning rate decay", "reg": "regularization"}
MARKERS = "osD^vPX"
# A random guess among ten classes has a loss of 2.3. Larger limits would flatten all curves if one run diverges.
MAX_LOSS = 10
# The validation accuracy that the report on CIFAR-10 states for its optimum.
REPORTED_VALIDATION_ACCURACY = 0.491


def draw_cifar10_two_layer(results: Any) -> Any:
    """Draw loss and accuracy vs epochs, one column per run, with the report's accuracies as horizontal lines."""
    runs = results.series
    figure, axes = make_subplots(2, len(runs), width=6 * len(runs))
    for (loss, accuracy), (name, trained) in zip(axes.T, runs.items(), strict=True):
        n_epochs = len(trained.training.records)
        _plot_epochs(loss, trained.training, "loss", color=COLORS[0], label="training")
        # The batch losses include the penalty, so it is also added to the validation loss.
        penalties = trained.penalties[:n_epochs]
        _plot_epochs(loss, trained.training, "validation_loss", penalties, color=COLORS[1], label="validation")
        _plot_epochs(accuracy, trained.training, "accuracy", color=COLORS[0])
        _plot_epochs(accuracy, trained.training, "validation_accuracy", color=COLORS[1])
        test = trained.accuracies["test"]
        accuracy.axhline(test, color=COLORS[2], linestyle="--", label="test, best epoch")
        if results.parameters["data"] == "cifar10":
            for (split, value), color in zip(results.metrics["reported"].items(), COLORS, strict=False):
                accuracy.axhline(value, color=color, linestyle=":", label=f"reported, {split}: {value:.3f}")
        loss.set(xlabel="epoch", ylabel="loss with penalty", title=name)
        accuracy.set(xlabel="epoch", ylabel="accuracy", title=f"test accuracy of the best epoch: {test:.3f}")
        if trained.training.stop_reason == "diverged":
            _annotate_panel(loss, f"diverged in epoch {n_epochs + 1}")
    _share_y_limits(axes[0], MAX_LOSS)
    _share_y_limits(axes[1])
    return figure


def draw_cifar10_search(results: Any) -> Any:
    """Draw the validation accuracies of the searched networks vs each parameter, with one panel per parameter."""
    records, names, optimum_record = results.series["records"], results.series["names"], results.series["optimum"]
    figure, axes = make_subplots(2, 3, width=16)
    # The marker of the reported optimum is hollow, so that it does not cover the marker of the best draw.
    hollow_marker = {"facecolors": "none", "edgecolors": COLORS[2], "linewidths": 2.5, "s": 110, "marker": "D"}
    points = (
        (records, {"color": COLORS[0], "alpha": 0.6, "label": "draw"}),
        (records[:1], {"color": COLORS[1], "s": 160, "marker": "*", "label": "best draw"}),
        ([optimum_record], {**hollow_marker, "label": "reported optimum, trained here"}),
    )
    for panel, name in zip(axes.flat, names, strict=True):
        for drawing_order, (shown, style) in enumerate(points):
            accuracies = [record["validation"] for record in shown]
            panel.scatter([record[name] for record in shown], accuracies, zorder=1 + drawing_order, **style)
        if results.parameters["data"] == "cifar10":
            panel.axhline(REPORTED_VALIDATION_ACCURACY, color="black", linestyle=":", label="reported accuracy")
        panel.set(xlabel=PARAMETER_LABELS.get(name, name.replace("_", " ")), ylabel="validation accuracy")
        if name == "reg":
            panel.set_xscale("log")
        else:
            panel.locator_params(axis="x", nbins=5)
        if name == "decay":
            panel.set_xticks(sorted({record[name] for record in records}))
    return figure


def draw_cifar10_deep(results: Any) -> Any:
    """Draw the best accuracy of each run vs depth."""
    figure, axes = make_subplots(1, 1, width=11, height=6.5)
    names = list(results.metrics["mean_best_validation_accuracy_by_hidden_layers"])
    for i, name in enumerate(names):
        best = results.series["best"][name]
        depths, values = np.array([int(depth) for depth in best]), np.array(list(best.values()))
        # Variants with the same depth are shifted, so that they do not cover each other.
        shifted_depths = depths + 0.06 * (i - (len(names) - 1) / 2)
        style = {"color": COLORS[i], "marker": MARKERS[i]}
        line = "--" if results.parameters["recipes"][name]["init"] == "normal" else "-"
        axes.plot(shifted_depths, values.mean(axis=1), line, markersize=8, label=name, **style)
        axes.scatter(np.repeat(shifted_depths, values.shape[1]), values.ravel(), s=16, alpha=0.5, **style)
    axes.axhline(0.1, color="black", linewidth=1, linestyle=":", label="random guess")
    axes.set(xlabel="hidden layers", ylabel="best validation accuracy of a run", ylim=(0, None), xticks=depths)
    return figure


def _plot_epochs(panel, training_run, measure, added_values=0, **style):
    """Plot a measure of a training run vs epochs, after adding the values in `added_values`."""
    values = np.array([getattr(epoch, measure) for epoch in training_run.records])
    panel.plot(np.arange(1, len(values) + 1), values + added_values, **style)
    panel.xaxis.get_major_locator().set_params(integer=True)


def _annotate_panel(panel, message):
    panel.text(0.5, 0.5, message, transform=panel.transAxes, ha="center", va="center", color=COLORS[1])


def _share_y_limits(panels, highest_limit=np.inf):
    high = min(highest_limit, max(panel.get_ylim()[1] for panel in panels))
    for panel in panels:
        panel.set_ylim(0, high)
