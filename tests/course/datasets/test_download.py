"""The downloads themselves: what a server may do, what is left behind, and what the terminal shows."""

import hashlib
import threading

import pytest

from fastlin.course import datasets
from fastlin.course.datasets import download

DATA = b"the contents of a file " * 1000


def publish(*addresses, data=DATA):
    return download.PublishedFile("file", hashlib.md5(data).hexdigest(), addresses)


def kept():
    return {path.name: path.read_bytes() for path in datasets.cache_folder().iterdir()}


def test_a_file_is_kept_as_it_was_published(server, empty_places, capfd):
    download.download([publish(server({}) + "file", server({"file": DATA}) + "file")], None, "wanted")
    assert kept() == {"file": DATA}
    out, err = capfd.readouterr()
    assert out == ""
    # The bar of pooch, which goes to the standard error.
    assert "100%" in err


def test_the_reason_of_each_mirror_is_told(server, empty_places):
    mirrors = [server({}) + "file", server({"file": DATA[::-1]}) + "file"]
    with pytest.raises(datasets.DatasetNotFoundError, match=r"(?s)^wanted.* 404 .* MD5") as caught:
        download.download([publish(*mirrors)], None, "wanted")
    for mirror in mirrors:
        assert mirror in str(caught.value)
    assert kept() == {}


def test_a_server_that_falls_silent_counts_as_offline(server, empty_places, monkeypatch):
    release = threading.Event()

    def stop_halfway(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA[:1000])
        handler.wfile.flush()
        release.wait(60)

    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with pytest.raises(datasets.DatasetNotFoundError, match="timed out"):
        download.download([publish(server({}, stop_halfway) + "file")], None, "wanted")
    assert kept() == {}
    release.set()


def test_a_cache_folder_that_cannot_be_made_is_named(server, empty_places):
    datasets.cache_folder().parent.parent.mkdir()
    datasets.cache_folder().parent.write_bytes(b"a file where the folder should be")
    with pytest.raises(datasets.DatasetNotFoundError, match=r"http.*fastlin/data'"):
        download.download([publish(server({"file": DATA}) + "file")], None, "wanted")
    assert not server.requests
