"""The build backend: setuptools', and wheels that carry compiled kernels where a setting asks for them.

    python -m build --wheel -Ckernels=all                   # every level of this machine's architecture
    python -m build --wheel -Ckernels=x86-64-v2,x86-64-v3   # some of them
    pip install . -Ckernels=host-level                      # the best level of this processor

Without the setting the wheel is setuptools' own: pure Python, whose kernels are compiled as they are needed. With it,
that wheel is unpacked, its kernels are compiled for each level, and it is packed again with the code, for this version
of Python and this platform alone. Setuptools works in a copy, so that nothing is written into the source tree; only an
editable installation leaves its metadata there.

Where SOURCE_DATE_EPOCH is set, the same sources give the same bytes of the sdist and of the pure wheel.
"""

import tempfile
import zipfile
from pathlib import Path

from compiled_kernels import compile_kernels, list_requirements, pack_wheel, read_setting
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
    """Return what a build of the wheel needs beside setuptools: all that fastlin needs, if kernels are compiled."""
    # Setuptools would write its metadata into the source tree, to find that it needs nothing more.
    return list_requirements() if read_setting(config_settings) else []


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
    """Build the wheel, with compiled kernels if the setting asks for them, and return its name."""
    words = read_setting(config_settings)
    with tempfile.TemporaryDirectory() as work:
        with copied_source():
            # Setuptools looks at the settings that it knows, and does not mind others.
            name = build_meta.build_wheel(work if words else wheel_directory, config_settings, metadata_directory)
        if words:
            tree = Path(work, "tree")
            with zipfile.ZipFile(Path(work, name)) as wheel:
                wheel.extractall(tree)
            compile_kernels(tree, words, Path(work))
            name = pack_wheel(tree, name, Path(wheel_directory))
    epoch = read_epoch()
    if epoch is not None:
        normalize_wheel(Path(wheel_directory, name), epoch)
    return name
