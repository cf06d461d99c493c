"""Plots of fitted models on axes that the caller provides: convergence, coefficients, influence and strengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastlin.coefficient_names import are_intercepts
from fastlin.environment.terminal import make_printable
from fastlin.figures.curves import plot_scores
from fastlin.figures.style import COLORS, get_current_axes, get_dense_coef, validate_names
from fastlin.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The number of rows that `plot_influence` labels.
N_LABELED_ROWS = 5


class _CoefficientPlotData(NamedTuple):
    """Data for `plot_coefficients`, for d features and one or more classes.

    `values` has shape (n_classes, d). `intervals` has shape (n_classes, d, 2) or is None. `importances` (d,) determine
    the order of the features.
    """

    values: Any
    intervals: Any
    importances: Any
    labels: list
    legend_title: str | None


def plot_convergence(model: Any, *, axes: Axes | None = None) -> Axes:
    """Plot the convergence of a fit.

    For `LogisticRegression` the plot shows the duality gap, the distance of the objective from its final value, and
    `tol` against the iterations, all relative to the objective. For models trained with mini-batches, the plot shows
    the training loss per epoch and, if available, the validation loss.

    Parameters
    ----------
    model : LogisticRegression, MiniBatchLogisticRegression or MLPClassifier
        A fitted model.
    axes : matplotlib Axes or None
        Axes to draw on. None means the current axes.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        The model has no recorded fit with at least one iteration.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from fastlin import LogisticRegression, figures
    >>> model = LogisticRegression(C=0.01).fit(*load_digits(return_X_y=True))
    >>> axes = figures.plot_convergence(model, axes=plt.figure().add_subplot())
    >>> axes.get_yscale()
    'log'
    """
    has_history = bool(getattr(model, "history_", None))
    if not has_history and not getattr(model, "loss_curve_", None):
        raise ValueError(
            f"model must have history_ or loss_curve_ of at least one iteration, got {type(model).__name__} without; "
            "use plot_scores for cross-validation"
        )
    axes = axes or get_current_axes()
    (_plot_optimality_gaps if has_history else _plot_losses)(model, axes)
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="best")
    return axes


def plot_fit(model: Any, axes: Axes) -> Axes:
    """Plot the scores of a cross-validated model, or the convergence of any other model. Return the axes."""
    return (plot_scores if hasattr(model, "scores_") else plot_convergence)(model, axes=axes)


def plot_coefficients(
    model: Any,
    feature_names: Sequence[str] | Array | None = None,
    *,
    axes: Axes | None = None,
    n_features: int = 20,
) -> Axes:
    """Plot the largest coefficients of a linear model as bars, or the estimates of an `Inference` with intervals.

    The largest coefficients are at the top. With two classes, each feature has one bar, and a bar to the right favors
    the second class. With more classes, each feature has one bar per class, in up to ten colors. Features are sorted by
    their largest absolute coefficient.

    For an `Inference`, the plot shows estimates with 95 % intervals, except for the intercept. Features are sorted by
    the largest absolute ratio of a coefficient to its standard error.

    Parameters
    ----------
    model : LogisticRegression, LogisticRegressionCV, MiniBatchLogisticRegression or Inference
        A fitted model, or the result of its method `inference`.
    feature_names : sequence of str or None
        A name for each column of `coef_`. None means the column names of X, or x0, x1 and so on.
    axes : matplotlib Axes or None
        Axes to draw on. None means the current axes.
    n_features : int, default=20
        Maximum number of features to show. Features whose coefficients are all zero are omitted.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        The model has no `coef_`, or the length of `feature_names` is not the number of columns of `coef_`.
    TypeError
        `feature_names` is not a sequence, or contains axes.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegression, figures
    >>> model = LogisticRegression().fit(*load_iris(return_X_y=True, as_frame=True))
    >>> axes = figures.plot_coefficients(model, axes=plt.figure().add_subplot())
    >>> axes.get_yticklabels()[0].get_text()
    'petal length (cm)'
    """
    has_std_errors = hasattr(model, "std_errors")
    plot_data = _make_estimate_data(model) if has_std_errors else _make_coefficient_data(model)
    n_model_features = plot_data.values.shape[1]
    if feature_names is None:
        feature_names = model.names[~are_intercepts(model.names)] if has_std_errors else model.get_feature_names_out()
    names = validate_names("feature_names", feature_names, "axes")
    if len(names) != n_model_features:
        raise ValueError(
            f"feature_names must have one name for each of {n_model_features} coefficients, got {len(names)}"
        )
    axes = axes or get_current_axes()
    n_nonzero = np.count_nonzero(plot_data.importances)
    shown_indices = np.argsort(-plot_data.importances, kind="stable")[: min(n_features, n_nonzero)]
    # Bars are drawn from the bottom up.
    n_rows = len(plot_data.values)
    positions, height = np.arange(len(shown_indices))[::-1], 0.8 / n_rows
    for k, row in enumerate(plot_data.values[:, shown_indices]):
        rows = positions + (0.4 - height / 2) - k * height
        label = f"class {_escape_label(plot_data.labels[k])}" if n_rows > 1 else None
        color = COLORS[k % len(COLORS) if n_rows > 1 else 0]
        if plot_data.intervals is None:
            axes.barh(rows, row, height, color=color, label=label)
        else:
            errors = np.abs(plot_data.intervals[k, shown_indices].T - row)
            axes.errorbar(row, rows, xerr=errors, fmt="o", markersize=4, color=color, label=label)
    axes.set_yticks(positions, [_escape_label(names[j]) for j in shown_indices])
    axes.axvline(0, color="black", linewidth=0.8)
    xlabel = "coefficient" if plot_data.intervals is None else "coefficient with 95 % interval"
    if n_rows > 1:
        axes.set_xlabel(xlabel)
        # A legend inside the axes would cover bars.
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), title=plot_data.legend_title)
    else:
        axes.set_xlabel(f"{xlabel} (positive: favors {_escape_label(plot_data.labels[-1])})")
    n_omitted = n_nonzero - len(shown_indices)
    if n_omitted:
        kind = "largest" if plot_data.intervals is None else "most significant"
        more = "1 more feature has" if n_omitted == 1 else f"{n_omitted:,} more features have"
        # If feature names are long, the remaining width may be too small for one line.
        axes.set_title(f"the {kind} coefficients; {more} nonzero coefficients", wrap=True)
    return axes


def plot_influence(influence: Any, *, axes: Axes | None = None) -> Axes:
    """Plot the deviance residuals of all rows against their leverages.

    The five rows with the largest Cook's distances are labeled with their indices. The legend contains the range of
    these distances.

    Parameters
    ----------
    influence : Influence
        The result of `Inference.influence`.
    axes : matplotlib Axes or None
        Axes to draw on. None means the current axes.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        `influence` has no leverages.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegression, figures
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(C=float("inf")).fit(X[:, :2], y == 2)
    >>> influence = model.inference(X[:, :2], y == 2).influence()
    >>> axes = figures.plot_influence(influence, axes=plt.figure().add_subplot())
    >>> len(axes.texts)
    5
    """
    if not hasattr(influence, "leverage"):
        raise ValueError(
            f"influence must be the result of Inference.influence, got {type(influence).__name__}; call "
            "model.inference(X, y).influence()"
        )
    axes = axes or get_current_axes()
    leverage, residuals = influence.leverage, influence.deviance_residuals
    # The distance is NaN for rows that are necessary for the estimates.
    distances = np.nan_to_num(influence.cooks_distance, nan=np.inf)
    labeled = np.argsort(-distances, kind="stable")[:N_LABELED_ROWS]
    axes.plot(leverage, residuals, "o", markersize=4, alpha=0.5, color=COLORS[0], label="rows")
    axes.plot(
        leverage[labeled],
        residuals[labeled],
        "o",
        markersize=7,
        color=COLORS[1],
        label=f"largest Cook's distances\n({distances[labeled[-1]]:.2g} to {distances[labeled[0]]:.2g})",
    )
    for row, (x, y) in zip(labeled, _choose_label_directions(leverage, residuals, labeled), strict=True):
        axes.annotate(
            str(row),
            (leverage[row], residuals[row]),
            (5 * x, 4 * y),
            textcoords="offset points",
            horizontalalignment="left" if x > 0 else "right",
            verticalalignment="bottom" if y > 0 else "top",
            fontweight="bold",
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.margins(0.12)
    axes.set(xlabel="leverage", ylabel="deviance residual")
    axes.legend(loc="best")
    return axes


def _choose_label_directions(x, y, labeled):
    """Return the directions, 1 or -1 per axis, from each labeled point away from the nearest other labeled point."""
    points = np.column_stack([values[labeled] / (np.ptp(values) or 1.0) for values in (x, y)])
    differences = points[:, None] - points
    distances = np.square(differences).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.where(differences[np.arange(len(points)), distances.argmin(axis=1)] < 0, -1, 1)


def plot_strengths(model: Any, *, axes: Axes | None = None, n_items: int = 30) -> Axes:
    """Plot the strengths of the strongest items of a Bradley-Terry model with their 95 % intervals.

    Parameters
    ----------
    model : BradleyTerry
        A fitted model.
    axes : matplotlib Axes or None
        Axes to draw on. None means the current axes.
    n_items : int, default=30
        Maximum number of items to show.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        The model is not a fitted `BradleyTerry` model, or has no standard errors.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from fastlin import BradleyTerry, figures
    >>> model = BradleyTerry().fit(["a", "b", "a"], ["b", "c", "c"], [1, 0.5, 0.5])
    >>> axes = figures.plot_strengths(model, axes=plt.figure().add_subplot())
    >>> axes.get_yticklabels()[0].get_text()
    'a'
    """
    if not hasattr(model, "strengths_"):
        raise ValueError(
            f"model must be a fitted BradleyTerry model, got {type(model).__name__} without strengths_; call fit first"
        )
    table = model.to_frame()
    strengths, limits = (np.array([table[name] for name in names]) for names in (["strength"], ["lower", "upper"]))
    items, errors = list(table["item"]), np.abs(limits - strengths)
    axes, n_shown = axes or get_current_axes(), min(n_items, len(items))
    # The strongest item is at the top.
    positions = np.arange(n_shown)[::-1]
    axes.errorbar(
        strengths[0, :n_shown], positions, xerr=errors[:, :n_shown], fmt="o", markersize=5, capsize=3, color=COLORS[0]
    )
    axes.set_yticks(positions, [_escape_label(item) for item in items[:n_shown]])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("strength with 95 % interval (log odds; mean 0)")
    if n_shown < len(items):
        axes.set_title(f"the {n_shown} strongest of {len(items):,} items", wrap=True)
    return axes


def _make_coefficient_data(model):
    """Return the _Drawing of a fitted model."""
    if not hasattr(model, "coef_"):
        raise ValueError(f"model must be a fitted linear model with coef_, got {type(model).__name__} without coef_")
    coef = get_dense_coef(model)
    return _CoefficientPlotData(coef, None, np.abs(coef).max(axis=0), list(model.classes_), None)


def _make_estimate_data(inference):
    """Return the _Drawing of an inference."""
    are_feature_columns = ~are_intercepts(inference.names)
    coef, errors = inference.coef[:, are_feature_columns], inference.std_errors[:, are_feature_columns]
    title = "vs the mean" if inference.is_symmetric else f"vs {_escape_label(inference.reference)}"
    importances = np.abs(coef / errors).max(axis=0)
    return _CoefficientPlotData(
        coef, inference.conf_int(0.95)[:, are_feature_columns], importances, list(inference.classes), title
    )


def _plot_optimality_gaps(model, axes):
    # The horizontal axis is the iteration, because all iterations of a small fit happen in one compiled call and have
    # the same time and number of passes.
    iterations = np.arange(1, 1 + len(model.history_))
    objective = np.array([iteration.objective for iteration in model.history_])
    bound = np.array([iteration.bound for iteration in model.history_])
    # A log axis cannot show zero or infinity.
    for values, label, color in (
        (bound, "duality gap (bound on J − J*)", COLORS[0]),
        (objective - objective[-1], "J − final J", COLORS[4]),
    ):
        is_shown = np.isfinite(values) & (values > 0) & (objective > 0)
        axes.plot(
            iterations[is_shown], values[is_shown] / objective[is_shown], "o-", markersize=4, color=color, label=label
        )
    axes.axhline(model.tol, color="black", linestyle="--", linewidth=1.2, label=f"tol = {model.tol:g}")
    xlabel = f"iteration (total: {model.n_passes_:.3g} passes over the data)"
    axes.set(yscale="log", xlabel=xlabel, ylabel="relative to the objective J")


def _plot_losses(model, axes):
    curves = [(model.loss_curve_, "training (with penalty)", COLORS[0])]
    if getattr(model, "validation_loss_curve_", None):
        curves.append((model.validation_loss_curve_, "validation", COLORS[1]))
    for values, label, color in curves:
        axes.plot(np.arange(1, 1 + len(values)), values, "-" if len(values) > 1 else "o", color=color, label=label)
    axes.set(xlabel="epoch", ylabel="mean loss")


def _escape_label(name):
    """Return a name with only printable characters. Dollar signs are escaped, so that they start no formula."""
    return make_printable(str(name)).replace("$", r"\$")
