"""The innermost loops of the products in explicit vectors, whose accumulators stay in registers.

Left to itself the compiler reloads sums in every step and transposes them one number at a time: 5 classes of 4 rows
took 250 instructions after the last product, here 55. Each loop is written for one number of rows (or vectors of
features) and classes, and emitted as LLVM instructions; the host decides how wide vectors are. Uncompiled, NumPy
stands in.
"""

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic


def _host_vector_bytes():
    # Another processor than the host's may have been asked for, for code that is kept.
    features = config.CPU_FEATURES
    if features is None:
        if config.CPU_NAME:
            return 16
        features = llvmlite.binding.get_host_cpu_features().flatten()
    return 64 if "+avx512f" in features else 32 if "+avx2" in features else 16


VECTOR_BYTES = _host_vector_bytes()
# The sums of 4 rows (or vectors), a vector of each class and one of a row fill 26 of 32 registers, or all of 16.
CLASSES = 5 if VECTOR_BYTES == 64 else 3
ROW_GROUP = 8
CACHE_LINE = 64
# With one class a walk over X is bound by memory: eight rows at a time, and eight cache lines asked for in each step,
# one for each row (1,000,000 rows of 30 columns: 28.3 ms, with one line 36.9).
LOADED_ROWS = 8
# Float64 rows that are worked on in float32 have fewer steps than cache lines (MNIST: 34.5 ms, with one line 39.3).
WIDE_LINES = 4


def emit_prefetch(builder, address, for_writing, locality):
    """Ask for the cache line at an address: locality 3 is the first-level cache, 2 the second-level one."""
    number = ir.IntType(32)
    shape = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
    hint = cgutils.get_or_insert_function(builder.module, shape, "llvm.prefetch.p0")
    pointer = builder.inttoptr(address, cgutils.voidptr_t)
    builder.call(hint, [pointer, number(int(for_writing)), number(locality), number(1)])


