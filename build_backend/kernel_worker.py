"""A worker process that compiles kernels. Several workers run in parallel, because Numba uses one lock per process.

    python kernel_worker.py core LEVEL FOLDER COUNT NUMBER      # compiles the kernels of first fits
    python kernel_worker.py warm LEVEL FOLDER COUNT NUMBER      # runs the warm-up, and saves the signatures it compiled
    python kernel_worker.py compile LEVEL FOLDER COUNT NUMBER   # compiles these signatures for another level

The COUNT workers share the tasks and a cache folder, from which they load each other's kernels. A task is a step of the
warm-up or a signature. Each worker writes the kernels that it compiled to an archive, LEVEL-NUMBER.zip. The package is
imported from the unpacked wheel, which is on PYTHONPATH.
"""

import importlib.util
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import first_fits


def claim_tasks(tasks, level, folder, count, number):
    """Yield the tasks that no other worker has taken, and print the progress in steps of 10 %.

    The workers start at different positions, because neighboring tasks use the same inner kernels.
    """
    folder.mkdir(exist_ok=True)
    begin = len(tasks) * number // count
    for task_index in (*range(begin, len(tasks)), *range(begin)):
        try:
            (folder / str(task_index)).touch(exist_ok=False)
        except FileExistsError:
            continue
        n_taken_tasks = len(list(folder.iterdir()))
        if n_taken_tasks * 10 // len(tasks) != (n_taken_tasks - 1) * 10 // len(tasks):
            print(f"compiling kernels for {level}: {n_taken_tasks} of {len(tasks)}", flush=True)
        yield tasks[task_index]


def read_signatures(folder):
    """Return the signatures that the workers of the warm-up saved, without duplicates."""
    saved_signatures = [pickle.loads(path.read_bytes()) for path in sorted(folder.glob("signatures-*"))]
    return list(dict.fromkeys(signature for signatures in saved_signatures for signature in signatures))


def make_kernels_importable():
    """Make kernels importable without the rest of the package, which requires SciPy and scikit-learn."""
    package, typing_module = ModuleType("fastlin"), ModuleType("fastlin.typing")
    package.__path__ = importlib.util.find_spec("fastlin").submodule_search_locations
    # fastlin.typing imports SciPy for a type that kernels do not use.
    typing_module.__getattr__ = lambda name: Any
    sys.modules |= {"fastlin": package, "fastlin.typing": typing_module}


def main(action, level, folder, count, number):
    """Run the action of the command line."""
    if action == "core":
        make_kernels_importable()
    from fastlin.kernels.machine import archives

    folder, worker = Path(folder), (int(count), int(number))
    if action == "warm":
        from fastlin.warmup import STEPS

        for step in claim_tasks(list(STEPS.values()), level, folder / "steps", *worker):
            step()
        (folder / f"signatures-{number}").write_bytes(pickle.dumps(archives.list_signatures()))
    else:
        # All workers start with the slowest kernels of first fits, so that they finish at about the same time.
        is_first_fits_action = action == "core"
        signatures, worker = (
            (first_fits.read_signatures(), (1, 0)) if is_first_fits_action else (read_signatures(folder), worker)
        )
        for signature in claim_tasks(signatures, level, folder / level, *worker):
            archives.compile_signatures([signature])
    archives.write_archive(folder / f"{level}-{number}.zip")


if __name__ == "__main__":
    main(*sys.argv[1:])
