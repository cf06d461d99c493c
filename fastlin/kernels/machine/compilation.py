"""The decorator that compiles a Python function to a kernel, and the cache of compiled code.

Every kernel releases the interpreter lock and is single-threaded. threads.py runs kernels on blocks of rows. The code
of a kernel is loaded from the wheel if `target` selects the wheel's code, and otherwise from the user's cache folder.
The key in the cache folder includes the name and features of the processor and the level of the wheel's code. If
neither contains the kernel, it is compiled and saved to the cache folder.
"""

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from fastlin.environment.interruption import run_uninterrupted
from fastlin.kernels.machine.archives import get_platform_name
from fastlin.kernels.machine.cache_folder import cache_folder, log_once
from fastlin.kernels.machine.compilation_time import CompilationTime
from fastlin.kernels.machine.libraries import compiler_lock, config, numba, runtime, target_context
from fastlin.kernels.machine.saved_code import get_code_file_name, load_code, save_code
from fastlin.kernels.machine.target import HOST, TARGET

# Some fastmath flags are excluded: with "nnan" and "ninf", LLVM would remove the handling of overflow.
REASSOCIATION_FLAGS = frozenset({"contract", "reassoc", "nsz", "arcp"})
ORDER_PRESERVING_FLAGS = frozenset({"contract", "nsz", "arcp"})
# The name of Numba's method that runs LLVM's passes over a function, in all tested versions.
PASS_MANAGER = "_function_pass_manager"
# The compilation time of this process. Numba's lock serializes compilations.
COMPILATION_TIME = CompilationTime()


def kernel(
    function: Callable[..., Any] | None = None, *, reassociate: bool = True, inner: bool = False, inline: bool = False
) -> Any:
    """Compile a function of arrays and scalars, lazily, once per combination of types, and cache the result.

    Set `reassociate` to False if the order of additions matters for accuracy (compensated constants), or if the order
    must be the same in two kernels, for example in products that read X or a tile. ``inner`` kernels are called only by
    other kernels, so no wrapper is compiled. Their numeric arguments must be variables, because Numba compiles the
    kernel again for each literal. ``inline`` kernels are short. They are inserted into their callers before
    compilation, which saves compilation time. With NUMBA_DISABLE_JIT=1 the result is the function itself.
    """
    if function is None:
        return lambda function: kernel(function, reassociate=reassociate, inner=inner, inline=inline)
    fastmath_flags = set(REASSOCIATION_FLAGS if reassociate else ORDER_PRESERVING_FLAGS)
    compiled_kernel = numba.njit(
        function,
        nogil=True,
        fastmath=fastmath_flags,
        error_model="numpy",
        boundscheck=False,
        # No kernel is passed as an argument, so the wrapper for such calls would only cost compilation time.
        no_cfunc_wrapper=True,
        no_cpython_wrapper=inner or inline,
        inline="always" if inline else "never",
    )
    if hasattr(compiled_kernel, "_compiler") and hasattr(compiled_kernel, "_cache"):
        compiled_kernel._compiler.compile = _reduce_compilation_overhead(compiled_kernel._compiler.compile)
        compiled_kernel._cache = _KernelCache(function)
        # This method compiles kernels and also loads saved code. Both change global tables of Numba and LLVM.
        compiled_kernel.compile = partial(_compile_uninterrupted, compiled_kernel.compile)
    elif not config.DISABLE_JIT:
        # Numba's dispatcher is not public, and this version of Numba has a different dispatcher.
        log_once("Compiled kernels cannot be cached with Numba %s. Each process compiles them.", numba.__version__)
    return compiled_kernel


def _compile_uninterrupted(compile_kernel, *arguments):
    # If this thread already holds the lock, it is compiling a function that calls the kernel. Running the compilation
    # in another thread would wait for the lock forever.
    if compiler_lock.global_compiler_lock.is_locked():
        return compile_kernel(*arguments)
    return run_uninterrupted(compile_kernel, *arguments)


def _reduce_compilation_overhead(compile_kernel):
    """Return compile_kernel without two steps that take a quarter of its time and hardly affect the code.

    The steps are the collection of garbage among Numba's objects and LLVM's function passes. LLVM's module passes
    repeat the work of the function passes.
    """

    def compile_without_overhead(*arguments):
        # Numba's lock excludes concurrent calls.
        is_gc_enabled, codegen = gc.isenabled(), target_context.codegen()
        run_passes = getattr(codegen, PASS_MANAGER, None)
        gc.disable()
        if run_passes is not None:
            setattr(codegen, PASS_MANAGER, partial(run_passes, opt=0))
        try:
            with COMPILATION_TIME.measure():
                return compile_kernel(*arguments)
        finally:
            if run_passes is not None:
                setattr(codegen, PASS_MANAGER, run_passes)
            if is_gc_enabled:
                gc.enable()

    return compile_without_overhead


class _KernelCache:
    """The cache of one kernel: code from the wheel, if this process uses it, and from the user's cache folder."""

    def __init__(self, function):
        self._function = function

    @property
    def cache_path(self):
        folder = cache_folder()
        return folder and str(folder)

    def load_overload(self, sig, target_context):
        # Numba would first load all of its implementations, which is slow. Compiled code requires only the runtime, and
        # a compilation loads the implementations later.
        runtime.rtsys.initialize(target_context)
        wheel_code = TARGET.archive and TARGET.archive.load(self._function, sig, target_context)
        return wheel_code or load_code(self.name(sig, target_context.codegen()), target_context)

    def save_overload(self, sig, result):
        save_code(self.name(sig, result.codegen), result)

    def flush(self):
        """Do nothing when Numba recompiles, because changed sources have a different folder."""

    def name(self, sig, codegen):
        """Return the name of the file with the code for a signature."""
        _, *processor = codegen.magic_tuple()
        target_key = (sys.implementation.cache_tag, get_platform_name(), *processor)
        # If the wheel's code of a level is used, kernels outside the wheel have the vector width of this level and may
        # contain code of this level.
        return get_code_file_name(
            self._function, sig, target_key if TARGET.name == HOST else (*target_key, TARGET.name)
        )
