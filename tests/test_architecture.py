"""The rules of the house: which way imports go, how long files and signatures are, and where tests stand."""

import ast
import configparser
import io
import re
import tokenize

import pytest
from conftest import run_program
from hypothesis import settings
from repository import PACKAGE, ROOT, files, parse

import fastlin

# Each room, in order from the floor up, and the rooms that it may import besides its own files. "kernels" stands for
# all three rooms of that package, and "fastlin" for fastlin/__init__.py. What only type checkers import, under
# TYPE_CHECKING, is an import like any other here.
ROOMS = """
typing:
exceptions:
extras:
places: extras
terminal: extras
tensors:
fitted: tensors
kernels:
kernels.machine: places
kernels.linear: kernels.machine
kernels.networks: kernels.machine kernels.linear
budget:
containers:
blocks: extras places containers tensors
callbacks:
matrices: kernels containers tensors
objective: matrices kernels budget
networks: matrices kernels
solvers: objective budget kernels
inference: solvers objective matrices kernels budget tensors
training: networks matrices kernels terminal
figures: extras places terminal
estimators: inference solvers training networks objective matrices kernels budget blocks containers tensors figures
    extras places terminal fitted
dask: estimators inference objective matrices kernels blocks containers extras tensors fastlin
contenders: estimators kernels fastlin
course:
course.report: course places
course.datasets: places extras
course.figures: course figures extras places
course.trainers: training networks matrices kernels course.datasets course.figures fitted tensors
course.studies: course course.trainers course.datasets contenders estimators training networks objective matrices
    kernels places fastlin
patch: estimators fastlin
trainers: course.trainers
datasets: course.datasets
warmup: trainers estimators
cli: contenders course.figures course.studies course.report warmup figures datasets estimators blocks kernels places
    extras terminal fastlin
__main__: cli
__init__: estimators trainers blocks callbacks dask datasets figures inference patch
"""
MAY_USE = {
    room: set(used.split()) for room, used in re.findall(r"^([\w.]+):((?:.*\n(?: +.*\n)?))", ROOMS, re.MULTILINE)
}
# Every room may use these.
FOR_EVERY_ROOM = {"typing", "exceptions"}
# Libraries that only some rooms may import.
LIBRARIES = {
    "numba": {"kernels"},
    "llvmlite": {"kernels", "cli"},
    "sklearn": {"estimators", "exceptions", "dask", "patch", "contenders", "course", "cli"},
    "matplotlib": {"figures", "course.figures"},
    "PIL": {"course.datasets"},
    "jinja2": {"course.report"},
    "markupsafe": {"course.report"},
    "latex2mathml": {"course.report"},
    "platformdirs": {"places"},
    "click": {"cli"},
    "filelock": {"places"},
    "pooch": {"course.datasets"},
    "pyarrow": {"blocks", "estimators", "cli"},
    "skops": {"cli"},
    # Their arrays come from programs that have imported them.
    **{library: set() for library in ("cupy", "jax", "ml_dtypes")},
    "dask": {"dask"},
    "distributed": {"dask"},
    "rich": {"terminal", "cli"},
    "tqdm": {"course.datasets"},
    **{
        library: {"contenders"}
        for library in ("cyanure", "glum", "sklearnex", "skglm", "snapml", "statsmodels", "torch")
    },
}
# These are slow to import or may not be installed, so that they are imported by the functions that use them. Only who
# asks for it imports the room of Dask.
NOT_AT_THE_TOP = LIBRARIES.keys() - {"numba", "llvmlite", "sklearn", "platformdirs", "click", "dask", "distributed"}

MOST_LINES = 400
MOST_ARGUMENTS = 12
MOST_FORMAT_SKIPS = {"fastlin": 15, "benchmarks": 0}
# Functions whose signatures the course gives.
GIVEN_SIGNATURES = {
    "course/trainers/trainer.py::BaseTrainer.__init__",
}
# Functions that would cost more with fewer arguments, and the measurement that says so.
MEASURED_SIGNATURES = {}

# Tests at the top of tests/ that are of no module: they look at the whole repository.
TESTS_OF_THE_HOUSE = {
    "architecture",
    "build_backend",
    "code_blocks",
    "damage",
    "docs",
    "documented_commands",
    "interface",
    "portability",
    "tiers",
    "without_compilation",
}


