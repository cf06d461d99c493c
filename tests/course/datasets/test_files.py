"""Files of the data sets: folders, downloads, failures of servers, and the progress bar."""

import hashlib
import time
from pathlib import Path

import pytest
from conftest import assert_raises

from fastlin.course import datasets
from fastlin.course.datasets import files

FILE_CONTENT = b"the contents of a file " * 1000


def download(address, folder=None):
    files.download_file(address + "file", hashlib.md5(FILE_CONTENT).hexdigest(), folder, "description")


def read_cached_files():
    return {path.name: path.read_bytes() for path in datasets.cache_folder().iterdir()}


def answer(data, size=None):
    """Return a handler that sends `data`. The header has the content length `size`, by default the length of `data`."""

    def write(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(size or len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return write


def test_without_a_cache_folder_data_are_in_the_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "find_user_cache_folder", lambda: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("FASTLIN_DATA", "named")
    assert files.list_folders() == [Path("named"), tmp_path / "fastlin" / "data"]


def test_a_downloaded_file_is_stored_unchanged(server, use_empty_cache_folder, capfd):
    download(server({"file": FILE_CONTENT}))
    assert read_cached_files() == {"file": FILE_CONTENT}
    out, err = capfd.readouterr()
    assert out == ""
    # pooch prints its progress bar to the standard error.
    assert "100%" in err


def pause_download(begin):
    """Return a handler that begins a response and never ends it."""

    def write(handler):
        begin(handler)
        handler.wfile.flush()
        time.sleep(60)

    return write


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (None, " 404 "),
        (answer(FILE_CONTENT[::-1]), "MD5"),
        (answer(FILE_CONTENT[:20], size=len(FILE_CONTENT)), "IncompleteRead"),
        (lambda handler: handler.wfile.write(b"220 mail server ready\r\n"), "220 mail"),
        (pause_download(lambda handler: None), "timed out"),
        (pause_download(answer(FILE_CONTENT[:1000], size=len(FILE_CONTENT))), "timed out"),
    ],
    ids=["missing", "other contents", "broken off", "no HTTP", "silent", "silent halfway"],
)
def test_a_failed_download_reports_the_reason(server, use_empty_cache_folder, monkeypatch, write, reason):
    if reason == "timed out":
        monkeypatch.setattr(files, "TIMEOUT", 0.2)
    address = server({}) if write is None else server({}, write)
    assert_raises(rf"(?s)^description.*{address}.*{reason}", download, address, error=datasets.DatasetNotFoundError)
    assert read_cached_files() == {}


def test_an_interrupted_download_leaves_no_file(server, use_empty_cache_folder, monkeypatch):
    def raise_interrupt(*arguments):
        # The incomplete file has another name.
        assert list(datasets.cache_folder().iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr("tqdm.auto.tqdm.update", raise_interrupt)
    assert_raises(None, download, server({"file": FILE_CONTENT}), error=KeyboardInterrupt)
    assert read_cached_files() == {}


def test_only_an_explicit_folder_is_searched(server, use_empty_cache_folder, tmp_path):
    datasets.cache_folder().parent.parent.mkdir()
    datasets.cache_folder().parent.write_bytes(b"a file where the folder should be")
    assert_raises(r"http.*fastlin/data'", download, server({"file": FILE_CONTENT}), error=datasets.DatasetNotFoundError)
    assert not server.requests
    with pytest.raises(datasets.DatasetNotFoundError, match=rf"(?s){tmp_path}.*Nothing is downloaded"):
        download(server({"file": FILE_CONTENT}), tmp_path)
    with pytest.raises(datasets.DatasetNotFoundError, match="nowhere does not exist"):
        files.list_folders(tmp_path / "nowhere")
    assert not server.requests
