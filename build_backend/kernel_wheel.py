"""The build backend: setuptools', and wheels that carry compiled kernels.

    pip install .                                           # the kernels of the first fits, for this processor's level
    pip install . -Ckernels=host-level                      # all kernels, for this processor's level
    python -m build --wheel -Ckernels=all                   # for every level of this machine's architecture
    python -m build --wheel -Ckernels=x86-64-v2,x86-64-v3   # for some of them
    FASTLIN_BUILD_KERNELS=0 python -m build --wheel         # none: a pure wheel, for every machine

Setuptools' own wheel is pure, and its kernels are compiled as they are needed. It is unpacked, its kernels are compiled
for each level, and it is packed again with the code, for this version of Python and this platform alone. Without the
setting that is done where it can be: a line says why it could not, and the wheel is the pure one. What was compiled
without the setting is kept in the user's cache folder for the next build. Setuptools works in a copy, so that nothing
is written into the source tree; only an editable installation leaves its metadata there.

Where SOURCE_DATE_EPOCH is set, the same sources give the same bytes of the sdist and of the pure wheel.
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
    """Return what a build of the wheel needs besides setuptools, to compile kernels."""
    # Setuptools would write its metadata into the source tree, to find that it needs nothing more.
    return choose_requirements(read_setting(config_settings))


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    """Write the metadata of the wheel and return the name of their folder."""
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
    """Build the wheel, with the compiled kernels that the setting asks for, and return its name."""
    words, epoch = read_setting(config_settings), read_epoch()
    with tempfile.TemporaryDirectory() as work:
        with copied_source():
            # Setuptools looks at the settings that it knows, and does not mind others.
            name = build_meta.build_wheel(work, config_settings, metadata_directory)
        pure = Path(work, name)
        if words:
            # A release is what its sources say, whatever was installed on the machine before.
            name = add_kernels(pure, words, Path(wheel_directory), is_cached=epoch is None)
        if name == pure.name:
            shutil.copy(pure, wheel_directory)
    if epoch is not None:
        normalize_wheel(Path(wheel_directory, name), epoch)
    return name
