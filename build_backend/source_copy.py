"""A copy of the source tree, in which setuptools may leave what it likes."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# What builds, programs and documentation leave in the folders that are copied.
LEFT = shutil.ignore_patterns("__pycache__", "_build", "gallery")


@contextlib.contextmanager
def copied_source() -> Iterator[Path]:
    """Work in a copy of the source tree, which is the current folder, while the ``with`` block runs; yield the copy.

    It has the files in the root, the package, and the folders that the sdist takes whole.
    """
    source = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for path in source.iterdir():
            if path.is_file():
                shutil.copy2(path, folder)
        grafted = re.findall(r"^graft (\S+)$", (source / "MANIFEST.in").read_text(encoding="utf-8"), re.MULTILINE)
        for name in ("fastlin", *grafted):
            # The wheel is built from an sdist too, and is the same without the tests.
            if (source / name).is_dir():
                shutil.copytree(source / name, Path(folder, name), ignore=LEFT)
        # Windows removes no folder that a process is in.
        with contextlib.chdir(folder):
            yield Path(folder)
