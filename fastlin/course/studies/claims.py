"""The claims of the five reports, which claims.toml holds and explains, each with its measurement and a verdict."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fastlin.course.studies.comparators import COMPARATORS, Merits
from fastlin.course.texts import find, read_texts, write

# These stand in place of a verdict where there is no measurement, or too short a one.
NEEDS_MNIST, NEEDS_CIFAR10, NEEDS_WHOLE, NOT_RUN = "needs MNIST", "needs CIFAR-10", "needs a whole run", "not run"
OTHER_DATA = {
    "mnist": (NEEDS_MNIST, "The reports state this for MNIST."),
    "cifar10": (NEEDS_CIFAR10, "The report states this for CIFAR-10."),
}
HOMEWORK = "H"


@dataclass(frozen=True)
class Claim:
    """A claim of one or more reports, with the fields that claims.toml describes."""

    reports: str
    task: str
    study: str
    says: str
    how: str
    tolerance: str
    comparison: tuple[str, Mapping[str, Any]]  # name and arguments of the comparator
    here: str
    because: str
    assumed: str = "–"
    reported: str = "–"
    on: str = "any"

    def judge(self, merits: Merits) -> tuple[str, str, str]:
        """Return the measurement, the verdict and a sentence with the reason; KeyError names a missing merit."""
        comparator, arguments = self.comparison
        needs = {path: number for path, number in arguments.get("needs", {}).items() if find(merits, path) < number}
        here, because = (write(text, merits) for text in (self.here, self.because))
        if needs:
            short = ", ".join(f"{number} {path}" for path, number in needs.items())
            return here, NEEDS_WHOLE, f"The study was too short to judge by, which takes {short}."
        chosen = {name: value for name, value in arguments.items() if name != "needs"}
        return here, COMPARATORS[comparator](merits, **chosen), because


def read_claims() -> tuple[Claim, ...]:
    """Return the claims of claims.toml."""
    claims = []
    for fields in read_texts("studies", "claims.toml")["claims"]:
        (comparator,) = fields.keys() & COMPARATORS.keys()
        claims.append(Claim(comparison=(comparator, fields.pop(comparator)), **fields))
    return tuple(claims)


CLAIMS = read_claims()


def judge_claims(entries: Mapping[str, dict[str, Any]], failed: Collection[str] = ()) -> list[dict[str, str]]:
    """Return a row of plain values for each claim: its texts, `data`, `here`, `verdict` and `because`.

    `entries` maps a study to its `data`, `parameters` and `merits`; failed studies have no entry.
    """
    return [_judge(claim, entries.get(claim.study), claim.study in failed) for claim in CLAIMS]


def _judge(claim, entry, has_failed):
    data, reported_data = entry["data"] if entry else None, "cifar10" if claim.reports == HOMEWORK else "mnist"
    row = {
        **{name: getattr(claim, name) for name in ("reports", "task", "study", "says", "assumed", "how", "tolerance")},
        "data": data,
        # What a report states for its own data set is no measure for another one.
        "reported": "–" if claim.on == "any" and data not in (None, reported_data) else claim.reported,
    }
    if entry is None:
        found = "–", NOT_RUN, f"The study {claim.study} {'failed' if has_failed else 'did not run'}."
    elif claim.on not in ("any", data):
        found = "–", *OTHER_DATA[claim.on]
    elif entry["parameters"].get("quick"):
        found = "–", NEEDS_WHOLE, "A quick run is too short to judge by."
    else:
        try:
            found = claim.judge(entry["merits"])
        except KeyError as missing:
            found = "–", NOT_RUN, f"The study did not measure {missing.args[0]}."
    return row | dict(zip(("here", "verdict", "because"), found, strict=True))
