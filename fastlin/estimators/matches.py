"""Matches between pairs of items: validation, the rows of their logistic regression, existence, and resampling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.utils import check_array

from fastlin.coefficient_names import MAX_LISTED_NAMES
from fastlin.containers.tensors import view_as_numpy
from fastlin.estimators.labels import prefix_error_messages, validate_weights
from fastlin.estimators.table_columns import is_missing
from fastlin.exceptions import SeparationError
from fastlin.inference.bootstrap import MAX_RESAMPLING_ATTEMPTS
from fastlin.inference.covariances import encode_single_key
from fastlin.typing import Array, FloatArray, IntArray

# The sum of integer weights is exact below this number.
MAX_EXACT_COUNT = 2**53


@dataclass(frozen=True, eq=False)
class Matches:
    """Matches as the rows of a logistic regression. Row r is won by item `winners[r]` against item `losers[r]`.

    A match with outcome o is a win of `first` with weight o, and a win of `second` with weight 1 - o. `covariates`
    (n_rows, q) are from the winner's point of view. Identical matches are counted once: `counts` (n_kinds,) is the
    number of matches of each kind, and entry (r, k) of `row_weights` is the weight of row r in a match of kind k.
    Matches with covariates or clusters are not merged; `clusters` (n_kinds,) then contains the cluster of each match,
    or is None.
    """

    items: Array
    winners: IntArray
    losers: IntArray
    covariates: FloatArray
    covariate_names: list[str]
    row_weights: sparse.csr_array
    counts: IntArray
    clusters: IntArray | None

    @property
    def n_matches(self) -> int:
        """The number of matches. A weight that is not an integer counts as one match."""
        return int(self.counts.sum())

    def compute_row_weights(self, counts: ArrayLike | None = None) -> FloatArray:
        """Return the weights (n_rows,) of the rows if there are `counts` (n_kinds,) matches of each kind."""
        return self.row_weights @ np.asarray(self.counts if counts is None else counts, np.float64)

    def sum_wins_and_matches(self) -> tuple[FloatArray, FloatArray]:
        """Return the weight of the wins and of the matches of each item, (n_items,) each."""
        weights, n_items = self.compute_row_weights(), len(self.items)
        wins: FloatArray = np.bincount(self.winners, weights, n_items).astype(np.float64)
        return wins, wins + np.bincount(self.losers, weights, n_items)

    def build_rows(self, reference: int | None) -> tuple[sparse.csr_array, IntArray]:
        """Return the matrix X (n_rows, d) and the labels (n_rows,) of the logistic regression without an intercept.

        X has a column for each item except `reference`, followed by the covariates. The label of a row is 1 if its
        signs are +1 for the winner and -1 for the loser. Every second row has the opposite signs and the label 0, so
        that there are rows of both classes even if `first` wins every match.
        """
        n_rows, n_items = len(self.winners), len(self.items)
        labels = np.arange(n_rows) % 2
        signs, rows = 2.0 * labels - 1, np.tile(np.arange(n_rows), 2)
        entries = np.concatenate([signs, -signs]), (rows, np.concatenate([self.winners, self.losers]))
        X = sparse.csr_array(entries, shape=(n_rows, n_items))
        if reference is not None:
            X = X[:, np.delete(np.arange(n_items), reference)]
        if self.covariates.shape[1]:
            X = sparse.csr_array(sparse.hstack([X, signs[:, None] * self.covariates], format="csr"))
        return X, labels

    def find_groups(self, weights: FloatArray, connection: str = "strong") -> IntArray:
        """Return the component (n_items,) of each item in the graph of the wins in rows of positive weight.

        Each row is an edge from the loser to the winner.
        """
        is_used, n_items = weights > 0, len(self.items)
        edges = np.ones(np.count_nonzero(is_used)), (self.losers[is_used], self.winners[is_used])
        graph = sparse.csr_array(edges, shape=(n_items, n_items))
        return connected_components(graph, directed=True, connection=connection)[1]

    def check_estimates_exist(self) -> None:
        """Raise a SeparationError unless finite strengths exist without a penalty.

        They exist if and only if, for each division of the items into two groups, each group has a win against the
        other: the graph of the wins is strongly connected (Ford 1957).
        """
        weights = self.compute_row_weights()
        groups, connected_groups = self.find_groups(weights), self.find_groups(weights, "weak")
        if not groups.any():
            return
        if connected_groups.any():
            listed, others = self._name_items(connected_groups == np.bincount(connected_groups).argmin())
            problem = f"there is no match between {listed} and {others}, so their strengths cannot be compared"
            remedy = "Add such matches, fit the groups separately"
        else:
            is_crossing = groups[self.winners] != groups[self.losers]
            winning, losing = groups[self.winners[is_crossing]], groups[self.losers[is_crossing]]
            unbeaten = np.isin(groups, np.setdiff1d(winning, losing))
            winless = np.isin(groups, np.setdiff1d(losing, winning))
            is_unbeaten_named = np.count_nonzero(unbeaten) <= np.count_nonzero(winless)
            listed, others = self._name_items(unbeaten if is_unbeaten_named else winless)
            problem = f"{listed} never {'lost' if is_unbeaten_named else 'won'} against {others}"
            remedy = "Add matches, remove items"
        raise SeparationError(
            f"No finite strengths exist: {problem}. {remedy}, or use a penalty, for example BradleyTerry(C=1.0)."
        )

    def _name_items(self, is_in_group):
        """Return the names of the items of a group, and a phrase that counts the other items."""
        names, n_others = self.items[is_in_group].tolist(), int(np.count_nonzero(~is_in_group))
        n_more = len(names) - MAX_LISTED_NAMES
        listed = ", ".join(map(repr, names[:MAX_LISTED_NAMES])) + (f" and {n_more} more" if n_more > 0 else "")
        return listed, f"the other {n_others} items" if n_others > 1 else "the other item"


@dataclass(frozen=True, eq=False)
class MatchResampler:
    """Sampling of matches, or of clusters of matches, with replacement; the seed of resample b is (seed, b).

    If `must_connect` is true, resamples without finite strengths are drawn again. `n_redraws` contains the number of
    such resamples before resample b. Weights are divided by `weight_unit`.
    """

    matches: Matches
    seed: int
    weight_unit: float
    must_connect: bool
    n_redraws: dict[int, int] = field(default_factory=dict)

    def generate_weights(self, number: int) -> Iterator[FloatArray]:
        """Yield row weights (n_rows,) of a resample; the caller uses the first weights for which the fit exists.

        Raises
        ------
        ValueError
            In too many samples, no finite strengths exist.
        """
        random, matches = np.random.default_rng((self.seed, number)), self.matches
        n_clusters = 0 if matches.clusters is None else int(matches.clusters.max()) + 1
        unit_counts = matches.counts if matches.clusters is None else np.ones(n_clusters, np.int64)
        n_draws = int(unit_counts.sum())
        for attempt in range(MAX_RESAMPLING_ATTEMPTS):
            counts = random.multinomial(n_draws, unit_counts / n_draws)
            if matches.clusters is not None:
                counts = matches.counts * counts[matches.clusters]
            row_weights = matches.compute_row_weights(counts)
            if not (self.must_connect and matches.find_groups(row_weights).any()):
                self.n_redraws[number] = attempt
                yield row_weights / self.weight_unit
        raise ValueError(
            f"None of {MAX_RESAMPLING_ATTEMPTS:,} resamples of the {n_draws:,} "
            f"{'matches' if matches.clusters is None else 'clusters'} has finite strengths: some item has too few wins "
            "or losses for a bootstrap. Remove it, or use a penalty, for example BradleyTerry(C=1.0)."
        )


def read_matches(
    first: ArrayLike, second: ArrayLike, outcome: ArrayLike, sample_weight: Any, clusters: Any, covariates: Any
) -> Matches:
    """Return the Matches of positive weight; see `BradleyTerry.fit` for the arguments."""
    sides, outcomes = [read_items("first", first), read_items("second", second)], _read_outcomes(outcome)
    lengths = [*map(len, sides), len(outcomes)]
    if len(set(lengths)) > 1:
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: first, second and outcome must have one entry "
            f"per match, got lengths {lengths}."
        )
    items, (first_codes, second_codes) = _encode_items(sides)
    if (first_codes == second_codes).any():
        row = int((first_codes == second_codes).argmax())
        raise ValueError(
            f"Match {row} is between {items[first_codes[row]]!s} and itself; first and second must be different items."
        )
    weights = np.ones(len(outcomes)) if sample_weight is None else validate_weights(sample_weight, outcomes)
    used = np.flatnonzero(weights)
    if not len(used):
        raise ValueError(f"At least one match with a positive weight is required, got {len(weights)} matches.")
    covariate_values, covariate_names = read_covariates(covariates, len(outcomes))
    # A match of weight zero is the same as no match, so its items need no strengths.
    used_items, codes = np.unique([first_codes[used], second_codes[used]], return_inverse=True)
    items, (first_codes, second_codes) = items[used_items], codes.reshape(2, -1)
    cluster_codes = None if clusters is None else encode_single_key(clusters, len(weights), used)
    weights, counts = weights[used], np.ones(len(used), np.int64)
    if (weights == np.floor(weights)).all() and weights.sum() < MAX_EXACT_COUNT:
        # A match of weight 3 is the same as three matches.
        weights, counts = np.ones(len(used)), weights.astype(np.int64)
    is_merged = covariates is None and clusters is None
    winners, losers, signed_covariates, row_weights, counts = _make_rows(
        first_codes, second_codes, outcomes[used], weights, counts, covariate_values[used], is_merged
    )
    return Matches(items, winners, losers, signed_covariates, covariate_names, row_weights, counts, cluster_codes)


def read_items(name: str, values: ArrayLike) -> list[Any]:
    """Return the items in an argument as a list of Python values."""
    # NumPy would convert a list of numbers and strings to strings.
    array = np.asarray(view_as_numpy(values, name), object if isinstance(values, (list, tuple)) else None)
    if array.ndim != 1:
        raise ValueError(f"{name} must contain one item per match, shape (n_matches,), got shape {array.shape}.")
    return array.tolist()


def _encode_items(sides):
    """Return the sorted items, and their codes in each of two lists of items."""
    names = set().union(*sides)
    if any(map(is_missing, names)):
        raise ValueError("first and second must not contain None or NaN. Remove the matches with a missing item.")
    try:
        names = sorted(names)
    except TypeError as error:
        kinds = " and ".join(sorted({type(name).__name__ for name in names}))
        raise TypeError(
            f"first and second must contain items of one type that can be sorted, got {kinds}. Convert the items, for "
            "example with astype(str)."
        ) from error
    codes, items = dict(zip(names, range(len(names)), strict=True)), np.array(names)
    if items.tolist() != names:
        # NumPy rounds integers of different types to float64.
        items = np.array(names, object)
    return items, [np.fromiter(map(codes.__getitem__, side), np.int64, len(side)) for side in sides]


def _read_outcomes(outcome):
    """Return the outcomes as float64 (n,)."""
    try:
        outcomes = np.asarray(view_as_numpy(outcome, "outcome"), np.float64)
    except (TypeError, ValueError):
        outcomes = np.array(np.nan)
    is_valid = (outcomes >= 0) & (outcomes <= 1)
    if outcomes.ndim != 1 or not is_valid.all():
        value = f"{outcomes[is_valid.argmin()]} in match {is_valid.argmin()}" if outcomes.ndim == 1 else repr(outcome)
        raise ValueError(
            "outcome must contain one number from 0 to 1 per match (1 if first wins, 0 if second wins, 0.5 for a tie), "
            f"got {value:.200}."
        )
    return outcomes


def read_covariates(covariates: Any, n_matches: int) -> tuple[FloatArray, list[str]]:
    """Return the covariates as float64 (n_matches, q) and their names; None means no covariates."""
    if covariates is None:
        return np.empty((n_matches, 0)), []
    with prefix_error_messages("covariates"):
        values = check_array(view_as_numpy(covariates, "covariates"), dtype=np.float64, input_name="covariates")
        if len(values) != n_matches:
            raise ValueError(f"covariates must have one row per match, {n_matches}, got {len(values)} rows.")
    # The attribute `columns` of Arrow tables contains the columns and not their names.
    names = getattr(covariates, "column_names", getattr(covariates, "columns", None))
    return values, [f"x{j}" for j in range(values.shape[1])] if names is None else [str(name) for name in names]


def find_items(name: str, values: ArrayLike, items: Array) -> IntArray:
    """Return the indices of items (n,); raise a ValueError that names the first unknown item."""
    codes = dict(zip(items.tolist(), range(len(items)), strict=True))
    names = read_items(name, values)
    for row, item in enumerate(names):
        if is_missing(item) or item not in codes:
            matches = get_close_matches(str(item), map(str, codes), n=1)
            hint = f" Did you mean {matches[0]!r}?" if matches else ""
            raise ValueError(
                f"{name} contains the item {item!r} in match {row}, which has no strength: it is not one of the "
                f"{len(items)} items_ of the fit.{hint}"
            )
    return np.fromiter(map(codes.__getitem__, names), np.int64, len(names))


def _make_rows(first, second, outcomes, weights, counts, covariates, is_merged):
    """Return the winners, losers, covariates and `row_weights` of the rows, and the counts of the distinct matches.

    If `is_merged` is true, identical matches are merged, and then the rows with the same winner and loser.
    """
    n_items = 1 + max(first.max(), second.max())
    if is_merged:
        # The order of the two items does not matter.
        outcomes = np.where(first > second, 1 - outcomes, outcomes)
        first, second = np.minimum(first, second), np.maximum(first, second)
        kinds, counts = _find_distinct_matches(first * n_items + second, outcomes, weights, counts)
        first, second, outcomes, weights, covariates = (
            values[kinds] for values in (first, second, outcomes, weights, covariates)
        )
    winners, losers = np.concatenate([first, second]), np.concatenate([second, first])
    values = np.concatenate([weights * outcomes, weights * (1 - outcomes)])
    entries = np.flatnonzero(values)
    rows, first_entries = np.arange(len(entries)), entries
    if is_merged:
        codes = (winners * n_items + losers)[entries]
        _, positions, rows = np.unique(codes, return_index=True, return_inverse=True)
        first_entries = entries[positions]
    if len(entries) == 1:
        # Two rows of half the weight have labels of both classes, which a fit requires.
        entries, first_entries, rows, values = np.repeat(entries, 2), np.repeat(entries, 2), np.arange(2), values / 2
    signed_covariates = np.concatenate([covariates, -covariates])[first_entries]
    shape = len(first_entries), len(counts)
    row_weights = sparse.csr_array((values[entries], (rows, entries % len(counts))), shape=shape)
    return winners[first_entries], losers[first_entries], signed_covariates, row_weights, counts


def _find_distinct_matches(codes, outcomes, weights, counts):
    """Return the index of one match of each kind, and the number of matches of each kind."""
    for values in (outcomes, weights):
        # The codes are made consecutive in each step, so that the products do not overflow.
        levels, levels_of_matches = np.unique(values, return_inverse=True)
        codes = np.unique(codes, return_inverse=True)[1] * len(levels) + levels_of_matches
    _, first_indices, kinds = np.unique(codes, return_index=True, return_inverse=True)
    return first_indices, np.bincount(kinds, counts).astype(np.int64)
