"""Performance profiles: on what part of the problems each solver is within a factor of the fastest.

The profile of a solver at tau is the part of the problems on which it takes no more than tau times the least time of
all solvers (Dolan and Moré 2002, "Benchmarking optimization software with performance profiles", section 2). A solver
that ends above the lowest objective by more than ALLOWED of it has failed on the problem.
"""

import numpy as np

# The relative excess of an objective above the lowest one, beyond which a solver has failed.
ALLOWED = 1e-4


def profile(problems):
    """Return the ratios to the fastest of each solver, sorted and infinite where it failed, over what it was tried on.

    Parameters
    ----------
    problems : list of dict
        For each problem the contenders, as `tried` of a record has them: their seconds and excess by name.

    Returns
    -------
    dict of str to ndarray
        Of the solvers that were tried on the most problems first.
    """
    ratios = {}
    for tried in problems:
        seconds = {name: each["seconds"] if each["excess"] <= ALLOWED else np.inf for name, each in tried.items()}
        fastest = min(seconds.values())
        for name, own in seconds.items():
            # Peers are called by their names without their settings.
            ratios.setdefault(name.partition(", ")[0], []).append(own / fastest)
    return {name: np.sort(found) for name, found in sorted(ratios.items(), key=lambda item: -len(item[1]))}


def find_part(ratios, factor):
    """Return the part of sorted ratios that is no more than a factor."""
    return np.searchsorted(ratios, factor, side="right") / len(ratios)
