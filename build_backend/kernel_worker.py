"""One of several processes that compile the kernels of a wheel side by side, since Numba has one lock in a process.

    python kernel_worker.py warm LEVEL FOLDER COUNT NUMBER      # runs the warm-up, and notes what that has compiled
    python kernel_worker.py core LEVEL FOLDER COUNT NUMBER      # does so with its part for the first fits
    python kernel_worker.py compile LEVEL FOLDER COUNT NUMBER   # compiles the same for another level, runs nothing

The processes of an action share tasks and a cache folder: what one has compiled, the others load from there. Each step
of the warm-up is a task, and so is each signature. Each process writes what it has compiled itself into an archive
LEVEL-NUMBER.zip. The package is that of the unpacked wheel, on PYTHONPATH.
"""

import pickle
import sys
from functools import partial
from pathlib import Path


def share_tasks(tasks, level, folder, count, number):
    """Yield the tasks that no other process has taken, and print how many are taken at each tenth of them.

    Each process begins at another place: neighbours need the same inner kernels, which one process then compiles once.
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


def list_first_fits():
    """Return the fits, by name, whose kernels a wheel holds without a setting of its build.

    One of two processes begins with the first of them, the other in the middle.
    """
    from fastlin.warmup import fit_first

    return {
        "first fits": partial(fit_first, "float64", 200, 8, 3),
        "first fits, float32": partial(fit_first, "float32", 200, 8, 3),
        "L1, float32": partial(fit_first, "float32", 40, 20, 2, l1_ratio=1, C=1000),
        "many columns": partial(fit_first, "float64", 5_000, 400, 10, max_iter=3),
        "many rows": partial(fit_first, "float64", 4_000, 40, 3),
        "many rows, float32": partial(fit_first, "float32", 4_000, 40, 3),
        "L1": partial(fit_first, "float64", 40, 20, 2, l1_ratio=1, C=1000),
    }


def main(action, level, folder, count, number):
    """Do what the command line says."""
    from fastlin.kernels.machine import archives

    folder, share = Path(folder), (int(count), int(number))
    if action != "compile":
        from fastlin.warmup import STEPS

        steps = list_first_fits() if action == "core" else STEPS
        for step in share_tasks(list(steps.values()), level, folder / "steps", *share):
            step()
        (folder / f"signatures-{number}").write_bytes(pickle.dumps(archives.list_signatures()))
    else:
        for signature in share_tasks(read_signatures(folder), level, folder / level, *share):
            archives.compile_signatures([signature])
    archives.write_archive(folder / f"{level}-{number}.zip")


if __name__ == "__main__":
    main(*sys.argv[1:])
