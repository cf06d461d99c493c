"""The architecture: imports, the length of files and signatures, the location of tests, and the path of a fit."""

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from conftest import run_program
from repository import PACKAGE, ROOT, files, parse, read_setup_cfg
from sklearn.datasets import load_iris

import fastlin

# Each layer, from lowest to highest, and the layers that it may import in addition to its own files. "kernels" means
# all three layers of that package, and "fastlin" means fastlin/__init__.py. Each module of "environment" and of
# "containers" is a layer.
LAYERS = """
typing:
exceptions:
environment:
environment.interruption:
environment.dependencies: environment.interruption
environment.extras:
environment.file_system: environment.extras
environment.terminal: environment.extras
containers:
containers.tensors:
containers.sparse_containers:
containers.fitted: containers.tensors
coefficient_names:
kernels:
kernels.machine: environment.file_system
kernels.linear: kernels.machine
kernels.networks: kernels.machine kernels.linear
blocks: environment.extras environment.file_system containers.sparse_containers containers.tensors
callbacks:
matrices: kernels containers.sparse_containers containers.tensors
objective: matrices kernels
networks: matrices kernels
solvers: objective kernels
inference: solvers objective matrices kernels containers.tensors coefficient_names
training: networks matrices kernels environment.terminal
figures: environment.extras environment.file_system environment.terminal coefficient_names
estimators: inference solvers training networks objective matrices kernels blocks containers figures
    environment.extras environment.file_system environment.terminal coefficient_names
dask: estimators inference objective matrices kernels blocks containers.sparse_containers containers.tensors
    environment.extras fastlin
benchmarking: figures estimators kernels environment.file_system fastlin
course:
course.report: course environment.file_system
course.datasets: environment.file_system environment.extras
course.figures: course figures environment.extras environment.file_system
course.trainers: training networks matrices kernels course.datasets course.figures containers.fitted containers.tensors
course.studies: course course.trainers course.datasets benchmarking estimators training networks objective matrices
    kernels environment.file_system fastlin
patch: estimators fastlin
trainers: course.trainers
datasets: course.datasets
warmup: trainers estimators
cli: benchmarking course.figures course.studies course.report warmup figures datasets estimators inference blocks
    kernels environment.file_system environment.extras environment.terminal fastlin
__main__: cli
__init__: environment.dependencies estimators trainers benchmarking blocks callbacks dask datasets figures inference
    patch
"""
ALLOWED_LAYERS = {
    layer: set(used.split()) for layer, used in re.findall(r"^([\w.]+):(.*\n(?: +.*\n)?)", LAYERS, re.MULTILINE)
}

UNRESTRICTED_LAYERS = {"typing", "exceptions", "environment.interruption"}
# Libraries and the only layers that may import them. Libraries without a layer are recognized only by their arrays.
LAYERS_BY_LIBRARY = """
numba: kernels
llvmlite: kernels cli
sklearn: environment.dependencies estimators exceptions dask patch benchmarking course cli
matplotlib: figures course.figures
platformdirs filelock: environment.file_system environment.dependencies
click skops: cli
rich: environment.terminal cli
pyarrow: blocks estimators cli
dask distributed: dask
PIL pooch tqdm: course.datasets
jinja2 markupsafe latex2mathml: course.report
cyanure glum sklearnex skglm snapml statsmodels torch: benchmarking
cupy jax ml_dtypes:
"""
LIBRARIES = {
    library: set(layers.split())
    for libraries, layers in re.findall("^(.+):(.*)$", LAYERS_BY_LIBRARY, re.MULTILINE)
    for library in libraries.split()
}
# These libraries are slow to import or may not be installed, so they are imported in functions that use them. The Dask
# layer is itself imported on request.
LAZY_LIBRARIES = LIBRARIES.keys() - {"numba", "llvmlite", "sklearn", "platformdirs", "click", "dask", "distributed"}

MAX_LINES = 400
MAX_ARGUMENTS = 12
MAX_FORMAT_SKIPS = {"fastlin": 15, "benchmarks": 0}
# Functions with signatures that the course prescribes.
COURSE_SIGNATURES = {"fastlin/course/trainers/trainer.py::BaseTrainer"}
# Top-level tests that do not belong to a module because they check the whole repository.
REPOSITORY_TESTS = """
architecture archive_cache build_backend code_blocks damage docs documented_commands interface portability terminology
tiers without_compilation
"""


