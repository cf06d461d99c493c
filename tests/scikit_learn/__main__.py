"""Runs scikit-learn's own tests of its estimators with fastlin's in their place: python -m tests.scikit_learn -n 2."""

import sys
from pathlib import Path

import pytest

MODULES = (
    "sklearn.linear_model.tests.test_logistic",
    "sklearn.neural_network.tests.test_mlp",
    "sklearn.tests.test_metaestimators_metadata_routing",
)

if __name__ == "__main__":
    settings = Path(__file__).with_name("pytest.ini")
    sys.exit(pytest.main(["-c", str(settings), "-p", "tests.scikit_learn.plugin", "--pyargs", *MODULES, *sys.argv[1:]]))
