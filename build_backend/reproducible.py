"""Packs archives again so that the same sources give the same bytes, on every machine and on every day.

Setuptools takes times and rights of files as they lie on the disk, and writes the time of the build into the sdist.
"""

import gzip
import io
import os
import tarfile
import time
import zipfile

# Zip archives know no time before this one.
FIRST_TIME_OF_ZIP = 315_532_800


def read_epoch():
    """Return the time that SOURCE_DATE_EPOCH names, in seconds since 1970, or None where it is not set."""
    value = os.environ.get("SOURCE_DATE_EPOCH")
    return None if value is None else max(int(value), FIRST_TIME_OF_ZIP)


def normalize_sdist(path, epoch):
    """Pack a gzipped tar archive again: members in order, of one time, of no owner, with rights that say executable."""
    packed = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            content = old.extractfile(member) if member.isfile() else None
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.size, plain.linkname = member.type, member.size, member.linkname
            plain.mtime, plain.mode = epoch, choose_rights(member.isdir() or member.mode & 0o100)
            new.addfile(plain, content)
    with open(path, "wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as compressed:
        compressed.write(packed.getvalue())


def normalize_wheel(path, epoch):
    """Pack a wheel again: members as they follow each other, of one time, with rights that say executable."""
    with zipfile.ZipFile(path) as old:
        members = [(member, old.read(member)) for member in old.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member, content in members:
            plain = zipfile.ZipInfo(member.filename, time.gmtime(epoch)[:6])
            plain.compress_type = zipfile.ZIP_DEFLATED
            # The kind of a file and its rights stand in the upper half.
            plain.external_attr = (0o100000 | choose_rights(member.external_attr >> 16 & 0o100)) << 16
            plain.create_system = 3
            new.writestr(plain, content)


def choose_rights(is_executable):
    """Return the rights of a member: those of its owner are the file's, and nobody else may write."""
    return 0o755 if is_executable else 0o644
