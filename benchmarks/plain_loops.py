"""Ablations of emitted instructions: fits whose innermost loops are plain Python loops, which Numba compiles.

`python -m benchmarks.ablation` lists these ablations among the others. A process compiles either the plain or the
emitted loops of a group, so the fits of two processes alternate. The group PREFETCHES only omits prefetches.
"""

import inspect
import math
import sys
import tempfile
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

EMITTED, PREFETCHES = "emitted", "prefetches"


def _find_row(row_indices, i):
    """Return row_indices[i], or i if `row_indices` is an integer; beyond the last row, return the last row."""


@overload(_find_row)
def _overload_find_row(row_indices, i):
    if isinstance(row_indices, types.Integer):
        return lambda row_indices, i: min(i, row_indices - 1)
    return lambda row_indices, i: row_indices[min(i, len(row_indices) - 1)]


def _make_reading(n_rows, n_classes):
    @register_jitable(fastmath=True)
    def read(X, row_indices, i, coef, k, first, last, scores):
        for r in range(n_rows):
            row = _find_row(row_indices, i + r)
            for c in range(n_classes):
                total = coef.dtype.type(0)
                for j in range(first, min(last, X.shape[1])):
                    total += coef[k + c, j] * coef.dtype.type(X[row, j])
                scores[k + c, i + r] += total

    return read


def _make_loading(n_rows, read):
    multiply = _make_reading(**inspect.getclosurevars(read).nonlocals)

    @register_jitable(fastmath=True)
    def load(X, row_indices, i, coef, k, first, last, scores, scaling, tile):
        for r in range(n_rows):
            row = _find_row(row_indices, i + r)
            for j in range(first, min(last, X.shape[1])):
                tile[i + r, j] = coef.dtype.type(X[row, j]) * scaling.scale[j] + scaling.shift[j]
        multiply(tile, tile.shape[0], i, coef, k, first, last, scores)

    return load