def rooms():
    """Yield each file of the package and the name of its room."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield path, ".".join(parts[:2]) if parts[0] in ("kernels", "course") and len(parts) > 2 else parts[0]


def imports_of(path):
    """Yield (imported module, whether the import is at the top level) of a file."""
    tree = parse(path)
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # A name imported from a package may be one of its modules.
            names = [f"{node.module}.{alias.name}" if is_module(node, alias) else node.module for alias in node.names]
        for name in names:
            yield name, node in tree.body


def is_module(node, alias):
    place = ROOT.joinpath(*node.module.split("."), alias.name)
    return place.is_dir() or place.with_suffix(".py").exists()


def may_import(room, name):
    """Return whether a room may import a module of the package, given as fastlin.<…>."""
    used = name.partition(".")[2].split(".") if "." in name else [name]
    allowed = {room} | MAY_USE[room] | FOR_EVERY_ROOM
    return any(place in allowed for place in (used[0], ".".join(used[:2]) if len(used) > 1 else used[0]))


def test_imports_point_downwards():
    for path, room in rooms():
        for name, _ in imports_of(path):
            if name.split(".")[0] == "fastlin":
                assert may_import(room, name), f"{path.name} of {room} imports {name}"


def test_no_room_uses_one_that_uses_it():
    order = list(MAY_USE)
    for room, used in MAY_USE.items():
        # Everything may be used by those above it; the package itself is what a user imports.
        assert all(order.index(name) < order.index(room) for name in used - {"fastlin"}), room


def test_libraries_stay_in_their_rooms():
    for path, room in rooms():
        for name, at_top in imports_of(path):
            library = name.split(".")[0]
            if library in LIBRARIES:
                assert {room, room.split(".")[0]} & LIBRARIES[library], f"{path} imports {name}"
            assert not (library in NOT_AT_THE_TOP and at_top), f"{path} imports {library} at the top"


def names_from_scikit_learn(path):
    """Yield the dotted names that a file imports from scikit-learn."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = []
        yield from (name for name in names if name.split(".")[0] == "sklearn")


def test_private_names_of_scikit_learn_stand_in_one_file():
    holders = {
        path.relative_to(PACKAGE).as_posix()
        for path, _ in rooms()
        if any(part.startswith("_") for name in names_from_scikit_learn(path) for part in name.split("."))
    }
    assert holders == {"estimators/scikit_learn.py"}


def test_private_attributes_of_scikit_learn_stand_in_that_file_too():
    estimators = (fastlin.LogisticRegression, fastlin.LogisticRegressionCV, fastlin.MLPClassifier)
    bases = {base for estimator in estimators for base in estimator.__mro__ if base.__module__.startswith("sklearn.")}
    private = {name for base in bases for name in vars(base) if name.startswith("_") and not name.startswith("__")}
    assert "_validate_params" in private
    holders = {
        path.relative_to(PACKAGE).as_posix()
        for path, _ in rooms()
        if any(isinstance(node, ast.Attribute) and node.attr in private for node in ast.walk(parse(path)))
    }
    assert holders == {"estimators/scikit_learn.py"}


@pytest.mark.parametrize(
    ("imports", "imported", "left_alone"),
    [
        (
            "fastlin.trainers, fastlin.cli",
            "fastlin.course.datasets.files",
            {"matplotlib", "pooch", "requests", "tqdm", "jinja2", "markupsafe", "latex2mathml"},
        ),
        (
            "fastlin; from fastlin import LogisticRegressionCV",
            "fastlin.estimators.logistic_regression_cv",
            {"numba", "fastlin.matrices", "fastlin.networks", "fastlin.datasets"},
        ),
    ],
)
def test_imports_leave_what_only_some_need_alone(imports, imported, left_alone):
    found = set(run_program(f"import sys, {imports}; print(*sys.modules)").split())
    assert imported in found
    assert not found & left_alone


def test_what_is_imported_later_is_there():
    for name in (*fastlin.__all__, "datasets", "figures", "trainers"):
        assert getattr(fastlin, name) is not None
        assert name in dir(fastlin)
    assert fastlin.MLPClassifier.__module__ == "fastlin.estimators.mlp_classifier"
    for package in (fastlin, fastlin.estimators):
        with pytest.raises(AttributeError, match="no attribute 'LogisticRegresion'"):
            package.LogisticRegresion  # noqa: B018


