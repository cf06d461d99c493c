"""A case that is no race: a value that says what is measured on which data. A call measures it."""

from collections.abc import Callable
from dataclasses import dataclass

from fastlin.kernels.machine.threads import count_threads


@dataclass(frozen=True)
class Case:
    """What is measured, by the kind of its record and what tables call it."""

    kind: str
    title: str
    # From a number of rows, or None for all, to what is measured. It raises NotImplementedError where data are missing.
    load: Callable
    # From that, and whether all turns are taken, to what the record has besides, as plain values.
    measure: Callable
    # The number of rows of a short measurement.
    rows: int | None = None

    def __call__(self, whole=False):
        """Return the record, measured with few rows or whole."""
        loaded = self.load(None if whole else self.rows)
        head = {"kind": self.kind, "title": self.title, "threads": count_threads()}
        return head | self.measure(loaded, whole)
