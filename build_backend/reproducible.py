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
    tar_buffer = io.BytesIO()
    with (
        tarfile.open(path) as old_archive,
        tarfile.open(fileobj=tar_buffer, mode="w", format=tarfile.PAX_FORMAT) as new_archive,
    ):
        for member in sorted(old_archive.getmembers(), key=lambda member: member.name):
            content = old_archive.extractfile(member) if member.isfile() else None
            new_member = tarfile.TarInfo(member.name)
            new_member.type, new_member.size, new_member.linkname = member.type, member.size, member.linkname
            new_member.mtime, new_member.mode = epoch, choose_permissions(member.isdir() or member.mode & 0o100)
            new_archive.addfile(new_member, content)
    with open(path, "wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as gzip_file:
        gzip_file.write(tar_buffer.getvalue())


def normalize_wheel(path, epoch):
    """Repack a wheel with members in the same order, equal times and normalized permissions."""
    with zipfile.ZipFile(path) as old_archive:
        members = [(member, old_archive.read(member)) for member in old_archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new_archive:
        for member, content in members:
            new_member = zipfile.ZipInfo(member.filename, time.gmtime(epoch)[:6])
            new_member.compress_type = zipfile.ZIP_DEFLATED
            # The upper 16 bits are the file type and the permissions.
            new_member.external_attr = (0o100000 | choose_permissions(member.external_attr >> 16 & 0o100)) << 16
            new_member.create_system = 3
            new_archive.writestr(new_member, content)


def choose_permissions(is_executable):
    """Return the permissions of a member. Only the owner can write to it."""
    return 0o755 if is_executable else 0o644