def layers():
    """Yield each file of the package with the name of the file's layer."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        has_layers = parts[0] in ("kernels", "course") and len(parts) > 2
        has_layers |= parts[0] in ("environment", "containers") and parts[1] != "__init__"
        yield path, ".".join(parts[:2]) if has_layers else parts[0]


def list_imports(path):
    """Yield the qualified name of each import of a file, and whether the import is at the top level."""
    tree = parse(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "import_uninterrupted":
            yield from ((name.value, True) for name in node.args if isinstance(name, ast.Constant))
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert getattr(node, "level", 0) == 0, f"{path}: relative import"
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                yield f"{module}{alias.name}", node in tree.body


def test_layers_import_only_lower_layers():
    for path, layer in layers():
        for name, is_top_level in list_imports(path):
            package, first, *rest = f"{name}.fastlin".split(".")
            # Any other name belongs to fastlin/__init__.py.
            is_layer = first in {layer.split(".")[0] for layer in ALLOWED_LAYERS}
            used = {first, ".".join([first, *rest[:1]])} if is_layer else {"fastlin"}
            permitted_layers = used & ({layer} | ALLOWED_LAYERS[layer] | UNRESTRICTED_LAYERS)
            assert package != "fastlin" or permitted_layers, f"{path.name} of {layer} imports {name}"
            if package in ("numba", "llvmlite") and layer != "cli":
                assert path == PACKAGE / "kernels" / "machine" / "libraries.py", f"{path} imports {name}"
            if package in LIBRARIES:
                assert {layer, layer.split(".")[0]} & LIBRARIES[package], f"{path} imports {name}"
            assert not (package in LAZY_LIBRARIES and is_top_level), f"{path} imports {package} at the top"


def test_layers_have_no_cycles():
    order = list(ALLOWED_LAYERS)
    for layer, used in ALLOWED_LAYERS.items():
        # A layer may use earlier layers. Users import the package itself.
        assert all(order.index(name) < order.index(layer) for name in used - {"fastlin"}), layer


def test_private_names_of_scikit_learn_are_used_in_one_file():
    estimators = (fastlin.LogisticRegression, fastlin.LogisticRegressionCV, fastlin.MLPClassifier)
    bases = {base for estimator in estimators for base in estimator.__mro__ if base.__module__.startswith("sklearn.")}
    private_names = {name for base in bases for name in vars(base) if re.match("_[^_]", name)}
    importing_files, files_with_private_names = set(), set()
    for path in files("fastlin"):
        if any(re.match(r"sklearn\b.*\._", name) for name, _ in list_imports(path)):
            importing_files.add(path)
        if any(isinstance(node, ast.Attribute) and node.attr in private_names for node in ast.walk(parse(path))):
            files_with_private_names.add(path)
    assert importing_files == files_with_private_names == {PACKAGE / "estimators" / "scikit_learn.py"}


@pytest.mark.parametrize(
    ("imports", "imported_module", "unloaded_modules"),
    [
        ("trainers, cli", "course.datasets.files", "matplotlib pooch requests tqdm jinja2 markupsafe latex2mathml"),
        (
            "LogisticRegressionCV, patch",
            "estimators.logistic_regression_cv",
            "numba fastlin.matrices fastlin.networks fastlin.datasets",
        ),
    ],
    ids=["modules", "estimators"],
)
def test_imports_do_not_load_optional_modules(imports, imported_module, unloaded_modules):
    modules = set(run_program(f"import sys; from fastlin import {imports}; print(*sys.modules)").split())
    assert f"fastlin.{imported_module}" in modules
    assert not modules & set(unloaded_modules.split())


def test_lazily_imported_names_exist():
    for name in (*fastlin.__all__, "datasets", "figures", "trainers"):
        assert getattr(fastlin, name) is not None
        assert name in dir(fastlin)
    assert fastlin.MLPClassifier.__module__ == "fastlin.estimators.mlp_classifier"
    for package in (fastlin, fastlin.estimators):
        with pytest.raises(AttributeError, match="no attribute 'LogisticRegresion'"):
            package.LogisticRegresion  # noqa: B018


def test_data_files_are_installed():
    installed = {
        path
        for package, patterns in read_setup_cfg()["options.package_data"].items()
        for pattern in patterns.split()
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    data_files = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert PACKAGE / "course" / "report" / "templates" / "page.html.j2" in data_files
    assert data_files == installed


def test_files_are_short():
    for path in files("fastlin", "benchmarks", "tests"):
        expressions = (node for node in ast.walk(parse(path)) if isinstance(node, ast.Expr))
        docstrings = [
            range(node.lineno, node.end_lineno + 1) for node in expressions if isinstance(node.value, ast.Constant)
        ]
        lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        # Docstrings, comments and blank lines are excluded.
        code = {number for number, line in lines if re.match(r"\s*[^\s#]", line)}.difference(*docstrings)
        assert len(code) <= MAX_LINES, path


def signatures(path):
    """Yield the name and the number of arguments of each function, dataclass and named tuple of a file."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ClassDef):
            class_header = " ".join(ast.unparse(expression) for expression in (*node.decorator_list, *node.bases))
            fields = [ast.unparse(statement) for statement in node.body if isinstance(statement, ast.AnnAssign)]
            if re.search(r"\b(dataclass|NamedTuple)\b", class_header):
                yield node.name, sum("init=False" not in field for field in fields)
        elif isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)]
            yield node.name, len([name for name in names if name not in ("self", "cls")])


