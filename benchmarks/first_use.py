"""What the first use costs: the import, the first fit ever and the first fit of a process, beside scikit-learn's.

Each is a process of its own. The first fit ever finds an empty folder for compiled kernels. The fits are of
scikit-learn's digits, and their times include the import.
"""

import tempfile
from statistics import median

from benchmarks.processes import run_python
from benchmarks.races import FASTLIN

N_TURNS = 5
PROGRAM = """
from time import perf_counter
begin = perf_counter()
from {module} import LogisticRegression
import_seconds = perf_counter() - begin
from sklearn.datasets import load_digits
X, y = load_digits(return_X_y=True)
begin = perf_counter()
LogisticRegression(max_iter=1000).fit(X, y)
print(import_seconds, import_seconds + perf_counter() - begin)
"""
MODULES = {FASTLIN: "fastlin", "scikit-learn": "sklearn.linear_model"}
TITLES = {
    "import": "the import",
    "first-fit": "import and first fit of a process",
    "first-fit-ever": "import and first fit ever",
}


def run(module, cache):
    """Return the seconds of an import, and of it with a fit of digits; without a cache kernels lie in the user's."""
    variables = {} if cache is None else {"NUMBA_CACHE_DIR": str(cache)}
    return [float(number) for number in run_python("-c", PROGRAM.format(module=module), **variables).split()]


def measure_first_use(whole=False):
    """Return a record for each of TITLES by name; later processes load the kernels that the first fit ever leaves.

    The first fit ever is of whole measurements alone, and so are several turns.
    """
    with tempfile.TemporaryDirectory() as folder:
        cache = folder if whole else None
        ever = run(MODULES[FASTLIN], cache)[1]
        turns = [{name: run(module, cache) for name, module in MODULES.items()} for _ in range(N_TURNS if whole else 1)]
    seconds = {}
    for place, case in enumerate(("import", "first-fit")):
        seconds[case] = {name: median(turn[name][place] for turn in turns) for name in MODULES}
    if whole:
        # scikit-learn compiles nothing: its first fit is like every other.
        seconds["first-fit-ever"] = {**seconds["first-fit"], FASTLIN: ever}
    return {
        case: {
            "kind": "first use",
            "title": TITLES[case],
            "data": "digits, 1,797 × 64" if "fit" in case else "",
            "contenders": {name: {"seconds": value} for name, value in of_case.items()},
        }
        for case, of_case in seconds.items()
    }
