"""A copy of the package that carries compiled kernels, as an installed wheel does."""

import platform
import shutil

import pytest
from carried_kernels import COMPILE, PACKAGE, USE, describe_level, finish, start

from fastlin.kernels.machine.levels import levels_of


@pytest.fixture
def use(tmp_path):
    """Use the kernels of a package in a process of its own; return what it found and logged."""

    def use(package, *arguments, **environment):
        return finish(start(package, USE, *arguments, **{"NUMBA_CACHE_DIR": str(tmp_path / "cache"), **environment}))

    return use


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """The folder of archives that hold one kernel, for each level of this machine, whether it can run it or not."""
    folder = tmp_path_factory.mktemp("archives")
    names = levels_of(platform.machine())
    if not names:
        pytest.skip("there are no levels of this machine")
    processes = [
        start(PACKAGE, COMPILE, folder / f"{name}.zip", NUMBA_CACHE_DIR=str(folder / "cache"), **describe_level(name))
        for name in names
    ]
    for process in processes:
        finish(process)
    return folder


@pytest.fixture
def wheel(archives, tmp_path):
    """A copy of the package that carries the archives, as an installed wheel does; a test may change it."""
    package = tmp_path / "fastlin"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    compiled = package / "kernels" / "compiled"
    compiled.mkdir()
    for path in archives.glob("*.zip"):
        shutil.copy(path, compiled)
    return package
