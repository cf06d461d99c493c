"""A table like that of the airlines' delays: 8 categorical columns of 1,000 levels and 2 of numbers, two classes.

``python -m benchmarks.airline 10000000 3`` fits so many rows, so many times in turn, as a table and after a one-hot
encoding, and prints seconds, the memory that a fit takes beside X, and the objective. Each fit has a process of its
own. With ``--peer`` scikit-learn's lbfgs takes part.
"""

from argparse import ArgumentParser
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np
from scipy import sparse

from benchmarks.processes import call_elsewhere, measure_rise
from benchmarks.tables import make_table, write_markdown

N_LEVELS, N_CODED, N_NUMBERS = 1_000, 8, 2
# The processes fit so many rows first, to load what is compiled.
FIRST_ROWS = 20_000
PEER = "scikit-learn"
CONTENDERS = {
    "table": "fastlin, the table",
    "encoded": "fastlin, one-hot CSR",
    PEER: "scikit-learn, one-hot CSR",
}


def make_columns(n_rows):
    """Return the codes of the categorical columns, the columns of numbers, and the labels."""
    generator = np.random.default_rng(0)
    codes = [generator.integers(0, N_LEVELS, n_rows).astype(np.int16) for _ in range(N_CODED)]
    numbers = [generator.normal(size=n_rows) for _ in range(N_NUMBERS)]
    scores = 0.5 * numbers[0] - 0.3 * numbers[1]
    for column in codes:
        scores += generator.normal(scale=0.3, size=N_LEVELS)[column]
    return codes, numbers, (scores + generator.logistic(size=n_rows) > 0).astype(np.int8)


def make_frame(codes, numbers):
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
    if name == PEER:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1_000)
    from fastlin import LogisticRegression

    return LogisticRegression(categorical_features="from_dtype" if name == "table" else None)


def measure_here(_, name, n_rows):
    """Fit in this process; return seconds, the bytes of X and those beside it, and J."""
    codes, numbers, y = make_columns(n_rows)
    X, n_bytes = (make_frame if name == "table" else encode)(codes, numbers)
    make_model(name).fit(X[:FIRST_ROWS], y[:FIRST_ROWS])
    model, seconds = make_model(name), []

    def fit():
        start = perf_counter()
        model.fit(X, y)
        seconds.append(perf_counter() - start)

    beside = measure_rise(fit)
    objective = find_objective(model.coef_[0], model.intercept_[0], codes, numbers, y)
    return {"seconds": seconds[0], "X_bytes": n_bytes, "fit_bytes": beside, "objective": objective}


def main(arguments=None):
    """Measure and print a table."""
    parser = ArgumentParser(prog="python -m benchmarks.airline")
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("turns", type=int, nargs="?", default=3)
    parser.add_argument("--peer", action="store_true", help="scikit-learn takes part")
    options = parser.parse_args(arguments)
    names = [name for name in CONTENDERS if options.peer or name != PEER]
    measure = partial(call_elsewhere, measure_here, {})
    turns = [{name: measure(name, options.rows) for name in names} for _ in range(options.turns)]
    rows = []
    for name in names:
        seconds, n_bytes, beside = (
            median(turn[name][key] for turn in turns) for key in ("seconds", "X_bytes", "fit_bytes")
        )
        sizes = {"X": f"{n_bytes / 1e6:,.0f} MB", "beside X": f"{beside / 1e6:,.0f} MB"}
        objective = f"{turns[0][name]['objective']:.7f}"
        rows.append({"": CONTENDERS[name], "seconds": f"{seconds:.2f}", **sizes, "J": objective})
    print(f"{options.rows:,} rows; medians of {options.turns} fits in turn\n{write_markdown(make_table('', rows))}")


if __name__ == "__main__":
    main()
