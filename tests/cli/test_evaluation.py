"""Scores, calibration and thresholds: agreement with exhaustive searches and scikit-learn, and printed notes."""

from fractions import Fraction

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_auc_score

from fastlin.cli.evaluation import (
    EvaluatedRows,
    ThresholdRule,
    choose_threshold,
    compute_calibration,
    compute_scores,
    note_single_prediction,
    predict_codes,
)
from fastlin.cli.model_file import read_model

FIT_CHURN = "fit", "churn.csv", "--target", "churned", "--drop", "customer", "--impute", "median", "--dates"
PREDICT = "predict", "model.skops"
# Few distinct values, so that rows have equal probabilities.
ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=40)


def make_rows(codes, probabilities):
    probabilities = np.asarray(probabilities, float)
    return EvaluatedRows(np.asarray(codes, int), np.column_stack([1 - probabilities, probabilities]))


def count_f1_and_recall(codes, predicted):
    n_correct = sum(code and prediction for code, prediction in zip(codes, predicted, strict=True))
    return Fraction(2 * n_correct, sum(codes) + sum(predicted)), Fraction(n_correct, sum(codes))


@given(ROWS, st.integers(1, 20))
def test_thresholds_equal_those_of_an_exhaustive_search(pairs, n_twentieths):
    codes, twentieths = [code for code, _ in pairs], [number for _, number in pairs]
    codes[0] = True
    rows = make_rows(codes, np.array(twentieths) / 20)
    scores = {}
    for candidate in set(twentieths):
        scores[candidate / 20] = count_f1_and_recall(codes, [number >= candidate for number in twentieths])
    threshold = choose_threshold(ThresholdRule("f1"), rows)
    # Two thresholds with the same F1 can differ by rounding errors of a few units in the last place.
    assert scores[threshold][0] == max(f1 for f1, _ in scores.values())
    recall = Fraction(n_twentieths, 20)
    sufficient = [candidate for candidate, (_, r) in scores.items() if float(r) >= float(recall)]
    assert choose_threshold(ThresholdRule("recall", float(recall)), rows) == max(sufficient)
    assert choose_threshold(ThresholdRule("number", 0.3), rows) == 0.3


@given(ROWS)
def test_calibration_equals_that_of_scikit_learn(pairs):
    codes, probabilities = np.array(pairs, float).T / [[1], [20]]
    calibration = compute_calibration(make_rows(codes, probabilities))
    fractions, means = calibration_curve(codes, probabilities, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(calibration.fractions, fractions, rtol=1e-14)
    np.testing.assert_allclose(calibration.probabilities, means, rtol=1e-14)
    assert calibration.counts.sum() == len(codes)
    np.testing.assert_allclose(calibration.counts @ calibration.fractions, codes.sum(), rtol=1e-14)
    error = np.average(abs(fractions - means), weights=calibration.counts)
    np.testing.assert_allclose(calibration.error, error, rtol=1e-13, atol=1e-15)


def test_a_probability_equal_to_the_threshold_predicts_the_second_class():
    probabilities = make_rows([0, 0, 1], [0.3, 0.5, 0.6]).probabilities
    for threshold, expected in ((None, [0, 0, 1]), (0.5, [0, 1, 1]), (0.3, [1, 1, 1]), (1.0, [0, 0, 0])):
        np.testing.assert_array_equal(predict_codes(probabilities, threshold), expected)


def test_scores_of_three_classes():
    generator = np.random.default_rng(0)
    probabilities, codes = generator.dirichlet([1, 2, 3], 500), generator.integers(0, 3, 500)
    fractions = np.array([0.2, 0.3, 0.5])
    scores = compute_scores(EvaluatedRows(codes, probabilities), None, fractions)
    expected = {
        "rows": 500,
        "accuracy": np.mean(probabilities.argmax(axis=1) == codes),
        "  largest class": np.mean(codes == 2),
        "log loss": -np.log(probabilities[np.arange(500), codes]).mean(),
        "  null model": -np.log(fractions[codes]).mean(),
        "AUC": np.mean([roc_auc_score(codes == k, probabilities[:, k]) for k in range(3)]),
    }
    for name, score in expected.items():
        np.testing.assert_allclose(scores[name], score, rtol=1e-13)
    assert np.isnan(compute_scores(EvaluatedRows(np.minimum(codes, 1), probabilities), None, fractions)["AUC"])
    # The event is that the most probable class is correct.
    calibration = compute_calibration(EvaluatedRows(codes, probabilities))
    np.testing.assert_allclose(calibration.counts @ calibration.fractions, 500 * scores["accuracy"], rtol=1e-13)


def test_the_note_on_a_single_prediction():
    classes = np.array(["no", "yes"])
    rows = make_rows([0] * 100, [0.014] * 100).probabilities
    (note,) = note_single_prediction(rows, None, classes)
    assert note.startswith("all 100 rows are predicted as no, although their probabilities imply that about 1 rows")
    assert "fit with --threshold or --class-weight balanced" in note
    assert list(note_single_prediction(rows[:70], None, classes)) == []
    assert list(note_single_prediction(np.vstack([rows, [[0.1, 0.9]]]), None, classes)) == []
    (note,) = note_single_prediction(rows, 0.01, classes)
    assert "all 100 rows are predicted as yes" in note
    (note,) = note_single_prediction(np.tile([0.2, 0.3, 0.5], (10, 1)), None, np.arange(3))
    assert note.startswith("all 10 rows are predicted as 2") and "--threshold" not in note


def read_scores(printed):
    """Return the printed table of scores as a DataFrame."""
    lines = printed.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["training"])
    columns, rows = lines[start].split(), {}
    for line in lines[start + 1 :]:
        if len(line) != 17 + 12 * len(columns):
            return pd.DataFrame(rows, index=columns)
        rows[line[:17].strip()] = [float(cell.replace(",", "")) for cell in line[17:].split()]


