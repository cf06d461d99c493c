"""The judges of the claims: each is a function from the merits of a study to a `Finding`.

A judge raises KeyError where the study has not measured what the claim is about.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

CONFIRMED, NOT_CONFIRMED, CONTRADICTED = "confirmed", "not confirmed", "contradicted"
# This stands in place of a verdict where a study was too short to judge by.
NEEDS_WHOLE = "needs a whole run"
# The gradient check of the assignment admits the square of its step, 1e-3.
GRADIENT_TOLERANCE = 1e-6
# A guess among ten classes has an accuracy of .10, and the best epoch of a network that guesses has up to .02 more.
MOST_OF_A_GUESS = 0.12
# The draws of report H's search.
REPORTED_DRAWS = 100
# The steps from which reports see overfitting, and half of the distance between them.
REPORTED_ONSETS, WITHIN_STEPS = (3_000, 3_800), 400
# The rates of dropout that are common; report H names none.
COMMON_RATES = "0.2", "0.35", "0.5"
# The model without a penalty that has the learning rate of λ = 1, where that is another one.
SAME_RATE = "0, at the learning rate of λ = 1"


class Finding(NamedTuple):
    """What was measured for a claim, the verdict (or NEEDS_WHOLE in its place), and a sentence that says why."""

    here: str
    verdict: str
    because: str


def _compare(agrees, opposes):
    """Return the verdict on a measurement that agrees with the claim, shows another thing, or does neither."""
    return CONFIRMED if agrees else CONTRADICTED if opposes else NOT_CONFIRMED


# What judges the merits of a study.
Judge: TypeAlias = Callable[[dict[str, Any]], Finding]


def judge_values(here: str, agrees: Callable[[dict[str, Any]], bool], because: str) -> Judge:
    """Return a judge that confirms where the merits agree, else contradicts; both texts name merits in braces."""

    def judge(merits):
        verdict = CONFIRMED if agrees(merits) else CONTRADICTED
        return Finding(here.format_map(merits), verdict, because.format_map(merits))

    return judge


def judge_differences(because: str, merit: str, *names: str) -> Judge:
    """Return a judge of the largest difference of a merit's gradients from central differences, `here` in the text."""

    def judge(merits):
        worst = max(merits[merit][name] for name in names)
        here = f"{worst:.1e}"
        return Finding(here, CONFIRMED if worst <= GRADIENT_TOLERANCE else CONTRADICTED, because.format(here))

    return judge


judge_gradient = partial(
    judge_differences, "The largest difference from central differences is {}.", "worst_difference"
)
judge_penalty = partial(
    judge_differences,
    "What the penalty adds differs from central differences of it by at most {}.",
    "worst_difference_of_penalty",
)


def judge_stops(merits: dict[str, Any]) -> Finding:
    """Judge whether early stopping ends nine of ten trainings."""
    stopped, n = merits["orders_stopped_before_the_limit"], len(merits["stop_epochs_shuffled"])
    return Finding(
        f"{stopped} of {n} orders",
        CONFIRMED if stopped >= 0.9 * n else NOT_CONFIRMED if stopped else CONTRADICTED,
        f"Shuffled training stops after {merits['median_stop_epoch_shuffled']:.1f} epochs in the median, in order it "
        f"stops after {merits['stop_epoch_in_order']:.1f}.",
    )


def judge_stop_shuffled(merits: dict[str, Any]) -> Finding:
    """Judge whether epoch 17 is among the stops of shuffled trainings."""
    stops = merits["stop_epochs_shuffled"]
    inside = min(stops) <= 17 <= max(stops)
    n_near = sum(abs(stop - 17) <= 1 for stop in stops)
    return Finding(
        f"{min(stops):.1f} to {max(stops):.1f}",
        CONFIRMED if inside else CONTRADICTED,
        f"The stop depends on the order of the rows: 17 is {'in' if inside else 'outside of'} the range that "
        f"{len(stops)} shuffled orders span, and {n_near} of them stop{'s' * (n_near == 1)} within one epoch of it.",
    )


