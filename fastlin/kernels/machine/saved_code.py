"""Serialization of compiled kernels, and their files in the user's cache folder.

Numba's own cache has an index per function. If several processes save code at the same time, entries of the index are
lost, or a process loads code that another process saved under the same number (numba issue 4807). In the cache of this
module, the name of a file is a hash of its key, and there is no index.
"""

import hashlib
import pickle
from collections.abc import Callable
from typing import Any

from fastlin.kernels.machine.cache_folder import (
    cache_folder,
    code_folders,
    log_once,
    make_folder,
    read_file,
    write_file,
)
from fastlin.kernels.machine.libraries import binding, compiler, config, serialize

CODE_SUFFIX = ".nbc"
# The Numba settings that affect the code. Numba reads them from environment variables.
NUMBA_SETTINGS = ("OPT", "DEBUGINFO_DEFAULT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "USING_SVML")
NUMBA_SETTINGS += ("EXTEND_VARIABLE_LIFETIMES", "DEBUG_NRT")
CACHE_FAILURE_MESSAGE = "A compiled kernel cannot be %s %s: %s."


def pack(result: Any, should_keep_bitcode: bool = True) -> bytes:
    """Return a Numba compile result as bytes. LLVM bitcode is needed only for kernels that other kernels call."""
    # The annotated source, the seventh item, is omitted, because the code runs without it.
    library, description, environment, signature, in_object_mode, lifted_loops, _, *rest = result._reduce()
    if not should_keep_bitcode:
        name, kind, (code, _) = library
        library = name, kind, (code, binding.parse_assembly("").as_bitcode())
    return serialize.dumps((library, description, environment, signature, in_object_mode, lifted_loops, "", *rest))


def unpack(content: bytes, target_context: Any) -> Any:
    """Return the Numba compile result of a kernel from the bytes that `pack` returned."""
    library, description, *rest = pickle.loads(content)
    # Numba reads the names that a library defines from its bitcode, but `pack` may have omitted the bitcode.
    names = {description.llvm_func_name, description.llvm_cpython_wrapper_name}
    target_context.codegen()._engine._defined_symbols.update(names)
    return compiler.CompileResult._rebuild(target_context, library, description, *rest)


def get_code_file_name(function: Callable[..., Any], *key: Any) -> str:
    """Return the name of the file with the code of a function for a key, which is identified by its `repr`."""
    settings = [getattr(config, name, None) for name in NUMBA_SETTINGS]
    digest = hashlib.sha256(repr((key, settings)).encode())
    digest.update(function.__code__.co_code)
    module_name = function.__module__.removeprefix("fastlin.kernels.")
    name = f"{module_name}.{function.__qualname__}".replace("<", "").replace(">", "")
    return f"{name}-{digest.hexdigest()[:24]}{CODE_SUFFIX}"


def load_code(name: str, target_context: Any) -> Any:
    """Return the compile result from the file with this name, or None if there is no valid file."""
    for folder in code_folders():
        try:
            content = read_file(folder / name)
            if hashlib.sha256(content[32:]).digest() != content[:32]:
                raise ValueError("the file is damaged")
            return unpack(content[32:], target_context)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except Exception as error:
            # Numba's classes are not public, and may differ in another version.
            log_once(CACHE_FAILURE_MESSAGE, "loaded from", folder, f"{type(error).__name__}: {error}")
    return None


def save_code(name: str, result: Any) -> None:
    """Save the compile result of a kernel to a file with this name. If this fails, log a message."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        if result.library.has_dynamic_globals:
            raise ValueError("with these settings of Numba the code contains addresses of this process")
        make_folder(folder)
        content = pack(result)
        write_file(folder / name, hashlib.sha256(content).digest() + content)
    except Exception as error:
        # The fit succeeds even if the disk is full or read-only, or if Numba's classes have changed.
        log_once(CACHE_FAILURE_MESSAGE, "saved in", folder, f"{type(error).__name__}: {error}")
