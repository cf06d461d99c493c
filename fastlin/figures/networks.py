"""Draws the studies of CIFAR-10: curves of training, the search by parameter, and accuracy against depth."""

import numpy as np

from fastlin.figures.style import COLORS, count_nouns, open_figure, save_figure

DATA_NAMES = {"cifar10": "CIFAR-10", "digits": "8 × 8 digits"}
PARAMETERS = {
    "hidden": "hidden units",
    "learning_rate": "learning rate",
    "decay": "decay of the learning rate",
    "reg": "regularisation",
    "epochs": "epochs",
    "batch_size": "batch size",
}
MARKERS = "osD^vP"
# A guess among ten classes has a loss of 2.3. The losses of a training that diverges would flatten all other curves.
HIGHEST_LOSS = 10


def draw_two_layer(results, folder):
    """Draw loss and accuracy against epochs, one column for each run."""
    runs = results.series
    figure, axes = open_figure(2, len(runs), width=6 * len(runs))
    for column, (name, training) in enumerate(runs.items()):
        epochs = training.epochs
        numbers = np.arange(1, len(epochs) + 1)
        merits = results.merits["runs"][name]
        for panel, what in zip(axes[:, column], ("loss", "accuracy"), strict=True):
            panel.plot(numbers, [getattr(epoch, what) for epoch in epochs], color=COLORS[0], label="training")
            validated = [getattr(epoch, f"validation_{what}") for epoch in epochs]
            panel.plot(numbers, validated, color=COLORS[1], label="validation")
            panel.set_xlabel("epoch")
        loss, accuracy = axes[:, column]
        loss.set(ylabel="loss (training: with penalty)", title=name)
        loss.legend(loc="upper right")
        test = merits["test"]
        accuracy.axhline(test, color="black", linestyle="--", label=f"test, best epoch: {test:.3f}")
        accuracy.set(ylabel="accuracy")
        accuracy.legend(loc="lower right")
        if training.ended == "diverged":
            _write_into(loss, f"diverged in epoch {len(epochs) + 1}")
        for panel in axes[:, column]:
            panel.xaxis.get_major_locator().set_params(integer=True)
    _share_limits(axes[0], HIGHEST_LOSS)
    _share_limits(axes[1])
    reported = ", ".join(f"{name} {value:.3f}" for name, value in results.merits["reported"].items())
    data = DATA_NAMES[results.parameters["data"]]
    part = results.parameters["part_of_epochs"]
    shortened = "" if part == 1 else f", {part:.0%} of the epochs"
    figure.suptitle(f"{data}, two layers, 135 hidden units{shortened}. The report on CIFAR-10: {reported}")
    return [save_figure(figure, folder, "cifar10_two_layer.png")]


def draw_search(results, folder):
    """Draw the validation accuracy of each draw against its parameters, one panel for each parameter."""
    records, names = results.series["records"], results.series["names"]
    figure, axes = open_figure(2, 3, width=16)
    accuracies = [record["validation"] for record in records]
    for panel, name in zip(axes.flat, names, strict=True):
        panel.scatter([record[name] for record in records], accuracies, color=COLORS[0], alpha=0.6, label="a draw")
        best = records[0]
        panel.scatter(best[name], best["validation"], color=COLORS[1], s=140, marker="*", label="the best", zorder=3)
        panel.set(xlabel=PARAMETERS[name], ylabel="validation accuracy")
        if name == "reg":
            panel.set_xscale("log")
        else:
            panel.locator_params(axis="x", nbins=5)
        if name == "decay":
            panel.set_xticks(sorted({record[name] for record in records}))
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    data = DATA_NAMES[results.parameters["data"]]
    figure.suptitle(
        f"Random search, {count_nouns(len(records), 'draw')}, {results.parameters['train_images']:,} images of {data}: "
        f"best validation accuracy {records[0]['validation']:.3f}, its test accuracy {records[0]['test']:.3f}"
    )
    return [save_figure(figure, folder, "cifar10_search.png")]


def draw_deep(results, folder):
    """Draw the best accuracy of each run against depth, and the curves of one run of each depth."""
    return [_draw_depths(results, folder), _draw_curves(results, folder)]


def _draw_depths(results, folder):
    figure, axes = open_figure(1, 1, width=11, height=6.5)
    for place, (name, row) in enumerate(results.series["best"].items()):
        depths = np.array([int(depth) for depth in row])
        values = np.array(list(row.values()))
        n_draws = values.shape[1]
        # The variants of one depth stand side by side, so that they do not cover each other.
        shifted = depths + 0.06 * (place - 2.5)
        style = {"color": COLORS[place], "marker": MARKERS[place]}
        line = "--" if results.parameters["recipes"][name]["init"] == "normal" else "-"
        axes.plot(shifted, values.mean(axis=1), line, markersize=8, label=name, **style)
        axes.scatter(np.repeat(shifted, n_draws), values.ravel(), s=16, alpha=0.5, **style)
    axes.axhline(0.1, color="black", linewidth=1, linestyle=":", label="a guess")
    axes.set(xlabel="hidden layers", ylabel="best validation accuracy of a run", ylim=(0, None), xticks=depths)
    shown = "one draw for each depth" if n_draws == 1 else f"mean of {n_draws} draws (lines) and each draw (small)"
    axes.set_title(f"{DATA_NAMES[results.parameters['data']]}: {shown}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return save_figure(figure, folder, "cifar10_deep.png")


def _draw_curves(results, folder):
    """Draw the loss of each variant above its accuracy; the variants of one initialisation stand beside each other."""
    import matplotlib as mpl

    curves = results.series["curves"]
    names = list(results.series["best"])
    depths = sorted({depth for _, depth in curves})
    colors = mpl.colormaps["viridis"](np.linspace(0, 0.92, len(depths)))
    figure, axes = open_figure(4, 3, width=16, height=18)
    for number, name in enumerate(names):
        loss, accuracy = axes[2 * (number // 3) : 2 * (number // 3) + 2, number % 3]
        for depth, color in zip(depths, colors, strict=True):
            epochs = curves[name, depth].epochs
            numbers = np.arange(1, len(epochs) + 1)
            loss.plot(numbers, [epoch.loss for epoch in epochs], color=color, label=f"{depth}")
            accuracy.plot(numbers, [epoch.validation_accuracy for epoch in epochs], color=color)
        diverged = [str(depth) for depth in depths if curves[name, depth].ended == "diverged"]
        if diverged:
            _write_into(loss, f"diverged: {', '.join(diverged)} layers")
        loss.set(title=name, ylabel="training loss, with penalty")
        accuracy.set(xlabel="epoch", ylabel="validation accuracy")
    _share_limits(axes[::2].ravel(), HIGHEST_LOSS)
    _share_limits(axes[1::2].ravel())
    for panel in axes.ravel():
        panel.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(depths), title="hidden layers"
    )
    figure.suptitle(f"{DATA_NAMES[results.parameters['data']]}: the first draw of each depth")
    return save_figure(figure, folder, "cifar10_deep_curves.png")


def _write_into(panel, words):
    panel.text(0.5, 0.5, words, transform=panel.transAxes, ha="center", va="center", color=COLORS[1])


def _share_limits(panels, highest=np.inf):
    high = min(highest, max(panel.get_ylim()[1] for panel in panels))
    for panel in panels:
        panel.set_ylim(0, high)
