"""The table of an `Inference`, as a frame of pandas or as columns, and its summary, as text and in HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastlin.coefficient_names import MAX_SHOWN
from fastlin.interruption import import_uninterrupted
from fastlin.typing import Array, FloatArray

if TYPE_CHECKING:
    from fastlin.inference.inference import Inference
    from fastlin.inference.marginal_effects import MarginalEffects

KINDS = {
    "model": "of the model",
    "HC0": "robust (HC0)",
    "HC1": "robust (HC1)",
    "cluster": "robust, by clusters",
}
PENALTIES = {
    "laplace": "Bayesian: the penalty is the prior (Laplace's approximation)",
    "firth": "Firth's penalized likelihood, whose profile gives p and intervals",
    "sandwich": "of the penalized estimates, which are biased towards zero",
}


class Text(str):
    """A text that notebooks show as the table ``html``."""

    html: str

    # Copies are made of the text alone, and get the rest afterwards.
    def __new__(cls, text: str, html: str = "") -> Self:
        """Return the text."""
        made = super().__new__(cls, text)
        made.html = html
        return made

    def __repr__(self) -> str:
        """Return the text without quotes, as an interactive session shows it."""
        return str(self)

    def _repr_html_(self) -> str:
        return self.html


def find_columns(
    found: Inference | MarginalEffects, name: str, estimates: FloatArray, level: float
) -> dict[str, Array]:
    """Return the columns of a table by their names, an entry for each of the estimates, whose name is given."""
    n_rows, p = estimates.shape
    intervals = found.conf_int(level)
    return {
        "class": np.repeat(found.classes, p),
        "feature": np.tile(found.names, n_rows),
        name: estimates.ravel(),
        "std_error": found.std_errors.ravel(),
        "z": found.z.ravel(),
        "p_value": found.p_values.ravel(),
        "lower": intervals[..., 0].ravel(),
        "upper": intervals[..., 1].ravel(),
    }


def index_dataframe(columns: Mapping[str, Array], has_classes: bool = True) -> Any:
    """Return columns as a frame indexed by class, if wanted, and feature; or the columns where there is no pandas."""
    try:
        (pandas,) = import_uninterrupted("pandas")
    except ImportError:
        return dict(columns)
    dataframe = pandas.DataFrame(columns).set_index(["class", "feature"])
    return dataframe if has_classes else dataframe.droplevel("class")


def lay_out_columns(columns: Mapping[str, Array], most: int = 20) -> str:
    """Return arrays by their names as the columns of a table in plain text, of which `most` rows are shown."""
    n = len(next(iter(columns.values())))
    half = most // 2
    shown = range(n) if n <= most else [*range(half), *range(n - half, n)]
    texts = [
        [name, *(f"{values[i]:.4g}" if values.dtype.kind == "f" else str(values[i]) for i in shown)]
        for name, values in columns.items()
    ]
    widths = [max(map(len, column)) for column in texts]
    lines = ["  ".join(map(str.rjust, row, widths)) for row in zip(*texts, strict=True)]
    if n > most:
        lines.insert(1 + half, f"... {n - 2 * half:,} more")
    return "\n".join(lines)


def write_summary(inference: Inference, level: float) -> Text:
    """Return the summary: lines on the fit, and a table with a part for each class."""
    facts, columns = _list_facts(inference), find_columns(inference, "coef", inference.coef, level)
    tails = (f"{100 * (0.5 + side * level):.4g}%" for side in (-0.5, 0.5))
    headers = ["coef", "std error", "z" if inference._basis.df_t is None else "t", "p", *tails]
    names, p = [str(name) for name in inference.names], len(inference.names)
    width, first = max(map(len, facts)), max(12, *map(len, names))
    text = [f"{name:<{width}}  {value}" for name, value in facts.items()]
    html = [_write_row(name, [escape(value)], "left") for name, value in facts.items()]
    html = ["<table>", *html, "</table>", '<table style="margin-top:0.5em">']
    for a, label in enumerate(inference.classes):
        title = _name_contrast(inference, label)
        text += ["", title, " " * first + "".join(f"{head:>12}" for head in headers)]
        html.append(_write_row(title, [f"<b>{head}</b>" for head in headers], "right"))
        for j, name in enumerate(names):
            entries = [columns[key][a * p + j] for key in ("coef", "std_error", "z", "p_value", "lower", "upper")]
            shown = [_show_p(entry) if position == 3 else _show(entry) for position, entry in enumerate(entries)]
            text.append(f"{name:<{first}}" + "".join(f"{entry:>12}" for entry in shown))
            html.append(_write_row(name, map(escape, shown), "right", "normal"))
    return Text("\n".join(text), "<div>" + "".join(html) + "</table></div>")


def _list_facts(inference):
    """Return the lines above the table, texts by their names."""
    basis = inference._basis
    errors = KINDS[basis.covariance]
    if basis.n_clusters:
        errors += f": {', '.join(f'{n:,}' for n in basis.n_clusters)}"
    if basis.penalized:
        errors += f"; {PENALTIES[basis.penalized]}"
    facts = {
        "rows": f"{inference.n_samples:,.10g}",
        "parameters": f"{_count(inference._count_parameters())}, degrees of freedom left {_count(inference.df_resid)}",
        "log-likelihood": f"{inference.log_likelihood:.4f}, of intercepts alone {inference.log_likelihood_null:.4f}",
        "pseudo R2": f"{inference.pseudo_r2:.6f} (McFadden)",
    }
    if np.isfinite(inference.aic):
        facts["AIC, BIC"] = f"{inference.aic:.4f}, {inference.bic:.4f}"
    facts["std errors"] = errors
    if basis.max_inflated is not None:
        name, inflation = basis.max_inflated
        facts["collinearity"] = f"inflates errors up to {inflation:.3g} times, those of {name} most"
    if basis.left_out.references:
        facts["reference levels"] = ", ".join(basis.left_out.references)
    if basis.left_out.unused:
        shown, n_more = basis.left_out.unused[:MAX_SHOWN], len(basis.left_out.unused) - MAX_SHOWN
        more = f" and {n_more:,} more" if n_more > 0 else ""
        facts["left out"] = f"{', '.join(shown)}{more}: levels without rows that have a weight"
    if basis.df_t is not None:
        facts["distribution"] = f"Student's t with {basis.df_t:g} degrees of freedom"
    facts["optimum"] = (
        f"reached within {inference.distance:.1e} standard errors; coef_ of the model lies "
        f"{inference.coef_error:.1e} standard errors from it"
    )
    return facts


def _name_contrast(inference, label):
    if not inference.is_symmetric:
        return f"class {label} against {inference.reference}"
    return f"class {label} against the mean of all classes"


def _write_row(name, cells, align, weight="bold"):
    """Return a row of a table in HTML, whose cells are HTML already."""
    style = f"text-align:{align};padding:0.1em 0.8em;font-variant-numeric:tabular-nums"
    head = f'<th style="text-align:left;padding:0.1em 0.8em;font-weight:{weight}">{escape(name)}</th>'
    return "".join(["<tr>", head, *(f'<td style="{style}">{cell}</td>' for cell in cells), "</tr>"])


def _count(number):
    return f"{round(number, 2):,.12g}"


def _show(number):
    """Return a number in no more than eleven characters."""
    if number == 0 or 1e-3 <= abs(number) < 1e5 or not np.isfinite(number):
        return f"{number:.4f}"
    return f"{number:.3e}"


def _show_p(number):
    return f"{number:.4f}" if number >= 1e-4 or not np.isfinite(number) else "< 0.0001"
