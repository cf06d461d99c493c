"""The comparison with peers on the embedded digits: who is admitted, on how many threads, and what is measured."""

import json
import os
from dataclasses import replace
from functools import partial
from time import sleep

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from benchmarks.data import make_synthetic
from fastlin import figures
from fastlin.contenders import CONTENDERS, Problem
from fastlin.course import datasets
from fastlin.course.studies import fair_threads, peers
from fastlin.course.studies.fair_threads import choose_threads, repeat_short, time_fit, use_threads
from fastlin.course.studies.settings import Settings
from fastlin.kernels.machine.threads import count_threads


def fail(problem, effort):
    raise RuntimeError("on purpose")


def fit_with_another_penalty(problem, effort):
    return CONTENDERS["scikit-learn lbfgs"].fit(replace(problem, C=2 * problem.C), effort)


def return_nothing_finite(problem, effort):
    shape = problem.n_rows_coef, problem.X.shape[1]
    return np.full(shape, np.nan), np.zeros(shape[0])


def die(problem, effort):
    os._exit(3)


def fail_on_many_rows(problem, effort):
    if len(problem.y) > 250:
        raise MemoryError("too many rows\nfor this library")
    return CONTENDERS["scikit-learn lbfgs"].fit(problem, effort)


def sleep_on_many_rows(problem, effort):
    if len(problem.y) > 250:
        sleep(3600)
    return CONTENDERS["scikit-learn lbfgs"].fit(problem, effort)


def test_every_point_is_measured_and_drawn(contenders, tmp_path, monkeypatch):
    # On a slow machine a contender would not get far in the second of a quick run.
    monkeypatch.setattr(peers, "QUICK_BUDGET", 60.0)
    notified, digits = [], datasets.load_digits()
    few_digits = replace(digits, X_train=digits.X_train[:300], y_train=digits.y_train[:300])
    results = peers.run(Settings(few_digits, quick=True, notify=notified.append))
    assert notified
    problems = results.series["problems"]
    assert [(problem["classes"], problem["intercept"]) for problem in problems] == [(10, True), (2, False)]
    for problem in problems:
        assert problem["points"].keys() == contenders.keys()
        assert problem["left_out"] == {}
        objectives = [point["objective"] for points in problem["points"].values() for point in points]
        assert problem["optimum"] <= min(objectives)
        for name, points in problem["points"].items():
            assert [point["effort"] for point in points] == list(CONTENDERS[name].efforts[: len(points)])
            for point in points:
                assert point["excess"] == pytest.approx(point["objective"] / problem["optimum"] - 1, abs=1e-12)
                assert point["seconds"] > 0
                assert 0 <= point["accuracy"] <= 1
                assert point["threads"] in (1, count_threads())
            assert points[-1]["excess"] < min(1e-2, points[0]["excess"])
    assert set(results.parameters["versions"]) == {"fastlin", "scikit-learn"}
    everything = {**results.parameters, **results.merits, **results.series}
    assert json.loads(json.dumps(everything)) == everything
    (picture,) = figures.draw("peers", results, tmp_path)
    assert len((tmp_path / picture.file).read_bytes()) > 50_000


def run_synthetic():
    return peers.run(Settings(make_synthetic(2, 300, 5, seed=0), quick=True))


LEFT_OUT = {
    "torch": (fail, "RuntimeError: on purpose"),
    "snapml": (die, "its process has ended with status 3"),
    "skglm": (fit_with_another_penalty, "its optimum is another"),
    "glum": (return_nothing_finite, "its optimum is another"),
}


def test_the_race_goes_on_without_who_fails_solves_another_problem_or_takes_too_long(contenders, monkeypatch):
    monkeypatch.setattr(peers, "SAMPLE_ROWS", 200)
    monkeypatch.setattr(peers, "QUICK_BUDGET", 2.0)
    given = {name: fit for name, (fit, _) in LEFT_OUT.items()}
    for name, fit in {**given, "cyanure": fail_on_many_rows, "scikit-learn-intelex": sleep_on_many_rows}.items():
        contenders[name] = replace(CONTENDERS[name], fit=fit, package="scikit-learn", module="sklearn")
    results = run_synthetic()
    (problem,) = results.series["problems"]
    assert problem["points"].keys() == contenders.keys() - LEFT_OUT.keys()
    for name, (_, reason) in LEFT_OUT.items():
        assert reason in problem["left_out"][name]
        assert "left out" in results.merits[f"even or odd: {name}"]
    assert problem["points"]["cyanure"] == problem["points"]["scikit-learn-intelex"] == []
    assert (problem["failed"], problem["stopped"]) == (
        {"cyanure": "MemoryError: too many rows"},
        {"scikit-learn-intelex": 2.0},
    )
    rows = results.merits["even or odd: seconds to an excess of"]
    assert rows["fastlin"]["by fastlin's"] == 1
    assert rows["cyanure"]["by fastlin's"] == "failed: MemoryError: too many rows"
    assert rows["scikit-learn-intelex"]["by fastlin's"] == f"≥ {2 / rows['fastlin']['1e-4']:.3g} ×, stopped after 2 s"
    assert (rows["scikit-learn-intelex"]["1e-2"], rows["scikit-learn-intelex"]["accuracy"]) == ("not reached", "–")


