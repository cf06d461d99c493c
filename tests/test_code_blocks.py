"""Every block of code in the documents runs: Python in order, page by page, and commands as far as their words go."""

import configparser
import doctest
import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import documented_commands
import matplotlib
import numpy as np
import pytest
from documented_commands import BLOCK, read_blocks

import fastlin
from fastlin import trainers
from fastlin.cli.commands import program as fastlin_program

ROOT = Path(__file__).parent.parent
PAGES = {page: BLOCK.findall(text) for page, text in documented_commands.PAGES.items()}
# Blocks of Python that do not run here: the page, a line of the block, and why.
LEFT_OUT = {
    ("docs/larger-than-memory.md", "with LocalCluster(n_workers=2"): "it starts a cluster; tests/dask has one",
    ("docs/logistic-regression.md", "import skl2onnx"): "the extra onnx is not installed with the tests",
}
COMPILED_AT_LENGTH = {"docs/probing-embeddings.md"}
# Programs that commands name beside Python and fastlin.
PROGRAMS = {"asv", "chmod", "export", "make", "mypy", "ruff"}
# A few epochs are enough to show how a training goes.
NOT_CONVERGED = "ignore:.*hasn't converged yet:sklearn.exceptions.ConvergenceWarning"
NAMES = re.findall(r"^   ([\w.]+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)


def make_rows(n_rows, seed):
    """Return rows of five columns and labels of three classes that overlap."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n_rows, 5))
    return X, (X[:, :3] + generator.gumbel(size=(n_rows, 3))).argmax(axis=1)


def make_images(*_, **sizes):
    """Return a few images in place of MNIST's, as `load_full_mnist` and `load_binary_dataset` do."""
    assert sizes.keys() <= {"train_size", "test_size", "sample_stochastic"}
    generator = np.random.default_rng(0)
    return tuple(
        array
        for n_rows in (300, 100)
        for array in (
            generator.integers(0, 256, (n_rows, 784), dtype=np.uint8),
            generator.integers(0, 10, (n_rows, 1)),
        )
    )


@pytest.fixture(autouse=True)
def no_windows():
    """Draw without windows, and leave no figure of pyplot to other tests."""
    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def names(tmp_path, monkeypatch):
    """The names that the documents leave to their readers, in a folder with the files that they leave to them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trainers, "load_full_mnist", make_images)
    monkeypatch.setattr(trainers, "load_binary_dataset", make_images)
    (X, y), (X_val, y_val), (X_new, y_new) = (make_rows(200, seed) for seed in range(3))
    np.save("X.npy", X)
    np.save("y.npy", y)
    (tmp_path / "parts").mkdir()
    np.savez(tmp_path / "parts" / "part.npz", X=X, y=y)
    values = {"X": X, "y": y, "X_val": X_val, "y_val": y_val, "X_new": X_new, "y_new": y_new}
    return {"__name__": "page", "np": np, "names": list("abcde"), "folder": tmp_path / "parts"} | values


def is_left_out(page, block):
    return any(page == left and line in block for left, line in LEFT_OUT)


# Embeddings in float16 take twenty seconds of the compiler.
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.thorough] if page in COMPILED_AT_LENGTH else [])
        for page, blocks in PAGES.items()
        if "python" in dict(blocks)
    ],
)
@pytest.mark.filterwarnings(NOT_CONVERGED)
def test_python_runs(page, names):
    for language, block in PAGES[page]:
        if language == "python" and not is_left_out(page, block):
            exec(compile(block, f"{page}: {block.splitlines()[0]}", "exec"), names)


@pytest.mark.parametrize(("page", "line"), LEFT_OUT)
def test_blocks_that_are_left_out_exist(page, line):
    assert len([block for language, block in PAGES[page] if language == "python" and line in block]) == 1


COMMANDS = [(page, words) for page, text in documented_commands.PAGES.items() for words in read_blocks(text)]


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=lambda value: value if isinstance(value, str) else "_".join(value)
)
def test_commands_exist(page, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program, *words = words
    name = Path(program).name
    if name in ("python", "python3"):
        assert words[0] == "-m"
        # What only builds a wheel is installed by the line before.
        assert words[1] in ("venv", "build") or find_spec(words[1])
    elif name == "fastlin":
        if command := fastlin_program.commands.get(words[0]):
            for file in ("flights.csv", "new.csv", "flights.skops"):
                (tmp_path / file).touch()
            command.make_context(words[0], words[1:])
        else:
            assert words in (["--help"], ["--version"])
    elif name == "pip":
        settings = configparser.ConfigParser()
        settings.read(ROOT / "setup.cfg", encoding="utf-8")
        wanted = {
            extra for word in words for extras in re.findall(r"\[([\w,-]+)\]", word) for extra in extras.split(",")
        }
        assert words[0] == "install"
        assert wanted <= set(settings["options.extras_require"])
    else:
        assert name in PROGRAMS


def find_object(name):
    """Return what a name of the page of the API stands for."""
    room, _, last = f"fastlin.{name}".rpartition(".")
    return getattr(importlib.import_module(room), last)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings(NOT_CONVERGED)
def test_examples_of_docstrings_run(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    (test,) = doctest.DocTestFinder(recurse=False).find(find_object(name), name, globs={})
    assert test.examples
    report = []
    doctest.DocTestRunner(optionflags=flags).run(test, out=report.append)
    assert report == []


def test_the_page_of_the_api_has_every_public_name():
    rooms = ("", *(f".{room}" for room in fastlin._ROOMS_IMPORTED_LATER if room != "typing"), ".estimators")
    public = {
        getattr(module, name)
        for module in (importlib.import_module(f"fastlin{room}") for room in rooms)
        for name in getattr(module, "__all__", ["TimeLimit"])
        # Constants have no page of their own; `draw` makes the pictures of the report.
        if not name.isupper() and not name.startswith("__") and name != "draw"
    }
    assert public == {find_object(name) for name in NAMES}
