"""The innermost loops of the products in explicit vectors, whose accumulators stay in registers.

Left to itself the compiler reloads sums in every step and transposes them one number at a time. Each loop is made for
one number of rows (or vectors of features) and classes, and is emitted as LLVM instructions; the processor that Numba
compiles for decides how wide vectors are. Uncompiled, NumPy stands in.
"""

import numpy as np

from fastlin.kernels.machine.emitter import VECTOR_BYTES, Emitter, RowReader, emitted
from fastlin.kernels.machine.libraries import cgutils, ir, types

# The sums of 4 rows (or vectors), a vector of each class and one of a row fill 26 of 32 registers, or all of 16.
CLASSES_PER_TILE = 5 if VECTOR_BYTES == 64 else 3
ROW_GROUP = 8
# With one class a pass over X is bound by memory: eight rows at a time, and a cache line for each of them in a step
# (1,000,000 rows of 30 columns: 28.3 ms, with one line 36.9).
LOADED_ROWS = 8
# Where X is float64 and the tile float32, a step reads two lines of each row: 60,000 x 784 with ten classes takes 18.6
# ms with four lines in a step, 19.6 with two and 20.3 with one, 100,000 x 100 with five 3.9 and, with one, 5.4.
WIDE_LINES = 4


def lines_in_step(n_classes: int, X_bytes: int, coef_bytes: int) -> int:
    """Return how many cache lines a loop of `multiplication` asks for in each step, by the bytes of entries."""
    return LOADED_ROWS if n_classes == 1 else WIDE_LINES if X_bytes > coef_bytes else 1


def row_pointers(emit, X_type, X, numbers_type, numbers, i, n_rows):
    """Return the pointers to the rows that `multiplication` takes at i."""
    builder = emit.builder
    in_order = isinstance(numbers_type, types.Integer)
    count = numbers if in_order else emit.shape(numbers_type, numbers)[0]
    final = builder.sub(count, i.type(1))
    pointers = []
    for r in range(n_rows):
        row = builder.add(i, i.type(r))
        row = builder.select(builder.icmp_signed("<", row, final), row, final)
        row = row if in_order else builder.load(builder.gep(emit.data(numbers_type, numbers), [row]))
        pointers.append(emit.pointer(X_type, X, row, i.type(0)))
    return pointers


def _read_rows(X, numbers, i, n_rows, first, last):
    """Return some columns of the rows that `multiplication` takes at i."""
    numbers = np.arange(numbers) if np.ndim(numbers) == 0 else numbers
    return X[numbers[np.minimum(np.arange(i, i + n_rows), len(numbers) - 1)], first:last]


def multiplication(n_rows, n_classes, stores=False, prefetches=True):
    """Make the loop that adds the products of n_rows rows of X and n_classes classes, from k on, to their scores.

    The rows are those that numbers[i] and the following ones name, the last of them again where fewer are left. An
    integer in the place of numbers is the number of X's first rows that are meant. X has its columns next to each
    other. The products are over the columns from first to last, whole vectors, and the padding up to the last one. A
    loop that ``stores`` also scales and shifts the rows, and fills the tile with them, which saves a fifth of the pass.
    One that ``prefetches`` asks for ``lines``, an address and the bytes to the next.
    """

    def generate(context, builder, kinds, arguments):
        X_type, numbers_type, _, coef_type, _, _, _, scores_type, _, *others = kinds
        X, numbers, i, coef, k, first, last, scores, lines, *kept = arguments
        emit = Emitter(context, builder, coef_type.dtype)
        zero = first.type(0)
        reader = RowReader(emit, X_type, X, *(others[0], kept[0]) if stores else ())
        sources = row_pointers(emit, X_type, X, numbers_type, numbers, i, n_rows)
        targets = [emit.pointer(others[1], kept[1], i, zero, row_step=r) for r in range(n_rows if stores else 0)]
        classes = [emit.pointer(coef_type, coef, k, zero, row_step=c) for c in range(n_classes)]
        sums = [emit.zeros(n_rows) for _ in classes]
        address, step = cgutils.unpack_tuple(builder, lines)
        n_lines = lines_in_step(n_classes, X_type.dtype.bitwidth, coef_type.dtype.bitwidth) if prefetches else 0

        def multiply(index, j, left):
            for line in range(n_lines):
                position = builder.add(builder.mul(index, first.type(n_lines)), first.type(line))
                emit.prefetch(builder.add(address, builder.mul(position, step)))
            x = reader.read(sources, j, left)
            for vector, target in zip(x if stores else (), targets, strict=True):
                emit.store(vector, builder.gep(target, [j]))
            emit.add_products(x, [emit.load(weights, j) for weights in classes], sums)

        reader.walk(first, last, multiply)
        emit.add_to_scores(sums, scores_type, scores, k, i)

    def read(X, numbers, i, coef, k, first, last, scores, lines):
        x = _read_rows(X, numbers, i, n_rows, first, last).astype(coef.dtype)
        scores[k : k + n_classes, i : i + n_rows] += coef[k : k + n_classes, first : first + x.shape[1]] @ x.T

    def load(X, numbers, i, coef, k, first, last, scores, lines, scaling, tile):
        x = _read_rows(X, numbers, i, n_rows, first, last).astype(scaling.scale.dtype)
        part = slice(first, first + x.shape[1])
        tile[i : i + n_rows, part] = x * scaling.scale[part] + scaling.shift[part]
        read(tile, len(tile), i, coef, k, first, last, scores, lines)

    return emitted(generate)(load if stores else read)