def test_functions_take_few_arguments():
    many = {
        f"{path.relative_to(ROOT).as_posix()}::{name}"
        for path in files("fastlin", "benchmarks")
        for name, n_arguments in signatures(path)
        if n_arguments > MAX_ARGUMENTS
    }
    assert many == COURSE_SIGNATURES


def test_the_formatter_is_skipped_rarely():
    for folder, limit in MAX_FORMAT_SKIPS.items():
        assert sum(path.read_text(encoding="utf-8").count("# fmt: skip") for path in files(folder)) <= limit, folder


def test_test_folders_mirror_the_package():
    folders = {path.parent.relative_to(ROOT / "tests") for path in files("tests")}
    packages = {path.parent.relative_to(PACKAGE) for path in files("fastlin") if path.name != "__init__.py"}
    assert folders == packages | {Path("benchmarks"), Path("scikit_learn")}
    modules = {}
    for path in PACKAGE.rglob("*.py"):
        modules.setdefault(path.stem, set()).add(path.parent.relative_to(PACKAGE).as_posix().strip("."))
    assert {name for name, folders in modules.items() if len(folders) > 1} == {"__init__"}
    for path in (path for path in files("tests") if path.name.startswith("test_")):
        name, folder = path.stem.removeprefix("test_"), path.parent.relative_to(ROOT / "tests").as_posix().strip(".")
        # A test that is named after a module is in the same folder. Other tests cover several modules of a folder.
        if folder != "benchmarks" and name in modules:
            assert folder in modules[name], f"{path} is not in the folder of {name}.py: {modules[name]}"
        assert folder or name in modules or name in REPOSITORY_TESTS.split(), f"{path} belongs to no module"


def list_classes_of_fit(model, X, y):
    """Return the names of the public classes of fastlin whose methods run in a fit."""
    names = set()

    def record_class(frame, event, argument):
        code = frame.f_code
        if event == "call" and "." in code.co_qualname and Path(code.co_filename).is_relative_to(PACKAGE):
            names.add(code.co_qualname.split(".")[0])

    model.fit(X, y)
    previous_profile = sys.getprofile()
    sys.setprofile(record_class)
    try:
        model.fit(X, y)
    finally:
        sys.setprofile(previous_profile)
    return {name for name in names if name[0].isupper()}


def test_one_page_names_every_class_between_fit_and_the_kernels():
    generator = np.random.default_rng(0)
    X, labels = generator.normal(size=(20_000, 60)), generator.integers(0, 10, 20_000)
    text = scipy.sparse.random(1_000, 500, 0.02, "csr", rng=0)
    names = list_classes_of_fit(fastlin.LogisticRegression(), *load_iris(return_X_y=True))
    names |= list_classes_of_fit(fastlin.LogisticRegression(), X, labels)
    names |= list_classes_of_fit(fastlin.LogisticRegression(l1_ratio=1.0), text, labels[:1_000] % 2)
    assert len(names) > 25
    page = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    assert names - set(re.findall(r"`(\w+)", page)) == set()
