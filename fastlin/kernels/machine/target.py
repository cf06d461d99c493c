"""The target that the kernels of this process are compiled for, decided once, when the first kernel is imported.

It is the best level for which the wheel carries code and that the processor and the operating system support, or else
this very processor. The content of the cache never decides, so the same seed gives the same bits in every process.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from typing import NamedTuple

from fastlin.kernels.machine.archives import DAMAGED, FOLDER, SUFFIX, Archive, make_stamp
from fastlin.kernels.machine.cache_folder import log_once
from fastlin.kernels.machine.levels import LEVELS, choose_level
from fastlin.kernels.machine.libraries import codegen, config

# The environment variable that turns the wheel's code on or off.
SWITCH = "FASTLIN_COMPILED"
HOST = "host"
LOGGER = logging.getLogger("fastlin")


class Target(NamedTuple):
    """The target that kernels are compiled for."""

    name: str  # HOST, or the name of a level
    vector_bytes: int  # the width of the vectors that kernels use
    # The code of the level. Kernels that it lacks are compiled for this processor, with vectors of the same width.
    archive: Archive | None = None


def choose_target() -> Target:
    """Return the Target of this process."""
    features = read_features()
    level = _choose_archived_level(features)
    archive = None if level is None else _open_archive(level)
    if archive is None:
        return Target(HOST, vector_bytes(features))
    return Target(level, vector_bytes(LEVELS[level].features), archive)


def read_features() -> set[str]:
    """Return the features for which Numba compiles, as a set of LLVM's names."""
    # These are not always the host's: NUMBA_CPU_FEATURES asks for others, and NUMBA_CPU_NAME=generic for none. LLVM
    # leaves out what the operating system does not save.
    features = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return {feature[1:] for feature in features.split(",") if feature.startswith("+")}


def vector_bytes(features: Collection[str]) -> int:
    """Return the width of the widest vectors among some features."""
    return 64 if "avx512f" in features else 32 if "avx2" in features else 16


def _choose_archived_level(features):
    """Return the best level of this processor among those of the wheel, or None where the wheel's code is not used."""
    switch = os.environ.get(SWITCH, "").lower()
    if switch not in ("", "on", "off"):
        LOGGER.warning("%s must be 'on' or 'off', got %r; it counts as 'on'.", SWITCH, switch)
    if switch == "off" or config.DISABLE_JIT:
        return None
    names = {path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}")}
    level = choose_level(names, features)
    if names and level is None:
        LOGGER.info("The wheel carries kernels for %s, not for this processor: they are compiled.", sorted(names))
    return level


def _open_archive(level):
    """Return the archive of a level, or None, with a line in the log, where it cannot be used here."""
    path = FOLDER / (level + SUFFIX)
    try:
        archive = Archive(path)
    except Exception:
        # A damaged file raises whatever reading it makes of it.
        log_once(DAMAGED, path)
        return None
    expected = make_stamp()
    other = [f"{name} {archive.stamp.get(name)}" for name in expected if archive.stamp.get(name) != expected[name]]
    if other:
        LOGGER.info("The wheel's kernels were compiled with %s: they are compiled again.", ", ".join(other))
        return None
    return archive


TARGET = choose_target()
