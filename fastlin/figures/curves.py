"""Curves on axes that the caller provides: histories, regularization paths, and cross-validation scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.figures.style import COLORS, get_current_axes, validate_names
from fastlin.typing import Array, FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_history(
    history: Mapping[int, float],
    label: str | None = None,
    npoints_to_average: int = 1,
    plot_variance: bool = True,
    *,
    axes: Axes | None = None,
    color: str | None = None,
) -> None:
    """Plot a history: either each value, or means of successive values with a band of one standard deviation.

    Parameters
    ----------
    history : dict of int to float
        The value at each global step.
    label : str or None
        The label of the curve in a legend.
    npoints_to_average : int, default=1
        Number of successive values in each mean.
    plot_variance : bool, default=True
        Whether to draw a band of plus and minus one standard deviation around the means.
    axes : matplotlib Axes or None
        Axes to draw on. None means the current axes.
    color : str or None
        The color of the curve. None means the next color of the axes.

    Raises
    ------
    ValueError
        A step does not have exactly one value.
    TypeError
        `label` contains axes.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from fastlin import figures
    >>> axes = plt.figure().add_subplot()
    >>> figures.plot_history({0: 2.0, 1: 1.5, 2: 1.2, 3: 1.1}, "training", npoints_to_average=2, axes=axes)
    >>> len(axes.lines)
    1
    """
    validate_names("label", np.ravel([label]), "axes", accepted_kind="a string")
    axes = axes or get_current_axes()
    steps, values = split_history_into_groups(history, max(npoints_to_average, 1))
    mean_steps, mean, standard_deviation = steps.mean(axis=1), values.mean(axis=1), values.std(axis=1)
    (line,) = axes.plot(mean_steps, mean, label=label, color=color)
    if plot_variance and npoints_to_average > 1:
        axes.fill_between(
            mean_steps,
            mean - standard_deviation,
            mean + standard_deviation,
            alpha=0.3,
            color=line.get_color(),
            linewidth=0,
        )


def split_history_into_groups(history: Mapping[int, float], n: int) -> tuple[IntArray, FloatArray]:
    """Return the steps and values of a history, each in rows of `n`. An incomplete last row is omitted."""
    n_groups = len(history) // n
    steps, values = np.array(list(history)), np.array(list(history.values()))
    # Values from user scripts may be arrays with a single element.
    if values.size != len(history):
        raise ValueError(f"history must have one number for each step, got values of shape {values.shape[1:]}")
    return steps[: n_groups * n].reshape(n_groups, n), values[: n_groups * n].reshape(n_groups, n)


def plot_path(
    path: Any,
    feature_names: Sequence[str] | Array | None = None,
    *,
    axes: Axes | None = None,
    n_labels: int = 8,
    model: Any = None,
) -> Axes:
    """Plot the coefficients of a path against C, with the number of nonzero coefficients on a top axis.

    The coefficients with the largest absolute values at the largest C are labeled. With two classes, each labeled
    coefficient has its own color. With more classes, each class has its own color.

    Parameters
    ----------
    path : RegularizationPath
        The path, as `fastlin.logistic_path` returns it.
    feature_names : sequence of str or None
        A name for each feature. None means x0, x1 and so on.
    axes : matplotlib Axes or None
        Axes to draw on. None means the current axes.
    n_labels : int, default=8
        Number of coefficients to label.
    model : LogisticRegressionCV or None
        A model fitted to the same data, whose `C_best_` and `C_one_standard_error_` are marked by vertical lines.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        `path` has no finite C, the length of `feature_names` is not the number of features, or `model` has no
        `C_best_`.
    TypeError
        `feature_names` is not a sequence, or contains axes.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import figures, logistic_path
    >>> path = logistic_path(*load_iris(return_X_y=True), Cs=5)
    >>> axes = figures.plot_path(path, axes=plt.figure().add_subplot())
    >>> axes.get_ylabel()
    'coefficient'
    """
    # A log axis cannot show C = inf.
    is_shown = np.isfinite(path.Cs)
    if not is_shown.any():
        raise ValueError("path has no finite C to draw; compute it with at least one finite C")
    Cs, coefs, n_nonzeros = path.Cs[is_shown], path.coefs[is_shown], path.n_nonzeros[is_shown]
    _, n_rows, n_features = coefs.shape
    names = (
        [f"x{j}" for j in range(n_features)]
        if feature_names is None
        else validate_names("feature_names", feature_names, "axes")
    )
    if len(names) != n_features:
        raise ValueError(f"feature_names must have one name for each of {n_features} features, got {len(names)}")
    axes = axes or get_current_axes()
    last = coefs[-1]
    largest = [divmod(int(index), n_features) for index in np.argsort(-np.abs(last), axis=None)[:n_labels]]
    largest = [(k, j) for k, j in largest if last[k, j] != 0]
    # With more than two classes, each class has a color. With two classes, only the labeled features are colored.
    colors = {
        (k, j): COLORS[(k if n_rows > 1 else color_index) % len(COLORS)] for color_index, (k, j) in enumerate(largest)
    }
    for k in range(n_rows):
        color = COLORS[k % len(COLORS)] if n_rows > 1 else "0.6"
        lines = axes.plot(Cs, coefs[:, k, coefs[:, k].any(axis=0)], color=color, linewidth=1.0, alpha=0.8)
        if n_rows > 1 and lines:
            lines[0].set_label(f"class {path.classes[k]}")
    for (k, j), color in colors.items():
        if n_rows == 1:
            axes.plot(Cs, coefs[:, k, j], color=color, linewidth=2.2, label=names[j])
    _label_curve_ends(axes, [(last[k, j], names[j], color) for (k, j), color in colors.items()])
    marks = [] if model is None else _mark_selections(axes, model)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="C (to the right: weaker penalty)", ylabel="coefficient")
    if len(Cs) > 1:
        axes.set_xlim(Cs[0], Cs[-1])
    _add_top_axis(axes, Cs, n_nonzeros, f"nonzero coefficients of {last.size:,}")
    if 1 < n_rows <= len(COLORS) and coefs.any():
        axes.legend(loc="upper left", ncols=1 + n_rows // 6)
    elif marks:
        axes.legend(handles=marks, loc="upper left")
    return axes


def _mark_selections(axes, model):
    """Draw vertical lines at the finite C that a LogisticRegressionCV selects, and return the lines."""
    if not hasattr(model, "C_best_"):
        raise ValueError(f"model must be a fitted LogisticRegressionCV, got {type(model).__name__} without C_best_")
    styles = {"best": "--", "one_standard_error": ":"}
    Cs = {selection: getattr(model, f"C_{selection}_", np.inf) for selection in styles}
    return [
        axes.axvline(C, color="black", linestyle=styles[selection], label=f"{selection.replace('_', ' ')}: C = {C:.3g}")
        for selection, C in Cs.items()
        if np.isfinite(C)
    ]


def plot_scores(model: Any, *, axes: Axes | None = None) -> Axes:
    """Plot cross-validation or validation scores against C, and mark the chosen C.

    After cross-validation, the plot shows the mean scores with a band of plus and minus one standard deviation.

    Parameters
    ----------
    model : LogisticRegressionCV
        A fitted model with use_legacy_attributes=False.
    axes : matplotlib Axes or None
        Axes to draw on. None means the current axes.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        `model` was fitted with use_legacy_attributes=True, so its scores are not a single array.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegressionCV, figures
    >>> model = LogisticRegressionCV(l1_ratios=(0,), scoring="neg_log_loss", use_legacy_attributes=False)
    >>> axes = figures.plot_scores(model.fit(*load_iris(return_X_y=True)), axes=plt.figure().add_subplot())
    >>> axes.get_ylabel()
    'neg log loss'
    """
    axes = axes or get_current_axes()
    if isinstance(model.scores_, dict):
        raise ValueError("model must be fitted with use_legacy_attributes=False, so that scores_ is one array")
    n_folds, n_l1_ratios, _ = model.scores_.shape
    for r in range(n_l1_ratios):
        mean, standard_deviation = model.scores_[:, r].mean(axis=0), model.scores_[:, r].std(axis=0)
        label = "validation rows" if n_folds == 1 else f"mean of {n_folds} folds"
        label = label if n_l1_ratios == 1 else f"l1_ratio = {model.l1_ratios_[r]:g}"
        (line,) = axes.plot(model.Cs_, mean, "o-", color=COLORS[r % len(COLORS)], label=label)
        if n_folds == 1:
            continue
        label = "± one standard deviation of the folds" if r == 0 else None
        axes.fill_between(
            model.Cs_,
            mean - standard_deviation,
            mean + standard_deviation,
            alpha=0.2,
            color=line.get_color(),
            linewidth=0,
            label=label,
        )
    chosen_label = f"chosen: C = {model.C_:.3g}" + (f", l1_ratio = {model.l1_ratio_:g}" if n_l1_ratios > 1 else "")
    axes.axvline(model.C_, color="black", linestyle="--", label=chosen_label)
    scoring = model.scoring if isinstance(model.scoring, str) else "score"
    name = "accuracy" if model.scoring in (None, "warn") else scoring
    axes.set(xscale="log", xlabel="C (to the right: weaker penalty)", ylabel=name.replace("_", " "))
    axes.legend(loc="best")
    return axes


def plot_stability(result: Any, *, axes: Axes | None = None, threshold: float = 0.75, n_labels: int = 12) -> Axes:
    """Plot the selection frequency of each feature against the number of features selected per half-sample.

    Features whose final frequency reaches the threshold are colored.

    Parameters
    ----------
    result : StabilitySelection
        The result of `fastlin.stability_selection`.
    axes : matplotlib Axes or None
        Axes to draw on. None means the current axes.
    threshold : float, default=0.75
        The minimum selection frequency of a selected feature.
    n_labels : int, default=12
        Maximum number of features to label. The most frequently selected features are labeled.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegression, figures, stability_selection
    >>> result = stability_selection(LogisticRegression(), *load_iris(return_X_y=True), n_pairs=5)
    >>> figures.plot_stability(result, axes=plt.figure().add_subplot()).get_ylabel()
    'selection frequency (fraction of half-samples)'
    """
    axes = axes or get_current_axes()
    bound, frequencies = result.error_bound(threshold), result.frequencies
    path = np.pad(result.path, ((1, 0), (0, 0)))
    is_selected = frequencies >= threshold
    axes.plot(path[:, ~is_selected & (frequencies > 0)], color="0.6", linewidth=1.0, alpha=0.8)
    selected_features, ends = np.argsort(-frequencies, kind="stable")[: np.count_nonzero(is_selected)], []
    for color_index, j in enumerate(selected_features):
        (line,) = axes.plot(path[:, j], color=COLORS[color_index % len(COLORS)], label=result.names[j])
        ends.append((frequencies[j], result.names[j], line.get_color()))
    label = f"threshold {threshold:g}:\nat most {bound:.2g} false selections expected"
    line = axes.axhline(threshold, color="black", linestyle="--", linewidth=1.2, label=label)
    axes.set(xlabel="features selected per half-sample", ylabel="selection frequency (fraction of half-samples)")
    axes.set(xlim=(0, len(result.path)), ylim=(0, 1.02))
    axes.locator_params(axis="x", integer=True)
    _label_curve_ends(axes, ends[:n_labels])
    axes.legend(handles=[line], loc="best")
    return axes


def _label_curve_ends(axes, ends):
    """Write names to the right of the axes. `ends` are triples (height, name, color). Names do not overlap."""
    low, high = axes.get_ylim()
    gap = 0.045 * (high - low)
    ends = sorted(ends, reverse=True)
    label_heights = [height for height, _, _ in ends]
    for i in range(1, len(label_heights)):
        label_heights[i] = min(label_heights[i], label_heights[i - 1] - gap)
    # If a name is below the axes, it is moved up, together with the names above it.
    floor = low + gap / 2
    for i in reversed(range(len(label_heights))):
        label_heights[i] = max(label_heights[i], floor)
        floor = label_heights[i] + gap
    for height, (_, name, color) in zip(label_heights, ends, strict=True):
        axes.annotate(
            name,
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            color=color,
            va="center",
            annotation_clip=False,
        )


def _add_top_axis(axes, positions, numbers, label):
    """Add a top axis with integer labels at a few positions of a log axis."""
    indices = np.unique(np.linspace(0, len(positions) - 1, min(6, len(positions))).round().astype(int))
    top_axis = axes.secondary_xaxis("top")
    top_axis.set(xscale="log", xlabel=label)
    top_axis.set_xticks(positions[indices], [str(number) for number in numbers[indices]])
    top_axis.set_xticks([], minor=True)
