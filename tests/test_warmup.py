"""The steps of the warm-up: each kind compiles without an error or a warning."""

import pytest

from fastlin.warmup import STEPS, fit_l1, fit_large, fit_network, fit_small, fit_sparse, fit_table, train_model


@pytest.mark.parametrize(
    ("step", "arguments"),
    [
        (fit_small, ["float64"]),
        (fit_sparse, ["float64"]),
        (fit_table, []),
        (fit_l1, ["float64", 2]),
        (fit_network, ["float64", "float32"]),
        (train_model, ["float64"]),
        pytest.param(fit_large, ["float64"], marks=pytest.mark.slow),
    ],
)
def test_a_step_of_each_kind_runs(step, arguments):
    step(*arguments)


def test_every_kind_is_a_step():
    kinds = {step.func for step in STEPS.values()}
    assert kinds == {fit_small, fit_large, fit_sparse, fit_table, fit_l1, fit_network, train_model}
