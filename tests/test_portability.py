"""The package on other systems: without what Windows lacks, and by rules that its files have to follow."""

import ast
import json
import re

import numpy as np
import pytest
from conftest import run_program
from repository import files, find_nodes, parse
from sklearn.datasets import load_iris

import fastlin

CHECKED = files("fastlin", "benchmarks", "build_backend")
# What the modules of Python lack on Windows, or on macOS.
OF_OS = "fork register_at_fork posix_fadvise sched_getaffinity sysconf uname killpg setsid getuid geteuid getgid"
MISSING = {
    "os": [*OF_OS.split(), "getegid", "getpgid", "getloadavg", "chown", "mkfifo", "pread", "sendfile"],
    "signal": ["SIGKILL", "SIGALRM", "SIGHUP", "SIGUSR1", "alarm", "setitimer", "pthread_kill", "pthread_sigmask"],
    "sys": ["abiflags"],
}
NO_MODULES = "fcntl", "resource", "pwd", "grp", "termios", "syslog"

# Imports every module of fastlin, and fits, in a process that lacks them, after it has imported the libraries.
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
for module, names in {MISSING!r}.items():
    for name in names:
        if hasattr(sys.modules[module], name):
            delattr(sys.modules[module], name)
for name in {NO_MODULES!r}:
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
from fastlin.budget import Budget
from fastlin.cli.doctor import describe_environment
from fastlin.kernels.machine.threads import count_threads
model = fastlin.LogisticRegression().fit(*data)
print(json.dumps({{
    "coef": model.coef_.tolist(),
    "budget": Budget.for_data(1000).bytes,
    "threads": count_threads(),
    "environment": describe_environment(),
    "modules": sum(name.startswith("fastlin.") for name in sys.modules),
}}))
"""


@pytest.mark.thorough
def test_a_system_without_what_windows_lacks_imports_fits_and_describes_itself():
    found = json.loads(run_program(PROGRAM))
    np.testing.assert_array_equal(found["coef"], fastlin.LogisticRegression().fit(*load_iris(return_X_y=True)).coef_)
    assert found["budget"] == 256 << 20
    assert found["threads"] >= 1
    assert found["modules"] > 100


def test_what_a_system_may_lack_is_asked_for_before_it_is_used():
    used = []
    for path in CHECKED:
        nodes, asked, tried = list(ast.walk(parse(path))), set(), set()
        for node in nodes:
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in ("hasattr", "getattr"):
                asked.add(getattr(node.args[1], "value", None))
            if isinstance(node, ast.Try) and "ImportError" in [getattr(each.type, "id", "") for each in node.handlers]:
                tried |= {alias.name for each in node.body if isinstance(each, ast.Import) for alias in each.names}
        for node in nodes:
            if isinstance(node, ast.Attribute) and node.attr not in asked:
                used += [(path, node.attr)] if node.attr in MISSING.get(getattr(node.value, "id", None), ()) else []
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module] if isinstance(node, ast.ImportFrom) else []
            used += [(path, name) for name in imported if name in NO_MODULES and name not in tried]
    assert used == []


def test_no_file_is_made_by_tempfile_in_a_folder_that_may_be_read_only():
    # On Windows tempfile would try names there for hours (CPython issue 66305).
    makers, nodes = ("TemporaryFile", "NamedTemporaryFile", "mkstemp"), find_nodes(ast.Attribute, files("fastlin"))
    made = [(path.name, node.attr) for path, node in nodes if node.attr in makers]
    # It writes a file there by itself before.
    assert made == [("parquet.py", "TemporaryFile")]


def test_what_users_keep_is_written_whole_or_not_at_all():
    # tests/test_file_system.py has what `write_whole` does. Kernels have a folder of their own rights.
    calls = [
        (path.name, ast.unparse(node), {each.id for each in ast.walk(node) if isinstance(each, ast.Name)})
        for path, node in find_nodes(ast.Call, files("fastlin"))
        if getattr(node.func, "attr", "") in ("write_text", "write_bytes", "savefig")
    ]
    assert [call for name, call, names in calls if "part" not in names] == ["figure.savefig(file, format='png')"]
    assert {name for name, *_ in calls} == {"results.py", "page.py", "__init__.py", "cifar10_search.py", "style.py"}


def is_text(call):
    """Return whether a call opens a file as text, and without the name of an encoding."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if any(option.arg == "encoding" for option in call.keywords):
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name != "open" or not (isinstance(call.func, ast.Name) or call.args):
        return False
    values = [*call.args, *(option.value for option in call.keywords if option.arg == "mode")]
    return not any(re.search("[b:|]", str(getattr(value, "value", ""))) for value in values)


def test_files_of_text_name_their_encoding():
    # Windows' own is another one than that of Linux and macOS.
    without = [f"{path}: {ast.unparse(node)}" for path, node in find_nodes(ast.Call, CHECKED) if is_text(node)]
    # Functions of the same name open no file.
    others = re.compile(r"(os|webbrowser|Image|tarfile)\.open\(|\.open\(setting")
    assert [line for line in without if not others.search(line)] == []
