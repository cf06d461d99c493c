"""The names inside archives, which are compared with those expected and never made into paths."""

from collections import Counter


def check_names(archive, found, expected, ignored=()):
    """Raise ValueError unless `found` holds each of the expected names once, and beside them ignored ones alone."""
    count = Counter(found)
    known = {*expected, *ignored}
    problems = {
        "holds {} more than once": [name for name in count if count[name] > 1],
        "holds {}, which does not belong there": [name for name in count if name not in known],
        "lacks {}": [name for name in expected if name not in count],
    }
    for problem, names in problems.items():
        if names:
            others = f" (and {len(names) - 1} more such members)" if len(names) > 1 else ""
            raise ValueError(f"{archive} is damaged or another archive: it {problem.format(repr(names[0]))}{others}.")
