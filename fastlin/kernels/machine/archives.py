"""The archives of compiled kernels in a wheel, with one file per instruction set level.

A file is a ZIP archive. It contains one member per pair of kernel and signature, and a member with the compatible
versions. Only kernels that other kernels call include LLVM bitcode, and no kernel includes the annotated source.
Bitcode and annotated source account for four fifths of the size of Numba's own cache files.
"""

import hashlib
import importlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fastlin.kernels.machine.cache_folder import hash_sources, log_once
from fastlin.kernels.machine.libraries import binding, dispatcher, llvmlite, numba
from fastlin.kernels.machine.saved_code import pack, unpack

# The folder of the archives in an installed wheel. In a source tree, this folder does not exist.
ARCHIVE_FOLDER = Path(__file__).parents[1] / "compiled"
ARCHIVE_SUFFIX = ".zip"
VERSIONS_FILE_NAME = "stamp.json"
DAMAGED_ARCHIVE_MESSAGE = "%s is damaged. Kernels that cannot be loaded from it are compiled."


def describe_versions() -> dict[str, Any]:
    """Return what compiled kernels depend on: versions, the platform and the hash of the kernels' sources."""
    return {
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "python": sys.implementation.cache_tag,
        "platform": get_platform_name(),
        "sources": hash_sources(),
    }


def get_platform_name():
    """Return LLVM's name of the platform without the version of macOS, on which compiled kernels do not depend."""
    return re.sub(r"(-darwin|-macosx)[\d.]*$", r"\1", binding.get_process_triple())


class Archive:
    """The compiled kernels of one level, which are read from a file into memory.

    The file does not stay open, because forked processes would share a position in it. `versions` is what
    `describe_versions` returned when the archive was written. `n_kernels` is the number of pairs of kernel and
    signature. The constructor raises an OSError, ValueError, KeyError or zipfile.BadZipFile if the file cannot be read
    or is not an archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
        self._names = frozenset(self._zip.namelist())
        self.versions = json.loads(self._zip.read(VERSIONS_FILE_NAME))
        self.n_kernels = len(self._names) - 1

    def load(self, kernel: Callable[..., Any], signature: Any, target_context: Any) -> Any:
        """Return the Numba compile result of a kernel for a tuple of Numba types, or None if the result is absent."""
        name = _get_member_name(kernel, signature)
        if name not in self._names:
            log_once("%s has no code for these types of data. It is compiled now.", self.path)
            return None
        try:
            return unpack(self._zip.read(name), target_context)
        except Exception:
            # If the checksum of the member is wrong or unpickling fails, the kernel is compiled.
            log_once(DAMAGED_ARCHIVE_MESSAGE, self.path)
            return None


def write_archive(path: Path) -> None:
    """Write an archive of the kernels that Python calls and that this process compiled rather than loaded."""
    callees = {other for kernel in list_kernels() for other in _find_callees(kernel)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(VERSIONS_FILE_NAME, json.dumps(describe_versions()))
        for kernel in _list_entry_kernels():
            # Loaded code cannot be serialized again.
            for signature in kernel.overloads.keys() - kernel.stats.cache_hits:
                result = kernel.overloads[signature]
                archive.writestr(
                    _get_member_name(kernel.py_func, signature), pack(result, should_keep_bitcode=kernel in callees)
                )


def list_signatures() -> list[tuple[str, str, Any]]:
    """Return (module, name, argument types) of the kernels that Python has called in this process."""
    return [
        (kernel.__module__, kernel.__name__, types) for kernel in _list_entry_kernels() for types in kernel.overloads
    ]


def compile_signatures(signatures: Iterable[tuple[str, str, Any]]) -> None:
    """Compile the kernels for a result of `list_signatures`, without running them."""
    for module, name, types in signatures:
        getattr(importlib.import_module(module), name).compile(types)


def list_kernels() -> list[Any]:
    """Return the kernels of all imported modules, sorted by name."""
    modules = [module for name, module in sys.modules.items() if name.startswith("fastlin.kernels.")]
    kernels = {
        value for module in modules for value in vars(module).values() if isinstance(value, dispatcher.Dispatcher)
    }
    return sorted(kernels, key=lambda kernel: (kernel.__module__, kernel.__name__))


def _list_entry_kernels():
    """Return the kernels that Python calls; the code of other kernels is part of the code of their callers."""
    return [kernel for kernel in list_kernels() if not kernel.targetoptions["no_cpython_wrapper"]]


def _find_callees(kernel):
    """Yield the kernels that a kernel calls by name."""
    function = kernel.py_func
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, dispatcher.Dispatcher):
            yield value


def _get_member_name(kernel, signature):
    """Return the name of the archive member for a kernel and a signature."""
    digest = hashlib.sha256(repr(signature).encode()).hexdigest()[:24]
    return f"{kernel.__module__}.{kernel.__qualname__}-{digest}"
