"""The types of X, and arrays of other libraries, read where they lie; none of these libraries is imported here."""

import sys
from math import isfinite
from typing import Any

import numpy as np

from fastlin.typing import Array

# The types of dense X that kernels read as they are.
DTYPES = [np.dtype(name) for name in ("float64", "float32", "uint8", "int8", "int16", "bool")]
# DLPack's numbers of the devices whose memory NumPy reads: the processor, and memory that it shares with CUDA or ROCm.
READABLE = (1, 3, 11, 13)


def read_in_place(data: Any, name: str = "X") -> Any:
    """Return another library's array as NumPy's in the same memory, bfloat16 as a copy; anything else as it is."""
    if type(data) is np.ndarray and data.dtype.kind != "V":
        return data
    parts = data if isinstance(data, (list, tuple)) else [data]
    if any(isinstance(each, np.ma.MaskedArray) and np.ma.is_masked(each) for each in parts):
        raise ValueError(f"{name} is an array of which entries are masked; give numbers in their place.")
    if isinstance(data, np.ndarray):
        return _widen_bfloat16(data) if data.dtype.kind == "V" and data.dtype.name == "bfloat16" else data
    if not (hasattr(data, "__dlpack__") or _holds_bfloat16(data)):
        return data
    torch: Any = sys.modules.get("torch")
    is_tensor = isinstance(data, getattr(torch, "Tensor", ()))
    if is_tensor and data.layout != torch.strided:
        raise TypeError(
            f"{name} is a tensor of the layout {data.layout}; accepted are dense tensors, such as {name}.to_dense(), "
            "and SciPy's sparse matrices."
        )
    is_readable = _is_readable(data)
    # An array of JAX on another device is copied by the first.
    by_protocol = [np.asarray] * hasattr(data, "__array__") + [np.from_dlpack] * is_readable
    reason = None
    for read in [_read_tensor] if is_tensor else by_protocol:
        try:
            return read_in_place(read(data))
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
            reason = error
    position, dtype = getattr(data, "device", "another device"), getattr(data, "dtype", "a type")
    wrong = f"on {position}, but must lie in the processor's memory: give {name}.cpu(), or with CuPy {name}.get()."
    if is_readable:
        wrong = f"of {dtype} that NumPy cannot read ({reason}); convert it, for instance to float32."
    raise TypeError(f"{name} is a {type(data).__module__.partition('.')[0]}.{type(data).__name__} {wrong}") from reason


def choose_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that dense X of a type is kept in: its own if kernels read it, or a float type that holds it."""
    if dtype in DTYPES:
        return dtype
    return np.dtype(np.float32 if dtype == np.float16 else np.float64)


def widen(X: Any) -> Any:
    """Return an array of float16 as float32, a copy, and anything else as it is."""
    return X.astype(np.float32) if isinstance(X, np.ndarray) and X.dtype == np.float16 else X


def has_finite_sum(array: Array) -> bool:
    """Say whether the sum over all of an array is finite, and therefore each number; others may be finite as well."""
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(np.add.reduce(array, axis=None))


def to_numbers(rows: Array) -> Array:
    """Return rows of objects as float64 where all are numbers, as those of frames with nullable columns are."""
    if rows.ndim != 2 or rows.dtype.kind != "O":
        return rows
    try:
        return rows.astype(np.float64)
    except (TypeError, ValueError):
        return rows


def _widen_bfloat16(data):
    """Return numbers of bfloat16, the upper halves of float32, as float32."""
    return np.left_shift(data.view(np.uint16), 16, dtype=np.uint32).view(np.float32)


def _holds_bfloat16(data):
    """Say whether data of another library, which NumPy's own conversions would copy, are numbers of bfloat16."""
    return hasattr(data, "__array__") and getattr(getattr(data, "dtype", None), "name", "") == "bfloat16"


def _read_tensor(tensor):
    """Return a dense tensor of PyTorch as an array in the same memory, whether gradients are asked for or not."""
    torch = sys.modules["torch"]
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return _widen_bfloat16(tensor.view(torch.int16).numpy())
    return tensor.numpy()


def _is_readable(data):
    """Say whether the data lie where NumPy reads."""
    try:
        return int(data.__dlpack_device__()[0]) in READABLE
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
        return False
