"""Which versions of Numba pass: the tested ones at once, others after a trial, whose failure is one clear error."""

import importlib.metadata
import os
import signal

import pytest
from conftest import COMPILED

from fastlin.kernels import numba_versions
from fastlin.kernels.machine import cache_folder
from fastlin.kernels.numba_versions import TESTED, check_numba

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Let another version of Numba be installed, with its own program for the trial, and a cache folder of its own."""
    folder = tmp_path / "kernels"
    monkeypatch.setattr(cache_folder, "code_folders", lambda: (folder,))
    monkeypatch.setattr(cache_folder, "cache_folder", lambda: folder)
    monkeypatch.delenv(numba_versions.TRIES, raising=False)

    def install(version, program):
        # As another process would: it knows nothing of what was found before.
        numba_versions._find_fault.cache_clear()
        monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
        monkeypatch.setattr(numba_versions, "PROGRAM", program)

    yield install
    numba_versions._find_fault.cache_clear()


FAILS = "raise ArithmeticError('dense: kernels differ')"


@pytest.mark.parametrize("version", [f"{minor}.{patch}" for minor in TESTED for patch in ("0", "3", "0rc1")])
def test_tested_versions_are_not_tried(install, version):
    install(version, FAILS)
    check_numba()


def test_an_untested_version_is_tried_once(install, tmp_path):
    install("0.99.0", f"open({str(tmp_path / 'tried')!r}, 'a').write('x')")
    for _ in range(2):
        check_numba()
    assert (tmp_path / "tried").read_text() == "x"
    # Another process finds the mark, and another version is tried again.
    install("0.99.0", FAILS)
    check_numba()
    install("0.99.1", FAILS)
    with pytest.raises(ImportError):
        check_numba()


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        (FAILS, r"a trial failed \(ArithmeticError: dense: kernels differ\)"),
        ("import os; os._exit(3)", r"a trial failed \(it said nothing\)"),
        pytest.param(
            "import signal; signal.raise_signal(signal.SIGTERM)",
            r"a trial was ended by SIGTERM \(it said nothing\)",
            marks=pytest.mark.skipif(os.name == "nt", reason="a signal ends a process with status 3 on Windows"),
        ),
        pytest.param(
            "import signal; signal.raise_signal(signal.SIGRTMIN + 1)",
            r"a trial was ended by signal \d+ \(it said nothing\)",
            marks=pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="the system has no real-time signals"),
        ),
        ("import time; time.sleep(60)", "a trial took more than 0.5 seconds"),
    ],
)
def test_a_version_that_fails_is_one_error_each_time(install, monkeypatch, program, fault):
    monkeypatch.setattr(numba_versions, "PATIENCE", 0.5 if "sleep" in program else 60)
    install("0.99.0", program)
    message = (
        rf"^fastlin's kernels do not work with Numba 0\.99\.0: {fault}\. They are tested with Numba 0\.65 to 0\.68: "
        r"install one of these, for example by pip install 'numba==0\.68\.\*'\.$"
    )
    for _ in range(2):
        with pytest.raises(ImportError, match=message):
            check_numba()
    # A fault may be of the moment.
    install("0.99.0", "pass")
    check_numba()


def test_what_tries_is_not_tried_itself(install, monkeypatch):
    install("0.99.0", FAILS)
    monkeypatch.setenv(numba_versions.TRIES, "1")
    check_numba()


def test_without_a_place_to_write_each_process_tries(install, monkeypatch):
    monkeypatch.setattr(cache_folder, "cache_folder", lambda: None)
    install("0.99.0", "pass")
    check_numba()
    install("0.99.0", FAILS)
    with pytest.raises(ImportError, match="kernels differ"):
        check_numba()


@pytest.mark.parametrize(("attribute", "value"), [("executable", None), ("frozen", True)])
def test_where_no_interpreter_can_be_started_kernels_are_used_with_a_warning(
    install, monkeypatch, caplog, attribute, value
):
    install("0.99.0", FAILS)
    monkeypatch.setattr(numba_versions.sys, attribute, value, raising=False)
    check_numba()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "fastlin was not tested with this version of Numba, and its kernels cannot be tried here."
    ]
