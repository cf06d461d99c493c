"""Parts: partitions are decoded, described, compared and encoded, and their labels are joined."""

from dataclasses import replace

import numpy as np
import pandas
import pytest
from conftest import assert_raises
from dask.sizeof import sizeof
from scipy import sparse

from fastlin.dask.partitions import _join
from fastlin.dask.parts import decode_partition, describe, describe_and_read_arrays, encode_partition
from fastlin.exceptions import DataChangedError

X, Y = np.arange(6.0).reshape(3, 2), np.array([4, 1, 4])
ROWS = sparse.csr_array(X)
OTHER_LABELS_MESSAGE = r"has different labels: \[1, 4\] before, and"
CHANGES = {
    "fewer rows": ({"X": ROWS[:2], "y": Y[:2]}, r"was 3 x 2 float64, .* is 2 x 2 float64"),
    "other type": ({"X": ROWS.astype(np.float32)}, r"was 3 x 2 float64, .* is 3 x 2 float32"),
    "dense": ({"X": X}, r"was 3 x 2 float64, sparse with 5 entries and is 3 x 2 float64, dense now"),
    "a label beyond all": (
        {"y": np.array([4, 9, 4]), "classes": np.array([4, 9])},
        rf"{OTHER_LABELS_MESSAGE} \[4, 9\] now",
    ),
    "a label between others": (
        {"y": np.array([4, 2, 4]), "classes": np.array([2, 4])},
        rf"{OTHER_LABELS_MESSAGE} \[2, 4\] now",
    ),
    "labels in another order": ({"y": np.array([1, 4, 4])}, rf"{OTHER_LABELS_MESSAGE} \[1, 4\] now"),
    "weights": ({"sample_weight": np.array([1.0, 2, 4])}, "has different weights"),
    "no weights": ({"sample_weight": None}, "has different weights"),
    "rows": ({"X": 2 * ROWS}, "has different rows"),
}


def make_invalid_indices(form):
    broken = ROWS.copy().asformat(form)
    (broken.row if form == "coo" else broken.indices)[1] = 100_000_000
    return broken


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"X": np.array([["a", "b"]] * 3)}, "Partition 7 of X is a 2-D ndarray of <U1"),
        ({"X": np.array([1.0, 2.0, 3.0])}, "Partition 7 of X is a 1-D ndarray"),
        ({"X": np.where(X == 3, np.nan, X)}, "Partition 7 of X contains NaN"),
        ({"X": sparse.csr_array(np.where(X == 3, np.inf, X))}, "Partition 7 of X contains infinity"),
        *(
            ({"X": make_invalid_indices(form)}, f"7 of X is an invalid {form.upper()} matrix")
            for form in ("csr", "csc", "coo")
        ),
        *(
            ({"y": np.array(labels, object)}, "Partition 7 of y: it has missing labels [(]NaN or None[)]")
            for missing in (None, np.nan, pandas.NA, pandas.NaT)
            for labels in (["a", missing, "b"], [1, missing, 0])
        ),
        ({"y": Y[:2]}, "Partition 7 of y: .* y has 2 entries, but X has 3 rows"),
        ({"y": np.array([1.0, np.nan, 2.0])}, "Partition 7 of y: Input y contains NaN"),
        ({"y": np.array([1.0, 2.5, 2.0])}, "Partition 7 of y: Unknown label type: continuous"),
        ({"y": np.array([0.5, 1, 0], object)}, "Partition 7 of y: Unknown label type: continuous"),
        ({"sample_weight": np.ones(4)}, r"Partition 7 of sample_weight: .*shape == \(4,\), expected \(3,\)"),
        ({"sample_weight": np.array([1, np.inf, 1])}, "Partition 7 of sample_weight: .* contains infinity"),
        ({"sample_weight": np.array([1, None, 1], object)}, "Partition 7 of sample_weight: .* contains NaN"),
        ({"sample_weight": np.array([1, -1.0, 1])}, "Partition 7 of sample_weight: Negative values"),
    ],
)
def test_the_error_names_a_partition_with_invalid_data(wrong, message):
    assert_raises(message, decode_partition, name="Partition 7", **{"X": X, "y": Y, "sample_weight": None, **wrong})


