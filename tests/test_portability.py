"""The package on other systems: without what Windows lacks, and by rules that its files have to follow."""

import ast
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from conftest import run_program
from repository import ROOT, files, parse

import fastlin
from fastlin.course.studies import cifar10_training
from fastlin.course.studies.cifar10_two_layer import REPORT

# What the modules of Python lack on Windows, or on macOS.
MISSING = {
    "os": (
        *("fork", "register_at_fork", "posix_fadvise", "sched_getaffinity", "sysconf", "uname", "killpg", "setsid"),
        *("getuid", "geteuid", "getgid", "getegid", "getpgid", "getloadavg", "chown", "mkfifo", "pread", "sendfile"),
    ),
    "signal": ("SIGKILL", "SIGALRM", "SIGHUP", "SIGUSR1", "alarm", "setitimer", "pthread_kill", "pthread_sigmask"),
    "sys": ("abiflags",),
}
NO_MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "syslog")

# Imports every module of fastlin in a process that is made to lack them, and fits. The libraries are imported before,
# so that what they do on such a system is not judged here.
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
    "budget": Budget.beside(1000).bytes,
    "threads": count_threads(),
    "environment": describe_environment(),
    "modules": sum(name.startswith("fastlin.") for name in sys.modules),
}}))
"""


@pytest.mark.thorough
def test_a_system_without_what_windows_lacks_imports_fits_and_describes_itself():
    found = json.loads(run_program(PROGRAM))
    from sklearn.datasets import load_iris

    np.testing.assert_array_equal(found["coef"], fastlin.LogisticRegression().fit(*load_iris(return_X_y=True)).coef_)
    assert found["budget"] == 256 << 20
    assert found["threads"] >= 1
    assert found["modules"] > 100


def modules_that_may_lack(node):
    """Return the modules that a try statement imports where it goes on without them."""
    caught = {getattr(handler.type, "id", None) for handler in node.handlers}
    imports = [each for each in node.body if isinstance(each, ast.Import)] if "ImportError" in caught else []
    return {alias.name for each in imports for alias in each.names}


def test_what_a_system_may_lack_is_asked_for_before_it_is_used():
    used = set()
    for path in files("fastlin", "benchmarks", "build_backend"):
        tree = parse(path)
        asked = {
            ast.literal_eval(node.args[1])
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in ("hasattr", "getattr")
            if isinstance(node.args[1], ast.Constant)
        }
        tried = {name for node in ast.walk(tree) if isinstance(node, ast.Try) for name in modules_that_may_lack(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module, name = node.value.id, node.attr
                is_missing = name in MISSING.get(module, ()) and name not in asked
                used |= {f"{path.name} uses {module}.{name}"} if is_missing else set()
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module] if isinstance(node, ast.ImportFrom) else []
            used |= {f"{path.name} imports {name}" for name in imported if name in NO_MODULES and name not in tried}
    assert used == set()


def test_no_file_is_made_by_tempfile_in_a_folder_that_may_be_read_only():
    # On Windows tempfile would try names there for hours (CPython issue 66305).
    made = {
        f"{path.relative_to(ROOT).as_posix()}: {node.attr}"
        for path in files("fastlin")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute) and node.attr in ("TemporaryFile", "NamedTemporaryFile", "mkstemp")
    }
    # It writes a file there by itself before.
    assert made == {"fastlin/blocks/parquet.py: TemporaryFile"}


def is_text(call):
    """Return whether a call opens a file as text, and without the name of an encoding."""
    function = call.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    if any(option.arg == "encoding" for option in call.keywords):
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name != "open" or not (isinstance(function, ast.Name) or call.args):
        return False
    modes = [value.value for value in call.args if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    modes += [option.value.value for option in call.keywords if option.arg == "mode"]
    return not any("b" in mode or ":" in mode or "|" in mode for mode in modes)


def test_files_of_text_name_their_encoding():
    # Windows' own is another one than that of Linux and macOS.
    without = {
        f"{path.relative_to(ROOT).as_posix()}: {ast.unparse(node)}"
        for path in files("fastlin", "benchmarks", "build_backend")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and is_text(node)
    }
    assert {line for line in without if not any(known in line for known in NO_FILES)} == set()


# Functions of the same name that open no file.
NO_FILES = ("os.open(", "webbrowser.open(", ".open(setting", "Image.open(", "tarfile.open(")


def test_what_a_process_for_a_training_is_given_and_returns_travels_by_names():
    # Windows and macOS fork no process: what it gets is a pickle, in which functions are names that it imports.
    generator = np.random.default_rng(0)
    arrays = [array for _ in range(3) for array in (generator.normal(size=(20, 4)), np.arange(20) % 2)]
    recipe = replace(REPORT, hidden=(3,), epochs=1, batch_size=10)
    run, *given = pickle.loads(
        pickle.dumps((cifar10_training._run_recipe, 7, cifar10_training.Images(*arrays, 1.0), recipe, 0))
    )
    number, trained = pickle.loads(pickle.dumps(run(*given)))
    expected = cifar10_training.train(cifar10_training.Images(*arrays, 1.0), recipe, 0)
    assert (number, trained.accuracies, trained.penalties) == (7, expected.accuracies, expected.penalties)
