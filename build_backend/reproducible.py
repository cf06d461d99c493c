"""Functions that repack archives so that builds from the same sources are bitwise equal.

Setuptools copies the times and permissions of the files on the disk, and writes the time of the build to the sdist.
"""

import gzip
import io
import os
import tarfile
import time
import zipfile

# The earliest time that a ZIP archive can represent.
MIN_ZIP_TIME = 315_532_800


def read_epoch():
    """Return SOURCE_DATE_EPOCH, a time in seconds since 1970, or None if it is not set."""
    value = os.environ.get("SOURCE_DATE_EPOCH")
    return None if value is None else max(int(value), MIN_ZIP_TIME)


def normalize_sdist(path, epoch):
    """Repack a gzipped tar archive with sorted members, equal times, normalized permissions and no owners."""
    packed = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            content = old.extractfile(member) if member.isfile() else None
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.size, plain.linkname = member.type, member.size, member.linkname
            plain.mtime, plain.mode = epoch, choose_permissions(member.isdir() or member.mode & 0o100)
            new.addfile(plain, content)
    with open(path, "wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as compressed:
        compressed.write(packed.getvalue())


def normalize_wheel(path, epoch):
    """Repack a wheel with members in the same order, equal times and normalized permissions."""
    with zipfile.ZipFile(path) as old:
        members = [(member, old.read(member)) for member in old.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member, content in members:
            plain = zipfile.ZipInfo(member.filename, time.gmtime(epoch)[:6])
            plain.compress_type = zipfile.ZIP_DEFLATED
            # The upper 16 bits are the file type and the permissions.
            plain.external_attr = (0o100000 | choose_permissions(member.external_attr >> 16 & 0o100)) << 16
            plain.create_system = 3
            new.writestr(plain, content)


def choose_permissions(is_executable):
    """Return the permissions of a member. Only the owner can write to it."""
    return 0o755 if is_executable else 0o644
