"""Fixtures of the trainers' tests: no warning was issued yet, and models have few inputs."""

import pytest
from naive_course import N_FEATURES

from fastlin.course import trainers
from fastlin.course.trainers import differences


@pytest.fixture(autouse=True)
def reset_warnings(monkeypatch):
    monkeypatch.setattr(differences, "_issued_warnings", set())


def make_model(n_outputs, l2_reg_lambda=0.0, half=False):
    if n_outputs == 1:
        return trainers.BinaryModel(n_inputs=N_FEATURES, l2_reg_lambda=l2_reg_lambda, half=half)
    return trainers.SoftmaxModel(l2_reg_lambda, half, n_inputs=N_FEATURES, n_outputs=n_outputs)
