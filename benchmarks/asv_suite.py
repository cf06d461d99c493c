"""The asv benchmarks. They report numbers from the records of short cases, so one commit takes only minutes."""

import json
from functools import reduce
from operator import getitem
from pathlib import Path

from benchmarks.comparisons import FASTLIN, load_problem
from benchmarks.limits import LIMIT_CASES
from benchmarks.passes import SIZE_FACTORS, SMALL_BASE_SIZES
from benchmarks.processes import FIRST_USE_TITLES
from benchmarks.suite import COMPARISONS, FIRST_USE_CASE, measure

# One comparison of each kind. All comparisons would take more than 15 minutes per commit.
CHOSEN_COMPARISONS = (
    "mnist-float64",
    "mnist-uint8",
    "digits",
    "letter",
    "two-classes",
    "thousand-classes",
    "text",
    "text-l1",
    "one-hot",
    "mnist-l1",
    "path-liblinear",
    "cross-validation",
    "epoch-scikit-learn",
    "course-float64",
    "pass-float64",
)
PEAK_MEMORY_COMPARISONS = "mnist-float64", "mnist-uint8", "digits", "letter", "two-classes", "text", "text-l1"
MEMORY_CASES = "memory-mnist-float64", "memory-text", "memory-text-l1", "memory-cross-validation"
# Each result in the asv table of comparisons: the library, and the key in the library's record.
BASELINE_LABEL = "the baseline"
RESULT_KEYS = {
    f"{side}'s {name.replace('_', ' ')}": (side, name)
    for name in ("seconds", "accuracy", "log_loss", "objective")
    for side in (FASTLIN, BASELINE_LABEL)
}
TIME_RATIO, OBJECTIVE_DIFFERENCE = "time over the baseline's", "objective above the baseline's"
# Each other number: the case, the name of its record, and the keys that lead to the number in the record.
MEMORY_KEYS = {"bytes in addition to X": "fit_bytes", "bytes of scikit-learn": "baseline_bytes"}
OTHERS = {
    **{f"{case}, {what}": (case, case, key) for case in MEMORY_CASES for what, key in MEMORY_KEYS.items()},
    **{f"{case}, fraction of the limit's speed": (case, case, "speed_fraction") for case in LIMIT_CASES},
    **{f"{case}, seconds": (FIRST_USE_CASE, case, "libraries", FASTLIN, "seconds") for case in FIRST_USE_TITLES},
    **{
        f"pass, {size} × {size_factor}, seconds": ("pass-scaling", "pass-scaling", "seconds", size, index)
        for size in SMALL_BASE_SIZES
        for index, size_factor in enumerate(SIZE_FACTORS)
    },
}


class Comparisons:
    """fastlin and the baseline of each comparison, with scores on test rows."""

    params = (list(CHOSEN_COMPARISONS), [TIME_RATIO, OBJECTIVE_DIFFERENCE, *RESULT_KEYS])
    param_names = ("comparison", "what")
    timeout = 600

    def setup_cache(self):
        """Make asv create a folder for the class, in which the first benchmark of a case stores its records."""

    def setup(self, comparison, what):
        record = load_or_measure_records(comparison)[comparison]
        if what == TIME_RATIO:
            # asv assumes that lower is better.
            self.number = _round_digits(1 / record["ratio"])
        elif what == OBJECTIVE_DIFFERENCE:
            # asv reports each negative number as a change.
            self.number = _round_digits(max(record["objective_difference"], 0.0))
        else:
            side, name = RESULT_KEYS[what]
            value = record["libraries"][FASTLIN if side == FASTLIN else record["baseline"]][name]
            self.number = _round_digits(value, digits=9 if name == "objective" else 4)

    def track_result(self, comparison, what):
        return self.number


class PeakMemory:
    """Peak memory of a process that fits the rows of a comparison with fastlin or scikit-learn."""

    params = (list(PEAK_MEMORY_COMPARISONS), [FASTLIN, "scikit-learn"])
    param_names = ("comparison", "side")
    timeout = 300

    def setup(self, comparison, side):
        self.comparison = COMPARISONS[comparison]
        self.problem = load_problem(self.comparison)
        baselines = [solve for name, solve in self.comparison.baselines.items() if name.startswith("scikit-learn")]
        self.solve = self.comparison.solve if side == FASTLIN else baselines[0]

    def peakmem_fit(self, comparison, side):
        self.solve(self.problem)


class Others:
    """Additional memory, speed as a fraction of the machine's limits, times of a first use, and times of a pass."""

    params = list(OTHERS)
    param_names = ("what",)
    timeout = 600

    def setup_cache(self):
        """Make asv create a folder, as in `Comparisons`."""

    def setup(self, what):
        self.number = _round_digits(reduce(getitem, OTHERS[what][1:], load_or_measure_records(OTHERS[what][0])))

    def track_number(self, what):
        return self.number


def load_or_measure_records(case, folder="."):
    """Return a dict from names to the records of a case. Records in the folder are reused.

    Raise a NotImplementedError if data are missing, so that asv skips the benchmark. Raise a RuntimeError if a record
    contains a failure.
    """
    path = Path(folder, f"{case}.json")
    if not path.exists():
        try:
            # Only a full measurement includes the first fit after the installation.
            records = measure(case, case == FIRST_USE_CASE)
        except NotImplementedError as error:
            records = {"missing": str(error)}
        except Exception as error:
            records = {case: {"failure": repr(error)}}
        path.write_text(json.dumps(records), "utf-8")
    records = json.loads(path.read_text("utf-8"))
    if "missing" in records:
        raise NotImplementedError(records["missing"])
    failures = [record["failure"] for record in records.values() if record.get("failure")]
    if failures:
        raise RuntimeError("; ".join(failures))
    return records


def _round_digits(value, digits=4):
    """Return a rounded number; raise a NotImplementedError for None, so that asv skips the benchmark."""
    if value is None:
        raise NotImplementedError("the case does not measure this number.")
    return float(f"{value:.{digits}g}")
