"""Fits to rows in files, block by block and with Dask workers, compared with a fit in memory.

``python -m benchmarks.larger_than_memory`` prints medians of three interleaved fits. With ``--whole``, it fits a file
of 20 GB once, and only in blocks.
"""

import os
from argparse import ArgumentParser
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from benchmarks.comparisons import measure_interleaved_calls
from benchmarks.tables import format_markdown, make_table
from fastlin import LogisticRegression, blocks
from fastlin.kernels.machine.threads import count_threads, limit_threads

SEED = 0
# By default Dask workers return freed memory to the system immediately, which is slow.
DASK_MEMORY_SETTINGS = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 128 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 32 << 20,
}
# The numbers of rows, features and classes in a run of two minutes, and in the full run with 20 GB in float32.
SHORT_SIZES, FULL_SIZES = (1_000_000, 100, 10), (10_000_000, 500, 10)
N_REPETITIONS = 3
CHUNK_BYTES = 64 << 20
N_PARTITIONS = 16
IN_MEMORY, MEMORY_MAPPED, PARQUET = "in memory", "blocks of a memory-mapped .npy", "blocks of Parquet, decoded before"
WORKER_COUNTS = {"Dask, 1 worker": 1, "Dask, 2 workers": 2}
LIBRARIES = (IN_MEMORY, MEMORY_MAPPED, PARQUET, *WORKER_COUNTS)


