"""The documentation is consistent: links, names of functions and tests, parameters, and the lines that CI runs."""

import ast
import dataclasses
import re
import warnings
from inspect import signature

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.neural_network
from linear_models import QUIET
from numpydoc.validate import validate
from repository import ESTIMATORS, ROOT, described, parse, read
from sklearn.datasets import load_iris

import fastlin
from fastlin.estimators import RegularizationPath, StabilitySelection

PAGES = sorted(path for folder in ("", "benchmarks", "studies") for path in (ROOT / "docs" / folder).glob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]
NAMED = re.findall(r"`([\w/]+\.py)::([\w.]+)`", read("docs/derivations.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
INCLUDE = re.compile(r"^```{include} (\S+)$", re.MULTILINE)
MAX_LINES_OF_README = 110
# Words of docs/, without generated figures.
MAX_WORDS = 17_000
GENERATED = re.compile(r"<!-- figures: [\w-]+ -->.*?<!-- end of figures -->", re.DOTALL)
# The README's links are absolute, so that a package index can show them.
REPOSITORY_LINK = re.compile(
    r"https://(?:github\.com/fastlin/fastlin/blob|raw\.githubusercontent\.com/fastlin/fastlin)/main/(.+)"
)
WORDS = {"same", "more", "different", "ignored", "new"}
# Rules that scikit-learn's own test of docstrings ignores: names of return values, the start of the text and, except
# for classes, examples and "See Also".
IGNORED_RULES, IGNORED_RULES_OF_METHODS = {"RT02", "GL01", "GL02"}, {"EX01", "SA01", "ES01"}


def anchors(path):
    """Return the anchors that the headings of a document get: lower case, hyphens for spaces, no punctuation."""
    text = path.read_text(encoding="utf-8")
    if included := INCLUDE.search(text):
        return anchors(path.parent / included.group(1))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_functions_named_in_the_derivations_exist():
    assert len(NAMED) >= 70
    for file, named in NAMED:
        # Methods are named as Class.method.
        body, *names = parse(ROOT / file).body, *named.split(".")
        for name in names:
            definition = next((node for node in body if getattr(node, "name", "") == name), None)
            body = getattr(definition, "body", [])
        assert isinstance(definition, ast.FunctionDef), f"{file}::{named}"
    sections = read("docs/derivations.md").split("\n## ")[1:]
    assert len(sections) >= 7
    for section in sections:
        assert "- Computed by `fastlin/" in section
        assert "- Checked by `tests/" in section


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_point_to_existing_files_and_anchors(document):
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        if match := REPOSITORY_LINK.fullmatch(target):
            target = f"{ROOT}/{match[1]}"
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = document.parent / file if file else document
        assert path.exists(), f"{document.name} links to {target}"
        assert not anchor or anchor in anchors(path), f"{document.name} links to {target}"


def test_every_page_is_in_the_table_of_contents_and_included_pages_exist():
    content = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    lines = "".join(re.findall(r"```{toctree}\n(.*?)```", content, re.DOTALL)).splitlines()
    entries = [line for line in lines if line and not line.startswith(":")]
    names = [page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in PAGES]
    assert sorted([*entries, "index"]) == sorted([*names, "gallery/index"])
    for name in ("contributing", "changelog"):
        included = INCLUDE.search(read(f"docs/{name}.md")).group(1).removeprefix("../")
        assert included == f"{name.upper()}.md"
        # Sphinx rewrites only links into docs/; others would be broken on the site.
        for target in LINK.findall(read(included)):
            assert re.match(r"docs/|#|[a-z]+:", target), f"{included} links to {target}"


def test_the_documents_respect_their_limits_of_length():
    words = {page: len(GENERATED.sub("", page.read_text(encoding="utf-8")).split()) for page in PAGES}
    assert sum(words.values()) <= MAX_WORDS, words
    assert len(read("README.md").splitlines()) <= MAX_LINES_OF_README


def read_parameters(title):
    """Return the table, and the names as in scikit-learn and in `LogisticRegression`, of a section on parameters.

    The table maps a name to our default, scikit-learn's default and a status.
    """
    section = read("docs/coming-from-scikit-learn.md").split(f"### {title}\n")[1].split("\n### ")[0]
    rows = [line.split("|")[1:5] for line in section.splitlines() if line.startswith("| `")]
    lists = []
    for words in ("Same as in scikit-learn", "As in `LogisticRegression`"):
        match = re.search(f"^{words}: (.+?)\\.$", section, re.DOTALL | re.M)
        lists.append(re.findall("`(.+?)`", match[1]) if match else [])
    return {name.strip(" `"): [cell.strip(" `") for cell in cells] for name, *cells in rows}, *lists


def defaults(estimator):
    """Return the default of each parameter of a constructor, as Python writes it with double quotes."""
    parameters = signature(estimator).parameters.items()
    return {name: repr(parameter.default).replace("'", '"') for name, parameter in parameters}


@pytest.mark.parametrize(
    "scikit_learns",
    [
        sklearn.linear_model.LogisticRegression,
        sklearn.linear_model.LogisticRegressionCV,
        sklearn.neural_network.MLPClassifier,
    ],
)
def test_the_tables_of_parameters_are_complete(scikit_learns):
    estimator = getattr(fastlin, scikit_learns.__name__)
    rows, same, alike = read_parameters(estimator.__name__)
    ours, theirs = defaults(estimator), defaults(scikit_learns)
    assert sorted([*rows, *same, *alike]) == sorted(ours)
    assert {name: row[0] for name, row in rows.items()} == {name: ours[name] for name in rows}
    assert {row[2] for row in rows.values()} <= WORDS
    ours_of_base = defaults(fastlin.LogisticRegression)
    assert {name: ours[name] for name in alike} == {name: ours_of_base[name] for name in alike}
    # The page describes one version of scikit-learn; other versions may have other parameters.
    version = re.search(r"scikit-learn (\d+\.\d+)\.\n\n### ", read("docs/coming-from-scikit-learn.md")).group(1)
    if not sklearn.__version__.startswith(f"{version}."):
        return
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    theirs_of_base = defaults(sklearn.linear_model.LogisticRegression)
    assert {name: theirs.get(name) for name in alike} == {name: theirs_of_base.get(name) for name in alike}
    assert theirs.keys() <= {*rows, *same, *alike}
    for name, (ours_is, theirs_is, word) in rows.items():
        assert theirs.get(name, "") == theirs_is, name
        assert (word == "new") == (name not in theirs), name
        assert word not in ("same", "more", "ignored") or ours_is == theirs_is, name


def test_the_readme_has_the_two_lines_that_ci_runs_and_absolute_links():
    lines = [line for line in read("README.md").splitlines() if line.startswith("python3 -m venv .venv && ")]
    assert lines == [
        "python3 -m venv .venv && .venv/bin/pip install '.[studies]' && .venv/bin/fastlin reproduce",
        "python3 -m venv .venv && .venv/bin/pip install uv && FASTLIN_BUILD_KERNELS=0 .venv/bin/uv pip install "
        "--python .venv '.[test]' && .venv/bin/python -m pytest -n 2",
    ]
    pattern = re.search(r"grep -E '([^']+)' README\.md", read(".ci/run")).group(1)
    assert len([line for line in read("README.md").splitlines() if re.search(pattern, line)]) == 1
    assert all("\nsource .ci/parts.sh\n" in read(script) for script in (".ci/run", ".ci/nightly"))
    assert [target for target in LINK.findall(read("README.md")) if not REPOSITORY_LINK.fullmatch(target)] == []


def test_the_program_page_names_every_study_and_command():
    from fastlin.cli.commands import program
    from fastlin.course.studies import CIFAR10_STUDIES, STUDIES

    page = read("docs/program.md")
    for name in (*STUDIES, *CIFAR10_STUDIES):
        assert f"`{name}`" in page
    for name in program.commands:
        assert f"`fastlin {name}" in page


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_docstrings_of_estimators_follow_the_rules_of_scikit_learn(estimator):
    name = f"fastlin.{estimator.__name__}"
    errors = [error for error in validate(name)["errors"] if error[0] not in IGNORED_RULES]
    ours = [base for base in estimator.__mro__ if base.__module__.startswith("fastlin")]
    methods = {method for base in ours for method, value in vars(base).items() if callable(value)}
    assert methods >= {"fit", "predict", "predict_proba"}
    for method in sorted(method for method in methods if not method.startswith("_")):
        method_errors = validate(f"{name}.{method}")["errors"]
        errors += [
            (method, *error) for error in method_errors if error[0] not in IGNORED_RULES | IGNORED_RULES_OF_METHODS
        ]
    assert errors == []


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_docstrings_describe_every_attribute(estimator):
    parameters = {**QUIET, "max_iter": 2, "n_iter_no_change": np.inf}
    accepted = {name: value for name, value in parameters.items() if name in signature(estimator).parameters}
    with warnings.catch_warnings(action="ignore"):
        model = estimator(**accepted).fit(*load_iris(return_X_y=True, as_frame=True))
    fitted = {name for name in vars(model) if not name.startswith("_")} - model.get_params().keys()
    assert fitted <= described(estimator, "Attributes")


@pytest.mark.parametrize(
    ("function", "result"),
    [(fastlin.logistic_path, RegularizationPath), (fastlin.stability_selection, StabilitySelection)],
)
def test_docstrings_describe_every_parameter_of_functions_and_every_field_of_their_results(function, result):
    parameters = signature(function).parameters.keys() - {"parameters"}
    assert parameters <= described(function, "Parameters")
    names = {field.name for field in dataclasses.fields(result)}
    assert names <= described(result, "Attributes")
