"""Stand-ins for other libraries' arrays, one for each supported protocol."""


class ArrayProtocolStub:
    """An array that supports only `__array__`."""

    def __init__(self, values):
        self.values, self.dtype = values, values.dtype

    def __array__(self, dtype=None, copy=None):
        return self.values


class DlpackStub:
    """An array that supports only DLPack."""

    def __init__(self, values):
        self._values = values

    def __dlpack__(self, **options):
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()


class OtherDeviceStub(DlpackStub):
    """A GPU array that NumPy cannot read through either protocol, like CuPy arrays."""

    device = "CUDA Device 0"

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __dlpack_device__(self):
        return (2, 0)
