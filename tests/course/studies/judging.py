"""Runs studies and judges the claims that they measure."""

from fastlin.course.studies import STUDIES
from fastlin.course.studies.claims import judge_claims


def run_and_judge(settings, names):
    """Return the results of studies by their name, and the rows of the claims that they measure."""
    found = {name: STUDIES[name](settings) for name in names}
    entries = {
        name: {
            "data": settings.data.name,
            "parameters": {**results.parameters, "quick": settings.quick},
            "merits": results.merits,
        }
        for name, results in found.items()
    }
    return found, [row for row in judge_claims(entries) if row["study"] in found]
