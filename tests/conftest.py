"""Shared fixtures and helpers: random problems, MNIST if it is on disk, an empty cache and a local server."""

import contextlib
import errno
import http.server
import linecache
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import FunctionType
from unittest.mock import Mock

import numpy as np
import pytest
import sklearn
import tiers
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fastlin import datasets
from fastlin.benchmarking.other_libraries import LIBRARIES
from fastlin.environment import file_system
from fastlin.kernels.machine import threads
from fastlin.kernels.machine.cache_folder import cache_folder
from fastlin.kernels.machine.compilation import REASSOCIATION_FLAGS, kernel

# tests/test_without_compilation.py runs tests/kernels a second time, uncompiled.
JIT_ENABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"

# These lines begin a program that imports kernels but avoids the slower imports of fastlin/__init__.py.
KERNELS_ONLY_PREAMBLE = f"""
import sys, types
sys.modules["fastlin"] = types.ModuleType("fastlin")
sys.modules["fastlin"].__path__ = [{Path(file_system.__file__).parents[1].as_posix()!r}]
"""
COLUMN_KINDS = ["plain", "badly scaled", "shifted", "constant"]
# Array layouts that kernels treat differently.
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=1), 3, axis=0)[::3, ::2],
    "reversed": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
}
# Processes that a shell starts in the background ignore Ctrl-C, as do their children. The program must not ignore it.
PROGRAM = """
import signal, sys
from fastlin.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""
FASTLIN = [sys.executable, "-c", PROGRAM]


def pytest_configure(config):
    # `pytest --benchmark-only` also loads this file, even in environments without hypothesis.
    if config.pluginmanager.has_plugin("hypothesispytest"):
        load_hypothesis_profile(config.getoption("--hypothesis-profile") or "default")
    if hasattr(config, "workerinput"):
        # Programs that a test starts, and libraries loaded later, read the variable.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        threadpool_limits(1, user_api="blas")
    if not JIT_ENABLED:
        # NumPy warns about infinity and NaN, but compiled arithmetic does not.
        for name in ("overflow", "invalid value", "divide by zero"):
            config.addinivalue_line("filterwarnings", f"ignore:{name} encountered:RuntimeWarning")


def load_hypothesis_profile(name):
    """Load a hypothesis profile. "default" generates the same examples in each run, "nightly" generates new ones."""
    from hypothesis import HealthCheck, settings

    settings.register_profile("default", deadline=None, derandomize=True)
    settings.register_profile(
        "nightly", deadline=None, derandomize=False, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile(name)


def pytest_addoption(parser):
    tiers.add_options(parser)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Distribute test files to the processes of pytest-xdist, in the order of collection. Do not split files."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    tiers.select_tests(config, items)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Check the limits of the tier if `--hold-tier` is set. Workers of pytest-xdist run too few tests for the check."""
    if session.config.getoption("--hold-tier") and not hasattr(session.config, "workerinput"):
        tiers.check_limits(session, cache_folder())


def mark_params(mark, *values):
    """Return a `pytest.param` with the mark of a tier for each of the values."""
    return [pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=mark) for value in values]


def make_python_callable(function):
    """Return a cached kernel that Python can call and that runs an inner kernel, which only kernels can call."""
    if not JIT_ENABLED:
        return function
    inner = function.py_func
    copy = FunctionType(inner.__code__, inner.__globals__, inner.__name__, inner.__defaults__, inner.__closure__)
    # The cache stores one file per name, and the file of the inner kernel has no entry point for Python.
    copy.__module__, copy.__qualname__ = inner.__module__, f"{inner.__qualname__}_from_python"
    return kernel(copy, reassociate=function.targetoptions["fastmath"] == REASSOCIATION_FLAGS)


def assert_bitwise_equal(results):
    """Assert that tuples of arrays are bitwise equal. Without compilation, they may differ by rounding errors."""
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            if JIT_ENABLED:
                np.testing.assert_array_equal(first, second)
            else:
                np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5)


def requires_scikit_learn(major, minor):
    """Return a mark that skips a test if the installed scikit-learn is older than version `major.minor`."""
    installed = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
    return pytest.mark.skipif(installed < (major, minor), reason=f"compares with scikit-learn {major}.{minor} or later")


