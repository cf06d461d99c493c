"""Links, names of functions and tests, and commands in the documents are valid, and the documents are not too long."""

import ast
import dataclasses
import re
import warnings
from inspect import signature

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.neural_network
from linear_models import QUIET_CV_PARAMETERS
from numpydoc.validate import validate
from repository import ESTIMATORS, ROOT, list_documented_names, parse, read
from sklearn.datasets import load_iris

import fastlin
from fastlin.estimators import RegularizationPath, StabilitySelection

PAGES = sorted(path for folder in ("", "benchmarks", "studies") for path in (ROOT / "docs" / folder).glob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]
CITED_NAMES = re.findall(r"`([\w/]+\.py)::([\w.]+)`", read("docs/derivations.md"))
LINK_PATTERN = re.compile(r"\]\(([^)\s]+)\)")
INCLUDE_PATTERN = re.compile(r"^```{include} (\S+)$", re.MULTILINE)
MAX_README_LINES = 110
# The limit for the pages in docs/. Code blocks, tables and generated blocks are excluded.
MAX_WORDS = 17_000
NON_PROSE_PATTERN = re.compile(
    r"<!-- figures: [\w-]+ -->.*?<!-- end of figures -->|^```.*?^```$|^\|.*?$", re.DOTALL | re.MULTILINE
)
# The README's links are absolute, so that they work on a package index.
REPOSITORY_LINK_PATTERN = re.compile(
    r"https://(?:github\.com/fastlin/fastlin/blob|raw\.githubusercontent\.com/fastlin/fastlin)/main/(.+)"
)
ISSUES_URL = "https://github.com/fastlin/fastlin/issues"
PARAMETER_STATUSES = {"same", "extended", "changed", "ignored", "new"}
# The numpydoc checks that scikit-learn's docstring test ignores: names of returned values, the start of the text, and
# for methods also examples, "See Also" and extended summaries.
IGNORED_NUMPYDOC_CODES, IGNORED_NUMPYDOC_METHOD_CODES = {"RT02", "GL01", "GL02"}, {"EX01", "SA01", "ES01"}


def anchors(path):
    """Return the anchors of a document's headings, in lower case, with hyphens for spaces and without punctuation."""
    text = path.read_text(encoding="utf-8")
    if include_match := INCLUDE_PATTERN.search(text):
        return anchors(path.parent / include_match.group(1))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_derivations_name_existing_functions_and_tests():
    assert len(CITED_NAMES) >= 70
    for file, named in CITED_NAMES:
        # Methods have names of the form Class.method.
        body, *names = parse(ROOT / file).body, *named.split(".")
        for name in names:
            named_node = next((node for node in body if getattr(node, "name", "") == name), None)
            body = getattr(named_node, "body", [])
        assert isinstance(named_node, ast.FunctionDef), f"{file}::{named}"
    sections = read("docs/derivations.md").split("\n## ")[1:]
    assert len(sections) >= 7
    for section in sections:
        assert "- Computed by `fastlin/" in section
        assert "- Checked by `tests/" in section


def find_broken_links(document):
    """Return the links of the document to missing files or headings. Links to other sites are not checked."""
    broken = []
    for link in LINK_PATTERN.findall(document.read_text(encoding="utf-8")):
        own = REPOSITORY_LINK_PATTERN.fullmatch(link)
        target = f"{ROOT}/{own[1]}" if own else link
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = document.parent / file if file else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(f"{document.name}: {link}")
    return broken


def test_links_point_to_existing_files_and_headings(tmp_path):
    assert [link for document in DOCUMENTS for link in find_broken_links(document)] == []
    page = tmp_path / "page.md"
    page.write_text("# Start\n\n[a](#start) [b](#end) [c](page.md#start) [d](other.md) [e](https://example.org)\n")
    assert find_broken_links(page) == ["page.md: #end", "page.md: other.md"]


