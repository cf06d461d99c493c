"""Every estimator under threads, processes, memory errors, many fits and interrupts; no call has side effects."""

import gc
import itertools
import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import JIT_ENABLED, assert_raises, mark_params, run_program, run_until_line
from joblib.externals.loky import get_reusable_executor
from linear_models import make_cv_model
from sklearn.datasets import load_iris
from small_networks import have_different_coefs
from threadpoolctl import threadpool_limits

import fastlin
from fastlin.kernels.machine.threads import limit_threads

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.skipif(not JIT_ENABLED, reason="threads and processes are those of compiled kernels"),
]
MODEL_FACTORIES = [
    fastlin.LogisticRegression,
    lambda: fastlin.LogisticRegression(l1_ratio=1, C=0.5),
    lambda: make_cv_model(Cs=3, cv=2),
    lambda: fastlin.MiniBatchLogisticRegression(max_iter=3, random_state=0),
    lambda: fastlin.MLPClassifier((5,), max_iter=3, random_state=0, batch_norm="both", dropout=0.2),
    fastlin.FirthLogisticRegression,
]
MEMORY_STATUS_FILE = Path("/proc/self/statm")
needs_memory_status = pytest.mark.skipif(
    not MEMORY_STATUS_FILE.exists(), reason="the system does not report the memory of a process"
)
X, Y = load_iris(return_X_y=True)


def fit_models(X=X):
    models = [make().fit(X, Y) for make in MODEL_FACTORIES]
    return [model.coefs_[0] if hasattr(model, "coefs_") else model.coef_ for model in models]


