"""Tables of estimates, as pandas DataFrames or dicts of columns, and summaries, as plain text and HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastlin.coefficient_names import MAX_LISTED_NAMES
from fastlin.environment.interruption import import_uninterrupted
from fastlin.typing import Array, FloatArray

if TYPE_CHECKING:
    from fastlin.inference.inference import Inference
    from fastlin.inference.marginal_effects import MarginalEffects

COVARIANCE_LABELS = {
    "model": "model-based",
    "HC0": "robust (HC0)",
    "HC1": "robust (HC1)",
    "cluster": "cluster-robust, clusters",
}
PENALTY_LABELS = {
    "laplace": "posterior (Laplace approximation; the penalty is the prior)",
    "firth": "Firth's penalized likelihood",
    "sandwich": "of the penalized estimates, which are biased towards zero",
}
# The columns that summaries show.
COLUMN_HEADERS = {
    "coef": "coef",
    "std_error": "std error",
    "z": "z",
    "z_wald": "z (Wald)",
    "p_value": "p",
}


class Summary(str):
    """Plain text that notebooks display as ``html``."""

    html: str

    # copy and pickle call this method with only the text, and then set `html`.
    def __new__(cls, text: str, html: str = "") -> Self:
        """Return the summary."""
        summary = super().__new__(cls, text)
        summary.html = html
        return summary

    def __repr__(self) -> str:
        """Return the text without quotes, for interactive sessions."""
        return str(self)

    def _repr_html_(self) -> str:
        return self.html


def tabulate_estimates(
    result: Inference | MarginalEffects, name: str, estimates: FloatArray, level: float
) -> dict[str, Array]:
    """Return a table of estimates as a dict of columns; `name` is the column of the estimates."""
    n_rows, p = estimates.shape
    intervals = result.conf_int(level)
    return {
        "class": np.repeat(result.classes, p),
        "feature": np.tile(result.names, n_rows),
        name: estimates.ravel(),
        "std_error": result.std_errors.ravel(),
        "z" if result._has_wald_p_values else "z_wald": result.z.ravel(),
        "p_value": result.p_values.ravel(),
        "lower": intervals[..., 0].ravel(),
        "upper": intervals[..., 1].ravel(),
    }


def build_dataframe(columns: Mapping[str, Array], has_classes: bool = True) -> Any:
    """Return a DataFrame indexed by class (if `has_classes`) and feature, or `columns` if pandas is not installed."""
    try:
        (pandas,) = import_uninterrupted("pandas")
    except ImportError:
        return dict(columns)
    dataframe = pandas.DataFrame(columns).set_index(["class", "feature"])
    return dataframe if has_classes else dataframe.droplevel("class")


def format_columns(columns: Mapping[str, Array], max_rows: int = 20) -> str:
    """Return a dict of columns as a plain-text table that shows at most `max_rows` rows."""
    n = len(next(iter(columns.values())))
    half = max_rows // 2
    shown = range(n) if n <= max_rows else [*range(half), *range(n - half, n)]
    cells = [
        [name, *(f"{values[i]:.4g}" if values.dtype.kind == "f" else str(values[i]) for i in shown)]
        for name, values in columns.items()
    ]
    widths = [max(map(len, column)) for column in cells]
    lines = ["  ".join(map(str.rjust, row, widths)) for row in zip(*cells, strict=True)]
    if n > max_rows:
        lines.insert(1 + half, f"... {n - 2 * half:,} more")
    return "\n".join(lines)


def write_summary(inference: Inference, level: float) -> Summary:
    """Return the summary, with facts about the fit and a table of estimates for each class."""
    summary_facts, columns = (
        _list_summary_facts(inference),
        tabulate_estimates(inference, "coef", inference.coef, level),
    )
    keys = list(columns)[2:]
    limits = (f"{100 * (0.5 + side * level):.4g}%" for side in (-0.5, 0.5))
    headers = [*(COLUMN_HEADERS[key] for key in keys[:-2]), *limits]
    if inference._basis.df_t is not None:
        headers[2] = "t"
    if not inference._has_wald_p_values:
        headers[3] = "p (profile)"
    names, p = [str(name) for name in inference.names], len(inference.names)
    width, first = max(map(len, summary_facts)), max(12, *map(len, names))
    text = [f"{name:<{width}}  {value}" for name, value in summary_facts.items()]
    html = [_format_html_row(name, [escape(value)], "left") for name, value in summary_facts.items()]
    html = ["<table>", *html, "</table>", '<table style="margin-top:0.5em">']
    for a, label in enumerate(inference.classes):
        title = _name_contrast(inference, label)
        text += ["", title, " " * first + "".join(f"{header:>12}" for header in headers)]
        html.append(_format_html_row(title, [f"<b>{header}</b>" for header in headers], "right"))
        for j, name in enumerate(names):
            entries = {key: columns[key][a * p + j] for key in keys}
            cells = [
                _format_p_value(entry) if key == "p_value" else _format_number(entry) for key, entry in entries.items()
            ]
            text.append(f"{name:<{first}}" + "".join(f"{cell:>12}" for cell in cells))
            html.append(_format_html_row(name, map(escape, cells), "right", "normal"))
    return Summary("\n".join(text), "<div>" + "".join(html) + "</table></div>")


def _list_summary_facts(inference):
    """Return the facts above the table of estimates, as a dict of strings."""
    basis = inference._basis
    covariance = COVARIANCE_LABELS[basis.covariance]
    if basis.n_clusters:
        covariance += f": {', '.join(f'{n:,}' for n in basis.n_clusters)}"
    if basis.penalized:
        covariance += f"; {PENALTY_LABELS[basis.penalized]}"
    n_parameters, df_resid = _format_count(inference._count_parameters()), _format_count(inference.df_resid)
    summary_facts = {
        "rows": f"{inference.n_samples:,.10g}",
        "parameters": f"{n_parameters}; residual degrees of freedom: {df_resid}",
        "log-likelihood": f"{inference.log_likelihood:.4f}; null model: {inference.log_likelihood_null:.4f}",
        "pseudo R2": f"{inference.pseudo_r2:.6f} (McFadden)",
    }
    if np.isfinite(inference.aic):
        summary_facts["AIC, BIC"] = f"{inference.aic:.4f}, {inference.bic:.4f}"
    summary_facts["std errors"] = covariance
    if not inference._has_wald_p_values:
        summary_facts["p, intervals"] = "profile of the penalized likelihood; z: coef / std error"
    if basis.max_std_error_inflation is not None:
        name, std_error_inflation = basis.max_std_error_inflation
        summary_facts["collinearity"] = f"inflates standard errors up to {std_error_inflation:.3g} times (most: {name})"
    if basis.omitted_categories.reference_categories:
        summary_facts["reference categories"] = ", ".join(basis.omitted_categories.reference_categories)
    if basis.omitted_categories.unused_categories:
        shown, n_unlisted_categories = (
            basis.omitted_categories.unused_categories[:MAX_LISTED_NAMES],
            len(basis.omitted_categories.unused_categories) - MAX_LISTED_NAMES,
        )
        more = f" and {n_unlisted_categories:,} more" if n_unlisted_categories > 0 else ""
        summary_facts["omitted categories"] = f"{', '.join(shown)}{more} (no rows with a positive weight)"
    if basis.df_t is not None:
        summary_facts["distribution"] = f"Student's t with {basis.df_t:g} degrees of freedom"
    summary_facts["accuracy"] = (
        f"estimates within {inference.distance_from_optimum:.1e} standard errors of the optimum, coef_ of the model "
        f"within {inference.coef_error:.1e}"
    )
    return summary_facts


def _name_contrast(inference, label):
    return f"class {label} vs {'the mean of all classes' if inference.is_symmetric else inference.reference}"


def _format_html_row(name, cells, text_align, weight="bold"):
    """Return a row of an HTML table; the cells must already be escaped."""
    style = f"text-align:{text_align};padding:0.1em 0.8em;font-variant-numeric:tabular-nums"
    header = f'<th style="text-align:left;padding:0.1em 0.8em;font-weight:{weight}">{escape(name)}</th>'
    return "".join(["<tr>", header, *(f'<td style="{style}">{cell}</td>' for cell in cells), "</tr>"])


def _format_count(number):
    return f"{round(number, 2):,.12g}"


def _format_number(number):
    """Return a number as a string of at most eleven characters."""
    if number == 0 or 1e-3 <= abs(number) < 1e5 or not np.isfinite(number):
        return f"{number:.4f}"
    return f"{number:.3e}"


def _format_p_value(number):
    return f"{number:.4f}" if number >= 1e-4 or not np.isfinite(number) else "< 0.0001"
