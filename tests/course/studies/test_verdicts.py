"""The judges of the claims: each verdict for made-up merits, and sentences that say what was measured."""

import copy
import json

import pytest

from fastlin.course.studies import verdicts
from fastlin.course.studies.claims import CLAIMS
from fastlin.course.studies.verdicts import CONFIRMED, CONTRADICTED, NEEDS_WHOLE, NOT_CONFIRMED

GRADIENTS = {"worst_difference": {"binary": 1e-9, "softmax": 2e-9, "softmax_l2": 3e-9, "softmax_half_l2": 4e-9}}
PENALTIES = {"worst_difference_of_penalty": {"softmax_l2": 5e-17, "softmax_half_l2": 2e-3}}
SWAPPED = {"worst_difference_of_penalty": {"softmax_l2": 2e-3, "softmax_half_l2": 5e-17}}


def spikes(accuracy, loss):
    return {"accuracy_spikes": accuracy, "loss_spikes": loss}


def shuffled(*, full=((0.2, 0.5), (0.1, 0.4)), stopped=((0.2, 0.5), (0.1, 0.4))):
    cases = zip(("full_length", "early_stopping"), (full, stopped), strict=True)
    return {case: {"in order": spikes(*plain), "shuffled": spikes(*other)} for case, (plain, other) in cases}


def full_length(name, plain, other):
    return {"full_length": {"in order": {name: plain}, "shuffled, median": {name: other}}, "orders": 10}


def speed(n_sooner, n_later, plain=474, other=534.0):
    merits = full_length("steps_to_the_loss", plain, other)
    return {
        **merits,
        "orders_that_reach_the_loss_sooner": n_sooner,
        "orders_that_reach_the_loss_later": n_later,
    }


def final_loss(n_lower):
    merits = full_length("final_validation_loss", 0.0663, 0.066)
    return {
        **merits,
        "orders_with_a_lower_final_validation_loss": n_lower,
        "orders_with_a_higher_final_validation_loss": 10 - n_lower,
    }


def stops(n_stopped, epochs=(13.0, 20.0, 34.7), n=20, in_order=33.5):
    epochs = [*epochs, *(epochs[-1] for _ in range(n - len(epochs)))]
    return {
        "orders_stopped_before_the_limit": n_stopped,
        "stop_epochs_shuffled": epochs,
        "median_stop_epoch_shuffled": 26.5,
        "stop_epoch_in_order": in_order,
    }


def dips(*batches):
    return {
        "dips_in_order": {str(number): {"batch": batch} for number, batch in enumerate(batches, start=1)},
        "steps_between_validations_of_a_batch": 186,
        "batches_per_epoch": 31,
    }


def losses(lowest, last, before=0.9, after=0.91):
    return {
        "lowest_validation_loss": lowest,
        "last_mean_validation_loss": last,
        "lowest_validation_loss_at_step": 3000,
        "validation_accuracy_tenth_before": before,
        "validation_accuracy_last_tenth": after,
        "steps": 7800,
    }


def onsets(step, random_split_step, after=0.91):
    return {
        "train_accuracy_overtakes_at_step": step,
        "random_split_train_accuracy_overtakes_at_step": random_split_step,
        "validation_accuracy_tenth_before": 0.9,
        "validation_accuracy_last_tenth": after,
    }


def penalised(name, plain, other):
    rows = {"0": {name: plain}, "1": {name: other}, "2, ½ convention": {name: other}}
    return {"by_lambda": {key: {"validation_accuracy_spikes": 0.01, **row} for key, row in rows.items()}}


def noisy(plain, other):
    """Return merits whose spikes of the training and the validation loss go from plain to other."""
    names = ("train_loss_spikes", "validation_loss_spikes")
    parts = [
        penalised(name, *pair)["by_lambda"] for name, pair in zip(names, zip(plain, other, strict=True), strict=True)
    ]
    return {"by_lambda": {key: {**parts[0][key], **parts[1][key]} for key in parts[0]}}


def late(mean):
    names = ("mean", "least", "greatest")
    values = (mean, mean - 0.004, mean + 0.004)
    return {f"random_split_{n}_late_validation_accuracy": value for n, value in zip(names, values, strict=True)}


def two_layers(**changes):
    reported = {"train": 0.555, "validation": 0.491, "test": 0.527}
    return {"reported": reported, "runs": {"first": {**reported, **changes}, "second": dict.fromkeys(reported, 0.0)}}


