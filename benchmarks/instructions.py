"""Instruction counts of passes and small fits. They do not depend on other programs on the machine.

``python -m benchmarks.instructions`` counts with `fastlin.benchmarking.instructions`, and fails if a case needs more
than 3 % more instructions than in instructions.json. Callgrind runs this module with ``--run``.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris

import fastlin
from benchmarks.passes import make_pass
from fastlin.benchmarking.instructions import call_counted, check_counts

INSTRUCTIONS_FILE = Path(__file__).with_name("instructions.json")


def make_cases():
    """Return a dict from the name of each case to a function without arguments."""
    iris, digits, cancer = (load(return_X_y=True) for load in (load_iris, load_digits, load_breast_cancer))
    pixels, digit_labels = digits[0] / 16, digits[1]
    cell_features = cancer[0] / cancer[0].std(axis=0)
    X = np.random.default_rng(0).standard_normal((2_000, 64))
    rows_by_dtype = {
        "float64": X,
        "float32": X.astype(np.float32),
        "uint8": (40 * X + 128).clip(0, 255).astype(np.uint8),
    }
    fit, model = fastlin.LogisticRegression, fastlin.LogisticRegression().fit(pixels[:100], digit_labels[:100])
    return {
        "a fit of iris": lambda: fit().fit(*iris),
        "a fit of breast cancer, L1": lambda: fit(l1_ratio=1.0, C=0.1).fit(cell_features, cancer[1]),
        "a fit of digits": lambda: fit().fit(pixels, digit_labels),
        "a fit of digits, sparse": lambda: fit().fit(sparse.csr_array(pixels), digit_labels),
        "an epoch of mini-batches": lambda: _train(fastlin.MiniBatchLogisticRegression(), pixels, digit_labels),
        "an epoch of a network": lambda: _train(fastlin.MLPClassifier(20), pixels, digit_labels),
        "a prediction of one row": lambda: model.predict_proba(pixels[:1]),
        **{
            f"a pass over {dtype}, {n_classes} classes": make_pass(rows, n_classes)
            for dtype, rows in rows_by_dtype.items()
            for n_classes in (2, 10)
        },
    }


def _train(model, X, y):
    # `fit` would warn about a single epoch.
    model.set_params(random_state=0).partial_fit(X, y, classes=np.arange(10))


def main(arguments=None, path=INSTRUCTIONS_FILE):
    """Count instructions, and compare them with the recorded counts or record them. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="store the new counts in instructions.json")
    parser.add_argument("--run", action="store_true", help="run the cases, for callgrind")
    options = parser.parse_args(arguments)
    if options.run:
        cases = make_cases()
        # Fits of digits take many seconds under valgrind, so they are run once.
        call_counted(cases, {name: 1 for name in cases if "digits" in name})
        return 0
    program = ["-m", "benchmarks.instructions", "--run"]
    return check_counts(program, path, should_record=options.record, should_keep_others=False)


if __name__ == "__main__":
    sys.exit(main())