def _accumulation(n_vectors, n_classes):
    """Make the loop that adds rows times multipliers to n_vectors vectors, from column j on, of n_classes sums."""

    def generate(context, builder, kinds, arguments):
        tile_type, _, _, multipliers_type, _, sums_type, _ = kinds
        tile, n_rows, j, multipliers, k, sums, lines = arguments
        emit = Emitter(context, builder, tile_type.dtype)
        address, step = cgutils.unpack_tuple(builder, lines)
        zero = n_rows.type(0)
        classes = [emit.pointer(multipliers_type, multipliers, k, zero, row_step=c) for c in range(n_classes)]
        parts = [emit.zeros(n_vectors) for _ in range(n_classes)]
        with cgutils.for_range(builder, n_rows, intp=n_rows.type) as loop:
            i = loop.index
            emit.prefetch(builder.add(address, builder.mul(i, step)))
            u = [emit.broadcast(builder.load(builder.gep(row, [i]))) for row in classes]
            for v in range(n_vectors):
                x = emit.load(emit.pointer(tile_type, tile, i, j, column_step=v * emit.lanes))
                for c in range(n_classes):
                    builder.store(emit.multiply_add(x, u[c], builder.load(parts[c][v])), parts[c][v])
        kind = context.get_value_type(sums_type.dtype)
        wide = ir.VectorType(kind, emit.lanes)
        align = min(VECTOR_BYTES, emit.lanes * context.get_abi_sizeof(kind))
        for c in range(n_classes):
            for v in range(n_vectors):
                position = emit.pointer(sums_type, sums, k, j, row_step=c, column_step=v * emit.lanes)
                part = builder.load(parts[c][v])
                part = part if kind == emit.scalar else builder.fpext(part, wide)
                emit.store(builder.fadd(emit.load(position, vector=wide, align=align), part), position, align=align)

    @emitted(generate)
    def loop(tile, n_rows, j, multipliers, k, sums, lines):
        part = slice(j, j + n_vectors * VECTOR_BYTES // tile.itemsize)
        sums[k : k + n_classes, part] += multipliers[k : k + n_classes, :n_rows] @ tile[:n_rows, part]

    return loop


def _emit_transpose_square(context, builder, kinds, arguments):
    tile_type, _, _, turned_type, _, _ = kinds
    tile, i, j, turned, row, column = arguments
    emit = Emitter(context, builder, tile_type.dtype)
    vectors = [emit.load(emit.pointer(tile_type, tile, i, j, row_step=r)) for r in range(emit.lanes)]
    for r, vector in enumerate(emit.transpose(vectors)):
        emit.store(vector, emit.pointer(turned_type, turned, row, column, row_step=r))


@emitted(_emit_transpose_square)
def transpose_square(tile, i, j, turned, row, column):
    """Write a vector-wide square of tile, from row i and column j on, to turned[row:, column:], its rows as columns."""
    lanes = VECTOR_BYTES // tile.itemsize
    turned[row : row + lanes, column : column + lanes] = tile[i : i + lanes, j : j + lanes].T


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


@emitted(_emit_multiply_columns)
def multiply_columns(tile, n_rows, j, h, count, products, position):
    """Write the products of column j and those from h on to ``products``, from ``position`` on.

    Whole vectors are read and written: up to one less a number more than ``count`` columns.
    """
    products[:n_rows, position : position + count] = tile[:n_rows, j : j + 1] * tile[:n_rows, h : h + count]


def _emit_row(context, builder, kinds, arguments):
    X_type, _, scaling_type, tile_type, _ = kinds
    X, row, scaling, tile, i = arguments
    emit = Emitter(context, builder, tile_type.dtype)
    reader = RowReader(emit, X_type, X, scaling_type, scaling)
    zero, lanes = row.type(0), row.type(emit.lanes)
    source, target = emit.pointer(X_type, X, row, zero), emit.pointer(tile_type, tile, i, zero)
    n_whole = builder.udiv(reader.n_features, lanes)
    with cgutils.for_range(builder, n_whole) as loop:
        j = builder.mul(loop.index, lanes)
        (x,) = reader.read([source], j)
        emit.store(x, builder.gep(target, [j]))
    (width,) = emit.shape(scaling_type.types[0], builder.extract_value(scaling, 0))
    with cgutils.for_range(builder, builder.udiv(width, lanes), start=n_whole) as loop:
        j = builder.mul(loop.index, lanes)
        (x,) = reader.read([source], j, builder.sub(reader.n_features, j))
        emit.store(x, builder.gep(target, [j]))


@emitted(_emit_row)
def load_row(X, row, scaling, tile, i):
    """Fill tile[i, j] = X[row, j] scale[j] + shift[j], computed in their type; shift[j] behind the last feature."""
    d = X.shape[1]
    tile[i, :d] = X[row].astype(scaling.scale.dtype) * scaling.scale[:d] + scaling.shift[:d]
    tile[i, d:] = scaling.shift[d:]


load_and_multiply_4_rows = multiplication(4, CLASSES_PER_TILE, stores=True)
load_and_multiply_4_rows_3_classes = multiplication(4, 3, stores=True)
load_and_multiply_8_rows_1_class = multiplication(8, 1, stores=True)
multiply_4_rows = multiplication(4, CLASSES_PER_TILE)
multiply_4_rows_3_classes = multiplication(4, 3)
multiply_8_rows_1_class = multiplication(8, 1)
add_4_vectors = _accumulation(4, CLASSES_PER_TILE)
add_4_vectors_3_classes = _accumulation(4, 3)
add_4_vectors_1_class = _accumulation(4, 1)
add_1_vector = _accumulation(1, CLASSES_PER_TILE)
add_1_vector_1_class = _accumulation(1, 1)
