import itertools
from dataclasses import replace

import numpy as np
import pandas
import pytest
from dask.sizeof import sizeof
from scipy import sparse
from sklearn.model_selection import StratifiedKFold

from fastlin.dask.parts import Description, LabelTable, decode, describe, encode, find_folds, share_folds
from fastlin.dask.shard import Shard
from fastlin.exceptions import DataChangedError

X, Y = np.arange(6.0).reshape(3, 2), np.array([4, 1, 4])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"X": np.array([["a", "b"]] * 3)}, "Partition 7 of X is a 2-D ndarray of <U1"),
        ({"X": np.array([1.0, 2.0, 3.0])}, "Partition 7 of X is a 1-D ndarray"),
        ({"X": X + 0j}, "Partition 7 of X is a 2-D ndarray of complex128"),
        ({"X": np.where(X == 3, np.nan, X)}, "Partition 7 of X contains NaN"),
        ({"X": sparse.csr_array(np.where(X == 3, np.inf, X))}, "Partition 7 of X contains infinity"),
        ({"y": Y[:2]}, r"Partition 7 of y has the shape \(2,\), but X has 3 rows"),
        ({"y": np.array([1.0, np.nan, 2.0])}, "Partition 7 of y contains NaN"),
        ({"y": np.array([1.0, 2.5, 2.0])}, "continuous. Partition 7 of y"),
        ({"sample_weight": np.ones(4)}, "Partition 7 of sample_weight has the shape"),
        ({"sample_weight": np.array([1, np.inf, 1])}, "Partition 7 of sample_weight contains infinity"),
        ({"sample_weight": np.array([1, None, 1], object)}, "Partition 7 of sample_weight contains NaN"),
        ({"sample_weight": np.array(["1", "nan", "1"])}, "Partition 7 of sample_weight contains NaN"),
        ({"sample_weight": np.array([1, -1.0, 1])}, "Negative values in data passed to `sample_weight`: Partition 7"),
    ],
)
def test_what_a_fit_does_not_take_is_refused_with_the_name_of_the_partition(wrong, message):
    given = {"X": X, "y": Y, "sample_weight": None, **wrong}
    with pytest.raises(ValueError, match=message):
        decode(**given, name="Partition 7")


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


def test_labels_that_are_numbers_in_objects_are_numbers():
    assert decode(X, np.array([1, 0, 1], object), None, "").labels.dtype.kind == "i"
    assert decode(X, np.array([True, False, True], object), None, "").labels.dtype == bool
    assert decode(X, np.array(["1", "0", "1"], object), None, "").labels.dtype == object
    with pytest.raises(ValueError, match=r"continuous\. p of y"):
        decode(X, np.array([0.5, 1, 0], object), None, "p")


def test_rows_are_not_copied_where_their_type_is_that_of_fits():
    part = decode(X, Y[:, None], None, "")
    assert part.X is X
    assert part.labels.shape == (3,)
    known = Description.of(part)
    encoded = encode(part, X.dtype, np.array([1, 4]), None, known)
    assert encoded.X is X
    np.testing.assert_array_equal(encoded.labels, [1, 0, 1])
    assert encoded.labels.dtype == np.int32
    assert encoded.folds is None
    assert encode(part, np.dtype("f4"), np.array([1, 4]), None, known).X.dtype == np.float32


def test_other_numbers_become_float64_and_empty_partitions_any_type():
    assert decode(X.astype(np.int64), Y, None, "").X.dtype == np.float64
    assert decode(np.empty((0, 2), object), Y[:0], None, "").X.shape == (0, 2)


def test_the_scheduler_learns_how_large_a_partition_is():
    large, row_numbers = np.zeros((1000, 50)), np.zeros(1000, int)
    for data in (large, sparse.csr_array(large + 1)):
        part = decode(data, row_numbers, np.ones(1000), "")
        assert sizeof(part) > 400_000
        assert sizeof(encode(part, part.X.dtype, np.zeros(1), None, Description.of(part))) > 400_000


def test_a_description_tells_of_labels_weights_and_entries():
    part = decode(sparse.csr_array([[0.0, 0], [1, 0], [1, 1]]), Y, np.array([0.5, 1, 3]), "p")
    known, table = describe(part)
    assert (known.name, known.shape, known.is_sparse, known.n_entries, known.longest_row) == ("p", (3, 2), True, 3, 2)
    assert table.n_rows == 3
    for found, expected in (
        (table.classes, [1, 4]),
        (table.first_rows, [1, 0]),
        (table.counts, [1, 2]),
        (table.unit * table.weights, [1, 3.5]),
        (table.largest, 3),
    ):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"Partition 2 of y has labels of types that cannot be compared"):
        describe(decode(X, np.array(["a", 1, "b"], object), None, "Partition 2"))


