"""A pytest plugin that runs scikit-learn's unmodified test files with fastlin.

fastlin's estimators replace scikit-learn's estimators. With --patched, scikit-learn's estimators are patched instead,
and fastlin must run nine tenths of the fits. The tables below list the tests that must fail.
"""

from collections import Counter

import pytest
import sklearn.linear_model
import sklearn.neural_network

import fastlin
from fastlin.patch import PATCHED_CLASSES

MIN_FASTLIN_FIT_FRACTION = 0.9
FITS = Counter()

ACCEPTED_INPUT_REASON = "fastlin fits what scikit-learn rejects"
LIBLINEAR_REASON = "a property of liblinear's C code"
PRIVATE_FUNCTION = "it calls a private function of scikit-learn"
PRIVATE_ATTRIBUTES = "it sets or calls private attributes of scikit-learn's class"
MAX_EPOCHS_REASON = "n_iter_no_change=np.inf requests max_iter epochs, so fastlin does not warn"
# Names of test items without modules, or of tests with only failing items, and the reasons for the failures.
EXPECTED_FAILURES = {
    "test_check_solver_option": f"{ACCEPTED_INPUT_REASON}: every solver takes every penalty",
    **{
        f"test_large_sparse_matrix[csr_{kind}-{solver}]": f"{ACCEPTED_INPUT_REASON}: indices of 64 bits"
        for kind in ("matrix", "array")
        for solver in ("liblinear", "sag", "saga")
    },
    "test_liblinear_with_large_values": f"{ACCEPTED_INPUT_REASON}: numbers above 1e30",
    "test_liblinear_dual_random_state": f"{LIBLINEAR_REASON}: its solution of the dual problem depends on random_state",
    "test_newton_cholesky_fallback_to_lbfgs": "it expects as many iterations of newton-cholesky as of lbfgs, which "
    "scikit-learn's falls back to",
    "test_logisticregression_warns_with_n_jobs": "n_jobs has an effect",
    "test_gradient": PRIVATE_ATTRIBUTES,
}
REPLACED_CLASS_FAILURES = {
    "test_logistic_cv_multinomial_score": f"{PRIVATE_FUNCTION} with our solver's name",
    "test_scores_attribute_layout_elasticnet": "it expects fits that stop at tol=1e-3 to agree within 1e-3",
    "test_logistic_regression_callback_support_warning": "every solver calls callbacks",
    "test_fit": PRIVATE_ATTRIBUTES,
    "test_verbose_sgd": "verbose shows a progress bar",
    "test_mlp_param_dtypes[MLPClassifier-float64]": "a network is float32 unless dtype says otherwise",
    "test_mlp_warm_start_no_convergence[sgd-MLPClassifier]": MAX_EPOCHS_REASON,
    "test_mlp_warm_start_no_convergence[adam-MLPClassifier]": MAX_EPOCHS_REASON,
}
PATCHED_CLASS_FAILURES = {
    "test_logistic_cv_multinomial_score[neg_log_loss-multiclass_agg_list3]": f"{PRIVATE_FUNCTION}, which stops before "
    "the minimum, and expects its score",
    "test_max_iter[42-liblinear-Liblinear failed to converge, increase the number of iterations.-max_iter3]": "the fit "
    "converges in four iterations",
    "test_adaptive_learning_rate": PRIVATE_ATTRIBUTES,
    "test_multiclass_multioutput_estimator_predict_proba": "it expects seven digits of a fit that stopped at tol=1e-4",
}


def pytest_addoption(parser):
    parser.addoption("--patched", action="store_true", help="patch scikit-learn's classes")
    parser.addoption("--part", type=int, default=1, metavar="N", help="run every N-th test (default: all)")


def pytest_configure(config):
    """Replace or patch the classes before the test files import them."""
    if config.getoption("patched"):
        fastlin.patch_sklearn([*PATCHED_CLASSES])
        return
    sklearn.linear_model.LogisticRegression = fastlin.LogisticRegression
    sklearn.linear_model.LogisticRegressionCV = fastlin.LogisticRegressionCV
    sklearn.neural_network.MLPClassifier = fastlin.MLPClassifier


def pytest_collection_modifyitems(config, items):
    """Deselect the items that cannot test fastlin, and expect the listed tests to fail."""
    is_patched = config.getoption("patched")
    selected = [item for item in items if _is_selected(item, is_patched)][:: config.getoption("part")]
    selected_items = set(selected)
    config.hook.pytest_deselected(items=[item for item in items if item not in selected_items])
    items[:] = selected
    expected_failures = EXPECTED_FAILURES | (PATCHED_CLASS_FAILURES if is_patched else REPLACED_CLASS_FAILURES)
    for item in items:
        for name in {item.name, item.name.partition("[")[0]} & expected_failures.keys():
            item.add_marker(pytest.mark.xfail(reason=expected_failures[name], strict=True))


def _is_selected(item, is_patched):
    """Return whether an item can test fastlin. Tests of regressors are included, to check that they still run."""
    if item.path.name == "test_metaestimators_metadata_routing.py":
        return "LogisticRegressionCV" in item.name
    if item.path.name == "test_common.py":
        return any(f"[{name}(" in item.name for name in PATCHED_CLASSES)
    return is_patched or "array_api" not in item.name


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Add the fits that a process of pytest-xdist has counted."""
    FITS.update(node.workeroutput.get("fits", {}))


def pytest_sessionfinish(session):
    """Report the fits of this process, or check that fastlin ran most of all fits."""
    if not session.config.getoption("patched"):
        return
    report = fastlin.patch.report()
    FITS.update({"fastlin": sum(report.fastlin.values()), "scikit-learn": sum(report.scikit_learn.values())})
    FITS.update(report.reasons)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["fits"] = dict(FITS)
    elif FITS["fastlin"] < MIN_FASTLIN_FIT_FRACTION * (FITS["fastlin"] + FITS["scikit-learn"]):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    """Show how many fits each package ran, and the reasons for the fallbacks to scikit-learn."""
    if config.getoption("patched"):
        for name, count in FITS.items():
            terminalreporter.write_line(f"{count:6,} fits: {name}")
