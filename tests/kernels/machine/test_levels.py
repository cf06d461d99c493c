"""The choice of a level, tested with lists of processor features because no machine has all features."""

import itertools

import pytest

from fastlin.kernels.machine.levels import (
    AVX2_FEATURES,
    AVX512_FEATURES,
    INSTRUCTION_SET_LEVELS,
    SSE_FEATURES,
    choose_level,
    list_levels,
)

X86_64_LEVELS = ["x86-64-v4", "x86-64-v3", "x86-64-v2"]


def test_levels_of_a_machine_are_sorted_from_best_to_worst():
    assert list_levels("x86_64") == list_levels("AMD64") == X86_64_LEVELS
    assert list_levels("aarch64") == list_levels("arm64") == ["aarch64"]
    assert list_levels("s390") == []
    for better, worse in itertools.pairwise(X86_64_LEVELS):
        assert set(INSTRUCTION_SET_LEVELS[better].features) > set(INSTRUCTION_SET_LEVELS[worse].features)


@pytest.mark.parametrize(
    ("names", "features", "level"),
    [
        (X86_64_LEVELS, {*AVX512_FEATURES, "avx512vnni"}, "x86-64-v4"),
        (X86_64_LEVELS, {*AVX512_FEATURES}, "x86-64-v4"),
        # If the operating system does not save wide registers, features that require them are missing.
        (X86_64_LEVELS, {*AVX512_FEATURES} - {"avx512f"}, "x86-64-v3"),
        (X86_64_LEVELS, {*AVX512_FEATURES} - {"avx512dq"}, "x86-64-v3"),
        (X86_64_LEVELS, {*AVX2_FEATURES, "sse4a"}, "x86-64-v3"),
        (X86_64_LEVELS, {*AVX2_FEATURES} - {"fma"}, "x86-64-v2"),
        (X86_64_LEVELS, {*SSE_FEATURES}, "x86-64-v2"),
        (X86_64_LEVELS, {*SSE_FEATURES} - {"popcnt"}, None),
        (X86_64_LEVELS, set(), None),
        # A level that is not in the wheel is not chosen.
        (["x86-64-v2", "x86-64-v4"], {*AVX2_FEATURES}, "x86-64-v2"),
        (["x86-64-v4"], {*AVX2_FEATURES}, None),
        ([], {*AVX512_FEATURES}, None),
        # Every processor of this architecture supports the level.
        (["aarch64"], set(), "aarch64"),
    ],
)
def test_the_best_common_level_of_wheel_and_processor_is_chosen(names, features, level):
    assert choose_level(names, features) == level
