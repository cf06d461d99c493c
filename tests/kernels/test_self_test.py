"""The kernels beside NumPy, and that a difference is told."""

import subprocess
import sys

import numpy as np
import pytest

from fastlin.kernels import numba_versions, self_test
from fastlin.kernels.self_test import check_kernels, compare


def test_kernels_are_numpys():
    check_kernels()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_wrong_result_of_a_kernel_is_told(monkeypatch, place):
    right = self_test._pass_over_dense_rows

    def almost_right(*arguments):
        results = list(right(*arguments))
        results[place] = results[place] * 1.001
        return results

    monkeypatch.setattr(self_test, "_pass_over_dense_rows", almost_right)
    with pytest.raises(ArithmeticError, match="dense float64, 1 rows of coefficients: kernels differ from NumPy by"):
        check_kernels()


def test_what_is_no_number_is_a_difference():
    with pytest.raises(ArithmeticError, match="by nan"):
        compare("name", (np.array([1, np.nan]),), (np.array([1.0, 2.0]),), "float64")
    compare("name", (np.float64(1 + 1e-15),), (np.float64(1),), "float64")


@pytest.mark.thorough
def test_the_trial_of_another_numba_finds_the_kernels():
    program = numba_versions.PROGRAM.format(path=sys.path)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
