"""The levels of instruction sets for which a wheel may carry compiled kernels.

The module imports nothing of fastlin, so that the build backend can run it alone.
"""

from collections.abc import Collection
from typing import NamedTuple


class Level(NamedTuple):
    """A set of processors that run the same code."""

    machines: tuple[str, ...]  # the names of `platform.machine()`, in lower case, whose processors may have the level
    processor: str  # LLVM's name for the level, for which code is scheduled
    # LLVM's names of the instructions that the code may use; a processor of the level has all of them.
    features: tuple[str, ...]
    tuning: tuple[str, ...] = ()  # how else LLVM schedules the code, with a sign before each name

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Numba compiles for the level."""
        flags = *(f"+{feature}" for feature in self.features), *self.tuning
        return {"NUMBA_CPU_NAME": self.processor, "NUMBA_CPU_FEATURES": ",".join(flags)}


X86_64 = ("x86_64", "amd64")
# The features of the levels of the x86-64 processor supplement.
SSE = ("64bit", "cmov", "crc32", "cx16", "cx8", "fxsr", "mmx", "popcnt", "sahf")
SSE += ("sse", "sse2", "sse3", "sse4.1", "sse4.2", "ssse3")
AVX2 = (*SSE, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
AVX512 = (*AVX2, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")

# The best level of each machine comes first.
LEVELS = {
    # LLVM makes vectors of half the width there by itself: digits take 22 ms so, and 17 with whole ones (AMD EPYC,
    # znver4).
    "x86-64-v4": Level(X86_64, "x86-64-v4", AVX512, ("-prefer-256-bit",)),
    "x86-64-v3": Level(X86_64, "x86-64-v3", AVX2),
    "x86-64-v2": Level(X86_64, "x86-64-v2", SSE),
    # Every processor of the architecture has the vectors of 16 bytes that kernels use there.
    "aarch64": Level(("aarch64", "arm64"), "generic", ()),
}


def levels_of(machine: str) -> list[str]:
    """Return the names of the levels of a machine, given as `platform.machine()` names it, the best one first."""
    return [name for name, level in LEVELS.items() if machine.lower() in level.machines]


def choose_level(names: Collection[str], features: set[str]) -> str | None:
    """Return the best of some levels that a processor with the given features has, or None."""
    return next((name for name in LEVELS if name in names and features.issuperset(LEVELS[name].features)), None)
