"""The description of an installation, and its checks."""

import json
import re
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np

import fastlin
from fastlin.cli import doctor
from fastlin.cli.doctor import describe_compiled_code, describe_environment, format_environment
from fastlin.kernels.machine.target import Target
from fastlin.kernels.machine.threads import count_threads


def test_the_description_includes_errors_and_missing_packages(run, monkeypatch):
    environment = describe_environment()
    assert json.loads(json.dumps(environment)) == environment
    assert environment["fastlin"] == fastlin.__version__
    assert environment["numpy"] == np.__version__
    assert environment["threads"] == count_threads()
    assert environment["processor"].endswith(")")
    assert environment["compiled_code"] == describe_compiled_code()
    words = [line.split("  ")[0] for line in run("info").stdout.splitlines()]
    assert words == [name.replace("_", " ") for name in environment]
    monkeypatch.setenv("FASTLIN_NUM_THREADS", "abc")
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    message = "FASTLIN_NUM_THREADS must be a positive integer, got 'abc'. Change or unset it."
    assert describe_environment()["threads"] == message
    lines = dict(re.split("  +", line, maxsplit=1) for line in format_environment())
    assert (lines["threads"], lines["no-such-package"]) == (message, "not installed")


def test_the_description_names_the_compiled_code(monkeypatch, tmp_path):
    written, read = tmp_path / "written", tmp_path / "read"
    monkeypatch.setattr(doctor, "cache_folder", lambda: written)
    monkeypatch.setattr(doctor, "code_folders", lambda: (read, written))
    environment = describe_environment()
    assert environment["cache"] == str(written)
    assert not list(tmp_path.iterdir())
    read.mkdir()
    (read / "code.nbc").write_bytes(b"code")
    environment = describe_environment()
    assert environment["cache"] == f"{read} (only read), {written}"
    monkeypatch.setattr(doctor, "TARGET", Target("x86-64-v3", 32, SimpleNamespace(n_kernels=7)))
    assert describe_compiled_code() == "x86-64-v3, 7 kernels from the wheel, 1 in the cache"
    monkeypatch.setattr(doctor, "TARGET", Target("host", 32))
    assert describe_compiled_code() == "compiled for this processor, 1 in the cache"
    monkeypatch.setattr(doctor, "code_folders", lambda: ())
    assert describe_environment()["cache"] == "none: no folder is writable"


def test_the_processor_is_named_on_every_system(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "PROCESSOR_INFO_FILE", tmp_path / "cpuinfo")
    monkeypatch.setattr(doctor.platform, "machine", lambda: "aarch64")
    # On arm64 Linux lists the implementer of the processor instead of its model name.
    for processor, text, name in (
        ("AMD64 Family 25 Model 33, AuthenticAMD", None, "AMD64 Family 25 Model 33, AuthenticAMD"),
        ("", "processor\t: 0\nCPU implementer\t: 0x41\n", "aarch64"),
        ("", "model name\t: A processor: fast\n", "A processor: fast"),
    ):
        monkeypatch.setattr(doctor.platform, "processor", lambda processor=processor: processor)
        if text is not None:
            (tmp_path / "cpuinfo").write_text(text, "utf-8")
        assert describe_environment()["processor"].startswith(f"{name} (")


def test_a_sound_installation_passes_every_check(run, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    lines = run("doctor").stdout.splitlines()
    assert sum(line.startswith("passed  ") for line in lines) == len(doctor.INSTALLATION_CHECKS)
    assert "OMP_NUM_THREADS=1" in lines
    assert any(re.match(r"numpy +\d", line) for line in lines)
    assert lines[-1].startswith(
        f"{len(doctor.INSTALLATION_CHECKS)} of {len(doctor.INSTALLATION_CHECKS)} checks passed."
    )


def test_a_different_result_or_an_error_fails_the_check(run, monkeypatch):
    monkeypatch.setattr(doctor, "CANCER_MINIMUM_OBJECTIVE", 0.2)
    failing_check = Mock(side_effect=OSError("the disk is gone"))
    checks = {"breast cancer": doctor.INSTALLATION_CHECKS["breast cancer, two classes, L1"], "disk": failing_check}
    monkeypatch.setattr(doctor, "INSTALLATION_CHECKS", checks)
    printed = run("doctor", status=1).stdout
    assert "FAILED  breast cancer: J = 0.20465732" in printed
    assert "FAILED  disk: OSError: the disk is gone" in printed
    assert "\n0 of 2 checks passed.\n" in printed
