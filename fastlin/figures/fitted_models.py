"""Pictures of fitted models that users plot on axes of their own: how the fit went, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastlin.coefficient_names import are_intercepts
from fastlin.figures.curves import plot_scores
from fastlin.figures.style import COLORS, current_axes, list_names, read_coef
from fastlin.terminal import make_printable
from fastlin.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class _Drawing(NamedTuple):
    """What `plot_coefficients` draws: values (K', d), intervals (K', d, 2) or None, and their ranks (d,)."""

    values: Any
    intervals: Any
    ranks: Any
    labels: list
    legend_title: str | None


def plot_convergence(model: Any, *, axes: Axes | None = None) -> Axes:
    """Plot how a fit came to its end.

    For `LogisticRegression` these are, against the iterations, the bound on the distance of the objective from its
    minimum and the distance from the last objective, both relative to the objective, and `tol`. For models that
    train by mini-batches it is the loss of each epoch, on training data and, where there are some, validation data.

    Parameters
    ----------
    model : LogisticRegression, MiniBatchLogisticRegression or MLPClassifier
        A fitted model.
    axes : matplotlib Axes or None
        Where it is drawn. None: on the current axes.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        The model has no record of a fit.

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
            f"model must have a fit of at least one iteration to show, got {type(model).__name__} without history_ or "
            "loss_curve_; plot_scores shows cross-validation"
        )
    axes = axes or current_axes()
    (_plot_gaps if has_history else _plot_losses)(model, axes)
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="best")
    return axes


def plot_fit(model: Any, axes: Axes) -> Axes:
    """Plot the scores of a cross-validation, and the convergence of any other model, and return the axes."""
    return (plot_scores if hasattr(model, "scores_") else plot_convergence)(model, axes=axes)


def plot_coefficients(
    model: Any,
    feature_names: Sequence[str] | Array | None = None,
    *,
    axes: Axes | None = None,
    n_features: int = 20,
) -> Axes:
    """Plot the largest coefficients of a linear model as bars, or of an inference with intervals.

    The largest stand at the top. With two classes a feature has one bar, which points to the right where the feature
    speaks for the second class. With more it has one bar a class, in one of ten colors.
    Features are compared by their largest coefficient.

    Coefficients of an `Inference` are points with 95 % intervals, without the intercept. Features are compared by the
    largest ratio of a coefficient to its standard error.

    Parameters
    ----------
    model : LogisticRegression, LogisticRegressionCV, MiniBatchLogisticRegression or Inference
        A fitted model, or what its method `inference` returned.
    feature_names : sequence of str or None
        A name for each column of `coef_`. None: the names of the columns of X, or x0, x1 and so on.
    axes : matplotlib Axes or None
        Where it is drawn. None: on the current axes.
    n_features : int, default=20
        The largest number of features that are shown. Those whose coefficients are all zero are not.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        The model has no `coef_`, or `feature_names` has another length than it has columns.
    TypeError
        `feature_names` is no sequence, or holds axes.

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
    has_errors = hasattr(model, "std_errors")
    drawn = _read_estimates(model) if has_errors else _read_model(model)
    n_all = drawn.values.shape[1]
    if feature_names is None:
        feature_names = model.names[~are_intercepts(model.names)] if has_errors else model.get_feature_names_out()
    names = list_names("feature_names", feature_names, "axes")
    if len(names) != n_all:
        raise ValueError(f"feature_names must be one name for each of {n_all} coefficients, got {len(names)}")
    axes = axes or current_axes()
    n_nonzero = np.count_nonzero(drawn.ranks)
    shown = np.argsort(-drawn.ranks, kind="stable")[: min(n_features, n_nonzero)]
    # Bars are drawn from the bottom up.
    n_rows = len(drawn.values)
    places, height = np.arange(len(shown))[::-1], 0.8 / n_rows
    for k, row in enumerate(drawn.values[:, shown]):
        rows = places + (0.4 - height / 2) - k * height
        label = f"class {_as_plain(drawn.labels[k])}" if n_rows > 1 else None
        color = COLORS[k % len(COLORS) if n_rows > 1 else 0]
        if drawn.intervals is None:
            axes.barh(rows, row, height, color=color, label=label)
        else:
            beside = np.abs(drawn.intervals[k, shown].T - row)
            axes.errorbar(row, rows, xerr=beside, fmt="o", markersize=4, color=color, label=label)
    axes.set_yticks(places, [_as_plain(names[j]) for j in shown])
    axes.axvline(0, color="black", linewidth=0.8)
    words = "coefficient" if drawn.intervals is None else "coefficient with 95 % interval"
    if n_rows > 1:
        axes.set_xlabel(words)
        # Inside it would lie on bars.
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), title=drawn.legend_title)
    else:
        axes.set_xlabel(f"{words} (to the right: for {_as_plain(drawn.labels[-1])})")
    n_left = n_nonzero - len(shown)
    if n_left:
        kind = "largest" if drawn.intervals is None else "clearest"
        more = "1 more feature is" if n_left == 1 else f"{n_left:,} more features are"
        # The names beside the axes may leave it too narrow for one line.
        axes.set_title(f"the {kind} coefficients; {more} not zero", wrap=True)
    return axes


def _read_model(model):
    """Return the _Drawing of a fitted model."""
    if not hasattr(model, "coef_"):
        raise ValueError(f"model must be a fitted linear model, which has coef_, got {type(model).__name__} without")
    coef = read_coef(model)
    return _Drawing(coef, None, np.abs(coef).max(axis=0), list(model.classes_), None)


def _read_estimates(found):
    """Return the _Drawing of an inference."""
    are_features = ~are_intercepts(found.names)
    coef, errors = found.coef[:, are_features], found.std_errors[:, are_features]
    title = "against the mean" if found.is_symmetric else f"against {_as_plain(found.reference)}"
    ranks = np.abs(coef / errors).max(axis=0)
    return _Drawing(coef, found.conf_int(0.95)[:, are_features], ranks, list(found.classes), title)


def _plot_gaps(model, axes):
    # A small fit is one compiled call: all its iterations have the seconds and passes of the end.
    iterations = np.arange(1, 1 + len(model.history_))
    objective = np.array([iteration.objective for iteration in model.history_])
    bound = np.array([iteration.bound for iteration in model.history_])
    # A log axis shows neither zero nor infinity.
    for values, label, color in (
        (bound, "bound on the distance from the minimum", COLORS[0]),
        (objective - objective[-1], "distance from the last objective", COLORS[4]),
    ):
        shown = np.isfinite(values) & (values > 0) & (objective > 0)
        axes.plot(iterations[shown], values[shown] / objective[shown], "o-", markersize=4, color=color, label=label)
    axes.axhline(model.tol, color="black", linestyle="--", linewidth=1.2, label=f"tol = {model.tol:g}")
    xlabel = f"iteration ({model.n_passes_:.3g} passes over the data in all)"
    axes.set(yscale="log", xlabel=xlabel, ylabel="relative to the objective")


def _plot_losses(model, axes):
    curves = [(model.loss_curve_, "training, with the penalty", COLORS[0])]
    if getattr(model, "validation_loss_curve_", None):
        curves.append((model.validation_loss_curve_, "validation", COLORS[1]))
    for values, label, color in curves:
        axes.plot(np.arange(1, 1 + len(values)), values, "-" if len(values) > 1 else "o", color=color, label=label)
    axes.set(xlabel="epoch", ylabel="mean loss")


def _as_plain(name):
    """Return a name with signs that the font has, and with dollar signs that are no mathematics."""
    return make_printable(str(name)).replace("$", r"\$")
