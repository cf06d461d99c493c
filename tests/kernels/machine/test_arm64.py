"""Kernels for arm64, cross-compiled by LLVM on any machine.

A separate process patches the processor name that Numba reads from LLVM, and compiles kernels without calling them. CI
compiles and runs complete passes on arm64 machines.
"""

import json

import pytest
from conftest import JIT_ENABLED, KERNELS_ONLY_PREAMBLE, run_program
from llvmlite import binding

from fastlin.kernels.machine.levels import INSTRUCTION_SET_LEVELS

binding.initialize_all_targets()

pytestmark = pytest.mark.skipif(not JIT_ENABLED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")

LINUX, MACOS = "aarch64-unknown-linux-gnu", "arm64-apple-darwin"

# This program prints properties of the machine code of each loop.
PROGRAM = """
import collections, json, re
from llvmlite import binding
binding.initialize_all_targets()
binding.initialize_all_asmprinters()
binding.get_process_triple = binding.get_default_triple = lambda: LINUX
import numba
import numpy as np
from fastlin.kernels.machine import exponential, gather, simd, tiles
from fastlin.kernels.machine.arrays import make_any_layout_view, zeros_aligned
from fastlin.kernels.machine.target import TARGET
from fastlin.kernels.networks import layers

assert TARGET.vector_bytes == 16
report = collections.defaultdict(list)

def compile_alone(kernel, *arguments):
    types = tuple(map(numba.typeof, arguments))
    kernel.compile(types)
    code, assembly = kernel.inspect_llvm(types), kernel.inspect_asm(types)
    # The same code for macOS, which has other calling conventions and object files.
    code = re.sub("^target (triple|datalayout) = .*$", "", code, flags=re.MULTILINE)
    module = binding.parse_assembly(code)
    machine = binding.Target.from_triple(MACOS).create_target_machine(cpu="apple-m1", opt=3)
    module.triple, module.data_layout = MACOS, str(machine.target_data)
    fused = r"\\bfmla(\\.|\\s+v)"
    report[kernel.__name__].append({
        "fused": len(re.findall(fused, assembly)),
        "fused on macOS": len(re.findall(fused, machine.emit_assembly(module))),
        "called": sorted(set(re.findall(r"@(llvm\\.[\\w.]+)", code))),
        "registers of x86": len(re.findall(r"\\b[xyz]mm\\d", assembly)),
    })

def multiply(tile, coef, scores):
    simd.multiply_4_rows(tile, tile.shape[0], 0, coef, 0, 0, tile.shape[1], scores)
def load(X, scaling, tile):
    simd.load_row(X, 0, scaling, tile, 0)
def transpose(tile, turned):
    simd.transpose_square(tile, 0, 0, turned, 0, 0)
def combine(data, indices, table, sums):
    gather._combine_2_vectors(data, indices, 0, indices.shape[0], table, 0, sums, 0, 0)
def exponentiate(values):
    exponential.exponentiate_in_place(values)

loop = lambda function: numba.njit(function, fastmath={"contract", "nsz", "arcp"}, nogil=True)
for dtype in (np.float32, np.float64):
    tile = zeros_aligned((8, 64), dtype)
    compile_alone(loop(multiply), tile, tile, tile)
    compile_alone(loop(transpose), tile, tile)
    compile_alone(loop(exponentiate), tile[0])
scaling = tiles.Scaling(np.ones(65), np.zeros(65))
compile_alone(loop(load), make_any_layout_view(np.ones((8, 63), np.float32))[0], scaling, tile)
compile_alone(loop(combine), tile[0], np.zeros(3, np.int32), tile, tile)
compile_alone(layers.activate_block, 0, 1, tile, tile[0], tile[0], 0, 0.5, 1, 0, tile)
print(json.dumps(report))
"""


def supports_arm64():
    try:
        return bool(binding.Target.from_triple(LINUX) and binding.Target.from_triple(MACOS))
    except RuntimeError:
        return False


@pytest.mark.thorough
@pytest.mark.skipif(not supports_arm64(), reason="this LLVM does not support arm64")
def test_loops_compile_for_arm64(monkeypatch, tmp_path):
    settings = {"NUMBA_CACHE_DIR": str(tmp_path), "FASTLIN_COMPILED": "off"}
    for name, value in {**INSTRUCTION_SET_LEVELS["aarch64"].environment, **settings}.items():
        monkeypatch.setenv(name, value)
    constants = f"LINUX, MACOS = {LINUX!r}, {MACOS!r}\n"
    actual = json.loads(run_program(KERNELS_ONLY_PREAMBLE + constants + PROGRAM))
    for name, kernel_reports in actual.items():
        for loop_report in kernel_reports:
            assert not [called for called in loop_report["called"] if called.startswith("llvm.x86.")], name
            assert loop_report["registers of x86"] == 0, name
            if name != "transpose":
                assert loop_report["fused"] > 0 < loop_report["fused on macOS"], name
    assert actual.keys() == {"multiply", "transpose", "load", "combine", "exponentiate", "activate_block"}
