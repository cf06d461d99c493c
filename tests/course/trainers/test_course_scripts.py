"""Scripts of each task run on plain NumPy and, with their import lines changed and nothing else, on fastlin."""

import re
import sys
import warnings
from pathlib import Path
from types import ModuleType

import course_scripts
import matplotlib.pyplot
import numpy as np
import pytest
from naive_course import make_modules
from naive_two_layer_net import PlainTwoLayerNet

from fastlin.course import datasets
from fastlin.exceptions import CourseWarning

PAGE = Path(__file__).parents[3] / "docs" / "coming-from-the-course.md"
EARLY = "Early stopping with a patience of 10 would have ended this training after 46 of its 160 steps"
# How the warnings of each script begin.
WARNINGS = {
    "TASK_2": [EARLY],
    "TASK_3": ["SoftmaxModel penalises l2_reg_lambda"],
    "TWO_LAYER_NET": [],
}


def change_imports(script):
    """Return the script with fastlin's import lines, which the page lists, instead of the course's."""
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    for theirs, ours in rows:
        line = rf"^{re.escape(theirs.removesuffix(' …'))}(?= |$)"
        script = re.sub(line, ours.removesuffix(" …"), script, flags=re.MULTILINE)
    return script


def run(script):
    matplotlib.use("Agg")
    names = {"__name__": "__main__"}
    exec(compile(script, "script", "exec"), names)
    matplotlib.pyplot.close("all")
    return names["result"]


@pytest.mark.parametrize("name", WARNINGS)
def test_scripts_give_the_same_results_with_the_import_lines_changed(name, monkeypatch, capsys):
    script, digits = getattr(course_scripts, name), datasets.load_digits()
    # The digits with as many pixels as images of MNIST.
    X_train, X_test = (np.pad(X.repeat(9, axis=1), ((0, 0), (0, 208))) for X in (digits.X_train, digits.X_test))
    modules = make_modules(X_train, digits.y_train, X_test, digits.y_test)
    modules["two_layernet"] = ModuleType("two_layernet")
    modules["two_layernet"].TwoLayerNet = PlainTwoLayerNet
    for module, contents in modules.items():
        monkeypatch.setitem(sys.modules, module, contents)
    expected = run(script)
    # The course's modules are no longer found.
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    small = modules["utils"].load_full_mnist()
    for module in ("fastlin.trainers", "fastlin.course.trainers.data"):
        monkeypatch.setattr(f"{module}.load_full_mnist", lambda *sizes: small)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = run(change_imports(script))
    assert all(warning.category is CourseWarning for warning in warned)
    for warning, beginning in zip(warned, WARNINGS[name], strict=True):
        assert str(warning.message).startswith(beginning)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)