@pytest.mark.parametrize("make", [np.int64, str, lambda labels: np.array(labels, object)], ids=["int", "str", "object"])
@pytest.mark.parametrize("seed", [1, 3, 7])
def test_tables_of_labels_are_those_of_the_rows_together(make, seed):
    generator = np.random.default_rng(seed)
    # Some labels begin late, and one partition is empty.
    labels = np.concatenate([generator.integers(3, 5, 10), generator.integers(0, 9, 40)])
    labels = make(labels) if make is not str else labels.astype(str)
    weights, borders = generator.uniform(size=50), [0, 5, 5, 20, 26, 33, 41, 50]
    pairs = [slice(first, last) for first, last in itertools.pairwise(borders)]
    parts = [decode(np.zeros((len(labels[rows]), 1)), labels[rows], weights[rows], "") for rows in pairs]
    tables = [describe(part)[1] for part in parts]
    table = LabelTable.join(tables)
    classes, first_rows, numbers, counts = np.unique(labels, True, True, True)
    assert table.n_rows == 50
    np.testing.assert_array_equal(table.classes, classes)
    np.testing.assert_array_equal(table.first_rows, first_rows)
    np.testing.assert_array_equal(table.counts, counts)
    np.testing.assert_allclose(table.unit * table.weights, np.bincount(numbers, weights), rtol=1e-14)
    assert table.largest == weights.max()
    np.testing.assert_array_equal(sum(each.count_rows(classes) for each in tables), counts)


def test_labels_of_two_kinds_are_refused_with_the_partition():
    parts = [decode(X[:n], labels, None, "") for n, labels in ((0, Y[:0]), (3, Y), (3, Y.astype(str)))]
    with pytest.raises(ValueError, match=r"Partition 2 of y has labels of <U.*, but Partition 1 of int64"):
        LabelTable.join([describe(part)[1] for part in parts])


CHANGES = {
    "fewer rows": (
        lambda part: {"X": part.X[:2], "labels": part.labels[:2]},
        r"was 3 x 2 float64, .* is 2 x 2 float64",
    ),
    "other type": (lambda part: {"X": part.X.astype(np.float32)}, r"was 3 x 2 float64, .* is 3 x 2 float32"),
    "dense": (
        lambda part: {"X": part.X.toarray()},
        r"was 3 x 2 float64, sparse with 5 entries and is 3 x 2 float64, dense now",
    ),
    "a label beyond all": (
        lambda part: {"labels": np.array([4, 9, 4])},
        r"has other labels, which were \[1, 4\] and are \[4, 9\] now",
    ),
    "a label between others": (
        lambda part: {"labels": np.array([4, 2, 4])},
        r"has other labels, which were \[1, 4\] and are \[2, 4\] now",
    ),
    "labels in another order": (
        lambda part: {"labels": np.array([1, 4, 4])},
        r"has other labels, which were \[1, 4\] and are \[1, 4\] now",
    ),
    "weights": (lambda part: {"sample_weight": np.array([1.0, 2, 4])}, "has other weights"),
    "no weights": (lambda part: {"sample_weight": None}, "has other weights"),
    "rows": (lambda part: {"X": 2 * part.X}, "has other rows"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_partition_that_is_computed_again_must_be_what_it_was(change, message):
    part = decode(sparse.csr_array(X), Y, np.array([1.0, 2, 3]), "Partition 7")
    (known, _), classes = describe(part), np.array([1, 4])
    again = decode(sparse.csr_array(X), Y, np.array([1.0, 2, 3]), "Partition 7")
    np.testing.assert_array_equal(encode(again, X.dtype, classes, None, known).labels, [1, 0, 1])
    with pytest.raises(DataChangedError, match=f"Partition 7 was computed again, .* and {message}"):
        encode(replace(part, **change(part)), X.dtype, classes, None, known)


@pytest.mark.parametrize("n_folds", [2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_folds_are_those_of_scikit_learn(n_folds, seed):
    generator = np.random.default_rng(seed)
    labels = np.append(generator.permutation(np.repeat(np.arange(4), n_folds)), generator.integers(0, 4, 60))
    borders = [0, 7, 7, 30, 31, len(labels)]
    parts = [labels[first:last] for first, last in itertools.pairwise(borders)]
    counts = np.array([np.bincount(part, minlength=4) for part in parts])
    ends = share_folds(n_folds, counts.sum(axis=0), np.array([np.argmax(labels == k) for k in range(4)]))
    seen = np.cumsum(counts, axis=0) - counts
    found = np.concatenate([find_folds(ends, part, before) for part, before in zip(parts, seen, strict=True)])
    for fold, (_, test) in enumerate(StratifiedKFold(n_folds).split(labels, labels)):
        np.testing.assert_array_equal(np.flatnonzero(found == fold), test)


def test_a_row_counts_its_weight_times_that_of_its_class_unless_its_fold_is_left_out():
    labels, sample_weight = np.array([0, 1, 1, 0]), np.array([1.0, 2.0, 0.0, 4.0])
    ends, seen = np.array([[1, 1], [2, 2]]), np.zeros(2, int)

    def weigh(given, factors, left_out=None):
        part = decode(np.zeros((4, 1)), labels, given, "")
        part = encode(part, part.X.dtype, np.arange(2), factors, Description.of(part), ends, seen)
        return Shard({0: part}, 1, n_threads=1)._sample(0, left_out).weights

    factors = np.array([1.0, 10.0])
    assert not len(weigh(None, None))
    np.testing.assert_array_equal(weigh(None, factors), [1, 10, 10, 1])
    np.testing.assert_array_equal(weigh(sample_weight, factors), [1, 20, 0, 4])
    np.testing.assert_array_equal(weigh(None, None, left_out=0), [0, 0, 1, 1])
    np.testing.assert_array_equal(weigh(sample_weight, factors, left_out=1), [1, 20, 0, 0])
