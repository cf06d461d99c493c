"""The target for which the kernels of this process are compiled. It is chosen once, when the first kernel is imported.

The target is the best instruction set level for which the wheel contains code and that both the processor and the
operating system support. If there is no such level, the target is this processor. The choice does not depend on the
cache, so results with the same seed are bitwise equal in all processes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from typing import NamedTuple

from fastlin.kernels.machine.archives import (
    ARCHIVE_FOLDER,
    ARCHIVE_SUFFIX,
    DAMAGED_ARCHIVE_MESSAGE,
    Archive,
    describe_versions,
)
from fastlin.kernels.machine.cache_folder import log_once
from fastlin.kernels.machine.levels import INSTRUCTION_SET_LEVELS, choose_level
from fastlin.kernels.machine.libraries import codegen, config

# The environment variable that enables or disables the wheel's code.
WHEEL_CODE_VARIABLE = "FASTLIN_COMPILED"
HOST = "host"
LOGGER = logging.getLogger("fastlin")


class Target(NamedTuple):
    """The target for which kernels are compiled."""

    name: str  # HOST, or the name of a level
    vector_bytes: int  # the width of the vectors that kernels use
    # The compiled kernels of the level. Kernels that the archive does not contain are compiled for this processor with
    # the same vector width.
    archive: Archive | None = None


def choose_target() -> Target:
    """Return the Target of this process."""
    features = read_features()
    level = _choose_archived_level(features)
    archive = None if level is None else _open_archive(level)
    if archive is None:
        return Target(HOST, vector_bytes(features))
    return Target(level, vector_bytes(INSTRUCTION_SET_LEVELS[level].features), archive)


def read_features() -> set[str]:
    """Return LLVM's names of the processor features for which Numba compiles."""
    # These features may differ from those of the host: NUMBA_CPU_FEATURES selects other features, and
    # NUMBA_CPU_NAME=generic selects none. LLVM excludes features that the operating system does not support.
    features = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return {feature[1:] for feature in features.split(",") if feature.startswith("+")}


def vector_bytes(features: Collection[str]) -> int:
    """Return the width of the widest vectors, in bytes, of a processor with these features."""
    return 64 if "avx512f" in features else 32 if "avx2" in features else 16


def _choose_archived_level(features):
    """Return the best level of the wheel for this processor, or None if the wheel's code is not used."""
    switch = os.environ.get(WHEEL_CODE_VARIABLE, "").lower()
    if switch not in ("", "on", "off"):
        LOGGER.warning("%s must be 'on' or 'off', got %r. It is treated as 'on'.", WHEEL_CODE_VARIABLE, switch)
    if switch == "off" or config.DISABLE_JIT:
        return None
    names = {path.name.removesuffix(ARCHIVE_SUFFIX) for path in ARCHIVE_FOLDER.glob(f"*{ARCHIVE_SUFFIX}")}
    level = choose_level(names, features)
    if names and level is None:
        LOGGER.info("The wheel contains kernels for %s, not for this processor. They are compiled.", sorted(names))
    return level


def _open_archive(level):
    """Return the archive of a level. If this process cannot use it, log a message and return None."""
    path = ARCHIVE_FOLDER / (level + ARCHIVE_SUFFIX)
    try:
        archive = Archive(path)
    except Exception:
        # Reading a damaged file can raise any exception.
        log_once(DAMAGED_ARCHIVE_MESSAGE, path)
        return None
    expected_versions = describe_versions()
    differing_versions = [
        f"{name} {archive.versions.get(name)}"
        for name in expected_versions
        if archive.versions.get(name) != expected_versions[name]
    ]
    if differing_versions:
        LOGGER.info(
            "The wheel's kernels were compiled with %s. They are compiled again.", ", ".join(differing_versions)
        )
        return None
    return archive


TARGET = choose_target()