def test_every_page_is_in_one_toctree():
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    lines = "".join(re.findall(r"```{toctree}\n(.*?)```", pages, re.DOTALL)).splitlines()
    entries = [line for line in lines if line and not line.startswith(":")]
    names = [page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in PAGES]
    assert sorted([*entries, "index"]) == sorted([*names, "gallery/index"])
    for name in ("contributing", "changelog"):
        included_document = INCLUDE_PATTERN.search(read(f"docs/{name}.md")).group(1).removeprefix("../")
        assert included_document == f"{name.upper()}.md"
        # Sphinx only rewrites links into docs/; other relative links would be broken on the site.
        for target in LINK_PATTERN.findall(read(included_document)):
            assert re.match(r"docs/|#|[a-z]+:", target), f"{included_document} links to {target}"


def test_comments_and_design_choices_name_the_same_rows():
    rows = [
        line.split("|")[1].strip() for line in read("docs/benchmarks/design-choices.md").splitlines() if "|" in line
    ]
    named_rows = set()
    for folder in ("fastlin", "benchmarks", "build_backend"):
        for path in (ROOT / folder).rglob("*.py"):
            # A name can continue in the next line of a comment.
            text = re.sub(r"\n\s*(# ?)?", " ", path.read_text(encoding="utf-8"))
            for names in re.findall(r"design-choices\.md: ([^()]+)\)", text):
                named_rows.update(names.split("; "))
    assert named_rows == set(rows[2:])


def test_documents_do_not_exceed_their_length_limits():
    words = {str(page): len(NON_PROSE_PATTERN.sub("", page.read_text(encoding="utf-8")).split()) for page in PAGES}
    assert sum(words.values()) <= MAX_WORDS, words
    assert len(read("README.md").splitlines()) <= MAX_README_LINES


def read_parameter_table(title):
    """Return the table of a parameter section and two lists of parameters.

    The table maps each name to fastlin's default, scikit-learn's default and a word. The first list has the parameters
    that are the same as in scikit-learn. The second list has those that are the same as in `LogisticRegression`.
    """
    section = read("docs/coming-from-scikit-learn.md").split(f"### {title}\n")[1].split("\n### ")[0]
    rows = [line.split("|")[1:5] for line in section.splitlines() if line.startswith("| `")]
    parameter_name_lists = []
    for words in ("Same as in scikit-learn", "As in `LogisticRegression`"):
        match = re.search(f"^{words}: (.+?)\\.$", section, re.DOTALL | re.M)
        parameter_name_lists.append(re.findall("`(.+?)`", match[1]) if match else [])
    return {name.strip(" `"): [cell.strip(" `") for cell in cells] for name, *cells in rows}, *parameter_name_lists


def defaults(estimator):
    """Return {name: repr of the default} for the constructor's parameters. The repr has double quotes."""
    parameters = signature(estimator).parameters.items()
    return {name: repr(parameter.default).replace("'", '"') for name, parameter in parameters}


@pytest.mark.parametrize(
    "sklearn_class",
    [
        sklearn.linear_model.LogisticRegression,
        sklearn.linear_model.LogisticRegressionCV,
        sklearn.neural_network.MLPClassifier,
    ],
)
def test_the_tables_of_parameters_have_every_parameter(sklearn_class):
    estimator = getattr(fastlin, sklearn_class.__name__)
    rows, same, logistic_parameters = read_parameter_table(estimator.__name__)
    ours, theirs = defaults(estimator), defaults(sklearn_class)
    assert sorted([*rows, *same, *logistic_parameters]) == sorted(ours)
    assert {name: row[0] for name, row in rows.items()} == {name: ours[name] for name in rows}
    assert {row[2] for row in rows.values()} <= PARAMETER_STATUSES
    logistic_defaults = defaults(fastlin.LogisticRegression)
    assert {name: ours[name] for name in logistic_parameters} == {
        name: logistic_defaults[name] for name in logistic_parameters
    }
    # The page describes one version of scikit-learn. Other versions may have other parameters.
    version = re.search(r"scikit-learn (\d+\.\d+)\.\n\n### ", read("docs/coming-from-scikit-learn.md")).group(1)
    if not sklearn.__version__.startswith(f"{version}."):
        return
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    sklearn_logistic_defaults = defaults(sklearn.linear_model.LogisticRegression)
    assert {name: theirs.get(name) for name in logistic_parameters} == {
        name: sklearn_logistic_defaults.get(name) for name in logistic_parameters
    }
    assert theirs.keys() <= {*rows, *same, *logistic_parameters}
    for name, (our_default, their_default, word) in rows.items():
        assert theirs.get(name, "") == their_default, name
        assert (word == "new") == (name not in theirs), name
        assert word not in ("same", "extended", "ignored") or our_default == their_default, name


