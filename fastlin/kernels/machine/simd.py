"""The innermost loops of the products as explicit vector instructions, with accumulators in registers.

The code that LLVM generates would reload the sums in each step and transpose them one number at a time. Each loop is
generated for a fixed number of rows (or vectors of features) and classes. The vector width depends on the processor for
which Numba compiles. Without compilation, NumPy computes the same results.
"""

import numpy as np

from fastlin.kernels.machine.emitter import VECTOR_BYTES, Emitter, RowReader, llvm_intrinsic
from fastlin.kernels.machine.libraries import cgutils, ir, types

# The sums of four rows (or vectors), one vector per class and one vector of a row take 26 of 32 registers, or all 16
# registers.
CLASSES_PER_TILE = 5 if VECTOR_BYTES == 64 else 3
ROWS_PER_GROUP = 8
# With shorter rows, the products take less time than the memory needs to deliver the next group of rows. Therefore, the
# fourth next group is prefetched instead, or none if rows are read in place (docs/benchmarks/design-choices.md:
# prefetched rows).
MIN_LONG_ROW_BYTES = 640


def make_row_pointers(emit, X_type, X, indices_type, row_indices, i, n_rows):
    """Return pointers to the n_rows rows that `make_multiplication` reads at i."""
    builder = emit.builder
    is_row_range = isinstance(indices_type, types.Integer)
    count = row_indices if is_row_range else emit.shape(indices_type, row_indices)[0]
    last_position = builder.sub(count, i.type(1))
    row_pointers = []
    for r in range(n_rows):
        row = builder.add(i, i.type(r))
        row = builder.select(builder.icmp_signed("<", row, last_position), row, last_position)
        row = row if is_row_range else builder.load(builder.gep(emit.data(indices_type, row_indices), [row]))
        row_pointers.append(emit.pointer(X_type, X, row, i.type(0)))
    return row_pointers


def _make_later_row_pointers(emit, X_type, X, indices_type, row_indices, i, n_rows):
    """Return pointers to n_rows rows that are read after those at i. They are only prefetched.

    The rows at i + n_rows follow or, if rows are short, those at i + 4 n_rows. If there are no more indices, the last
    row is repeated. In a range of rows, the rows after a tile are those of the next tile. The processor ignores
    prefetches beyond the end of X.
    """
    builder = emit.builder
    itemsize = emit.context.get_abi_sizeof(emit.context.get_data_type(X_type.dtype))
    row_bytes = builder.mul(emit.shape(X_type, X)[1], i.type(itemsize))
    is_short = builder.icmp_signed("<", row_bytes, i.type(MIN_LONG_ROW_BYTES))
    first = builder.add(i, builder.select(is_short, i.type(4 * n_rows), i.type(n_rows)))
    if isinstance(indices_type, types.Integer):
        return [emit.pointer(X_type, X, first, i.type(0), row_offset=r) for r in range(n_rows)]
    return make_row_pointers(emit, X_type, X, indices_type, row_indices, first, n_rows)


def _read_rows(X, row_indices, i, n_rows, first, last):
    """Return the columns from `first` to last - 1 of the n_rows rows that `make_multiplication` reads at i."""
    row_indices = np.arange(row_indices) if np.ndim(row_indices) == 0 else row_indices
    return X[row_indices[np.minimum(np.arange(i, i + n_rows), len(row_indices) - 1)], first:last]


