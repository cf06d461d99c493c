"""Random fits: they run, and a worse commit is reported."""

import json

import pytest

from benchmarks import random_fits

FINISHED_FIT_RECORD = {
    "number": 7,
    "name": "a fit",
    "rounding": 1e-9,
    "converged": True,
    "objective": 1.0,
    "certificate": 1e-5,
    "seconds": 0.1,
}


def test_every_kind_of_random_fit_runs(capsys):
    numbers = range(40)
    random_fits.print_fits(numbers)
    fits = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["number"] for each in fits] == list(numbers)
    for part in (*random_fits.FEATURE_TRANSFORMS, *random_fits.PENALTIES, *random_fits.ROUNDING_ERRORS):
        assert any(f", {part}," in each["name"] for each in fits)
    assert not any("error" in each for each in fits)
    assert random_fits.compare_fits(list(zip(fits, fits, strict=True)))[1]


def test_parameters_that_a_commit_lacks_are_recorded(monkeypatch):
    def raise_type_error(**parameters):
        raise TypeError("LogisticRegression.__init__() got an unexpected keyword argument 'group_lasso'")

    monkeypatch.setattr(random_fits, "LogisticRegression", raise_type_error)
    record = random_fits.measure_fit(7)
    assert not record["converged"] and "unexpected keyword argument 'group_lasso'" in record["error"]
    others = 99 * [(FINISHED_FIT_RECORD, FINISHED_FIT_RECORD)]
    lines, is_acceptable = random_fits.compare_fits([(record, FINISHED_FIT_RECORD), *others])
    assert is_acceptable and lines == ["99 of 100 fits converge with both commits, in 1.00 times the earlier time."]
    # A comparison of no fits is not a success.
    assert not random_fits.compare_fits([(record, FINISHED_FIT_RECORD)])[1]


@pytest.mark.parametrize(
    ("change", "n_other_fits", "expected", "is_accepted"),
    [
        ({}, 0, "", True),
        ({"objective": 1 + 9e-6}, 0, "", True),
        ({"objective": 1 + 2e-5}, 0, "a certificate is wrong", False),
        ({"objective": 1 - 2e-5}, 0, "a certificate is wrong", False),
        ({"objective": None}, 0, "", True),
        ({"converged": False}, 0, "converged before, now stops early", False),
        ({"converged": False, "error": "TypeError: x"}, 99, "converged before, now TypeError: x", True),
        ({"seconds": 0.31}, 0, "0.100 s before, 0.310 s now", True),
    ],
)
def test_a_worse_result_fails_with_a_report(monkeypatch, capsys, change, n_other_fits, expected, is_accepted):
    others = n_other_fits * [FINISHED_FIT_RECORD]
    monkeypatch.setattr(random_fits, "run_fits_at_commit", lambda *arguments: [FINISHED_FIT_RECORD, *others])
    monkeypatch.setattr(
        random_fits, "run_fits_in_process", lambda *arguments: [{**FINISHED_FIT_RECORD, **change}, *others]
    )
    assert random_fits.main(["--first=7"]) == (not is_accepted)
    reported_lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("7: a fit: ")]
    assert [line.removeprefix("7: a fit: ").partition(", for J")[0] for line in reported_lines] == (
        [expected] if expected else []
    )
