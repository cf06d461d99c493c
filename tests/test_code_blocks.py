"""Code blocks in the documentation: Python blocks run, page by page, and commands have valid arguments."""

import doctest
import importlib
import re
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import click
import documented_commands
import matplotlib
import numpy as np
import pytest
from conftest import mark_params
from documented_commands import CODE_BLOCK_PATTERN, drop_environment_variables, list_block_commands
from repository import PUBLIC_MODULES, read, read_setup_cfg

from fastlin import trainers
from fastlin.cli.commands import program as fastlin_program

PAGES = {page: CODE_BLOCK_PATTERN.findall(text) for page, text in documented_commands.DOCUMENT_TEXTS.items()}
# Python blocks that are not run here: the page, a line of the block, and the reason.
SKIPPED_BLOCKS = {
    ("docs/larger-than-memory.md", "with LocalCluster(n_workers=2"): "it starts a cluster; tests/dask has one",
}
# Each block of this page is complete, so it runs without the names of other blocks.
COOKBOOK = "docs/cookbook.md"
SLOW_PAGES = {"docs/probing-embeddings.md"}
# Programs other than Python and fastlin.
PROGRAMS = {"asv", "chmod", "export", "make", "mypy", "ruff"}
# The examples train for only a few epochs.
IGNORE_NOT_CONVERGED = "ignore:.*hasn't converged yet:sklearn.exceptions.ConvergenceWarning"
NAMES = re.findall(r"^   ([\w.]+)$", read("docs/api.md"), re.MULTILINE)
# Compiling the kernels for float16 takes twenty seconds.
PYTHON_PAGES = [
    page for page, blocks in PAGES.items() if "python" in dict(blocks) and page not in {*SLOW_PAGES, COOKBOOK}
]
# The blocks of the cookbook, each with its printed output, which is the next block if that block is text.
RECIPES = [
    (block, next_block if next_language == "text" else "")
    for (language, block), (next_language, next_block) in pairwise([*PAGES[COOKBOOK], ("", "")])
    if language == "python"
]
COMMANDS = [words for text in documented_commands.DOCUMENT_TEXTS.values() for words in list_block_commands(text)]


def make_rows(n_rows, seed):
    """Return X with five columns, and labels of three overlapping classes."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n_rows, 5))
    return X, (X[:, :3] + generator.gumbel(size=(n_rows, 3))).argmax(axis=1)


def make_images(*_, **sizes):
    """Return a few images instead of MNIST, in the format of `load_full_mnist` and `load_binary_dataset`."""
    assert sizes.keys() <= {"train_size", "test_size", "sample_stochastic"}
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (400, 784), dtype=np.uint8), generator.integers(0, 10, (400, 1))
    return images[:300], labels[:300], images[300:], labels[300:]


@pytest.fixture(autouse=True)
def use_temporary_folder(tmp_path, monkeypatch):
    """Change into a temporary folder, plot without windows, and close all pyplot figures."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def names(tmp_path, monkeypatch):
    """Return the variables that the documents do not define, and create the files that they read."""
    for name in ("load_full_mnist", "load_binary_dataset"):
        monkeypatch.setattr(trainers, name, make_images)
    values = {"__name__": "page", "np": np, "names": list("abcde"), "folder": tmp_path / "parts"}
    for seed, part in enumerate(("", "_val", "_new")):
        values[f"X{part}"], values[f"y{part}"] = make_rows(200, seed)
    for name in ("X", "y"):
        np.save(f"{name}.npy", values[name])
    values["folder"].mkdir()
    np.savez(values["folder"] / "part.npz", X=values["X"], y=values["y"])
    return values


@pytest.mark.parametrize("page", [*PYTHON_PAGES, *mark_params(pytest.mark.thorough, *SLOW_PAGES)])
@pytest.mark.filterwarnings(IGNORE_NOT_CONVERGED)
def test_python_blocks_run(page, names):
    skipped_lines = [line for skipped_page, line in SKIPPED_BLOCKS if skipped_page == page]
    for language, block in PAGES[page]:
        if language == "python" and not any(line in block for line in skipped_lines):
            exec(compile(block, f"{page}: {block.splitlines()[0]}", "exec"), names)
    for line in skipped_lines:
        assert len([block for language, block in PAGES[page] if language == "python" and line in block]) == 1


@pytest.fixture
def keep_converters():
    """Remove the converter that a recipe registers for other tests."""
    import skl2onnx

    supported = skl2onnx._supported_operators.sklearn_operator_name_map
    converters = dict(supported)
    yield
    supported.clear()
    supported.update(converters)


@pytest.mark.parametrize(
    ("block", "output"), RECIPES, ids=lambda value: value.splitlines()[-1] if value else "no output"
)
def test_recipes_of_the_cookbook_run_alone(block, output, keep_converters, capsys):
    exec(compile(block, COOKBOOK, "exec"), {"__name__": "recipe"})
    printed = capsys.readouterr().out
    pattern = r"-?\d+\.\d+"
    assert re.sub(pattern, "", printed).split() == re.sub(pattern, "", output).split()
    # Another processor may round a number in the other direction.
    numbers, expected_numbers = (re.findall(pattern, text) for text in (printed, output))
    for number, expected in zip(numbers, expected_numbers, strict=True):
        assert abs(float(number) - float(expected)) <= 1.001 * 10.0 ** -len(expected.partition(".")[2])


@pytest.mark.parametrize("words", COMMANDS, ids="_".join)
def test_commands_have_valid_arguments(words, tmp_path):
    program, *words = drop_environment_variables(words)
    name = Path(program).name
    if name in ("python", "python3"):
        assert words[0] == "-m"
        # The previous command installs the build tools.
        assert words[1] in ("venv", "build") or find_spec(words[1])
    elif name == "fastlin":
        if subcommand := fastlin_program.get_command(click.Context(fastlin_program), words[0]):
            for file in ("flights.csv", "new.csv", "flights.skops"):
                (tmp_path / file).touch()
            subcommand.make_context(words[0], words[1:])
        else:
            assert words in (["--help"], ["--version"])
    elif name in ("pip", "uv"):
        assert words[: 1 + (name == "uv")] == ["pip", "install"][-1 - (name == "uv") :]
        for extras in re.findall(r"\[([\w,-]+)\]", " ".join(words)):
            assert set(extras.split(",")) <= set(read_setup_cfg()["options.extras_require"])
    else:
        assert name in PROGRAMS


def import_object(name):
    """Return the object to which a name on the API page refers."""
    module, _, last = f"fastlin.{name}".rpartition(".")
    return getattr(importlib.import_module(module), last)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings(IGNORE_NOT_CONVERGED)
def test_examples_of_docstrings_run(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    (test,) = doctest.DocTestFinder(recurse=False).find(import_object(name), name, globs={})
    assert test.examples
    report = []
    doctest.DocTestRunner(optionflags=flags).run(test, out=report.append)
    assert report == []


def test_the_api_page_lists_every_public_name():
    modules = ("", *(f".{module}" for module in PUBLIC_MODULES if module != "typing"), ".estimators")
    public_names = {
        getattr(module, name)
        for module in (importlib.import_module(f"fastlin{module}") for module in modules)
        for name in getattr(module, "__all__", ["TimeLimit"])
        # Constants have no page, and `draw` plots the figures of the report.
        if not name.isupper() and not name.startswith("__") and name != "draw"
    }
    assert public_names == {import_object(name) for name in NAMES}
