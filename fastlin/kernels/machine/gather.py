"""The innermost loops over sparse entries: linear combinations of rows of a table, and additions to rows of a table.

The scores of a sparse row are a linear combination of the coefficients of its features, and the gradient of a column is
a linear combination of the residuals of its rows. Each row of a table contains one number per class or problem. The
loops are emitted as LLVM instructions, because the code that LLVM generates stores the sums after every entry. Without
compilation, NumPy computes the same results.
"""

import numpy as np

from fastlin.kernels.machine.arrays import CACHE_LINE, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES, Emitter, llvm_intrinsic
from fastlin.kernels.machine.libraries import cgutils, types
from fastlin.typing import FloatArray

# The number of float64 values in a vector, and in the shorter vector for three or four classes.
LANES = VECTOR_BYTES // 8
LANES_PER_HALF_VECTOR = 4 if LANES == 8 else 2


def count_table_columns(n_classes: int) -> int:
    """Return the number of columns of a table: n_classes rounded up to whole vectors, or 1 for one class."""
    if n_classes == 1:
        return 1
    lanes = LANES_PER_HALF_VECTOR if n_classes <= LANES_PER_HALF_VECTOR else LANES
    return -(-n_classes // lanes) * lanes


def make_zero_table(n_rows: int, n_classes: int) -> FloatArray:
    """Return a table of zeros (n_rows, count_table_columns(n_classes)), float64. The table starts on a cache line."""
    return zeros_aligned((n_rows, count_table_columns(n_classes)), np.float64)


def _make_combination_loop(n_vectors, lanes, n_alternating_sums):
    """Return the loop over entries for n_vectors vectors of columns.

    The entries are added to n_alternating_sums sums in turn, to hide the latency of additions.
    """

    def generate_code(context, builder, kinds, arguments):
        data_type, indices_type, _, _, table_type, _, sums_type, _, _ = kinds
        data, indices, first, last, table, first_row, sums, i, k = arguments
        emit = Emitter(context, builder, types.float64, lanes)
        number = first.type
        values, positions = emit.data(data_type, data), emit.data(indices_type, indices)
        rows = context.make_array(table_type)(context, builder, table)
        stride, _ = cgutils.unpack_tuple(builder, rows.strides)
        table_pointer = emit.pointer(table_type, table, builder.neg(first_row), k)
        totals = [emit.zeros(n_vectors) for _ in range(n_alternating_sums)]

        def add(entry, total):
            value = builder.load(builder.gep(values, [entry]))
            value = emit.broadcast(context.cast(builder, value, data_type.dtype, types.float64))
            row = context.cast(builder, builder.load(builder.gep(positions, [entry])), indices_type.dtype, types.int64)
            address = builder.gep(builder.bitcast(table_pointer, cgutils.voidptr_t), [builder.mul(row, stride)])
            table_row = builder.bitcast(address, table_pointer.type)
            for v in range(n_vectors):
                x = emit.load(table_row, number(v * lanes), align=8 * lanes)
                builder.store(emit.multiply_add(x, value, builder.load(total[v])), total[v])

        count = builder.sub(last, first)
        n_full_steps = builder.sdiv(count, number(n_alternating_sums))
        with cgutils.for_range(builder, n_full_steps, intp=number) as loop:
            entry = builder.add(first, builder.mul(loop.index, number(n_alternating_sums)))
            for s, total in enumerate(totals):
                add(builder.add(entry, number(s)), total)
        n_remaining_entries = builder.sub(count, builder.mul(n_full_steps, number(n_alternating_sums)))
        with cgutils.for_range(builder, n_remaining_entries, intp=number) as loop:
            add(builder.add(builder.sub(last, n_remaining_entries), loop.index), totals[0])
        for v in range(n_vectors):
            partial_sums = [builder.load(total[v]) for total in totals]
            while len(partial_sums) > 1:
                partial_sums = [builder.fadd(a, b) for a, b in zip(partial_sums[::2], partial_sums[1::2], strict=True)]
            position = emit.pointer(sums_type, sums, i, k, column_offset=v * lanes)
            emit.store(partial_sums[0], position, align=8 * lanes)

    @llvm_intrinsic(generate_code)
    def loop(data, indices, first, last, table, first_row, sums, i, k):
        part = slice(k, k + n_vectors * lanes)
        rows = indices[first:last].astype(np.int64) - first_row
        values = data[first:last].astype(np.float64) if len(data) else np.ones(len(rows))
        sums[i, part] = values @ table[rows, part]

    return loop


_combine_4_vectors = _make_combination_loop(4, LANES, 2)
_combine_3_vectors = _make_combination_loop(3, LANES, 2)
_combine_2_vectors = _make_combination_loop(2, LANES, 2)
_combine_1_vector = _make_combination_loop(1, LANES, 4)
_combine_half_vector = _make_combination_loop(1, LANES_PER_HALF_VECTOR, 4)
_combine_scalars = _make_combination_loop(1, 1, 4)


@kernel(inner=True)
def combine_rows(data, indices, first, last, table, first_row, sums, i):
    """Fill sums[i] with the sum of data[p] table[indices[p] - origin] over the entries first <= p < last, float64.

    `table` and `sums` have the columns of `make_zero_table`. The order of additions depends only on last - first.
    """
    width = table.shape[1]
    if width == 1:
        _combine_scalars(data, indices, first, last, table, first_row, sums, i, np.int64(0))
        return
    k = np.int64(0)
    while width - k >= 4 * LANES:
        _combine_4_vectors(data, indices, first, last, table, first_row, sums, i, k)
        k += 4 * LANES
    if width - k >= 3 * LANES:
        _combine_3_vectors(data, indices, first, last, table, first_row, sums, i, k)
    elif width - k >= 2 * LANES:
        _combine_2_vectors(data, indices, first, last, table, first_row, sums, i, k)
    elif width - k >= LANES:
        _combine_1_vector(data, indices, first, last, table, first_row, sums, i, k)
    elif width > k:
        _combine_half_vector(data, indices, first, last, table, first_row, sums, i, k)


# The constants are unsigned because Numba wraps negative signed indices around, and a sum with a signed constant is
# signed.
UNSIGNED_ONE, UNSIGNED_TWO, UNSIGNED_THREE = np.uint64(1), np.uint64(2), np.uint64(3)


@kernel(inline=True)
def dot_sparse_entries(data, indices, first, last, coef):
    """Return the sum of data[p] coef[indices[p]] over the entries first <= p < last, in the type of coef (d,).

    Empty data mean all ones. Four independent sums hide the latency of additions. Vector gathers and slices of the
    entries would be slower.
    """
    kind = coef.dtype.type
    unrolled_end = last - (last - first) % 4
    a = b = c = d = kind(0)
    for p in range(first, unrolled_end, 4):
        position = np.uint64(p)
        a += _get_entry(data, position, kind) * coef[np.uint64(indices[position])]
        b += _get_entry(data, position + UNSIGNED_ONE, kind) * coef[np.uint64(indices[position + UNSIGNED_ONE])]
        c += _get_entry(data, position + UNSIGNED_TWO, kind) * coef[np.uint64(indices[position + UNSIGNED_TWO])]
        d += _get_entry(data, position + UNSIGNED_THREE, kind) * coef[np.uint64(indices[position + UNSIGNED_THREE])]
    for p in range(unrolled_end, last):
        position = np.uint64(p)
        a += _get_entry(data, position, kind) * coef[np.uint64(indices[position])]
    return (a + b) + (c + d)


@kernel(inline=True)
def add_sparse_entries(data, indices, first, last, factor, sums):
    """Add factor data[p] to sums[indices[p]] for the entries first <= p < last; empty data mean all ones."""
    kind = sums.dtype.type
    unrolled_end = last - (last - first) % 4
    for p in range(first, unrolled_end, 4):
        position = np.uint64(p)
        sums[np.uint64(indices[position])] += factor * _get_entry(data, position, kind)
        sums[np.uint64(indices[position + UNSIGNED_ONE])] += factor * _get_entry(data, position + UNSIGNED_ONE, kind)
        sums[np.uint64(indices[position + UNSIGNED_TWO])] += factor * _get_entry(data, position + UNSIGNED_TWO, kind)
        sums[np.uint64(indices[position + UNSIGNED_THREE])] += factor * _get_entry(
            data, position + UNSIGNED_THREE, kind
        )
    for p in range(unrolled_end, last):
        position = np.uint64(p)
        sums[np.uint64(indices[position])] += factor * _get_entry(data, position, kind)


@kernel(inline=True)
def _get_entry(data, position, kind):
    return kind(data[position]) if data.shape[0] > 0 else kind(1)


# The number of columns of `scatter_row`.
SCATTERED_COLUMNS = 2 * CACHE_LINE // 8


def _emit_scatter_row(context, builder, kinds, arguments):
    data_type, indices_type, _, _, values_type, _, table_type = kinds
    data, indices, first, last, values, i, table = arguments
    emit, number = Emitter(context, builder, types.float64), first.type
    entries, positions = emit.data(data_type, data), emit.data(indices_type, indices)
    offsets = range(0, SCATTERED_COLUMNS, LANES)
    row_values = [
        emit.load(emit.pointer(values_type, values, i, number(0), column_offset=offset)) for offset in offsets
    ]
    with cgutils.for_range(builder, builder.sub(last, first), intp=number) as loop:
        entry = builder.add(first, loop.index)
        x = context.cast(builder, builder.load(builder.gep(entries, [entry])), data_type.dtype, types.float64)
        factor = emit.broadcast(x)
        row = context.cast(builder, builder.load(builder.gep(positions, [entry])), indices_type.dtype, types.int64)
        for offset, vector in zip(offsets, row_values, strict=True):
            target = emit.pointer(table_type, table, row, number(0), column_offset=offset)
            emit.store(emit.multiply_add(vector, factor, emit.load(target)), target)


@llvm_intrinsic(_emit_scatter_row)
def scatter_row(data, indices, first, last, values, i, table):
    """Add data[p] values[i] to table[indices[p]] for the entries first <= p < last, float64.

    `values` and `table` start on a cache line and have SCATTERED_COLUMNS columns, and `data` is not empty. Loops that
    LLVM vectorizes are slower (docs/benchmarks/design-choices.md: scattered rows of batches).
    """
    np.add.at(table, indices[first:last], data[first:last, None].astype(np.float64) * values[i])


def _make_addition_loop(lanes):
    """Return the loop that adds selected rows of a table to consecutive rows, or the reverse, one vector per row."""

    def generate_code(context, builder, kinds, arguments):
        source_type, codes_type, _, target_type, _, _ = kinds
        source, codes, n_rows, target, should_gather_source, k = arguments
        emit = Emitter(context, builder, types.float64, lanes)
        number, align = n_rows.type, 8 * lanes
        positions = emit.data(codes_type, codes)

        with cgutils.for_range(builder, n_rows, intp=number) as loop:
            code = builder.load(builder.gep(positions, [loop.index]))
            selected_row = context.cast(builder, code, codes_type.dtype, types.int64)
            target_index = builder.select(should_gather_source, loop.index, selected_row)
            source_index = builder.select(should_gather_source, selected_row, loop.index)
            target_row = emit.pointer(target_type, target, target_index, k)
            source_row = emit.pointer(source_type, source, source_index, k)
            added_values = emit.load(source_row, align=align)
            emit.store(builder.fadd(emit.load(target_row, align=align), added_values), target_row, align=align)

    @llvm_intrinsic(generate_code)
    def loop(source, codes, n_rows, target, should_gather_source, k):
        part, selected_rows, row_range = slice(k, k + lanes), codes[:n_rows], np.arange(n_rows)
        target_rows, source_rows = (row_range, selected_rows) if should_gather_source else (selected_rows, row_range)
        np.add.at(target[:, part], target_rows, source[source_rows, part])

    return loop


_add_vector, _add_half_vector, _add_scalar = (
    _make_addition_loop(LANES),
    _make_addition_loop(LANES_PER_HALF_VECTOR),
    _make_addition_loop(1),
)


@kernel(inner=True)
def add_rows(source, codes, n_rows, target, should_gather_source):
    """For i < n_rows, add source[codes[i]] to target[i]; without ``should_gather_source``, the reverse.

    The reverse adds source[i] to target[codes[i]].
    Both tables have the columns of `make_zero_table`.
    """
    width = target.shape[1]
    if width == 1:
        _add_scalar(source, codes, n_rows, target, should_gather_source, 0)
    elif width == LANES_PER_HALF_VECTOR:
        _add_half_vector(source, codes, n_rows, target, should_gather_source, 0)
    else:
        for k in range(0, width, LANES):
            _add_vector(source, codes, n_rows, target, should_gather_source, k)
