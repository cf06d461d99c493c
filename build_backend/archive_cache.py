"""The archives of compiled kernels that the user's cache folder keeps, so that a second installation compiles nothing.

    python archive_cache.py fetch LEVEL FOLDER   # copies the archive of a level into a folder, if there is one
    python archive_cache.py keep LEVEL FOLDER    # keeps the archive of a folder

The package is that of the unpacked wheel, on PYTHONPATH. The name of an archive holds a hash of all that decides its
content. Archives lie beside the code that fits have compiled, in folders that only the user and root can write to.
"""

import hashlib
import io
import json
import os
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

from kernel_worker import import_kernels_alone

# The archives of so many versions of fastlin, Numba and Python are kept.
MAX_KEPT = 8


def name_archive(level):
    """Return the name of the archive of a level, with a hash of the sources and of the versions that it depends on."""
    import numpy as np

    from fastlin.kernels.machine.archives import make_stamp

    digest = hashlib.sha256(json.dumps([make_stamp(), np.__version__]).encode())
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in (".py", ".json"):
            digest.update(path.read_bytes())
    return f"{level}-{digest.hexdigest()[:24]}.zip"


def fetch(level, folder):
    """Copy the archive of a level into a folder, if one is kept and whole."""
    from fastlin.kernels.machine.archives import STAMP, make_stamp
    from fastlin.kernels.machine.cache_folder import code_folders, read_file

    for place in code_folders():
        path = place / name_archive(level)
        # zipfile raises whatever reading a damaged file leads to.
        with suppress(Exception):
            content = read_file(path)
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if archive.testzip() is not None or json.loads(archive.read(STAMP)) != make_stamp():
                    continue
            (folder / f"{level}.zip").write_bytes(content)
            print(f"fastlin's kernels for {level} were compiled by an earlier installation: {path}", flush=True)
            with suppress(OSError):
                os.utime(path)
            return


def keep(level, folder):
    """Keep the archive of a level that lies in a folder, and remove those that were not used for the longest time."""
    from fastlin.kernels.machine.cache_folder import cache_folder, make_folder, write_file

    place = cache_folder()
    if place is None:
        return
    try:
        make_folder(place)
        write_file(place / name_archive(level), (folder / f"{level}.zip").read_bytes())
        kept = sorted(place.parent.glob("kernels-*/*.zip"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-MAX_KEPT]:
            path.unlink()
    except OSError as error:
        print(f"fastlin's kernels are not kept for later installations: {error}", flush=True)


if __name__ == "__main__":
    import_kernels_alone()
    action, level, folder = sys.argv[1:]
    {"fetch": fetch, "keep": keep}[action](level, Path(folder))
