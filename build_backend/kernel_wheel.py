"""The build backend. It extends setuptools with wheels that contain compiled kernels.

    pip install .                                           # the kernels of the first fits, for this processor's level
    pip install . -Ckernels=host-level                      # all kernels, for this processor's level
    python -m build --wheel -Ckernels=all                   # for every level of this machine's architecture
    python -m build --wheel -Ckernels=x86-64-v2,x86-64-v3   # for these levels
    FASTLIN_BUILD_KERNELS=0 python -m build --wheel         # none: a pure wheel, for every machine

The wheel of setuptools is pure, and its kernels are compiled when they are needed. This backend unpacks the wheel,
compiles its kernels for each level, and packs it with the code for this version of Python and this platform only. If
the compilation fails without the setting, the backend prints the reason and returns the pure wheel. Kernels compiled
without the setting are saved in the user's cache folder for the next build. Setuptools works in a copy, so it
writes nothing to the source tree, except for the metadata of an editable installation.

If SOURCE_DATE_EPOCH is set, builds of the sdist and of the pure wheel from the same sources are bitwise equal.
"""

import shutil
import tempfile
from pathlib import Path

from compiled_kernels import add_kernels, choose_requirements, read_setting
from reproducible import normalize_sdist, normalize_wheel, read_epoch
from setuptools import build_meta
from setuptools.build_meta import build_editable, prepare_metadata_for_build_editable
from source_copy import copied_source

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]


def get_requires_for_build_wheel(config_settings=None):
    """Return the requirements, in addition to setuptools, of a build of the wheel, to compile kernels."""
    # Setuptools is not called here, because it would write metadata to the source tree and has no requirements.
    return choose_requirements(read_setting(config_settings))


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    """Write the metadata of the wheel and return the name of its folder."""
    with copied_source():
        return build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_sdist(sdist_directory, config_settings=None):
    """Build the sdist and return its name."""
    with copied_source():
        name = build_meta.build_sdist(sdist_directory, config_settings)
    epoch = read_epoch()
    if epoch is not None:
        normalize_sdist(Path(sdist_directory, name), epoch)
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Build the wheel, with the compiled kernels of the setting, and return its name."""
    words, epoch = read_setting(config_settings), read_epoch()
    with tempfile.TemporaryDirectory() as work_folder:
        with copied_source():
            # Setuptools ignores settings of other backends.
            name = build_meta.build_wheel(work_folder, config_settings, metadata_directory)
        pure_wheel = Path(work_folder, name)
        if words:
            # A release must not depend on earlier installations on this machine.
            name = add_kernels(pure_wheel, words, Path(wheel_directory), may_use_cache=epoch is None)
        if name == pure_wheel.name:
            shutil.copy(pure_wheel, wheel_directory)
    if epoch is not None:
        normalize_wheel(Path(wheel_directory, name), epoch)
    return name
