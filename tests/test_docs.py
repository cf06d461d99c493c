"""What the documents name exists: links, functions and tests, and the lines that a stranger and CI run."""

import ast
import re
from pathlib import Path

import pytest
from numpydoc.validate import validate

import fastlin

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMED = re.findall(r"`([\w/]+\.py)::([\w.]+)`", (ROOT / "docs" / "derivations.md").read_text(encoding="utf-8"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
MOST_LINES_OF_README = 180


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def definitions(path):
    """Return the names of functions, and of methods as Class.method, in a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{method.name}" for method in node.body if isinstance(method, ast.FunctionDef)}
    return names


def anchors(path):
    """Return the anchors that the headings of a document get: small letters, hyphens for spaces, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_the_derivations_name_what_exists(file, name):
    assert name in definitions(ROOT / file)


def test_every_section_of_the_derivations_names_code_and_test():
    sections = read("docs/derivations.md").split("\n## ")[1:]
    assert len(sections) >= 7
    for section in sections:
        assert "- Computed by `fastlin/" in section
        assert "- Checked by `tests/" in section


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_point_to_what_exists(document):
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        path = document.parent / place if place else document
        assert path.exists(), f"{document.name} links to {target}"
        assert not anchor or anchor in anchors(path), f"{document.name} links to {target}"


def test_the_page_of_claims_has_every_claim_in_order():
    from fastlin.studies.claims import CLAIMS

    lines = [line for line in read("docs/claims.md").splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["report", "task", "claim", "there", "here", "verdict"]
    # The line below the headings holds only dashes.
    shown = [tuple(row[:4]) for row in rows[2:]]
    assert shown == [(claim.reports, claim.task, claim.says, claim.reported) for claim in CLAIMS]


def test_every_page_is_linked():
    links = [target for page in DOCUMENTS for target in LINK.findall(page.read_text(encoding="utf-8"))]
    names = {Path(target.partition("#")[0]).name for target in links}
    assert {path.name for path in (ROOT / "docs").iterdir()} <= names


def test_the_readme_is_short_and_has_the_two_lines():
    lines = read("README.md").splitlines()
    assert len(lines) <= MOST_LINES_OF_README
    assert "python3 -m venv .venv && .venv/bin/pip install '.[studies]' && .venv/bin/fastlin reproduce" in lines
    assert "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/python -m pytest -n 2" in lines


def test_the_continuous_integration_runs_the_line_of_the_readme():
    pattern = re.search(r"grep -E '([^']+)' README\.md", read(".ci/run")).group(1)
    assert len([line for line in read("README.md").splitlines() if re.search(pattern, line)]) == 1


def test_the_program_page_names_every_study_and_command():
    from fastlin.cli.commands import COMMANDS
    from fastlin.studies import CIFAR10_STUDIES, STUDIES

    page = read("docs/program.md")
    for name in (*STUDIES, *CIFAR10_STUDIES):
        assert f"`{name}`" in page
    for name in COMMANDS:
        assert f"`fastlin {name}" in page


# What scikit-learn's own test of docstrings leaves out: names of what is returned, where the text begins, and, but for
# classes, examples and what else to see.
LEFT_OUT, LEFT_OUT_OF_METHODS = {"RT02", "GL01", "GL02"}, {"EX01", "SA01", "ES01"}
ESTIMATORS = (
    fastlin.LogisticRegression,
    fastlin.LogisticRegressionCV,
    fastlin.MLPClassifier,
    fastlin.MiniBatchLogisticRegression,
)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_docstrings_of_estimators_are_as_scikit_learn_asks_for(estimator):
    name = f"fastlin.{estimator.__name__}"
    errors = [error for error in validate(name)["errors"] if error[0] not in LEFT_OUT]
    ours = [base for base in estimator.__mro__ if base.__module__.startswith("fastlin")]
    methods = {method for base in ours for method, value in vars(base).items() if callable(value)}
    assert methods >= {"fit", "predict", "predict_proba"}
    for method in sorted(method for method in methods if not method.startswith("_")):
        found = validate(f"{name}.{method}")["errors"]
        errors += [(method, *error) for error in found if error[0] not in LEFT_OUT | LEFT_OUT_OF_METHODS]
    assert errors == []