def run_program(code, *arguments):
    """Return the standard output of a program that runs in a separate process."""
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    completed_process = subprocess.run(command, capture_output=True, text=True, timeout=1_200)
    assert completed_process.returncode == 0, completed_process.stderr[-3_000:]
    return completed_process.stdout


def assert_unchanged(model, before):
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


def assert_raises(message, method, /, *arguments, error=ValueError, **keyword_arguments):
    """Assert that a call raises an error. If a method is called, also assert that its object does not change."""
    owner = getattr(method, "__self__", None)
    before = dict(vars(owner)) if hasattr(owner, "__dict__") else None
    with pytest.raises(error, match=message):
        method(*arguments, **keyword_arguments)
    if before is not None:
        assert_unchanged(owner, before)


def load_standardized(loader):
    """Return standardized X and y from a loader in sklearn.datasets. Columns have mean 0 and standard deviation 1."""
    X, y = loader(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def as_bfloat16(X):
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    return np.asarray(X, np.float32).astype(ml_dtypes.bfloat16)


def make_problem(n, d, n_classes, dtype=np.float64, seed=0, weighted=True):
    """Return X, labels, weights, coef and intercept of a random problem. With two classes, coef has one row."""
    generator = np.random.default_rng(seed)
    rows = 1 if n_classes == 2 else n_classes
    is_integer = np.issubdtype(dtype, np.integer)
    X = generator.integers(0, 256, (n, d)) if is_integer else generator.normal(size=(n, d))
    labels = generator.integers(0, n_classes, n).astype(np.int32)
    weights = generator.uniform(0, 2, n) if weighted else np.ones(n)
    coef = generator.normal(size=(rows, d)) * (1 / 255 if is_integer else 1.0)
    return X.astype(dtype), labels, weights, coef, generator.normal(size=rows)


def make_sparse(n, d, dtype=np.float64, index_dtype=np.int32, density=0.3, seed=0):
    """Return data, unsorted unique indices and indptr of a random CSR matrix. Some rows and columns are empty."""
    generator = np.random.default_rng(seed)
    is_stored = generator.uniform(size=(n, d)) < density
    is_stored[n // 2] = False
    is_stored[0] = True
    is_stored[:, d // 2] = False
    indices = [generator.permutation(np.flatnonzero(row)) for row in is_stored]
    indptr = np.cumsum([0] + [len(row) for row in indices]).astype(index_dtype)
    indices = np.concatenate(indices).astype(index_dtype)
    data = generator.integers(1, 100, len(indices)) * generator.choice([1, -1], len(indices))
    return (data / 32 if np.issubdtype(dtype, np.floating) else data).astype(dtype), indices, indptr


def distort_columns(X, name):
    """Return a copy of X with ill-conditioned columns of the kind `name`."""
    generator = np.random.default_rng(X.shape[1])
    X = X.copy()
    match name:
        case "badly scaled":
            X *= 10.0 ** generator.uniform(-4, 4, X.shape[1])
        case "shifted":
            X += 1e4 * generator.normal(size=X.shape[1])
        case "constant":
            X[:, 0], X[:, -1] = 3.0, 0.0
    return X


def make_offsets_and_targets(labels, n_classes, size=2.0, seed=0, standard_deviation=2.0):
    """Return offsets and targets, both of shape (n, K). The label of a row is usually its most probable class."""
    generator = np.random.default_rng(seed + 7)
    n_rows_coef = 1 if n_classes == 2 else n_classes
    targets = 0.6 * np.eye(n_classes)[labels] + 0.4 * generator.dirichlet(np.ones(n_classes), len(labels))
    targets /= targets.sum(axis=1, keepdims=True)
    row_offsets = min(size, standard_deviation) * generator.normal(size=(len(labels), n_rows_coef))
    offsets = row_offsets + size * generator.normal(size=n_rows_coef)
    return offsets, targets[:, -n_rows_coef:].copy()


@pytest.fixture(scope="session")
def mnist_folder():
    """Return the folder with the MNIST files. Skip the test if the files are not on disk."""
    for folder in datasets.list_folders():
        if all(datasets.find_mnist([folder]).values()):
            return folder
    pytest.skip("MNIST is not on disk: set FASTLIN_DATA to the folder with its four files")


@pytest.fixture(scope="session")
def cifar10():
    """Return CIFAR-10 with the studies' validation images. Skip the test if the data set is not on disk."""
    for folder in datasets.list_folders():
        # With an explicit folder, nothing is downloaded.
        with contextlib.suppress(datasets.DatasetNotFoundError):
            return datasets.load_cifar10(6_000, folder=folder)
    pytest.skip("CIFAR-10 is not on disk: set FASTLIN_DATA to the folder that holds it in any of its forms")


@pytest.fixture(scope="module")
def force_sparse_kernels():
    """Use sparse kernels for every sparse X regardless of its density, so that tests do not need sparser data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastlin.estimators.columns.MIN_DENSITY", 2)
        yield


@pytest.fixture
def libraries(monkeypatch):
    """Reduce the libraries of a comparison to two, and return their dict. A test may add other libraries to it."""
    few = {name: LIBRARIES[name] for name in ("fastlin", "scikit-learn lbfgs")}
    for module in ("other_libraries", "library_comparison"):
        monkeypatch.setattr(f"fastlin.benchmarking.{module}.LIBRARIES", few)
    # The pause between fits only stabilizes timings, and no test checks those.
    monkeypatch.setattr("fastlin.benchmarking.timing.PAUSE_SECONDS", 0.0)
    return few


@pytest.fixture
def cut_into_blocks(monkeypatch):
    """Return a function that sets the minimum number of multiply-adds per block for the rest of the test."""

    def cut(work):
        monkeypatch.setattr(threads, "MIN_BLOCK_WORK", work)
        threads.count_blocks.cache_clear()

    yield cut
    threads.count_blocks.cache_clear()


@pytest.fixture
def use_empty_cache_folder(monkeypatch, tmp_path):
    """Use an empty temporary cache folder, and no data folder."""
    monkeypatch.delenv("FASTLIN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(tmp_path / "cache"))


def run_until_line(run, files, interrupted_line=np.inf):
    """Return the result of `run` and the number of lines that it executed in `files`.

    Ctrl-C interrupts `run` at line number `interrupted_line`, or at the next line if that line ends a `with` block.
    Then the result is None.
    """
    n_lines, before, result, entered_lines = 0, sys.gettrace(), None, set()

    def is_end_of_with(frame):
        """Return whether the line is a `with` statement that was executed before, and now ends."""
        if not linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with "):
            return False
        # The frame itself is stored, because a new frame may get the identity of an old one.
        entered_lines.symmetric_difference_update([(frame, frame.f_lineno)])
        return (frame, frame.f_lineno) not in entered_lines

    def count_executed_line(frame, event, argument):
        nonlocal n_lines
        n_lines += event == "line"
        # Python handles signals after calls and at jumps, so never between the last statement of a `with` block and the
        # end of the block. An error at this place would not release a lock.
        if event == "line" and not is_end_of_with(frame) and n_lines >= interrupted_line:
            raise KeyboardInterrupt
        return count_executed_line

    sys.settrace(lambda frame, *_: count_executed_line if frame.f_code.co_filename in files else None)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            result = run()
    finally:
        sys.settrace(before)
    return result, n_lines


def make_replace_fail(monkeypatch):
    """Make `os.replace` fail as it does on Windows if another program has the file open."""

    def raise_permission_error(source, target):
        raise PermissionError(13, "Access is denied", str(source), None, str(target))

    monkeypatch.setattr(os, "replace", raise_permission_error)


def make_locks_fail(monkeypatch):
    """Make file locks fail as on some network file systems. Skip the test if the system uses other locks."""
    fcntl = pytest.importorskip("fcntl", reason="the system has other locks")
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(errno.ENOSYS, "Function not implemented")))


@pytest.fixture
def server():
    """Return a function that serves a dict {name: bytes} locally and returns the address.

    The attribute `requests` of the function lists the requested paths.
    """
    running = contextlib.ExitStack()

    def serve(contents, answer=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                serve.requests.append(self.path)
                if answer is not None:
                    return answer(self)
                if (body := contents.get(self.path.removeprefix("/"))) is None:
                    return self.send_error(404)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        instance = running.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        running.callback(instance.shutdown)
        # The argument is the number of seconds between two checks of whether the test has ended.
        threading.Thread(target=instance.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{instance.server_port}/"

    serve.requests = []
    with running:
        yield serve
