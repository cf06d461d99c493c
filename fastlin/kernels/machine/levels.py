"""The instruction set levels for which a wheel can contain compiled kernels.

This module does not import fastlin, so the build backend can run it alone.
"""

from collections.abc import Collection
from typing import NamedTuple


class InstructionSetLevel(NamedTuple):
    """An instruction set that many processors support."""

    machines: tuple[str, ...]  # the results of `platform.machine()`, in lower case, for processors of the level
    processor: str  # LLVM's name of the processor for which instructions are scheduled
    features: tuple[str, ...]  # LLVM's names of the features that every processor of the level has
    tuning_flags: tuple[str, ...] = ()  # LLVM's tuning flags, with their signs

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that make Numba compile for the level."""
        flags = *(f"+{feature}" for feature in self.features), *self.tuning_flags
        return {"NUMBA_CPU_NAME": self.processor, "NUMBA_CPU_FEATURES": ",".join(flags)}


X86_64_MACHINES = ("x86_64", "amd64")
# The features of the levels of the x86-64 processor supplement.
SSE_FEATURES = ("64bit", "cmov", "crc32", "cx16", "cx8", "fxsr", "mmx", "popcnt", "sahf")
SSE_FEATURES += ("sse", "sse2", "sse3", "sse4.1", "sse4.2", "ssse3")
AVX2_FEATURES = (*SSE_FEATURES, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
AVX512_FEATURES = (*AVX2_FEATURES, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")

# The best level of each machine is listed first.
INSTRUCTION_SET_LEVELS = {
    # By default, LLVM uses vectors of half the maximum width at this level (docs/benchmarks/design-choices.md: 512-bit
    # vectors).
    "x86-64-v4": InstructionSetLevel(X86_64_MACHINES, "x86-64-v4", AVX512_FEATURES, ("-prefer-256-bit",)),
    "x86-64-v3": InstructionSetLevel(X86_64_MACHINES, "x86-64-v3", AVX2_FEATURES),
    "x86-64-v2": InstructionSetLevel(X86_64_MACHINES, "x86-64-v2", SSE_FEATURES),
    # Every processor with this architecture has 16-byte vectors.
    "aarch64": InstructionSetLevel(("aarch64", "arm64"), "generic", ()),
}


def list_levels(machine: str) -> list[str]:
    """Return the names of the levels of a machine, best first. ``machine`` is a result of `platform.machine()`."""
    return [name for name, level in INSTRUCTION_SET_LEVELS.items() if machine.lower() in level.machines]


def choose_level(names: Collection[str], features: set[str]) -> str | None:
    """Return the best of the named levels that a processor with these features supports, or None if there is none."""
    return next(
        (
            name
            for name in INSTRUCTION_SET_LEVELS
            if name in names and features.issuperset(INSTRUCTION_SET_LEVELS[name].features)
        ),
        None,
    )