@pytest.mark.parametrize("dtype", [np.float64, *mark_params(pytest.mark.thorough, np.float32)])
def test_concurrent_fits_on_any_number_of_threads_are_bitwise_equal(dtype, cut_into_blocks):
    cut_into_blocks(200)
    rows = X.astype(dtype)

    def fit_path():
        path = fastlin.logistic_path(rows, Y, Cs=4)
        return [*fit_models(rows), path.coefs, path.certificates]

    expected = fit_path()
    for n_threads in (1, 2, 3):
        # OpenBLAS's summation order in large products depends on the number of threads.
        with limit_threads(n_threads), threadpool_limits(1, user_api="blas"):
            np.testing.assert_equal(fit_path(), expected)
    with ThreadPoolExecutor(6) as pool:
        for fitted in pool.map(lambda _: fit_models(rows), range(4)):
            np.testing.assert_equal(fitted, expected[:-2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_fits_the_same_models():
    expected = fit_models()
    child = os.fork()
    if child == 0:
        try:
            np.testing.assert_equal(fit_models(), expected)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.thorough
@pytest.mark.parametrize(
    "make_pool",
    [lambda: ProcessPoolExecutor(2, multiprocessing.get_context("spawn")), lambda: get_reusable_executor(2)],
    ids=["spawn", "loky"],
)
def test_other_processes_fit_the_same_models(make_pool):
    expected = fit_models()
    with make_pool() as pool:
        for task in [pool.submit(fit_models) for _ in range(2)]:
            np.testing.assert_equal(task.result(), expected)


@needs_memory_status
@pytest.mark.thorough
def test_many_fits_do_not_leak_memory():
    def measure(n_fits):
        for _ in range(n_fits):
            fit_models()
        gc.collect()
        return int(MEMORY_STATUS_FILE.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = measure(10)
    assert measure(40) - before < 5_000_000


@needs_memory_status
@pytest.mark.thorough
def test_lack_of_memory_raises_a_memory_error():
    # The coefficients have 160 MB. Kernels and threads fit into the limit, because LLVM and OpenMP end a process that
    # has no memory for them.
    output = run_program("""
import resource
import numpy as np
import scipy.sparse
import fastlin
generator = np.random.default_rng(0)
X = scipy.sparse.random_array((1_000, 100_000), density=0.001, format="csr", rng=generator)
y = np.arange(1_000) % 200
models = [
    fastlin.LogisticRegression(max_iter=3),
    fastlin.LogisticRegression(max_iter=3, l1_ratio=1),
    fastlin.MLPClassifier((200,), max_iter=1),
]
for model in models:
    before = dict(model.__dict__)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000, -1))
    try:
        model.fit(X, y)
        print("fitted")
    except MemoryError:
        print("MemoryError" if model.__dict__ == before else "changed")
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
""")
    assert output.split() == ["MemoryError"] * 3


def test_a_fit_uses_no_file_network_or_environment():
    output = run_program("""
import os, sys
import numpy as np
import fastlin
generator = np.random.default_rng(0)
X, y = generator.standard_normal((200, 5)), generator.integers(0, 3, 200)
models = [
    fastlin.LogisticRegression(),
    fastlin.LogisticRegression(l1_ratio=1),
    fastlin.MiniBatchLogisticRegression(max_iter=2),
    fastlin.MLPClassifier((3,), max_iter=2),
]
for model in models:
    model.fit(X, y).predict(X)
seen, environment = [], dict(os.environ)
sys.addaudithook(lambda event, arguments: seen.append(event))
for model in models:
    model.fit(X, y).predict(X)
outside = "open", "os", "socket", "subprocess", "shutil", "tempfile"
print(sorted({event for event in seen if event.split(".")[0] in outside}), dict(os.environ) == environment)
""")
    assert output.split() == ["[]", "True"]


PACKAGE_FOLDER = Path(fastlin.__file__).parent
INTERRUPTIBLE_FILES = {*map(str, PACKAGE_FOLDER.rglob("*.py"))} - {*map(str, PACKAGE_FOLDER.glob("kernels/**/*.py"))}
GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(60, 3))
LABELS = (ROWS[:, 0] + GENERATOR.normal(size=60) > 0) * 1
EPOCHS = {"max_iter": 3, "n_iter_no_change": np.inf, "batch_size": 20, "random_state": 0}
steps = partial(fastlin.MiniBatchLogisticRegression, **EPOCHS)
network = partial(fastlin.MLPClassifier, (2,), batch_norm="both", dropout=0.2, **EPOCHS)
folds = partial(make_cv_model, Cs=[1.0], scoring="accuracy", n_jobs=1)


def fit(model, **validation):
    return model.fit(ROWS, LABELS, **validation)


FIT_CALLS = {
    "steps": (steps, fit),
    "steps, validation": (partial(steps, early_stopping=True), fit),
    "partial_fit of steps": (steps, lambda model: model.partial_fit(ROWS, LABELS, [0, 1])),
    "fit_batches": (steps, lambda model: model.fit_batches([(ROWS, LABELS), (ROWS, LABELS)], [0, 1], 2)),
    "network": (network, fit),
    "partial_fit of a network": (network, lambda model: model.partial_fit(ROWS, LABELS, classes=[0, 1])),
    "network by lbfgs": (partial(fastlin.MLPClassifier, (2,), solver="lbfgs", max_iter=3), fit),
    "fit": (fastlin.LogisticRegression, fit),
    "L1": (partial(fastlin.LogisticRegression, l1_ratio=1), fit),
    "Firth": (fastlin.FirthLogisticRegression, fit),
    "folds": (folds, fit),
    "validation set": (folds, partial(fit, X_val=ROWS, y_val=LABELS)),
}


@pytest.mark.parametrize("interrupt_line_step", [97, *mark_params(pytest.mark.slow, 7)])
@pytest.mark.parametrize("name", FIT_CALLS)
def test_an_interrupt_is_raised_or_reported_with_a_consistent_model(name, interrupt_line_step):
    make, call = FIT_CALLS[name]
    fitted_attributes = set(vars(call(make())))
    # After an interrupt, the model is unchanged, or complete if the interrupt arrives after the fit.
    for n_interrupts in itertools.count():
        model, interrupted_line = make(), 1 + n_interrupts * interrupt_line_step
        before = dict(vars(model))
        with warnings.catch_warnings(record=True, action="always") as caught:
            result, n_lines = run_until_line(partial(call, model), INTERRUPTIBLE_FILES, interrupted_line)
        if n_lines < interrupted_line:
            break
        if result is None:
            assert vars(model) == before or set(vars(model)) == fitted_attributes
        else:
            assert model.interrupted_
            messages = [str(warning.message) for warning in caught]
            assert any(message.startswith("Training interrupted by user") for message in messages)
            if name == "network":
                # The model after the last complete epoch, including its random state.
                assert any(f"after {model.n_iter_} complete epochs" in message for message in messages)
                if model.n_iter_:
                    shorter = make(max_iter=model.n_iter_).fit(ROWS, LABELS)
                    assert not have_different_coefs(model, shorter)
                    np.testing.assert_equal(model._optimizer.optimizer_arrays, shorter._optimizer.optimizer_arrays)
    assert n_interrupts > 5


def test_an_interrupt_at_the_end_of_a_fit_does_not_change_the_model(monkeypatch):
    monkeypatch.setattr("fastlin.estimators.fit_reporting.perf_counter", Mock(side_effect=[0.0, KeyboardInterrupt]))
    assert_raises(None, fastlin.LogisticRegression().fit, ROWS, LABELS, error=KeyboardInterrupt)
