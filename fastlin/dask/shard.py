"""What a worker computes with the partitions that it holds: for each pass one call, and one sum for each node of them.

A Shard lives on its worker as a Dask actor, which the client calls without the scheduler: a call of two workers takes
4 ms, as tasks 21 (AMD EPYC, two processes on one machine).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import distributed
import numpy as np

from fastlin.dask.scores import sum_scores
from fastlin.dask.tree import Node, Sum, add_up, find_nodes
from fastlin.dask.weighting import Weighting
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.threads import limit_threads
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.pieces import Measured, measure, merge
from fastlin.objective.offsets import OffsetSums
from fastlin.objective.rows import weigh_targets
from fastlin.typing import Array, FloatArray, IntArray, SparseContainer

if TYPE_CHECKING:
    from fastlin.dask.parts import Part
    from fastlin.estimators import LogisticRegression


@dataclass(frozen=True, eq=False)
class Setting:
    """What stays the same in the passes of an objective: what the rows count, K, and how the columns enter.

    sees_offsets says whether the offsets of the rows count.
    """

    weighting: Weighting
    n_rows_coef: int
    scaling: Scaling
    sees_offsets: bool = True


class ToldWeights(NamedTuple):
    """What the weights of some rows come to.

    n_weighty is the number of rows with some weight, and totals are the weights by classes, (n_classes,). smallest is
    the smallest weight above zero, and inf where there is none. offsets are sums over the offsets, or None where there
    are none, and has_targets says whether some rows have targets.
    """

    n_weighty: int
    totals: Array
    smallest: float
    offsets: OffsetSums | None
    has_targets: bool

    @classmethod
    def of(cls, part: Part, weighting: Weighting) -> Self:
        """Return what the weights of the rows of a Part come to."""
        samples, weighty = weighting.sample(part), weighting.find_weighty(part)
        weights = samples.weigh()
        has_targets = part.soft is not None
        if has_targets and len(weights):
            totals = weigh_targets(samples.targets, weights)
        else:
            totals = np.bincount(part.labels, weights, weighting.n_classes)
        smallest = float(weights[weighty].min(initial=np.inf))
        offsets = None if part.offsets is None else OffsetSums.of(part.offsets, weights)
        return cls(len(weighty), totals, smallest, offsets, has_targets)

    @classmethod
    def join(cls, told: Iterable[Self]) -> Self:
        """Return what the weights of several pieces come to together."""
        n_weighty, totals, smallest, offsets, have_targets = zip(*told, strict=True)
        known = [each for each in offsets if each is not None]
        sums = OffsetSums.join(known) if known else None
        return cls(sum(n_weighty), np.sum(totals, axis=0), min(smallest), sums, any(have_targets))


class Shard:
    """Some partitions, and what is computed with them.

    n_parts is how many partitions there are on all workers, and settings has the Setting of each number that calls
    name. Without n_threads those of the Dask worker compute.
    """

    def __init__(
        self,
        parts: Mapping[int, Part],
        n_parts: int,
        settings: Mapping[int, Setting],
        n_threads: int | None = None,
    ) -> None:
        self._parts = parts
        self._nodes = find_nodes(self._parts, n_parts)
        self._n_threads = n_threads or _count_worker_threads()
        # Each Setting with the rows of each partition, as it weighs them.
        self._settings: dict[int, tuple[Setting, dict[int, Samples]]] = {}
        for setting_number, setting in settings.items():
            self.open(setting_number, setting)

    def run(self, method: str, *arguments: Any) -> tuple[Any, Exception | None]:
        """Return what a method returns, and None, or None and the error that it raises.

        An error of the call itself then means that the worker is lost.
        """
        try:
            with limit_threads(self._n_threads):
                return getattr(self, method)(*arguments), None
        except Exception as error:
            return None, error

    def open(self, setting_number: int, setting: Setting) -> None:
        """Get ready for the passes of a Setting, which calls name by its number."""
        sees = setting.sees_offsets
        samples = {number: setting.weighting.sample(part, sees_offsets=sees) for number, part in self._parts.items()}
        self._settings[setting_number] = setting, samples

    def close(self, setting_number: int) -> None:
        """Forget a Setting, which a Shard that was made since need not know."""
        self._settings.pop(setting_number, None)

    def tell_weights(self, weighting: Weighting) -> dict[int, ToldWeights]:
        """Return what the weights of the rows come to, by partitions."""
        return {number: ToldWeights.of(part, weighting) for number, part in self._parts.items()}

    def measure(self, weighting: Weighting) -> dict[Node, Measured]:
        """Return, by nodes, the total weight and the moments of the columns, as `measure` has them."""

        def measure_part(number):
            part = self._parts[number]
            return measure(part.matrix, weighting.weigh(part))

        return self._by_nodes(measure_part, merge)

    def sum(
        self, term: Callable[..., Sum], join: Callable[[Iterable[Sum]], Sum], setting_number: int, *arguments: Any
    ) -> dict[Node, Sum]:
        """Return, by nodes, what a join makes of ``term(passes, *arguments)`` over the passes of each partition."""
        setting, samples = self._settings[setting_number]

        def find(number):
            passes = self._parts[number].matrix.passes(samples[number], setting.scaling, setting.n_rows_coef)
            return term(passes, *arguments)

        return self._by_nodes(find, join)

    def draw(
        self, weighting: Weighting, places: Mapping[int, IntArray]
    ) -> dict[int, tuple[Array | SparseContainer, Samples]]:
        """Return, by partitions, X of the rows at some places, and the rows as a pass reads them.

        Places count the rows of the partition that have some weight.
        """
        drawn = {}
        for number, part in self._parts.items():
            rows = weighting.find_weighty(part)[places[number]]
            drawn[number] = part.X[rows], weighting.sample(part).take(rows)
        return drawn

    def score(self, fold: int, models: Sequence[LogisticRegression], scoring: str) -> dict[int, FloatArray]:
        """Return, by partitions, what `sum_scores` does for the test rows of a fold.

        The classes of the models are in the order of the labels.
        """
        found: dict[int, FloatArray] = {}
        for number, part in self._parts.items():
            rows = np.flatnonzero(part.folds == fold)
            weights = None if part.sample_weight is None else part.sample_weight[rows]
            y = models[0].classes_[part.labels[rows]] if part.soft is None else part.soft[rows]
            offsets = None if part.offsets is None else part.offsets[rows]
            found[number] = sum_scores(models, part.X[rows], y, weights, scoring, offsets)
        return found

    def _by_nodes(self, term, join):
        """Return the sum of each node; term returns that of a partition by its number."""

        def find(node):
            return term(node[0]) if node[1] - node[0] == 1 else None

        return {node: add_up(node, find, join) for node in self._nodes}


def _count_worker_threads():
    return distributed.get_worker().state.nthreads
