"""A table like that of the airlines' delays: 8 categorical columns of 1,000 levels and 2 of numbers, two classes.

``python -m benchmarks.airline 10000000 3`` fits so many rows, so many times in turn, as a table and after a one-hot
encoding, each in a process of its own. With ``--peer`` scikit-learn's lbfgs takes part.
"""

from argparse import ArgumentParser
from statistics import median
from time import perf_counter

from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from benchmarks.data import draw_frame
from benchmarks.memory import count_bytes
from benchmarks.processes import call_elsewhere, measure_rise
from benchmarks.tables import make_table, write_markdown

# The levels of the columns, how many have numbers, and the deviation of the coefficients.
COLUMNS = (1_000,) * 8, 2, 0.3
# The processes fit so many rows first, to load what is compiled.
FIRST_ROWS = 20_000
TABLE, ENCODED, PEER = CONTENDERS = "fastlin, the table", "fastlin, one-hot CSR", "scikit-learn, one-hot CSR"


def measure_here(name, n_rows):
    """Fit in this process; return seconds, the bytes of X and those beside it, and J."""
    problem = draw_frame(n_rows, None, *COLUMNS)
    X, model = problem.X, fastlin.LogisticRegression()
    if name == TABLE:
        X, model = problem.given, fastlin.LogisticRegression(categorical_features="from_dtype")
    elif name == PEER:
        model = ScikitLearnLogisticRegression(max_iter=1_000)
    model.fit(X[:FIRST_ROWS], problem.y[:FIRST_ROWS])
    begin = perf_counter()
    beside = measure_rise(lambda: model.fit(X, problem.y))
    seconds = perf_counter() - begin
    objective = problem.objective(model.coef_, model.intercept_)
    return {"seconds": seconds, "X_bytes": count_bytes(X), "fit_bytes": beside, "objective": objective}


def main(arguments=None):
    """Measure and print a table."""
    parser = ArgumentParser(prog="python -m benchmarks.airline", description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("turns", type=int, nargs="?", default=3)
    parser.add_argument("--peer", action="store_true", help="scikit-learn takes part")
    options = parser.parse_args(arguments)
    names = CONTENDERS if options.peer else CONTENDERS[:2]
    turns = [{name: call_elsewhere(measure_here, name, options.rows) for name in names} for _ in range(options.turns)]
    rows = []
    for name in names:
        seconds, *sizes = (median(turn[name][key] for turn in turns) for key in ("seconds", "X_bytes", "fit_bytes"))
        X, beside = (f"{size / 1e6:,.0f} MB" for size in sizes)
        objective = f"{turns[0][name]['objective']:.7f}"
        rows.append({"": name, "seconds": f"{seconds:.2f}", "X": X, "beside X": beside, "J": objective})
    print(f"{options.rows:,} rows; medians of {options.turns} fits in turn\n{write_markdown(make_table(rows))}")


if __name__ == "__main__":
    main()
