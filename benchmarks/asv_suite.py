"""The asv benchmarks: cases of the suite with the rows of short ones, so that one commit takes minutes."""

import json
from pathlib import Path

from benchmarks.first_use import TITLES, measure_first_use
from benchmarks.limits import LIMITS
from benchmarks.memory import CASES as MEMORY
from benchmarks.passes import FACTORS, SMALL_BASE, grow, make_pass
from benchmarks.races import FASTLIN, load_problem
from benchmarks.suite import RACES, measure

# One race of each kind: all of them would take a commit over 15 minutes.
CHOSEN = (
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
PEAK_CHOSEN = "mnist-float64", "mnist-uint8", "digits", "letter", "two-classes", "text", "text-l1"
MEMORY_CHOSEN = "memory-mnist-float64", "memory-text", "memory-text-l1", "memory-cross-validation"


# What a race comes to, side by side in one table of asv: the side, and what its record has of it.
PEER = "the peer"
RESULTS = {
    f"{side}'s {name.replace('_', ' ')}": (side, name)
    for name in ("seconds", "accuracy", "log_loss", "objective")
    for side in (FASTLIN, PEER)
}
RATIO, GAP = "time over the peer's", "objective above the peer's"


class Races:
    """fastlin beside the peer of each race, in turn, on rows that were not trained on."""

    params = (list(CHOSEN), [RATIO, GAP, *RESULTS])
    param_names = ("race", "what")
    timeout = 600

    def setup_cache(self):
        """Let asv make a folder for all of the class, where the first that asks for a race leaves its record."""

    def setup(self, race, what):
        self.record = find_record(race)

    def track_result(self, race, what):
        if what == RATIO:
            # asv takes less for better.
            return _shorten(1 / self.record["ratio"])
        if what == GAP:
            # asv counts every negative number as changed.
            return _shorten(max(self.record["gap"], 0.0))
        side, name = RESULTS[what]
        value = self.record["contenders"][FASTLIN if side == FASTLIN else self.record["peer"]][name]
        # A pass over the data predicts nothing.
        return float("nan") if value is None else _shorten(value, digits=9 if name == "objective" else 4)


def find_record(race, folder="."):
    """Return the record of a race, measured where the folder has none.

    Raises NotImplementedError, by which asv skips the benchmark, where data are missing, and RuntimeError for a fault.
    """
    path = Path(folder, f"{race}.json")
    if not path.exists():
        try:
            record = measure(race)[race]
        except NotImplementedError as error:
            record = {"missing": str(error)}
        except Exception as error:
            record = {"fault": repr(error)}
        path.write_text(json.dumps(record), "utf-8")
    record = json.loads(path.read_text("utf-8"))
    if "missing" in record:
        raise NotImplementedError(record["missing"])
    if record["fault"]:
        raise RuntimeError(record["fault"])
    return record


class Memory:
    """The peak of a fit beside X, in a process of its own."""

    params = list(MEMORY_CHOSEN)
    param_names = ("case",)
    timeout = 300

    def track_peak_beside_X(self, case):
        return MEMORY[case]()["fit_bytes"]

    track_peak_beside_X.unit = "bytes"


class PeakMemory:
    """The peak of a whole process that fits the rows of a race of README: fastlin's, and those of scikit-learn."""

    params = (list(PEAK_CHOSEN), [FASTLIN, "scikit-learn"])
    param_names = ("race", "side")
    timeout = 300

    def setup(self, race, side):
        self.race = RACES[race]
        self.problem = load_problem(self.race)
        peers = [solve for name, solve in self.race.peers.items() if name.startswith("scikit-learn")]
        self.solve = self.race.solve if side == FASTLIN else peers[0]

    def peakmem_fit(self, race, side):
        self.solve(self.problem)


class Limits:
    """The part of the speed that the machine allows, which is measured in the same run."""

    params = list(LIMITS)
    param_names = ("what",)
    timeout = 120

    def track_part_of_limit(self, what):
        return _shorten(100 * LIMITS[what]()["part"])

    track_part_of_limit.unit = "% of the limit's speed"


class Scaling:
    """A pass at a base shape with one of its sizes multiplied by a factor."""

    params = (list(SMALL_BASE), [FACTORS[0], FACTORS[-1]])
    param_names = ("size", "factor")
    timeout = 60
    rounds = 1
    repeat = (3, 10, 1.0)

    def setup(self, size, factor):
        self.fused_pass = make_pass(grow(SMALL_BASE, size, factor))
        self.fused_pass()

    def time_pass(self, size, factor):
        self.fused_pass()


class FirstUse:
    """The import, the first fit of a process, and the first fit ever, which compiles."""

    timeout = 120

    params = list(TITLES)
    param_names = ("what",)

    def setup_cache(self):
        return measure_first_use(with_ever=True)

    def track_seconds(self, records, what):
        return records[what]["contenders"][FASTLIN]["seconds"]

    track_seconds.unit = "seconds"


def _shorten(value, digits=4):
    """Return a number with the digits that matter: asv prints all there are, except of seconds and bytes."""
    return float(f"{value:.{digits}g}")
