"""A temporary copy of the source tree, in which setuptools can write files."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Outputs of builds, programs and the documentation in the copied folders.
IGNORED_FILES = shutil.ignore_patterns("__pycache__", "_build", "gallery")


@contextlib.contextmanager
def copied_source() -> Iterator[Path]:
    """Copy the source tree from the current folder, and yield the copy.

    The copy is the current folder in the ``with`` block. It contains the files in the root, the package, and the
    folders that the sdist includes completely.
    """
    source = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for path in source.iterdir():
            if path.is_file():
                shutil.copy2(path, folder)
        grafted_folders = re.findall(
            r"^graft (\S+)$", (source / "MANIFEST.in").read_text(encoding="utf-8"), re.MULTILINE
        )
        for name in ("fastlin", *grafted_folders):
            # A build from an sdist may lack some of these folders, such as the tests.
            if (source / name).is_dir():
                shutil.copytree(source / name, Path(folder, name), ignore=IGNORED_FILES)
        # Windows cannot remove the current folder of a process.
        with contextlib.chdir(folder):
            yield Path(folder)
