"""The preparation of a table for a model: imputed numbers, indicators of missing numbers, and features of dates.

`fit_preparation` computes it from the training rows. The model file stores it, so that `fastlin predict` prepares other
rows in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastlin.cli.arguments import CommandError
from fastlin.cli.data_files import MAX_LISTED_NAMES, TrainingTable, is_text_type
from fastlin.cli.dates import DateEncoding, make_date_encoding


@dataclass(frozen=True)
class Preparation:
    """How the columns of a file become the features of a model.

    `dates` maps columns of dates to their encodings. `fill_values` maps numeric features to the numbers that replace
    missing values; it is empty without imputation. `indicators` are the features with an indicator of missing values.
    """

    dates: Mapping[str, DateEncoding] = field(default_factory=dict)
    fill_values: Mapping[str, float] = field(default_factory=dict)
    indicators: Collection[str] = ()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preparation:
        """Return the preparation that `dataclasses.asdict` converted to `values`."""
        dates = {str(column): DateEncoding(**encoding) for column, encoding in values["dates"].items()}
        fill_values = {str(name): float(number) for name, number in values["fill_values"].items()}
        return cls(dates, fill_values, tuple(map(str, values["indicators"])))

    def list_columns(self, features: Iterable[str]) -> list[str]:
        """Return the columns of the file that the features of the model require, each once."""
        columns = {f"{column}_{part}": column for column, date in self.dates.items() for part in date.parts}
        indicators = set(map(_name_indicator, self.indicators))
        return list(dict.fromkeys(columns.get(name, name) for name in features if name not in indicators))

    def apply(self, table: Any) -> Any:
        """Return a pyarrow.Table of features for a table whose dates are timestamps."""
        import pyarrow as pa
        import pyarrow.compute as compute

        features: dict[str, Any] = {}
        for name, values in zip(table.column_names, table.columns, strict=True):
            date = self.dates.get(name)
            features |= {f"{name}_{part}": v for part, v in date.encode(values).items()} if date else {name: values}
        indicators = {_name_indicator(name): compute.is_null(features[name]) for name in self.indicators}
        for name, number in self.fill_values.items():
            if features[name].null_count:
                features[name] = compute.fill_null(features[name].cast(pa.float64(), safe=False), number)
        return pa.table(features | indicators)


def fit_preparation(data: TrainingTable, options: SimpleNamespace) -> Preparation:
    """Return the preparation that the options `impute` and `missing_indicators` select for training rows."""
    from sklearn.impute import SimpleImputer

    dates = {name: make_date_encoding(data.table[name], order) for name, order in data.date_orders.items()}
    names = [name for name in data.table.column_names if name not in dates]
    names += [f"{column}_{part}" for column, date in dates.items() for part in date.parts]
    table = Preparation(dates).apply(data.table) if max(Counter(names).values()) == 1 else data.table
    is_number = {name: not is_text_type(table[name].type) and name not in dates for name in table.column_names}
    missing = [name for name in table.column_names if is_number[name] and table[name].null_count]
    indicators = missing if options.missing_indicators else []
    for name, count in Counter([*names, *map(_name_indicator, indicators)]).items():
        if count > 1:
            raise CommandError(
                f"{data.name} has a column {name!r}, which is also the name of a feature of --dates or "
                "--missing-indicators; rename the column"
            )
    fill_values = {}
    if options.impute is not None:
        for name in filter(is_number.get, table.column_names):
            # One column at a time needs no copy of the table.
            numbers = np.asarray(table[name].to_numpy(), float).reshape(-1, 1)
            fill_values[name] = float(SimpleImputer(strategy=options.impute).fit(numbers).statistics_[0])
    return Preparation(dates, fill_values, tuple(indicators))


def describe_preparation(preparation: Preparation, data: TrainingTable) -> dict[str, str]:
    """Return the lines on the imputed columns and on the dates of training rows as a dict."""
    lines, columns = {}, set(data.table.column_names)
    imputed = [name for name in preparation.fill_values if name in columns and data.table[name].null_count]
    if imputed:
        shown = [f"{name} {preparation.fill_values[name]:.6g}" for name in imputed[:MAX_LISTED_NAMES]]
        n_more = len(imputed) - len(shown)
        lines["imputed"] = ", ".join([*shown, *[f"and {n_more:,} more columns"] * (n_more > 0)])
    if preparation.dates:
        dates = (
            f"{name} ({date.order}): days since {date.origin}, {', '.join(date.parts[1:])}"
            for name, date in preparation.dates.items()
        )
        lines["dates"] = "; ".join(dates)
    return lines


def _name_indicator(name):
    # As in scikit-learn's SimpleImputer.
    return f"missingindicator_{name}"
