"""Draws the studies of the course: binary and softmax regression."""

from typing import Any

import numpy as np

from fastlin.figures.curves import plot_history
from fastlin.figures.image_grid import plot_weights, show_images
from fastlin.figures.style import COLORS, Drawing, StudyResults, count_nouns, make_figure, name_data, open_figure

TRAIN, VALIDATION = COLORS[0], COLORS[1]
IN_ORDER, SHUFFLED = COLORS[1], COLORS[0]
# The epochs after which the reports' trainings stop.
REPORTED_STOPS = {"A": 17, "B": 19, "C": 33}
PAD = 0.06


def draw_images(results: StudyResults) -> Drawing:
    """Draw the first images, each a row of pixels."""
    images, labels, side = results.series["images"], results.series["labels"], results.merits["side"]
    figure = make_figure(width=11, height=1.9)
    show_images(images, labels, figure=figure)
    return Drawing(
        figure,
        f"{name_data(results)}: the first {len(images)} training images and their labels",
        f"The first {len(images)} training images. Each is a row of {side * side} pixels in X, drawn by "
        f"reshape({side}, {side}).",
        f"{len(images)} handwritten digits, labelled {', '.join(map(str, labels))}.",
    )


def draw_binary(results: StudyResults) -> Drawing:
    """Draw loss and accuracy of 2 against 3."""
    trained = results.series["trained"]
    figure, (losses, accuracies) = open_figure(1, 2)
    _draw_losses(losses, results, trained, "loss")
    _draw_accuracies(accuracies, results, trained, "accuracy")
    loss, accuracy = (results.merits[f"final_validation_{name}"] for name in ("loss", "accuracy"))
    return Drawing(
        figure,
        f"{name_data(results)}, 2 against 3, in the order of the data: validation loss {loss:.3f}, accuracy "
        f"{accuracy:.3f}",
        "Loss and accuracy by step. The band is one standard deviation of the losses of an epoch's batches. The "
        "first epoch, in which the curves are steep, may lie outside of the picture.",
        f"Two panels of curves. The validation loss falls to {loss:.3f} and the validation accuracy rises to "
        f"{accuracy:.3f}.",
    )


def draw_early_stopping(results: StudyResults) -> Drawing:
    """Draw the losses up to the stop, in order and shuffled, and a histogram of the stops of all seeds."""
    figure, axes = open_figure(1, 3)
    merits, parameters = results.merits, results.parameters
    for panel, name, title in ((axes[0], "in_order", "in order"), (axes[1], "shuffled", "shuffled, first seed")):
        trained = results.series[name]
        _draw_losses(panel, results, trained, f"{title}: stops in epoch {trained.last_epoch:.1f}")
        panel.axvline(trained.last_step, color="black", linestyle="--", label="stop")
    _draw_stops(axes[2], merits, parameters["data"] == "mnist")
    stops = merits["stop_epochs_shuffled"]
    return Drawing(
        figure,
        f"{name_data(results)}, 2 against 3, patience of {parameters['patience']} validations: "
        f"{merits['orders_stopped_before_the_limit']} of {count_nouns(len(stops), 'order')} stop before epoch "
        f"{parameters['epochs']}",
        f"Left and middle: the losses up to the stop. Right: where training stops for {len(stops)} orders of the "
        "rows, and where it stops without shuffling.",
        f"Without shuffling training stops in epoch {merits['stop_epoch_in_order']:.1f}; shuffled it stops in "
        f"epochs {min(stops):.1f} to {max(stops):.1f}.",
    )


def _draw_stops(axes, merits, with_reports):
    """Draw how many orders stop in which epochs, and the stops of the reports."""
    stops = merits["stop_epochs_shuffled"]
    # Each bin holds two whole epochs; where all stops are equal, there is still one.
    edges = np.arange(np.floor(min(stops)), np.floor(max(stops)) + 3, 2)
    axes.hist(stops, bins=edges, color=SHUFFLED, alpha=0.7, label=count_nouns(len(stops), "shuffled order"))
    plain = merits["stop_epoch_in_order"]
    axes.axvline(plain, color=IN_ORDER, linestyle="--", label=f"in order, {plain:.1f}")
    if with_reports:
        label = "the reports' stops: " + ", ".join(f"{report} {stop}" for report, stop in REPORTED_STOPS.items())
        places = list(REPORTED_STOPS.values())
        axes.plot(places, [0] * len(places), "k^", markersize=13, clip_on=False, zorder=5, label=label)
        for report, stop in REPORTED_STOPS.items():
            axes.annotate(report, (stop, 0), textcoords="offset points", xytext=(0, 11), ha="center")
    axes.set(xlabel="epoch of the stop", ylabel="number of orders", title="where training stops")
    axes.yaxis.get_major_locator().set_params(integer=True)


