"""The versions of Numba that fastlin is tested with.

Kernels call intrinsics of LLVM by name, and its releases change what these take. Numba's classes for compiled code are
not public either. So another version may fail, or end the process.
"""

import importlib.metadata
import logging

TESTED = ("0.63", "0.64", "0.65", "0.66", "0.67", "0.68")
LOGGER = logging.getLogger("fastlin")


def check_numba() -> None:
    """Log a warning where fastlin was not tested with the version of Numba that is installed."""
    # Numba itself takes a quarter of a second to import, and is left to the first fit.
    try:
        version = importlib.metadata.version("numba")
    except importlib.metadata.PackageNotFoundError:
        # A program that was packed together with its packages was tested by those who packed it.
        return
    if ".".join(version.split(".")[:2]) not in TESTED:
        LOGGER.warning(
            "fastlin was not tested with Numba %s, but with %s to %s. Where fits fail, install one of these, for "
            "example by pip install 'numba==%s.*'.",
            version,
            TESTED[0],
            TESTED[-1],
            TESTED[-1],
        )
