"""Arrays in the formats that kernels require: aligned, writable, and with the same Numba type for any memory layout."""

from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastlin.kernels.machine.libraries import arrayobj, cgutils, extending, imputils, types
from fastlin.typing import Array, FloatType

# The size of a cache line in bytes.
CACHE_LINE = 64


def zeros_aligned(shape, dtype):
    """Return zeros of shape n or (m, n) that start on a cache line, so that no vector load spans two cache lines."""
    n_bytes = prod(shape if isinstance(shape, tuple) else (shape,)) * np.dtype(dtype).itemsize
    memory = np.zeros(n_bytes + CACHE_LINE, np.uint8)
    # np.prod and memory.ctypes have more overhead (docs/benchmarks/design-choices.md: aligned zeros), which matters in
    # a prediction of a single row.
    first = -memory.__array_interface__["data"][0] % CACHE_LINE
    return memory[first : first + n_bytes].view(dtype).reshape(shape)


# In kernels, the function is emitted as LLVM instructions, because compiling the NumPy calls above is slow.
@extending.type_callable(zeros_aligned)
def _type_zeros_aligned(context):
    return lambda shape, dtype: types.Array(dtype.dtype, getattr(shape, "count", 1), "C")


@extending.lower_builtin(zeros_aligned, types.Any, types.DTypeSpec)
def _emit_zeros_aligned(context, builder, signature, arguments):
    array_type, shape = signature.return_type, arguments[0]
    sizes = cgutils.unpack_tuple(builder, shape) if array_type.ndim == 2 else [shape]
    itemsize = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(array_type.dtype)))
    strides = [itemsize]
    for size in sizes[:0:-1]:
        strides.insert(0, builder.mul(strides[0], size))
    n_bytes = builder.mul(strides[0], sizes[0])
    owner = context.nrt.meminfo_alloc_aligned(builder, n_bytes, CACHE_LINE)
    data = context.nrt.meminfo_data(builder, owner)
    cgutils.memset(builder, data, n_bytes, 0)
    array = arrayobj.make_array(array_type)(context, builder)
    pointer = builder.bitcast(data, context.get_data_type(array_type.dtype).as_pointer())
    arrayobj.populate_array(array, data=pointer, shape=sizes, strides=strides, itemsize=itemsize, meminfo=owner)
    return array._getvalue()


def get_contiguous_row(X, i):
    """Return row i of X (n, d), whose rows are contiguous, with the Numba type of a contiguous array.

    With this type, LLVM vectorizes loops over the row.
    """
    return X[i]


@extending.type_callable(get_contiguous_row)
def _type_contiguous_row(context):
    return lambda X, i: types.Array(X.dtype, 1, "C", readonly=not X.mutable)


@extending.lower_builtin(get_contiguous_row, types.Array, types.Integer)
def _emit_contiguous_row(context, builder, signature, arguments):
    X = arrayobj.make_array(signature.args[0])(context, builder, arguments[0])
    shape, strides = cgutils.unpack_tuple(builder, X.shape), cgutils.unpack_tuple(builder, X.strides)
    start = builder.gep(builder.bitcast(X.data, cgutils.voidptr_t), [builder.mul(arguments[1], strides[0])])
    row = arrayobj.make_array(signature.return_type)(context, builder)
    data = builder.bitcast(start, X.data.type)
    arrayobj.populate_array(
        row, data=data, shape=shape[1:], strides=strides[1:], itemsize=X.itemsize, meminfo=X.meminfo
    )
    return imputils.impl_ret_borrowed(context, builder, signature.return_type, row._getvalue())


def get_computation_type(X: Any) -> FloatType:
    """Return the type of computations with X: float32 for float32 data, float64 for everything else."""
    return np.float32 if X.dtype == np.float32 else np.float64


def copy_aligned(values: Array) -> Array:
    """Return a copy of values (n, d) that starts on a cache line."""
    copy = zeros_aligned(values.shape, values.dtype)
    copy[:] = values
    return copy


def writable_view(X: Array) -> Array:
    """Return a view of X that is marked writable, although kernels never write to X.

    Numba would compile every kernel again for read-only arrays (memory maps, arrays in joblib's workers).
    """
    if X.flags.writeable:
        return X
    memory, _ = X.__array_interface__["data"]
    # The view references the namespace, and the namespace references X.
    return np.asarray(SimpleNamespace(__array_interface__={**X.__array_interface__, "data": (memory, False)}, X=X))


def make_any_layout_view(X: Array) -> Array:
    """Return a view of X (n, d) as an array (2, n, d) whose two layers share the same memory.

    Numba would compile a kernel separately for C-contiguous, F-contiguous and other arrays. An array with overlapping
    layers always has the type of a non-contiguous array. Kernels use the first layer, and check the strides at run
    time.
    """
    shape, strides = (2, *X.shape), (0, *X.strides)
    if X.flags.c_contiguous and X.flags.writeable and X.size:
        # This constructor has less overhead than as_strided.
        return np.ndarray(shape, X.dtype, X, 0, strides)
    return np.lib.stride_tricks.as_strided(writable_view(X), shape, strides)
