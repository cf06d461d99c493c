"""The studies of the course: verdicts of the claims on the digits and on MNIST, and the measures."""

import json
from collections import Counter
from dataclasses import replace

import naive_course
import numpy as np
import pytest
from repository import read

from fastlin.course import datasets, trainers
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES, binary, course_training, gradient_check, images, learning
from fastlin.course.studies.claims import evaluate_claims
from fastlin.course.studies.l2 import measure_relative_roughness, measure_vertical_line
from fastlin.course.studies.settings import Settings
from fastlin.course.studies.softmax import Slope, compute_mean_slope, find_gap_onset, find_lowest_loss, fit_slope
from fastlin.course.trainers.two_layer_net import TwoLayerNet

# Validations are 6 steps apart for 2 vs 3 on MNIST, and 5 steps for the random split. Rounding differs between
# processors and may shift a stop by one validation.
STEPS_PER_VALIDATION = 6
# The comparison with scikit-learn belongs to no claim and has its own tests.
COURSE_STUDIES = [name for name in STUDIES if name != "learning"]
DIGITS_SETTINGS = Settings(datasets.load_digits(), quick=True)


def evaluate_results(data, results_by_study, quick=False):
    """Return the rows of the claims that the studies measure."""
    entries = {}
    for name, results in results_by_study.items():
        parameters = {**results.parameters, "quick": quick}
        entries[name] = {"data": data.name, "parameters": parameters, "metrics": results.metrics}
    return [row for row in evaluate_claims(entries) if row["study"] in results_by_study]


def run_and_evaluate(settings, names):
    """Return the results of studies by name, and the rows of the claims that they measure."""
    results = {name: STUDIES[name](settings) for name in names}
    return results, evaluate_results(settings.data, results, settings.quick)


def assert_json_values(*values):
    """Assert that values are plain data, which JSON can store."""
    for value in values:
        assert json.loads(json.dumps(value)) == value


# The studies of networks start processes, which is slow.
@pytest.mark.parametrize("name", [*STUDIES, *(pytest.param(name, marks=pytest.mark.slow) for name in CIFAR10_STUDIES)])
def test_every_study_runs(name):
    notifications = []

    def notify(step, fraction=None):
        notifications.append((step, fraction))

    results = {**STUDIES, **CIFAR10_STUDIES}[name](Settings(DIGITS_SETTINGS.data, True, 0, notify, draws=3))
    # Only the study of images has no steps.
    assert notifications or name == "images"
    assert all(step and isinstance(step, str) for step, _ in notifications)
    fractions = [fraction for _, fraction in notifications if fraction is not None]
    assert fractions == sorted(fractions)
    if name in CIFAR10_STUDIES:
        assert fractions[0] >= 0
        assert fractions[-1] == 1
    assert results.metrics
    assert_json_values(results.metrics, results.parameters)
    assert results.parameters["data"] == "digits"


def test_the_verdicts_on_the_digits():
    # A full run takes only seconds on the digits.
    results_by_study, rows = run_and_evaluate(replace(DIGITS_SETTINGS, quick=False), COURSE_STUDIES)
    # Here only the formulas of 1a to 4a and of the homework get verdicts. Report D's formula is not a gradient.
    verdicts = {(row["study"], row["task"], row["reports"]): row["verdict"] for row in rows}
    gradient_check_verdicts = {claim: verdict for claim, verdict in verdicts.items() if claim[0] == "gradient_check"}
    assert verdicts.pop(("gradient_check", "1a", "D")) == "contradicted"
    assert len(gradient_check_verdicts) == 7
    assert all(
        verdict == ("confirmed" if claim in gradient_check_verdicts else "needs MNIST")
        for claim, verdict in verdicts.items()
    )
    # Evaluated as results on MNIST, they contain the metrics of every claim except those of random splits. They agree
    # with most claims without a reported value; for others the verdicts would be wrong.
    claims_per_verdict = {}
    for row in evaluate_results(replace(DIGITS_SETTINGS.data, name="mnist"), results_by_study):
        if row["reported"] == "–":
            claims_per_verdict.setdefault(row["verdict"], []).append((row["task"], row["reports"]))
    assert claims_per_verdict.pop("not run") == [("2b, 2c", "B")]
    # The gap is ten times that on MNIST.
    assert claims_per_verdict.pop("contradicted") == [("1a", "D"), ("3d", "C")]
    # Accuracies of 100 images are equal at the end of most orders, losses are not.
    assert claims_per_verdict.pop("depends on the measure") == [("2e", "B")]
    # A penalty does not help the network either.
    assert claims_per_verdict.pop("not confirmed") == [("4c, 4d", "C")]
    assert claims_per_verdict.keys() == {"confirmed"}
    # Steps at which a loss is reached are plain numbers too.
    assert_json_values(*(results.metrics for results in results_by_study.values()))
    # λ = 1 and λ = 2 with the factor ½ are the same penalty.
    assert results_by_study["l2_weights"].metrics["largest_difference_of_the_conventions"] == 0


