"""Signatures that a process lists and another one compiles."""

import importlib
import pkgutil
import zipfile

import pytest
from carried_kernels import COMPILE, PACKAGE, finish, start
from conftest import COMPILED
from numba.core.dispatcher import Dispatcher

from fastlin.kernels import linear, machine, networks
from fastlin.kernels.machine import archives

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")


def test_every_kernel_that_python_calls_is_found_by_its_signature_and_those_of_this_process_are_listed(monkeypatch):
    for room in (linear, machine, networks):
        for module in pkgutil.iter_modules(room.__path__):
            importlib.import_module(f"{room.__name__}.{module.name}")
    kernels, compiled = archives._list_called(), []
    monkeypatch.setattr(Dispatcher, "compile", lambda kernel, types: compiled.append((kernel, types)))
    archives.compile_signatures([(kernel.__module__, kernel.__name__, "types") for kernel in kernels])
    assert compiled == [(kernel, "types") for kernel in kernels]
    compiled.clear()
    archives.compile_signatures(archives.list_signatures())
    assert compiled == [(kernel, types) for kernel in kernels for types in kernel.overloads]


@pytest.mark.thorough
def test_an_archive_has_what_the_process_compiled_and_not_what_it_loaded(tmp_path):
    for name, n_members in (("compiled", 2), ("loaded", 1)):
        path = tmp_path / f"{name}.zip"
        finish(start(PACKAGE, COMPILE, path, NUMBA_CACHE_DIR=str(tmp_path / "cache")))
        with zipfile.ZipFile(path) as archive:
            assert len(archive.namelist()) == n_members