def test_a_failing_fastlin_is_no_comparison(contenders):
    contenders["fastlin"] = replace(CONTENDERS["fastlin"], fit=fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        run_synthetic()


def test_the_sample_that_admits_has_every_class():
    for data in (datasets.load_digits(), make_synthetic(4, 2000, 3, seed=0)):
        for problem, _ in peers.make_problems(Settings(data), "float64"):
            assert set(peers.take_sample(problem).y) == set(problem.y)


def test_every_contender_has_a_colour_and_marker_of_its_own():
    assert set(figures.CONTENDERS) == set(CONTENDERS)
    assert len(set(figures.CONTENDERS.values())) == len(CONTENDERS)


class Timed:
    """A process whose fits take given seconds by their number of threads, where None is too long; it notes them."""

    def __init__(self, seconds):
        self.seconds, self.calls = seconds, []

    def call(self, function, contender, path, effort, n_threads, seconds):
        self.calls.append((path, n_threads))
        if path == "rows" and self.seconds[n_threads] is None:
            raise TimeoutError
        return self.seconds[n_threads], (np.zeros((1, 3)), np.zeros(1))


@pytest.mark.parametrize(
    ("name", "seconds", "fitted", "later"),
    [
        ("fastlin", {2: 0.1}, [("rows", 2)], [2]),
        ("torch", {1: 0.2, 2: 0.1}, [("rows", 1), ("rows", 2)], [1, 2]),
        ("torch", {1: 1.5, 2: 2.5}, [("rows", 1), ("rows", 2)], [1]),
        # After a fit that was stopped a new process has to load the library.
        ("torch", {1: None, 2: 0.1}, [("rows", 1), ("sample", 2), ("rows", 2)], [2]),
        ("torch", {1: 0.1, 2: None}, [("rows", 1), ("rows", 2)], [1]),
        ("torch", {1: None, 2: None}, [("rows", 1), ("sample", 2), ("rows", 2)], None),
    ],
)
def test_a_peer_is_measured_on_each_number_of_threads_until_a_fit_is_long(monkeypatch, name, seconds, fitted, later):
    monkeypatch.setattr(peers, "count_threads", lambda: 2)
    monkeypatch.setattr(peers, "PAUSE", 0.0)
    rows = Problem("rows", np.eye(3), np.array([0, 1, 1]), 2, 1.0, fit_intercept=True)
    entrant = peers._Entrant(name, "rows", "sample", Timed(seconds))
    entrant.fit_sample()
    entrant._process.calls.clear()
    entrant.climb(0, rows, rows, 1, 5.0)
    assert entrant._process.calls == fitted
    if later is None:
        assert (entrant.points, entrant.stopped) == ([], 5.0)
        assert not entrant.goes_on(1, 0.0, 5.0)
        return
    entrant._process.calls.clear()
    entrant.climb(1, rows, rows, 1, 5.0)
    assert [n_threads for path, n_threads in entrant._process.calls if path == "rows"] == later
    assert [point["threads"] for point in entrant.points] == [min(later, key=seconds.get)] * 2


@pytest.mark.parametrize("fastest", [1, 3])
def test_the_faster_number_of_threads_is_chosen(fastest, monkeypatch):
    seen = []

    def fit():
        seen.append(next(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"))
        # The first fit takes longest, as imports do.
        # So may one of any number, where the machine is busy.
        sleep(0.2 if len(seen) < 4 else 0 if seen[-1] == fastest else 0.05)

    monkeypatch.setattr(fair_threads, "count_threads", lambda: 3)
    assert choose_threads(fit) == fastest
    assert seen[1:] == [1, 3] * 3


def test_short_fits_are_repeated(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(fair_threads, "perf_counter", lambda: next(clock))
    run = partial(time_fit, lambda: "found")
    monkeypatch.setattr(fair_threads, "SHORT", 2)
    assert repeat_short(run, 3) == ([1, 1, 1], "found")
    monkeypatch.setattr(fair_threads, "SHORT", 1)
    assert repeat_short(run, 3) == ([1], "found")


def test_fastlin_has_as_many_threads_as_the_others():
    with use_threads(1):
        assert count_threads() == 1