def count_trainings(monkeypatch, data):
    """Run all studies on data, and return how many models of each class were trained."""
    counts, train = Counter(), trainers.BaseTrainer.train

    def count(trainer, epochs):
        counts.update([type(trainer.model).__name__])
        return train(trainer, epochs)

    monkeypatch.setattr(trainers.BaseTrainer, "train", count)
    for name in COURSE_STUDIES:
        STUDIES[name](Settings(data, quick=True))
    return counts


def test_all_studies_together_train_each_model_once(monkeypatch):
    # Softmax models: λ = 1, .1, .01, .001, 0, ½ λ = 1, and on the digits λ = 0 with the learning rate of λ = 1. The
    # models with λ = 0, λ = 1 and the last one also have a second seed.
    # Binary models: in order and 3 shuffled orders at full length, and in order and 4 shuffled orders with a stop.
    counts = count_trainings(monkeypatch, datasets.load_digits())
    assert counts == {"SoftmaxModel": 7 + 3, "BinaryModel": 4 + 5}


@pytest.mark.thorough
def test_whole_mnist_adds_the_random_split(monkeypatch):
    monkeypatch.setattr(course_training, "MAX_EPOCHS", 2)
    digits = datasets.load_digits()
    X, y = digits.X_train, digits.y_train
    rows, test_rows = np.arange(60_000) % len(X), np.arange(10_000) % len(X)
    data = datasets.Dataset("mnist", X[rows], y[rows], X[test_rows], y[test_rows])
    assert list(course_training.find_random_splits(Settings(data))) == ["0", "1", "2"]
    assert course_training.find_random_splits(Settings(data, quick=True)) == {"0": {"split": 0}}
    # Softmax models: λ = 1, .1, .01, .001, 0 and ½ λ = 1, a second seed for λ = 0 and λ = 1, and the random split.
    # Binary models: those of the digits, and two on the random split, at full length and with early stopping.
    assert count_trainings(monkeypatch, data) == {"SoftmaxModel": 6 + 2 + 1, "BinaryModel": 4 + 5 + 2}
    for other in (replace(data, X_train=data.X_train[:-1]), replace(data, name="digits")):
        assert course_training.find_random_splits(Settings(other)) == {}
    X_train, _, X_val, _ = course_training.load_images(data, "softmax", 0)
    assert (len(X_train), len(X_val)) == course_training.RANDOM_SPLIT_SIZES
    sizes = [len(part) for part in course_training.load_images(data, "softmax", None)]
    assert sizes == [20_000, 20_000, 10_000, 10_000]


def test_an_interrupted_training_is_not_a_result(monkeypatch):
    ended = {}, {}
    monkeypatch.setattr(trainers.BaseTrainer, "train", lambda self, epochs: setattr(self, "interrupted", True) or ended)
    with pytest.raises(KeyboardInterrupt):
        course_training.train(DIGITS_SETTINGS, "binary", seed=2**32 - 1)


def test_training_settings_depend_on_the_data_and_quick():
    mnist = Settings(replace(DIGITS_SETTINGS.data, name="mnist"))
    assert course_training.find_training_settings(mnist)["batch_size"] == 128
    assert course_training.find_training_settings(DIGITS_SETTINGS)["batch_size"] == 16
    quick = course_training.find_training_settings(replace(mnist, quick=True))
    assert (quick["binary_epochs"], quick["softmax_epochs"]) == (10, 5)
    assert {**quick, "binary_epochs": 50, "softmax_epochs": 50} == course_training.find_training_settings(mnist)
    described = course_training.describe_training(DIGITS_SETTINGS, "softmax")
    assert described["other_learning_rates"] == {"1": 0.01}
    assert (described["learning_rate"], described["batch_size"], described["epochs"]) == (0.1, 16, 5)


