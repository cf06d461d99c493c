"""The vector width, and the instructions in emitted code, which the requested processor must support."""

import llvmlite.binding
import numba
import numpy as np
import pytest
from conftest import JIT_ENABLED, KERNELS_ONLY_PREAMBLE, make_python_callable, run_program
from llvmlite import ir
from numba.core import config
from numba.core.registry import cpu_target

from fastlin.kernels.linear import logistic_rows
from fastlin.kernels.machine import in_place, simd
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.emitter import VECTOR_BYTES, Emitter
from fastlin.kernels.machine.intrinsics import prevent_inlining
from fastlin.kernels.machine.levels import INSTRUCTION_SET_LEVELS
from fastlin.kernels.machine.target import vector_bytes
from fastlin.kernels.machine.tiles import Scaling, zeros_padded

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


def compile_load(X, i, row_indices):
    """Load four rows of X, and return the compiled function."""

    @numba.njit
    def load(X, row_indices, i, coef, scores, scaling, tile):
        simd.load_and_multiply_4_rows(X, row_indices, i, coef, 0, 0, coef.shape[1], scores, scaling, tile)

    tile = make_python_callable(zeros_padded)(len(X) + 1, X.shape[1], np.dtype(np.float64))
    coef, scale, shift = (zeros_aligned((8, tile.shape[1]), np.float64) for _ in range(3))
    scores, scaling = zeros_aligned((8, len(tile)), np.float64), Scaling(scale[0], shift[0])
    load(X, row_indices, np.int64(i), coef, scores, scaling, tile)
    return load


def mark_prefetched_rows(monkeypatch):
    """Let code that is compiled later overwrite the first number of a vector with -1 instead of prefetching it."""

    def mark(emit, pointer, index):
        emit.builder.store(ir.Constant(emit.scalar, -1.0), emit.builder.gep(pointer, [index]))

    monkeypatch.setattr(Emitter, "prefetch", mark)


def find_marked_rows(X):
    """Return the rows that are marked, after a check of their columns."""
    marked_rows, marked_columns = np.nonzero(X < 0)
    assert np.unique(marked_columns).tolist() == list(
        range(0, X.shape[1] if len(marked_rows) else 0, VECTOR_BYTES // 8)
    )
    return np.unique(marked_rows).tolist()


@pytest.mark.parametrize(
    ("n_features", "i", "row_indices", "expected_rows"),
    [
        (79, 4, np.arange(1, 40), [21, 22, 23, 24]),
        (80, 36, np.arange(1, 40), [39]),
    ],
    ids=["short", "long, last index"],
)
def test_products_with_loaded_rows_prefetch_a_later_group(monkeypatch, n_features, i, row_indices, expected_rows):
    X = np.ones((40, n_features))
    code = next(iter(compile_load(X, i, row_indices).inspect_llvm().values()))
    assert "call void @llvm.prefetch.p0" in code
    mark_prefetched_rows(monkeypatch)
    compile_load(X, i, row_indices)
    assert find_marked_rows(X) == expected_rows


def test_products_in_place_prefetch_the_next_group_of_long_rows(monkeypatch):
    mark_prefetched_rows(monkeypatch)
    score_long_rows = simd.make_multiplication(in_place.ROWS_PER_STEP, 1, should_prefetch=True)
    monkeypatch.setattr(logistic_rows, "score_long_rows", score_long_rows)
    fill_scores = numba.njit(logistic_rows._fill_scores.py_func)
    for n_features, expected_rows in ((79, []), (80, list(range(8, 24)))):
        # After the 11 rows of the tile, there are those of the next tile.
        X, (coef, scores) = np.ones((60, n_features)), (zeros_aligned((1, n), np.float64) for n in (80, 16))
        fill_scores(X[:11], coef, 0.0, scores)
        assert find_marked_rows(X) == expected_rows


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
