"""Arrays in the form that kernels run best on."""

import numpy as np
from numba.core import cgutils, types
from numba.extending import lower_builtin, type_callable
from numba.np.arrayobj import make_array, populate_array

CACHE_LINE = 64


def zeros_aligned(shape, dtype):
    """Return zeros of a type, of shape n or (m, n), in C order, that start on a cache line.

    A 64-byte load that spans two lines costs two: unaligned gradients made the float32 pass 1.15 times slower.
    """
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(n_bytes + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    return memory[first : first + n_bytes].view(dtype).reshape(shape)


# In kernels as instructions in place: what Numba makes of NumPy's functions above takes a second and a half to compile.
@type_callable(zeros_aligned)
def _type_zeros_aligned(context):
    return lambda shape, dtype: types.Array(dtype.dtype, getattr(shape, "count", 1), "C")


@lower_builtin(zeros_aligned, types.Any, types.DTypeSpec)
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
    array = make_array(array_type)(context, builder)
    pointer = builder.bitcast(data, context.get_data_type(array_type.dtype).as_pointer())
    populate_array(array, data=pointer, shape=sizes, strides=strides, itemsize=itemsize, meminfo=owner)
    return array._getvalue()


def compute_type(X):
    """Return the type that X is worked on in: float32 data in float32, everything else in float64."""
    return np.float32 if X.dtype == np.float32 else np.float64


def copy_aligned(values):
    """Return a copy of values (n, d) that starts on a cache line."""
    copy = zeros_aligned(values.shape, values.dtype)
    copy[:] = values
    return copy


def writable_view(X):
    """Return X as an array marked writable, the same memory: kernels never write to X.

    Numba compiles every kernel anew for arrays marked read-only (memory maps, joblib's workers), seconds each.
    """
    if X.flags.writeable:
        return X
    return np.asarray(_Writable(X))


class _Writable:
    """The array interface of X with the read-only mark taken off; keeps X alive."""

    def __init__(self, X):
        interface = X.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}
        self._X = X