def make_training(accuracies, losses=()):
    """Return a training run of ten steps in each epoch, with a validation after every second step."""
    steps = range(0, 2 * max(len(accuracies), len(losses)), 2)
    val = {"accuracy": dict(zip(steps, accuracies, strict=False)), "loss": dict(zip(steps, losses, strict=False))}
    return course_training.TrainedModel(None, {"loss": {}, "accuracy": {}}, val, 10)


@pytest.mark.parametrize("task", ["binary", "softmax"])
def test_the_final_training_loss_averages_all_training_images(task):
    results = STUDIES[task](DIGITS_SETTINGS)
    trained, loss = results.series["trained"], results.metrics["final_train_loss"]
    X_train, Y_train, _, _ = course_training.load_images(DIGITS_SETTINGS.data, task, None)
    assert loss == pytest.approx(naive_course.cross_entropy_loss(Y_train, trained.model.forward(X_train)), rel=1e-9)
    # The loss of the last batch is different.
    assert loss != pytest.approx(course_training.get_last_value(trained.train["loss"]), rel=1e-3)


def evaluate_gradients(*tasks):
    rows = run_and_evaluate(replace(DIGITS_SETTINGS, quick=False), ["gradient_check"])[1]
    return [row["verdict"] for row in rows if row["task"] in tasks]


def test_the_gradient_of_the_penalty_is_checked_separately(monkeypatch):
    monkeypatch.setattr(gradient_check, "N_IMAGES", 20)
    assert evaluate_gradients("4a") == ["confirmed", "confirmed"]
    for factor, verdicts in ((1, ["contradicted", "confirmed"]), (2, ["confirmed", "contradicted"])):
        l2 = property(lambda model, factor=factor: factor * model.l2_reg_lambda)
        monkeypatch.setattr(trainers.SoftmaxModel, "l2", l2)
        assert evaluate_gradients("4a") == verdicts


def test_a_wrong_step_or_network_gradient_is_detected(monkeypatch):
    loss, step = TwoLayerNet.loss, trainers.SoftmaxTrainer.train_step

    def halve_gradient(network, X, y=None, reg=0.0):
        value, gradients = loss(network, X, y, reg)
        return value, {**gradients, "b1": gradients["b1"] / 2}

    tasks = "2a, 3a", "derivations"
    assert evaluate_gradients(*tasks) == ["confirmed", "confirmed"]
    with monkeypatch.context() as patch_context:
        patch_context.setattr(TwoLayerNet, "loss", halve_gradient)
        assert evaluate_gradients(*tasks) == ["confirmed", "contradicted"]
    monkeypatch.setattr(trainers.SoftmaxTrainer, "train_step", lambda self, X, Y: (step(self, X, Y), step(self, X, Y)))
    assert evaluate_gradients(*tasks) == ["contradicted", "confirmed"]


def test_dips_are_the_largest_decreases_after_the_first_epoch():
    accuracies = [0.1, 0.9, 0.1, 0.9, 0.9, *(5 * [0.9]), 0.5, 0.9, 0.85, 0.9, 0.79, 0.9]
    trained = make_training(accuracies)
    # A fall of .11 is more than a quarter of the largest fall, .4, but a fall of .05 is less.
    assert binary.find_dips(trained) == [20, 28]
    assert binary.count_dips(trained) == {"dips": 2, "batch_of_most_dips": 0, "dips_after_that_batch": 1}
    for accuracies in (np.linspace(0, 1, 20), 20 * [0.5]):
        assert binary.find_dips(make_training(accuracies)) == []
    assert len(binary.find_dips(make_training(40 * [0.9, 0.5]))) == binary.MAX_DIPS
    # Spikes are the standard deviation of differences after the first epoch.
    assert make_training(5 * [0.0] + [1.0, 2.0, 3.0]).measure_spikes({10: 1.0, 12: 2.0, 14: 3.0}) == 0
    assert trained.measure_spikes({8: 5.0, 10: 0.0, 12: 1.0, 14: 0.0}) == 1


