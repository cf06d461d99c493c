"""Draws the studies of CIFAR-10: curves of training, the search by parameter, and accuracy against depth."""

import numpy as np

from fastlin.figures.style import COLORS, Drawing, StudyResults, count_nouns, name_data, open_figure

# What the parameters of the search are called where their names alone do not say it.
PARAMETERS = {"hidden": "hidden units", "decay": "decay of the learning rate", "reg": "regularisation"}
MARKERS = "osD^vPX"
# The variants whose curves stand in a row of panels.
N_COLUMNS = 4
# A guess among ten classes has a loss of 2.3. The losses of a training that diverges would flatten all other curves.
HIGHEST_LOSS = 10
# The validation accuracy that the report on CIFAR-10 states for its optimum.
REPORTED_VALIDATION = 0.491


def draw_two_layer(results: StudyResults) -> Drawing:
    """Draw loss and accuracy against epochs, one column for each run, and the report's accuracies as lines."""
    runs, reported = results.series, results.merits["reported"]
    on_cifar10 = results.parameters["data"] == "cifar10"
    figure, axes = open_figure(2, len(runs), width=6 * len(runs))
    for (loss, accuracy), (name, trained) in zip(axes.T, runs.items(), strict=True):
        n_epochs = len(trained.training.records)
        _plot_epochs(loss, trained.training, "loss", color=COLORS[0], label="training")
        # The losses of the batches hold the penalty, so that the validation loss gets it too.
        penalties = trained.penalties[:n_epochs]
        _plot_epochs(loss, trained.training, "validation_loss", penalties, color=COLORS[1], label="validation")
        _plot_epochs(accuracy, trained.training, "accuracy", color=COLORS[0])
        _plot_epochs(accuracy, trained.training, "validation_accuracy", color=COLORS[1])
        test = trained.accuracies["test"]
        accuracy.axhline(test, color=COLORS[2], linestyle="--", label="test images, best epoch")
        if on_cifar10:
            for (part, value), color in zip(reported.items(), COLORS, strict=False):
                accuracy.axhline(value, color=color, linestyle=":", label=f"the report, {part}: {value:.3f}")
        loss.set(xlabel="epoch", ylabel="loss with penalty", title=name)
        accuracy.set(xlabel="epoch", ylabel="accuracy", title=f"test accuracy of the best epoch: {test:.3f}")
        if trained.training.ended == "diverged":
            _write_into(loss, f"diverged in epoch {n_epochs + 1}")
    _share_limits(axes[0], HIGHEST_LOSS)
    _share_limits(axes[1])
    part = results.parameters["part_of_epochs"]
    shortened = "" if part == 1 else f", {part:.0%} of the epochs"
    tests = ", ".join(f"{trained.accuracies['test']:.3f} ({name})" for name, trained in runs.items())
    return Drawing(
        figure,
        f"{name_data(results)}, two layers, 135 hidden units{shortened}",
        "Losses, both with the penalty, and accuracies by epoch for two readings of the report's settings and for "
        "settings of our own." + " The dotted lines are the accuracies that the report states." * on_cifar10,
        f"A column of two panels for each run. Test accuracies: {tests}.",
    )


def draw_search(results: StudyResults) -> Drawing:
    """Draw the validation accuracy of each draw against its parameters, one panel for each parameter."""
    records, names, optimum = results.series["records"], results.series["names"], results.series["optimum"]
    figure, axes = open_figure(2, 3, width=16)
    accuracies = [record["validation"] for record in records]
    best = records[0]
    for panel, name in zip(axes.flat, names, strict=True):
        panel.scatter([record[name] for record in records], accuracies, color=COLORS[0], alpha=0.6, label="a draw")
        panel.scatter(best[name], best["validation"], color=COLORS[1], s=160, marker="*", label="the best", zorder=3)
        # It is hollow, so that it does not cover the best draw.
        hollow = {"facecolors": "none", "edgecolors": COLORS[2], "linewidths": 2.5, "s": 110, "marker": "D"}
        label = "the report's optimum, trained here"
        panel.scatter(optimum[name], optimum["validation"], label=label, zorder=3, **hollow)
        if results.parameters["data"] == "cifar10":
            label = "the accuracy that the report states"
            panel.axhline(REPORTED_VALIDATION, color="black", linestyle=":", label=label)
        panel.set(xlabel=PARAMETERS.get(name, name.replace("_", " ")), ylabel="validation accuracy")
        if name == "reg":
            panel.set_xscale("log")
        else:
            panel.locator_params(axis="x", nbins=5)
        if name == "decay":
            panel.set_xticks(sorted({record[name] for record in records}))
    rank, draws = results.merits["optimum_rank"], count_nouns(len(records), "draw")
    return Drawing(
        figure,
        f"{name_data(results)}, random search, {draws}: best validation accuracy {best['validation']:.3f}; the "
        f"report's optimum has {optimum['validation']:.3f}, rank {rank}",
        f"The validation accuracy of {draws}, each trained on "
        f"{results.parameters['train_images']:,} images, against each parameter. The report's optimum is trained "
        "here like the draws.",
        f"Six panels of points. The best draw has a validation accuracy of {best['validation']:.3f}; the report's "
        f"optimum with {optimum['validation']:.3f} would have rank {rank}.",
    )


