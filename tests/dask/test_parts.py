"""Partitions as parts: what is read, described, compared and encoded, and their labels and folds together."""

from dataclasses import replace

import numpy as np
import pandas
import pytest
from dask.sizeof import sizeof
from scipy import sparse

from fastlin.dask.parts import Description, LabelTable, decode, describe, encode
from fastlin.dask.shard import Shard
from fastlin.exceptions import DataChangedError

X, Y, CLASSES = np.arange(6.0).reshape(3, 2), np.array([4, 1, 4]), np.array([1, 4])
ROWS = sparse.csr_array(X)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"X": np.array([["a", "b"]] * 3)}, "Partition 7 of X is a 2-D ndarray of <U1"),
        ({"X": np.array([1.0, 2.0, 3.0])}, "Partition 7 of X is a 1-D ndarray"),
        ({"X": np.where(X == 3, np.nan, X)}, "Partition 7 of X contains NaN"),
        ({"X": sparse.csr_array(np.where(X == 3, np.inf, X))}, "Partition 7 of X contains infinity"),
        ({"y": Y[:2]}, "Partition 7 of y: .* y has 2 entries, but X has 3 rows"),
        ({"y": np.array([1.0, np.nan, 2.0])}, "Partition 7 of y: Input y contains NaN"),
        ({"y": np.array([1.0, 2.5, 2.0])}, "Partition 7 of y: Unknown label type: continuous"),
        ({"y": np.array([0.5, 1, 0], object)}, "Partition 7 of y: Unknown label type: continuous"),
        ({"sample_weight": np.ones(4)}, r"Partition 7 of sample_weight: .*\(4,\), expected \(3,\)"),
        ({"sample_weight": np.array([1, np.inf, 1])}, "Partition 7 of sample_weight: .* contains infinity"),
        ({"sample_weight": np.array([1, None, 1], object)}, "Partition 7 of sample_weight: .* contains NaN"),
        ({"sample_weight": np.array([1, -1.0, 1])}, "Partition 7 of sample_weight: Negative values"),
    ],
)
def test_what_a_fit_does_not_take_is_refused_with_the_name_of_the_partition(wrong, message):
    with pytest.raises(ValueError, match=message):
        decode(**{"X": X, "y": Y, "sample_weight": None, **wrong}, name="Partition 7")


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_broken_sparse_partitions_are_refused_before_they_are_converted(form):
    broken = sparse.csr_array(X).asformat(form)
    indices = broken.row if form == "coo" else broken.indices
    indices[1] = 100_000_000
    with pytest.raises(ValueError, match=f"Partition 7 of X is a broken {form.upper()} matrix"):
        decode(broken, Y, None, "Partition 7")


@pytest.mark.parametrize("missing", [None, np.nan, pandas.NA, pandas.NaT])
def test_missing_labels_are_named(missing):
    for labels in (["a", missing, "b"], [1, missing, 0]):
        with pytest.raises(ValueError, match="Partition 7 of y contains NaN, or None"):
            decode(X, np.array(labels, object), None, "Partition 7")


def test_types_are_those_of_fits_and_rows_are_not_copied_for_them():
    for labels, kind in (([1, 0, 1], "i"), ([True, False, True], "b"), (["1", "0", "1"], "O")):
        assert decode(X, np.array(labels, object), None, "").classes.dtype.kind == kind
    assert decode(X.astype(np.int64), Y, None, "").X.dtype == np.float64
    assert decode(np.empty((0, 2), object), Y[:0], None, "").X.shape == (0, 2)
    part = decode(X, Y[:, None], None, "")
    assert part.X is X
    assert part.labels.shape == (3,)
    encoded = encode(part, X.dtype, CLASSES, None, Description.of(part))
    assert encoded.X is X
    np.testing.assert_array_equal(encoded.labels, [1, 0, 1])
    assert encoded.labels.dtype == np.int32
    assert encoded.folds is None
    assert encode(part, np.dtype("f4"), CLASSES, None, Description.of(part)).X.dtype == np.float32


def test_a_description_tells_of_entries_and_the_scheduler_learns_how_large_a_partition_is():
    known, _ = describe(decode(sparse.csr_array([[0.0, 0], [1, 0], [1, 1]]), Y, np.array([0.5, 1, 3]), "p"))
    assert (known.name, known.shape, known.is_sparse, known.n_entries, known.longest_row) == ("p", (3, 2), True, 3, 2)
    large, row_numbers = np.zeros((1000, 50)), np.zeros(1000, int)
    for data in (large, sparse.csr_array(large + 1)):
        part = decode(data, row_numbers, np.ones(1000), "")
        assert sizeof(part) > 400_000
        assert sizeof(encode(part, part.X.dtype, np.zeros(1), None, Description.of(part))) > 400_000


