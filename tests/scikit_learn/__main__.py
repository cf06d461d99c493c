"""Run scikit-learn's own tests with fastlin: python -m tests.scikit_learn -n 2.

With --patched, these tests and the tests of code that uses the same classes run with `fastlin.patch_sklearn`. --part N
runs every N-th test.
"""

import sys
from pathlib import Path

import pytest

TEST_MODULES = (
    "sklearn.linear_model.tests.test_logistic",
    "sklearn.neural_network.tests.test_mlp",
    "sklearn.tests.test_metaestimators_metadata_routing",
)
PATCHED_TEST_MODULES = (
    *(f"sklearn.ensemble.tests.test_{name}" for name in ("bagging", "stacking", "voting", "weight_boosting")),
    "sklearn.feature_selection.tests.test_from_model",
    "sklearn.feature_selection.tests.test_rfe",
    "sklearn.frozen.tests.test_frozen",
    "sklearn.inspection._plot.tests.test_boundary_decision_display",
    "sklearn.inspection.tests.test_partial_dependence",
    "sklearn.inspection.tests.test_permutation_importance",
    "sklearn.model_selection.tests.test_classification_threshold",
    "sklearn.model_selection.tests.test_search",
    "sklearn.model_selection.tests.test_validation",
    "sklearn.semi_supervised.tests.test_self_training",
    *(f"sklearn.tests.test_{name}" for name in ("calibration", "common", "metaestimators")),
    *(f"sklearn.tests.test_{name}" for name in ("multiclass", "multioutput", "pipeline")),
)

if __name__ == "__main__":
    settings, arguments = Path(__file__).with_name("pytest.ini"), sys.argv[1:]
    modules = TEST_MODULES + PATCHED_TEST_MODULES if "--patched" in arguments else TEST_MODULES
    sys.exit(pytest.main(["-c", str(settings), "-p", "tests.scikit_learn.plugin", "--pyargs", *modules, *arguments]))
