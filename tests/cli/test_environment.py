"""The description of where the program runs."""

import json
from types import SimpleNamespace

import numpy as np

import fastlin
from fastlin.cli import doctor as environment_module
from fastlin.cli.doctor import describe_code, describe_environment, lay_out_environment
from fastlin.kernels.machine.target import Target
from fastlin.kernels.machine.threads import count_threads


def test_the_description_is_plain_and_true():
    environment = describe_environment()
    assert json.loads(json.dumps(environment)) == environment
    assert environment["fastlin"] == fastlin.__version__
    assert environment["numpy"] == np.__version__
    assert environment["threads"] == count_threads()
    assert environment["processor"].endswith(")")
    assert environment["compiled_code"] == describe_code()


def test_a_wrong_number_of_threads_is_a_line_of_the_description(monkeypatch):
    monkeypatch.setenv("FASTLIN_NUM_THREADS", "abc")
    message = "FASTLIN_NUM_THREADS must be a whole number from 1 on, got 'abc'"
    assert describe_environment()["threads"] == message
    assert [line.split(maxsplit=1)[1] for line in lay_out_environment() if line.startswith("threads ")] == [message]


def test_the_code_in_use_is_named(monkeypatch, tmp_path):
    (tmp_path / "a.nbc").touch()
    monkeypatch.setattr(environment_module, "code_folders", lambda: (tmp_path / "none", tmp_path))
    monkeypatch.setattr(environment_module, "TARGET", Target("x86-64-v3", 32, SimpleNamespace(n_kernels=7)))
    assert describe_code() == "x86-64-v3, 7 kernels from the wheel, 1 in the cache"
    monkeypatch.setattr(environment_module, "TARGET", Target("host", 32))
    assert describe_code() == "this processor's own, 1 in the cache"


def test_a_description_makes_no_folder(monkeypatch, tmp_path):
    written, read = tmp_path / "written", tmp_path / "read"
    monkeypatch.setattr(environment_module, "cache_folder", lambda: written)
    monkeypatch.setattr(environment_module, "code_folders", lambda: (read, written))
    environment = describe_environment()
    assert (environment["cache"], environment["cache_megabytes"]) == (str(written), 0)
    assert not list(tmp_path.iterdir())
    read.mkdir()
    (read / "code").write_bytes(bytes(300_000))
    environment = describe_environment()
    assert environment["cache"] == f"{read} (only read), {written}"
    assert environment["cache_megabytes"] == 0.3
    monkeypatch.setattr(environment_module, "code_folders", lambda: ())
    assert describe_environment()["cache"] == "none: no place is writable"


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(environment_module, "PACKAGES", ("numpy", "no-such-package"))
    assert describe_environment()["no-such-package"] == "not installed"


def test_a_processor_is_named_on_every_system(monkeypatch, tmp_path):
    monkeypatch.setattr(environment_module, "PROCESSORS", tmp_path / "cpuinfo")
    monkeypatch.setattr(environment_module.platform, "processor", lambda: "AMD64 Family 25 Model 33, AuthenticAMD")
    monkeypatch.setattr(environment_module.platform, "machine", lambda: "aarch64")
    name = environment_module._name_processor
    assert name().startswith("AMD64 Family 25 Model 33, AuthenticAMD (")
    # Linux on arm64 tells the parts of the processor, not the name of its model.
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nCPU implementer\t: 0x41\n", "utf-8")
    monkeypatch.setattr(environment_module.platform, "processor", lambda: "")
    assert name().startswith("aarch64 (")
    (tmp_path / "cpuinfo").write_text("model name\t: A processor: fast\n", "utf-8")
    assert name().startswith("A processor: fast (")
