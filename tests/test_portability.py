"""The package on other systems: fits without functions that Windows lacks, and rules for source files."""

import ast
import json
import re

import numpy as np
import pytest
from conftest import run_program
from repository import files, find_nodes, parse
from sklearn.datasets import load_iris

import fastlin

CHECKED_FILES = files("fastlin", "benchmarks", "build_backend")
# These names are missing from Python's modules on Windows or macOS.
OS_FUNCTIONS = "fork register_at_fork posix_fadvise sched_getaffinity sysconf uname killpg setsid getuid geteuid getgid"
MISSING_NAMES = {
    "os": [*OS_FUNCTIONS.split(), "getegid", "getpgid", "getloadavg", "chown", "mkfifo", "pread", "sendfile"],
    "signal": ["SIGKILL", "SIGALRM", "SIGHUP", "SIGUSR1", "alarm", "setitimer", "pthread_kill", "pthread_sigmask"],
    "sys": ["abiflags"],
}
MISSING_MODULES = "fcntl", "resource", "pwd", "grp", "termios", "syslog"

# This program imports the libraries, removes these names, and then imports every fastlin module and fits models.
PROGRAM = f"""
import builtins, importlib, io, json, os, pkgutil, signal, sys, warnings
import fastlin

def import_all():
    for module in pkgutil.walk_packages(fastlin.__path__, "fastlin."):
        if module.name != "fastlin.__main__":
            importlib.import_module(module.name)

import_all()
from sklearn.datasets import load_iris
data = load_iris(return_X_y=True)
fastlin.LogisticRegression().fit(*data)
for name in [name for name in sys.modules if name.split(".")[0] == "fastlin"]:
    del sys.modules[name]
for module, names in {MISSING_NAMES!r}.items():
    for name in names:
        if hasattr(sys.modules[module], name):
            delattr(sys.modules[module], name)
for name in {MISSING_MODULES!r}:
    sys.modules[name] = None
# No file describes the processors.
opened = io.open
def open_elsewhere(path, *arguments, **options):
    if str(path).startswith(("/proc/cpuinfo", "/sys/devices")):
        raise FileNotFoundError(2, "No such file or directory", str(path))
    return opened(path, *arguments, **options)
io.open = builtins.open = open_elsewhere

import fastlin
import_all()
from fastlin.objective.budget import Budget
from fastlin.cli.doctor import describe_environment
from fastlin.kernels.machine.threads import count_threads
model = fastlin.LogisticRegression().fit(*data)
print(json.dumps({{
    "coef": model.coef_.tolist(),
    "budget": Budget.from_data_size(1000).bytes,
    "threads": count_threads(),
    "environment": describe_environment(),
    "modules": sum(name.startswith("fastlin.") for name in sys.modules),
}}))
"""


@pytest.mark.thorough
def test_fastlin_works_without_functions_that_windows_lacks():
    report = json.loads(run_program(PROGRAM))
    np.testing.assert_array_equal(report["coef"], fastlin.LogisticRegression().fit(*load_iris(return_X_y=True)).coef_)
    assert report["budget"] == 256 << 20
    assert report["threads"] >= 1
    assert report["modules"] > 100


def test_functions_that_a_system_may_lack_are_checked_before_use():
    used = []
    for path in CHECKED_FILES:
        nodes, guarded_names, guarded_modules = list(ast.walk(parse(path))), set(), set()
        for node in nodes:
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in ("hasattr", "getattr"):
                guarded_names.add(getattr(node.args[1], "value", None))
            if isinstance(node, ast.Try) and "ImportError" in [
                getattr(handler.type, "id", "") for handler in node.handlers
            ]:
                guarded_modules |= {
                    alias.name
                    for statement in node.body
                    if isinstance(statement, ast.Import)
                    for alias in statement.names
                }
        for node in nodes:
            if isinstance(node, ast.Attribute) and node.attr not in guarded_names:
                used += (
                    [(path, node.attr)] if node.attr in MISSING_NAMES.get(getattr(node.value, "id", None), ()) else []
                )
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module] if isinstance(node, ast.ImportFrom) else []
            used += [(path, name) for name in imported if name in MISSING_MODULES and name not in guarded_modules]
    assert used == []


def test_tempfile_creates_no_file_in_a_folder_that_may_be_read_only():
    # On Windows, tempfile would try names in such a folder for hours (CPython issue 66305).
    file_creating_functions, nodes = (
        ("TemporaryFile", "NamedTemporaryFile", "mkstemp"),
        find_nodes(ast.Attribute, files("fastlin")),
    )
    file_creations = [(path.name, node.attr) for path, node in nodes if node.attr in file_creating_functions]
    # parquet.py first writes to the folder itself.
    assert file_creations == [("parquet.py", "TemporaryFile")]


def test_files_of_users_are_written_atomically():
    # tests/environment/test_file_system.py tests `write_atomically`. The folder of kernels has separate permissions.
    calls = [
        (
            path.name,
            ast.unparse(node),
            {name_node.id for name_node in ast.walk(node) if isinstance(name_node, ast.Name)},
        )
        for path, node in find_nodes(ast.Call, files("fastlin"))
        if getattr(node.func, "attr", "") in ("write_text", "write_bytes", "savefig")
    ]
    assert [call for name, call, names in calls if "part" not in names] == ["figure.savefig(file, format='png')"]
    assert {name for name, *_ in calls} == {
        "instructions.py",
        "results.py",
        "page.py",
        "__init__.py",
        "cifar10_search.py",
        "style.py",
        "benchmark.py",
        "fit_and_predict.py",
    }


def is_text(call):
    """Return whether a call opens a text file without an encoding."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if any(option.arg == "encoding" for option in call.keywords):
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name != "open" or not (isinstance(call.func, ast.Name) or call.args):
        return False
    values = [*call.args, *(option.value for option in call.keywords if option.arg == "mode")]
    return not any(re.search("[b:|]", str(getattr(value, "value", ""))) for value in values)


def test_text_files_name_their_encoding():
    # The default encoding on Windows differs from that on Linux and macOS.
    without = [f"{path}: {ast.unparse(node)}" for path, node in find_nodes(ast.Call, CHECKED_FILES) if is_text(node)]
    # Other functions with the same name do not open files.
    others = re.compile(r"(os|webbrowser|Image|tarfile)\.open\(|\.open\(setting")
    assert [line for line in without if not others.search(line)] == []