def write_simulated_rows(folder, n_rows, n_features, n_classes):
    """Write X.npy in float32, and y.npy with classes drawn from a softmax model; return both paths."""
    paths = folder / "X.npy", folder / "y.npy"
    X = np.lib.format.open_memmap(paths[0], "w+", np.float32, (n_rows, n_features))
    y = np.empty(n_rows, np.int32)
    coef = np.random.default_rng(SEED).normal(size=(n_features, n_classes)).astype(np.float32) / n_features**0.5
    rows_per_chunk = max(1, CHUNK_BYTES // (4 * n_features))
    for number, first in enumerate(range(0, n_rows, rows_per_chunk)):
        generator, chunk = np.random.default_rng([SEED, number]), X[first : first + rows_per_chunk]
        chunk[:] = generator.standard_normal(chunk.shape, np.float32)
        y[first : first + rows_per_chunk] = (chunk @ coef + generator.gumbel(size=(len(chunk), n_classes))).argmax(
            axis=1
        )
    X.flush()
    np.save(paths[1], y)
    return paths


def write_parquet(folder, X, y):
    """Write the rows as Parquet files, one per Dask partition."""
    import pyarrow as pa
    import pyarrow.parquet

    folder.mkdir()
    for number, rows in enumerate(np.array_split(np.arange(len(y)), N_PARTITIONS)):
        chunk = X[rows[0] : rows[-1] + 1]
        columns = {f"x{j}": np.ascontiguousarray(chunk[:, j]) for j in range(X.shape[1])}
        pyarrow.parquet.write_table(pa.table({**columns, "y": y[rows]}), folder / f"{number:02d}.parquet")


def read_partition(path, first_row, end_row):
    """Return the rows of a partition. This function runs in a worker."""
    return np.array(np.load(path, mmap_mode="r")[first_row:end_row])


def make_dask_array(path):
    """Return the rows of a .npy file as a Dask array. The workers read its partitions."""
    import dask
    import dask.array

    array = np.load(path, mmap_mode="r")
    partition_ends = np.linspace(0, len(array), N_PARTITIONS + 1).astype(int).tolist()
    partitions = [
        dask.array.from_delayed(
            dask.delayed(read_partition)(os.fspath(path), first_row, end_row),
            (end_row - first_row, *array.shape[1:]),
            array.dtype,
        )
        for first_row, end_row in pairwise(partition_ends)
    ]
    return dask.array.concatenate(partitions)


def open_dask_client(contexts, n_workers):
    """Return a Dask client. Its workers together use as many threads as a fit in memory, and `contexts` closes them."""
    import dask
    from distributed import Client, LocalCluster

    contexts.enter_context(dask.config.set(DASK_MEMORY_SETTINGS))
    n_threads = max(1, count_threads() // n_workers)
    cluster = LocalCluster(n_workers=n_workers, threads_per_worker=n_threads, dashboard_address=":0", silence_logs=50)
    return contexts.enter_context(Client(contexts.enter_context(cluster)))


def prepare_fits(libraries, paths, folder, contexts):
    """Return the fit function of each library, and the seconds for decoding Parquet files (or None)."""
    calls, seconds = {}, None
    mapped_rows, y = np.load(paths[0], mmap_mode="r"), np.load(paths[1])
    for name in libraries:
        if name == IN_MEMORY:
            calls[name] = partial(LogisticRegression().fit, np.array(mapped_rows), y)
        elif name == MEMORY_MAPPED:
            calls[name] = partial(LogisticRegression().fit, blocks.from_arrays(mapped_rows, y))
        elif name == PARQUET:
            write_parquet(folder / "parquet", mapped_rows, y)
            begin = perf_counter()
            rows = blocks.from_parquet(folder / "parquet", label="y", cache=folder / "decoded")
            seconds = perf_counter() - begin
            calls[name] = partial(LogisticRegression().fit, rows)
        else:
            from fastlin.dask import LogisticRegression as DaskLogisticRegression

            client = open_dask_client(contexts, WORKER_COUNTS[name])
            arrays = [make_dask_array(path) for path in paths]
            calls[name] = partial(DaskLogisticRegression().fit, *arrays, client=client)
    return calls, seconds


def measure(libraries, sizes, n_repetitions):
    """Return the record of each library's interleaved fits, and the seconds for decoding Parquet files (or None)."""
    # Dask sets OMP_NUM_THREADS=1 in this process when it starts workers, so fits here would use one thread.
    with limit_threads(count_threads()), TemporaryDirectory() as name, ExitStack() as contexts:
        folder = Path(name)
        paths = write_simulated_rows(folder, *sizes)
        calls, decoding_seconds = prepare_fits(libraries, paths, folder, contexts)
        seconds = measure_interleaved_calls(calls, n_repetitions, n_warm_up_calls=int(n_repetitions > 1))
    models = {library: fit.func.__self__ for library, fit in calls.items()}
    records = {
        library: {
            "seconds": median(seconds[library]),
            "passes": model.n_passes_,
            "objective": model.history_[-1].objective,
            "certificate": model.certificate_,
        }
        for library, model in models.items()
    }
    return records, decoding_seconds


def main(arguments=None):
    """Measure and print tables."""
    parser = ArgumentParser(prog="python -m benchmarks.larger_than_memory", description=__doc__.splitlines()[0])
    parser.add_argument("--whole", action="store_true", help="fit a file of 20 GB, only in blocks")
    options = parser.parse_args(arguments)
    sizes, n_repetitions, libraries = (
        (FULL_SIZES, 1, (MEMORY_MAPPED,)) if options.whole else (SHORT_SIZES, N_REPETITIONS, LIBRARIES)
    )
    n, d, K = sizes
    records, decoding_seconds = measure(libraries, sizes, n_repetitions)
    fits = "one fit each" if n_repetitions == 1 else f"medians of {n_repetitions} interleaved fits"
    print(f"{n:,} × {d}, {K} classes, float32, {4 * n * d / 1e9:.3g} GB; {fits}, {count_threads()} threads\n")
    lowest = min(record["objective"] for record in records.values())
    rows = [
        {
            "": name,
            "seconds": f"{record['seconds']:.3g}",
            "passes": f"{record['passes']:.1f}",
            "seconds per pass": f"{record['seconds'] / record['passes']:.3g}",
            "certificate": f"{record['certificate']:.1e}",
            "suboptimality": f"{record['objective'] / lowest - 1:.0e}",
        }
        for name, record in records.items()
    ]
    print(format_markdown(make_table(rows)))
    if decoding_seconds is not None:
        print(f"\nThe Parquet files were decoded once, in {decoding_seconds:.3g} seconds.")


if __name__ == "__main__":
    main()
