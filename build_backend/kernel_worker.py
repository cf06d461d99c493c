"""A process that compiles kernels of a wheel, one of several side by side, since Numba has one lock in a process.

    python kernel_worker.py core LEVEL FOLDER COUNT NUMBER      # compiles the kernels of first fits, runs nothing
    python kernel_worker.py warm LEVEL FOLDER COUNT NUMBER      # runs the warm-up, and notes what that has compiled
    python kernel_worker.py compile LEVEL FOLDER COUNT NUMBER   # compiles the same for another level, runs nothing

The processes of an action share tasks and a cache folder: what one has compiled, the others load from there. Each step
of the warm-up is a task, and so is each signature. Each process writes what it has compiled itself into an archive
LEVEL-NUMBER.zip. The package is that of the unpacked wheel, on PYTHONPATH.
"""

import importlib.util
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import first_fits


def share_tasks(tasks, level, folder, count, number):
    """Yield the tasks that no other process has taken, and print how many are taken at each tenth of them.

    Each process begins at another place: neighbors need the same inner kernels, which one process then compiles once.
    """
    folder.mkdir(exist_ok=True)
    begin = len(tasks) * number // count
    for position in (*range(begin, len(tasks)), *range(begin)):
        try:
            (folder / str(position)).touch(exist_ok=False)
        except FileExistsError:
            continue
        n_taken = len(list(folder.iterdir()))
        if n_taken * 10 // len(tasks) != (n_taken - 1) * 10 // len(tasks):
            print(f"compiling kernels for {level}: {n_taken} of {len(tasks)}", flush=True)
        yield tasks[position]


def read_signatures(folder):
    """Return the signatures that the processes of the warm-up have noted, each once."""
    noted = [pickle.loads(path.read_bytes()) for path in sorted(folder.glob("signatures-*"))]
    return list(dict.fromkeys(signature for part in noted for signature in part))


def import_kernels_alone():
    """Let this process import kernels without the rest of the package, which needs SciPy and scikit-learn."""
    package, annotations = ModuleType("fastlin"), ModuleType("fastlin.typing")
    package.__path__ = importlib.util.find_spec("fastlin").submodule_search_locations
    # The module imports SciPy, for a type that no kernel takes.
    annotations.__getattr__ = lambda name: Any
    sys.modules |= {"fastlin": package, "fastlin.typing": annotations}


def main(action, level, folder, count, number):
    """Do what the command line says."""
    if action == "core":
        import_kernels_alone()
    from fastlin.kernels.machine import archives

    folder, fraction = Path(folder), (int(count), int(number))
    if action == "warm":
        from fastlin.warmup import STEPS

        for step in share_tasks(list(STEPS.values()), level, folder / "steps", *fraction):
            step()
        (folder / f"signatures-{number}").write_bytes(pickle.dumps(archives.list_signatures()))
    else:
        # All processes begin with the kernels of first fits that take longest, so that they end at the same time.
        core = action == "core"
        signatures, fraction = (first_fits.read_signatures(), (1, 0)) if core else (read_signatures(folder), fraction)
        for signature in share_tasks(signatures, level, folder / level, *fraction):
            archives.compile_signatures([signature])
    archives.write_archive(folder / f"{level}-{number}.zip")


if __name__ == "__main__":
    main(*sys.argv[1:])
