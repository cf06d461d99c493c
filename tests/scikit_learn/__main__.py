"""Runs scikit-learn's own tests by fastlin: python -m tests.scikit_learn -n 2.

--patched runs them, and those of what uses the same classes, with `fastlin.patch_sklearn`; --part N every N-th of them.
"""

import sys
from pathlib import Path

import pytest

MODULES = (
    "sklearn.linear_model.tests.test_logistic",
    "sklearn.neural_network.tests.test_mlp",
    "sklearn.tests.test_metaestimators_metadata_routing",
)
USERS = (
    "sklearn.ensemble.tests.test_bagging",
    "sklearn.ensemble.tests.test_stacking",
    "sklearn.ensemble.tests.test_voting",
    "sklearn.ensemble.tests.test_weight_boosting",
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
    "sklearn.tests.test_calibration",
    "sklearn.tests.test_common",
    "sklearn.tests.test_metaestimators",
    "sklearn.tests.test_multiclass",
    "sklearn.tests.test_multioutput",
    "sklearn.tests.test_pipeline",
)

if __name__ == "__main__":
    settings, arguments = Path(__file__).with_name("pytest.ini"), sys.argv[1:]
    modules = MODULES + USERS if "--patched" in arguments else MODULES
    sys.exit(pytest.main(["-c", str(settings), "-p", "tests.scikit_learn.plugin", "--pyargs", *modules, *arguments]))
