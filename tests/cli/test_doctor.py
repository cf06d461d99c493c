"""The description of an installation, and its checks."""

import re

from fastlin.cli import doctor


def test_a_sound_installation_passes_every_check(run, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    finished = run("doctor")
    assert finished.returncode == 0, finished.stdout
    lines = finished.stdout.splitlines()
    assert sum(line.startswith("passed  ") for line in lines) == len(doctor.CHECKS)
    assert "OMP_NUM_THREADS=1" in lines
    assert re.search(r"^numpy +\d", finished.stdout, re.MULTILINE)
    assert re.match(rf"{len(doctor.CHECKS)} of {len(doctor.CHECKS)} checks passed; ", lines[-1])


def test_a_result_that_differs_and_an_error_are_failures(run, monkeypatch):
    def stumble():
        raise OSError("the disk is gone")

    monkeypatch.setattr(doctor, "MINIMUM_OF_CANCER", 0.2)
    checks = {"breast cancer": doctor.CHECKS["breast cancer, two classes, L1"], "disk": stumble}
    monkeypatch.setattr(doctor, "CHECKS", checks)
    finished = run("doctor")
    assert finished.returncode == 1
    assert "FAILED  breast cancer: J = 0.20465732" in finished.stdout
    assert "FAILED  disk: OSError: the disk is gone" in finished.stdout
    assert "\n0 of 2 checks passed; " in finished.stdout
