"""The kernels that an installation compiles: those of the first fits of dense data, as first_fits.json lists them.

    python build_backend/first_fits.py    # runs the fits for two minutes, and writes the list again

With the list a build needs only what the kernels import, and not SciPy and scikit-learn, which take longer to install
than all kernels take to compile. Larger fits need more kernels, which are compiled when a fit first needs them.
"""

import importlib
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

LIST = Path(__file__).with_name("first_fits.json")
MODULE = "fastlin.kernels."


def list_first_fits():
    """Return the fits, by name, whose kernels an installation compiles."""
    from fastlin.warmup import fit_separable

    return {
        "small": partial(fit_separable, "float64", 200, 8, 3),
        "small, float32": partial(fit_separable, "float32", 200, 8, 3),
        "many rows": partial(fit_separable, "float64", 4_000, 40, 3),
        "L1": partial(fit_separable, "float64", 40, 20, 2, l1_ratio=1, C=1000),
    }


def find_signatures():
    """Run the fits in this process, and return the signatures of the kernels that Python has called, longest first."""
    from fastlin.kernels.machine.archives import list_signatures

    def measure(signature):
        module, name, types = signature
        metadata = getattr(importlib.import_module(module), name).overloads[types].metadata or {}
        return metadata.get("timers", {}).get("compiler_lock", 0.0)

    for fit in list_first_fits().values():
        fit()
    return sorted(list_signatures(), key=measure, reverse=True)


def describe_signature(signature):
    """Return a signature as the list holds it: the module, the name, and the type of each argument."""
    module, name, types = signature
    return [module.removeprefix(MODULE), name, *map(describe_type, types)]


def make_signature(line):
    """Return the signature, as `fastlin.kernels.machine.archives` takes it, that `describe_signature` described."""
    module, name, *types = line
    return MODULE + module, name, tuple(map(make_type, types))


def describe_type(numba_type):
    """Return one of Numba's types as JSON: a string, or a list for a named tuple and for an array of records."""
    from numba import types
    from numba.np.numpy_support import as_dtype

    if hasattr(numba_type, "instance_class"):
        tuple_class = numba_type.instance_class
        name = f"{tuple_class.__module__.removeprefix(MODULE)}.{tuple_class.__qualname__}"
        return [name, *map(describe_type, numba_type.types)]
    if isinstance(numba_type, types.Array):
        dtype, layout = as_dtype(numba_type.dtype), f"{numba_type.ndim}{numba_type.layout}"
        return f"{dtype.name} {layout}" if dtype.names is None else [*dtype.descr, layout]
    if isinstance(numba_type, types.Omitted):
        return "omitted"
    return "boolean" if isinstance(numba_type, types.Boolean) else str(numba_type)


def make_type(description):
    """Return the type of Numba's that `describe_type` described."""
    import numpy as np
    from numba import from_dtype, types

    if isinstance(description, str):
        name, _, layout = description.partition(" ")
        if layout:
            return types.Array(from_dtype(np.dtype(name)), int(layout[:-1]), layout[-1])
        return types.Omitted(None) if name == "omitted" else getattr(types, name)
    if isinstance(description[0], str):
        module, _, name = description[0].rpartition(".")
        tuple_class = getattr(importlib.import_module(MODULE + module), name)
        return types.BaseTuple.from_types(tuple(map(make_type, description[1:])), tuple_class)
    *fields, layout = description
    record = np.dtype([(name, kind, *map(tuple, shape)) for name, kind, *shape in fields])
    return types.Array(from_dtype(record), int(layout[:-1]), layout[-1], aligned=False)


def read_signatures():
    """Return the signatures of the list, those first that take longest to compile."""
    return [make_signature(line) for line in json.loads(LIST.read_text(encoding="utf-8"))]


def write_list():
    """Find the signatures, compile them all, and write the list, with one signature per line."""
    lines = [json.dumps(describe_signature(signature)) for signature in find_signatures()]
    LIST.write_text("[\n{}\n]\n".format(",\n".join(lines)), encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    # What was loaded was not timed.
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"NUMBA_CACHE_DIR": folder, "FASTLIN_COMPILERS": "1", "FASTLIN_COMPILED": "off"}
        write_list()
