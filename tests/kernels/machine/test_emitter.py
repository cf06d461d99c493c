"""The vector width, and the instructions in emitted code, which the requested processor must support."""

import llvmlite.binding
import numba
import numpy as np
import pytest
from conftest import JIT_ENABLED, KERNELS_ONLY_PREAMBLE, run_program
from numba.core import config
from numba.core.registry import cpu_target

from fastlin.kernels.machine import simd
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.intrinsics import prevent_inlining
from fastlin.kernels.machine.levels import INSTRUCTION_SET_LEVELS
from fastlin.kernels.machine.target import vector_bytes
from fastlin.kernels.machine.tiles import Scaling

pytestmark = pytest.mark.skipif(not JIT_ENABLED, reason="nothing is emitted with NUMBA_DISABLE_JIT=1")

PRINT_WIDTH_PROGRAM = (
    KERNELS_ONLY_PREAMBLE + "from fastlin.kernels.machine.emitter import VECTOR_BYTES; print(VECTOR_BYTES)"
)
HOST_FEATURES = {name for name, installed in llvmlite.binding.get_host_cpu_features().items() if installed}


def emit_assembly():
    """Return the assembly of a loop. The loop is compiled again, because cached code cannot be inspected."""

    @numba.njit
    def multiply(tile, coef, scores):
        simd.multiply_4_rows(tile, tile.shape[0], 0, coef, 0, 0, tile.shape[1], scores)

    tile, coef, scores = (zeros_aligned((8, 64), np.float64) for _ in range(3))
    tile[:], coef[:] = 2, 3
    multiply(tile, coef, scores)
    assert scores[0, 0] == 6 * 64
    return next(iter(multiply.inspect_asm().values()))


def test_the_vector_width_matches_the_processor_features():
    _, _, feature_string = cpu_target.target_context.codegen().magic_tuple()
    features = {feature[1:] for feature in feature_string.split(",") if feature.startswith("+")}
    assert VECTOR_BYTES == vector_bytes(features)
    if "sse2" in features:
        code = emit_assembly()
        assert {64: "zmm", 32: "ymm", 16: "xmm"}[VECTOR_BYTES] in code
        assert "avx512f" in features or "zmm" not in code
        assert "avx" in features or "ymm" not in code
    # If other_processors.py sets a level, only that level's features are enabled.
    if config.CPU_NAME in INSTRUCTION_SET_LEVELS:
        assert features <= set(INSTRUCTION_SET_LEVELS[config.CPU_NAME].features)


def test_products_prefetch_only_rows_that_are_loaded():
    @numba.njit
    def multiply(tile, coef, scores):
        simd.multiply_4_rows(tile, tile.shape[0], 0, coef, 0, 0, tile.shape[1], scores)

    @numba.njit
    def load(X, coef, scores, scaling, tile):
        rows = X.shape[0]
        simd.load_and_multiply_4_rows(X, rows, 0, coef, 0, 0, X.shape[1], scores, scaling, tile)

    X = np.arange(8.0 * 64).reshape(8, 64)
    coef, scores, tile = (zeros_aligned((8, 64), np.float64) for _ in range(3))
    scaling = Scaling(*(zeros_aligned((1, 64), np.float64)[0] for _ in range(2)))
    scaling.scale[:] = 1
    multiply(tile, coef, scores)
    load(X, coef, scores, scaling, tile)
    np.testing.assert_array_equal(tile[:4], X[:4])
    assert "call void @llvm.prefetch" not in next(iter(multiply.inspect_llvm().values()))
    assert next(iter(load.inspect_llvm().values())).count("call void @llvm.prefetch") >= 4


def sum_without_inlining(values):
    prevent_inlining()
    return values.sum()


def test_function_attributes_do_not_change_results():
    compiled = numba.njit(sum_without_inlining)
    assert compiled(np.arange(5.0)) == 10
    assert "noinline" in next(iter(compiled.inspect_llvm().values()))


@pytest.mark.parametrize(
    ("environment", "width"),
    [
        ({"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse4.2"}, 16),
        ({"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+avx2,-avx512f"}, 32),
        ({"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+avx2,+avx512f"}, 64),
        # A processor name alone has no effect.
        ({"NUMBA_CPU_NAME": "x86-64-v3"}, vector_bytes(HOST_FEATURES)),
    ],
)
def test_the_vector_width_depends_on_the_requested_features(monkeypatch, environment, width):
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert int(run_program(PRINT_WIDTH_PROGRAM)) == width
