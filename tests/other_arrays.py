"""Arrays of other libraries, as NumPy can ask for them."""


class ByArray:
    """An array that NumPy can ask for by `__array__` alone."""

    def __init__(self, values):
        self.values, self.dtype = values, values.dtype

    def __array__(self, dtype=None, copy=None):
        return self.values


class ByDlpack:
    """An array that NumPy can ask for by DLPack alone."""

    def __init__(self, values):
        self._values = values

    def __dlpack__(self, **options):
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()


class OnAnotherDevice(ByDlpack):
    """An array on a GPU, which refuses both, as those of CuPy do."""

    device = "CUDA Device 0"

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __dlpack_device__(self):
        return (2, 0)
