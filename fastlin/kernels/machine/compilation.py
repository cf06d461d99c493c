"""The one decorator that turns a Python function into a compiled kernel, and the cache of its code.

Every kernel is compiled without the interpreter lock and without threads of its own; threads.py spreads calls over
blocks of rows. Its code comes from the wheel where `target` has chosen that, else from the user's cache folder, where
its key has the processor's name and features and the level of the wheel's code. Else it is compiled and kept there.
"""

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from fastlin.interruption import run_uninterrupted
from fastlin.kernels.machine.archives import name_platform
from fastlin.kernels.machine.background_compilation import has_compiled
from fastlin.kernels.machine.cache_folder import cache_folder, log_once
from fastlin.kernels.machine.libraries import config, numba, runtime, target_context
from fastlin.kernels.machine.saved_code import load_code, name_file, save_code
from fastlin.kernels.machine.target import HOST, TARGET
from fastlin.kernels.machine.waiting import CompilationTime

# Not the whole fastmath set: "nnan" and "ninf" would let LLVM remove the handling of overflow.
REASSOCIATE = frozenset({"contract", "reassoc", "nsz", "arcp"})
KEEP_ORDER = frozenset({"contract", "nsz", "arcp"})
# The method of Numba's with LLVM's passes over a function, in all versions that are tested.
PASSES = "_function_pass_manager"
# Of this process. Numba's lock keeps compilations apart.
TIME = CompilationTime()


def kernel(
    function: Callable[..., Any] | None = None, *, reassociate: bool = True, inner: bool = False, inline: bool = False
) -> Any:
    """Compile a function of arrays and scalars, lazily, once per combination of types, and cache the result.

    reassociate is False where the order of the additions carries the accuracy (compensated constants), or has to be the
    same in two places, as in products read from X or from a tile. ``inner`` kernels are called by other kernels alone,
    which saves a wrapper to compile; numbers among their arguments have to be variables, since Numba compiles the
    kernel again for each literal. The code of ``inline`` kernels, the shortest, becomes part of the caller's before it
    is compiled, which saves 0.05 to 0.1 seconds each. With NUMBA_DISABLE_JIT=1 the result is the function itself.
    """
    if function is None:
        return lambda function: kernel(function, reassociate=reassociate, inner=inner, inline=inline)
    flags = set(REASSOCIATE if reassociate else KEEP_ORDER)
    compiled = numba.njit(
        function,
        nogil=True,
        fastmath=flags,
        error_model="numpy",
        boundscheck=False,
        # Nothing takes kernels as arguments: without Numba's wrapper for that a fit's compilation is a tenth shorter.
        no_cfunc_wrapper=True,
        no_cpython_wrapper=inner or inline,
        inline="always" if inline else "never",
    )
    if hasattr(compiled, "_compiler") and hasattr(compiled, "_cache"):
        compiled._compiler.compile = _undisturbed(compiled._compiler.compile)
        compiled._cache = _KernelCache(function)
        # This loads saved code too. Both change Numba's tables of types and LLVM's of symbols.
        compiled.compile = partial(run_uninterrupted, compiled.compile)
    elif not config.DISABLE_JIT:
        # Its dispatcher, which is not public, is not the known one.
        log_once("Numba %s keeps compiled kernels in another way: each process compiles them.", numba.__version__)
    return compiled


def _undisturbed(compile_kernel):
    """Return compile_kernel without two steps that take a quarter of its time and hardly change the code.

    These are the garbage collector, on Numba's objects, and LLVM's passes over the functions of a module, whose work
    the passes over the module do again.
    """

    def compile_at_rest(*arguments):
        # Under Numba's lock: no two threads are here at once.
        enabled, codegen = gc.isenabled(), target_context.codegen()
        passes = getattr(codegen, PASSES, None)
        gc.disable()
        if passes is not None:
            setattr(codegen, PASSES, partial(passes, opt=0))
        try:
            with TIME.measured():
                return compile_kernel(*arguments)
        finally:
            if passes is not None:
                setattr(codegen, PASSES, passes)
            if enabled:
                gc.enable()

    return compile_at_rest


class _KernelCache:
    """The code of one kernel, of the wheel if this process uses it, otherwise of the user's cache folder."""

    def __init__(self, function):
        self._function = function

    @property
    def cache_path(self):
        folder = cache_folder()
        return folder and str(folder)

    def load_overload(self, sig, target_context):
        # Numba would load its implementations of everything first, for a fifth of a second. Code that is compiled needs
        # its runtime alone, and a compilation loads them itself.
        runtime.rtsys.initialize(target_context)
        shipped = TARGET.archive and TARGET.archive.load(self._function, sig, target_context)
        name = self.name(sig, target_context.codegen())
        kept = shipped or load_code(name, target_context)
        if kept:
            return kept
        with TIME.measured():
            return load_code(name, target_context) if has_compiled(name) else None

    def save_overload(self, sig, result):
        save_code(self.name(sig, result.codegen), result)

    def flush(self):
        """Forget nothing before Numba's `recompile`: other sources have another folder."""

    def name(self, sig, codegen):
        """Return the name of the file that keeps the code for a signature."""
        _, *processor = codegen.magic_tuple()
        machine = (sys.implementation.cache_tag, name_platform(), *processor)
        # Together with a level's code, a kernel has the vectors of the level and may hold code of the level.
        return name_file(self._function, sig, machine if TARGET.name == HOST else (*machine, TARGET.name))
