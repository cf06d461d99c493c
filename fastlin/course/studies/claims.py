"""The claims of the five reports, each beside what is measured here, with a verdict.

Reports A, B, C and D are of the course's assignment on MNIST, report H is of the homework on CIFAR-10. A claim names
the study that measures it and has a judge of `verdicts`, a function from the merits of that study. So the verdicts
follow from the measurements alone, whatever comes out.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastlin.course.studies import verdicts
from fastlin.course.studies.verdicts import NEEDS_WHOLE, Finding, Judge, judge_values

# These stand in place of a verdict where there is no measurement.
NEEDS_MNIST, NEEDS_CIFAR10, NOT_RUN = "needs MNIST", "needs CIFAR-10", "not run"

# The embedded digits' penalty of 1 diverges with the learning rate of the others.
OTHER_RATE = "; on the embedded digits λ = 1 has a smaller learning rate than the others"


@dataclass(frozen=True)
class Claim:
    """A claim of one or more reports.

    `reports` are their letters, by default all of the assignment. `how` says how the study measures what they say, and
    `tolerance` what decides between the verdicts; `reported` is the value that they state. `on` is the data set that
    can show the claim, "mnist" or "cifar10", where not every one can.
    """

    task: str
    study: str
    says: str
    how: str
    tolerance: str
    judge: Judge
    reports: str = "A, B, C, D"
    reported: str = "–"
    on: str = "any"


# Claims of one kind, with what they share.
about_gradients = partial(Claim, study="gradient_check", tolerance="ε² = 1e-6")
about_stops = partial(Claim, task="2d", study="early_stopping")
about_shuffling = partial(Claim, task="2e", study="shuffling")
about_weights = partial(Claim, task="4b", study="l2_weights")
about_deep_networks = partial(Claim, reports="H", study="cifar10_deep", on="cifar10")
about_the_homework = partial(Claim, reports="H", on="cifar10")

CLAIMS = (
    about_gradients(
        task="1a",
        says="The gradient of binary cross-entropy is −(y − ŷ) x.",
        how="largest difference from central differences",
        judge=verdicts.judge_gradient("binary"),
    ),
    about_gradients(
        reports="D",
        task="1a",
        says="A line of the derivation gives x ŷ (1 − ŷ) as the gradient (D writes C for ŷ).",
        how="largest difference of that line from the gradient",
        judge=judge_values(
            "{worst_difference_of_prediction_slope:.2f}",
            lambda merits: merits["worst_difference_of_prediction_slope"] <= verdicts.GRADIENT_TOLERANCE,
            "The line is the slope of the predictions, a factor in the derivation; as a gradient of the loss it is off "
            "by up to {worst_difference_of_prediction_slope:.2f}.",
        ),
    ),
    about_gradients(
        task="1b",
        says="The gradient of softmax cross-entropy is −x (yₖ − ŷₖ).",
        how="largest difference from central differences",
        judge=verdicts.judge_gradient("softmax"),
    ),
    Claim(
        reports="D",
        task="2a",
        study="images",
        says="reshape(28, 28) of a row shows the digit (reshape(8, 8) for the embedded digits).",
        how="width at which pixels that lie below one another are most alike",
        reported="28",
        tolerance="the same width",
        judge=judge_values(
            "{width_of_most_alike_rows}",
            lambda merits: merits["width_of_most_alike_rows"] == merits["side"],
            "Pixels that lie below one another are most alike in pictures {width_of_most_alike_rows} pixels wide "
            "(correlation {correlation_at_that_width:.2f}).",
        ),
    ),
    about_gradients(
        task="2a, 3a",
        says="The gradients pass the check by central differences.",
        how="largest difference over all weights of all models",
        reported="within ε²",
        judge=verdicts.judge_gradient("binary", "softmax", "softmax_l2", "softmax_half_l2"),
    ),
    Claim(
        task="2b, 2c",
        study="binary",
        says="2 against 3: the curves end in the assignment's window, loss up to .2 and accuracy from .93 to .99.",
        how="validation loss and accuracy after 50 epochs in order",
        reported="in the window",
        tolerance="the window",
        judge=judge_values(
            "loss {final_validation_loss:.3f}, accuracy {final_validation_accuracy:.3f}",
            lambda merits: (
                merits["final_validation_loss"] <= 0.2 and 0.93 <= merits["final_validation_accuracy"] <= 0.99
            ),
            "Training ends with a loss of {final_train_loss:.3f} on all training images, and with a loss of "
            "{final_validation_loss:.3f} and an accuracy of {final_validation_accuracy:.3f} on the validation images.",
        ),
        on="mnist",
    ),
    about_stops(
        reports="A, B, C",
        says="Early stopping ends the training long before its limit.",
        how="orders of 20 that stop before epoch 500",
        tolerance="confirmed where at least 18 of 20 stop, contradicted where none does",
        judge=verdicts.judge_stops,
    ),
    about_stops(
        reports="C",
        says="Training stops at epoch 33.",
        how="epoch of the stop in order",
        reported="33",
        tolerance="± 1 epoch",
        judge=judge_values(
            "{stop_epoch_in_order:.1f}",
            lambda merits: abs(merits["stop_epoch_in_order"] - 33) <= 1,
            "Without shuffling training stops after {stop_epoch_in_order:.1f} epochs.",
        ),
        on="mnist",
    ),
    about_stops(
        reports="A",
        says="Training stops at epoch 17.",
        how="range of the stops of 20 shuffled orders",
        reported="17",
        tolerance="in the range",
        judge=verdicts.judge_stop_shuffled,
        on="mnist",
    ),
    about_stops(
        reports="B",
        says="Training stops at about 550 steps, in the 19th epoch.",
        how="stop in order on 18,000 and 2,000 images drawn with seed 0",
        reported="550",
        tolerance="± 28 steps, an epoch",
        judge=verdicts.judge_stop_random_split,
        on="mnist",
    ),
    about_shuffling(
        reports="A, B, C",
        says="Shuffling gives fewer spikes.",
        how="standard deviation of successive differences, after the first epoch",
        tolerance="confirmed where they are smaller in all 4 comparisons, contradicted where in none",
        judge=verdicts.judge_spikes,
    ),
    about_shuffling(
        reports="B, C",
        says="Shuffling makes training faster.",
        how="steps to the same validation loss (.07 on MNIST), median of 10 orders",
        tolerance="confirmed where at least 8 of 10 orders are sooner, contradicted where at least 8 are later",
        judge=verdicts.judge_by_orders(
            "orders_that_reach_the_loss_sooner",
            "orders_that_reach_the_loss_later",
            "steps_to_the_loss",
            "{:,.0f} steps",
            "the steps to the same validation loss",
        ),
    ),
    about_shuffling(
        reports="B, C",
        says="Shuffling is better on validation.",
        how="validation loss after 50 epochs, median of 10 orders",
        tolerance="confirmed where at least 8 of 10 orders end lower, contradicted where at least 8 end higher",
        judge=verdicts.judge_by_orders(
            "orders_with_a_lower_final_validation_loss",
            "orders_with_a_higher_final_validation_loss",
            "final_validation_loss",
            "{:.4f}",
            "the validation loss after as many epochs",
        ),
    ),
    about_shuffling(
        reports="C",
        says="Without shuffling one batch consistently dunks the accuracy.",
        how="batches after which the validation accuracy dips",
        reported="one batch",
        tolerance="confirmed where all of several dips follow one batch, contradicted where at most half of them do",
        judge=verdicts.judge_dips,
        on="mnist",
    ),
    Claim(
        reports="B",
        task="3b, 3c",
        study="softmax",
        says="Softmax regression reaches about .924 on validation.",
        how="mean validation accuracy after step 3,800, images drawn with seed 0",
        reported=".924",
        tolerance="± .006, the standard error of 2,000 images",
        judge=judge_values(
            "{random_split_mean_late_validation_accuracy:.4f} ({random_split_least_late_validation_accuracy:.4f} to "
            "{random_split_greatest_late_validation_accuracy:.4f})",
            lambda merits: abs(merits["random_split_mean_late_validation_accuracy"] - 0.924) <= 0.006,
            "On the random split's 2,000 validation images the mean after step 3,800 is "
            "{random_split_mean_late_validation_accuracy:.4f}.",
        ),
        on="mnist",
    ),
    Claim(
        task="3d",
        study="softmax",
        says="The model overfits.",
        how="rise of the validation loss (mean of an epoch) from its lowest value to the end",
        tolerance="confirmed at a rise of 1 %, contradicted where it is smaller and validation accuracy still rises",
        judge=verdicts.judge_overfitting,
    ),
    Claim(
        task="3d",
        study="softmax",
        says="Overfitting begins at step 3,000, on report B's images at 3,800.",
        how="step from which the training accuracy (mean of an epoch) stays above the validation accuracy",
        reported="3,000, 3,800",
        tolerance="± 400 steps for both",
        judge=verdicts.judge_onset,
        on="mnist",
    ),
    about_gradients(
        reports="A, C",
        task="4a",
        says="The penalty λ‖w‖² adds 2λw to the gradient.",
        how="gradient with the penalty minus that without, largest difference from central differences of λ‖w‖²",
        judge=verdicts.judge_penalty("softmax_l2"),
    ),
    about_gradients(
        reports="B, D",
        task="4a",
        says="The penalty ½λ‖w‖² adds λw to the gradient.",
        how="gradient with the penalty minus that without, largest difference from central differences of ½λ‖w‖²",
        judge=verdicts.judge_penalty("softmax_half_l2"),
    ),
    about_weights(
        reports="B, D",
        says="λ = 2 with ½λ‖w‖² shows what λ = 1 shows with λ‖w‖².",
        how="largest difference of the two models' weights",
        tolerance="0",
        judge=judge_values(
            "{largest_difference_of_the_conventions:g}",
            lambda merits: merits["largest_difference_of_the_conventions"] == 0,
            "½λ‖w‖² with λ = 2, .2, .02, .002 is λ‖w‖² with λ = 1, .1, .01, .001; the largest difference of the "
            "weights of 2 and of 1 is {largest_difference_of_the_conventions:g}.",
        ),
    ),
    about_weights(
        says="With the penalty the weights are smoother.",
        how="differences of neighbouring pixels, by the pixels' spread",
        tolerance="confirmed where they are smaller, contradicted where they are larger",
        judge=verdicts.judge_smoother,
    ),
    about_weights(
        reports="C",
        says="With the penalty the losses are less noisy.",
        how="standard deviation of successive differences of the training and validation losses, after the first epoch",
        tolerance="confirmed where both are smaller, contradicted where both are larger",
        judge=verdicts.judge_calmer_losses,
    ),
    Claim(
        task="4c, 4d",
        study="l2_sweep",
        says="The stronger the penalty, the lower the validation accuracy.",
        how=f"best validation accuracy for λ = 1, .1, .01, .001, 0{OTHER_RATE}",
        tolerance="confirmed where a weaker penalty raises and never lowers it, contradicted where it always lowers it",
        judge=verdicts.judge_falling("best_validation_accuracy", "{:.3f}"),
    ),
    Claim(
        task="4e",
        study="l2_norm",
        says="The stronger the penalty, the shorter the weights.",
        how=f"‖w‖² for λ = 1, .1, .01, .001, 0{OTHER_RATE}",
        tolerance="confirmed where a weaker penalty raises and never lowers it, contradicted where it always lowers it",
        judge=verdicts.judge_falling("squared_norm", "{:.3g}"),
    ),
    about_the_homework(
        task="two layers",
        study="cifar10_two_layer",
        says="The two-layer network reaches .555 on training, .491 on validation and .527 on test images.",
        how="accuracies of the best epoch with the report's settings",
        reported=".555 / .491 / .527",
        tolerance="± .03 for each",
        judge=verdicts.judge_two_layers,
    ),
    about_the_homework(
        task="search",
        study="cifar10_search",
        says="Of 100 draws (135, .004786, .99, .001847, 1100, 22000) is the optimum.",
        how="its validation accuracy among 100 draws of our own",
        reported=".491",
        tolerance="confirmed within .01 of the best draw, contradicted below the median of the draws",
        judge=verdicts.judge_optimum,
    ),
    about_deep_networks(
        task="depth",
        says="With more than three hidden layers the accuracy collapses to 3 to 9 %.",
        how="best validation accuracy on 300 principal components from normal weights of 0.01, mean of 3 draws",
        reported=".03 to .09",
        tolerance="confirmed where more than 3 layers reach at most .12 (a guess has .10) and 3 layers more than .3, "
        "contradicted where a deeper network is as good as one of 3 layers",
        judge=verdicts.judge_collapse,
    ),
    about_deep_networks(
        task="batch norm",
        says="Batch normalisation of the input gains 1 to 3 points.",
        how="best validation accuracy with it minus that without, two hidden layers from normal weights of 0.01, "
        "mean of 3 draws",
        reported="+1 to +3",
        tolerance="confirmed where it gains 1 to 3 points on pixels and on centred pixels, contradicted where it "
        "costs on both",
        judge=verdicts.judge_batch_norm,
    ),
    about_deep_networks(
        task="dropout",
        says="Dropout costs 2 to 4 points.",
        how="best validation accuracy with it minus that without, by rate, on 300 principal components, two hidden "
        "layers from normal weights of 0.01, mean of 3 draws",
        reported="−2 to −4",
        tolerance="confirmed where each of the rates .2, .35 and .5 costs 2 to 4 points, contradicted where no rate "
        "costs more than 0",
        judge=verdicts.judge_dropout,
    ),
)


def judge_claims(entries: Mapping[str, dict[str, Any]], failed: Collection[str] = ()) -> list[dict[str, str]]:
    """Return a row for each claim, as plain values.

    `entries` has what was found by the name of the study: `data`, `parameters` and `merits`; studies that failed have
    no entry. A row has the texts of the claim and its `data`; what was measured, `here`; the `verdict`, or what stands
    in its place; and `because`, a sentence.
    """
    return [_judge(claim, entries.get(claim.study), claim.study in failed) for claim in CLAIMS]


def _judge(claim, entry, has_failed):
    data, reported_data = entry["data"] if entry else None, "cifar10" if claim.reports == "H" else "mnist"
    row = {
        "reports": claim.reports,
        "task": claim.task,
        "study": claim.study,
        "data": data,
        "says": claim.says,
        "how": claim.how,
        # What a report states for its own data set is no measure for another one.
        "reported": "–" if claim.on == "any" and data not in (None, reported_data) else claim.reported,
        "tolerance": claim.tolerance,
    }
    if entry is None:
        finding = Finding("–", NOT_RUN, f"The study {claim.study} {'failed' if has_failed else 'did not run'}.")
    elif claim.on not in ("any", data):
        finding = {
            "mnist": Finding("–", NEEDS_MNIST, "The reports state this for MNIST."),
            "cifar10": Finding("–", NEEDS_CIFAR10, "The report states this for CIFAR-10."),
        }[claim.on]
    elif entry["parameters"].get("quick"):
        finding = Finding("–", NEEDS_WHOLE, "A quick run is too short to judge by.")
    else:
        try:
            finding = claim.judge(entry["merits"])
        except KeyError as missing:
            finding = Finding("–", NOT_RUN, f"The study did not measure {missing.args[0]}.")
    return {**row, "here": finding.here, "verdict": finding.verdict, "because": finding.because}
