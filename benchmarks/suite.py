"""All cases by name, and the one function that measures one: pytest, asv and the published figures start here."""

from benchmarks import (
    course,
    everyday,
    fits,
    many_fits,
    mini_batches,
    networks,
    passes,
    paths,
    predictions,
    scikit_learn_cases,
)
from benchmarks.first_use import FEW_TURNS, N_TURNS, measure_first_use
from benchmarks.inference import CASES as INFERENCE
from benchmarks.inference import measure_inference
from benchmarks.learning import measure_learning
from benchmarks.limits import LIMITS, measure_limit
from benchmarks.memory import CASES as MEMORY
from benchmarks.memory import measure_case
from benchmarks.pass_scaling import BASE, SMALL_BASE, measure_pass_scaling
from benchmarks.probes import CASES as PROBES
from benchmarks.probes import measure_probe
from benchmarks.races import THREADS, count_race_threads, load_problem, run_race, shorten
from benchmarks.scaling import measure_scaling
from benchmarks.sweeps import CASES as SWEEPS
from benchmarks.sweeps import measure_sweep
from fastlin.kernels.machine.threads import count_threads

# In the order in which tables show them.
RACES = {
    **fits.RACES,
    **paths.RACES,
    **many_fits.RACES,
    **networks.RACES,
    **mini_batches.RACES,
    **course.RACES,
    **passes.RACES,
    **predictions.RACES,
}
EVERYDAY, LEARNING, FIRST_USE, PASS_SCALING, SCALING = "everyday", "learning", "first-use", "pass-scaling", "scaling"
SCIKIT_LEARN_CASES = "scikit-learn-cases"
# Many problems in one record: all of them, those of pytest, which take half a minute, and what measures some.
GRIDS = {
    EVERYDAY: (everyday.CASES, everyday.FEW, everyday.measure_everyday),
    SCIKIT_LEARN_CASES: (
        scikit_learn_cases.CASES,
        scikit_learn_cases.FEW,
        scikit_learn_cases.measure_scikit_learn_cases,
    ),
}
CASES = (
    *RACES,
    *SWEEPS,
    *PROBES,
    *INFERENCE,
    EVERYDAY,
    SCIKIT_LEARN_CASES,
    LEARNING,
    *LIMITS,
    *MEMORY,
    FIRST_USE,
    PASS_SCALING,
    SCALING,
)


def measure(case, whole=False):
    """Measure a case.

    Parameters
    ----------
    case : str
        One of CASES.
    whole : bool
        Whether it is measured with all rows and in all turns, and a race also on one thread where it names that.

    Returns
    -------
    dict of str to dict
        A record of plain values for each name; most cases have one, by their own name.

    Raises
    ------
    NotImplementedError
        The data or the library of the peer are missing.
    """
    if case in RACES:
        race, problem = RACES[case], load_problem(RACES[case], whole)
        race = race if whole else shorten(race)
        return {
            name_record(case, threads): run_race(race, problem, count_race_threads(threads)).describe()
            for threads in (race.threads if whole and count_threads() > 1 else race.threads[:1])
        }
    if case in LIMITS:
        return {case: measure_limit(LIMITS[case], whole)}
    if case in MEMORY:
        return {case: measure_case(MEMORY[case], whole)}
    if case == FIRST_USE:
        return measure_first_use(N_TURNS if whole else FEW_TURNS, with_ever=whole)
    if case in GRIDS:
        return {case: measure_grid(case, whole)}
    if case in SWEEPS:
        return {case: measure_sweep(SWEEPS[case], whole)}
    if case in PROBES:
        return {case: measure_probe(PROBES[case], whole)}
    if case in INFERENCE:
        return {case: measure_inference(case, whole)}
    if case == LEARNING:
        return {case: measure_learning(whole)}
    if case == PASS_SCALING:
        return {case: measure_pass_scaling(BASE if whole else SMALL_BASE)}
    return {case: measure_scaling(whole)}


def measure_grid(grid, whole=False, cases=None):
    """Return the record of some cases of one of GRIDS, or of those of a whole or a short measurement."""
    all_cases, few, measure_cases = GRIDS[grid]
    return measure_cases(not whole, cases or (all_cases if whole else few))


def name_record(race, threads):
    """Return the name of the record of a race on "all" threads or "one"."""
    return race if threads == "all" else f"{race}-{threads}-thread"


# The names of the races' records, in the order in which tables and pictures show them.
RACE_RECORDS = {name_record(race, threads): race for race in RACES for threads in THREADS}
