"""Synthetic benchmark records, with their machine and run."""

RUN_RECORD = {"date": "2026-01-02", "versions": {"numpy": "2.0"}}


def make_machine(name="a"):
    return {"name": name, "processor": name.upper(), "processors": 2, "cores": None, "level": "x86-64-v3"}


def make_comparison(ours=1.0, theirs=4.0, baseline="scikit-learn", **values):
    """Return the record of a comparison from the seconds of both libraries. `values` replace entries of the record."""
    scores = {"fastlin": {"accuracy": 0.9, "log_loss": 0.25}, baseline: {"accuracy": 0.8, "log_loss": 0.5}}
    seconds = {"fastlin": ours, baseline: theirs}
    libraries = {
        name: {"seconds": seconds[name], "threads": values.get("threads", 2), "objective": 0.5, **scores[name]}
        for name in seconds
    }
    record = {
        "kind": "comparison",
        "title": "digits",
        "data": "10 × 2",
        "threads": 2,
        "baseline": baseline,
        "objective_difference": 0.0,
        "failure": "",
    }
    return {**record, "libraries": libraries, "ratio": theirs / ours, **values}
