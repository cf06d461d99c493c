"""Tables of estimates in plain text."""

import numpy as np

from fastlin.inference.tables import lay_out_columns


def test_a_long_table_is_shown_without_its_middle():
    columns = {"C": np.logspace(-2, 3, 6), "name": np.array([*"abcde", "f"])}
    assert lay_out_columns(columns, most=4).splitlines() == [
        "   C  name",
        "0.01     a",
        " 0.1     b",
        "... 2 more",
        " 100     e",
        "1000     f",
    ]
    assert len(lay_out_columns(columns).splitlines()) == 7
