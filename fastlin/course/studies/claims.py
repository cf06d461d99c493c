"""Evaluates the claims of five reports, which claims.toml lists, with a measurement and a verdict for each claim."""

from collections.abc import Collection, Mapping
from typing import Any

from fastlin.course.studies.comparators import COMPARATORS
from fastlin.course.text_templates import DATASET_TITLES, fill_placeholders, find, read_toml

# Values that replace a verdict if there is no measurement, or if the study was too short.
NEEDS_MNIST, NEEDS_CIFAR10, NEEDS_FULL_RUN, NOT_RUN = "needs MNIST", "needs CIFAR-10", "needs a whole run", "not run"
VERDICTS_WITHOUT_DATA = {"mnist": NEEDS_MNIST, "cifar10": NEEDS_CIFAR10}
HOMEWORK_REPORT = "H"
# A dash represents a missing value.
CLAIM_DEFAULTS = {"assumed": "–", "reported": "–"}
CLAIMS: list[dict[str, Any]] = [
    # A claim can only be evaluated on the data of its reports, unless `on` is "any" in its entry.
    CLAIM_DEFAULTS | {"on": "cifar10" if claim["reports"] == HOMEWORK_REPORT else "mnist"} | claim
    for claim in read_toml("studies", "claims.toml")["claims"]
]
# The values of a row that are copied from claims.toml.
COPIED_CLAIM_COLUMNS = ("reports", "task", "study", "says", "assumed", "how", "reported", "tolerance")


def evaluate_claims(entries: Mapping[str, dict[str, Any]], failed: Collection[str] = ()) -> list[dict[str, str]]:
    """Return a dict for each claim: values from its entry in claims.toml, `data`, `here`, `verdict` and `because`.

    `entries` maps the name of a study to its `data`, `parameters` and `metrics`. Failed studies have no entry.
    """
    return [_evaluate(claim, entries.get(claim["study"]), claim["study"] in failed) for claim in CLAIMS]


def _evaluate(claim, entry, has_failed):
    data = entry["data"] if entry else None
    if entry is None:
        evaluation = "–", NOT_RUN, f"The study {claim['study']} {'failed' if has_failed else 'did not run'}."
    elif claim["on"] not in ("any", data):
        required_data_name, run_data_name = DATASET_TITLES[claim["on"]], DATASET_TITLES[entry["data"]]
        evaluation = (
            "–",
            VERDICTS_WITHOUT_DATA[claim["on"]],
            f"It was observed on {required_data_name}, but this run used {run_data_name}.",
        )
    elif entry["parameters"].get("quick"):
        evaluation = "–", NEEDS_FULL_RUN, "A quick run is too short for a verdict."
    else:
        try:
            evaluation = _measure(claim, entry["metrics"])
        except KeyError as missing:
            evaluation = "–", NOT_RUN, f"The study did not measure {missing.args[0]}."
    return {
        **{name: claim[name] for name in COPIED_CLAIM_COLUMNS},
        "data": data,
        **dict(zip(("here", "verdict", "because"), evaluation, strict=True)),
    }


def _measure(claim, metrics):
    """Return the measurement, the verdict and the reason; raise a KeyError with the path of a missing metric."""
    measurement_text, reason_text = (fill_placeholders(claim[name], metrics) for name in ("here", "because"))
    (comparator,) = claim.keys() & COMPARATORS.keys()
    arguments = dict(claim[comparator])
    unmet_minimums = {
        path: number for path, number in arguments.pop("needs", {}).items() if find(metrics, path) < number
    }
    if unmet_minimums:
        requirements = ", ".join(f"{number} {path}" for path, number in unmet_minimums.items())
        return (
            measurement_text,
            NEEDS_FULL_RUN,
            f"The study was too short for a verdict, which requires {requirements}.",
        )
    return measurement_text, COMPARATORS[comparator](metrics, **arguments), reason_text
