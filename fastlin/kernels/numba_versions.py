"""The versions of Numba that fastlin is tested with, and what another has to pass before kernels run on it.

Kernels call intrinsics of LLVM by name, and its releases change what these take. Numba's classes for compiled code are
not public either. So a version that came after fastlin is tried once in each installation, in a process of its own.
"""

import functools
import importlib.metadata
import logging
import os
import signal
import subprocess
import sys

TESTED = ("0.65", "0.66", "0.67", "0.68")
# Set in the process that tries kernels, which would otherwise start another.
TRIES = "_FASTLIN_TRIES_NUMBA"
PROGRAM = """
import sys
sys.path[:] = {path!r}
from fastlin.kernels.self_test import check_kernels
check_kernels()
"""
# A trial takes ten seconds on one core, and several times as long on many a machine of a cloud.
PATIENCE = 600
LOGGER = logging.getLogger("fastlin")


def check_numba() -> None:
    """Let the tested versions of Numba pass, and another one after it has been tried.

    Raises
    ------
    ImportError
        Kernels do not work with this version.
    """
    # Numba itself takes a quarter of a second to import, and is left to the first fit.
    try:
        version = importlib.metadata.version("numba")
    except importlib.metadata.PackageNotFoundError:
        # A program that was packed together with its packages was tested by those who packed it.
        return
    if ".".join(version.split(".")[:2]) in TESTED or TRIES in os.environ:
        return
    fault = _find_fault(version)
    if fault:
        raise ImportError(
            f"fastlin's kernels do not work with Numba {version}: {fault}. They are tested with Numba {TESTED[0]} to "
            f"{TESTED[-1]}: install one of these, for example by pip install 'numba=={TESTED[-1]}.*'."
        )


@functools.cache
def _find_fault(version):
    """Return what does not work with a version of Numba, or nothing; that nothing is wrong is found out once."""
    import llvmlite.binding
    from numba import config

    from fastlin.kernels.machine.cache_folder import has_mark, set_mark

    processor = config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    if config.DISABLE_JIT or has_mark("tested", version, processor):
        return ""
    LOGGER.info("fastlin was not tested with Numba %s: its kernels are tried now, once.", version)
    fault = _try_kernels()
    if not fault:
        try:
            set_mark("tested", version, processor)
        except OSError as error:
            LOGGER.info("That kernels work with Numba %s cannot be remembered: %s.", version, error)
    # A fault may be of the moment, such as too little memory: the next process looks for it again.
    return fault


def _try_kernels():
    """Return what goes wrong where another process uses kernels, or nothing."""
    # A frozen program runs itself, whatever follows.
    interpreter = "" if getattr(sys, "frozen", False) else sys.executable
    try:
        tried = subprocess.run(
            [interpreter, "-c", PROGRAM.format(path=sys.path)],
            env={**os.environ, TRIES: "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"a trial took more than {PATIENCE} seconds"
    except (OSError, ValueError, TypeError):
        # A program that embeds Python may have no interpreter to start.
        LOGGER.warning("fastlin was not tested with this version of Numba, and its kernels cannot be tried here.")
        return ""
    if not tried.returncode:
        return ""
    *_, last = ["it said nothing", *filter(None, map(str.strip, tried.stderr.splitlines()))]
    if tried.returncode < 0:
        return f"a trial was ended by {_name_signal(-tried.returncode)} ({last})"
    return f"a trial failed ({last})"


def _name_signal(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        # Python names no real-time signal but the first and the last.
        return f"signal {number}"
