"""The list first_fits.json of kernels that an installation compiles: the kernels of first fits to dense data.

    python build_backend/first_fits.py    # runs the fits, about two minutes, and updates the list

With the list, a build requires only the packages that kernels import. It does not require SciPy and scikit-learn, whose
installation would take longer than the compilation. Larger fits use more kernels, which are compiled when they are
first needed.
"""

import importlib
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

SIGNATURES_PATH = Path(__file__).with_name("first_fits.json")
KERNELS_MODULE_PREFIX = "fastlin.kernels."


def list_first_fits():
    """Return the fits whose kernels an installation compiles, keyed by their names."""
    from fastlin.warmup import fit_separable

    return {
        "small": partial(fit_separable, "float64", 200, 8, 3),
        "small, float32": partial(fit_separable, "float32", 200, 8, 3),
        "many rows": partial(fit_separable, "float64", 4_000, 40, 3),
        "L1": partial(fit_separable, "float64", 40, 20, 2, l1_ratio=1, C=1000),
        "L1, float32": partial(fit_separable, "float32", 40, 20, 2, l1_ratio=1, C=1000),
    }


def find_signatures():
    """Run the fits in this process, and return the signatures of the kernels that Python calls.

    They are in descending order of compilation time.
    """
    from fastlin.kernels.machine.archives import list_signatures

    def measure(signature):
        module, name, types = signature
        metadata = getattr(importlib.import_module(module), name).overloads[types].metadata or {}
        return metadata.get("timers", {}).get("compiler_lock", 0.0)

    for fit in list_first_fits().values():
        fit()
    return sorted(list_signatures(), key=measure, reverse=True)


def describe_signature(signature):
    """Return a signature in the format of the list: module, name, and the type of each argument."""
    module, name, types = signature
    return [module.removeprefix(KERNELS_MODULE_PREFIX), name, *map(describe_type, types)]


def make_signature(line):
    """Return a signature for `fastlin.kernels.machine.archives` from the result of `describe_signature`."""
    module, name, *types = line
    return KERNELS_MODULE_PREFIX + module, name, tuple(map(make_type, types))


def describe_type(numba_type):
    """Return a Numba type as JSON: a list for a named tuple or an array of records, otherwise a string."""
    from numba import types
    from numba.np.numpy_support import as_dtype

    if hasattr(numba_type, "instance_class"):
        tuple_class = numba_type.instance_class
        name = f"{tuple_class.__module__.removeprefix(KERNELS_MODULE_PREFIX)}.{tuple_class.__qualname__}"
        return [name, *map(describe_type, numba_type.types)]
    if isinstance(numba_type, types.Array):
        dtype, layout = as_dtype(numba_type.dtype), f"{numba_type.ndim}{numba_type.layout}"
        return f"{dtype.name} {layout}" if dtype.names is None else [*dtype.descr, layout]
    if isinstance(numba_type, types.Omitted):
        return "omitted"
    return "boolean" if isinstance(numba_type, types.Boolean) else str(numba_type)


def make_type(description):
    """Return the Numba type for a result of `describe_type`."""
    import numpy as np
    from numba import from_dtype, types

    if isinstance(description, str):
        name, _, layout = description.partition(" ")
        if layout:
            return types.Array(from_dtype(np.dtype(name)), int(layout[:-1]), layout[-1])
        return types.Omitted(None) if name == "omitted" else getattr(types, name)
    if isinstance(description[0], str):
        module, _, name = description[0].rpartition(".")
        tuple_class = getattr(importlib.import_module(KERNELS_MODULE_PREFIX + module), name)
        return types.BaseTuple.from_types(tuple(map(make_type, description[1:])), tuple_class)
    *fields, layout = description
    record = np.dtype([(name, kind, *map(tuple, shape)) for name, kind, *shape in fields])
    return types.Array(from_dtype(record), int(layout[:-1]), layout[-1], aligned=False)


def read_signatures():
    """Return the signatures in the list, in descending order of compilation time."""
    return [make_signature(line) for line in json.loads(SIGNATURES_PATH.read_text(encoding="utf-8"))]


def write_signatures():
    """Find the signatures, compile them all, and write the list, with one signature per line."""
    lines = [json.dumps(describe_signature(signature)) for signature in find_signatures()]
    SIGNATURES_PATH.write_text("[\n{}\n]\n".format(",\n".join(lines)), encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    # The cache folder is empty, because loaded kernels have no compilation time.
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"NUMBA_CACHE_DIR": folder, "FASTLIN_COMPILED": "off"}
        write_signatures()