def test_shuffled_trainings_are_compared_by_speed_and_final_loss():
    losses = [0.9, 0.11, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.13, 0.1]
    trained = make_training(np.linspace(0.1, 1, 10), losses=losses)
    # The means of five losses are .282, .122, .12, ..., and the third mean ends at step 2 * 6.
    speed = binary.measure_training_speed(trained, {"loss_to_reach": 0.121, "loss_to_stay_below": 0.12})
    assert list(speed.values()) == [2, 12, 16]
    assert list(binary.measure_final_performance(trained).values()) == [pytest.approx(0.55), 0.1, 0.1]
    comparison = binary.compare(5, [4, 6, None, 5])
    assert comparison == {"in order": 5, "shuffled, median": 5.5, "better": 1, "worse": 2, "of": 4}
    assert binary.compare(0.9, [0.95, 0.8], -1)["better"] == 1
    assert binary.compare(None, [None])["shuffled, median"] is None
    # A value that was not reached is the worst, even if higher is better.
    assert list(binary.compare(0.9, [None, 0.95], -1).values()) == [0.9, None, 1, 1, 2]


def test_the_onset_and_the_minimum_of_curves_are_found():
    for gap, onset in (([-1, 1, -1, 0, 1, 2], 4), ([1, 1, 1], 0), ([1, 1, -1], None), ([], None)):
        assert find_gap_onset(np.arange(len(gap)), np.array(gap, float)) == onset
    losses = [1 - 0.01 * i for i in range(50)] + [0.5 + 0.01 * i for i in range(50)]
    minimum = find_lowest_loss(make_training(np.linspace(0, 1, 100), losses=losses))
    # The moving average is lowest for the losses 48 to 52. Its step is the step of loss 52.
    assert minimum["lowest_validation_loss_at_step"] == 2 * 52
    assert minimum["lowest_validation_loss"] == pytest.approx(np.mean(losses[48:53]))
    assert minimum["last_mean_validation_loss"] == pytest.approx(np.mean(losses[-5:]))


def test_vertical_neighbors_are_most_correlated_at_the_width_of_the_images():
    side = 9
    wave_image = np.sin(np.arange(side)[:, np.newaxis] * 0.3) + np.cos(2.0 * np.arange(side))
    generator = np.random.default_rng(0)
    X = (wave_image.ravel() + 0.1 * generator.normal(size=(30, side * side))).astype(np.float32)
    data = datasets.Dataset("digits", X, np.zeros(30, int), X, np.zeros(30, int))
    metrics = images.study_images(Settings(data)).metrics
    assert metrics["width_of_most_alike_rows"] == metrics["side"] == side
    assert metrics["correlation_at_that_width"] > metrics["correlation_at_one_pixel_more"]


def test_all_models_of_the_learning_study_receive_the_same_rows():
    data = datasets.load_digits()
    task_data = learning.make_task_data(data, 100)
    X, Y, X_test, Y_test = task_data.arrays
    np.testing.assert_array_equal(task_data.X, data.X_train[:100] / 255)
    for rows, inputs in ((task_data.X, X), (task_data.X_test, X_test)):
        np.testing.assert_array_equal(inputs, np.hstack([2 * rows - 1, np.ones((len(rows), 1))]))
    np.testing.assert_array_equal(Y.argmax(axis=1), data.y_train[:100])
    np.testing.assert_array_equal(Y_test.argmax(axis=1), data.y_test)


def test_every_library_is_trained_with_increasing_effort():
    points = learning.study_learning(DIGITS_SETTINGS).series["points"]
    assert points.keys() == learning.LIBRARIES.keys()
    for name, row in points.items():
        assert [point["effort"] for point in row] == list(learning.LIBRARIES[name][1][:2])
        assert row[-1]["training"] in ("2 epochs", "tol 0.0001", "20 iterations")
        # A random guess has an accuracy of 0.1.
        assert row[-1]["accuracy"] > 0.6, name
    # Both libraries reach the same optimum.
    task_data = learning.make_task_data(DIGITS_SETTINGS.data, 1000)
    fits = learning.fit_fastlin(task_data, 1e-4), learning.fit_logistic_regression(task_data)
    actual, expected = (task_data.test(fit)["log_loss"] for fit in fits)
    assert actual == pytest.approx(expected, rel=0.01)


def test_a_study_on_mnist_measures_what_its_comparators_need(monkeypatch):
    """The comparators of early stopping need a random split, which requires many images."""
    data = replace(datasets.load_digits(), name="mnist")
    monkeypatch.setattr(course_training, "MAX_EPOCHS", 2)
    rows = evaluate_results(data, {"early_stopping": binary.study_early_stopping(Settings(data, quick=True))})
    assert [row["verdict"] == "not run" for row in rows] == [False, False, False, True]
    assert rows[-1]["because"] == "The study did not measure stop_steps_of_random_splits."