def test_a_model_that_predicts_one_class_gets_a_note(churn, run):
    printed = run(*FIT_CHURN, "--C", "1e-6").stdout
    scores = read_scores(printed).loc["training"]
    assert scores["accuracy"] == scores["largest class"] == 0.986
    assert abs(scores["log loss"] - scores["null model"]) < 2e-3
    note = "rows are predicted as no, although their probabilities imply that about"
    assert f"Note: all 2,000 {note} 28 rows belong to other classes; to predict both classes, fit with" in printed
    printed = run(*PREDICT, "new.csv", "--target", "churned").stdout
    assert printed.startswith("accuracy 0.9860 on 1,000 rows\nlargest class no: 0.9860 of these rows\n")
    assert f"Note: all 1,000 {note}" in printed
    assert max(map(len, printed.splitlines()[:2])) <= 80


@pytest.mark.parametrize("threshold", [pytest.param("0.05", marks=pytest.mark.thorough), "f1", "recall=0.9"])
def test_thresholds_apply_to_predictions(churn, run, tmp_path, threshold):
    call = (*FIT_CHURN, "--validation", "val.csv", "--threshold", threshold, "--figure", "calibration.png")
    printed = run(*call).stdout
    saved = read_model("model.skops")
    rule = f"yes is predicted if its probability is at least {saved.threshold:.6g}, otherwise no\n"
    assert f"threshold     {rule}" in printed
    scores = read_scores(printed)
    assert scores.index.tolist() == ["training", "validation"]
    assert scores.loc["validation", "rows"] == 1_500
    if threshold.startswith("recall"):
        assert scores.loc["validation", "recall"] >= 0.9
    # The scores of the training rows are those of the predictions of the saved model.
    predictions = {}
    for name in ("churn", "new"):
        assert rule in run(*PREDICT, f"{name}.csv").stdout
        predictions[name] = pd.read_csv(tmp_path / "predictions.csv")
        is_positive = predictions[name]["probability of yes"] >= saved.threshold
        assert is_positive.nunique() == 2
        np.testing.assert_array_equal(predictions[name]["prediction"] == "yes", is_positive)
    is_yes = churn["churn"]["churned"] == "yes"
    probability, predicted = predictions["churn"]["probability of yes"], predictions["churn"]["prediction"] == "yes"
    expected = {
        "rows": 2_000,
        "accuracy": np.mean(predicted == is_yes),
        "largest class": 0.986,
        "log loss": log_loss(is_yes, probability),
        "null model": log_loss(is_yes, np.full(2_000, 0.014)),
        "AUC": roc_auc_score(is_yes, probability),
        "precision": is_yes[predicted].mean(),
        "recall": predicted[is_yes].mean(),
    }
    for name, score in expected.items():
        # Scores have four decimals.
        np.testing.assert_allclose(scores.loc["training", name], score, atol=5.1e-5, rtol=0)
    assert matplotlib.image.imread(tmp_path / "calibration.png").shape == (572, 825, 4)


def test_invalid_thresholds_print_one_line(churn, run, assert_error, tmp_path):
    churn["val"].assign(churned="no").to_csv(tmp_path / "no.csv", index=False)
    accepted = "--threshold must be a probability from 0 to 1, f1, or a recall above 0, such as recall=0.9; got"
    for call, message in (
        ("1.5", f"{accepted} '1.5'"),
        ("nan", f"{accepted} 'nan'"),
        ("recall=0", f"{accepted} 'recall=0'"),
        ("precision=0.5", f"{accepted} 'precision=0.5'"),
        ("f1=1", f"{accepted} 'f1=1'"),
        ("number=0.5", f"{accepted} 'number=0.5'"),
        ("f1", "--threshold f1 is chosen on validation rows; give them with --validation FILE, or give a number"),
        ("recall=0.9", "--threshold recall=0.9 is chosen on validation rows; give them with --validation FILE, or"),
        ("f1 --validation no.csv", "--threshold f1 requires validation rows of the second class, but there are none"),
        ("0.5 --target region", "--threshold requires two classes, but churn.csv has 20; leave it out"),
    ):
        assert_error(message, *FIT_CHURN, "--threshold", *call.split())


def test_balanced_class_weights_are_those_of_the_estimator(churn, run, tmp_path):
    run(*FIT_CHURN)
    plain = read_model("model.skops")
    printed = run(*FIT_CHURN, "--class-weight", "balanced").stdout
    assert "Note: with --class-weight, probabilities are those of equally frequent classes" in printed
    balanced = read_model("model.skops")
    assert (plain.model.class_weight, balanced.model.class_weight) == (None, "balanced")
    run(*PREDICT, "churn.csv")
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    is_yes = churn["churn"]["churned"] == "yes"
    # Without a penalty on the intercept, the weighted mean probability is the weighted fraction, one half.
    means = predictions.groupby(is_yes)["probability of yes"].mean()
    np.testing.assert_allclose(means.mean(), 0.5, atol=1e-3)
