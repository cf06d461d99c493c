"""The archives of compiled kernels in the user's cache folder. Later installations of the same version reuse them.

    python archive_cache.py fetch LEVEL FOLDER   # copies the archive of a level, if it exists, to a folder
    python archive_cache.py save LEVEL FOLDER    # saves the archive of a level that is in a folder

The package is imported from the unpacked wheel, which is on PYTHONPATH. The name of an archive contains a hash of
everything on which the content of the archive depends. Archives are stored in the same folders as the code that fits
compile. Only the user and root can write to these folders.
"""

import hashlib
import io
import json
import os
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

from kernel_worker import make_kernels_importable

# The maximum number of archives in the cache. They belong to different versions of fastlin, Numba and Python.
MAX_ARCHIVES = 8


def make_archive_name(level):
    """Return the name of a level's archive, including a hash of the sources and versions on which it depends."""
    import numpy as np

    from fastlin.kernels.machine.archives import describe_versions

    digest = hashlib.sha256(json.dumps([describe_versions(), np.__version__]).encode())
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in (".py", ".json"):
            digest.update(path.read_bytes())
    return f"{level}-{digest.hexdigest()[:24]}.zip"


def fetch(level, folder):
    """Copy the archive of a level from the cache to a folder, if a valid archive exists."""
    from fastlin.kernels.machine.archives import VERSIONS_FILE_NAME, describe_versions
    from fastlin.kernels.machine.cache_folder import code_folders, read_file

    for cached_code_folder in code_folders():
        path = cached_code_folder / make_archive_name(level)
        # Reading a damaged file with zipfile can raise any exception.
        with suppress(Exception):
            content = read_file(path)
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if archive.testzip() is not None or json.loads(archive.read(VERSIONS_FILE_NAME)) != describe_versions():
                    continue
            (folder / f"{level}.zip").write_bytes(content)
            print(f"fastlin's kernels for {level} are copied from an earlier installation: {path}", flush=True)
            with suppress(OSError):
                os.utime(path)
            return


def save(level, folder):
    """Save the archive of a level from a folder to the cache, and remove the least recently used archives."""
    from fastlin.kernels.machine.cache_folder import cache_folder, make_folder, write_file

    target = cache_folder()
    if target is None:
        return
    try:
        make_folder(target)
        write_file(target / make_archive_name(level), (folder / f"{level}.zip").read_bytes())
        archives = sorted(target.parent.glob("kernels-*/*.zip"), key=lambda path: path.stat().st_mtime)
        for path in archives[:-MAX_ARCHIVES]:
            path.unlink()
    except OSError as error:
        print(f"fastlin's kernels are not saved for later installations: {error}", flush=True)


if __name__ == "__main__":
    make_kernels_importable()
    action, level, folder = sys.argv[1:]
    {"fetch": fetch, "save": save}[action](level, Path(folder))
