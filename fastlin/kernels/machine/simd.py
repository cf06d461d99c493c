"""The innermost loops of the products in explicit vectors, whose accumulators stay in registers.

Left to itself the compiler reloads sums in every step and transposes them one number at a time: 5 classes of 4 rows
took 250 instructions after the last product, here 55. Each loop is made for one number of rows (or vectors of
features) and classes, and is emitted as LLVM instructions; the processor that Numba compiles for decides how wide
vectors are. Uncompiled, NumPy stands in.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from fastlin.kernels.machine.emitter import VECTOR_BYTES, Emitter, RowReader, emitted

# The sums of 4 rows (or vectors), a vector of each class and one of a row fill 26 of 32 registers, or all of 16.
CLASSES_TOGETHER = 5 if VECTOR_BYTES == 64 else 3
ROW_GROUP = 8
# With one class a pass over X is bound by memory: eight rows at a time, and eight cache lines asked for in each step,
# one for each row (1,000,000 rows of 30 columns: 28.3 ms, with one line 36.9).
LOADED_ROWS = 8
# Float64 rows that are worked on in float32 have fewer steps than cache lines (MNIST: 34.5 ms, with one line 39.3).
WIDE_LINES = 4


def _multiplication(n_rows, n_classes):
    """Make the loop that adds the products of n_rows rows and n_classes classes to their scores."""

    def generate(context, builder, kinds, arguments):
        tile_type, _, coef_type, _, _, _, scores_type, _ = kinds
        tile, i, coef, k, first, last, scores, lines = arguments
        emit = Emitter(context, builder, tile_type.dtype)
        address, step = cgutils.unpack_tuple(builder, lines)
        rows = [emit.pointer(tile_type, tile, i, first, row_step=r) for r in range(n_rows)]
        classes = [emit.pointer(coef_type, coef, k, first, row_step=c) for c in range(n_classes)]
        sums = [emit.zeros(n_rows) for _ in range(n_classes)]
        count = builder.udiv(builder.sub(last, first), first.type(emit.lanes))
        with cgutils.for_range(builder, count, intp=first.type) as loop:
            j = builder.mul(loop.index, first.type(emit.lanes))
            emit.prefetch(builder.add(address, builder.mul(loop.index, step)))
            x, w = [emit.load(row, j) for row in rows], [emit.load(weights, j) for weights in classes]
            emit.add_products(x, w, sums)
        emit.add_to_scores(sums, scores_type, scores, k, i)

    @emitted(generate)
    def loop(tile, i, coef, k, first, last, scores, lines):
        scores[k : k + n_classes, i : i + n_rows] += (
            coef[k : k + n_classes, first:last] @ tile[i : i + n_rows, first:last].T
        )

    return loop


def lines_in_step(n_classes: int, itemsize: int, computed_itemsize: int) -> int:
    """Return how many cache lines a loop that reads X asks for in each step.

    It depends on the sizes of an entry of X and of one in the type computed in.
    """
    if n_classes == 1:
        return LOADED_ROWS
    return WIDE_LINES if itemsize > computed_itemsize else 1


def _emit_products_of_rows(emit, reader, sources, keep, classes, first, last, lines, itemsize):
    """Emit the loop over the columns of rows of X, and return the places of the sums.

    Parameters
    ----------
    emit : Emitter
        The builder of instructions.
    reader : RowReader
        What reads the vectors of the rows.
    sources : list of LLVM pointers
        The rows of X.
    keep : callable
        Takes the vectors of the rows at column j, and j.
    classes : list of LLVM pointers
        The rows of coef.
    first, last : LLVM values
        The columns: whole vectors, and the padding up to the last one.
    lines : LLVM value
        Where the cache lines to ask for begin, and the bytes between them.
    itemsize : int
        The bytes of an entry of X.
    """
    builder = emit.builder
    zero, lanes = first.type(0), first.type(emit.lanes)
    address, step = cgutils.unpack_tuple(builder, lines)
    sums = [emit.zeros(len(sources)) for _ in classes]
    n_lines = lines_in_step(len(classes), itemsize, emit.context.get_abi_sizeof(emit.scalar))

    def prefetch(index):
        for line in range(n_lines):
            place = builder.add(builder.mul(index, first.type(n_lines)), first.type(line))
            emit.prefetch(builder.add(address, builder.mul(place, step)))

    def multiply(j, left=None):
        x = reader.read(sources, j, left)
        keep(x, j)
        emit.add_products(x, [emit.load(weights, j) for weights in classes], sums)

    features = builder.and_(reader.n_features, first.type(-emit.lanes))
    end = builder.select(builder.icmp_signed("<", features, last), features, last)
    count = builder.udiv(builder.sub(end, first), lanes)
    with cgutils.for_range(builder, count) as loop:
        prefetch(loop.index)
        multiply(builder.add(first, builder.mul(loop.index, lanes)))
    left = builder.sub(reader.n_features, end)
    partial = builder.and_(builder.icmp_signed("<", end, last), builder.icmp_signed(">", left, zero))
    with builder.if_then(partial):
        prefetch(count)
        multiply(end, left)
    return sums


def _row_pointers(emit, X_type, X, numbers_type, numbers, i, n_rows):
    """Return the pointers to the rows of X that numbers[i] and the following ones name, the last one repeated."""
    builder = emit.builder
    final = builder.sub(emit.shape(numbers_type, numbers)[0], i.type(1))
    pointers = []
    for r in range(n_rows):
        place = builder.add(i, i.type(r))
        place = builder.select(builder.icmp_signed("<", place, final), place, final)
        row = builder.load(builder.gep(emit.data(numbers_type, numbers), [place]))
        pointers.append(emit.pointer(X_type, X, row, i.type(0)))
    return pointers


def _read_rows(X, numbers, i, n_rows, first, last):
    """Return columns of the rows of X that numbers[i] and the following ones name, the last one repeated."""
    return X[numbers[np.minimum(np.arange(i, i + n_rows), len(numbers) - 1)], first:last]


def _loading_multiplication(n_rows, n_classes):
    """Make the loop that multiplies as `_multiplication` does, and reads the rows of X, which it stores into the tile.

    The products are those of the first classes. The rows are those that numbers[i] and the following ones name, the
    last of them again where fewer than n_rows are left; X has its columns next to each other. Loading them before, in a
    loop of its own, took 134 ns a row of MNIST, a fifth of the pass.
    """

    def generate(context, builder, kinds, arguments):
        X_type, numbers_type, _, scaling_type, tile_type, coef_type, _, _, scores_type, _ = kinds
        X, numbers, i, scaling, tile, coef, first, last, scores, lines = arguments
        emit = Emitter(context, builder, tile_type.dtype)
        zero = first.type(0)
        sources = _row_pointers(emit, X_type, X, numbers_type, numbers, i, n_rows)
        targets = [emit.pointer(tile_type, tile, i, zero, row_step=r) for r in range(n_rows)]
        classes = [emit.pointer(coef_type, coef, zero, zero, row_step=c) for c in range(n_classes)]

        def store(x, j):
            for vector, target in zip(x, targets, strict=True):
                emit.store(vector, builder.gep(target, [j]))

        reader = RowReader(emit, X_type, X, scaling_type, scaling)
        itemsize = context.get_abi_sizeof(context.get_data_type(X_type.dtype))
        sums = _emit_products_of_rows(emit, reader, sources, store, classes, first, last, lines, itemsize)
        emit.add_to_scores(sums, scores_type, scores, zero, i)

    @emitted(generate)
    def loop(X, numbers, i, scaling, tile, coef, first, last, scores, lines):
        x = _read_rows(X, numbers, i, n_rows, first, last).astype(scaling.scale.dtype)
        end = first + x.shape[1]
        tile[i : i + n_rows, first:end] = x * scaling.scale[first:end] + scaling.shift[first:end]
        scores[:n_classes, i : i + n_rows] += coef[:n_classes, first:last] @ tile[i : i + n_rows, first:last].T

    return loop


def _reading_multiplication(n_rows, n_classes):
    """Make the loop that multiplies as `_loading_multiplication` does, from class k on, and stores nothing.

    X enters as it is, without scale and shift.
    """

    def generate(context, builder, kinds, arguments):
        X_type, numbers_type, _, coef_type, _, _, _, scores_type, _ = kinds
        X, numbers, i, coef, k, first, last, scores, lines = arguments
        emit = Emitter(context, builder, coef_type.dtype)
        sources = _row_pointers(emit, X_type, X, numbers_type, numbers, i, n_rows)
        classes = [emit.pointer(coef_type, coef, k, first.type(0), row_step=c) for c in range(n_classes)]

        def keep_nothing(x, j):
            pass

        reader = RowReader(emit, X_type, X)
        itemsize = context.get_abi_sizeof(context.get_data_type(X_type.dtype))
        sums = _emit_products_of_rows(emit, reader, sources, keep_nothing, classes, first, last, lines, itemsize)
        emit.add_to_scores(sums, scores_type, scores, k, i)

    @emitted(generate)
    def loop(X, numbers, i, coef, k, first, last, scores, lines):
        x = _read_rows(X, numbers, i, n_rows, first, last).astype(coef.dtype)
        scores[k : k + n_classes, i : i + n_rows] += coef[k : k + n_classes, first : first + x.shape[1]] @ x.T

    return loop


def _accumulation(n_vectors, n_classes):
    """Make the loop that adds rows times multipliers to n_vectors vectors of the sums of n_classes classes.

    The vectors stand at column j of tile, and at ``column`` of sums.
    """

    def generate(context, builder, kinds, arguments):
        tile_type, _, _, multipliers_type, _, sums_type, _, _ = kinds
        tile, n_rows, j, multipliers, k, sums, column, lines = arguments
        emit = Emitter(context, builder, tile_type.dtype)
        address, step = cgutils.unpack_tuple(builder, lines)
        zero = n_rows.type(0)
        classes = [emit.pointer(multipliers_type, multipliers, k, zero, row_step=c) for c in range(n_classes)]
        parts = [emit.zeros(n_vectors) for _ in range(n_classes)]
        with cgutils.for_range(builder, n_rows, intp=n_rows.type) as loop:
            i = loop.index
            emit.prefetch(builder.add(address, builder.mul(i, step)))
            u = [emit.spread(builder.load(builder.gep(row, [i]))) for row in classes]
            for v in range(n_vectors):
                x = emit.load(emit.pointer(tile_type, tile, i, j, column_step=v * emit.lanes))
                for c in range(n_classes):
                    builder.store(emit.multiply_add(x, u[c], builder.load(parts[c][v])), parts[c][v])
        kind = context.get_value_type(sums_type.dtype)
        wide = ir.VectorType(kind, emit.lanes)
        align = min(VECTOR_BYTES, emit.lanes * context.get_abi_sizeof(kind))
        for c in range(n_classes):
            for v in range(n_vectors):
                place = emit.pointer(sums_type, sums, k, column, row_step=c, column_step=v * emit.lanes)
                part = builder.load(parts[c][v])
                part = part if kind == emit.scalar else builder.fpext(part, wide)
                emit.store(builder.fadd(emit.load(place, vector=wide, align=align), part), place, align=align)

    @emitted(generate)
    def loop(tile, n_rows, j, multipliers, k, sums, column, lines):
        width = n_vectors * VECTOR_BYTES // tile.itemsize
        product = multipliers[k : k + n_classes, :n_rows] @ tile[:n_rows, j : j + width]
        sums[k : k + n_classes, column : column + width] += product

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
    """Write a square of tile, a vector wide, to turned[row:, column:], its rows as columns.

    The square starts at row i and column j. One number after the other took a sixth of a pass with 64 classes.
    """
    lanes = VECTOR_BYTES // tile.itemsize
    turned[row : row + lanes, column : column + lanes] = tile[i : i + lanes, j : j + lanes].T


def _emit_multiply_columns(context, builder, kinds, arguments):
    tile_type, _, _, _, _, products_type, _ = kinds
    tile, n_rows, j, h, count, products, place = arguments
    emit = Emitter(context, builder, tile_type.dtype)
    align = context.get_abi_sizeof(emit.scalar)
    number = n_rows.type
    n_vectors = builder.udiv(builder.add(count, number(emit.lanes - 1)), number(emit.lanes))
    with cgutils.for_range(builder, n_rows, intp=number) as row:
        factor = emit.spread(builder.load(emit.pointer(tile_type, tile, row.index, j)))
        source = emit.pointer(tile_type, tile, row.index, h)
        target = emit.pointer(products_type, products, row.index, place)
        with cgutils.for_range(builder, n_vectors, intp=number) as loop:
            offset = builder.mul(loop.index, number(emit.lanes))
            product = builder.fmul(factor, emit.load(source, offset, align=align))
            emit.store(product, builder.gep(target, [offset]), align=align)


@emitted(_emit_multiply_columns)
def multiply_columns(tile, n_rows, j, h, count, products, place):
    """Write the products of column j and those from h on to ``products``, from ``place`` on.

    Whole vectors are read and written: up to one less a number more than ``count`` columns.
    """
    products[:n_rows, place : place + count] = tile[:n_rows, j : j + 1] * tile[:n_rows, h : h + count]


def _emit_load_square(context, builder, kinds, arguments):
    X_type, _, scaling_type, tile_type, _, _ = kinds
    X, row, scaling, tile, i, j = arguments
    emit = Emitter(context, builder, tile_type.dtype)
    reader = RowReader(emit, X_type, X, scaling_type, scaling)
    array = context.make_array(X_type)(context, builder, X)
    _, stride = cgutils.unpack_tuple(builder, array.strides)
    itemsize = context.get_abi_sizeof(context.get_data_type(X_type.dtype))
    first = builder.bitcast(array.data, cgutils.voidptr_t)
    first = builder.gep(first, [builder.mul(row, row.type(itemsize))])
    tile_rows, _ = emit.shape(tile_type, tile)
    vectors = []
    for c in range(emit.lanes):
        column = builder.add(j, j.type(c))
        source = builder.bitcast(builder.gep(first, [builder.mul(column, stride)]), array.data.type)
        # The next tile's part of the column: 60,000 x 784 takes 80 ms instead of 87.
        emit.prefetch(builder.ptrtoint(builder.gep(source, [tile_rows]), row.type))
        vectors.append(reader.read_column(source, column))
    for r, vector in enumerate(emit.transpose(vectors)):
        emit.store(vector, emit.pointer(tile_type, tile, i, j, row_step=r))


@emitted(_emit_load_square)
def load_square(X, row, scaling, tile, i, j):
    """Fill a square of tile, a vector wide, at row i and column j, with rows of X from ``row`` on.

    The rows of each column of X lie next to each other. x scale + shift is computed in their type.
    """
    lanes = VECTOR_BYTES // tile.itemsize
    part = slice(j, j + lanes)
    x = X[row : row + lanes, part].astype(scaling.scale.dtype)
    tile[i : i + lanes, part] = x * scaling.scale[part] + scaling.shift[part]


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


load_and_multiply_4_rows = _loading_multiplication(4, CLASSES_TOGETHER)
load_and_multiply_4_rows_3_classes = _loading_multiplication(4, 3)
load_and_multiply_rows_1_class = _loading_multiplication(LOADED_ROWS, 1)
read_and_multiply_4_rows = _reading_multiplication(4, CLASSES_TOGETHER)
read_and_multiply_4_rows_3_classes = _reading_multiplication(4, 3)
read_and_multiply_rows_1_class = _reading_multiplication(LOADED_ROWS, 1)
multiply_4_rows = _multiplication(4, CLASSES_TOGETHER)
multiply_4_rows_3_classes = _multiplication(4, 3)
multiply_8_rows_1_class = _multiplication(8, 1)
add_4_vectors = _accumulation(4, CLASSES_TOGETHER)
add_4_vectors_3_classes = _accumulation(4, 3)
add_4_vectors_1_class = _accumulation(4, 1)
add_1_vector = _accumulation(1, CLASSES_TOGETHER)
add_1_vector_1_class = _accumulation(1, 1)
