"""The one decorator that turns a Python function into a compiled kernel, and the cache of its code.

Every kernel is compiled without the interpreter lock and without threads of its own; threads.py spreads calls over
blocks of rows. Its code comes from the wheel where `target` has chosen that, else from the user's cache folder, and
what neither holds is compiled and kept in that folder. The key of each kernel there holds the name and the features of
the processor that it was compiled for, and the level of the wheel's code that it runs beside.
"""

import contextlib
import gc
import hashlib
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, config
from numba.core.runtime import rtsys

from fastlin.kernels.machine.archives import name_platform
from fastlin.kernels.machine.cache_folder import cache_folder, make_folder
from fastlin.kernels.machine.target import HOST, TARGET

# Not the whole fastmath set: "nnan" and "ninf" would let LLVM remove the handling of overflow.
REASSOCIATE = frozenset({"contract", "reassoc", "nsz", "arcp"})
KEEP_ORDER = frozenset({"contract", "nsz", "arcp"})


def kernel(
    function: Callable[..., Any] | None = None, *, reassociate: bool = True, inner: bool = False, inline: bool = False
) -> Any:
    """Compile a function of arrays and scalars, lazily, once per combination of types, and cache the result.

    Parameters
    ----------
    function : callable
        The kernel; it allocates what it needs and writes into arrays that the caller owns.
    reassociate : bool
        False where the order of the additions carries the accuracy (compensated constants), or has to be the same in
        two places, as in products read from X or from a tile.
    inner : bool
        True where only other kernels call it. Python then cannot call it, which saves a wrapper to compile. Numbers
        among its arguments have to be variables: Numba compiles the kernel anew for each literal.
    inline : bool
        True for the shortest of those, whose code becomes part of the caller's before it is compiled: a function of
        its own takes 0.05 to 0.1 seconds.

    Returns
    -------
    callable
        The compiled kernel, or with NUMBA_DISABLE_JIT=1 the function itself.
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
    if not config.DISABLE_JIT:
        # Numba's classes for it are not public: where another version has changed them, the kernel is not kept.
        with contextlib.suppress(AttributeError, TypeError):
            compiled._compiler.compile = _undisturbed(compiled._compiler.compile)
            compiled._cache = _KernelCache(function)
    return compiled


def _undisturbed(compile_kernel):
    """Return compile_kernel with the garbage collector at rest, which takes a tenth of the time on Numba's objects.

    What Ctrl-C raises in there is raised in the end too: Numba may take it for an attribute that is missing.
    """

    def compile_at_rest(*arguments):
        # Under Numba's lock: no two threads are here at once.
        enabled = gc.isenabled()
        gc.disable()
        try:
            with _remembered_interrupts():
                return compile_kernel(*arguments)
        finally:
            if enabled:
                gc.enable()

    return compile_at_rest


@contextlib.contextmanager
def _remembered_interrupts():
    """Raise at the end of the ``with`` block what the handler of Ctrl-C raised within it, whatever became of that."""
    handle = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handle):
        yield
        return
    raised = []

    def handle_and_remember(number, frame):
        try:
            handle(number, frame)
        except BaseException as error:
            raised.append(error)
            raise

    signal.signal(signal.SIGINT, handle_and_remember)
    try:
        yield
    except BaseException as error:
        if raised and error is not raised[0]:
            raise raised[0] from None
        raise
    finally:
        signal.signal(signal.SIGINT, handle)
    if raised:
        raise raised[0]


class _Locator(caching._CacheLocator):
    """Places the files of one kernel; the folder's name already says which sources they belong to."""

    def __init__(self, function):
        self._function = function

    def get_cache_path(self):
        return str(cache_folder())

    def ensure_cache_path(self):
        make_folder(Path(self.get_cache_path()))

    def get_source_stamp(self):
        return 0

    def get_disambiguator(self):
        return self._function.__module__

    @classmethod
    def from_function(cls, function, source_file):
        return cls(function)


class _CompiledFunction(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]


class _IndexAndData(caching.IndexDataCacheFile):
    """Numba's index and data files, safe when several processes fill one cache.

    Numba numbers the data files of a kernel 1, 2, 3. Two processes that compile two signatures at once then give both
    the same name, and an index may name the other's code: a crash (numba issue 4807). Names that follow from the
    signature cannot collide. A damaged index or data file (numba issue 10434) counts as absent, whatever unpickling
    makes of it.
    """

    def save(self, key, data):
        overloads = self._load_index()
        overloads[key] = self._data_name(int(hashlib.sha256(repr(key).encode()).hexdigest()[:12], 16))
        self._save_data(overloads[key], data)
        self._save_index(overloads)

    def _load_index(self):
        with contextlib.suppress(Exception):
            return super()._load_index()
        return {}

    def load(self, key):
        with contextlib.suppress(Exception):
            return super().load(key)
        return None


class _KernelCache(caching.FunctionCache):
    """The code of one kernel: the wheel's, where this process uses that, else what the user's cache folder keeps."""

    _impl_class = _CompiledFunction

    def __init__(self, function):
        super().__init__(function)
        self._cache_file = _IndexAndData(self._cache_path, self._impl.filename_base, 0)
        if cache_folder() is None:
            self.disable()

    def load_overload(self, sig, target_context):
        # Numba would load its implementations of everything first, for a fifth of a second. Code that is compiled needs
        # its runtime alone, and a compilation loads them itself.
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)

    def _load_overload(self, sig, target_context):
        shipped = TARGET.archive and TARGET.archive.load(self._py_func, sig, target_context)
        return shipped or super()._load_overload(sig, target_context)

    def save_overload(self, sig, data):
        # A full or read-only disk costs the cache, not the fit.
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)

    def _index_key(self, sig, codegen):
        sig, (_, *processor), code = super()._index_key(sig, codegen)
        machine = (name_platform(), *processor)
        # Beside a level's code, a kernel has the vectors of the level and may hold code of the level.
        return sig, machine if TARGET.name == HOST else (*machine, TARGET.name), code
