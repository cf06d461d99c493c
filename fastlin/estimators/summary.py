"""What a fitted model says of its fit, in lines and in notebooks, and scikit-learn's models that are made from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn import linear_model
from sklearn.utils.validation import check_is_fitted

from fastlin.estimators.linear_predictions import check_coefficients, has_several_labels, read_classes
from fastlin.estimators.parameters import invert, is_by_alpha
from fastlin.estimators.scikit_learn import NotebookDisplay
from fastlin.extras import find_missing
from fastlin.fitted import read_count
from fastlin.terminal import make_printable
from fastlin.typing import MatrixLike

if TYPE_CHECKING:
    from fastlin.inference.tables import Summary

# Of scikit-learn 1.10.
NEWER_SOLVERS = "newton-cd", "newton-cd-gram"
# What models of both have, apart from their parameters.
OF_EVERY_MODEL = "classes_", "n_features_in_", "feature_names_in_", "n_iter_"
OF_PATHS = "C_", "alpha_", "l1_ratio_", "Cs_", "alphas_", "l1_ratios_", "scores_", "coefs_paths_"
OF_LINEAR_MODELS = *OF_EVERY_MODEL, "coef_", "intercept_", *OF_PATHS
CURVES = "loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"
OF_NETWORKS = *OF_EVERY_MODEL, "coefs_", "intercepts_", "n_layers_", "n_outputs_", "out_activation_", "t_", *CURVES


class FitSummary(NotebookDisplay):
    """The method `summary`, and the display in notebooks, of an estimator that has `_describe_result`."""

    fit_seconds_: float

    def summary(
        self,
        X: MatrixLike | None = None,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> Summary:
        """Return the data, how the fit ended, and what it found, a line for each.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or None
            Rows whose accuracy is shown too; None leaves it out, since a fit keeps no rows.
        y : array-like of shape (n_samples,), or None
            Their labels.
        sample_weight : array-like of shape (n_samples,), or None
            Their weights; None means ones.
        offset : array-like or None
            What is added to their scores, where `score` takes it.

        Returns
        -------
        str
            Plain text, which an interactive session shows as it is and a notebook as a table.
        """
        from fastlin.inference.tables import Summary

        given = {} if offset is None else {"offset": offset}
        lines = describe_fit(self, X, y, sample_weight, **given)
        return Summary("\n".join(lay_out(lines)), _write_table(lines))

    def _display_fit(self):
        """Return the lines as a table in HTML and, where Matplotlib is installed, a picture; nothing before a fit."""
        if not hasattr(self, "classes_"):
            return ""
        lines = describe_fit(self)
        # It stands above.
        del lines["model"]
        return f'<div style="margin-top:0.5em">{_write_table(lines)}{self._draw_fit()}</div>'

    def _draw_fit(self):
        if "matplotlib" in find_missing("studies"):
            return ""
        from fastlin.figures.fitted_models import plot_fit
        from fastlin.figures.style import embed

        try:
            source = embed(lambda axes: plot_fit(self, axes), 6, 3.4)
        except ValueError:
            # Some fits leave nothing to draw, such as those without an iteration.
            return ""
        return f'<img alt="how the fit went" style="max-width:100%" src="{source}">'


def describe_fit(
    estimator: Any, X: Any = None, y: Any = None, sample_weight: Any = None, **given: Any
) -> dict[str, str]:
    """Return what `FitSummary.summary` says of a fitted estimator as texts by their names; given may be an offset."""
    check_is_fitted(estimator)
    lines = {"model": " ".join(repr(estimator).split()), **estimator._describe_result()}
    # A model that was made from scikit-learn's has no fit.
    if hasattr(estimator, "fit_seconds_"):
        lines["seconds"] = f"{estimator.fit_seconds_:.3g}"
    if X is not None:
        rows: Any = X
        n_rows = rows.shape[0] if hasattr(rows, "shape") else len(rows)
        # A collection of Dask may not know how many it has.
        on = f" on {n_rows:,} rows" if isinstance(n_rows, int) else ""
        measure = getattr(estimator, "_measure_accuracy", estimator.score)
        lines["accuracy"] = f"{measure(X, y, sample_weight, **given):.4f}{on}"
    return lines


def lay_out(lines: Mapping[str, str]) -> Iterator[str]:
    """Yield the names and texts of a dict as lines of two columns, which a terminal can show."""
    width = max(map(len, lines))
    return (f"{name:<{width}}  {make_printable(text)}" for name, text in lines.items())


def _write_table(lines):
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in lines.items()
    )
    return f"<table>{cells}</table>"


def describe_data(estimator: Any) -> str:
    """Return a line on the data that a model was fitted to."""
    n_samples = getattr(estimator, "n_samples_fit_", None)
    rows = "" if n_samples is None else f"{n_samples:,} rows, "
    n_features = read_count("n_features_in_", estimator.n_features_in_)
    if has_several_labels(estimator):
        return f"{rows}{n_features:,} features, {len(estimator.classes_):,} labels"
    return f"{rows}{n_features:,} features, {len(read_classes(estimator)):,} classes"


def describe_end(estimator: Any, n_iter: int) -> dict[str, str]:
    """Return lines on how the fit of a model with one label a row ended, after some iterations."""
    # One of many fits, or one without an iteration, has no history.
    lines, gap, history = {}, 0.0, getattr(estimator, "history_", None)
    if history:
        objective = history[-1].objective
        gap = estimator.certificate_ / objective if objective > 0 else np.inf
        certified = "without a bound on the distance from its minimum"
        if gap < np.inf:
            certified = f"proven within {gap:.1e} of its minimum, relative to it"
        lines["objective"] = f"{objective:.9g}, {certified}"
    # Other solvers ask for a small gradient, whatever the gap.
    is_floor = estimator.solver == "auto" and estimator.tol < gap < np.inf
    floor = f" as far as {estimator.coef_.dtype} allows" if is_floor else ""
    # The last iteration knows nothing of the type of the coefficients.
    is_rounded = floor and history and history[-1].bound < 0.5 * estimator.certificate_
    floor += "; X in float64 allows more" if is_rounded else ""
    lines["tol"] = f"{estimator.tol:g}, reached{floor}" if estimator.converged_ else f"{estimator.tol:g}, not reached"
    passes = f", {estimator.n_passes_:.1f} passes over the data" if hasattr(estimator, "n_passes_") else ""
    lines["iterations"] = f"{n_iter:,}{passes}"
    return lines


def describe_coef(estimator: Any) -> str:
    """Return a line on how many coefficients of a linear model are not zero, and of how many features."""
    _, coef, _ = check_coefficients(estimator)
    n_features = np.count_nonzero(np.asarray(abs(coef).sum(axis=0)))
    n_nonzero = coef.nnz if hasattr(coef, "nnz") else np.count_nonzero(coef)
    return f"{n_nonzero:,} of {np.prod(coef.shape):,} not zero, of {n_features:,} features"


def copy_linear_model(model: Any, made_class: type[Any]) -> Any:
    """Return a fitted linear model of the other package's class, with the parameters and attributes that both have."""
    made = copy_model(model, made_class, OF_LINEAR_MODELS)
    check_coefficients(model, classes=read_classes(model))
    if not (hasattr(made, "alpha") or hasattr(made, "alphas")):
        # A version before 1.10, where any other solver finds the same minimum.
        if is_by_alpha(model):
            made.set_params(**_translate_alpha(model))
        if model.solver in NEWER_SOLVERS:
            made.solver = made_class().solver
    return made