class Emitter:
    """A builder of LLVM instructions with the few that the loops need, on vectors of one type."""

    def __init__(self, context, builder, kind, lanes=None):
        self.context = context
        self.builder = builder
        self.scalar = context.get_value_type(kind)
        self.lanes = lanes or VECTOR_BYTES // (kind.bitwidth // 8)
        self.vector = ir.VectorType(self.scalar, self.lanes)

    def pointer(self, array_type, value, row, column, row_step=0, column_step=0):
        """Return the pointer to array[row + row_step, column + column_step]."""
        array = self.context.make_array(array_type)(self.context, self.builder, value)
        row_stride, _ = cgutils.unpack_tuple(self.builder, array.strides)
        add, mul = self.builder.add, self.builder.mul
        number = row.type
        offset = mul(add(row, number(row_step)), row_stride)
        itemsize = self.context.get_abi_sizeof(self.context.get_data_type(array_type.dtype))
        offset = add(offset, mul(add(column, number(column_step)), number(itemsize)))
        raw = self.builder.bitcast(array.data, cgutils.voidptr_t)
        return self.builder.bitcast(self.builder.gep(raw, [offset]), array.data.type)

    def load(self, pointer, index=None, vector=None, align=None):
        if index is not None:
            pointer = self.builder.gep(pointer, [index])
        vector = vector or self.vector
        return self.builder.load(self.builder.bitcast(pointer, vector.as_pointer()), align=align or VECTOR_BYTES)

    def store(self, value, pointer, align=None):
        self.builder.store(value, self.builder.bitcast(pointer, value.type.as_pointer()), align=align or VECTOR_BYTES)

    def multiply_add(self, a, b, c):
        # Fused where the processor has it, else two instructions.
        name = f"llvm.fmuladd.v{self.lanes}f{64 if isinstance(self.scalar, ir.DoubleType) else 32}"
        shape = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, shape, name), [a, b, c])

    def load_part(self, pointer, kind, n_lanes):
        """Return the first n_lanes numbers of the array's type behind a pointer, zeros behind them, converted."""
        builder, number = self.builder, ir.IntType(32)
        vector = ir.VectorType(pointer.type.pointee, self.lanes)
        lanes = ir.Constant(ir.VectorType(number, self.lanes), list(range(self.lanes)))
        count = builder.insert_element(ir.Constant(lanes.type, ir.Undefined), n_lanes, number(0))
        mask = builder.icmp_signed("<", lanes, self.shuffle(count, count, [0] * self.lanes))
        element = pointer.type.pointee
        name = f"i{element.width}" if isinstance(element, ir.IntType) else f"f{kind.bitwidth}"
        shape = ir.FunctionType(vector, [cgutils.voidptr_t, number, mask.type, vector])
        load = cgutils.get_or_insert_function(builder.module, shape, f"llvm.masked.load.v{self.lanes}{name}.p0")
        align = number(self.context.get_abi_sizeof(element))
        pointer = builder.bitcast(pointer, cgutils.voidptr_t)
        return self.convert(builder.call(load, [pointer, align, mask, ir.Constant(vector, None)]), kind)

    def convert(self, vector, kind):
        """Return a vector of numbers of a Numba type in the type computed in."""
        if not isinstance(kind, types.Float):
            signed = isinstance(kind, types.Integer) and kind.signed
            return (self.builder.sitofp if signed else self.builder.uitofp)(vector, self.vector)
        if vector.type == self.vector:
            return vector
        narrow = isinstance(self.scalar, ir.FloatType)
        return (self.builder.fptrunc if narrow else self.builder.fpext)(vector, self.vector)

    def spread(self, scalar):
        number = ir.IntType(32)
        one = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), scalar, number(0))
        mask = ir.Constant(ir.VectorType(number, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, one, mask)

    def shuffle(self, a, b, places):
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
        return self.builder.shuffle_vector(a, b, mask)

    def sum_lanes(self, vectors):
        """Return one vector of the sums over the lanes of each of a power of two of vectors, at most the lanes."""
        width = 1
        while len(vectors) > 1:
            # Lanes in blocks of `width`: the even blocks of a and b, then their odd ones.
            blocks = range(0, self.lanes, 2 * width)
            even = [p + q + side for p in blocks for side in (0, self.lanes) for q in range(width)]
            odd = [place + width for place in even]
            vectors = [
                self.builder.fadd(self.shuffle(a, b, even), self.shuffle(a, b, odd))
                for a, b in zip(vectors[::2], vectors[1::2], strict=True)
            ]
            width *= 2
        total, lanes = vectors[0], self.lanes
        while lanes > width:
            lanes //= 2
            low, high = list(range(lanes)), list(range(lanes, 2 * lanes))
            total = self.builder.fadd(self.shuffle(total, total, low), self.shuffle(total, total, high))
        return total

    def add_products(self, rows, weights, sums):
        """Add rows[r] weights[c], vectors, to the place sums[c][r]."""
        for r, x in enumerate(rows):
            for c, w in enumerate(weights):
                self.builder.store(self.multiply_add(x, w, self.builder.load(sums[c][r])), sums[c][r])

    def add_to_scores(self, sums, scores_type, scores, k, i):
        """Add the lanes of the places sums[c][r] to scores[k + c, i + r]."""
        n_rows = len(sums[0])
        group = min(n_rows, self.lanes)
        align = self.context.get_abi_sizeof(self.scalar)
        for c, places in enumerate(sums):
            for r in range(0, n_rows, group):
                total = self.sum_lanes([self.builder.load(place) for place in places[r : r + group]])
                place = self.pointer(scores_type, scores, k, i, row_step=c, column_step=r)
                old = self.load(place, vector=total.type, align=align)
                self.store(self.builder.fadd(old, total), place, align=align)

    def prefetch(self, address):
        # Into the second-level cache: the first-level one holds what is worked on.
        emit_prefetch(self.builder, address, for_writing=False, locality=2)

    def zeros(self, count):
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        places = [cgutils.alloca_once(self.builder, self.vector) for _ in range(count)]
        for place in places:
            self.builder.store(zero, place)
        return places


class _Loader:
    """Loads vectors of some rows of X: in the type of factors x factors + offsets, then in that computed in."""

    def __init__(self, emit, X_type, X, factors_type, factors, offsets_type, offsets):
        context, builder = emit.context, emit.builder
        self._emit, self._X_kind, self._kind = emit, X_type.dtype, factors_type.dtype
        self._work = Emitter(context, builder, factors_type.dtype, emit.lanes)
        self.n_features = cgutils.unpack_tuple(builder, context.make_array(X_type)(context, builder, X).shape)[1]
        self._scale = context.make_array(factors_type)(context, builder, factors).data
        self._shift = context.make_array(offsets_type)(context, builder, offsets).data

    def __call__(self, rows, j, left=None):
        """Return the vectors from column j on of rows, pointers; of the first `left` columns, zeros behind them."""
        work, element = self._work, rows[0].type.pointee
        scale, shift = work.load(self._scale, j), work.load(self._shift, j)
        align = work.context.get_abi_sizeof(element)
        vectors = []
        for row in rows:
            if left is None:
                x = work.convert(work.load(row, j, ir.VectorType(element, work.lanes), align), self._X_kind)
            else:
                count = work.builder.trunc(left, ir.IntType(32))
                x = work.load_part(work.builder.gep(row, [j]), self._X_kind, count)
            vectors.append(self._emit.convert(work.multiply_add(x, scale, shift), self._kind))
        return vectors


def _multiplication(n_rows, n_classes):
    """Make the loop that adds the products of n_rows rows and n_classes classes to their scores."""

    def uncompiled(tile, i, coef, k, first, last, scores, address, step):
        scores[k : k + n_classes, i : i + n_rows] += (
            coef[k : k + n_classes, first:last] @ tile[i : i + n_rows, first:last].T
        )

    if config.DISABLE_JIT:
        return uncompiled

    @intrinsic
    def compiled(typing_context, tile, i, coef, k, first, last, scores, address, step):
        def generate(context, builder, signature, arguments):
            tile_type, _, coef_type, _, _, _, scores_type, _, _ = signature.args
            tile, i, coef, k, first, last, scores, address, step = arguments
            emit = Emitter(context, builder, tile_type.dtype)
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
            return context.get_dummy_value()

        return types.void(tile, i, coef, k, first, last, scores, address, step), generate

    return compiled


def lines_in_step(n_classes, itemsize, tile_itemsize):
    """Return how many cache lines a loop that reads X asks for in each step, by the sizes of an entry of X and tile."""
    if n_classes == 1:
        return LOADED_ROWS
    return WIDE_LINES if itemsize > tile_itemsize else 1


def _loading_multiplication(n_rows, n_classes):
    """Make the loop that does the same for the first classes, and reads the rows of X, which it stores into the tile.

    The rows are those that rows[start + i] and the following ones name, the last of them again where fewer than
    n_rows are left before ``stop``; X has its columns next to each other. Loading them before, in a loop of its own,
    took 134 ns a row of MNIST, a fifth of the pass.
    """

    def uncompiled(X, rows, start, stop, i, factors, offsets, tile, coef, first, last, scores, address, step):
        for r in range(n_rows):
            x = X[rows[min(start + i + r, stop - 1)], first:last]
            end = first + len(x)
            tile[i + r, first:end] = x.astype(factors.dtype) * factors[first:end] + offsets[first:end]
        scores[:n_classes, i : i + n_rows] += coef[:n_classes, first:last] @ tile[i : i + n_rows, first:last].T

    if config.DISABLE_JIT:
        return uncompiled

    @intrinsic
    def compiled(
        typing_context, X, rows, start, stop, i, factors, offsets, tile, coef, first, last, scores, address, step
    ):
        def generate(context, builder, signature, arguments):
            X_type, rows_type, _, _, _, factors_type, offsets_type, tile_type, coef_type, _, _, scores_type, _, _ = (
                signature.args
            )
            X, rows, start, stop, i, factors, offsets, tile, coef, first, last, scores, address, step = arguments
            emit = Emitter(context, builder, tile_type.dtype)
            load = _Loader(emit, X_type, X, factors_type, factors, offsets_type, offsets)
            zero, lanes = first.type(0), first.type(emit.lanes)
            numbers = context.make_array(rows_type)(context, builder, rows).data
            begin, final = builder.add(start, i), builder.sub(stop, first.type(1))
            sources, targets = [], []
            for r in range(n_rows):
                place = builder.add(begin, first.type(r))
                place = builder.select(builder.icmp_signed("<", place, final), place, final)
                row = builder.load(builder.gep(numbers, [place]))
                sources.append(emit.pointer(X_type, X, row, zero))
                targets.append(emit.pointer(tile_type, tile, i, zero, row_step=r))
            classes = [emit.pointer(coef_type, coef, zero, zero, row_step=c) for c in range(n_classes)]
            sums = [emit.zeros(n_rows) for _ in range(n_classes)]

            def multiply(j, left=None):
                x = load(sources, j, left)
                for vector, target in zip(x, targets, strict=True):
                    emit.store(vector, builder.gep(target, [j]))
                emit.add_products(x, [emit.load(weights, j) for weights in classes], sums)

            sizes = [context.get_abi_sizeof(context.get_data_type(array.dtype)) for array in (X_type, tile_type)]
            n_lines = lines_in_step(n_classes, *sizes)

            def prefetch(index):
                for line in range(n_lines):
                    place = builder.add(builder.mul(index, first.type(n_lines)), first.type(line))
                    emit.prefetch(builder.add(address, builder.mul(place, step)))

            features = builder.and_(load.n_features, first.type(-emit.lanes))
            end = builder.select(builder.icmp_signed("<", features, last), features, last)
            count = builder.udiv(builder.sub(end, first), lanes)
            with cgutils.for_range(builder, count) as loop:
                prefetch(loop.index)
                multiply(builder.add(first, builder.mul(loop.index, lanes)))
            left = builder.sub(load.n_features, end)
            partial = builder.and_(builder.icmp_signed("<", end, last), builder.icmp_signed(">", left, zero))
            with builder.if_then(partial):
                prefetch(count)
                multiply(end, left)
            emit.add_to_scores(sums, scores_type, scores, zero, i)
            return context.get_dummy_value()

        arguments = X, rows, start, stop, i, factors, offsets, tile, coef, first, last, scores, address, step
        return types.void(*arguments), generate

    return compiled


def _accumulation(n_vectors, n_classes):
    """Make the loop that adds rows times multipliers to n_vectors vectors of the sums of n_classes classes."""

    def uncompiled(tile, n_rows, j, multipliers, k, sums, address, step):
        last = j + n_vectors * VECTOR_BYTES // tile.itemsize
        sums[k : k + n_classes, j:last] += multipliers[k : k + n_classes, :n_rows] @ tile[:n_rows, j:last]

    if config.DISABLE_JIT:
        return uncompiled

    @intrinsic
    def compiled(typing_context, tile, n_rows, j, multipliers, k, sums, address, step):
        def generate(context, builder, signature, arguments):
            tile_type, _, _, multipliers_type, _, sums_type, _, _ = signature.args
            tile, n_rows, j, multipliers, k, sums, address, step = arguments
            emit = Emitter(context, builder, tile_type.dtype)
            zero = n_rows.type(0)
            classes = [emit.pointer(multipliers_type, multipliers, k, zero, row_step=c) for c in range(n_classes)]
            parts = [emit.zeros(n_vectors) for _ in range(n_classes)]
            with cgutils.for_range(builder, n_rows, intp=n_rows.type) as loop:
                i = loop.index
                emit.prefetch(builder.add(address, builder.mul(i, step)))
                u = [emit.spread(builder.load(builder.gep(factors, [i]))) for factors in classes]
                for v in range(n_vectors):
                    x = emit.load(emit.pointer(tile_type, tile, i, j, column_step=v * emit.lanes))
                    for c in range(n_classes):
                        builder.store(emit.multiply_add(x, u[c], builder.load(parts[c][v])), parts[c][v])
            kind = context.get_value_type(sums_type.dtype)
            wide = ir.VectorType(kind, emit.lanes)
            align = min(VECTOR_BYTES, emit.lanes * context.get_abi_sizeof(kind))
            for c in range(n_classes):
                for v in range(n_vectors):
                    place = emit.pointer(sums_type, sums, k, j, row_step=c, column_step=v * emit.lanes)
                    part = builder.load(parts[c][v])
                    part = part if kind == emit.scalar else builder.fpext(part, wide)
                    emit.store(builder.fadd(emit.load(place, vector=wide, align=align), part), place, align=align)
            return context.get_dummy_value()

        return types.void(tile, n_rows, j, multipliers, k, sums, address, step), generate

    return compiled


def _statistics(n_vectors):
    """Make the loop that takes rows into the four figures of n_vectors vectors of columns."""

    def uncompiled(tile, n_rows, weights, shifts, figures, j):
        part = slice(j, j + n_vectors * VECTOR_BYTES // tile.itemsize)
        x = tile[:n_rows, part]
        figures[0, part] += weights[:n_rows] @ (x - shifts[part])
        figures[1, part] += weights[:n_rows] @ (x - shifts[part]) ** 2
        figures[2, part] = np.fmin(figures[2, part], np.fmin.reduce(x))
        figures[3, part] = np.fmax(figures[3, part], np.fmax.reduce(x))

    if config.DISABLE_JIT:
        return uncompiled

    @intrinsic
    def compiled(typing_context, tile, n_rows, weights, shifts, figures, j):
        def generate(context, builder, signature, arguments):
            tile_type, _, weights_type, shifts_type, figures_type, _ = signature.args
            tile, n_rows, weights, shifts, figures, j = arguments
            emit = Emitter(context, builder, tile_type.dtype)
            factors = context.make_array(weights_type)(context, builder, weights).data
            origins = context.make_array(shifts_type)(context, builder, shifts).data
            zero = j.type(0)
            columns = [builder.add(j, j.type(v * emit.lanes)) for v in range(n_vectors)]
            origin = [emit.load(origins, column) for column in columns]
            places = [
                [emit.pointer(figures_type, figures, zero, column, row_step=r) for r in range(4)] for column in columns
            ]
            kept = [emit.zeros(4) for _ in columns]
            for v in range(n_vectors):
                for place, figure in zip(places[v], kept[v], strict=True):
                    builder.store(emit.load(place), figure)
            with cgutils.for_range(builder, n_rows, intp=j.type) as loop:
                s = emit.spread(builder.load(builder.gep(factors, [loop.index])))
                for v, column in enumerate(columns):
                    x = emit.load(emit.pointer(tile_type, tile, loop.index, column))
                    total, square, low, high = (builder.load(figure) for figure in kept[v])
                    d = builder.fsub(x, origin[v])
                    weighted = builder.fmul(s, d)
                    low = builder.select(builder.fcmp_ordered("<", x, low), x, low)
                    high = builder.select(builder.fcmp_ordered(">", x, high), x, high)
                    found = builder.fadd(total, weighted), emit.multiply_add(weighted, d, square), low, high
                    for value, figure in zip(found, kept[v], strict=True):
                        builder.store(value, figure)
            for v in range(n_vectors):
                for place, figure in zip(places[v], kept[v], strict=True):
                    emit.store(builder.load(figure), place)
            return context.get_dummy_value()

        return types.void(tile, n_rows, weights, shifts, figures, j), generate

    return compiled


def _bits(kind):
    """Return the number of mantissa bits, the bias of the exponent and the whole number of the same size."""
    return (52, 1023, ir.IntType(64)) if kind == types.float64 else (23, 127, ir.IntType(32))


if config.DISABLE_JIT:

    def power_of_two(n):
        """Return 2 to the power of a whole number n of a float type, in that type."""
        return np.ldexp(type(n)(1), int(n))

    def binary_exponent(x):
        """Return the whole number n with 2^n <= x < 2^(n + 1), x > 0, in the type of x."""
        return type(x)(np.frexp(x)[1] - 1)

else:

    @intrinsic
    def power_of_two(typing_context, n):
        """Return 2 to the power of a whole number n of a float type, in that type."""
        n_bits, bias, number = _bits(n)

        def generate(context, builder, signature, arguments):
            exponent = builder.add(builder.fptosi(arguments[0], number), number(bias))
            return builder.bitcast(builder.shl(exponent, number(n_bits)), arguments[0].type)

        return n(n), generate

    @intrinsic
    def binary_exponent(typing_context, x):
        """Return the whole number n with 2^n <= x < 2^(n + 1), x > 0, in the type of x."""
        n_bits, bias, number = _bits(x)

        def generate(context, builder, signature, arguments):
            exponent = builder.lshr(builder.bitcast(arguments[0], number), number(n_bits))
            return builder.sitofp(builder.sub(exponent, number(bias)), arguments[0].type)

        return x(x), generate


def _attributes(*attributes):
    """Make a function that gives the kernel which calls it attributes of LLVM's; uncompiled it does nothing."""

    def uncompiled():
        pass

    def compiled(typing_context):
        def generate(context, builder, signature, arguments):
            for attribute in attributes:
                builder.function.attributes.add(attribute)
            return context.get_dummy_value()

        return types.void(), generate

    return uncompiled if config.DISABLE_JIT else intrinsic(compiled)


# Compiled for size, without loops of its own vectorised or unrolled: for kernels that spend their time in the loops of
# this file and in kernels compiled apart. A first fit takes a second less.
compile_small = _attributes("optsize", "minsize")
# Never made part of the caller: what is written to be vectorised stays so, and has the same bits for every layout of X.
compile_apart = _attributes("noinline")


def _request(for_writing):
    """Make a function that asks for the cache line at an address; uncompiled it does nothing."""

    def uncompiled(address):
        pass

    def compiled(typing_context, address):
        def generate(context, builder, signature, arguments):
            emit_prefetch(builder, arguments[0], for_writing, locality=3)
            return context.get_dummy_value()

        return types.void(types.intp), generate

    return uncompiled if config.DISABLE_JIT else intrinsic(compiled)


request_line, request_line_to_write = _request(for_writing=False), _request(for_writing=True)


if config.DISABLE_JIT:

    def load_row(X, row, factors, offsets, tile, i):
        """tile[i, j] = X[row, j] factors[j] + offsets[j] in their type, offsets[j] behind the last feature."""
        d = X.shape[1]
        tile[i, :d] = X[row].astype(factors.dtype) * factors[:d] + offsets[:d]
        tile[i, d:] = offsets[d:]

else:

    @intrinsic
    def load_row(typing_context, X, row, factors, offsets, tile, i):
        """tile[i, j] = X[row, j] factors[j] + offsets[j] in their type, offsets[j] behind the last feature."""

        def generate(context, builder, signature, arguments):
            X_type, _, factors_type, offsets_type, tile_type, _ = signature.args
            X, row, factors, offsets, tile, i = arguments
            emit = Emitter(context, builder, tile_type.dtype)
            load = _Loader(emit, X_type, X, factors_type, factors, offsets_type, offsets)
            zero, lanes = row.type(0), row.type(emit.lanes)
            source, target = emit.pointer(X_type, X, row, zero), emit.pointer(tile_type, tile, i, zero)
            n_whole = builder.udiv(load.n_features, lanes)
            with cgutils.for_range(builder, n_whole) as loop:
                j = builder.mul(loop.index, lanes)
                (x,) = load([source], j)
                emit.store(x, builder.gep(target, [j]))
            width = cgutils.unpack_tuple(builder, context.make_array(factors_type)(context, builder, factors).shape)[0]
            with cgutils.for_range(builder, builder.udiv(width, lanes), start=n_whole) as loop:
                j = builder.mul(loop.index, lanes)
                (x,) = load([source], j, builder.sub(load.n_features, j))
                emit.store(x, builder.gep(target, [j]))
            return context.get_dummy_value()

        return types.void(X, row, factors, offsets, tile, i), generate


load_and_multiply_4_rows = _loading_multiplication(4, CLASSES)
load_and_multiply_4_rows_3_classes = _loading_multiplication(4, 3)
load_and_multiply_rows_1_class = _loading_multiplication(LOADED_ROWS, 1)
multiply_4_rows = _multiplication(4, CLASSES)
multiply_4_rows_3_classes = _multiplication(4, 3)
multiply_8_rows_1_class = _multiplication(8, 1)
add_4_vectors = _accumulation(4, CLASSES)
add_4_vectors_3_classes = _accumulation(4, 3)
add_4_vectors_1_class = _accumulation(4, 1)
add_1_vector = _accumulation(1, CLASSES)
add_1_vector_1_class = _accumulation(1, 1)
take_4_vectors, take_1_vector = _statistics(4), _statistics(1)
