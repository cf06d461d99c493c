"""fastlin without the packages of its extras. Features that need an extra raise an error that names the extra."""

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from repository import ROOT, read_setup_cfg

from fastlin.environment.extras import (
    EXTRAS,
    IMPORT_NAMES,
    describe_missing_packages,
    find_missing_packages,
    import_extra,
)

ALL_EXTRA_MODULES = {IMPORT_NAMES.get(name, name) for names in EXTRAS.values() for name in names}
# This code simulates that packages are not installed.
HIDE_PACKAGES = """
import sys
from importlib.machinery import PathFinder

class HidingFinder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {names} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = HidingFinder
"""
EXTRA_BY_PROGRAM = {
    "from fastlin import figures, logistic_path; figures.plot_path(logistic_path([[0], [1]], [0, 1], Cs=1))": "studies",
    "from fastlin.trainers import plot_loss; plot_loss({1: 2.0})": "studies",
    "import numpy as np; from fastlin import figures; figures.show_images(np.zeros((2, 784)))": "studies",
    "from fastlin.course.datasets import files; files.download_file('http://127.0.0.1:9/', '', None, 'x')": "studies",
    "from fastlin.environment.file_system import lock; lock('results.json').__enter__()": "studies",
    "from fastlin import blocks; blocks.from_parquet('x.parquet', label='y')": "arrow",
    "import fastlin.dask": "dask",
}
FITS = """
import warnings; warnings.simplefilter('error')
import numpy as np, fastlin
X = np.arange(40.0).reshape(20, 2) % 7; y = np.arange(20) % 2
print(fastlin.LogisticRegression(verbose=1).fit(X, y).predict(X).shape)
fastlin.logistic_path(X, y, Cs=3, verbose=1)
from fastlin.environment.terminal import show_progress_bar
with show_progress_bar('fastlin', 3) as show: show(2, 'loss 0.5')
"""


def run_without_packages(program, missing=ALL_EXTRA_MODULES, **options):
    command = [sys.executable, "-c", HIDE_PACKAGES.format(names=sorted(missing)) + program]
    completed_process = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert completed_process.returncode == 0, completed_process.stderr
    return completed_process


def test_packages_of_extras_are_those_in_setup_cfg():
    distributions = packages_distributions()
    for extra, names in EXTRAS.items():
        lines = read_setup_cfg()["options.extras_require"][extra].split()
        assert {re.match(r"[\w-]+", line)[0] for line in lines} == set(names)
        for name in names:
            assert name in [distribution.lower() for distribution in distributions[IMPORT_NAMES.get(name, name)]]
    assert find_missing_packages("studies") == []


def test_only_a_missing_package_gets_the_hint():
    hint = r"Not installed: nowhere. Run pip install '\.\[arrow\]' in a checkout of fastlin\."
    with pytest.raises(ModuleNotFoundError, match=hint) as raised, import_extra("arrow"):
        import nowhere  # noqa: F401
    assert raised.value.name == "nowhere"
    with pytest.raises(ModuleNotFoundError, match=r"Not installed: pillow\. "), import_extra("studies"):
        raise ModuleNotFoundError("No module named 'PIL'", name="PIL")
    with pytest.raises(ImportError, match="cannot import name"), import_extra("arrow"):
        from pathlib import Nothing  # noqa: F401


@pytest.mark.slow
def test_a_bare_installation_fits_and_shows_progress():
    completed_process = run_without_packages(FITS)
    lines = completed_process.stdout.splitlines()
    assert re.match(r"fastlin: iteration +\d+  objective 0\.\d+  gap \S+  \d+\.\d\d s$", lines[0])
    assert re.match(r"fastlin: fits: 3 of 3  C=\S+ gap=\S+$", lines[2])
    assert lines[1::2] == ["(20,)", "fastlin: 2 of 3  loss 0.5"]


@pytest.mark.thorough
def test_a_bare_installation_names_missing_packages():
    completed_process = run_without_packages(
        f"for program in {list(EXTRA_BY_PROGRAM)}:\n"
        "    try: exec(program)\n"
        "    except ModuleNotFoundError as error: print(error)\n"
        "from fastlin.cli import main, __file__ as x\n"
        "for call in (['reproduce'], ['compare'], ['fit', x, '--target', 'y'], ['predict', x, x]):\n"
        "    print(main(call))\n"
    )
    lines = completed_process.stdout.splitlines()
    for line, extra in zip(lines, EXTRA_BY_PROGRAM.values(), strict=False):
        assert re.fullmatch(rf"Not installed: \w+\. Run pip install '\.\[{extra}\]' in a checkout of fastlin\.", line)
    # The program reports all missing packages before it starts.
    assert lines[len(EXTRA_BY_PROGRAM) :] == ["2"] * 4
    extras = "studies", "studies", "tables", "tables"
    hints = [f"fastlin: {describe_missing_packages(extra, EXTRAS[extra])}" for extra in extras]
    assert completed_process.stderr.splitlines() == hints


@pytest.mark.thorough
def test_the_tables_extra_is_enough_to_fit_and_predict(tmp_path):
    rows = "".join(f"{i % 7},{'ab'[i % 2]},{int(i % 7 > 3)}\n" for i in range(60))
    (tmp_path / "data.csv").write_text("number,text,label\n" + rows)
    # Pillow is a dependency of Matplotlib.
    completed_process = run_without_packages(
        "from fastlin.cli import main\n"
        "print(main(['fit', 'data.csv', '--target', 'label']))\n"
        "print(main(['predict', 'model.skops', 'data.csv', '--output', 'predictions.parquet']))\n",
        ALL_EXTRA_MODULES - {*EXTRAS["tables"], "PIL"},
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert [line for line in completed_process.stdout.splitlines() if line.isdigit()] == ["0", "0"], (
        completed_process.stderr
    )
    assert {path.name for path in tmp_path.iterdir()} == {"data.csv", "model.skops", "predictions.parquet"}
