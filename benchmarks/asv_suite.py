"""The asv benchmarks: the cases of the suite with the rows of short ones, so that one commit takes minutes.

The races are run once for a commit, in `setup_cache`, and several benchmarks report what came of them.
"""

from benchmarks.first_use import FEW_TURNS, measure_first_use
from benchmarks.limits import LIMITS, measure_limit
from benchmarks.memory import CASES as MEMORY
from benchmarks.memory import measure_case
from benchmarks.pass_scaling import FACTORS, SMALL_BASE, grow, make_pass
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


SIDES = FASTLIN, "its peer"


class _Raced:
    """What several benchmarks report: asv runs the races once for all that inherit this."""

    timeout = 600

    def setup_cache(self):
        records = {}
        for race in CHOSEN:
            try:
                records |= measure(race)
            except NotImplementedError as error:
                records[race] = error
            except Exception as error:
                # The other races count all the same. asv pickles what is returned, which not every error bears.
                records[race] = RuntimeError(repr(error))
        return records

    setup_cache.timeout = 600

    def setup(self, records, race, side=FASTLIN):
        if isinstance(records[race], Exception):
            raise records[race]
        if records[race]["fault"]:
            raise ValueError(records[race]["fault"])


class Races(_Raced):
    """fastlin beside the peer of each race, in turn."""

    params = list(CHOSEN)
    param_names = ("race",)

    def track_ratio_to_peer(self, records, race):
        # asv takes less for better.
        return _shorten(1 / records[race]["ratio"])

    track_ratio_to_peer.unit = "fastlin's time / the peer's"

    def track_objective_gap(self, records, race):
        # asv counts every negative number as changed.
        return _shorten(max(records[race]["gap"], 0.0))

    track_objective_gap.unit = "fastlin's objective beyond the peer's, relatively"


class BothSides(_Raced):
    """What fastlin and its peer reach in each race, and the seconds that they take."""

    params = (list(CHOSEN), list(SIDES))
    param_names = ("race", "side")

    def track_seconds(self, records, race, side):
        return _look_up(records[race], side, "seconds")

    track_seconds.unit = "seconds"

    def track_objective(self, records, race, side):
        return _shorten(_look_up(records[race], side, "objective"), digits=9)

    track_objective.unit = "objective"

    def track_accuracy(self, records, race, side):
        return _shorten(_look_up(records[race], side, "accuracy"))

    track_accuracy.unit = "accuracy on rows not trained on"

    def track_log_loss(self, records, race, side):
        return _shorten(_look_up(records[race], side, "log_loss"))

    track_log_loss.unit = "log loss on rows not trained on"


class Memory:
    """The peak of a fit beside X, in a process of its own."""

    params = list(MEMORY_CHOSEN)
    param_names = ("case",)
    timeout = 300

    def track_peak_beside_X(self, case):
        return measure_case(MEMORY[case])["fit_bytes"]

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
        return _shorten(100 * measure_limit(LIMITS[what])["part"])

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

    def setup_cache(self):
        return measure_first_use(FEW_TURNS)

    def track_import(self, records):
        return _seconds(records, "import")

    track_import.unit = "seconds"

    def track_first_fit_of_a_process(self, records):
        return _seconds(records, "first-fit")

    track_first_fit_of_a_process.unit = "seconds"

    def track_first_fit_ever(self, records):
        return _seconds(records, "first-fit-ever")

    track_first_fit_ever.unit = "seconds"


def _shorten(value, digits=4):
    """Return a number with the digits that matter: asv prints all there are, except of seconds and bytes."""
    return float(f"{value:.{digits}g}")


def _look_up(record, side, what):
    value = record["contenders"][FASTLIN if side == FASTLIN else record["peer"]][what]
    # A pass over the data predicts nothing.
    return float("nan") if value is None else value


def _seconds(records, case):
    return records[case]["contenders"][FASTLIN]["seconds"]
