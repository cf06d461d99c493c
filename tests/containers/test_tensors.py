"""Arrays of other libraries are read without a copy. Unreadable arrays raise an error that names the argument."""

import numpy as np
import pytest
from conftest import assert_raises
from other_arrays import ArrayProtocolStub, DlpackStub, OtherDeviceStub

from fastlin.containers.tensors import choose_kernel_dtype, view_as_numpy, widen_float16


def test_types_that_kernels_do_not_support_become_floats():
    float16_values = np.arange(2**16, dtype=np.uint16).view(np.float16)
    np.testing.assert_array_equal(widen_float16(float16_values), float16_values.astype(np.float32))
    for kind, expected in (("f2", "f4"), ("i4", "f8"), ("u2", "f8"), (">f4", "f8"), ("f4", "f4"), ("?", "?")):
        values = np.zeros((2, 3), kind)
        assert choose_kernel_dtype(values.dtype) == np.dtype(expected)
        assert widen_float16(values) is values or kind == "f2"


def test_arrays_of_both_protocols_are_read_without_a_copy():
    values = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    for kind in (ArrayProtocolStub, DlpackStub):
        for layout in (values, values.T, values[:, ::2]):
            actual = np.asarray(view_as_numpy(kind(layout)))
            np.testing.assert_array_equal(actual, layout)
            assert np.shares_memory(actual, values)
    for unconverted_value in (values, [[1.0]], "text", None):
        assert view_as_numpy(unconverted_value) is unconverted_value


class Broken(DlpackStub):
    dtype = "float8"

    def __dlpack__(self, **options):
        raise BufferError("no such type")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (OtherDeviceStub, r"X_val is a .*OtherDeviceStub on CUDA Device 0.*X_val.cpu\(\)"),
        (Broken, r"X_val is a .*Broken with dtype float8, which NumPy cannot read .no such type."),
    ],
)
def test_tensors_that_numpy_cannot_read_are_named(kind, message):
    assert_raises(message, view_as_numpy, kind(np.ones((3, 2), np.float32)), "X_val", error=TypeError)


def test_bfloat16_of_ml_dtypes_and_jax():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    # A bfloat16 is the upper half of a float32.
    bits = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    for layout in (bits, bits.T, bits[::2, ::-3]):
        for array in (layout.view(ml_dtypes.bfloat16), ArrayProtocolStub(layout.view(ml_dtypes.bfloat16))):
            actual = view_as_numpy(array)
            assert actual.dtype == np.float32
            np.testing.assert_array_equal(actual.view(np.uint32), np.uint32(1) * layout * 2**16)
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    values = np.random.default_rng(0).normal(size=(5, 6)).astype(ml_dtypes.bfloat16)
    for array in (jax.numpy.asarray(values), jax.numpy.asarray(values.astype(np.float32)), jax.numpy.arange(5)):
        actual = view_as_numpy(array)
        np.testing.assert_array_equal(actual, np.asarray(array).astype(actual.dtype))
        assert actual.ctypes.data == array.unsafe_buffer_pointer() or array.dtype.name == "bfloat16"


def test_tensors_of_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    values = torch.arange(12.0).reshape(3, 4)
    kinds = torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool
    for tensor in map(values.to, kinds):
        parameter = torch.nn.Parameter(tensor, requires_grad=tensor.dtype.is_floating_point)
        for array in (tensor, tensor.T, tensor[:, ::2], parameter):
            actual = view_as_numpy(array)
            if tensor.dtype != torch.bfloat16:
                assert actual.ctypes.data == array.data_ptr()
                assert actual.strides == tuple(actual.itemsize * step for step in array.stride())
            np.testing.assert_array_equal(actual, array.detach().double().numpy().astype(actual.dtype))
    for array, message in (
        (values.to("meta"), r"X is a torch.Tensor on meta.*X.cpu\(\)"),
        (values.to_sparse(), r"X is a tensor with layout torch.sparse_coo.*X.to_dense\(\)"),
        (
            values.to(torch.float8_e4m3fn),
            r"X is a torch.Tensor with dtype torch.float8_e4m3fn, which NumPy cannot read",
        ),
    ):
        assert_raises(message, view_as_numpy, array, error=TypeError)
