"""The claims of the five reports, which claims.toml holds and explains, each with its measurement and a verdict."""

from collections.abc import Collection, Mapping
from typing import Any

from fastlin.course.studies.comparators import COMPARATORS
from fastlin.course.texts import DATA_NAMES, find, read_texts, write

# These stand in place of a verdict where there is no measurement, or too short a one.
NEEDS_MNIST, NEEDS_CIFAR10, NEEDS_WHOLE, NOT_RUN = "needs MNIST", "needs CIFAR-10", "needs a whole run", "not run"
NEEDED = {"mnist": NEEDS_MNIST, "cifar10": NEEDS_CIFAR10}
HOMEWORK = "H"
# A dash stands for no value.
LEFT_OUT = {"assumed": "–", "reported": "–"}
CLAIMS: list[dict[str, Any]] = [
    # A claim can be judged by the data of its reports alone, unless its entry says "any".
    LEFT_OUT | {"on": "cifar10" if claim["reports"] == HOMEWORK else "mnist"} | claim
    for claim in read_texts("studies", "claims.toml")["claims"]
]
# What the row of a claim has from claims.toml.
KEPT = ("reports", "task", "study", "says", "assumed", "how", "reported", "tolerance")


def evaluate_claims(entries: Mapping[str, dict[str, Any]], failed: Collection[str] = ()) -> list[dict[str, str]]:
    """Return a row of plain values for each claim: its texts, `data`, `here`, `verdict` and `because`.

    `entries` maps a study to its `data`, `parameters` and `metrics`; failed studies have no entry.
    """
    return [_evaluate(claim, entries.get(claim["study"]), claim["study"] in failed) for claim in CLAIMS]


def _evaluate(claim, entry, has_failed):
    data = entry["data"] if entry else None
    if entry is None:
        found = "–", NOT_RUN, f"The study {claim['study']} {'failed' if has_failed else 'did not run'}."
    elif claim["on"] not in ("any", data):
        needed, had = DATA_NAMES[claim["on"]], DATA_NAMES[entry["data"]]
        found = "–", NEEDED[claim["on"]], f"It was observed on {needed}, and this run had {had}."
    elif entry["parameters"].get("quick"):
        found = "–", NEEDS_WHOLE, "A quick run is too short to judge by."
    else:
        try:
            found = _measure(claim, entry["metrics"])
        except KeyError as missing:
            found = "–", NOT_RUN, f"The study did not measure {missing.args[0]}."
    return {
        **{name: claim[name] for name in KEPT},
        "data": data,
        **dict(zip(("here", "verdict", "because"), found, strict=True)),
    }


def _measure(claim, metrics):
    """Return the measurement, the verdict and a sentence with the reason; KeyError names a missing metric."""
    here, because = (write(claim[name], metrics) for name in ("here", "because"))
    (comparator,) = claim.keys() & COMPARATORS.keys()
    arguments = dict(claim[comparator])
    needs = {path: number for path, number in arguments.pop("needs", {}).items() if find(metrics, path) < number}
    if needs:
        short = ", ".join(f"{number} {path}" for path, number in needs.items())
        return here, NEEDS_WHOLE, f"The study was too short to judge by, which takes {short}."
    return here, COMPARATORS[comparator](metrics, **arguments), because