def _translate_alpha(model):
    """Return C of a model by alpha as if all its rows weighed 1, or the Cs of its folds, by their names."""
    return {"Cs": model.Cs_.copy()} if hasattr(model, "Cs_") else {"C": invert(model.alpha) / model.n_samples_fit_}


def make_linear_model(model: Any) -> Any:
    """Return scikit-learn's fitted LogisticRegression with a linear model's coefficients and fit_intercept."""
    check_is_fitted(model)
    check_coefficients(model)
    made = linear_model.LogisticRegression(fit_intercept=model.fit_intercept)
    _copy_attributes(model, made, OF_LINEAR_MODELS)
    made.n_iter_ = np.atleast_1d(np.int32(model.n_iter_))
    return made


def _differs(value, default):
    """Say whether a parameter is not its default, which may mean the same by another value in another version."""
    is_plain = value is None or isinstance(value, (str, int, float, tuple))
    return value is not default and not (is_plain and type(value) is type(default) and value == default)


def copy_model(model: Any, made_class: type[Any], names: Iterable[str]) -> Any:
    """Return a model of the other package's class of the same name, with the parameters that both have.

    It gets copies of the attributes of these names.

    Raises
    ------
    TypeError
        The model is of another class.
    """
    if made_class.__name__ not in {each.__name__ for each in type(model).__mro__}:
        raise TypeError(f"the model must be a fitted {made_class.__name__}, got {type(model).__name__}")
    check_is_fitted(model)
    known, defaults = made_class().get_params(), type(model)().get_params()
    given = model.get_params(deep=False).items()
    # scikit-learn's LogisticRegressionCV knows no validation set, and the last fit was of X as by default.
    given = [(name, value) for name, value in given if (name, value) != ("refit", "train")]
    made = made_class(**{name: value for name, value in given if name in known and _differs(value, defaults[name])})
    _copy_attributes(model, made, names)
    return made


def _copy_attributes(model, made, names):
    for name in names:
        if hasattr(model, name):
            setattr(made, name, deepcopy(getattr(model, name)))