def test_the_readme_has_the_commands_that_the_scripts_run():
    lines = [line for line in read("README.md").splitlines() if line.startswith("python3 -m venv .venv && ")]
    assert lines == [
        "python3 -m venv .venv && .venv/bin/pip install '.[studies]' && .venv/bin/fastlin reproduce",
        "python3 -m venv .venv && .venv/bin/pip install uv && FASTLIN_BUILD_KERNELS=0 .venv/bin/uv pip install "
        "--python .venv '.[test]' && .venv/bin/python -m pytest -n 2",
    ]
    pattern = re.search(r"grep -E '([^']+)' README\.md", read(".ci/run")).group(1)
    assert len([line for line in read("README.md").splitlines() if re.search(pattern, line)]) == 1
    assert all("\nsource .ci/parts.sh\n" in read(script) for script in (".ci/run", ".ci/nightly"))
    links = [
        target
        for target in LINK_PATTERN.findall(read("README.md"))
        if target != ISSUES_URL and not target.startswith("#")
    ]
    assert [target for target in links if not REPOSITORY_LINK_PATTERN.fullmatch(target)] == []


def test_the_program_page_names_every_study_and_command():
    from fastlin.cli.commands import COMMAND_MODULES
    from fastlin.course.studies import CIFAR10_STUDIES, STUDIES

    page = read("docs/command-line.md") + read("docs/studies.md")
    for name in (*STUDIES, *CIFAR10_STUDIES):
        assert f"`{name}`" in page
    for name in COMMAND_MODULES:
        assert f"`fastlin {name}" in page


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_docstrings_of_estimators_follow_scikit_learns_rules(estimator):
    name = f"fastlin.{estimator.__name__}"
    errors = [error for error in validate(name)["errors"] if error[0] not in IGNORED_NUMPYDOC_CODES]
    ours = [base for base in estimator.__mro__ if base.__module__.startswith("fastlin")]
    methods = {method for base in ours for method, value in vars(base).items() if callable(value)}
    assert methods >= {"fit", "predict", "predict_proba"}
    for method in sorted(method for method in methods if not method.startswith("_")):
        method_errors = validate(f"{name}.{method}")["errors"]
        errors += [
            (method, *error)
            for error in method_errors
            if error[0] not in IGNORED_NUMPYDOC_CODES | IGNORED_NUMPYDOC_METHOD_CODES
        ]
    assert errors == []


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_docstrings_describe_every_attribute(estimator):
    parameters = {**QUIET_CV_PARAMETERS, "max_iter": 2, "n_iter_no_change": np.inf}
    accepted = {name: value for name, value in parameters.items() if name in signature(estimator).parameters}
    with warnings.catch_warnings(action="ignore"):
        model = estimator(**accepted).fit(*load_iris(return_X_y=True, as_frame=True))
    fitted = {name for name in vars(model) if not name.startswith("_")} - model.get_params().keys()
    assert fitted <= list_documented_names(estimator, "Attributes")


@pytest.mark.parametrize(
    ("function", "result"),
    [(fastlin.logistic_path, RegularizationPath), (fastlin.stability_selection, StabilitySelection)],
)
def test_docstrings_describe_all_parameters_and_results(function, result):
    names = signature(function).parameters.keys() - {"parameters"}
    assert names <= list_documented_names(function, "Parameters")
    names = {field.name for field in dataclasses.fields(result)}
    assert names <= list_documented_names(result, "Attributes")