def test_supported_dtypes_are_not_copied():
    for labels, kind in (([1, 0, 1], "i"), ([True, False, True], "b"), (["1", "0", "1"], "O")):
        assert decode_partition(X, np.array(labels, object), None, "").classes.dtype.kind == kind
    assert decode_partition(X.astype(np.int64), Y, None, "").X.dtype == np.float64
    assert decode_partition(np.empty((0, 2), object), Y[:0], None, "").X.shape == (0, 2)
    part = decode_partition(X, Y[:, None], None, "")
    assert part.X is X
    np.testing.assert_array_equal(part.y, Y)
    encoded = encode_partition(part, X.dtype, describe(part))
    assert encoded.X is X
    assert encoded.y is None
    assert encode_partition(part, np.dtype("f4"), describe(part)).X.dtype == np.float32


def test_descriptions_count_the_entries_of_a_partition():
    description, *arrays = describe_and_read_arrays(
        decode_partition(sparse.csr_array([[0.0, 0], [1, 0], [1, 1]]), Y, np.array([0.5, 1, 3]), "p")
    )
    np.testing.assert_array_equal(arrays[:2], [Y, [0.5, 1, 3]])
    assert arrays[2] is None
    assert (
        description.name,
        description.shape,
        description.is_sparse,
        description.n_entries,
        description.longest_row,
    ) == ("p", (3, 2), True, 3, 2)
    large, labels = np.zeros((1000, 50)), np.zeros(1000, int)
    for data in (large, sparse.csr_array(large + 1)):
        part = decode_partition(data, labels, np.ones(1000), "")
        assert sizeof(part) > 400_000
        assert sizeof(encode_partition(part, part.X.dtype, describe(part))) > 400_000


def test_the_error_names_a_partition_with_another_kind_of_labels():
    labels = np.array(["a", 1, "b"], object)
    message = "Partition 2 of y: Unknown label type: y is .* with strings such as 'a' and numbers such as 1"
    assert_raises(message, decode_partition, X, labels, None, "Partition 2")
    message = r"Partition 2 of y has dtype <U.*, but Partition 1 has int64"
    assert_raises(message, _join, "y", [Y[:0].astype(str), Y, Y.astype(str)])
    assert _join("y", [Y[:0].astype(str), Y]).dtype == Y.dtype
    strings = Y.astype(str)
    assert _join("y", [strings, strings.astype(object)]).tolist() == 2 * strings.tolist()


@pytest.mark.parametrize(
    ("name", "pieces", "message"),
    [
        ("y", [Y, Y.astype("M8[D]")], r"has dtype datetime64\[D\] .*, but .* has int64 and .* Labels must be"),
        ("y", [Y.astype(str), Y.astype("M8[D]")], r"has dtype datetime64\[D\] and .*, but .* has <U"),
        ("y", [Y, X], r"has dtype float64 and shape \(3, 2\), but .* has int64 and \(3,\)\. Labels must be .* soft"),
        ("y", [X[:, [0, 1, 1]], X], r"has dtype float64 and shape \(3, 2\), but .* has float64 and \(3, 3\)"),
        ("offset", [X[:, :1], X], r"has dtype float64 and shape \(3, 2\), but .* and \(3, 1\)\. Labels must be"),
    ],
)
def test_the_error_names_incompatible_partitions(name, pieces, message):
    assert_raises(f"Partition 1 of {name} {message}", _join, name, pieces)


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_partition_that_is_computed_again_must_not_change(change, message):
    part, again = (decode_partition(sparse.csr_array(X), Y, np.array([1.0, 2, 3]), "Partition 7") for _ in range(2))
    description = describe(part)
    np.testing.assert_array_equal(encode_partition(again, X.dtype, description).X.toarray(), X)
    with pytest.raises(DataChangedError, match=f"Partition 7 was computed again, .* and {message}"):
        encode_partition(replace(part, **change), X.dtype, description)
