"""Arrays in the form that kernels run best on."""

import numpy as np

from fastlin.kernels.compilation import kernel

CACHE_LINE = 64


@kernel
def empty_aligned(n_rows, n_columns, like):
    """Return an uninitialised (n_rows, n_columns) array of like's type that starts on a cache line.

    A 64-byte load that spans two lines costs two: unaligned gradients made the float32 pass 1.15 times slower.
    """
    itemsize = like.itemsize
    memory = np.empty(n_rows * n_columns + CACHE_LINE // itemsize, like.dtype)
    first = (-memory.ctypes.data % CACHE_LINE) // itemsize
    return memory[first : first + n_rows * n_columns].reshape(n_rows, n_columns)


def compute_type(X):
    """Return the type that X is worked on in: float32 data in float32, everything else in float64."""
    return np.float32 if X.dtype == np.float32 else np.float64


def copy_aligned(values):
    """Return a copy of values (n, d) that starts on a cache line."""
    # A type to imitate that is the same for every layout of values: one compilation.
    copy = empty_aligned(*values.shape, np.empty(0, values.dtype))
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
