"""Draws pictures from results; computes nothing but the means and spreads of what is drawn.

`draw` draws the results of a study into a folder. Matplotlib is imported when something is drawn.
"""

import numpy as np

TRAIN, VALIDATION, PLAIN, SHUFFLED = "tab:blue", "tab:orange", "tab:red", "tab:blue"
DOTS_PER_INCH = 110
# Large enough to read at half size.
STYLE = {
    "font.size": 13,
    "legend.fontsize": 11,
    "figure.titlesize": 15,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
}
STEP = "global step (batches of 128)"
# Colours that the colour-blind tell apart (Okabe and Ito 2008), and five more (Tol's) where there are more classes.
COLORS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#000000", "#999933", "#44AA99",
)  # fmt: skip
# Colour and marker of each contender: colours that the colour-blind tell apart (Okabe and Ito 2008, and Tol's wine),
# one hue for the solvers of one library.
CONTENDERS = {
    "fastlin": ("#D55E00", "o"),
    "scikit-learn lbfgs": ("#0072B2", "s"),
    "scikit-learn newton-cg": ("#56B4E9", "D"),
    "scikit-learn newton-cholesky": ("#0072B2", "^"),
    "scikit-learn-intelex": ("#E69F00", "v"),
    "cyanure": ("#009E73", "P"),
    "snapml": ("#CC79A7", "X"),
    "skglm": ("#000000", "*"),
    "glum": ("#882255", "<"),
    "torch": ("#808080", ">"),
}


def plot_history(history, label=None, npoints_to_average=1, plot_variance=True, axes=None, color=None):
    """Plot a dict from global step to value, on the current axes where none are given; see trainers.plot_loss."""
    axes = axes or _current_axes()
    steps = np.array(list(history))
    values = np.array(list(history.values()))
    if npoints_to_average <= 1:
        axes.plot(steps, values, label=label, color=color)
        return
    n_groups = len(values) // npoints_to_average
    groups = values[: n_groups * npoints_to_average].reshape(n_groups, npoints_to_average)
    middles = steps[: n_groups * npoints_to_average].reshape(n_groups, npoints_to_average).mean(axis=1)
    mean, spread = groups.mean(axis=1), groups.std(axis=1)
    (line,) = axes.plot(middles, mean, label=label, color=color)
    if plot_variance:
        axes.fill_between(middles, mean - spread, mean + spread, alpha=0.3, color=line.get_color(), linewidth=0)