def make_multiplication(n_rows, n_classes, should_store_rows=False, should_prefetch=False):
    """Return the loop that adds the products of n_rows rows of X and n_classes classes to the scores.

    The rows are X[row_indices[i]] and the following rows, and the classes start at k. If fewer rows are left, the last
    row is repeated. `row_indices` may also be an integer n, which selects the first n rows. The rows of X are
    contiguous. The products are over the columns from `first` to last - 1, which are whole vectors; X may have fewer
    columns. If ``should_store_rows``, the loop also scales and shifts the rows and writes them to the tile, which saves
    a separate pass (docs/benchmarks/design-choices.md: stores in products). If ``should_prefetch``, it prefetches a
    later group of rows, because otherwise the processor waits for memory.
    """

    def generate_code(context, builder, kinds, arguments):
        X_type, indices_type, _, coef_type, _, _, _, scores_type, *others = kinds
        X, row_indices, i, coef, k, first, last, scores, *outputs = arguments
        emit = Emitter(context, builder, coef_type.dtype)
        zero = first.type(0)
        reader = RowReader(emit, X_type, X, *(others[0], outputs[0]) if should_store_rows else ())
        source_pointers = make_row_pointers(emit, X_type, X, indices_type, row_indices, i, n_rows)
        targets = [
            emit.pointer(others[1], outputs[1], i, zero, row_offset=r)
            for r in range(n_rows if should_store_rows else 0)
        ]
        prefetched_pointers = []
        if should_prefetch:
            prefetched_pointers = _make_later_row_pointers(emit, X_type, X, indices_type, row_indices, i, n_rows)
        classes = [emit.pointer(coef_type, coef, k, zero, row_offset=c) for c in range(n_classes)]
        sums = [emit.zeros(n_rows) for _ in classes]

        def multiply(j, n_remaining_columns):
            for pointer in prefetched_pointers:
                emit.prefetch(pointer, j)
            x = reader.read(source_pointers, j, n_remaining_columns)
            for vector, target in zip(x if should_store_rows else (), targets, strict=True):
                emit.store(vector, builder.gep(target, [j]))
            emit.add_products(x, [emit.load(weights, j) for weights in classes], sums)

        reader.emit_loop(first, last, multiply)
        emit.add_to_scores(sums, scores_type, scores, k, i)

    def read(X, row_indices, i, coef, k, first, last, scores):
        x = _read_rows(X, row_indices, i, n_rows, first, last).astype(coef.dtype)
        scores[k : k + n_classes, i : i + n_rows] += coef[k : k + n_classes, first : first + x.shape[1]] @ x.T

    def load(X, row_indices, i, coef, k, first, last, scores, scaling, tile):
        x = _read_rows(X, row_indices, i, n_rows, first, last).astype(scaling.scale.dtype)
        part = slice(first, first + x.shape[1])
        tile[i : i + n_rows, part] = x * scaling.scale[part] + scaling.shift[part]
        read(tile, len(tile), i, coef, k, first, last, scores)

    return llvm_intrinsic(generate_code)(load if should_store_rows else read)


