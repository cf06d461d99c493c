"""The products X v and X' u for single vectors u and v, which read X in place.

With one row of coefficients, writing a tile costs more than the products. Contiguous rows are read eight at a time, in
vectors of columns. Contiguous columns are the rows of the transpose of X, and are read four at a time. The loops are
emitted as LLVM instructions, like those in `simd`. Without compilation, NumPy computes the same results.
"""

from fastlin.kernels.machine.emitter import Emitter, RowReader, llvm_intrinsic
from fastlin.kernels.machine.simd import make_multiplication, make_row_pointers

# Eight sums of rows, or four of columns, are enough to hide the latency of additions.
ROWS_PER_STEP, COLUMNS_PER_STEP = 8, 4
# A tile stays in the L2 cache between its scores and its gradient. Small tiles cause more overhead
# (docs/benchmarks/design-choices.md: rows of a tile in place).
TILE_BYTES = 250_000
MAX_TILE_ROWS = 512


def count_tile_rows_in_place(n_features: int, itemsize: int) -> int:
    """Return the number of rows per tile, in whole groups, for X with entries of ``itemsize`` bytes."""
    return int(
        min(max(TILE_BYTES // (itemsize * max(1, n_features)) // ROWS_PER_STEP, 1) * ROWS_PER_STEP, MAX_TILE_ROWS)
    )


def _make_accumulation_loop(count):
    """Return the loop that adds ``count`` rows times their multipliers."""

    def generate_code(context, builder, kinds, arguments):
        X_type, n_rows_type, _, multipliers_type, sums_type = kinds
        X, n_rows, i, multipliers, sums = arguments
        emit = Emitter(context, builder, multipliers_type.dtype)
        reader = RowReader(emit, X_type, X)
        row_pointers = make_row_pointers(emit, X_type, X, n_rows_type, n_rows, i, count)
        multiplier_pointer, positions = (
            emit.data(multipliers_type, multipliers),
            [builder.add(i, i.type(r)) for r in range(count)],
        )
        factors = [emit.broadcast(builder.load(builder.gep(multiplier_pointer, [position]))) for position in positions]
        total = emit.data(sums_type, sums)

        def add(j, n_remaining_columns):
            vectors, half = reader.read(row_pointers, j, n_remaining_columns), count // 2
            # Two independent sums, so that only one addition depends on the stored sum.
            a, b = builder.fmul(vectors[0], factors[0]), builder.fmul(vectors[half], factors[half])
            for r in range(1, half):
                a = emit.multiply_add(vectors[r], factors[r], a)
                b = emit.multiply_add(vectors[half + r], factors[half + r], b)
            position = builder.gep(total, [j])
            emit.store(builder.fadd(emit.load(position), builder.fadd(a, b)), position)

        reader.emit_loop(i.type(0), reader.n_features, add)

    def add_multiplied_rows(X, n_rows, i, multipliers, sums):
        """Add multipliers[i + r] X[i + r] to `sums` for i + r < n_rows. Beyond n_rows, the multipliers must be zero.

        `sums` (width,) consists of whole aligned vectors of the type of `multipliers`.
        """
        x = X[i : min(i + count, n_rows)].astype(sums.dtype)
        sums[: X.shape[1]] += multipliers[i : i + len(x)] @ x

    return llvm_intrinsic(generate_code)(add_multiplied_rows)


score_rows, score_columns = (make_multiplication(count, 1) for count in (ROWS_PER_STEP, COLUMNS_PER_STEP))
score_long_rows = make_multiplication(ROWS_PER_STEP, 1, should_prefetch=True)
add_multiplied_rows, add_multiplied_columns = (
    _make_accumulation_loop(count) for count in (ROWS_PER_STEP, COLUMNS_PER_STEP)
)
