"""The summary of a fitted estimator, as text and in notebooks, and the conversion of models to and from scikit-learn.

The estimators inherit `FitSummary` and provide `_describe_result`, which returns the lines that are specific to their
fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn import linear_model
from sklearn.utils.validation import check_is_fitted

from fastlin.containers.fitted import validate_count
from fastlin.environment.extras import find_missing_packages
from fastlin.environment.terminal import make_printable
from fastlin.estimators.linear_predictions import check_coefficients, is_multilabel, validate_classes
from fastlin.estimators.parameters import invert_alpha, uses_alpha
from fastlin.estimators.scikit_learn import NotebookDisplay
from fastlin.typing import MatrixLike

if TYPE_CHECKING:
    from fastlin.inference.tables import Summary

# Solvers that are new in scikit-learn 1.10.
NEW_SCIKIT_LEARN_SOLVERS = "newton-cd", "newton-cd-gram"
# Fitted attributes of the classes of both packages.
SHARED_FITTED_ATTRIBUTES = "classes_", "n_features_in_", "feature_names_in_", "n_iter_"
PATH_ATTRIBUTES = "C_", "alpha_", "l1_ratio_", "Cs_", "alphas_", "l1_ratios_", "scores_", "coefs_paths_"
LINEAR_MODEL_ATTRIBUTES = *SHARED_FITTED_ATTRIBUTES, "coef_", "intercept_", *PATH_ATTRIBUTES
CURVE_ATTRIBUTES = "loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"
NETWORK_ATTRIBUTES = (
    *SHARED_FITTED_ATTRIBUTES,
    "coefs_",
    "intercepts_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "t_",
    *CURVE_ATTRIBUTES,
)


class FitSummary(NotebookDisplay):
    """Mixin with the method `summary` and the notebook display, for estimators that implement `_describe_result`."""

    fit_seconds_: float

    def summary(
        self,
        X: MatrixLike | None = None,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> Summary:
        """Return a summary of the fit: the data, the objective, the convergence and the coefficients.

        For `LogisticRegression` and `LogisticRegressionCV` the line "duality gap" reports `certificate_`, the certified
        upper bound on J - J*, followed by this bound divided by the objective J.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or None
            Rows on which the accuracy is computed. With None, the accuracy is omitted, because a fitted model does not
            store its training data.
        y : array-like of shape (n_samples,), or None
            Labels of the rows of X.
        sample_weight : array-like of shape (n_samples,), or None
            Weights of the rows of X. None means that all weights are one.
        offset : array-like or None
            Offsets of the rows of X, for estimators whose `score` accepts them.

        Returns
        -------
        str
            The summary. Interactive sessions show it as plain text, and notebooks show a table.
        """
        from fastlin.inference.tables import Summary

        options = {} if offset is None else {"offset": offset}
        lines = describe_fit(self, X, y, sample_weight, **options)
        return Summary("\n".join(format_lines(lines)), _format_html_table(lines))

    def _make_fit_html(self):
        """Return the summary as an HTML table, with a plot if Matplotlib is installed; "" before a fit."""
        if not hasattr(self, "classes_"):
            return ""
        lines = describe_fit(self)
        # scikit-learn's display already shows the model.
        del lines["model"]
        return f'<div style="margin-top:0.5em">{_format_html_table(lines)}{self._make_plot_html()}</div>'

    def _make_plot_html(self):
        if "matplotlib" in find_missing_packages("studies"):
            return ""
        from fastlin.figures.fitted_models import plot_fit
        from fastlin.figures.style import make_data_url

        try:
            source = make_data_url(lambda axes: plot_fit(self, axes), 6, 3.4)
        except ValueError:
            # Some fits have nothing to plot, for example fits without an iteration.
            return ""
        return f'<img alt="convergence of the fit" style="max-width:100%" src="{source}">'


def describe_fit(
    estimator: Any, X: Any = None, y: Any = None, sample_weight: Any = None, **options: Any
) -> dict[str, str]:
    """Return the lines of `FitSummary.summary` as a dict from names to strings; options may contain an offset."""
    check_is_fitted(estimator)
    lines = {"model": " ".join(repr(estimator).split()), **estimator._describe_result()}
    # A model converted from scikit-learn has no fit time.
    if hasattr(estimator, "fit_seconds_"):
        lines["seconds"] = f"{estimator.fit_seconds_:.3g}"
    if X is not None:
        rows: Any = X
        n_rows = rows.shape[0] if hasattr(rows, "shape") else len(rows)
        # The number of rows of a Dask collection may be unknown.
        row_count_text = f" on {n_rows:,} rows" if isinstance(n_rows, int) else ""
        measure = getattr(estimator, "_measure_accuracy", estimator.score)
        lines["accuracy"] = f"{measure(X, y, sample_weight, **options):.4f}{row_count_text}"
    return lines


def format_lines(lines: Mapping[str, str]) -> Iterator[str]:
    """Yield the items of a dict as lines with two aligned columns of printable characters."""
    width = max(map(len, lines))
    return (f"{name:<{width}}  {make_printable(text)}" for name, text in lines.items())


def _format_html_table(lines):
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in lines.items()
    )
    return f"<table>{cells}</table>"


def describe_data(estimator: Any) -> str:
    """Return a text that describes the size of a model's training data."""
    n_samples = getattr(estimator, "n_samples_fit_", None)
    rows = "" if n_samples is None else f"{n_samples:,} rows, "
    n_features = validate_count("n_features_in_", estimator.n_features_in_)
    if is_multilabel(estimator):
        return f"{rows}{n_features:,} features, {len(estimator.classes_):,} labels"
    return f"{rows}{n_features:,} features, {len(validate_classes(estimator)):,} classes"


