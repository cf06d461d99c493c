"""Single instructions and attributes that Numba has no name for; uncompiled, NumPy stands in or nothing is done."""

import ctypes

import numpy as np

from fastlin.kernels.machine.emitter import emitted
from fastlin.kernels.machine.libraries import ir, types

# Below AVX-512 no vector instruction converts between float64 and whole numbers of its size, and LLVM converts them one
# by one: an exponential then takes 1.81 ns, by way of smaller ones 1.6.
WHOLE_32 = ir.IntType(32)


def _attributes(*attributes):
    """Make a function that gives the kernel which calls it attributes of LLVM's; uncompiled it does nothing."""

    def add(context, builder, kinds, arguments):
        for attribute in attributes:
            builder.function.attributes.add(attribute)

    return emitted(add)(lambda: None)


# Compiled for size, without loops of its own vectorized or unrolled: for kernels that spend their time in the loops of
# simd.py and in kernels compiled apart. A first fit takes a second less.
compile_small = _attributes("optsize", "minsize")
# Never made part of the caller: what is written to be vectorized stays so, and has the same bits for every layout of X.
compile_apart = _attributes("noinline")


def _emit_free_sum(context, builder, kinds, arguments):
    return builder.fadd(*arguments, flags=("reassoc", "nsz", "arcp", "contract"))


@emitted(_emit_free_sum, lambda a, b: types.float64(types.float64, types.float64))
def add_freely(a, b):
    """Return a + b of two float64, an addition that may change places with others like it."""
    return a + b


def _bits(kind):
    """Return the number of mantissa bits, the bias of the exponent and the whole number of the same size."""
    return (52, 1023, ir.IntType(64)) if kind == types.float64 else (23, 127, WHOLE_32)


def _emit_power(context, builder, kinds, arguments):
    n_bits, bias, number = _bits(kinds[0])
    exponent = builder.add(builder.fptosi(arguments[0], WHOLE_32), WHOLE_32(bias))
    exponent = builder.zext(exponent, number) if number != WHOLE_32 else exponent
    return builder.bitcast(builder.shl(exponent, number(n_bits)), arguments[0].type)


@emitted(_emit_power, lambda n: n(n))
def power_of_two(n):
    """Return 2 to the power of a whole number n of a float type, in that type."""
    return np.ldexp(type(n)(1), int(n))


def _emit_exponent(context, builder, kinds, arguments):
    n_bits, bias, number = _bits(kinds[0])
    exponent = builder.lshr(builder.bitcast(arguments[0], number), number(n_bits))
    exponent = builder.trunc(exponent, WHOLE_32) if number != WHOLE_32 else exponent
    return builder.sitofp(builder.sub(exponent, WHOLE_32(bias)), arguments[0].type)


@emitted(_emit_exponent, lambda x: x(x))
def binary_exponent(x):
    """Return the whole number n with 2^n <= x < 2^(n + 1), x > 0, in the type of x."""
    return type(x)(np.frexp(x)[1] - 1)


def _emit_read(context, builder, kinds, arguments):
    kind = context.get_data_type(kinds[1].instance_type)
    # Numbers of a record may lie anywhere.
    return builder.load(builder.inttoptr(arguments[0], kind.as_pointer()), align=1)


@emitted(_emit_read, lambda address, dtype: dtype.instance_type(types.intp, dtype))
def read_at(address, dtype):
    """Return the number of a type at an address. The caller keeps alive what lies there."""
    memory = ctypes.string_at(int(address), np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype)[0]
