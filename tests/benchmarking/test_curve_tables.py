"""Tables of comparisons: verdicts, ratios, and reasons for missing ratios."""

import pytest

from fastlin.benchmarking.curve_tables import explain_missing_ratios, summarize_curves


def test_each_missing_ratio_has_a_reason():
    point = {"seconds": 1.0, "suboptimality": 0.1}
    comparison = {
        "reference": "reference",
        "left_out": {"excluded": "no softmax"},
        "failed": {"failing": "MemoryError", "failing later": "LinAlgError"},
        "stopped": {"slow": 5.0, "soon": 0.4},
        "cut_off": {"cut off": "2 of 8"},
        "compared_seconds": {"reference": 0.5},
        "points": {
            "reference": [{"seconds": 0.5, "suboptimality": 0.0}],
            "failing": [],
            "failing later": [point],
            "slow": [],
            "soon": [],
            "cut off": [point],
            "late": [],
            "inaccurate": [point],
        },
    }
    assert explain_missing_ratios(comparison) == {
        "excluded": "excluded: no softmax",
        "failing": "failed: MemoryError",
        "failing later": "a later fit failed: LinAlgError",
        "slow": "stopped after 5 s, ≥ 10 × reference's time",
        # A bound below one would say nothing.
        "soon": "stopped after 0.4 s",
        "cut off": "time over after effort 2 of 8",
        "late": "no time was left for a fit",
        "inaccurate": "did not reach 1e-4 with its last effort",
    }


@pytest.mark.parametrize(
    ("ratio", "interval", "verdict"),
    [
        (2.0, [1.5, 2.5], "faster"),
        (0.5, [0.4, 0.9], "slower"),
        (1.2, [0.9, 2.0], "even"),
        # Equal code differs by as much in two processes.
        (1.03, [1.02, 1.04], "even"),
        (0.97, [0.96, 0.98], "even"),
    ],
)
def test_the_verdict_on_speed_follows_from_the_interval(ratio, interval, verdict):
    repetitions = {"torch": {"ratio": ratio, "interval": interval, "n_repetitions": 7}}
    points = {name: [{"seconds": 1.0, "suboptimality": 0.0, "accuracy": 0.5}] for name in ("torch", "glum")}
    points["fastlin"] = [{"seconds": 2.0, "suboptimality": 0.0, "accuracy": 0.5}]
    compared_seconds = {"torch": 1.0, "glum": 1.0, "fastlin": 2.0}
    problem = {
        "points": points,
        "compared_seconds": compared_seconds,
        "stopped": {},
        "failed": {},
        "cut_off": {},
        "repetitions": repetitions,
    }
    rows = summarize_curves(problem | {"reference": "fastlin", "scores": ["accuracy"]})
    assert rows["torch"]["fastlin is"] == verdict
    assert rows["torch"]["time ratio"] == f"{ratio:g} ({interval[0]:g} to {interval[1]:g})"
    assert (rows["glum"]["fastlin is"], rows["glum"]["time ratio"]) == ("–", 0.5)
    # The repetitions of a fit failed, so only its time in the curve remains.
    del compared_seconds["glum"]
    row = summarize_curves(problem | {"reference": "fastlin"})["glum"]
    assert (row["1e-4"], row["1e-6"], row["time ratio"]) == (1.0, 1.0, "–")
