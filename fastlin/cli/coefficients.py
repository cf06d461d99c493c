"""The coefficients of a fit to a table: standardized coefficients and odds ratios, printed and as a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastlin.cli.data_files import write_table
from fastlin.environment.terminal import make_printable
from fastlin.estimators.columns import name_coefficients
from fastlin.typing import Array, FloatArray

MAX_PRINTED_COEFFICIENTS = 10
MAX_LINE_WIDTH = 80
MIN_CELL_WIDTH = 11
HEADERS = {
    "coef": "coef",
    "standardized_coef": "standardized",
    "odds_ratio": "odds ratio",
    "odds_ratio_lower": "2.5%",
    "odds_ratio_upper": "97.5%",
}


def compute_column_std(table: Any, categories: Mapping[str, Array | None]) -> FloatArray:
    """Return the standard deviation of each column of `coef_` over the rows of a pyarrow.Table.

    `categories` maps each feature to its categories, or to None if the feature is numeric. The column of a category is
    its indicator.
    """
    import pyarrow as pa
    import pyarrow.compute as compute

    std: list[Array] = []
    for seen_values, values in zip(categories.values(), table.columns, strict=True):
        if seen_values is None:
            std.append(np.array([compute.stddev(values.cast(pa.float64(), safe=False)).as_py()]))
            continue
        counts = {entry["values"]: entry["counts"] for entry in values.value_counts().to_pylist()}
        # The category of missing strings is NaN.
        keys = (category if isinstance(category, str) else None for category in seen_values)
        fractions = np.array([counts.get(key, 0) for key in keys]) / len(values)
        std.append(np.sqrt(fractions * (1 - fractions)))
    return np.concatenate(std)


def tabulate_coefficients(model: Any, column_std: FloatArray, inference: Any = None) -> dict[str, Array]:
    """Return the table of coefficients as a dict of columns, with the intercept last in each class.

    With an `inference`, coefficients are its estimates, and the table has standard errors, tests and 95 % intervals.
    Otherwise the coefficients are those of the model, which have no standard errors. A coefficient times the standard
    deviation of its column is the standardized coefficient, which is NaN for the intercept.
    """
    names = [*name_coefficients(model), None]
    coef, classes = np.column_stack([model.coef_, model.intercept_]), model.classes_[-len(model.coef_) :]
    std_by_name = dict(zip(map(_make_key, names), [*column_std, np.nan], strict=True))
    if inference is not None:
        coef, names, classes = inference.coef, inference.names, inference.classes
    std = np.array([std_by_name.get(_make_key(name), np.nan) for name in names])
    columns = {
        "class": np.repeat(classes.astype(str), len(names)),
        "feature": np.tile(np.array(["intercept" if name is None else str(name) for name in names], object), len(coef)),
        "coef": coef,
        "standardized_coef": coef * std,
    }
    # Softmax coefficients with an L1 penalty need not sum to zero over the classes.
    log_odds = coef - coef.mean(axis=0) if inference is None and len(coef) > 1 else coef
    with np.errstate(over="ignore"):
        columns["odds_ratio"] = np.exp(log_odds)
        if inference is not None:
            limits = inference.conf_int(0.95)
            columns |= {"odds_ratio_lower": np.exp(limits[..., 0]), "odds_ratio_upper": np.exp(limits[..., 1])}
            columns |= {"std_error": inference.std_errors, "z": inference.z, "p_value": inference.p_values}
            columns |= {"lower": limits[..., 0], "upper": limits[..., 1]}
    return {name: values.ravel() for name, values in columns.items()}


def write_coefficients(name: str, columns: Mapping[str, Array]) -> None:
    """Write a table of coefficients as CSV or Parquet; NaN becomes a missing value."""
    objects = {key: values.astype(object) for key, values in columns.items()}
    for values in objects.values():
        values[values != values] = None
    write_table(name, objects)


def format_coefficients(columns: Mapping[str, Array], model_classes: Array, inference: Any = None) -> Iterator[str]:
    """Yield lines with the largest standardized coefficients, and the meaning of the columns.

    `model_classes` are the classes of the model whose coefficients, or those of its `inference`, `columns` contains.
    """
    standardized = np.abs(columns["standardized_coef"])
    n_coefficients = np.count_nonzero(~np.isnan(standardized))
    indices = np.argsort(-np.nan_to_num(standardized, nan=-1), kind="stable")[:n_coefficients]
    indices, classes = indices[:MAX_PRINTED_COEFFICIENTS], np.unique(columns["class"])
    names = [make_printable(columns["feature"][i]) for i in indices]
    if len(classes) > 1:
        names = [f"{make_printable(columns['class'][i])}: {name}" for i, name in zip(indices, names, strict=True)]
    keys = [key for key in HEADERS if key in columns]
    title = f"{len(indices)} of {n_coefficients:,} coefficients"
    widths = {key: max(MIN_CELL_WIDTH, len(HEADERS[key]) + 1) for key in keys}
    name_width = min(max(map(len, [title, *names])), MAX_LINE_WIDTH - sum(widths.values()))
    yield f"{title:<{name_width}}" + "".join(f"{HEADERS[key]:>{widths[key]}}" for key in keys)
    for i, name in zip(indices, names, strict=True):
        short_name = name if len(name) <= name_width else f"{name[: name_width - 1]}…"
        cells = (f"{columns[key][i]:>#{widths[key]}.4g}" for key in keys)
        yield f"{short_name:<{name_width}}" + "".join(cells)
    reference = (
        "the geometric mean of the classes" if inference is None or inference.is_symmetric else inference.reference
    )
    odds = f"class vs {reference}" if len(classes) > 1 else f"{model_classes[1]} vs {model_classes[0]}"
    yield f"odds ratio: {make_printable(odds)}, per unit of the column"
    yield "standardized: coef times the standard deviation of its column (training rows)"


def _make_key(name):
    """Return a key that differs for a column and a category with the same name; None is the intercept."""
    return str(name), getattr(name, "column", None), repr(getattr(name, "category", None))