def search(optimum, best=0.52, median=0.5, rank=7, draws=100):
    return {
        "optimum_validation": optimum,
        "best_validation": best,
        "median_validation": median,
        "optimum_rank": rank,
        "draws": draws,
    }


def depths(three, *deep, he=0.45):
    row = {"2": 0.5, "3": three, **{str(4 + number): value for number, value in enumerate(deep)}}
    rows = {"normal, plain": row, "He, plain": dict.fromkeys(row, he)}
    return {"mean_best_validation_accuracy_by_hidden_layers": rows}


def normalised(pixels, components=0.45, centred=0.435):
    few = {
        f"{name}, {kind}": {"2": value}
        for name, other in (("pixels", pixels), ("centred pixels", centred))
        for kind, value in (("plain", 0.413), ("batch norm of the input", other))
    }
    deep = {"normal, plain": {"2": 0.5}, "normal, batch norm of the input": {"2": components}}
    return {"the_same_for_few_hidden_layers": few, "mean_best_validation_accuracy_by_hidden_layers": deep}


def dropped(*accuracies, rates=("0.05", "0.2", "0.35", "0.5")):
    accuracies = dict(zip(rates, accuracies, strict=True))
    few = {f"normal, dropout {rate}": {"2": accuracy} for rate, accuracy in accuracies.items()}
    return {"the_same_for_few_hidden_layers": {"normal, plain": {"2": 0.5}, **few, "pixels, plain": {"2": 0.4}}}


