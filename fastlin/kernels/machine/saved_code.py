"""The code of a compiled kernel as bytes, and the files that keep it in the user's cache folder.

Numba's own cache has an index of each function, in which two processes that save at once lose each other's entries, and
by which one may load what the other has saved under the same number (numba issue 4807). Here the name of a file follows
from what it holds, and there is no index.
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

SUFFIX = ".nbc"
# Numba's settings, from the environment, that change the code.
SETTINGS = ("OPT", "DEBUGINFO_DEFAULT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "USING_SVML")
SETTINGS += ("EXTEND_VARIABLE_LIFETIMES", "DEBUG_NRT")
FAILED = "A compiled kernel cannot be %s %s: %s."


def pack(result: Any, with_bitcode: bool = True) -> bytes:
    """Return a kernel's code, a result of Numba's, as bytes; only kernels that others call need LLVM's bitcode."""
    # The annotated source, the seventh, is not needed to run it.
    library, description, environment, signature, in_objects, lifted, _, *rest = result._reduce()
    if not with_bitcode:
        name, kind, (code, _) = library
        library = name, kind, (code, binding.parse_assembly("").as_bitcode())
    return serialize.dumps((library, description, environment, signature, in_objects, lifted, "", *rest))


def unpack(content: bytes, target_context: Any) -> Any:
    """Return what Numba has made of a kernel, from bytes that `pack` has returned, in Numba's context."""
    library, description, *rest = pickle.loads(content)
    # Numba takes the names that a library defines from its bitcode, which may be left out.
    names = {description.llvm_func_name, description.llvm_cpython_wrapper_name}
    target_context.codegen()._engine._defined_symbols.update(names)
    return compiler.CompileResult._rebuild(target_context, library, description, *rest)


def name_file(function: Callable[..., Any], *key: Any) -> str:
    """Return the name of the file that keeps the code of a function for a key, whose `repr` tells it from others."""
    settings = [getattr(config, name, None) for name in SETTINGS]
    digest = hashlib.sha256(repr((key, settings)).encode())
    digest.update(function.__code__.co_code)
    layer = function.__module__.removeprefix("fastlin.kernels.")
    name = f"{layer}.{function.__qualname__}".replace("<", "").replace(">", "")
    return f"{name}-{digest.hexdigest()[:24]}{SUFFIX}"


def load_code(name: str, target_context: Any) -> Any:
    """Return the code in a file of that name as `unpack` does; None where there is none that can be used."""
    for folder in code_folders():
        try:
            content = read_file(folder / name)
            if hashlib.sha256(content[32:]).digest() != content[:32]:
                raise ValueError("the file is damaged")
            return unpack(content[32:], target_context)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except Exception as error:
            # Numba's classes are not public, and another version of it may have changed them.
            log_once(FAILED, "loaded from", folder, f"{type(error).__name__}: {error}")
    return None


def save_code(name: str, result: Any) -> None:
    """Keep the code of a kernel in a file of that name; a line in the log says where it cannot be kept."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        if result.library.has_dynamic_globals:
            raise ValueError("with these settings of Numba code holds addresses of its process")
        make_folder(folder)
        content = pack(result)
        write_file(folder / name, hashlib.sha256(content).digest() + content)
    except Exception as error:
        # A full or read-only disk, or another Numba, costs the cache, not the fit.
        log_once(FAILED, "kept in", folder, f"{type(error).__name__}: {error}")
