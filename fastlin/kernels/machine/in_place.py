"""The products of rows of X with one vector, and of one number a row with them, read where X lies.

With one row of coefficients a tile that is written first costs more than the products. Rows that are one piece of
memory are read eight at a time in vectors of columns. Columns that are one piece are rows of the transposed X, and are
read four at a time. Each loop is emitted as LLVM instructions, as those of `simd`. Uncompiled, NumPy stands in.
"""

from numba.core import cgutils

from fastlin.kernels.machine.arrays import CACHE_LINE
from fastlin.kernels.machine.emitter import Emitter, RowReader, emitted

# Eight sums of rows, or four of columns, are enough to hide how long an addition takes.
ROWS_READ, COLUMNS_READ = 8, 4
# The rows that scores and gradient are made of, one after the other, stay in the second-level cache. Small tiles cost
# their overhead: 10,000 x 5 takes 85 microseconds with 32 rows, 55 with 128 and 46 with 512 (one thread).
TILE_BYTES = 250_000
MAX_TILE_ROWS = 512


def count_tile_rows_in_place(n_features: int, itemsize: int) -> int:
    """Return the rows of a tile, whole groups, for X of entries of ``itemsize`` bytes, from the shape alone."""
    return int(min(max(TILE_BYTES // (itemsize * max(1, n_features)) // ROWS_READ, 1) * ROWS_READ, MAX_TILE_ROWS))


def _walk(emit, count, body):
    """Emit the loop over the places of whole vectors of ``count`` numbers; body takes a place, then what is left."""
    builder, lanes = emit.builder, count.type(emit.lanes)
    n_whole = builder.udiv(count, lanes)
    with cgutils.for_range(builder, n_whole) as loop:
        body(builder.mul(loop.index, lanes), None)
    done = builder.mul(n_whole, lanes)
    left = builder.sub(count, done)
    with builder.if_then(builder.icmp_signed(">", left, left.type(0))):
        body(done, left)


def _pointers(emit, X_type, X, row, count, n_left):
    """Return pointers to X[row] and the rows that follow it, the last of n_left repeated."""
    builder = emit.builder
    array = emit.context.make_array(X_type)(emit.context, builder, X)
    stride, _ = cgutils.unpack_tuple(builder, array.strides)
    first = builder.gep(builder.bitcast(array.data, cgutils.voidptr_t), [builder.mul(row, stride)])
    final = builder.sub(n_left, n_left.type(1))
    pointers = []
    for step in map(n_left.type, range(count)):
        step = builder.select(builder.icmp_signed("<", step, final), step, final)
        pointers.append(builder.bitcast(builder.gep(first, [builder.mul(step, stride)]), array.data.type))
    return pointers


def _scoring(count):
    """Make the loop that multiplies ``count`` rows of X and coefficients."""

    def generate(context, builder, kinds, arguments):
        X_type, _, _, coef_type, _, scores_type, _ = kinds
        X, row, n_rows, coef, intercept, scores, i = arguments
        emit = Emitter(context, builder, coef_type.dtype)
        reader = RowReader(emit, X_type, X)
        pointers = _pointers(emit, X_type, X, row, count, n_rows)
        weights, sums = emit.data(coef_type, coef), [emit.zeros(count)]
        _walk(
            emit,
            reader.n_features,
            lambda j, left: emit.add_products(reader.read(pointers, j, left), [emit.load(weights, j)], sums),
        )
        group = min(count, emit.lanes)
        start = emit.spread(intercept)
        start = emit.shuffle(start, start, list(range(group)))
        for r in range(0, count, group):
            total = emit.sum_lanes([builder.load(place) for place in sums[0][r : r + group]])
            place = builder.gep(emit.data(scores_type, scores), [builder.add(i, i.type(r))])
            emit.store(builder.fadd(start, total), place, align=context.get_abi_sizeof(emit.scalar))

    def score(X, row, n_rows, coef, intercept, scores, i):
        """Fill scores[i:] with coef x + intercept of the first of n_rows rows of X from ``row`` on.

        Where there are fewer, the last one fills the rest of these scores. coef (width,) holds whole aligned vectors,
        of finite numbers behind the last column.
        """
        x = X[row : row + min(count, n_rows)].astype(coef.dtype)
        scores[i : i + len(x)] = x @ coef[: X.shape[1]] + intercept

    return emitted(generate)(score)


def _accumulation(count, looks_ahead=False):
    """Make the loop that adds ``count`` rows times their multipliers; it may ask for the rows of the next tile."""

    def generate(context, builder, kinds, arguments):
        X_type, _, _, multipliers_type, _, sums_type = kinds
        X, row, n_rows, multipliers, i, sums = arguments
        emit = Emitter(context, builder, multipliers_type.dtype)
        reader = RowReader(emit, X_type, X)
        pointers = _pointers(emit, X_type, X, row, count, n_rows)
        numbers, places = emit.data(multipliers_type, multipliers), [builder.add(i, i.type(r)) for r in range(count)]
        factors = [emit.spread(builder.load(builder.gep(numbers, [place]))) for place in places]
        total = emit.data(sums_type, sums)
        tile_rows = emit.shape(multipliers_type, multipliers)[0]
        later = _pointers(emit, X_type, X, builder.add(row, tile_rows), count, n_rows)
        in_line = CACHE_LINE // context.get_abi_sizeof(context.get_data_type(X_type.dtype))

        def add(j, left):
            for pointer in later if looks_ahead else ():
                for step in range(0, emit.lanes, in_line):
                    emit.prefetch(builder.ptrtoint(builder.gep(pointer, [builder.add(j, j.type(step))]), j.type))
            vectors, half = reader.read(pointers, j, left), count // 2
            # Two sums that begin anew, so that only one addition waits for what was stored before.
            a, b = builder.fmul(vectors[0], factors[0]), builder.fmul(vectors[half], factors[half])
            for r in range(1, half):
                a = emit.multiply_add(vectors[r], factors[r], a)
                b = emit.multiply_add(vectors[half + r], factors[half + r], b)
            place = builder.gep(total, [j])
            emit.store(builder.fadd(emit.load(place), builder.fadd(a, b)), place)

        _walk(emit, reader.n_features, add)

    def add_rows(X, row, n_rows, multipliers, i, sums):
        """Add multipliers[i + r] X[row + r] to sums for the first of n_rows rows; there zeros follow the last.

        sums (width,) holds whole aligned vectors of the type of multipliers.
        """
        x = X[row : row + min(count, n_rows)].astype(sums.dtype)
        sums[: X.shape[1]] += multipliers[i : i + len(x)] @ x

    return emitted(generate)(add_rows)


score_rows, score_columns = _scoring(ROWS_READ), _scoring(COLUMNS_READ)
# Short rows follow each other so closely that the processor itself asks for them: 1,000,000 x 20 takes 1.1 times as
# long with prefetches, 100,000 x 100 0.8 times.
add_short_rows, add_long_rows = _accumulation(ROWS_READ), _accumulation(ROWS_READ, looks_ahead=True)
add_columns = _accumulation(COLUMNS_READ)
