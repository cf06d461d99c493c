"""fastlin's LogisticRegression and scikit-learn's on the same data and the same objective."""

import os
from functools import partial
from time import perf_counter

import numpy as np
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.metrics import log_loss

import fastlin
from fastlin.contenders import Problem
from fastlin.course.datasets import COURSE_IMAGES
from fastlin.course.studies import fair_threads
from fastlin.course.studies.settings import Results, Settings
from fastlin.kernels.machine.threads import count_threads

C = 1.0
# scikit-learn stops at its own tol or at this number of iterations; fastlin stops where it has proven its tol.
SCIKIT_LEARN_ITERATIONS = 1000
# These show whether scikit-learn is faster on one thread or on all.
FIRST_ITERATIONS = 10
# Short fits are repeated for about a second of each, in turns, since the speed of a machine drifts. A turn is long
# enough for the threads of BLAS to come to rest, which go on for a while after a fit of scikit-learn. No turn begins
# after MAX_SECONDS.
N_TURNS, TURN_SECONDS, MAX_SECONDS = 5, 0.2, 15.0


def run(settings: Settings, dtype: str = "float64") -> Results:
    """Fit both in turn, with pixels in [0, 1], and report medians; `choose_threads` decides for scikit-learn."""
    data = settings.data
    n_train = 1000 if settings.quick else COURSE_IMAGES if data.name == "mnist" else None
    X, y, X_test, y_test = fair_threads.scale_rows(data, n_train, dtype)
    contenders = {
        "scikit-learn": ScikitLearnLogisticRegression(C=C, max_iter=SCIKIT_LEARN_ITERATIONS),
        "fastlin": fastlin.LogisticRegression(C=C),
    }
    settings.notify("warm-up")
    # The warm-up is a whole fit. A fit of fewer rows would compile neither the passes in float32 nor the blocks of
    # preconditioners, which take 6 s.
    contenders["fastlin"].fit(X, y)
    first = ScikitLearnLogisticRegression(C=C, max_iter=FIRST_ITERATIONS)
    n_threads = fair_threads.choose_threads(partial(fair_threads.fit_up_to_limit, first, X, y))
    threads = {"scikit-learn": n_threads, "fastlin": count_threads()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    n_turns, turn_seconds = (1, 0.0) if settings.quick else (N_TURNS, TURN_SECONDS)
    began = perf_counter()
    for turn in range(n_turns):
        if turn and perf_counter() - began > MAX_SECONDS:
            break
        for name, estimator in contenders.items():
            settings.notify(f"{name}, {len(X):,} × {X.shape[1]}")
            fit = partial(fair_threads.fit_up_to_limit, estimator, X, y)
            with fair_threads.use_threads(threads[name]):
                seconds[name] += fair_threads.time_fits(fit, lambda fits: sum(fits) >= turn_seconds)[0]
    classes = contenders["fastlin"].classes_
    problem = Problem("", X, np.searchsorted(classes, y), len(classes), C, fit_intercept=True)
    rows = {
        name: {
            "seconds": float(np.median(seconds[name])),
            "iterations": int(estimator.n_iter_[0]),
            "objective": problem.objective(estimator.coef_, estimator.intercept_) * C * len(X),
            "test_accuracy": float(estimator.score(X_test, y_test)),
            "test_log_loss": float(log_loss(y_test, estimator.predict_proba(X_test), labels=classes)),
            "threads": threads[name],
            "fits": len(seconds[name]),
            **{parameter: getattr(estimator, parameter) for parameter in ("C", "tol", "solver")},
        }
        for name, estimator in contenders.items()
    }
    # The seconds after which fastlin's fit had come as low as scikit-learn's, None where it did not.
    objective = rows["scikit-learn"]["objective"] / (C * len(X))
    history = contenders["fastlin"].history_
    to_equal = next((iteration.seconds for iteration in history if iteration.objective <= objective), None)
    return Results(
        parameters={
            "data": data.name,
            "samples": len(X),
            "features": X.shape[1],
            "classes": len(classes),
            "dtype": str(dtype),
            "C": C,
            "scikit_learn_max_iter": SCIKIT_LEARN_ITERATIONS,
            "repeats": min(map(len, seconds.values())),
            "processors": os.cpu_count(),
        },
        merits={
            "contenders": rows,
            "fastlin_seconds_to_scikit_learn_objective": to_equal,
            "speedup_at_equal_objective": None if to_equal is None else rows["scikit-learn"]["seconds"] / to_equal,
            "speedup_whole_fit": rows["scikit-learn"]["seconds"] / rows["fastlin"]["seconds"],
        },
    )
