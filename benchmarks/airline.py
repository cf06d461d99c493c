"""A table like that of the airlines' delays: 8 categorical columns of 1,000 levels and 2 of numbers, two classes.

``python -m benchmarks.airline 10000000 3`` fits so many rows, so many times in turn, as a table and after a one-hot
encoding, and prints seconds, the memory that a fit takes beside X, and the objective. Each fit has a process of its
own. With ``--peer`` scikit-learn's lbfgs takes part.
"""

import json
import sys
from argparse import ArgumentParser
from statistics import median
from time import perf_counter

import numpy as np
from scipy import sparse

from benchmarks.memory import GIVE_BACK, read_peak, reset_peak
from benchmarks.processes import run_python

N_LEVELS, N_CODED, N_NUMBERS = 1_000, 8, 2
# The processes fit so many rows first, to load what is compiled.
FIRST_ROWS = 20_000


def make_columns(n_rows):
    """Return the codes of the categorical columns, the columns of numbers, and the labels."""
    generator = np.random.default_rng(0)
    codes = [generator.integers(0, N_LEVELS, n_rows).astype(np.int16) for _ in range(N_CODED)]
    numbers = [generator.normal(size=n_rows) for _ in range(N_NUMBERS)]
    scores = 0.5 * numbers[0] - 0.3 * numbers[1]
    for column in codes:
        scores += generator.normal(scale=0.3, size=N_LEVELS)[column]
    return codes, numbers, (scores + generator.logistic(size=n_rows) > 0).astype(np.int8)


def make_table(codes, numbers):
    """Return the columns as a frame, without a copy, and its bytes."""
    import pandas

    levels = range(N_LEVELS)
    columns = {f"c{j}": pandas.Categorical.from_codes(column, levels) for j, column in enumerate(codes)}
    columns.update({f"x{j}": column for j, column in enumerate(numbers)})
    return pandas.DataFrame(columns, copy=False), sum(column.nbytes for column in (*codes, *numbers))


def encode(codes, numbers):
    """Return the columns after a one-hot encoding, CSR with int32 indices, and its bytes."""
    n, width = len(codes[0]), N_CODED + N_NUMBERS
    indices, data = np.empty((n, width), np.int32), np.ones((n, width))
    for j, column in enumerate(codes):
        indices[:, j] = column
        indices[:, j] += N_LEVELS * j
    for j, column in enumerate(numbers, N_CODED):
        indices[:, j], data[:, j] = N_LEVELS * N_CODED + j - N_CODED, column
    indptr = np.arange(0, n * width + 1, width, dtype=np.int32)
    X = sparse.csr_array((data.ravel(), indices.ravel(), indptr), shape=(n, N_LEVELS * N_CODED + N_NUMBERS))
    return X, X.data.nbytes + X.indices.nbytes + X.indptr.nbytes


def find_objective(coef, intercept, codes, numbers, y):
    """Return J with C = 1 at coef (d,) and intercept, in NumPy."""
    scores = np.full(len(y), intercept)
    for j, column in enumerate(codes):
        scores += coef[N_LEVELS * j : N_LEVELS * (j + 1)][column]
    for column, each in zip(numbers, coef[N_LEVELS * N_CODED :], strict=True):
        scores += each * column
    scores[y == 1] *= -1
    return float(np.logaddexp(0, scores).mean() + (coef**2).sum() / 2 / len(y))


def make_model(name):
    """Return the estimator of a contender."""
    if name == "scikit-learn":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1_000)
    from fastlin import LogisticRegression

    return LogisticRegression(categorical_features="from_dtype" if name == "table" else None)


CONTENDERS = {
    "table": "fastlin, the table",
    "encoded": "fastlin, one-hot CSR",
    "scikit-learn": "scikit-learn, one-hot CSR",
}


def measure_here(name, n_rows):
    """Fit in this process; return seconds, the bytes of X and those beside it, and J."""
    codes, numbers, y = make_columns(n_rows)
    X, n_bytes = (make_table if name == "table" else encode)(codes, numbers)
    make_model(name).fit(X[:FIRST_ROWS], y[:FIRST_ROWS])
    model = make_model(name)
    reset_peak()
    before, start = read_peak(), perf_counter()
    model.fit(X, y)
    seconds, beside = perf_counter() - start, read_peak() - before
    objective = find_objective(model.coef_[0], model.intercept_[0], codes, numbers, y)
    return {"seconds": seconds, "X_bytes": n_bytes, "fit_bytes": beside, "objective": objective}


def measure(names, n_rows, n_turns):
    """Return the records of each contender, in turn."""
    records = {name: [] for name in names}
    for _ in range(n_turns):
        for name in names:
            records[name].append(
                json.loads(run_python("-m", "benchmarks.airline", "--here", name, n_rows, **GIVE_BACK))
            )
    return records


def main():
    """Measure and print a table."""
    parser = ArgumentParser(prog="python -m benchmarks.airline")
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("turns", type=int, nargs="?", default=3)
    parser.add_argument("--peer", action="store_true", help="scikit-learn takes part")
    options = parser.parse_args()
    names = list(CONTENDERS)[: 3 if options.peer else 2]
    print(f"{options.rows:,} rows; medians of {options.turns} fits in turn")
    print("| | seconds | X | beside X | J |\n| --- | ---: | ---: | ---: | ---: |")
    for name, records in measure(names, options.rows, options.turns).items():
        seconds, n_bytes, beside = (
            median(record[key] for record in records) for key in ("seconds", "X_bytes", "fit_bytes")
        )
        print(
            f"| {CONTENDERS[name]} | {seconds:.2f} | {n_bytes / 1e6:,.0f} MB | {beside / 1e6:,.0f} MB | "
            f"{records[0]['objective']:.7f} |"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        print(json.dumps(measure_here(sys.argv[2], int(sys.argv[3]))))
    else:
        main()
