"""The products of rows of X with one vector, and of one number a row with them, read where X lies.

With one row of coefficients a tile that is written first costs more than the products. Rows that are one piece of
memory are read eight at a time in vectors of columns. Columns that are one piece are rows of the transposed X, and are
read four at a time. Each loop is emitted as LLVM instructions, as those of `simd`. Uncompiled, NumPy stands in.
"""

from fastlin.kernels.machine.arrays import CACHE_LINE
from fastlin.kernels.machine.emitter import Emitter, RowReader, emitted
from fastlin.kernels.machine.simd import multiplication, row_pointers

# Eight sums of rows, or four of columns, are enough to hide how long an addition takes.
ROWS_READ, COLUMNS_READ = 8, 4
# The rows that scores and gradient are made of, one after the other, stay in the second-level cache. Small tiles cost
# their overhead: 10,000 x 5 takes 85 microseconds with 32 rows, 55 with 128 and 46 with 512 (one thread).
TILE_BYTES = 250_000
MAX_TILE_ROWS = 512


def count_tile_rows_in_place(n_features: int, itemsize: int) -> int:
    """Return the rows of a tile, whole groups, for X of entries of ``itemsize`` bytes, from the shape alone."""
    return int(min(max(TILE_BYTES // (itemsize * max(1, n_features)) // ROWS_READ, 1) * ROWS_READ, MAX_TILE_ROWS))


def _accumulation(count, looks_ahead=False):
    """Make the loop that adds ``count`` rows times their multipliers; it may ask for the rows of the next tile."""

    def generate(context, builder, kinds, arguments):
        X_type, n_rows_type, _, multipliers_type, sums_type = kinds
        X, n_rows, i, multipliers, sums = arguments
        emit = Emitter(context, builder, multipliers_type.dtype)
        reader = RowReader(emit, X_type, X)
        pointers = row_pointers(emit, X_type, X, n_rows_type, n_rows, i, count)
        numbers, positions = emit.data(multipliers_type, multipliers), [builder.add(i, i.type(r)) for r in range(count)]
        factors = [emit.broadcast(builder.load(builder.gep(numbers, [position]))) for position in positions]
        total = emit.data(sums_type, sums)
        tile_rows = emit.shape(multipliers_type, multipliers)[0]
        later = [emit.pointer(X_type, X, builder.add(position, tile_rows), i.type(0)) for position in positions]
        in_line = CACHE_LINE // context.get_abi_sizeof(context.get_data_type(X_type.dtype))

        def add(_, j, left):
            for pointer in later if looks_ahead else ():
                for step in range(0, emit.lanes, in_line):
                    emit.prefetch(builder.ptrtoint(builder.gep(pointer, [builder.add(j, j.type(step))]), j.type))
            vectors, half = reader.read(pointers, j, left), count // 2
            # Two sums that begin again, so that only one addition waits for what was stored before.
            a, b = builder.fmul(vectors[0], factors[0]), builder.fmul(vectors[half], factors[half])
            for r in range(1, half):
                a = emit.multiply_add(vectors[r], factors[r], a)
                b = emit.multiply_add(vectors[half + r], factors[half + r], b)
            position = builder.gep(total, [j])
            emit.store(builder.fadd(emit.load(position), builder.fadd(a, b)), position)

        reader.walk(i.type(0), reader.n_features, add)

    def add_rows(X, n_rows, i, multipliers, sums):
        """Add multipliers[i + r] X[i + r] to sums for the first n_rows rows; there zeros follow the last.

        sums (width,) holds whole aligned vectors of the type of multipliers.
        """
        x = X[i : min(i + count, n_rows)].astype(sums.dtype)
        sums[: X.shape[1]] += multipliers[i : i + len(x)] @ x

    return emitted(generate)(add_rows)


# Short rows follow each other so closely that the processor itself asks for them: 1,000,000 x 20 takes 1.1 times as
# long with prefetches, 100,000 x 100 0.8 times.
score_rows, score_columns = (multiplication(count, 1, prefetches=False) for count in (ROWS_READ, COLUMNS_READ))
add_short_rows, add_long_rows = _accumulation(ROWS_READ), _accumulation(ROWS_READ, looks_ahead=True)
add_columns = _accumulation(COLUMNS_READ)