def judge_stop_random_split(merits: dict[str, Any]) -> Finding:
    """Judge whether training on the random split stops within an epoch of step 550."""
    step, epoch = merits["stop_step_random_split"], merits["stop_epoch_random_split"]
    return Finding(
        f"{step} steps, {epoch:.1f} epochs",
        CONFIRMED if abs(step - 550) <= 28 else CONTRADICTED,
        f"On 18,000 and 2,000 images drawn at random, in order, training stops after {step} steps, in epoch "
        f"{int(epoch)} counted from 0.",
    )


def judge_spikes(merits: dict[str, Any]) -> Finding:
    """Judge whether shuffling makes the spikes of accuracy and loss smaller."""
    pairs = [tuple(merits[case].values()) for case in ("full_length", "early_stopping")]
    falls = [shuffled[key] < plain[key] for plain, shuffled in pairs for key in ("accuracy_spikes", "loss_spikes")]
    plain, shuffled = pairs[0]
    return Finding(
        f"accuracy {plain['accuracy_spikes']:.4f} → {shuffled['accuracy_spikes']:.4f}, "
        f"loss {plain['loss_spikes']:.3f} → {shuffled['loss_spikes']:.3f}",
        CONFIRMED if all(falls) else NOT_CONFIRMED if any(falls) else CONTRADICTED,
        f"Spikes fall in {sum(falls)} of 4 comparisons, at full length and with early stopping.",
    )


def judge_by_orders(better: str, worse: str, merit: str, form: str, how: str) -> Judge:
    """Return a judge of a comparison that at least four of five shuffled orders win, or lose.

    `better` and `worse` are the merits that count the orders that win, and those that lose. Orders are compared by the
    `merit` of a training at full length, of which `how` tells and which has the format `form`.
    """

    def judge(merits):
        n_better, n_worse, n = merits[better], merits[worse], merits["orders"]
        found = (row[merit] for row in merits["full_length"].values())
        plain, shuffled = ("not reached" if value is None else form.format(value) for value in found)
        return Finding(
            f"{plain} in order, {shuffled} shuffled",
            _compare(n_better >= 0.8 * n, n_worse >= 0.8 * n),
            f"By {how}, {n_better} of {n} shuffled orders do better and {n_worse} worse than the order of the data.",
        )

    return judge


def judge_dips(merits: dict[str, Any]) -> Finding:
    """Judge whether all dips of the accuracy follow the same batch."""
    batches = [dip["batch"] for dip in merits["dips_in_order"].values()]
    if len(batches) < 2:
        return Finding("1 dip" if batches else "no dip", NOT_CONFIRMED, "The accuracy does not dip more than once.")
    most = max(set(batches), key=batches.count)
    n_most, n = batches.count(most), len(batches)
    return Finding(
        f"{n_most} of {n} dips after batch {most} of {merits['batches_per_epoch']}",
        CONFIRMED if n_most == n else NOT_CONFIRMED if n_most > n / 2 else CONTRADICTED,
        f"Validations come after the same batch every {merits['steps_between_validations_of_a_batch']} steps, and "
        f"{n_most} of {n} dips follow batch {most}, counted from 0.",
    )


def judge_overfitting(merits: dict[str, Any]) -> Finding:
    """Judge whether the validation loss rises again."""
    lowest, last = merits["lowest_validation_loss"], merits["last_mean_validation_loss"]
    rise, bottom = last / lowest - 1, merits["lowest_validation_loss_at_step"]
    gains, end = _find_gains(merits)
    return Finding(
        f"loss lowest in step {bottom:,} of {merits['steps']:,}, then {rise:+.1%}",
        _compare(rise >= 0.01, gains),
        f"Validation loss is lowest in step {bottom:,} and ends {rise:.1%} above that, and validation accuracy "
        f"{end}{_describe_random_split(merits)}.",
    )


def _find_gains(merits):
    """Say whether the validation accuracy of the last tenth is above that of the tenth before, also in words."""
    gains = merits["validation_accuracy_last_tenth"] > merits["validation_accuracy_tenth_before"]
    return gains, "still rises at the end" if gains else "no longer rises at the end"


