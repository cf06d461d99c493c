"""The program whose instructions are counted: each case twice, and once more between two requests to callgrind.

Elsewhere the requests do nothing. Each dump of callgrind holds one case, whose names are printed as JSON.
"""

import ctypes
import json
import mmap

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris

import fastlin
from benchmarks.passes import FusedPass, draw_coef

# A client request of valgrind on x86-64: its address goes to rax and zero to rdx. Four rotations of rdi, by 128 bits
# together, and an exchange of rbx with itself leave a processor as it was, and are what valgrind looks for.
REQUEST = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
# The requests of callgrind, as callgrind.h numbers them.
DUMP, ZERO, START = 0x43540000, 0x43540001, 0x43540004


def make_cases():
    """Return a function of no arguments for each case, by its name."""
    iris, digits, cancer = (load(return_X_y=True) for load in (load_iris, load_digits, load_breast_cancer))
    pixels, digit = digits[0] / 16, digits[1]
    cells = cancer[0] / cancer[0].std(axis=0)
    X = np.random.default_rng(0).standard_normal((2_000, 64))
    types = {"float64": X, "float32": X.astype(np.float32), "uint8": (40 * X + 128).clip(0, 255).astype(np.uint8)}
    fit, model = fastlin.LogisticRegression, fastlin.LogisticRegression().fit(pixels, digit)
    return {
        "a fit of iris": lambda: fit().fit(*iris),
        "a fit of breast cancer, L1": lambda: fit(l1_ratio=1.0, C=0.1).fit(cells, cancer[1]),
        "a fit of digits": lambda: fit().fit(pixels, digit),
        "a fit of digits, sparse": lambda: fit().fit(sparse.csr_array(pixels), digit),
        "an epoch of mini-batches": lambda: _train(fastlin.MiniBatchLogisticRegression(), pixels, digit),
        "an epoch of a network": lambda: _train(fastlin.MLPClassifier(20), pixels, digit),
        "a prediction of one row": lambda: model.predict_proba(pixels[:1]),
        **{
            f"a pass over {dtype}, {n_classes} classes": _make_pass(rows, n_classes)
            for dtype, rows in types.items()
            for n_classes in (2, 10)
        },
    }


def _make_pass(X, n_classes):
    return FusedPass(X, np.arange(len(X)) % n_classes, n_classes, *draw_coef(X, n_classes), l2=1e-3)


def _train(model, X, y):
    # `fit` would warn that one epoch is few.
    model.set_params(random_state=0).partial_fit(X, y, classes=np.arange(10))


class Requester:
    """A function that makes a client request, by its number."""

    def __init__(self):
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page.write(REQUEST)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(address)

    def __call__(self, number):
        """Make the request."""
        self._call(ctypes.byref((ctypes.c_ulong * 6)(number)))


def main():
    """Run all cases."""
    cases, request = make_cases(), Requester()
    for case in cases.values():
        case()
        case()
    request(START)
    for case in cases.values():
        request(ZERO)
        case()
        request(DUMP)
    print(json.dumps(list(cases)))


if __name__ == "__main__":
    main()
