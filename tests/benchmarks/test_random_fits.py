"""Random fits: that they can be drawn and made, and what tells a worse commit."""

import json

import pytest

from benchmarks import random_fits

ENDED = {
    "number": 7,
    "name": "a fit",
    "rounding": 1e-9,
    "converged": True,
    "objective": 1.0,
    "certificate": 1e-5,
    "seconds": 0.1,
}


def test_every_kind_of_fit_is_drawn_and_made(capsys):
    numbers = range(40)
    random_fits.run_fits(numbers)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["number"] for each in found] == list(numbers)
    for part in (*random_fits.KINDS, *random_fits.PENALTIES, *random_fits.ROUNDING):
        assert any(f", {part}," in each["name"] for each in found)
    assert not any("error" in each for each in found)
    assert random_fits.compare(list(zip(found, found, strict=True)))[1]


@pytest.mark.parametrize(
    ("change", "n_others", "expected", "is_good"),
    [
        ({}, 0, "", True),
        ({"objective": 1 + 9e-6}, 0, "", True),
        ({"objective": 1 + 2e-5}, 0, "a certificate is false", False),
        ({"objective": 1 - 2e-5}, 0, "a certificate is false", False),
        ({"objective": None}, 0, "", True),
        ({"converged": False}, 0, "ended before, and now stops early", False),
        ({"converged": False, "error": "TypeError: x"}, 99, "ended before, and now TypeError: x", True),
        ({"seconds": 0.31}, 0, "0.100 s before, 0.310 s now", True),
    ],
)
def test_a_worse_end_is_told_and_fails(monkeypatch, capsys, change, n_others, expected, is_good):
    others = n_others * [ENDED]
    monkeypatch.setattr(random_fits, "run_at", lambda *given: [ENDED, *others])
    monkeypatch.setattr(random_fits, "run_elsewhere", lambda *given: [{**ENDED, **change}, *others])
    assert random_fits.main(["--first=7"]) == (not is_good)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("7: a fit: ")]
    assert [line.removeprefix("7: a fit: ").partition(", of J")[0] for line in told] == ([expected] if expected else [])
