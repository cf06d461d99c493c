"""The builder of LLVM instructions for the loops in `simd` and `gather`, and the vector width of these loops.

Numba relies on LLVM to vectorize loops. The few loops in which a fit spends most of its time are emitted as explicit
vector instructions instead. `Emitter` provides their common instructions: loads with conversion, multiply-adds, sums
over lanes, and prefetches.
"""

import inspect

from fastlin.kernels.machine.arrays import CACHE_LINE
from fastlin.kernels.machine.libraries import cgutils, config, extending, ir, types
from fastlin.kernels.machine.target import TARGET

VECTOR_BYTES = TARGET.vector_bytes


def llvm_intrinsic(emit, infer_signature=types.void):
    """Return a decorator that replaces calls of a Python function in kernels with emitted LLVM instructions.

    ``emit(context, builder, kinds, arguments)`` emits the instructions for operands of the Numba types ``kinds``, and
    returns the result or None. ``infer_signature`` returns the Numba signature for the types of the operands.
    """

    def decorate(python_function):
        if config.DISABLE_JIT:
            return python_function

        def intrinsic_definition(typing_context, *operands):
            def generate_code(context, builder, signature, arguments):
                result = emit(context, builder, signature.args, arguments)
                return context.get_dummy_value() if result is None else result

            return infer_signature(*operands), generate_code

        # Numba reads the names of the operands from the signature.
        operands = inspect.signature(python_function).parameters.values()
        first = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        vars(intrinsic_definition)["__signature__"] = inspect.Signature([first, *operands])
        intrinsic_definition.__doc__ = python_function.__doc__
        return extending.intrinsic(intrinsic_definition)

    return decorate


