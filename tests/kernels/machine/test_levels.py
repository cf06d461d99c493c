"""The choice of a level from what a processor has, given by hand, since no machine has them all."""

import itertools

import pytest

from fastlin.kernels.machine.levels import AVX2, AVX512, LEVELS, SSE, choose_level, levels_of

X86_64_LEVELS = ["x86-64-v4", "x86-64-v3", "x86-64-v2"]


@pytest.mark.parametrize(
    ("machine", "levels"),
    [
        ("x86_64", X86_64_LEVELS),
        ("AMD64", X86_64_LEVELS),
        ("aarch64", ["aarch64"]),
        ("arm64", ["aarch64"]),
        ("s390", []),
    ],
)
def test_levels_of_a_machine_begin_with_the_best(machine, levels):
    assert levels_of(machine) == levels


@pytest.mark.parametrize(
    ("features", "level"),
    [
        ({*AVX512, "avx512vnni"}, "x86-64-v4"),
        (AVX512, "x86-64-v4"),
        # An operating system that does not save the wide registers takes the features that need them away.
        ({*AVX512} - {"avx512f"}, "x86-64-v3"),
        ({*AVX512} - {"avx512dq"}, "x86-64-v3"),
        ({*AVX2, "sse4a"}, "x86-64-v3"),
        ({*AVX2} - {"fma"}, "x86-64-v2"),
        (SSE, "x86-64-v2"),
        ({*SSE} - {"popcnt"}, None),
        ((), None),
    ],
)
def test_the_best_level_that_the_processor_has_is_chosen(features, level):
    assert choose_level(X86_64_LEVELS, set(features)) == level


def test_levels_that_the_wheel_lacks_are_not_chosen():
    assert choose_level(["x86-64-v2", "x86-64-v4"], set(AVX2)) == "x86-64-v2"
    assert choose_level(["x86-64-v4"], set(AVX2)) is None
    assert choose_level([], set(AVX512)) is None


def test_every_processor_of_the_architecture_has_the_level_of_aarch64():
    assert choose_level(["aarch64"], set()) == "aarch64"


def test_each_level_has_the_features_of_those_below():
    for better, worse in itertools.pairwise(X86_64_LEVELS):
        assert set(LEVELS[better].features) > set(LEVELS[worse].features)
