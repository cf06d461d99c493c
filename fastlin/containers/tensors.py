"""Supported dtypes of X, and conversion of other libraries' arrays without copies or imports of the libraries."""

import sys
from math import isfinite
from typing import Any

import numpy as np

from fastlin.typing import Array

# The dtypes of dense X that kernels read without conversion.
KERNEL_DTYPES = [np.dtype(name) for name in ("float64", "float32", "uint8", "int8", "int16", "bool")]
# DLPack device types whose memory NumPy can read: CPU, and pinned or managed memory of CUDA or ROCm.
READABLE_DEVICE_TYPES = (1, 3, 11, 13)


def view_as_numpy(data: Any, name: str = "X") -> Any:
    """Return an array of another library as a NumPy array in the same memory. Return other data unchanged.

    Arrays of bfloat16 are copied.
    """
    if type(data) is np.ndarray and data.dtype.kind != "V":
        return data
    parts = data if isinstance(data, (list, tuple)) else [data]
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        raise ValueError(f"{name} is a masked array with masked entries. Fill them in first.")
    if isinstance(data, np.ndarray):
        return _widen_bfloat16(data) if data.dtype.kind == "V" and data.dtype.name == "bfloat16" else data
    if not (hasattr(data, "__dlpack__") or _is_bfloat16(data)):
        return data
    torch: Any = sys.modules.get("torch")
    is_tensor = isinstance(data, getattr(torch, "Tensor", ()))
    if is_tensor and data.layout != torch.strided:
        raise TypeError(
            f"{name} is a tensor with layout {data.layout}, but only dense tensors are accepted. Pass "
            f"{name}.to_dense(), or a SciPy sparse matrix."
        )
    is_readable_by_numpy = _is_readable_by_numpy(data)
    # np.asarray also copies JAX arrays from other devices.
    array_converters = [np.asarray] * hasattr(data, "__array__") + [np.from_dlpack] * is_readable_by_numpy
    reason = None
    for read in [_read_tensor] if is_tensor else array_converters:
        try:
            return view_as_numpy(read(data))
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
            reason = error
    device, dtype = getattr(data, "device", "another device"), getattr(data, "dtype", "unknown")
    problem = f"on {device}, but must be in CPU memory. Pass {name}.cpu(), or {name}.get() for CuPy."
    if is_readable_by_numpy:
        problem = f"with dtype {dtype}, which NumPy cannot read ({reason}). Convert it, for example to float32."
    kind = f"{type(data).__module__.partition('.')[0]}.{type(data).__name__}"
    raise TypeError(f"{name} is a {kind} {problem}") from reason


def choose_kernel_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype to which dense X is converted: `dtype` if kernels support it, otherwise a float dtype."""
    if dtype in KERNEL_DTYPES:
        return dtype
    return np.dtype(np.float32 if dtype == np.float16 else np.float64)


def widen_float16(X: Any) -> Any:
    """Return a float16 array as float32. Return other data unchanged."""
    return X.astype(np.float32) if isinstance(X, np.ndarray) and X.dtype == np.float16 else X


def has_finite_sum(array: Array) -> bool:
    """Return whether the sum of an array is finite. Then all entries are finite, but the converse is not true."""
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(np.add.reduce(array, axis=None))


def convert_to_float(rows: Array) -> Array:
    """Return rows of dtype object as float64 if all entries are numbers. Nullable columns give such rows."""
    if rows.ndim != 2 or rows.dtype.kind != "O":
        return rows
    try:
        return rows.astype(np.float64)
    except (TypeError, ValueError):
        return rows


def _widen_bfloat16(data):
    """Return bfloat16 numbers, the upper 16 bits of float32, as float32."""
    return np.left_shift(data.view(np.uint16), 16, dtype=np.uint32).view(np.float32)


def _is_bfloat16(data):
    """Return whether an array of another library contains bfloat16 numbers."""
    return hasattr(data, "__array__") and getattr(getattr(data, "dtype", None), "name", "") == "bfloat16"


def _read_tensor(tensor):
    """Return a dense PyTorch tensor as an array in the same memory, even if the tensor requires gradients."""
    torch = sys.modules["torch"]
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return _widen_bfloat16(tensor.view(torch.int16).numpy())
    return tensor.numpy()


def _is_readable_by_numpy(data):
    """Return whether the data are in memory that NumPy can read."""
    try:
        return int(data.__dlpack_device__()[0]) in READABLE_DEVICE_TYPES
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
        return False