def test_relative_roughness_compares_pixels_of_one_row():
    # Pixels increase by 1 from left to right, so neighbors differ by 1 in a row and by 0 in a column.
    w = np.concatenate([np.tile(np.arange(4.0), 4), [100.0]])[:, np.newaxis]
    assert measure_relative_roughness(w) == pytest.approx(np.sqrt(0.5) / np.arange(4.0).std())
    assert measure_relative_roughness(3 * w) == pytest.approx(measure_relative_roughness(w))
    transposed = np.concatenate([np.repeat(np.arange(4.0), 4), [0.0]])[:, np.newaxis]
    both = np.concatenate([w, transposed], axis=1)
    assert measure_relative_roughness(both) == pytest.approx(measure_relative_roughness(w))


def test_measured_lines_have_the_expected_width_and_slant():
    side = 12
    upright_line, diagonal_line = np.zeros((side, side)), np.eye(side)
    upright_line[:, 5:7] = 1
    assert measure_vertical_line(upright_line.ravel() + 5) == pytest.approx((0.5 / side, 0, 0))
    # The columns 5 and 6 of 12 are the middle.
    assert measure_vertical_line(np.roll(upright_line, 3, axis=1).ravel() + 5)[2] == pytest.approx(3 / side)
    width, slant, _ = measure_vertical_line(diagonal_line.ravel() + 5)
    assert width == pytest.approx(np.arange(12).std() / side)
    # The middle half has the columns 3 to 8.
    assert slant == pytest.approx(np.arange(6).std() / side)


def test_slopes_are_those_of_a_line_through_epoch_means():
    generator = np.random.default_rng(0)
    steps = np.arange(0, 4_000, 20)
    noise = 0.01 * generator.normal(size=len(steps))
    slope = fit_slope(dict(zip(steps, 0.5 + 0.02 * steps / 1_000 + noise, strict=True)))
    # An accuracy that rises by .02 in 1,000 steps gains 2 points.
    assert slope.change == pytest.approx(2, abs=3 * slope.error)
    # The standard deviation of a mean of five is .01 / √5, or .447 points; that of the steps is 1,155.
    assert slope.error == pytest.approx(0.447 / 1.155 / np.sqrt(40), rel=0.25)
    ended = fit_slope({step: min(step, 2_000) / 1e5 for step in steps}, first=2_000)
    assert ended == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    assert fit_slope({0: 1.0}) == (0.0, 0.0)
    assert compute_mean_slope([slope, slope]) == (slope.change, pytest.approx(slope.error / np.sqrt(2)))
    # The slopes of these trainings differ by more than their residuals imply.
    mean_slope = compute_mean_slope([Slope(1.0, 0.1), Slope(3.0, 0.1)])
    assert mean_slope == (2.0, pytest.approx(np.sqrt(2) / np.sqrt(2)))
    assert compute_mean_slope([slope]) == slope


@pytest.mark.slow
def test_the_studies_reproduce_the_published_verdicts_and_numbers(mnist_folder):
    record = json.loads(read("docs/studies/claims.json"))
    names = ["binary", "early_stopping", "shuffling", "softmax", "l2_weights", "l2_sweep", "l2_norm"]
    results, rows = run_and_evaluate(Settings(datasets.load_mnist(folder=mnist_folder)), names)
    expected = [(row["says"], row["verdict"]) for row in record["claims"] if row["study"] in names]
    assert [(row["says"], row["verdict"]) for row in rows] == expected
    # Each of the 2,000 validation images of a random split accounts for .0005 of the accuracy.
    for study, metric, within in (
        ("early_stopping", "stop_steps_of_random_splits", {"abs": STEPS_PER_VALIDATION}),
        ("early_stopping", "stop_epochs_shuffled", {"abs": STEPS_PER_VALIDATION / 31}),
        ("softmax", "random_split_mean_late_validation_accuracy", {"abs": 0.0005}),
        ("l2_norm", "squared_norm", {"rel": 0.005}),
        ("l2_sweep", "best_validation_accuracy", {"abs": 0.0005}),
        ("l2_weights", "largest_difference_of_the_conventions", {"abs": 0}),
    ):
        assert results[study].metrics[metric] == pytest.approx(record["metrics"][study][metric], **within), metric
