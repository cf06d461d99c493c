"""Plain loops that replace emitted instructions."""

import ast
import json

import numpy as np
import pytest
from repository import ROOT

from benchmarks.ablation import iterate_problems
from benchmarks.plain_loops import EMITTED, LOOPS, PREFETCHES, PROBLEMS, replace_loops
from benchmarks.processes import run_python

FIT_PROGRAM = """
import json
from benchmarks.plain_loops import replace_loops
replace_loops({group!r})
import numpy as np
from scipy.sparse import csr_array
from fastlin import LogisticRegression
generator = np.random.default_rng(0)
coefs = []
for d, K in ((6, 2), (20, 3), (90, 4), (30, 12)):
    X = generator.normal(size=(700, d)) * (generator.random((700, d)) < 0.3)
    y = (X @ generator.normal(size=(d, K)) + generator.gumbel(size=(700, K))).argmax(axis=1)
    for rows in (X, X.astype(np.float32), csr_array(X)):
        coefs.append(LogisticRegression(tol=1e-10, solver="lbfgs").fit(rows, y).coef_.tolist())
print(json.dumps(coefs))
"""


def list_names(node, prefix=""):
    """Yield the qualified names of the functions in a syntax tree."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield prefix + child.name
            yield from list_names(child, f"{prefix}{child.name}.<locals>.")


def test_every_plain_loop_replaces_an_existing_loop():
    for module, name in (key for loops in LOOPS.values() for key in loops):
        source = (ROOT / "fastlin" / "kernels" / "machine" / f"{module}.py").read_text("utf-8")
        assert name in set(list_names(ast.parse(source))), (module, name)
    assert PROBLEMS.keys() == LOOPS.keys()


def test_loops_of_loaded_kernels_cannot_be_replaced():
    import fastlin.kernels.machine.simd  # noqa: F401

    with pytest.raises(RuntimeError, match="Kernels are loaded"):
        replace_loops("simd")


@pytest.mark.thorough
def test_the_problems_of_each_group_exist():
    names = {problem[0] for problem in iterate_problems()}
    assert set().union(*PROBLEMS.values()) <= names


@pytest.mark.slow  # Each process compiles its kernels.
def test_plain_and_emitted_loops_agree(tmp_path):
    coefs = {
        group: json.loads(
            run_python(
                "-c",
                FIT_PROGRAM.format(group=group),
                NUMBA_CACHE_DIR=str(tmp_path / group),
                FASTLIN_COMPILED="off",
            )
        )
        for group in (EMITTED, *LOOPS)
    }
    # C J is 1-strongly convex, and C J of the null model is at most n ln K. So a suboptimality of tol C J bounds the
    # distance from the optimum.
    distance = np.sqrt(2 * 1e-10 * 700 * np.log(12))
    for group in LOOPS:
        for actual, expected in zip(coefs[group], coefs[EMITTED], strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2 * distance)
    assert coefs[PREFETCHES] == coefs[EMITTED]