def describe_convergence(estimator: Any, n_iter: int) -> dict[str, str]:
    """Return the lines on the objective, duality gap, tol and iterations of a model that is not multilabel."""
    # Batched fits and fits without an iteration have no history.
    lines, relative_gap, history = {}, 0.0, getattr(estimator, "history_", None)
    if history:
        objective, gap = history[-1].objective, estimator.certificate_
        relative_gap = gap / objective if objective > 0 else np.inf
        lines["objective"] = f"{objective:.9g}"
        lines["duality gap"] = f"{gap:.1e} (certificate_), {relative_gap:.1e} relative to the objective"
        if gap == np.inf:
            lines["duality gap"] = "inf (certificate_), no certified bound"
    # With other solvers, tol bounds the gradient, regardless of the gap.
    is_gap_above_tol = estimator.solver == "auto" and estimator.tol < relative_gap < np.inf
    limit = f" up to {estimator.coef_.dtype} rounding error" if is_gap_above_tol else ""
    # The bound of the last iteration does not include the rounding of the coefficients to their dtype.
    is_gap_from_rounding = limit and history and history[-1].bound < 0.5 * estimator.certificate_
    limit += "; convert X to float64 for a smaller gap" if is_gap_from_rounding else ""
    lines["tol"] = f"{estimator.tol:g}, reached{limit}" if estimator.converged_ else f"{estimator.tol:g}, not reached"
    passes = f", {estimator.n_passes_:.1f} passes over the data" if hasattr(estimator, "n_passes_") else ""
    lines["iterations"] = f"{n_iter:,}{passes}"
    return lines


def describe_coef(estimator: Any) -> str:
    """Return the number of nonzero coefficients of a linear model, and the number of features that have one."""
    _, coef, _ = check_coefficients(estimator)
    n_columns = np.count_nonzero(np.asarray(abs(coef).sum(axis=0)))
    n_nonzero = coef.nnz if hasattr(coef, "nnz") else np.count_nonzero(coef)
    # A categorical feature has a column for each of its categories.
    unit = "columns" if hasattr(estimator, "categories_") else "features"
    columns = f"{n_columns:,} of {coef.shape[1]:,} {unit}"
    return f"{n_nonzero:,} of {np.prod(coef.shape):,} nonzero, in {columns}"


def copy_linear_model(model: Any, destination_class: type[Any]) -> Any:
    """Return a fitted linear model of the other package's class, with the common parameters and attributes."""
    model_copy = copy_model(model, destination_class, LINEAR_MODEL_ATTRIBUTES)
    check_coefficients(model, classes=validate_classes(model))
    if not (hasattr(model_copy, "alpha") or hasattr(model_copy, "alphas")):
        # Before scikit-learn 1.10, alpha does not exist. Any other solver finds the same minimum.
        if uses_alpha(model):
            model_copy.set_params(**_convert_alpha_to_C(model))
        if model.solver in NEW_SCIKIT_LEARN_SOLVERS:
            model_copy.solver = destination_class().solver
    return model_copy


def _convert_alpha_to_C(model):
    """Return the parameter C or Cs that is equivalent to alpha or alphas if all rows have weight 1."""
    return (
        {"Cs": model.Cs_.copy()} if hasattr(model, "Cs_") else {"C": invert_alpha(model.alpha) / model.n_samples_fit_}
    )


def make_scikit_learn_model(model: Any) -> Any:
    """Return a fitted scikit-learn LogisticRegression with the coefficients and fit_intercept of a linear model."""
    check_is_fitted(model)
    check_coefficients(model)
    model_copy = linear_model.LogisticRegression(fit_intercept=model.fit_intercept)
    _copy_attributes(model, model_copy, LINEAR_MODEL_ATTRIBUTES)
    model_copy.n_iter_ = np.atleast_1d(np.int32(model.n_iter_))
    return model_copy


def _differs_from_default(value, default):
    """Return whether a parameter differs from its default; defaults may differ between versions."""
    is_plain = value is None or isinstance(value, (str, int, float, tuple))
    return value is not default and not (is_plain and type(value) is type(default) and value == default)


def copy_model(model: Any, destination_class: type[Any], names: Iterable[str]) -> Any:
    """Return a model of the other package's class of the same name, with the common parameters.

    The attributes in `names` are copied to the new model.

    Raises
    ------
    TypeError
        If the model is an instance of another class.
    """
    if destination_class.__name__ not in {base.__name__ for base in type(model).__mro__}:
        raise TypeError(f"the model must be a fitted {destination_class.__name__}, got {type(model).__name__}")
    check_is_fitted(model)
    accepted, default_parameters = destination_class().get_params(), type(model)().get_params()
    parameters = model.get_params(deep=False)
    # scikit-learn's LogisticRegressionCV does not support a validation set and refits to X by default.
    if parameters.get("refit") == "train":
        del parameters["refit"]
    model_copy = destination_class(
        **{
            name: value
            for name, value in parameters.items()
            if name in accepted and _differs_from_default(value, default_parameters[name])
        }
    )
    _copy_attributes(model, model_copy, names)
    return model_copy


def _copy_attributes(model, model_copy, names):
    for name in names:
        if hasattr(model, name):
            setattr(model_copy, name, deepcopy(getattr(model, name)))
