import sys

import numpy as np
import pandas
import pytest
from scipy import sparse

from fastlin.dask.parts import decode, describe, encode

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
    group = encode([part], 5, X.dtype, np.array([1, 4]))
    assert group[5].X is X
    np.testing.assert_array_equal(group[5].labels, [1, 0, 1])
    assert group[5].labels.dtype == np.int32
    assert encode([part], 5, np.dtype("f4"), np.array([1, 4]))[5].X.dtype == np.float32


def test_other_numbers_become_float64_and_empty_partitions_any_type():
    assert decode(X.astype(np.int64), Y, None, "").X.dtype == np.float64
    assert decode(np.empty((0, 2), object), Y[:0], None, "").X.shape == (0, 2)


def test_the_scheduler_learns_how_large_a_partition_is():
    large, row_numbers = np.zeros((1000, 50)), np.zeros(1000, int)
    for data in (large, sparse.csr_array(large + 1)):
        part = decode(data, row_numbers, np.ones(1000), "")
        assert sys.getsizeof(part) > 400_000
        assert sys.getsizeof(encode([part, part], 0, part.X.dtype, np.zeros(1))) > 800_000


def test_a_description_tells_of_labels_weights_and_entries():
    known = describe(decode(sparse.csr_array([[0.0, 0], [1, 0], [1, 1]]), Y, np.array([0.5, 1, 3]), "p"))
    assert (known.name, known.shape, known.is_sparse, known.n_entries, known.longest_row) == ("p", (3, 2), True, 3, 2)
    for found, expected in (
        (known.classes, [1, 4]),
        (known.first_rows, [1, 0]),
        (known.counts, [1, 2]),
        (known.weights, [1, 3.5]),
        (known.largest, [1, 3]),
    ):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"Partition 2 of y has labels of types that cannot be compared"):
        describe(decode(X, np.array(["a", 1, "b"], object), None, "Partition 2"))
