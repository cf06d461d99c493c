"""Which way the arrows go: what each part of the package may import."""

import ast
import subprocess
import sys
from pathlib import Path

import fastlin

PACKAGE = Path(fastlin.__file__).parent
# Each part, in order from the floor up, and the parts it may use beside its own files.
MAY_USE = {
    "places": set(),
    "kernels": {"places"},
    "matrices": {"kernels"},
    "objective": {"matrices", "kernels"},
    "networks": {"matrices", "kernels"},
    "solvers": {"objective", "networks", "kernels"},
    "figures": set(),
    "datasets": {"places"},
    "estimators": {"solvers", "networks", "objective", "matrices", "kernels"},
    "trainers": {"datasets", "figures", "solvers", "networks", "matrices", "kernels"},
    "studies": {"trainers", "estimators", "solvers", "networks", "objective", "matrices", "datasets", "kernels", ""},
    "warmup": {"trainers", "estimators"},
    "cli": {"studies", "warmup", "figures", "datasets", "kernels", ""},
    "__main__": {"cli"},
    "__init__": {"estimators", "trainers"},
}
OUTSIDE = {
    "numba": {"kernels"},
    "llvmlite": {"kernels", "cli"},
    "sklearn": {"estimators", "datasets", "studies"},
    "matplotlib": {"figures"},
    "PIL": {"datasets"},
    **{library: {"studies"} for library in ("cyanure", "glum", "sklearnex", "skglm", "snapml", "torch")},
}
# Imported where something is drawn, or a peer is run: slow to import, or not installed.
NOT_AT_THE_TOP = OUTSIDE.keys() - {"numba", "llvmlite", "sklearn"}


def imports_of(path):
    """Yield (imported module, whether the import is at the top level) of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module]
            if node.module == "fastlin":
                names = [f"fastlin.{a.name}" if (PACKAGE / f"{a.name}.py").exists() else "fastlin" for a in node.names]
                names = [
                    f"fastlin.{a.name}" if (PACKAGE / a.name).is_dir() else n
                    for a, n in zip(node.names, names, strict=True)
                ]
        for name in names:
            yield name, node in tree.body


def files():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_imports_point_downwards():
    for path, part in files():
        for name, _ in imports_of(path):
            if name == "fastlin" or name.startswith("fastlin."):
                used = name.partition(".")[2].partition(".")[0]
                assert used == part or used in MAY_USE[part], f"{path.name} of {part} imports {name}"


def test_libraries_stay_in_their_rooms():
    for path, part in files():
        for name, at_top in imports_of(path):
            library = name.split(".")[0]
            if library in OUTSIDE:
                assert part in OUTSIDE[library], f"{path} imports {name}"
            assert not (library in NOT_AT_THE_TOP and at_top), f"{path} imports {library} at the top"


def test_importing_fastlin_leaves_matplotlib_alone():
    program = "import sys, fastlin.trainers, fastlin.cli; print('matplotlib' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"