PAIR = {"side": 28, "correlation_at_that_width": 0.8}
CASES = [
    # The study, a word that only the claim in question says, the merits, the verdict, and what was measured.
    ("gradient_check", "ŷ) x", GRADIENTS, CONFIRMED, "1.0e-09"),
    ("gradient_check", "ŷ) x", {"worst_difference": {"binary": 1.1e-6}}, CONTRADICTED, "1.1e-06"),
    ("gradient_check", "softmax cross", GRADIENTS, CONFIRMED, "2.0e-09"),
    ("gradient_check", "pass the check", GRADIENTS, CONFIRMED, "4.0e-09"),
    ("gradient_check", "2λw", PENALTIES, CONFIRMED, "5.0e-17"),
    ("gradient_check", "2λw", SWAPPED, CONTRADICTED, "2.0e-03"),
    ("gradient_check", "½λ", PENALTIES, CONTRADICTED, "2.0e-03"),
    ("gradient_check", "½λ", SWAPPED, CONFIRMED, "5.0e-17"),
    ("gradient_check", "x ŷ (1", {"worst_difference_of_prediction_slope": 0.36}, CONTRADICTED, "0.36"),
    ("gradient_check", "x ŷ (1", {"worst_difference_of_prediction_slope": 0.0}, CONFIRMED, "0.00"),
    ("images", "reshape", {**PAIR, "width_of_most_alike_rows": 28}, CONFIRMED, "28"),
    ("images", "reshape", {**PAIR, "width_of_most_alike_rows": 27}, CONTRADICTED, "27"),
    *(
        (
            "binary",
            "window",
            {"final_validation_loss": loss, "final_validation_accuracy": accuracy, "final_train_loss": 0.065},
            verdict,
            f"loss {loss:.3f}, accuracy {accuracy:.3f}",
        )
        for loss, accuracy, verdict in [
            (0.066, 0.979, CONFIRMED),
            (0.21, 0.979, CONTRADICTED),
            (0.066, 0.92, CONTRADICTED),
            (0.066, 0.995, CONTRADICTED),
        ]
    ),
    ("early_stopping", "limit", stops(20), CONFIRMED, "20 of 20 orders"),
    ("early_stopping", "limit", stops(18), CONFIRMED, "18 of 20 orders"),
    ("early_stopping", "limit", stops(17), NOT_CONFIRMED, "17 of 20 orders"),
    ("early_stopping", "limit", stops(0), CONTRADICTED, "0 of 20 orders"),
    ("early_stopping", "epoch 33", stops(20), CONFIRMED, "33.5"),
    ("early_stopping", "epoch 33", stops(20, in_order=35.0), CONTRADICTED, "35.0"),
    ("early_stopping", "epoch 17", stops(20), CONFIRMED, "13.0 to 34.7"),
    ("early_stopping", "epoch 17", stops(20, (18.0, 30.0)), CONTRADICTED, "18.0 to 30.0"),
    ("early_stopping", "550", {"stop_step_random_split": 546, "stop_epoch_random_split": 19.5}, CONFIRMED, "546 steps"),
    ("early_stopping", "550", {"stop_step_random_split": 521, "stop_epoch_random_split": 18.6}, CONTRADICTED, "521"),
    ("shuffling", "fewer spikes", shuffled(), CONFIRMED, "accuracy 0.2000 → 0.1000, loss 0.500 → 0.400"),
    ("shuffling", "fewer spikes", shuffled(stopped=((0.2, 0.5), (0.1, 0.6))), NOT_CONFIRMED, "0.400"),
    (
        "shuffling",
        "fewer spikes",
        shuffled(full=((0.1, 0.1), (0.2, 0.2)), stopped=((0.1, 0.1), (0.1, 0.1))),
        CONTRADICTED,
        "0.2000",
    ),
    ("shuffling", "faster", speed(8, 2), CONFIRMED, "474 steps in order, 534 steps shuffled"),
    ("shuffling", "faster", speed(3, 7), NOT_CONFIRMED, "474"),
    ("shuffling", "faster", speed(2, 8), CONTRADICTED, "474"),
    ("shuffling", "faster", speed(0, 0, None, None), NOT_CONFIRMED, "not reached in order, not reached shuffled"),
    ("shuffling", "better on validation", final_loss(10), CONFIRMED, "0.0663 in order, 0.0660 shuffled"),
    ("shuffling", "better on validation", final_loss(6), NOT_CONFIRMED, "0.0663"),
    ("shuffling", "better on validation", final_loss(1), CONTRADICTED, "0.0663"),
    ("shuffling", "dunks", dips(18, 18, 18), CONFIRMED, "3 of 3 dips after batch 18 of 31"),
    ("shuffling", "dunks", dips(18, 18, 3), NOT_CONFIRMED, "2 of 3 dips after batch 18"),
    ("shuffling", "dunks", dips(18, 4, 3, 18), CONTRADICTED, "2 of 4 dips after batch 18"),
    ("shuffling", "dunks", dips(18), NOT_CONFIRMED, "1 dip"),
    ("shuffling", "dunks", dips(), NOT_CONFIRMED, "no dip"),
    ("softmax", ".924", late(0.9228), CONFIRMED, "0.9228 (0.9188 to 0.9268)"),
    ("softmax", ".924", late(0.917), CONTRADICTED, "0.9170"),
    ("softmax", "overfits", losses(0.5, 0.51), CONFIRMED, "loss lowest in step 3,000 of 7,800, then +2.0%"),
    ("softmax", "overfits", losses(0.5, 0.502), CONTRADICTED, "+0.4%"),
    ("softmax", "overfits", losses(0.5, 0.502, after=0.9), NOT_CONFIRMED, "+0.4%"),
    (
        "softmax",
        "begins",
        onsets(3000, 3800),
        CONFIRMED,
        "step 3,000, on report B's images step 3,800; validation accuracy still rises",
    ),
    ("softmax", "begins", onsets(2600, 4200, after=0.9), CONFIRMED, "validation accuracy no longer rises"),
    ("softmax", "begins", onsets(2599, 3800), CONTRADICTED, "step 2,599"),
    ("softmax", "begins", onsets(3000, 4201), CONTRADICTED, "step 4,201"),
    ("softmax", "begins", onsets(None, 3800), CONTRADICTED, "never, on report B's images step 3,800"),
    ("softmax", "begins", onsets(3000, None), CONTRADICTED, "step 3,000, on report B's images never"),
    ("l2_weights", "λ = 2", {"largest_difference_of_the_conventions": 0.0}, CONFIRMED, "0"),
    ("l2_weights", "λ = 2", {"largest_difference_of_the_conventions": 1e-12}, CONTRADICTED, "1e-12"),
    ("l2_weights", "smoother", penalised("roughness", 0.58, 0.49), CONFIRMED, "0.58 → 0.49"),
    ("l2_weights", "smoother", penalised("roughness", 0.5, 0.5), NOT_CONFIRMED, "0.50 → 0.50"),
    ("l2_weights", "less noisy", noisy((0.09, 0.005), (0.06, 0.004)), CONFIRMED, "0.0900 → 0.0600"),
    ("l2_weights", "less noisy", noisy((0.09, 0.005), (0.06, 0.006)), NOT_CONFIRMED, "validation 0.0050 → 0.0060"),
    ("l2_weights", "less noisy", noisy((0.06, 0.005), (0.09, 0.006)), CONTRADICTED, "0.0600 → 0.0900"),
    *(
        (study, word, {key: {str(number): value for number, value in enumerate(values)}}, verdict, here)
        for study, word, key in [
            ("l2_sweep", "accuracy", "best_validation_accuracy"),
            ("l2_norm", "shorter", "squared_norm"),
        ]
        for values, verdict, here in [
            ((0.25, 0.5, 0.75), CONFIRMED, "0.5"),
            ((0.25, 0.5, 0.5), CONFIRMED, "0.5"),
            ((0.25, 0.75, 0.5), NOT_CONFIRMED, "0.75"),
            ((0.75, 0.5, 0.25), CONTRADICTED, "0.5"),
            ((0.5, 0.5, 0.5), NOT_CONFIRMED, "0.5"),
            # A training that diverged shows nothing.
            ((0.25, 0.5, float("nan")), NOT_CONFIRMED, "nan"),
        ]
    ),
    ("cifar10_two_layer", "reaches", two_layers(test=0.507), CONFIRMED, "0.555 / 0.491 / 0.507"),
    ("cifar10_two_layer", "reaches", two_layers(train=0.6), CONTRADICTED, "0.600 / 0.491 / 0.527"),
    ("cifar10_search", "optimum", search(0.515), CONFIRMED, "0.515, rank 7; best draw 0.520"),
    ("cifar10_search", "optimum", search(0.505), NOT_CONFIRMED, "0.505"),
    # Fewer draws may have missed what is better.
    ("cifar10_search", "optimum", search(0.515, draws=99), NEEDS_WHOLE, "0.515"),
    ("cifar10_search", "optimum", search(0.49, draws=20), NEEDS_WHOLE, "0.490, rank 7; best draw 0.520"),
    ("cifar10_search", "optimum", search(0.49), CONTRADICTED, "0.490"),
    (
        "cifar10_deep",
        "collapses",
        depths(0.4, 0.1, 0.11),
        CONFIRMED,
        "from normal weights of 0.01: 0.40 with 3, 0.10 to 0.11 with more; from He's: 0.45 to 0.45",
    ),
    ("cifar10_deep", "collapses", depths(0.4, 0.1, 0.3), NOT_CONFIRMED, "0.10 to 0.30"),
    ("cifar10_deep", "collapses", depths(0.1, 0.1, 0.1), CONTRADICTED, "0.10 with 3"),
    ("cifar10_deep", "collapses", depths(0.4, 0.41, 0.1), CONTRADICTED, "0.10 to 0.41"),
    (
        "cifar10_deep",
        "gains",
        normalised(0.435),
        CONFIRMED,
        "pixels +2.2, centred pixels +2.2, components −5.0",
    ),
    ("cifar10_deep", "gains", normalised(0.453), NOT_CONFIRMED, "+4.0"),
    ("cifar10_deep", "gains", normalised(0.414), NOT_CONFIRMED, "+0.1"),
    ("cifar10_deep", "gains", normalised(0.4), NOT_CONFIRMED, "−1.3"),
    ("cifar10_deep", "gains", normalised(0.4, centred=0.41), CONTRADICTED, "−1.3"),
    ("cifar10_deep", "costs", dropped(0.501, 0.475, 0.47, 0.465), CONFIRMED, "+0.1 at 0.05, −2.5 at 0.2, −3.0 at 0.35"),
    ("cifar10_deep", "costs", dropped(0.499, 0.475, 0.45, 0.4), NOT_CONFIRMED, "−10.0 at 0.5"),
    ("cifar10_deep", "costs", dropped(0.499, 0.485, 0.47, 0.465), NOT_CONFIRMED, "−1.5 at 0.2"),
    ("cifar10_deep", "costs", dropped(0.501, 0.5, 0.499, 0.5), NOT_CONFIRMED, "−0.1 at 0.35"),
    ("cifar10_deep", "costs", dropped(0.501, 0.5, 0.51, 0.5), CONTRADICTED, "+1.0 at 0.35"),
]