def plot_path(path, axes=None, n_labels=8, feature_names=None):
    """Plot the coefficients of a path against C, and above them how many are not zero.

    Several classes share the axes, a colour for each; two classes have a colour for each of the features that are
    named. Those of the largest coefficients at the largest C are.

    Parameters
    ----------
    path : RegularizationPath
        As `fastlin.logistic_path` returns it.
    axes : matplotlib Axes or None
        None: the current ones.
    n_labels : int, default=8
        How many coefficients to name.
    feature_names : sequence of str or None
        None: x0, x1 and so on.

    Returns
    -------
    matplotlib Axes
    """
    axes = axes or _current_axes()
    # A log axis has no place for C = inf.
    shown = np.isfinite(path.Cs)
    if not shown.any():
        raise ValueError("path has no finite C to draw")
    Cs, coefs, n_nonzeros = path.Cs[shown], path.coefs[shown], path.n_nonzeros[shown]
    _, n_rows, n_features = coefs.shape
    names = [f"x{j}" for j in range(n_features)] if feature_names is None else list(feature_names)
    if len(names) != n_features:
        raise ValueError(f"feature_names must be one name for each of {n_features} features, got {len(names)}")
    last = coefs[-1]
    largest = [divmod(int(place), n_features) for place in np.argsort(-np.abs(last), axis=None)[:n_labels]]
    largest = [(k, j) for k, j in largest if last[k, j] != 0]
    named = {place: COLORS[rank % len(COLORS)] for rank, place in enumerate(largest)}
    for k in range(n_rows):
        # A class has one colour; of two classes the named features stand out.
        color = COLORS[k % len(COLORS)] if n_rows > 1 else "0.6"
        lines = axes.plot(Cs, coefs[:, k, coefs[:, k].any(axis=0)], color=color, linewidth=1.0, alpha=0.8)
        if n_rows > 1 and lines:
            lines[0].set_label(f"class {path.classes[k]}")
    for (k, j), color in named.items():
        if n_rows == 1:
            axes.plot(Cs, coefs[:, k, j], color=color, linewidth=2.2, label=names[j])
    _name_ends(
        axes, [(last[k, j], names[j], named[k, j] if n_rows == 1 else COLORS[k % len(COLORS)]) for k, j in largest]
    )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="C (to the right: weaker penalty)", ylabel="coefficient")
    if len(Cs) > 1:
        axes.set_xlim(Cs[0], Cs[-1])
    _write_at_top(axes, Cs, n_nonzeros, f"non-zero coefficients of {last.size:,}")
    if 1 < n_rows <= len(COLORS) and coefs.any():
        axes.legend(loc="upper left", ncols=1 + n_rows // 6)
    return axes


def plot_scores(model, axes=None):
    """Plot the scores of a cross-validation against C: the mean over the folds, its spread, and the chosen C.

    Parameters
    ----------
    model : LogisticRegressionCV
        Fitted, with use_legacy_attributes=False.
    axes : matplotlib Axes or None
        None: the current ones.

    Returns
    -------
    matplotlib Axes
    """
    axes = axes or _current_axes()
    if isinstance(model.scores_, dict):
        raise ValueError("model must be fitted with use_legacy_attributes=False, whose scores_ are one array")
    n_folds, n_l1_ratios, _ = model.scores_.shape
    for r in range(n_l1_ratios):
        mean, spread = model.scores_[:, r].mean(axis=0), model.scores_[:, r].std(axis=0)
        label = f"mean of {_count(n_folds, 'fold')}" if n_l1_ratios == 1 else f"l1_ratio = {model.l1_ratios_[r]:g}"
        (line,) = axes.plot(model.Cs_, mean, "o-", color=COLORS[r % len(COLORS)], label=label)
        label = "± one standard deviation of the folds" if r == 0 else None
        axes.fill_between(
            model.Cs_, mean - spread, mean + spread, alpha=0.2, color=line.get_color(), linewidth=0, label=label
        )
    chosen = f"chosen: C = {model.C_:.3g}" + (f", l1_ratio = {model.l1_ratio_:g}" if n_l1_ratios > 1 else "")
    axes.axvline(model.C_, color="black", linestyle="--", label=chosen)
    scoring = model.scoring if isinstance(model.scoring, str) and model.scoring != "warn" else None
    name = "accuracy" if model.scoring in (None, "warn") else scoring or "score"
    axes.set(xscale="log", xlabel="C (to the right: weaker penalty)", ylabel=name.replace("_", " "))
    axes.legend(loc="best")
    return axes


def draw(study, results, folder, full_mnist):
    """Draw the results of a study and return the names of the files, none where there is nothing to draw.

    Parameters
    ----------
    study : str
        Its name in studies.STUDIES.
    results : studies.settings.Results
    folder : Path
    full_mnist : bool
        Use the axis limits that show MNIST's curves best, at full length.
    """
    if study not in DRAWINGS:
        return []
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        return DRAWINGS[study](results, folder, full_mnist)


def _draw_binary(results, folder, full_mnist):
    """Draw loss and accuracy of 2 against 3."""
    figure, axes = _open(1, 2)
    _draw_loss(axes[0], results.series, limits=(0, 0.2) if full_mnist else None)
    _draw_accuracy(axes[1], results.series, limits=(0.93, 0.99) if full_mnist else None)
    figure.suptitle("Logistic regression, 2 against 3, without shuffling")
    return [_save(figure, folder, "binary.png")]


def _draw_early_stopping(results, folder, full_mnist):
    """Draw the losses up to the stop, without and with shuffling, and the stops of all seeds."""
    figure, axes = _open(1, 3)
    merits, per_epoch = results.merits, results.series["steps_per_epoch"]
    for panel, case, title in ((axes[0], "plain", "no shuffling"), (axes[1], "shuffled", "shuffled, first seed")):
        series = results.series[case]
        _draw_loss(panel, series, limits=(0, 0.2) if full_mnist else None)
        stop = len(series["train"]["loss"])
        panel.axvline(stop, color="black", linestyle="--", label=f"stop, epoch {stop / per_epoch:.1f}")
        panel.legend()
        panel.set_title(title)
    stops = merits["stop_epochs_with_shuffling"]
    # Bins of whole epochs, two each.
    edges = np.arange(np.floor(min(stops)), np.ceil(max(stops)) + 2, 2)
    axes[2].hist(stops, bins=edges, color=SHUFFLED, alpha=0.7, label=f"shuffled, {len(stops)} seeds")
    plain = merits["stop_epoch_without_shuffling"]
    axes[2].axvline(plain, color=PLAIN, linestyle="--", label=f"no shuffling, {plain:.1f}")
    axes[2].set(xlabel="epoch of the stop", ylabel="number of seeds", title="where training stops")
    axes[2].set_ylim(top=axes[2].get_ylim()[1] * 1.35)
    axes[2].yaxis.get_major_locator().set_params(integer=True)
    axes[2].legend(loc="upper left")
    figure.suptitle("Early stopping, patience of 10 validations")
    return [_save(figure, folder, "early_stopping.png")]


def _draw_shuffling(results, folder, full_mnist):
    """Draw validation accuracy and training loss with and without shuffling, early stopping on and off."""
    figure, axes = _open(2, 2)
    for row, (case, title) in enumerate((("early_stopping", "early stopping"), ("full_length", "full length"))):
        for name, label, color in (("in_order", "in order", PLAIN), ("shuffled", "shuffled", SHUFFLED)):
            series = results.series[case, name]
            spikes = results.merits[f"accuracy_spikes_{case}_{name}"]
            plot_history(series["val"]["accuracy"], f"{label}, spikes {spikes:.4f}", axes=axes[row, 0], color=color)
            spikes = results.merits[f"loss_spikes_{case}_{name}"]
            # Without their bands, which would cover each other.
            plot_history(series["train"]["loss"], f"{label}, spikes {spikes:.3f}", 10, False, axes[row, 1], color)
        axes[row, 0].set(xlabel=STEP, ylabel="validation accuracy", title=title)
        axes[row, 1].set(xlabel=STEP, ylabel="training loss (mean of 10 steps)", title=title)
        if full_mnist:
            axes[row, 0].set_ylim(0.93, 0.99)
            axes[row, 1].set_ylim(0, 0.2)
        for panel, place in zip(axes[row], ("lower right", "upper right"), strict=True):
            panel.legend(loc=place)
    figure.suptitle("Shuffling smooths the curves (spikes: spread of successive differences)")
    return [_save(figure, folder, "shuffling.png")]


def _draw_softmax(results, folder, full_mnist):
    """Draw loss, accuracy close up and whole, and the gap between training and validation accuracy."""
    figure, axes = _open(2, 2)
    _draw_loss(axes[0, 0], results.series, limits=(0.2, 0.8) if full_mnist else None)
    _draw_accuracy(axes[0, 1], results.series, limits=(0.89, 0.93) if full_mnist else None)
    _draw_accuracy(axes[1, 0], results.series, limits=(0, 1))
    panel = axes[1, 1]
    panel.plot(results.series["gap_steps"], results.series["gap"], color="tab:green", label="mean of 5 validations")
    panel.axhline(0, color="black", linewidth=1)
    onset = results.merits["overfitting_onset_step"]
    if onset is not None:
        panel.axvline(onset, color="black", linestyle="--", label=f"above 0 from step {onset:,} on")
    panel.set(xlabel=STEP, ylabel="training − validation accuracy", title="where overfitting begins")
    panel.legend(loc="lower right")
    figure.suptitle("Softmax regression, ten digits")
    return [_save(figure, folder, "softmax.png")]


def _draw_l2_weights(results, folder, full_mnist):
    """Draw the weights of each digit, without a penalty above and with one below, once per convention."""
    weights = results.series["weights"]
    files = []
    for file, penalised in (("l2_weights.png", "1"), ("l2_weights_half.png", "2 (½ convention)")):
        figure, axes = _open(2, 10, width=15, height=4.1)
        for row, name in enumerate(("0", penalised)):
            pixels = weights[name][:-1]
            side = round(len(pixels) ** 0.5)
            # One scale per row: the penalised weights are much smaller.
            largest = np.abs(pixels).max()
            for digit, panel in enumerate(axes[row]):
                panel.imshow(pixels[:, digit].reshape(side, side), cmap="RdBu_r", vmin=-largest, vmax=largest)
                panel.set(xticks=[], yticks=[], title=str(digit) if row == 0 else "")
                panel.grid(False)
            axes[row, 0].set_ylabel(f"λ = {name.replace(' ', chr(10), 1)}", fontsize=13)
            figure.colorbar(panel.images[0], ax=axes[row], fraction=0.012, pad=0.01)
        figure.suptitle("Weights per digit: red speaks for it, blue against it")
        files.append(_save(figure, folder, file))
    return files


def _draw_l2_sweep(results, folder, full_mnist):
    """Draw validation accuracy against steps for each strength of the penalty."""
    figure, axes = _open(1, 1)
    for l2_reg_lambda, history in results.series["accuracy"].items():
        plot_history(history, f"λ = {l2_reg_lambda:g}, best {max(history.values()):.3f}", axes=axes)
    if full_mnist:
        axes.set_ylim(0.65, 0.93)
    axes.set(xlabel=STEP, ylabel="validation accuracy", title="L2 penalties on the softmax model")
    axes.legend(loc="lower right")
    return [_save(figure, folder, "l2_sweep.png")]


def _draw_l2_norm(results, folder, full_mnist):
    """Draw the squared length of the weights against the strength of the penalty."""
    figure, axes = _open(1, 1)
    norms = results.series["norms"]
    axes.plot(list(norms), list(norms.values()), "o-", markersize=8)
    for l2_reg_lambda, norm in norms.items():
        axes.annotate(f"{norm:.2f}", (l2_reg_lambda, norm), textcoords="offset points", xytext=(6, 8))
    axes.set(xscale="log", xlabel="λ", ylabel="‖w‖²", title="The penalty shortens the weights")
    axes.set_ylim(0, 1.15 * max(norms.values()))
    axes.margins(x=0.12)
    return [_save(figure, folder, "l2_norm.png")]


def _draw_compare(results, folder, full_mnist):
    """Draw the seconds of each contender as bars, with the objective each reached."""
    figure, axes = _open(1, 1, width=10, height=4.2)
    merits, parameters = results.merits, results.parameters
    bars = []
    for name, row in merits["contenders"].items():
        figures = f"{row['seconds']:.3g} s, objective {row['objective']:.6g}, accuracy {row['test_accuracy']:.4f}"
        color = "tab:green" if name == "fastlin" else "tab:gray"
        bars.append((f"{name}\n{_count(row['threads'], 'thread')}", row["seconds"], figures, color))
    seconds = merits["fastlin_seconds_to_scikit_learn_objective"]
    if seconds is not None:
        figures = f"{seconds:.3g} s, {merits['speedup_at_equal_objective']:.1f} times faster"
        threads = _count(merits["contenders"]["fastlin"]["threads"], "thread")
        bars.append((f"fastlin, {threads}\nto equal objective", seconds, figures, "limegreen"))
    longest = max(bar[1] for bar in bars)
    for place, (_, seconds, figures, color) in enumerate(bars):
        axes.barh(place, seconds, color=color)
        inside = seconds > 0.55 * longest
        axes.text(
            seconds - 0.01 * longest if inside else seconds + 0.01 * longest,
            place,
            figures,
            va="center",
            ha="right" if inside else "left",
            color="white" if inside else "black",
        )
    axes.set_yticks(range(len(bars)), [bar[0] for bar in bars])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(
        xlabel="seconds of a fit (median), less is better",
        title=f"{parameters['data']}, {parameters['samples']:,} × {parameters['features']}, "
        f"{parameters['classes']} classes, {parameters['dtype']}, C = {parameters['C']:g}",
    )
    return [_save(figure, folder, "compare.png")]


def _draw_peers(results, folder, full_mnist):
    """Draw the excess of the objective against the seconds of a fit for each contender, a panel for each problem."""
    problems, parameters = results.series["problems"], results.parameters
    figure, axes = _open(1, len(problems), width=3 + 6.5 * len(problems), height=7.6)
    floor = parameters["floor"]
    panels = np.atleast_1d(axes)
    lines = {}
    for panel, problem in zip(panels, problems, strict=True):
        # fastlin last, on top of the others.
        for name, points in reversed(problem["points"].items()):
            color, marker = CONTENDERS[name]
            excess = np.maximum([point["excess"] for point in points], floor)
            (lines[name],) = panel.plot(
                [point["seconds"] for point in points],
                excess,
                color=color,
                marker=marker,
                markersize=9 if name == "fastlin" else 7,
                linewidth=3.5 if name == "fastlin" else 1.6,
                linestyle="--" if name == "scikit-learn newton-cholesky" else "-",
            )
        panel.set(xscale="log", yscale="log")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.axhspan(floor / 10, floor, color="black", alpha=0.08, linewidth=0)
        panel.text(
            0.01,
            floor,
            f" counted as the optimum: {floor:.0e} or less",
            va="top",
            transform=panel.get_yaxis_transform(),
        )
        left_out = f"not in this panel: {', '.join(problem['left_out'])}" if problem["left_out"] else ""
        panel.set(
            xlabel=f"seconds of a whole fit\n{left_out}",
            title=f"{parameters['data']}, {problem['samples']:,} × {problem['features']}, {problem['name']}, "
            f"{'with' if problem['intercept'] else 'no'} intercept",
        )
    top = max(panel.get_ylim()[1] for panel in panels)
    for panel in panels:
        panel.set_ylim(floor / 6, top)
    panels[0].set_ylabel("excess over the optimum, (J − J*) / J*\n(J*: the lowest J of any fit)")
    names = [name for name in CONTENDERS if name in lines]
    figure.legend(
        [lines[name] for name in names],
        names,
        loc="outside lower center",
        ncols=5 if len(problems) > 1 else 2,
        fontsize=STYLE["font.size"],
    )
    figure.suptitle(
        f"Time to the optimum, further left is better: {parameters['dtype']}, C = {parameters['C']:g}, "
        f"{_count(parameters['threads'], 'thread')}\n"
        f"each point is a fit from the start; a curve ends at the optimum or after {parameters['budget']:g} s of fits"
    )
    return [_save(figure, folder, "peers.png")]


DRAWINGS = {
    "binary": _draw_binary,
    "early_stopping": _draw_early_stopping,
    "shuffling": _draw_shuffling,
    "softmax": _draw_softmax,
    "l2_weights": _draw_l2_weights,
    "l2_sweep": _draw_l2_sweep,
    "l2_norm": _draw_l2_norm,
    "compare": _draw_compare,
    "peers": _draw_peers,
}


def _draw_loss(axes, series, limits):
    plot_history(series["train"]["loss"], "training (mean and spread of 10)", 10, axes=axes, color=TRAIN)
    plot_history(series["val"]["loss"], "validation", axes=axes, color=VALIDATION)
    axes.set(xlabel=STEP, ylabel="cross-entropy loss")
    if limits:
        axes.set_ylim(*limits)
    axes.legend(loc="upper right")


def _draw_accuracy(axes, series, limits):
    plot_history(series["train"]["accuracy"], "training", axes=axes, color=TRAIN)
    plot_history(series["val"]["accuracy"], "validation", axes=axes, color=VALIDATION)
    axes.set(xlabel=STEP, ylabel="accuracy")
    if limits:
        axes.set_ylim(*limits)
    axes.legend(loc="lower right")


def _current_axes():
    import matplotlib.pyplot as plt

    return plt.gca()


def _name_ends(axes, ends):
    """Write names (height, name, colour) at the right edge, the lower one of two that would overlap moved down."""
    low, high = axes.get_ylim()
    gap = 0.045 * (high - low)
    ends = sorted(ends, reverse=True)
    places = [height for height, _, _ in ends]
    for i in range(1, len(places)):
        places[i] = min(places[i], places[i - 1] - gap)
    # What that has moved below the axes is moved up again, with what is in its way.
    floor = low + gap / 2
    for i in reversed(range(len(places))):
        places[i] = max(places[i], floor)
        floor = places[i] + gap
    for place, (_, name, color) in zip(places, ends, strict=True):
        axes.annotate(
            name, (1, place), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            color=color, va="center", annotation_clip=False,
        )  # fmt: skip


def _write_at_top(axes, places, numbers, label):
    """Write whole numbers over a few of the places of a log axis."""
    few = np.unique(np.linspace(0, len(places) - 1, min(6, len(places))).round().astype(int))
    top = axes.secondary_xaxis("top")
    top.set_xscale("log")
    top.set_xticks(places[few], [str(number) for number in numbers[few]])
    top.set_xticks([], minor=True)
    top.set_xlabel(label)


def _open(n_rows, n_columns, width=None, height=None):
    # Not pyplot's: no window, no global state, and the caller's own figures stay as they are.
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(width or min(7.5 * n_columns, 18), height or 5.2 * n_rows), dpi=DOTS_PER_INCH, layout="constrained"
    )
    return figure, figure.subplots(n_rows, n_columns)


def _save(figure, folder, name):
    figure.savefig(folder / name)
    return name


def _count(number, noun):
    return f"{number} {noun}" + ("" if number == 1 else "s")
