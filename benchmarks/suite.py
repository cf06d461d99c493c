"""All cases by name, and the one function that measures one: pytest, asv and the published figures start here."""

from benchmarks import (
    everyday,
    fits,
    inference,
    limits,
    many_fits,
    memory,
    mini_batches,
    networks,
    passes,
    predictions,
    probes,
    rent,
    sweeps,
)
from benchmarks.data import load_mnist
from benchmarks.processes import measure_first_use
from benchmarks.races import THREADS, count_race_threads, load_problem, run_race, shorten
from benchmarks.scaling import measure_scaling
from fastlin.course.studies import peers
from fastlin.course.studies.settings import Settings
from fastlin.kernels.machine.threads import count_threads

RACES = {
    **fits.RACES,
    **many_fits.RACES,
    **networks.RACES,
    **mini_batches.RACES,
    **passes.RACES,
    **predictions.RACES,
}
EVERYDAY, FIRST_USE, PEERS = "everyday", "first-use", "peers"
COLLECTIONS = {EVERYDAY: everyday.EVERYDAY, "scikit-learn-cases": everyday.SCIKIT_LEARN}


def measure_peers(whole=False):
    """Return the record of the curves of `fastlin compare --peers` on MNIST."""
    seconds = peers.MANY_SECONDS if whole else peers.SECONDS
    results = peers.run(Settings(load_mnist(), quick=not whole, seed=0), seconds=seconds)
    return {"kind": PEERS, "parameters": results.parameters, "problems": results.series["problems"]}


# The cases that are no races: functions from whether they are measured whole to a record, or to several.
QUICK = {
    **{name: collection.measure for name, collection in COLLECTIONS.items()},
    **sweeps.CASES,
    **probes.CASES,
    **inference.CASES,
    FIRST_USE: measure_first_use,
}
OTHERS = {
    **QUICK,
    **limits.LIMITS,
    **memory.CASES,
    **rent.CASES,
    "pass-scaling": passes.measure_pass_scaling,
    "scaling": measure_scaling,
    PEERS: measure_peers,
}
CASES = (*RACES, *OTHERS)


def measure(case, whole=False):
    """Return the records of a case, with few rows or with all rows and in all turns, by their names."""
    if case in OTHERS:
        found = OTHERS[case](whole)
        return found if case == FIRST_USE else {case: found}
    race, problem = RACES[case], load_problem(RACES[case], whole)
    race = race if whole else shorten(race)
    return {
        name_record(case, threads): run_race(race, problem, count_race_threads(threads)).describe()
        for threads in (race.threads if whole and count_threads() > 1 else race.threads[:1])
    }


def name_record(race, threads):
    """Return the name of the record of a race on "all" threads or "one"."""
    return race if threads == "all" else f"{race}-{threads}-thread"


# The names of the races' records, in the order in which tables and pictures show them.
RACE_RECORDS = {name_record(race, threads): race for race in RACES for threads in THREADS}