def test_files_that_are_no_modules_are_installed():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    installed = {
        path
        for package, patterns in settings["options.package_data"].items()
        for pattern in patterns.split()
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    there = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert PACKAGE / "course" / "report" / "templates" / "page.html.j2" in there
    assert there == installed


def count_lines_of_code(path):
    """Return the number of lines that hold code: docstrings, comments and blank lines do not count."""
    source = path.read_text(encoding="utf-8")
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines.difference_update(range(docstring.lineno, docstring.end_lineno + 1))
    return len(lines - {len(source.splitlines()) + 1})


def test_lines_of_code_are_counted_without_words(tmp_path):
    path = tmp_path / "module.py"
    words = '"""A\nmodule."""\n\n# Why.\n'
    code = 'X = """a\nb"""  # text\n\n\ndef f():\n    """Do."""\n    return (\n        X\n    )\n'
    path.write_text(words + code)
    assert count_lines_of_code(path) == 6


@pytest.mark.parametrize("folder", ["fastlin", "benchmarks", "tests"])
def test_files_are_short(folder):
    long = [path for path in files(folder) if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES]
    lengths = {str(path.relative_to(ROOT)): count_lines_of_code(path) for path in long}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def has_fields(node):
    """Say whether a class is a data class or a named tuple, whose annotated names its constructor takes."""
    words = {name for each in (*node.decorator_list, *node.bases) for name in re.findall(r"\w+", ast.unparse(each))}
    return bool(words & {"dataclass", "NamedTuple"})


def signatures(path):
    """Yield each function, as Class.method where it is one, and class of a file, and the number of its arguments."""

    def visit(node, names):
        for child in ast.iter_child_nodes(node):
            inner = names
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                inner = [*names, child.name]
            if isinstance(child, ast.ClassDef) and has_fields(child):
                fields = (ast.unparse(statement) for statement in child.body if isinstance(statement, ast.AnnAssign))
                # What the constructor takes.
                yield ".".join(inner), sum("init=False" not in field for field in fields)
            if isinstance(child, ast.FunctionDef):
                arguments = child.args
                plain = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
                n_open = sum(argument is not None for argument in (arguments.vararg, arguments.kwarg))
                yield ".".join(inner), len(plain) - (plain[:1] in (["self"], ["cls"])) + n_open
            yield from visit(child, inner)

    yield from visit(parse(path), [])


def test_functions_take_few_arguments():
    many = {
        f"{path.relative_to(ROOT / 'fastlin').as_posix()}::{name}"
        for path in files("fastlin")
        for name, n_arguments in signatures(path)
        if n_arguments > MOST_ARGUMENTS
    }
    assert many == GIVEN_SIGNATURES | MEASURED_SIGNATURES.keys()
    for path in files("benchmarks"):
        for name, n_arguments in signatures(path):
            assert n_arguments <= MOST_ARGUMENTS, f"{path.name}::{name}"


def test_the_formatter_is_skipped_rarely():
    # Put together here, so that this line is none of them.
    mark = "# fmt: " + "skip"
    for folder, limit in MOST_FORMAT_SKIPS.items():
        assert sum(path.read_text(encoding="utf-8").count(mark) for path in files(folder)) <= limit, folder


def test_properties_are_tested_with_the_same_examples_unless_a_profile_asks_for_others(pytestconfig):
    assert settings.default.derandomize == (pytestconfig.getoption("--hypothesis-profile") != "nightly")
    # The profiles alone decide on that.
    deciders = {path.name for path in files("tests") if re.search(r"derandomize[=]|@seed[(]", path.read_text("utf-8"))}
    assert deciders == {"conftest.py"}


def packages():
    """Return the packages of fastlin that hold modules, as paths relative to it."""
    folders = {path.parent for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    return {folder.relative_to(PACKAGE).as_posix() for folder in folders} - {"."}


def test_tests_mirror_the_package():
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in files("tests")} - {"."}
    assert folders == packages() | {"benchmarks", "scikit_learn"}


def folders_of_modules():
    """Return the folders that have a module of each name."""
    folders = {}
    for path in PACKAGE.rglob("*.py"):
        folders.setdefault(path.stem, set()).add(path.parent.relative_to(PACKAGE).as_posix().strip("."))
    return folders


def test_no_two_modules_have_one_name():
    names = {name for name, folders in folders_of_modules().items() if len(folders) > 1}
    assert names == {"__init__"}


def test_tests_stand_in_the_folder_of_what_they_test():
    modules = folders_of_modules()
    for path in (path for path in files("tests") if path.name.startswith("test_")):
        name, folder = path.stem.removeprefix("test_"), path.parent.relative_to(ROOT / "tests").as_posix().strip(".")
        # A test that has the name of a module stands beside it; others test what several modules of a folder do.
        if folder != "benchmarks" and name in modules:
            assert folder in modules[name], f"{path} is not in the folder of {name}.py: {modules[name]}"
        assert folder or name in modules or name in TESTS_OF_THE_HOUSE, f"{path} is of no module at the top of fastlin"
