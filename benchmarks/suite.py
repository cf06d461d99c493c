"""All cases by name, and the function with which pytest, asv and the published figures measure a case."""

from benchmarks import (
    ablation,
    class_passes,
    everyday,
    false_alarms,
    fits,
    foreign_suites,
    inference,
    limits,
    many_fits,
    memory,
    mini_batches,
    networks,
    passes,
    predictions,
    probes,
    sweeps,
)
from benchmarks.comparisons import (
    THREAD_SETTINGS,
    count_comparison_threads,
    load_problem,
    run_comparison,
    shorten_comparison,
)
from benchmarks.data import load_mnist
from benchmarks.processes import measure_first_use
from benchmarks.scaling import measure_scaling
from fastlin.benchmarking.library_comparison import compare_libraries
from fastlin.benchmarking.suboptimality_curves import LONG_COMPARISON_SECONDS
from fastlin.course.studies.image_problems import make_problems
from fastlin.kernels.machine.threads import count_threads

COMPARISONS = {
    **fits.COMPARISONS,
    **many_fits.COMPARISONS,
    **networks.COMPARISONS,
    **mini_batches.COMPARISONS,
    **passes.COMPARISONS,
    **predictions.COMPARISONS,
}
EVERYDAY_FITS, FIRST_USE_CASE, BASELINES = "everyday", "first-use", "baselines"
PROBLEM_COLLECTIONS = {EVERYDAY_FITS: everyday.EVERYDAY_FITS, "scikit-learn-cases": everyday.SCIKIT_LEARN_COLLECTION}


def measure_libraries(is_full_run=False):
    """Return the record of the curves from `fastlin compare --baselines` on MNIST."""
    data = load_mnist()
    problems = make_problems(data, not is_full_run, "float64")
    options = {"seconds": LONG_COMPARISON_SECONDS} if is_full_run else {"n_repeats": 1}
    comparison = compare_libraries(problems, **options)
    parameters = {"data": data.name, **comparison.parameters}
    return {"kind": BASELINES, "parameters": parameters, "problems": comparison.problems}


# Cases that are not comparisons. Each is a function that returns one or several records. Its argument is whether the
# measurement is full.
QUICK_CASES = {
    **{name: collection.measure for name, collection in PROBLEM_COLLECTIONS.items()},
    **sweeps.CASES,
    **probes.CASES,
    **inference.CASES,
    FIRST_USE_CASE: measure_first_use,
}
OTHERS = {
    **QUICK_CASES,
    **limits.LIMIT_CASES,
    **class_passes.CASES,
    **memory.CASES,
    **ablation.CASES,
    false_alarms.CASE: false_alarms.measure_false_alarms,
    **foreign_suites.CASES,
    "pass-scaling": passes.measure_pass_scaling,
    "scaling": measure_scaling,
    BASELINES: measure_libraries,
}
CASES = (*COMPARISONS, *OTHERS)


def measure(case, is_full_run=False):
    """Return the records of a case by name, from a short measurement or with all rows and repetitions."""
    if case in OTHERS:
        result = OTHERS[case](is_full_run)
        return result if case == FIRST_USE_CASE else {case: result}
    comparison, problem = COMPARISONS[case], load_problem(COMPARISONS[case], is_full_run)
    comparison = comparison if is_full_run else shorten_comparison(comparison)
    return {
        name_comparison_record(case, threads): run_comparison(
            comparison, problem, count_comparison_threads(threads)
        ).describe()
        for threads in (comparison.threads if is_full_run and count_threads() > 1 else comparison.threads[:1])
    }


def name_comparison_record(comparison, threads):
    """Return the name of the record of a comparison with "all" threads or "one" thread."""
    return comparison if threads == "all" else f"{comparison}-{threads}-thread"


# The names of the comparisons' records, in the order of tables and figures.
COMPARISONS_BY_RECORD = {
    name_comparison_record(comparison, threads): comparison for comparison in COMPARISONS for threads in THREAD_SETTINGS
}