class Emitter:
    """A builder of instructions on vectors with ``lanes`` numbers of one type.

    ``kind`` is the Numba type of the computations. By default, the vectors are as wide as those of the processor.
    `scalar` and `vector` are LLVM types.
    """

    def __init__(self, context, builder, kind, lanes=None):
        self.context = context
        self.builder = builder
        self.scalar = context.get_value_type(kind)
        self.lanes = lanes or VECTOR_BYTES // (kind.bitwidth // 8)
        self.vector = ir.VectorType(self.scalar, self.lanes)

    def data(self, array_type, array):
        """Return the pointer to the first entry of an array."""
        return self.context.make_array(array_type)(self.context, self.builder, array).data

    def shape(self, array_type, array):
        """Return the shape of an array."""
        return cgutils.unpack_tuple(
            self.builder, self.context.make_array(array_type)(self.context, self.builder, array).shape
        )

    def pointer(self, array_type, value, row, column, row_offset=0, column_offset=0):
        """Return the pointer to array[row + row_offset, column + column_offset]."""
        array = self.context.make_array(array_type)(self.context, self.builder, value)
        row_stride, _ = cgutils.unpack_tuple(self.builder, array.strides)
        add, mul = self.builder.add, self.builder.mul
        number = row.type
        byte_offset = mul(add(row, number(row_offset)), row_stride)
        itemsize = self.context.get_abi_sizeof(self.context.get_data_type(array_type.dtype))
        byte_offset = add(byte_offset, mul(add(column, number(column_offset)), number(itemsize)))
        byte_pointer = self.builder.bitcast(array.data, cgutils.voidptr_t)
        return self.builder.bitcast(self.builder.gep(byte_pointer, [byte_offset]), array.data.type)

    def load(self, pointer, index=None, vector=None, align=None):
        """Return the vector at pointer + index. ``align`` is the alignment in bytes, by default that of a vector."""
        if index is not None:
            pointer = self.builder.gep(pointer, [index])
        vector = vector or self.vector
        return self.builder.load(self.builder.bitcast(pointer, vector.as_pointer()), align=align or VECTOR_BYTES)

    def store(self, value, pointer, align=None):
        """Write a vector to a pointer. ``align`` is its alignment in bytes, by default that of a vector."""
        self.builder.store(value, self.builder.bitcast(pointer, value.type.as_pointer()), align=align or VECTOR_BYTES)

    def multiply_add(self, a, b, c):
        """Return a b + c, as a fused instruction if the processor supports it, and otherwise as two instructions."""
        name = f"llvm.fmuladd.v{self.lanes}f{64 if isinstance(self.scalar, ir.DoubleType) else 32}"
        shape = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, shape, name), [a, b, c])

    def load_partial_vector(self, pointer, kind, n_lanes):
        """Return the first n_lanes numbers of type ``kind`` at a pointer, converted and padded with zeros."""
        builder, number = self.builder, ir.IntType(32)
        vector = ir.VectorType(pointer.type.pointee, self.lanes)
        lanes = ir.Constant(ir.VectorType(number, self.lanes), list(range(self.lanes)))
        count = builder.insert_element(ir.Constant(lanes.type, ir.Undefined), n_lanes, number(0))
        mask = builder.icmp_signed("<", lanes, self.shuffle(count, count, [0] * self.lanes))
        element_type = pointer.type.pointee
        name = f"i{element_type.width}" if isinstance(element_type, ir.IntType) else f"f{kind.bitwidth}"
        shape = ir.FunctionType(vector, [cgutils.voidptr_t, number, mask.type, vector])
        load = cgutils.get_or_insert_function(builder.module, shape, f"llvm.masked.load.v{self.lanes}{name}.p0")
        align = number(self.context.get_abi_sizeof(element_type))
        pointer = builder.bitcast(pointer, cgutils.voidptr_t)
        return self.convert(builder.call(load, [pointer, align, mask, ir.Constant(vector, None)]), kind)

    def convert(self, vector, kind):
        """Return a vector of numbers of the Numba type ``kind``, converted to the type of the computations."""
        if not isinstance(kind, types.Float):
            signed = isinstance(kind, types.Integer) and kind.signed
            return (self.builder.sitofp if signed else self.builder.uitofp)(vector, self.vector)
        if vector.type == self.vector:
            return vector
        is_narrowing_conversion = isinstance(self.scalar, ir.FloatType)
        return (self.builder.fptrunc if is_narrowing_conversion else self.builder.fpext)(vector, self.vector)

    def broadcast(self, scalar):
        """Return a vector whose lanes all equal a scalar."""
        number = ir.IntType(32)
        one = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), scalar, number(0))
        mask = ir.Constant(ir.VectorType(number, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, one, mask)

    def shuffle(self, a, b, positions):
        """Return the lanes of the concatenation of a and b at ``positions``."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(positions)), positions)
        return self.builder.shuffle_vector(a, b, mask)

    def transpose(self, vectors):
        """Return the transpose of a square of vectors. The number of vectors equals the number of lanes."""
        half = self.lanes // 2
        low = [position // 2 + position % 2 * self.lanes for position in range(self.lanes)]
        high = [position + half for position in low]
        for _ in range(half.bit_length()):
            pairs = list(zip(vectors[:half], vectors[half:], strict=True))
            vectors = [self.shuffle(a, b, positions) for a, b in pairs for positions in (low, high)]
        return vectors

    def sum_lanes(self, vectors):
        """Return one vector with the lane sums of all vectors.

        The number of vectors must be a power of two and at most the number of lanes.
        """
        width = 1
        while len(vectors) > 1:
            # Add the even and the odd blocks of `width` lanes of a and b.
            blocks = range(0, self.lanes, 2 * width)
            even_lanes = [p + q + lane_offset for p in blocks for lane_offset in (0, self.lanes) for q in range(width)]
            odd_lanes = [position + width for position in even_lanes]
            vectors = [
                self.builder.fadd(self.shuffle(a, b, even_lanes), self.shuffle(a, b, odd_lanes))
                for a, b in zip(vectors[::2], vectors[1::2], strict=True)
            ]
            width *= 2
        total, lanes = vectors[0], self.lanes
        while lanes > width:
            lanes //= 2
            low, high = list(range(lanes)), list(range(lanes, 2 * lanes))
            total = self.builder.fadd(self.shuffle(total, total, low), self.shuffle(total, total, high))
        return total

    def add_products(self, rows, classes, sums):
        """Add the product of the vectors rows[r] and classes[c] to the variable sums[c][r]."""
        for r, x in enumerate(rows):
            for c, w in enumerate(classes):
                self.builder.store(self.multiply_add(x, w, self.builder.load(sums[c][r])), sums[c][r])

    def add_to_scores(self, sums, scores_type, scores, k, i):
        """Add the sum over the lanes of the variable sums[c][r] to scores[k + c, i + r]."""
        n_rows = len(sums[0])
        group = min(n_rows, self.lanes)
        align = self.context.get_abi_sizeof(self.scalar)
        for c, positions in enumerate(sums):
            for r in range(0, n_rows, group):
                total = self.sum_lanes([self.builder.load(position) for position in positions[r : r + group]])
                position = self.pointer(scores_type, scores, k, i, row_offset=c, column_offset=r)
                old_scores = self.load(position, vector=total.type, align=align)
                self.store(self.builder.fadd(old_scores, total), position, align=align)

    def prefetch(self, pointer, index):
        """Prefetch the cache lines of a vector at pointer + index to the L2 cache. The L1 cache has current data."""
        itemsize = self.context.get_abi_sizeof(pointer.type.pointee)
        number = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        prefetch_function = cgutils.get_or_insert_function(self.builder.module, shape, "llvm.prefetch.p0")
        is_write, locality, is_data_cache = number(0), number(2), number(1)
        for lane in range(0, self.lanes, CACHE_LINE // itemsize):
            address = self.builder.gep(pointer, [self.builder.add(index, index.type(lane))])
            address = self.builder.bitcast(address, cgutils.voidptr_t)
            self.builder.call(prefetch_function, [address, is_write, locality, is_data_cache])

    def zeros(self, count):
        """Return ``count`` variables, each a vector of zeros. LLVM keeps these variables in registers."""
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        positions = [cgutils.alloca_once(self.builder, self.vector) for _ in range(count)]
        for position in positions:
            self.builder.store(zero, position)
        return positions


class RowReader:
    """A reader of vectors from the contiguous rows of X, which converts the vectors to the type of an Emitter.

    With a scaling, x scale + shift is computed in the type of `scale` before the conversion. X, `scaling` and
    `n_features`, the number of columns of X, are LLVM values.
    """

    def __init__(self, emit, X_type, X, scaling_type=None, scaling=None):
        self._emit, self._X_kind = emit, X_type.dtype
        self.n_features = emit.shape(X_type, X)[1]
        self._computation_emitter = emit
        self._scaling = None
        if scaling is not None:
            scale_type, shift_type = scaling_type.types
            self._computation_emitter = Emitter(emit.context, emit.builder, scale_type.dtype, emit.lanes)
            self._kind = scale_type.dtype
            scale, shift = (emit.builder.extract_value(scaling, position) for position in (0, 1))
            self._scaling = emit.data(scale_type, scale), emit.data(shift_type, shift)

    def read(self, rows, j, n_remaining_columns=None):
        """Return one vector per row pointer, starting at column j.

        If ``n_remaining_columns`` is not None, only ``n_remaining_columns`` columns remain, and the vectors are padded
        with zeros.
        """
        computation_emitter, element_type = self._computation_emitter, rows[0].type.pointee
        scaling = self._scaling and [computation_emitter.load(values, j) for values in self._scaling]
        align = computation_emitter.context.get_abi_sizeof(element_type)
        vectors = []
        for row in rows:
            if n_remaining_columns is None:
                x = computation_emitter.convert(
                    computation_emitter.load(row, j, ir.VectorType(element_type, computation_emitter.lanes), align),
                    self._X_kind,
                )
            else:
                count = computation_emitter.builder.trunc(n_remaining_columns, ir.IntType(32))
                x = computation_emitter.load_partial_vector(
                    computation_emitter.builder.gep(row, [j]), self._X_kind, count
                )
            vectors.append(
                self._emit.convert(computation_emitter.multiply_add(x, *scaling), self._kind) if scaling else x
            )
        return vectors

    def emit_loop(self, first, last, emit_body):
        """Emit the loop over the vectors of the columns from `first` to `last`, including an incomplete last vector.

        The arguments of ``emit_body`` are the first column of a vector, and the number of columns of an incomplete
        vector, or None for a full vector.
        """
        builder, lanes = self._emit.builder, self._emit.lanes
        whole = builder.and_(self.n_features, first.type(-lanes))
        end = builder.select(builder.icmp_signed("<", whole, last), whole, last)
        count = builder.udiv(builder.sub(end, first), first.type(lanes))
        with cgutils.for_range(builder, count) as loop:
            emit_body(builder.add(first, builder.mul(loop.index, first.type(lanes))), None)
        n_remaining_columns = builder.sub(self.n_features, end)
        has_partial_vector = builder.and_(
            builder.icmp_signed("<", end, last), builder.icmp_signed(">", n_remaining_columns, first.type(0))
        )
        with builder.if_then(has_partial_vector):
            emit_body(end, n_remaining_columns)