def find_judge(study, word):
    """Return the judge of the one claim on a study that says a word."""
    (claim,) = (claim for claim in CLAIMS if claim.study == study and word in claim.says)
    return claim.judge


@pytest.mark.parametrize(("study", "word", "merits", "verdict", "here"), CASES)
def test_every_verdict(study, word, merits, verdict, here):
    before = copy.deepcopy(merits)
    finding = find_judge(study, word)(merits)
    assert finding.verdict == verdict
    assert here in finding.here
    assert finding.because.endswith(".")
    assert all(type(value) is str for value in finding)
    # The study's merits may come from results.json, and are not changed.
    assert str(merits) == str(before)
    assert find_judge(study, word)(json.loads(json.dumps(merits))) == finding


def test_every_judge_is_tried_with_more_than_one_verdict():
    tried = {}
    for study, word, _, verdict, _ in CASES:
        tried.setdefault((study, word), set()).add(verdict)
    judged = [find_judge(*case) for case in tried]
    assert all(any(claim.judge is judge for judge in judged) for claim in CLAIMS)
    # One judge serves all gradients.
    few = {case for case, found in tried.items() if len(found) < 2}
    assert few == {("gradient_check", word) for word in ("softmax cross", "pass the check")}


@pytest.mark.parametrize(
    ("judge", "merits", "words"),
    [
        (
            verdicts.judge_stop_shuffled,
            stops(20),
            "17 is in the range that 20 shuffled orders span, and 0 of them stop w",
        ),
        (
            verdicts.judge_stop_shuffled,
            stops(20, (15.9, 16.0, 17.5, 18.0, 18.1)),
            "and 3 of them stop within one epoch",
        ),
        (verdicts.judge_stop_shuffled, stops(20, (13.0, 16.5, 30.0)), "and 1 of them stops within one epoch of it"),
        (verdicts.judge_stop_shuffled, stops(20, (18.0, 30.0)), "17 is outside of the range"),
        (verdicts.judge_overfitting, losses(0.5, 0.51), "lowest in step 3,000 and ends 2.0% above that"),
        (verdicts.judge_overfitting, losses(0.5, 0.502), "ends 0.4% above that, and validation accuracy still rises"),
        (
            verdicts.judge_overfitting,
            {
                **losses(0.5, 0.502, after=0.9),
                "random_split_lowest_validation_loss_at_step": 6900,
                "random_split_rise_of_validation_loss": 0.003,
            },
            "no longer rises at the end; on report B's images the loss is lowest in step 6,900 and ends 0.3% above",
        ),
        (verdicts.judge_collapse, depths(0.4, 0.2, 0.3, he=0.45), "0.20 to 0.30 from normal weights"),
        (verdicts.judge_collapse, depths(0.4, 0.2, 0.3, he=0.45), "0.45 to 0.45 from He's initialisation."),
        (verdicts.judge_collapse, depths(0.4, 0.1, 0.1, he=0.45), "so that the claim holds for the former only."),
        (verdicts.judge_collapse, depths(0.4, 0.1, 0.1, he=0.11), "0.11 to 0.11 from He's initialisation."),
        (verdicts.judge_collapse, depths(0.2, 0.1, 0.1, he=0.45), "0.45 to 0.45 from He's initialisation."),
        (
            verdicts.judge_batch_norm,
            normalised(0.443, 0.43),
            "+3.0 points on pixels from 0 to 1, +2.2 on centred pixels, and −7.0",
        ),
        (
            verdicts.judge_dropout,
            dropped(0.47, 0.465, 0.4, 0.4),
            "names no rate; 2 to 4 points are what a rate of 0.05 or 0.2",
        ),
        (verdicts.judge_dropout, dropped(0.5, 0.49, 0.45, 0.4), "are what no rate costs, the most +10.0"),
        (verdicts.judge_dips, dips(18, 18), "every 186 steps"),
        (verdicts.judge_spikes, shuffled(stopped=((0.2, 0.5), (0.1, 0.6))), "in 3 of 4 comparisons"),
        (
            verdicts.judge_optimum,
            search(0.505),
            "whose median is 0.500, the report's optimum would have rank 7, 0.015 behi",
        ),
        (verdicts.judge_optimum, search(0.505, draws=20), "A search of 20 draws may have missed what 100,"),
    ],
)
def test_the_sentence_says_what_was_measured(judge, merits, words):
    assert words in judge(merits).because


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.task}-{claim.study}")
def test_a_judge_names_the_merit_that_is_missing(claim):
    with pytest.raises(KeyError) as missing:
        claim.judge({})
    assert isinstance(missing.value.args[0], str)


def test_penalties_are_compared_at_one_learning_rate():
    merits = penalised("roughness", 1.0, 0.9)
    merits["by_lambda"][verdicts.SAME_RATE] = {"roughness": 0.8}
    assert verdicts.judge_smoother(merits)[:2] == ("0.80 → 0.90", verdicts.CONTRADICTED)


def test_dropout_is_judged_at_all_common_rates():
    with pytest.raises(KeyError, match=r"0\.35"):
        verdicts.judge_dropout(dropped(0.475, 0.465, rates=("0.2", "0.5")))