def draw_depths(results: StudyResults) -> Drawing:
    """Draw the best accuracy of each run against depth."""
    figure, axes = open_figure(1, 1, width=11, height=6.5)
    for place, (name, row) in enumerate(results.series["best"].items()):
        depths = np.array([int(depth) for depth in row])
        values = np.array(list(row.values()))
        n_draws = values.shape[1]
        # The variants of one depth stand side by side, so that they do not cover each other.
        shifted = depths + 0.06 * (place - (len(results.series["best"]) - 1) / 2)
        style = {"color": COLORS[place], "marker": MARKERS[place]}
        line = "--" if results.parameters["recipes"][name]["init"] == "normal" else "-"
        axes.plot(shifted, values.mean(axis=1), line, markersize=8, label=name, **style)
        axes.scatter(np.repeat(shifted, n_draws), values.ravel(), s=16, alpha=0.5, **style)
    axes.axhline(0.1, color="black", linewidth=1, linestyle=":", label="a guess")
    axes.set(xlabel="hidden layers", ylabel="best validation accuracy of a run", ylim=(0, None), xticks=depths)
    shown = "one draw for each depth" if n_draws == 1 else f"mean of {n_draws} draws (lines) and each draw (small)"
    plain = results.merits["mean_best_validation_accuracy_by_hidden_layers"]["normal, plain"]
    return Drawing(
        figure,
        f"{name_data(results)}, 2 to {depths[-1]} hidden layers: {shown}",
        "The best validation accuracy of a run against the number of hidden layers, for small normal weights "
        "(dashed) and He's initialisation (solid). The template is the homework's.",
        f"{len(results.series['best'])} lines. Plain networks from normal weights reach "
        + ", ".join(f"{value:.3f} with {depth} hidden layers" for depth, value in plain.items())
        + ".",
    )


def draw_few_layers(results: StudyResults) -> Drawing:
    """Draw the best accuracies of all draws of each variant with few hidden layers."""
    table = results.series["few_layers"]
    depths = list(next(iter(table.values())))
    figure, axes = open_figure(1, len(depths), width=15, height=5.2)
    panels = np.atleast_1d(axes)
    for panel, depth in zip(panels, depths, strict=True):
        for place, (name, row) in enumerate(table.items()):
            color = COLORS[0] if name.startswith("normal") else COLORS[1]
            panel.scatter(row[depth], [place] * len(row[depth]), color=color, alpha=0.6)
            panel.scatter(np.mean(row[depth]), place, color=color, marker="|", s=400, linewidths=3)
        panel.set_yticks(range(len(table)), list(table) if panel is panels[0] else [""] * len(table))
        panel.set_ylim(len(table) - 0.5, -0.5)
        panel.set(xlabel="best validation accuracy of a run", title=f"{depth} hidden layers")
    means = {name: float(np.mean(row[depths[0]])) for name, row in table.items()}
    return Drawing(
        figure,
        f"{name_data(results)}, few hidden layers: dropout, and batch norm of the input",
        "The best validation accuracy of each draw (points) and their mean (bars). The rows named pixels are given "
        "pixels, the others principal components.",
        f"Means with {depths[0]} hidden layers: "
        + ", ".join(f"{name} {value:.3f}" for name, value in means.items())
        + ".",
    )


def draw_curves(results: StudyResults) -> Drawing:
    """Draw the loss of each variant above its accuracy; the variants of one initialisation stand beside each other."""
    import matplotlib as mpl

    curves = results.series["curves"]
    names = list(results.series["best"])
    depths = sorted({depth for _, depth in curves})
    colors = mpl.colormaps["viridis"](np.linspace(0, 0.92, len(depths)))
    n_rows = -(-len(names) // N_COLUMNS)
    figure, axes = open_figure(2 * n_rows, N_COLUMNS, width=20, height=9 * n_rows)
    for panel in axes[-2:, (len(names) - 1) % N_COLUMNS + 1 :].flat:
        panel.remove()
    for number, name in enumerate(names):
        loss, accuracy = axes[2 * (number // N_COLUMNS) : 2 * (number // N_COLUMNS) + 2, number % N_COLUMNS]
        for depth, color in zip(depths, colors, strict=True):
            _plot_epochs(loss, curves[name, depth], "loss", color=color, label=f"{depth}")
            _plot_epochs(accuracy, curves[name, depth], "validation_accuracy", color=color)
        diverged = [str(depth) for depth in depths if curves[name, depth].ended == "diverged"]
        if diverged:
            _write_into(loss, f"diverged: {', '.join(diverged)} layers")
        loss.set(title=name, ylabel="training loss, with penalty")
        accuracy.set(xlabel="epoch", ylabel="validation accuracy")
    shown = figure.axes
    _share_limits([panel for panel in axes[::2].flat if panel in shown], HIGHEST_LOSS)
    _share_limits([panel for panel in axes[1::2].flat if panel in shown])
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(depths), title="hidden layers"
    )
    return Drawing(
        figure,
        f"{name_data(results)}: the first draw of each depth",
        "Training loss, with the penalty, and validation accuracy by epoch for the first draw of each depth.",
        f"A column of two panels for each of {len(names)} variants, with a curve for each of {len(depths)} depths.",
    )


def _plot_epochs(panel, training, measure, added=0, **style):
    """Plot a measure of the epochs of a training, to which something is added."""
    values = np.array([getattr(epoch, measure) for epoch in training.records])
    panel.plot(np.arange(1, len(values) + 1), values + added, **style)
    panel.xaxis.get_major_locator().set_params(integer=True)


def _write_into(panel, words):
    panel.text(0.5, 0.5, words, transform=panel.transAxes, ha="center", va="center", color=COLORS[1])


def _share_limits(panels, highest=np.inf):
    high = min(highest, max(panel.get_ylim()[1] for panel in panels))
    for panel in panels:
        panel.set_ylim(0, high)