@pytest.mark.parametrize("make", [np.int64, np.str_, np.object_])
@pytest.mark.parametrize("seed", [1, 3, 7])
def test_tables_of_labels_are_those_of_the_rows_together(make, seed):
    generator = np.random.default_rng(seed)
    # Some labels begin late, and one partition is empty.
    labels = np.concatenate([generator.integers(3, 5, 10), generator.integers(0, 9, 40)]).astype(make)
    weights, borders = generator.uniform(size=50), [5, 5, 20, 26, 33, 41]
    pieces = zip(*(np.split(each, borders) for each in (np.zeros((50, 1)), labels, weights)), strict=True)
    tables = [describe(decode(*piece, ""))[1] for piece in pieces]
    table = LabelTable.join(tables)
    classes, numbers = np.unique(labels, return_inverse=True)
    np.testing.assert_array_equal(table.classes, classes)
    np.testing.assert_allclose(table.unit * table.weights, np.bincount(numbers, weights), rtol=1e-14)
    assert table.largest == weights.max()


def test_labels_of_two_kinds_are_refused_with_the_partition():
    with pytest.raises(ValueError, match=r"Partition 2 of y: "):
        decode(X, np.array(["a", 1, "b"], object), None, "Partition 2")
    parts = [decode(X[:n], labels, None, "") for n, labels in ((0, Y[:0]), (3, Y), (3, Y.astype(str)))]
    with pytest.raises(ValueError, match=r"Partition 2 of y has labels of <U.*, but Partition 1 of int64"):
        LabelTable.join([describe(part)[1] for part in parts])


OTHER = r"has other labels, which were \[1, 4\] and are"
CHANGES = {
    "fewer rows": ({"X": ROWS[:2], "labels": Y[:2]}, r"was 3 x 2 float64, .* is 2 x 2 float64"),
    "other type": ({"X": ROWS.astype(np.float32)}, r"was 3 x 2 float64, .* is 3 x 2 float32"),
    "dense": ({"X": X}, r"was 3 x 2 float64, sparse with 5 entries and is 3 x 2 float64, dense now"),
    "a label beyond all": ({"classes": np.array([4, 9])}, rf"{OTHER} \[4, 9\] now"),
    "a label between others": ({"classes": np.array([2, 4])}, rf"{OTHER} \[2, 4\] now"),
    "labels in another order": ({"labels": np.array([0, 1, 1], np.int32)}, rf"{OTHER} \[1, 4\] now"),
    "weights": ({"sample_weight": np.array([1.0, 2, 4])}, "has other weights"),
    "no weights": ({"sample_weight": None}, "has other weights"),
    "rows": ({"X": 2 * ROWS}, "has other rows"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_partition_that_is_computed_again_must_be_what_it_was(change, message):
    part, again = (decode(sparse.csr_array(X), Y, np.array([1.0, 2, 3]), "Partition 7") for _ in range(2))
    known, _ = describe(part)
    np.testing.assert_array_equal(encode(again, X.dtype, CLASSES, None, known).labels, [1, 0, 1])
    with pytest.raises(DataChangedError, match=f"Partition 7 was computed again, .* and {message}"):
        encode(replace(part, **change), X.dtype, CLASSES, None, known)


def test_a_row_counts_its_weight_times_that_of_its_class_unless_its_fold_is_left_out():
    labels, sample_weight = np.array([0, 1, 1, 0]), np.array([1.0, 2.0, 0.0, 4.0])
    folds = np.array([0, 0, 1, 1])

    def weigh(given, factors, left_out=None):
        part = decode(np.zeros((4, 1)), labels, given, "")
        part = encode(part, part.X.dtype, np.arange(2), factors, Description.of(part), folds)
        return Shard({0: part}, 1, n_threads=1)._sample(0, left_out).weights

    factors = np.array([1.0, 10.0])
    assert not len(weigh(None, None))
    np.testing.assert_array_equal(weigh(None, factors), [1, 10, 10, 1])
    np.testing.assert_array_equal(weigh(sample_weight, factors), [1, 20, 0, 4])
    np.testing.assert_array_equal(weigh(None, None, left_out=0), [0, 0, 1, 1])
    np.testing.assert_array_equal(weigh(sample_weight, factors, left_out=1), [1, 20, 0, 0])
