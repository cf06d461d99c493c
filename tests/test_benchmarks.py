"""What the benchmarks need before they time anything: Letter Recognition from disk, and the objectives of the races."""

import gzip

import numpy as np
import pytest

from benchmarks.common import LETTER_FEATURES, LETTER_FILE, LETTER_ROWS, LETTER_TRAIN, load_letter
from benchmarks.fits import Race, fit_scikit_learn, fit_scikit_learn_to_pixels, run_race
from benchmarks.roofline import make_arithmetic, make_read
from fastlin.studies.contenders import Problem

LINE = "A," + ",".join(str(number) for number in range(LETTER_FEATURES))


def write_letter(folder, lines):
    with gzip.open(folder / LETTER_FILE, "wt") as file:
        file.write("\n".join(lines) + "\n")


def test_letter_takes_the_first_rows_for_training(tmp_path):
    write_letter(tmp_path, [LINE, "Z" + ",15" * LETTER_FEATURES] + [LINE] * (LETTER_ROWS - 2))
    X, y = load_letter(tmp_path)
    assert X.shape == (LETTER_TRAIN, LETTER_FEATURES)
    assert X.dtype == np.float64
    np.testing.assert_array_equal(X[0], np.arange(LETTER_FEATURES))
    assert (X[1] == 15).all()
    assert y[:3].tolist() == [0, 25, 0]


@pytest.mark.parametrize(
    "line", ["", "a" + LINE[1:], LINE + ",1", LINE[:-3], "A" + ",16" * 16, "A" + ",-1" * 16, "A" + ",x" * 16]
)
def test_a_line_that_is_no_letter_is_named(tmp_path, line):
    write_letter(tmp_path, [LINE] * 7 + [line] + [LINE] * (LETTER_ROWS - 8))
    with pytest.raises(ValueError, match=rf"{LETTER_FILE}, line 8: expected a letter .* found "):
        load_letter(tmp_path)


def test_another_file_than_letter_is_refused(tmp_path):
    write_letter(tmp_path, [LINE] * 10)
    with pytest.raises(ValueError, match="has 10 lines; Letter Recognition has 20,000"):
        load_letter(tmp_path)
    (tmp_path / LETTER_FILE).write_text(LINE)
    with pytest.raises(ValueError, match="is no gzipped text"):
        load_letter(tmp_path)


def test_a_missing_letter_skips(tmp_path, monkeypatch):
    with pytest.raises(NotImplementedError, match="FASTLIN_DATA names the folder"):
        load_letter(tmp_path)
    monkeypatch.delenv("FASTLIN_DATA", raising=False)
    with pytest.raises(NotImplementedError, match="FASTLIN_DATA names the folder"):
        load_letter()


def make_problem(X, C=1.0):
    y = np.random.default_rng(1).integers(0, 3, len(X))
    return Problem("small", X, y, 3, C, fit_intercept=True)


def test_the_peer_on_scaled_pixels_has_the_same_objective():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4), np.uint8)
    problem = make_problem(pixels, C=1 / 255**2)
    coef, intercept = fit_scikit_learn_to_pixels(problem, 1)
    scaled = make_problem(pixels / 255.0)
    assert problem.objective(coef, intercept) == pytest.approx(scaled.objective(255 * coef, intercept), rel=1e-12)
    assert problem.objective(coef, intercept) == pytest.approx(
        scaled.objective(*fit_scikit_learn(scaled, 1, "lbfgs")), rel=1e-12
    )


def test_a_race_leaves_out_peers_that_miss_the_objective():
    problem = make_problem(np.random.default_rng(0).normal(size=(60, 4)))

    def give_up(problem, threads):
        return np.zeros((problem.n_classes, problem.X.shape[1])), np.zeros(problem.n_classes)

    def finish(problem, threads):
        return fit_scikit_learn(problem, threads, "newton-cholesky", tol=1e-8)

    race = Race("small", None, {"gives up": give_up, "finishes": finish}, 1.0, tol=1e-8, within=1e-6, rounds=2)
    outcome = run_race(race, problem, 1)
    assert outcome.peer == "finishes"
    assert outcome.seconds.keys() == {"fastlin", "finishes"}
    assert outcome.counts
    assert outcome.ratio == outcome.seconds["finishes"] / outcome.seconds["fastlin"]
    outcome = run_race(Race("small", None, {"gives up": give_up}, 1.0, tol=1e-8), problem, 1)
    assert outcome.relative_gap < 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_limits_are_measured_on_any_layout(dtype, order):
    X = np.asarray(np.random.default_rng(0).integers(0, 256, (37, 5)).astype(dtype), order=order)
    make_read(X)()


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_the_arithmetic_does_what_it_says(precision):
    arithmetic, n_done = make_arithmetic(1e8, precision)
    arithmetic()
    assert n_done == pytest.approx(1e8, rel=0.01)
