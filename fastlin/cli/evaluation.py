"""Scores of predicted probabilities, calibration, and thresholds of predictions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from sklearn.metrics import log_loss, precision_recall_curve, precision_recall_fscore_support, roc_auc_score

from fastlin.cli.arguments import CommandError
from fastlin.cli.data_files import MAX_LISTED_NAMES
from fastlin.typing import Array, FloatArray, IntArray

N_BINS = 10


class Calibration(NamedTuple):
    """Bins of rows with similar probabilities: the number of rows, the mean probability, and the fraction of events."""

    counts: IntArray
    probabilities: FloatArray
    fractions: FloatArray

    @property
    def error(self) -> float:
        """The mean absolute difference between probabilities and fractions, weighted by the number of rows."""
        return float(np.average(np.abs(self.probabilities - self.fractions), weights=self.counts))


class EvaluatedRows(NamedTuple):
    """Rows with labels: the indices `codes` (n,) of their classes, and the predicted probabilities (n, n_classes)."""

    codes: IntArray
    probabilities: FloatArray


class ThresholdRule(NamedTuple):
    """How to choose a threshold: "number", "f1" or "recall", and the number or the smallest recall."""

    kind: str
    value: float = np.nan


def describe_class_counts(labels: Array) -> str:
    """Return the number of rows and the percentage of each class; the largest classes come first."""
    classes, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = [f"{classes[k]} {counts[k]:,} ({counts[k] / len(labels):.2%})" for k in order[:MAX_LISTED_NAMES]]
    n_more = len(classes) - len(shown)
    return ", ".join([*shown, *[f"and {n_more:,} more"] * (n_more > 0)])


def predict_codes(probabilities: FloatArray, threshold: float | None) -> IntArray:
    """Return the index of the predicted class of each row.

    With a `threshold`, the second of two classes is predicted if its probability is at least the threshold. Without
    one, the most probable class is predicted.
    """
    if threshold is None:
        return probabilities.argmax(axis=1)
    return (probabilities[:, 1] >= threshold).astype(np.intp)


def compute_scores(rows: EvaluatedRows, threshold: float | None, class_fractions: FloatArray) -> dict[str, float]:
    """Return the scores of rows by name.

    `class_fractions` (n_classes,) are the fractions of the training rows, which are the probabilities of the null
    model. The AUC is NaN if a class has no rows. With more than two classes, it is the mean over the classes of the AUC
    of each class vs the others. With a threshold, precision, recall and F1 of the second class are added.
    """
    codes, probabilities = rows
    n_rows, n_classes = probabilities.shape
    predicted_codes = predict_codes(probabilities, threshold)
    classes = np.arange(n_classes)
    has_all_classes = len(np.unique(codes)) == n_classes
    ranks = {"y_score": probabilities[:, 1]} if n_classes == 2 else {"y_score": probabilities, "multi_class": "ovr"}
    scores = {
        "rows": n_rows,
        "accuracy": float(np.mean(predicted_codes == codes)),
        "  largest class": float(np.mean(codes == np.argmax(class_fractions))),
        "log loss": log_loss(codes, probabilities, labels=classes),
        "  null model": log_loss(codes, np.tile(class_fractions, (n_rows, 1)), labels=classes),
        "AUC": roc_auc_score(codes, **ranks) if has_all_classes else np.nan,
        "calibration error": compute_calibration(rows).error,
    }
    if threshold is not None:
        values = precision_recall_fscore_support(codes, predicted_codes, average="binary", zero_division=0.0)
        scores |= dict(zip(("precision", "recall", "F1"), values[:3], strict=True))
    return scores


def format_scores(scores: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the lines of a table with a row for each score and a column for each set of rows."""
    yield " " * 17 + "".join(f"{name:>12}" for name in scores)
    for key in next(iter(scores.values())):
        cells = [f"{column[key]:,}" if key == "rows" else f"{column[key]:.4f}" for column in scores.values()]
        yield f"{key:<17}" + "".join(f"{cell.replace('nan', '-'):>12}" for cell in cells)


def compute_calibration(rows: EvaluatedRows) -> Calibration:
    """Return the calibration in ten bins with equal numbers of rows; rows with equal probabilities share a bin.

    For two classes, the event is the second class. For more classes, the event is that the most probable class is
    correct, as in Guo et al. (2017), "On calibration of modern neural networks", section 2.
    """
    codes, probabilities = rows
    if probabilities.shape[1] == 2:
        event_probabilities, is_event = probabilities[:, 1], codes == 1
    else:
        event_probabilities, is_event = probabilities.max(axis=1), codes == probabilities.argmax(axis=1)
    borders = np.quantile(event_probabilities, np.linspace(0, 1, N_BINS + 1)[1:-1])
    bins = np.searchsorted(borders, event_probabilities)
    counts = np.bincount(bins, minlength=N_BINS)
    sums = [np.bincount(bins, weights=values, minlength=N_BINS) for values in (event_probabilities, is_event)]
    used = counts > 0
    return Calibration(counts[used], *(total[used] / counts[used] for total in sums))


def parse_threshold(text: str, has_validation: bool) -> ThresholdRule:
    """Return the rule that the option --threshold gives; raise a CommandError if it is invalid."""
    rule = ThresholdRule("f1") if text == "f1" else None
    with contextlib.suppress(ValueError):
        value = float(text.removeprefix("recall="))
        if text.startswith("recall="):
            rule = ThresholdRule("recall", value) if 0 < value <= 1 else None
        else:
            rule = ThresholdRule("number", value) if 0 <= value <= 1 else None
    if rule is None:
        accepted = "a probability from 0 to 1, f1, or a recall above 0, such as recall=0.9"
        raise CommandError(f"--threshold must be {accepted}; got {text!r}")
    if rule.kind != "number" and not has_validation:
        raise CommandError(
            f"--threshold {text} is chosen on validation rows; give them with --validation FILE, or give a number"
        )
    return rule


def choose_threshold(rule: ThresholdRule, rows: EvaluatedRows) -> float:
    """Return the threshold that a rule chooses for validation rows.

    For "f1", it maximizes F1. For "recall", it is the largest threshold with at least this recall. Candidates are the
    probabilities of the second class.
    """
    if rule.kind == "number":
        return rule.value
    if not rows.codes.any():
        raise CommandError(
            f"--threshold {rule.kind} requires validation rows of the second class, but there are none; give a number"
        )
    precision, recall, thresholds = precision_recall_curve(rows.codes, rows.probabilities[:, 1])
    # The last precision and recall have no threshold.
    precision, recall = precision[:-1], recall[:-1]
    if rule.kind == "recall":
        return float(thresholds[np.flatnonzero(recall >= rule.value)[-1]])
    with np.errstate(invalid="ignore"):
        f1 = 2 * precision * recall / (precision + recall)
    return float(thresholds[np.nanargmax(f1)])


def note_single_prediction(probabilities: FloatArray, threshold: float | None, classes: Array) -> Iterator[str]:
    """Yield a note if all rows have the same prediction, although another class is expected in at least one row."""
    codes = np.unique(predict_codes(probabilities, threshold))
    n_expected = float(len(probabilities) - probabilities[:, codes[0]].sum())
    if len(codes) == 1 and n_expected >= 1:
        remedy = "; to predict both classes, fit with --threshold or --class-weight balanced" * (len(classes) == 2)
        yield (
            f"all {len(probabilities):,} rows are predicted as {classes[codes[0]]!s}, although their probabilities "
            f"imply that about {n_expected:,.0f} rows belong to other classes{remedy}"
        )