def _describe_random_split(merits):
    if "random_split_lowest_validation_loss_at_step" not in merits:
        return ""
    step, rise = merits["random_split_lowest_validation_loss_at_step"], merits["random_split_rise_of_validation_loss"]
    return f"; on report B's images the loss is lowest in step {step:,} and ends {rise:.1%} above that"


def judge_onset(merits: dict[str, Any]) -> Finding:
    """Judge whether training accuracy overtakes validation accuracy where the reports see overfitting begin."""
    found = [merits[f"{split}train_accuracy_overtakes_at_step"] for split in ("", "random_split_")]
    near = [
        step is not None and abs(step - reported) <= WITHIN_STEPS
        for step, reported in zip(found, REPORTED_ONSETS, strict=True)
    ]
    first, second = ("never" if step is None else f"step {step:,}" for step in found)
    _, end = _find_gains(merits)
    return Finding(
        f"{first}, on report B's images {second}; validation accuracy {end}",
        CONFIRMED if all(near) else CONTRADICTED,
        "The step is that from which training accuracy stays above validation accuracy, and on the course's images "
        f"validation accuracy {end}.",
    )


def judge_smoother(merits: dict[str, Any]) -> Finding:
    """Judge whether the penalty makes the weights smoother."""
    plain, penalised = (row["roughness"] for row in _by_penalty(merits))
    here = f"{plain:.2f} → {penalised:.2f}"
    because = f"From λ = 0 to λ = 1, at one learning rate, the roughness of the weights goes {here}."
    return Finding(here, _compare(penalised < plain, penalised > plain), because)


def judge_calmer_losses(merits: dict[str, Any]) -> Finding:
    """Judge whether the penalty makes the spikes of both losses smaller."""
    rows = _by_penalty(merits)
    spikes = {what: [row[f"{what}_spikes"] for row in rows] for what in ("train_loss", "validation_loss")}
    training, validation = (f"{plain:.4f} → {penalised:.4f}" for plain, penalised in spikes.values())
    accuracies = " → ".join(f"{row['validation_accuracy_spikes']:.4f}" for row in rows)
    return Finding(
        f"training {training}, validation {validation}",
        _compare(
            all(penalised < plain for plain, penalised in spikes.values()),
            all(penalised > plain for plain, penalised in spikes.values()),
        ),
        f"From λ = 0 to λ = 1, at one learning rate, the spikes of the training loss go {training}, those of the "
        f"validation loss {validation}, and those of the validation accuracy {accuracies}.",
    )


def _by_penalty(merits):
    """Return what was measured for λ = 0 and for λ = 1, at the same learning rate."""
    rows = merits["by_lambda"]
    return [rows.get(SAME_RATE, rows["0"]), rows["1"]]


def judge_falling(key: str, form: str) -> Judge:
    """Return a judge of the merit `key`, a quantity by λ from the largest to 0, that falls as λ grows.

    `form` is the format of the quantity.
    """

    def judge(merits):
        values = list(merits[key].values())
        rises = [weak - strong for strong, weak in itertools.pairwise(values)]
        # A training that diverged has no number, which is neither a rise nor a fall.
        n_up, n_down = sum(rise > 0 for rise in rises), sum(rise < 0 for rise in rises)
        n_level = sum(rise == 0 for rise in rises)
        return Finding(
            " ".join(form.format(value) for value in values),
            _compare(n_up > 0 and n_up + n_level == len(rises), n_down == len(rises)),
            f"Of {len(rises)} steps to a weaker penalty {n_up} raise it and {n_down} lower it.",
        )

    return judge


def judge_two_layers(merits: dict[str, Any]) -> Finding:
    """Judge whether the two-layer network reaches the report's accuracies."""
    name, found = next(iter(merits["runs"].items()))
    reported = merits["reported"]
    worst = max(abs(found[part] - value) for part, value in reported.items())
    return Finding(
        " / ".join(f"{found[part]:.3f}" for part in reported),
        _compare(worst <= 0.03, worst > 0.03),
        f"With the report's settings, read as {name}, the largest distance is {worst:.3f}.",
    )