def _make_accumulation_loop(n_vectors, n_classes):
    """Return the loop that adds rows times multipliers to n_classes sums, in n_vectors vectors from column j."""

    def generate_code(context, builder, kinds, arguments):
        tile_type, _, _, multipliers_type, _, sums_type = kinds
        tile, n_rows, j, multipliers, k, sums = arguments
        emit = Emitter(context, builder, tile_type.dtype)
        zero = n_rows.type(0)
        classes = [emit.pointer(multipliers_type, multipliers, k, zero, row_offset=c) for c in range(n_classes)]
        sum_pointers = [emit.zeros(n_vectors) for _ in range(n_classes)]
        with cgutils.for_range(builder, n_rows, intp=n_rows.type) as loop:
            i = loop.index
            u = [emit.broadcast(builder.load(builder.gep(row, [i]))) for row in classes]
            for v in range(n_vectors):
                x = emit.load(emit.pointer(tile_type, tile, i, j, column_offset=v * emit.lanes))
                for c in range(n_classes):
                    builder.store(emit.multiply_add(x, u[c], builder.load(sum_pointers[c][v])), sum_pointers[c][v])
        kind = context.get_value_type(sums_type.dtype)
        sums_vector_type = ir.VectorType(kind, emit.lanes)
        align = min(VECTOR_BYTES, emit.lanes * context.get_abi_sizeof(kind))
        for c in range(n_classes):
            for v in range(n_vectors):
                position = emit.pointer(sums_type, sums, k, j, row_offset=c, column_offset=v * emit.lanes)
                part = builder.load(sum_pointers[c][v])
                part = part if kind == emit.scalar else builder.fpext(part, sums_vector_type)
                emit.store(
                    builder.fadd(emit.load(position, vector=sums_vector_type, align=align), part), position, align=align
                )

    @llvm_intrinsic(generate_code)
    def loop(tile, n_rows, j, multipliers, k, sums):
        part = slice(j, j + n_vectors * VECTOR_BYTES // tile.itemsize)
        sums[k : k + n_classes, part] += multipliers[k : k + n_classes, :n_rows] @ tile[:n_rows, part]

    return loop


def _emit_transpose_square(context, builder, kinds, arguments):
    tile_type, _, _, transposed_type, _, _ = kinds
    tile, i, j, transposed, row, column = arguments
    emit = Emitter(context, builder, tile_type.dtype)
    vectors = [emit.load(emit.pointer(tile_type, tile, i, j, row_offset=r)) for r in range(emit.lanes)]
    for r, vector in enumerate(emit.transpose(vectors)):
        emit.store(vector, emit.pointer(transposed_type, transposed, row, column, row_offset=r))


@llvm_intrinsic(_emit_transpose_square)
def transpose_square(tile, i, j, transposed, row, column):
    """Write the transpose of a vector-wide square of `tile` to transposed[row:, column:].

    The square starts at row i and column j of `tile`.
    """
    lanes = VECTOR_BYTES // tile.itemsize
    transposed[row : row + lanes, column : column + lanes] = tile[i : i + lanes, j : j + lanes].T


def _emit_multiply_columns(context, builder, kinds, arguments):
    tile_type, _, _, _, _, products_type, _ = kinds
    tile, n_rows, j, h, count, products, position = arguments
    emit = Emitter(context, builder, tile_type.dtype)
    align = context.get_abi_sizeof(emit.scalar)
    number = n_rows.type
    n_vectors = builder.udiv(builder.add(count, number(emit.lanes - 1)), number(emit.lanes))
    with cgutils.for_range(builder, n_rows, intp=number) as row:
        factor = emit.broadcast(builder.load(emit.pointer(tile_type, tile, row.index, j)))
        source = emit.pointer(tile_type, tile, row.index, h)
        target = emit.pointer(products_type, products, row.index, position)
        with cgutils.for_range(builder, n_vectors, intp=number) as loop:
            offset = builder.mul(loop.index, number(emit.lanes))
            product = builder.fmul(factor, emit.load(source, offset, align=align))
            emit.store(product, builder.gep(target, [offset]), align=align)


@llvm_intrinsic(_emit_multiply_columns)
def multiply_columns(tile, n_rows, j, h, count, products, position):
    """Write the products of column j and the ``count`` columns from h to ``products``.

    The results start at column ``position``. Whole vectors are read and written, so accesses extend beyond the last
    column by less than one vector.
    """
    products[:n_rows, position : position + count] = tile[:n_rows, j : j + 1] * tile[:n_rows, h : h + count]


def _emit_load_row(context, builder, kinds, arguments):
    X_type, _, scaling_type, tile_type, _ = kinds
    X, row, scaling, tile, i = arguments
    emit = Emitter(context, builder, tile_type.dtype)
    reader = RowReader(emit, X_type, X, scaling_type, scaling)
    zero, lanes = row.type(0), row.type(emit.lanes)
    source, target = emit.pointer(X_type, X, row, zero), emit.pointer(tile_type, tile, i, zero)
    n_full_vectors = builder.udiv(reader.n_features, lanes)
    with cgutils.for_range(builder, n_full_vectors) as loop:
        j = builder.mul(loop.index, lanes)
        (x,) = reader.read([source], j)
        emit.store(x, builder.gep(target, [j]))
    (width,) = emit.shape(scaling_type.types[0], builder.extract_value(scaling, 0))
    with cgutils.for_range(builder, builder.udiv(width, lanes), start=n_full_vectors) as loop:
        j = builder.mul(loop.index, lanes)
        (x,) = reader.read([source], j, builder.sub(reader.n_features, j))
        emit.store(x, builder.gep(target, [j]))


@llvm_intrinsic(_emit_load_row)
def load_row(X, row, scaling, tile, i):
    """Fill tile[i, j] with X[row, j] scale[j] + shift[j], computed in the type of `scale`.

    The padding is shift[j].
    """
    d = X.shape[1]
    tile[i, :d] = X[row].astype(scaling.scale.dtype) * scaling.scale[:d] + scaling.shift[:d]
    tile[i, d:] = scaling.shift[d:]


load_and_multiply_4_rows = make_multiplication(4, CLASSES_PER_TILE, should_store_rows=True, should_prefetch=True)
load_and_multiply_4_rows_3_classes = make_multiplication(4, 3, should_store_rows=True, should_prefetch=True)
load_and_multiply_8_rows_1_class = make_multiplication(8, 1, should_store_rows=True, should_prefetch=True)
multiply_4_rows = make_multiplication(4, CLASSES_PER_TILE)
multiply_4_rows_3_classes = make_multiplication(4, 3)
multiply_8_rows_1_class = make_multiplication(8, 1)
add_4_vectors = _make_accumulation_loop(4, CLASSES_PER_TILE)
add_4_vectors_3_classes = _make_accumulation_loop(4, 3)
add_4_vectors_1_class = _make_accumulation_loop(4, 1)
add_1_vector = _make_accumulation_loop(1, CLASSES_PER_TILE)
add_1_vector_1_class = _make_accumulation_loop(1, 1)
