"""LLVM instructions and function attributes that Numba does not provide; without compilation, NumPy replaces them."""

import ctypes

import numpy as np

from fastlin.kernels.machine.emitter import llvm_intrinsic
from fastlin.kernels.machine.libraries import ir, types

# Without AVX-512, processors have vector conversions between float64 and 32-bit integers, but not 64-bit integers.
INT32 = ir.IntType(32)


def _make_attribute_setter(*attributes):
    """Return a function that adds LLVM attributes to the kernel that calls it. Without compilation it does nothing."""

    def add(context, builder, kinds, arguments):
        for llvm_attribute in attributes:
            builder.function.attributes.add(llvm_attribute)

    return llvm_intrinsic(add)(lambda: None)


# Optimize the kernel for size, without vectorizing or unrolling its own loops, which saves compilation time
# (docs/benchmarks/design-choices.md: compilation for size). Call this in kernels that spend their time in the loops of
# simd.py or in kernels that are not inlined.
optimize_for_size = _make_attribute_setter("optsize", "minsize")
# Never inline the kernel, so that its loops stay vectorized and results are bitwise equal for every layout of X.
prevent_inlining = _make_attribute_setter("noinline")


def _emit_reassociated_sum(context, builder, kinds, arguments):
    return builder.fadd(*arguments, flags=("reassoc", "nsz", "arcp", "contract"))


@llvm_intrinsic(_emit_reassociated_sum, lambda a, b: types.float64(types.float64, types.float64))
def add_reassociated(a, b):
    """Return a + b for float64. LLVM may reorder such additions."""
    return a + b


def _describe_float_format(kind):
    """Return the number of mantissa bits, the exponent bias, and the integer type of the same size."""
    return (52, 1023, ir.IntType(64)) if kind == types.float64 else (23, 127, INT32)


def _emit_power(context, builder, kinds, arguments):
    n_bits, bias, number = _describe_float_format(kinds[0])
    # Without AVX-512, 64-bit integers would be slower (docs/benchmarks/design-choices.md: 32-bit integers in
    # exponentials).
    exponent = builder.add(builder.fptosi(arguments[0], INT32), INT32(bias))
    exponent = builder.zext(exponent, number) if number != INT32 else exponent
    return builder.bitcast(builder.shl(exponent, number(n_bits)), arguments[0].type)


@llvm_intrinsic(_emit_power, lambda n: n(n))
def power_of_two(n):
    """Return 2^n in the type of n, a floating-point number with an integer value."""
    return np.ldexp(type(n)(1), int(n))


def _emit_exponent(context, builder, kinds, arguments):
    n_bits, bias, number = _describe_float_format(kinds[0])
    exponent = builder.lshr(builder.bitcast(arguments[0], number), number(n_bits))
    exponent = builder.trunc(exponent, INT32) if number != INT32 else exponent
    return builder.sitofp(builder.sub(exponent, INT32(bias)), arguments[0].type)


@llvm_intrinsic(_emit_exponent, lambda x: x(x))
def binary_exponent(x):
    """Return the integer n with 2^n <= x < 2^(n + 1) for x > 0, in the type of x."""
    return type(x)(np.frexp(x)[1] - 1)


def _emit_read(context, builder, kinds, arguments):
    kind = context.get_data_type(kinds[1].instance_type)
    # The fields of a record may be unaligned.
    return builder.load(builder.inttoptr(arguments[0], kind.as_pointer()), align=1)


@llvm_intrinsic(_emit_read, lambda address, dtype: dtype.instance_type(types.intp, dtype))
def read_address(address, dtype):
    """Return the number of type ``dtype`` at an address. The caller must keep the memory alive."""
    memory = ctypes.string_at(int(address), np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype)[0]
