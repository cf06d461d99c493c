"""The downloads themselves: what a server may do, what is left behind, and what the terminal shows."""

import contextlib
import hashlib
import socket
import threading

import pytest

from fastlin.course import datasets
from fastlin.course.datasets import download

DATA = b"the contents of a file " * 1000


def publish(*addresses, data=DATA):
    return download.PublishedFile("file", hashlib.md5(data).hexdigest(), len(data), addresses)


def kept():
    return {path.name: path.read_bytes() for path in datasets.cache_folder().iterdir()}


def test_a_file_is_kept_as_it_was_published(server, empty_places, capfd):
    import pooch

    level = pooch.get_logger().level
    download.download([publish(server({}) + "file", server({"file": DATA}) + "file")], None, "wanted")
    assert kept() == {"file": DATA}
    # The bar goes to the standard error and erases itself. pooch is silent, and only here.
    out, err = capfd.readouterr()
    assert out == ""
    assert "file:   0%" in err
    assert "Downloading" not in err
    assert err.rpartition("\r")[2].strip() == ""
    assert pooch.get_logger().level == level


def test_the_reason_of_each_mirror_is_told(server, empty_places):
    mirrors = [server({}) + "file", server({"file": DATA[::-1]}) + "file"]
    with pytest.raises(datasets.DatasetNotFoundError, match=r"(?s)^wanted.* 404 .* MD5") as caught:
        download.download([publish(*mirrors)], None, "wanted")
    for mirror in mirrors:
        assert mirror in str(caught.value)
    assert kept() == {}


@pytest.mark.parametrize("announced", [None, len(DATA), 1 << 40])
def test_a_server_that_does_not_end_is_cut_off(server, empty_places, announced):
    sent, ended = [], threading.Event()

    def send_on(handler):
        handler.send_response(200)
        if announced is not None:
            handler.send_header("Content-Length", str(announced))
        handler.end_headers()
        # It ends when the other side closes the connection.
        with contextlib.suppress(OSError):
            while sum(sent) < 1 << 28:
                handler.wfile.write(b"x" * (1 << 16))
                sent.append(1 << 16)
        ended.set()

    with pytest.raises(datasets.DatasetNotFoundError, match=f"more than the {len(DATA):,} bytes|MD5") as caught:
        download.download([publish(server({}, send_on) + "file")], None, "wanted")
    # Where the announced size is the right one, no more than that is read.
    assert ("MD5" in str(caught.value)) == (announced == len(DATA))
    assert kept() == {}
    del caught
    assert ended.wait(60)
    assert sum(sent) < 1 << 28


def test_a_name_that_is_not_found_in_time_counts_as_offline(empty_places, monkeypatch):
    release = threading.Event()

    def look_up(*arguments, **options):
        release.wait(60)
        raise socket.gaierror("released")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with pytest.raises(datasets.DatasetNotFoundError, match=r"timed out: no answer within 0\.2 seconds"):
        download.download([publish("http://slow.invalid/file")], None, "wanted")
    assert kept() == {}
    release.set()


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
