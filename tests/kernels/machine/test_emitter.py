"""The width of vectors, and that no instruction is emitted which the processor asked for does not have."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from conftest import COMPILED, KERNELS_ALONE
from numba.core import config
from numba.core.registry import cpu_target

from fastlin.kernels.machine import simd
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.emitter import VECTOR_BYTES

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is emitted with NUMBA_DISABLE_JIT=1")

PRINT_WIDTH = KERNELS_ALONE + "from fastlin.kernels.machine.emitter import VECTOR_BYTES; print(VECTOR_BYTES)"


def features_in_force():
    """Return the features for which Numba compiles in this process."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return {feature[1:] for feature in features.split(",") if feature.startswith("+")}


def emitted_code():
    """Return the assembly of one loop, compiled anew: code that was kept cannot be inspected."""

    @numba.njit
    def multiply(tile, coef, scores):
        simd.multiply_4_rows(tile, tile.shape[0], 0, coef, 0, 0, tile.shape[1], scores, (tile.ctypes.data, 0))

    tile, coef, scores = (zeros_aligned((8, 64), np.float64) for _ in range(3))
    tile[:], coef[:] = 2, 3
    multiply(tile, coef, scores)
    assert scores[0, 0] == 6 * 64
    return next(iter(multiply.inspect_asm().values()))


def test_vectors_are_as_wide_as_the_features_allow():
    features = features_in_force()
    assert VECTOR_BYTES == (64 if "avx512f" in features else 32 if "avx2" in features else 16)
    register = {64: "zmm", 32: "ymm", 16: "xmm"}[VECTOR_BYTES]
    if {"sse2"} & features:
        assert register in emitted_code()


@pytest.mark.skipif(not (config.CPU_NAME or "").startswith("x86-64-v"), reason="compiled for the host's processor")
def test_no_instruction_of_a_higher_level_is_left():
    features, code = features_in_force(), emitted_code()
    width = {"x86-64-v2": 16, "x86-64-v3": 32, "x86-64-v4": 64}[config.CPU_NAME]
    assert width == VECTOR_BYTES
    if width < 64:
        assert not [feature for feature in features if feature.startswith(("avx512", "avx10"))]
        assert "zmm" not in code
    if width < 32:
        assert not [feature for feature in features if feature.startswith("avx") or feature == "fma"]
        assert "ymm" not in code


@pytest.mark.parametrize(("features", "width"), [("+sse4.2", 16), ("+avx2,-avx512f", 32), ("+avx2,+avx512f", 64)])
def test_the_width_follows_the_features_that_are_asked_for(features, width):
    finished = subprocess.run(
        [sys.executable, "-c", PRINT_WIDTH],
        env={**os.environ, "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": features},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(finished.stdout) == width


def test_the_name_of_a_processor_alone_changes_no_width():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CPU")}
    widths = [
        subprocess.run(
            [sys.executable, "-c", PRINT_WIDTH], env=environment | named, capture_output=True, text=True, check=True
        ).stdout
        for named in ({}, {"NUMBA_CPU_NAME": "x86-64-v3"})
    ]
    assert widths[0] == widths[1]