def draw_shuffling(results: StudyResults) -> Drawing:
    """Draw validation accuracy and training loss in order and shuffled, at full length and with early stopping."""
    figure, axes = open_figure(2, 2)
    merits = results.merits
    for (accuracy, loss), (case, series) in zip(axes, results.series.items(), strict=True):
        for (name, trained), color in zip(series.items(), (IN_ORDER, SHUFFLED), strict=True):
            plot_history(trained.val["accuracy"], name, axes=accuracy, color=color)
            plot_history(trained.train["loss"], name, axes=loss, color=color)
            loss.lines[-1].set(linewidth=0.8, alpha=0.8)
        accuracy.set(xlabel=_step(results), ylabel="validation accuracy", title=f"{case}: validation accuracy")
        loss.set(xlabel=_step(results), ylabel="training loss of a batch", title=f"{case}: training loss")
        _set_height(accuracy, [trained.after_first_epoch(trained.val["accuracy"]) for trained in series.values()])
        _set_height(loss, [trained.after_first_epoch(trained.train["loss"]) for trained in series.values()], lowest=0)
    plain, shuffled = merits["full_length"].values()
    spikes = [f"{plain[key]:.4f} → {shuffled[key]:.4f}" for key in ("accuracy_spikes", "loss_spikes")]
    return Drawing(
        figure,
        f"{name_data(results)}, 2 against 3, spikes in order → shuffled: accuracy {spikes[0]}, loss {spikes[1]}",
        "Curves of the rows in order and of the first shuffled order. Spikes are the standard deviation of the "
        f"differences between successive values after the first epoch; for shuffled rows the title has the median "
        f"of {count_nouns(len(results.parameters['seeds']), 'order')}.",
        f"Four panels of curves. The spikes go from {spikes[0]} in the validation accuracy and from {spikes[1]} in "
        "the training loss.",
    )


def draw_softmax(results: StudyResults) -> Drawing:
    """Draw the loss, the accuracy close up and whole, and the gap between training and validation accuracy."""
    figure, axes = open_figure(2, 2)
    trained, merits = results.series["trained"], results.merits
    loss, close_up, whole, gap = axes.flat
    bottom = merits["lowest_validation_loss_at_step"]
    _draw_losses(loss, results, trained, f"loss: lowest in step {bottom:,}")
    loss.axvline(bottom, color="black", linestyle=":", label="lowest validation loss (mean of 5)")
    _draw_accuracies(close_up, results, trained, "accuracy, close up")
    _draw_accuracies(whole, results, trained, "accuracy, whole")
    whole.set_ylim(0, 1.02)
    gap.plot(results.series["gap_steps"], results.series["gap"], color=COLORS[2], label="mean of 5 validations")
    gap.axhline(0, color="black", linewidth=1)
    onset = merits["train_accuracy_overtakes_at_step"]
    title, crossing = "training minus validation accuracy", "ends at or below the validation accuracy"
    if onset is not None:
        gap.axvline(onset, color="black", linestyle="--", label=f"above 0 from step {onset:,} on")
        title = f"training minus validation: above 0 from step {onset:,}"
        crossing = f"is above the validation accuracy from step {onset:,} on"
    gap.set(xlabel=_step(results), ylabel="difference of the accuracies", title=title)
    ends = f"ends {merits['last_mean_validation_loss'] / merits['lowest_validation_loss'] - 1:.1%} above its lowest"
    return Drawing(
        figure,
        f"{name_data(results)}, ten digits: validation accuracy {merits['final_validation_accuracy']:.3f}, "
        f"validation loss {ends}",
        "Loss and accuracies by step, and how far the accuracy on the training images is above that on the "
        "validation images.",
        f"Four panels of curves. The validation loss is lowest in step {bottom:,} of {merits['steps']:,} and {ends}"
        f"; the training accuracy {crossing}.",
    )


def draw_l2_weights(results: StudyResults) -> Drawing:
    """Draw the weights of each digit, without a penalty above and with one below, each on a scale of its own."""
    weights = results.series["weights"]
    figure = make_figure(width=15, height=5)
    largest = {}
    difference = results.merits["largest_difference_of_the_conventions"]
    penalised, other = "λ = 1, or λ = 2 with ½λ‖w‖²", "gives the same weights"
    if difference > 0:
        penalised, other = "λ = 1", f"gives weights that differ by up to {difference:.2g}"
    # Each row has a colour scale of its own, because the penalised weights are much smaller.
    parts: Any = figure.subfigures(2, 1)
    for part, (name, label) in zip(parts, (("0", "λ = 0"), ("1", penalised)), strict=True):
        plot_weights(weights[name], figure=part)
        largest[name] = np.abs(weights[name][:-1]).max()
        part.suptitle(f"{label}: colours from −{largest[name]:.2g} to {largest[name]:.2g}", fontsize=13)
    roughness = {name: row["roughness"] for name, row in results.merits["by_lambda"].items()}
    return Drawing(
        figure,
        f"{name_data(results)}, weights of each digit: red speaks for it, blue against it; each row has its scale",
        f"The weights without a penalty (roughness {roughness['0']:.2f}) and with λ = 1 ({roughness['1']:.2f}). "
        f"The penalty ½λ‖w‖² with λ = 2 is the same penalty and {other}; it has no picture of its own.",
        f"Two rows of ten small pictures in red and blue. The largest weight is {largest['0']:.2g} for λ = 0 and "
        f"{largest['1']:.2g} for λ = 1, and the roughness is {roughness['0']:.2f} and {roughness['1']:.2f}.",
    )


