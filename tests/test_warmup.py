"""The steps of the warm-up: each kind compiles without an error or a warning."""

import numpy as np
import pytest

from fastlin.warmup import STEPS, fit_l1, fit_large, fit_network, fit_small, fit_sparse, lay_out, train_model


@pytest.mark.parametrize(
    ("step", "arguments"),
    [
        (fit_small, ["float64", "C"]),
        (fit_sparse, ["float64"]),
        (fit_l1, ["float64", "F", 2]),
        (fit_network, ["float64", "A", "float32"]),
        (train_model, ["float64"]),
        pytest.param(fit_large, ["float64", "C"], marks=pytest.mark.slow),
    ],
)
def test_a_step_of_each_kind_runs(step, arguments):
    step(*arguments)


@pytest.mark.parametrize("layout", "CFA")
def test_layouts_are_those_that_kernels_are_compiled_for(layout):
    X = lay_out(np.arange(12.0).reshape(4, 3), layout)
    np.testing.assert_array_equal(X, np.arange(12).reshape(4, 3))
    assert (X.flags.c_contiguous, X.flags.f_contiguous) == (layout == "C", layout == "F")


def test_every_kind_is_a_step():
    kinds = {step.func for step in STEPS.values()}
    assert kinds == {fit_small, fit_large, fit_sparse, fit_l1, fit_network, train_model}