def judge_optimum(merits: dict[str, Any]) -> Finding:
    """Judge whether the report's optimum is as good as the best draw."""
    rank, best, optimum = merits["optimum_rank"], merits["best_validation"], merits["optimum_validation"]
    n, median = merits["draws"], merits["median_validation"]
    here = f"{optimum:.3f}, rank {rank}; best draw {best:.3f}"
    if n < REPORTED_DRAWS:
        because = f"A search of {n} draws may have missed what {REPORTED_DRAWS}, as many as the report's, would find."
        return Finding(here, NEEDS_WHOLE, because)
    return Finding(
        here,
        _compare(best - optimum <= 0.01, optimum < median),
        f"Among {n} draws, whose median is {median:.3f}, the report's optimum would have rank {rank}, "
        f"{best - optimum:.3f} behind the best.",
    )


def judge_collapse(merits: dict[str, Any]) -> Finding:
    """Judge whether networks of more than three hidden layers do no better than a guess."""
    rows = merits["mean_best_validation_accuracy_by_hidden_layers"]
    normal, he = rows["normal, plain"], rows["He, plain"]
    deep, deep_he = ([value for depth, value in row.items() if int(depth) > 3] for row in (normal, he))
    ranges = [f"{min(values):.2f} to {max(values):.2f}" for values in (deep, deep_he)]
    collapses = max(deep) <= MOST_OF_A_GUESS and normal["3"] > 0.3
    restricted = collapses and max(deep_he) > MOST_OF_A_GUESS
    return Finding(
        f"from normal weights of 0.01: {normal['3']:.2f} with 3, {ranges[0]} with more; from He's: {ranges[1]}",
        _compare(collapses, max(deep) >= normal["3"]),
        "The report states no initialisation; networks of more than three hidden layers reach "
        f"{ranges[0]} from normal weights of 0.01, where a guess reaches .10, and {ranges[1]} from He's "
        f"initialisation{', so that the claim holds for the former only' * restricted}.",
    )


def judge_batch_norm(merits: dict[str, Any]) -> Finding:
    """Judge whether batch normalisation of the input gains 1 to 3 points on pixels, centred or not."""
    few = merits["the_same_for_few_hidden_layers"]
    deep = merits["mean_best_validation_accuracy_by_hidden_layers"]
    raw, centred = (
        few[f"{given}, batch norm of the input"]["2"] - few[f"{given}, plain"]["2"]
        for given in ("pixels", "centred pixels")
    )
    components = deep["normal, batch norm of the input"]["2"] - deep["normal, plain"]["2"]
    return Finding(
        f"pixels {_points(raw)}, centred pixels {_points(centred)}, components {_points(components)}",
        _compare(all(0.01 <= gain <= 0.03 for gain in (raw, centred)), max(raw, centred) < 0),
        f"With two hidden layers the gain is {_points(raw)} points on pixels from 0 to 1, {_points(centred)} on "
        f"centred pixels, and {_points(components)} on principal components, where it gives those of least variance as "
        "much weight as the others.",
    )


def judge_dropout(merits: dict[str, Any]) -> Finding:
    """Judge whether dropout costs 2 to 4 points at each of the common rates."""
    few = merits["the_same_for_few_hidden_layers"]
    plain = few["normal, plain"]["2"]
    costs = {name.split()[-1]: plain - row["2"] for name, row in few.items() if name.startswith("normal, dropout")}
    greatest = max(costs.values())
    costly = [rate for rate, cost in costs.items() if 0.02 <= cost <= 0.04]
    return Finding(
        ", ".join(f"{_points(-cost)} at {rate}" for rate, cost in costs.items()),
        _compare(all(0.02 <= costs[rate] <= 0.04 for rate in COMMON_RATES), greatest <= 0),
        "The report names no rate; 2 to 4 points are what "
        + (f"a rate of {' or '.join(costly)} costs." if costly else f"no rate costs, the most {_points(greatest)}."),
    )


def _points(difference):
    """Return a difference of accuracies in points, with a sign; a line does not break after a minus."""
    return f"{100 * difference:+.1f}".replace("-", "−")
