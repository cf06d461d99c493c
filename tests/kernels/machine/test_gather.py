"""Sums of rows of a table against NumPy, for every width of a table and number of entries."""

import numpy as np
import pytest
from conftest import COMPILED, from_python, marked

from fastlin.kernels.machine import gather
from fastlin.kernels.machine.arrays import CACHE_LINE
from fastlin.kernels.machine.emitter import VECTOR_BYTES

combine_rows = from_python(gather.combine_rows)


@pytest.mark.parametrize("n_classes", [1, 2, 3, 4, 5, 8, 9, 16, 20, 24, 32, 40, 70])
def test_tables_are_whole_vectors_that_start_on_a_cache_line(n_classes):
    table = gather.zeros_table(7, n_classes)
    assert table.shape[1] >= n_classes
    assert table.ctypes.data % CACHE_LINE == 0
    assert n_classes == 1 or 8 * table.shape[1] % (VECTOR_BYTES // 2) == 0
    assert not table.any()


@pytest.mark.parametrize(
    ("n_classes", "dtype"),
    [
        *((n_classes, np.float64) for n_classes in ([1, 3, 5, 8, 16, 24, 32, 40] if COMPILED else [1, 3, 5, 40])),
        *marked(pytest.mark.slow, *((5, dtype) for dtype in (np.float32, np.int8, np.uint16, np.int32, np.uint64))),
    ],
)
def test_sums_agree_with_numpy(n_classes, dtype):
    generator = np.random.default_rng(n_classes)
    table = gather.zeros_table(50, n_classes)
    table[:, :n_classes] = generator.normal(size=(50, n_classes))
    data, indices = np.abs(generator.normal(0, 9, 60)).astype(dtype), generator.integers(0, 50, 60).astype(np.int32) + 7
    for first, last in [(0, 0), (3, 4), (5, 10), (2, 60)]:
        sums = gather.zeros_table(3, n_classes)
        sums[:] = np.nan
        combine_rows(data, indices, first, last, table, 7, sums, 1)
        rows = table[indices[first:last] - 7]
        bound = (last - first) * 2.0**-52 * (np.abs(data[first:last].astype(float)) @ np.abs(rows))
        assert (np.abs(sums[1] - data[first:last].astype(float) @ rows) <= bound).all()
        assert np.isnan(sums[[0, 2]]).all()
