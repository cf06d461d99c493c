"""The versions of Numba that fastlin is tested with.

Kernels call LLVM intrinsics by name, and the signatures of these intrinsics change between LLVM releases. Numba's
classes for compiled code are not public. With other versions of Numba, kernels may therefore fail or crash the process.
"""

import importlib.metadata
import logging

TESTED_VERSIONS = ("0.63", "0.64", "0.65", "0.66", "0.67", "0.68")
LOGGER = logging.getLogger("fastlin")


def check_numba() -> None:
    """Log a warning if fastlin was not tested with the installed version of Numba."""
    # This reads only the metadata, because importing Numba is slow and is deferred to the first fit.
    try:
        version = importlib.metadata.version("numba")
    except importlib.metadata.PackageNotFoundError:
        # A frozen application may contain no metadata. Its authors are responsible for testing it.
        return
    if ".".join(version.split(".")[:2]) not in TESTED_VERSIONS:
        LOGGER.warning(
            "Numba %s is installed, but fastlin was tested with versions %s to %s only. If fits fail, install one of "
            "these, for example with pip install 'numba==%s.*'.",
            version,
            TESTED_VERSIONS[0],
            TESTED_VERSIONS[-1],
            TESTED_VERSIONS[-1],
        )