def _make_accumulation(n_vectors, n_classes):
    from fastlin.kernels.machine.emitter import VECTOR_BYTES

    @register_jitable(fastmath=True)
    def accumulate(tile, n_rows, j, multipliers, k, sums):
        for c in range(n_classes):
            for i in range(n_rows):
                for h in range(j, j + n_vectors * VECTOR_BYTES // tile.itemsize):
                    sums[k + c, h] += multipliers[k + c, i] * tile[i, h]

    return accumulate


@register_jitable
def _transpose(tile, i, j, transposed, row, column):
    lanes = _count_lanes(tile)
    for r in range(lanes):
        for c in range(lanes):
            transposed[row + r, column + c] = tile[i + c, j + r]


def _count_lanes(tile):
    """Return the number of lanes of a vector."""


@overload(_count_lanes)
def _overload_count_lanes(tile):
    from fastlin.kernels.machine.emitter import VECTOR_BYTES

    lanes = VECTOR_BYTES // (tile.dtype.bitwidth // 8)
    return lambda tile: lanes


@register_jitable
def _multiply_columns(tile, n_rows, j, h, count, products, position):
    for i in range(n_rows):
        for c in range(count):
            products[i, position + c] = tile[i, j] * tile[i, h + c]


@register_jitable
def _load_row(X, row, scaling, tile, i):
    for j in range(X.shape[1]):
        tile[i, j] = tile.dtype.type(X[row, j]) * scaling.scale[j] + scaling.shift[j]
    for j in range(X.shape[1], tile.shape[1]):
        tile[i, j] = scaling.shift[j]


def _make_combination(n_vectors, lanes):
    @register_jitable(fastmath=True)
    def combine(data, indices, first, last, table, first_row, sums, i, k):
        for column in range(k, k + n_vectors * lanes):
            sums[i, column] = 0.0
        for p in range(first, last):
            value = np.float64(data[p])
            row = np.int64(indices[p]) - first_row
            for column in range(k, k + n_vectors * lanes):
                sums[i, column] += value * table[row, column]

    return combine


@register_jitable
def _scatter_row(data, indices, first, last, values, i, table):
    for p in range(first, last):
        value = np.float64(data[p])
        row = indices[p]
        for column in range(table.shape[1]):
            table[row, column] += value * values[i, column]


def _make_addition(lanes):
    @register_jitable
    def add(source, codes, n_rows, target, should_gather_source, k):
        for i in range(n_rows):
            target_row, source_row = (i, codes[i]) if should_gather_source else (codes[i], i)
            for column in range(k, k + lanes):
                target[target_row, column] += source[source_row, column]

    return add


def _make_addition_in_place(count):
    @register_jitable(fastmath=True)
    def add(X, n_rows, i, multipliers, sums):
        for r in range(i, min(i + count, n_rows)):
            for j in range(X.shape[1]):
                sums[j] += multipliers[r] * sums.dtype.type(X[r, j])

    return add


@register_jitable
def _add(a, b):
    return a + b


@register_jitable
def _raise_two_to_power(n):
    return type(n)(math.ldexp(1.0, int(n)))


# For each group, the modules and names of the functions whose loops are replaced, and functions that return the plain
# loops for the variables of these functions.
LOOPS = {
    "simd": {
        ("simd", "make_multiplication.<locals>.read"): _make_reading,
        ("simd", "make_multiplication.<locals>.load"): _make_loading,
        ("simd", "_make_accumulation_loop.<locals>.loop"): _make_accumulation,
        ("simd", "transpose_square"): lambda: _transpose,
        ("simd", "multiply_columns"): lambda: _multiply_columns,
        ("simd", "load_row"): lambda: _load_row,
    },
    "gather": {
        ("gather", "_make_combination_loop.<locals>.loop"): _make_combination,
        ("gather", "scatter_row"): lambda: _scatter_row,
        ("gather", "_make_addition_loop.<locals>.loop"): _make_addition,
    },
    "in_place": {
        ("simd", "make_multiplication.<locals>.read"): _make_reading,
        ("in_place", "_make_accumulation_loop.<locals>.add_multiplied_rows"): _make_addition_in_place,
    },
    "intrinsics": {
        ("intrinsics", "add_reassociated"): lambda: _add,
        ("intrinsics", "power_of_two"): lambda: _raise_two_to_power,
    },
    PREFETCHES: {},
}
# The problems of each group: names of `ablation.list_problems`.
PROBLEMS = {
    "simd": ("MNIST", "100,000 × 100, 10 classes", "100,000 × 100, 4 classes", "10000 x 256, 300 classes"),
    "gather": ("text, 20 classes", "text, 2 classes", "one-hot of a9a's shape"),
    "in_place": ("100,000 × 20, 2 classes", "30,000 × 20, 2 classes", "200000 x 20, 2 classes"),
    "intrinsics": ("100,000 × 20, 2 classes", "100,000 × 20, 10 classes", "text, 20 classes"),
    PREFETCHES: (
        "MNIST",
        "MNIST, 60,000 rows",
        "100,000 × 100, 10 classes",
        "100,000 × 100, 4 classes",
        "scikit-learn_bench, 100,000 × 50, 5 classes",
        "100000 x 50, 4 classes",
        "500000 x 20, 10 classes",
        "100,000 × 100, 2 classes",
    ),
}


def replace_loops(group):
    """Make kernels that are imported later use the plain loops of a group, or the emitted loops for EMITTED.

    With PREFETCHES, they use the emitted loops without prefetches.
    """
    if "fastlin.kernels.machine.intrinsics" in sys.modules:
        raise RuntimeError("Kernels are loaded already, so their loops cannot be replaced.")
    from fastlin.kernels.machine import emitter

    emit_intrinsic, loops = emitter.llvm_intrinsic, LOOPS.get(group, {})

    def llvm_intrinsic(emit, *signature):
        def decorate(python_function):
            name = python_function.__module__.rpartition(".")[2], python_function.__qualname__
            if name not in loops:
                return emit_intrinsic(emit, *signature)(python_function)
            variables = inspect.getclosurevars(python_function).nonlocals
            return loops[name](**variables)

        return decorate

    emitter.llvm_intrinsic = llvm_intrinsic
    if group == PREFETCHES:
        emitter.Emitter.prefetch = lambda *_: None


def measure_group(group, is_full_run=False):
    """Return the record of a group: the time with plain loops divided by the time with emitted loops, per problem."""
    # These imports load kernels, whose loops `replace_loops` could not replace.
    from benchmarks.commits import N_ROUNDS, CaseProcess, compare_processes
    from benchmarks.processes import FASTLIN_ROOT
    from fastlin.kernels.machine.target import WHEEL_CODE_VARIABLE

    problems = PROBLEMS[group] if is_full_run else PROBLEMS[group][-1:]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        processes = []
        for loops in (EMITTED, group):
            # A process without the wheel's code compiles all kernels.
            variables = {"NUMBA_CACHE_DIR": str(Path(folder) / loops), WHEEL_CODE_VARIABLE: "off"}
            arguments = "benchmarks.plain_loops", loops, *problems
            processes.append(stack.enter_context(closing(CaseProcess(FASTLIN_ROOT, *arguments, **variables))))
        comparisons = list(compare_processes(processes, problems, N_ROUNDS if is_full_run else 1))
    return {
        "kind": "ablation",
        "title": f"emitted {group}",
        "switch": "Emitter.prefetch" if group == PREFETCHES else f"kernels.machine.{group}",
        "threads": 1,
        "gains": {problem: summary["ratio"] for problem, summary in comparisons},
    }


def main():
    """Time fits with plain or emitted loops, whose problems the parent process names."""
    group, *names = sys.argv[1:]
    replace_loops(group)
    from benchmarks import ablation
    from benchmarks.timed_cases import serve_cases

    # Each problem is generated once, because the generation of the problems before it takes seconds.
    problems = {problem[0]: problem for problem in ablation.iterate_problems() if problem[0] in names}
    serve_cases({name: (partial(tuple, [problem]), ablation.fit) for name, problem in problems.items()})


MEASUREMENTS = {f"emitted {group}": partial(measure_group, group) for group in LOOPS}


if __name__ == "__main__":
    sys.exit(main())