def draw_l2_sweep(results: StudyResults) -> Drawing:
    """Draw validation accuracy against steps for each strength of the penalty."""
    figure, axes = open_figure(1, 1, width=9, height=5.6)
    best = results.merits["best_validation_accuracy"]
    for (l2_reg_lambda, history), color in zip(results.series["accuracy"].items(), COLORS, strict=False):
        label = f"λ = {l2_reg_lambda:g}, best {best[f'{l2_reg_lambda:g}']:.3f}"
        # The accuracies of an epoch's five validations lie far apart where the penalty is strong.
        # The first epoch, in which accuracy rises steeply, is left out.
        plot_history(dict(list(history.items())[5:]), label, 5, True, axes, color)
        # The curves of the weakest penalty and of none coincide.
        axes.lines[-1].set_linestyle("-" if l2_reg_lambda else "--")
    axes.set(xlabel=_step(results), ylabel="validation accuracy")
    strongest, *_, weakest = best
    return Drawing(
        figure,
        f"{name_data(results)}, L2 penalties: best validation accuracy {best[strongest]:.3f} (λ = {strongest}) "
        f"to {best[weakest]:.3f} (λ = {weakest})",
        "Validation accuracy for each strength of the penalty: means of five validations, which make an epoch, and "
        "bands of one standard deviation of the five. The best values are those of single validations, so that "
        "they lie above the means.",
        f"Curves of the validation accuracy. Best values: {_list_by_lambda(best, '.3f')}.",
    )


def draw_l2_norm(results: StudyResults) -> Drawing:
    """Draw the squared length of the weights against the strength of the penalty."""
    figure, axes = open_figure(1, 1, width=9, height=5.2)
    norms = dict(reversed(results.merits["squared_norm"].items()))
    # λ = 0 has no place on a log axis, so that the strengths stand side by side.
    axes.bar([f"λ = {name}" for name in norms], norms.values(), color=COLORS[0], width=0.6)
    for place, norm in enumerate(norms.values()):
        axes.annotate(f"{norm:.3g}", (place, norm), textcoords="offset points", xytext=(0, 5), ha="center")
    axes.grid(axis="x", visible=False)
    axes.set(ylabel="‖w‖² after the training", ylim=(0, 1.12 * max(norms.values())))
    weakest, *_, strongest = norms
    return Drawing(
        figure,
        f"{name_data(results)}, squared length of the weights: {norms[weakest]:.3g} (λ = {weakest}) to "
        f"{norms[strongest]:.3g} (λ = {strongest})",
        "‖w‖² of the models of tasks 4c and 4d, the biases included.",
        f"Bars of ‖w‖²: {_list_by_lambda(norms, '.3g')}.",
    )


def _list_by_lambda(values, form):
    return ", ".join(f"{value:{form}} for λ = {name}" for name, value in values.items())


def _draw_losses(panel, results, trained, title):
    """Draw the losses of a training, so high that those after the first epoch are shown, with the band of an epoch."""
    # With fewer values than an epoch has, the means would rise and fall with the order of the batches.
    n = trained.steps_per_epoch
    _draw_histories(panel, results, trained, "loss", n)
    panel.set(ylabel="cross-entropy loss", title=title)
    losses = trained.after_first_epoch(trained.train["loss"])
    epochs = losses[: len(losses) // n * n].reshape(-1, n)
    _set_height(panel, [epochs.mean(axis=1) + epochs.std(axis=1), trained.after_first_epoch(trained.val["loss"])], 0)


def _draw_accuracies(panel, results, trained, title):
    """Draw the accuracies of a training, so high that those after the first epoch are shown."""
    _draw_histories(panel, results, trained, "accuracy")
    panel.set(ylabel="accuracy", title=title)
    _set_height(panel, [trained.after_first_epoch(histories["accuracy"]) for histories in (trained.train, trained.val)])


def _draw_histories(panel, results, trained, measure, n_averaged=1):
    """Draw a measure of the training and of the validation images by step, the former averaged over n_averaged."""
    label = "training (the loss: mean of an epoch)"
    plot_history(trained.train[measure], label, n_averaged, axes=panel, color=TRAIN)
    plot_history(trained.val[measure], "validation", axes=panel, color=VALIDATION)
    panel.set_xlabel(_step(results))


def _step(results):
    return f"step (batches of {results.parameters['batch_size']})"


def _set_height(axes, parts, lowest=None):
    """Set the height of the axes so that all these values are shown."""
    values = np.concatenate(parts)
    if len(values) == 0:
        return
    low, high = values.min(), values.max()
    margin = PAD * (high - low) or PAD
    axes.set_ylim(low - margin if lowest is None else lowest, high + margin)
