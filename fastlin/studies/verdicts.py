"""The judges of the claims: each is a function from the merits of a study to a `Finding`.

A judge raises KeyError where the study has not measured what the claim is about.
"""

import itertools
from typing import NamedTuple

CONFIRMED, NOT_CONFIRMED, CONTRADICTED = "confirmed", "not confirmed", "contradicted"
# The gradient check of the assignment admits the square of its step, 1e-3.
GRADIENT_TOLERANCE = 1e-6
# The draws of report H's search.
REPORTED_DRAWS = 100
# The model without a penalty that has the learning rate of λ = 1, where that is another one.
SAME_RATE = "0, at the learning rate of λ = 1"


class Finding(NamedTuple):
    """What was measured for a claim.

    Attributes
    ----------
    here : str
        What was measured.
    verdict : str
        CONFIRMED, NOT_CONFIRMED or CONTRADICTED.
    because : str
        One sentence that says why.
    """

    here: str
    verdict: str
    because: str


def _compare(agrees, opposes):
    """Return the verdict on a measurement that agrees with the claim, shows another thing, or does neither."""
    return CONFIRMED if agrees else CONTRADICTED if opposes else NOT_CONFIRMED


def judge_gradient(*names):
    """Return a judge of gradients that agree with central differences."""

    def judge(merits):
        worst = max(merits["worst_difference"][name] for name in names)
        verdict = _compare(worst <= GRADIENT_TOLERANCE, worst > GRADIENT_TOLERANCE)
        return Finding(f"{worst:.1e}", verdict, f"The largest difference from central differences is {worst:.1e}.")

    return judge


def judge_prediction_slope(merits):
    """Judge whether x Ĉ (1 − Ĉ) is the gradient of the loss."""
    worst = merits["worst_difference_of_prediction_slope"]
    same = worst <= GRADIENT_TOLERANCE
    return Finding(
        f"{worst:.2f}",
        CONFIRMED if same else CONTRADICTED,
        "The line is the slope of the predictions, a factor in the derivation; as a gradient of the loss it is off by "
        f"up to {worst:.2f}.",
    )


def judge_same_models(merits):
    """Judge whether both conventions of the penalty give the same weights."""
    difference = merits["largest_difference_of_the_conventions"]
    return Finding(
        f"{difference:g}",
        CONFIRMED if difference == 0 else CONTRADICTED,
        "½λ‖w‖² with λ = 2, .2, .02, .002 is λ‖w‖² with λ = 1, .1, .01, .001; the largest difference of the weights of "
        f"2 and of 1 is {difference:g}.",
    )


def judge_width(merits):
    """Judge whether pixels are most alike at the width of the pictures."""
    side, width = merits["side"], merits["width_of_most_alike_rows"]
    return Finding(
        f"{width}",
        CONFIRMED if width == side else CONTRADICTED,
        f"Pixels that lie below one another are most alike in pictures {width} pixels wide "
        f"(correlation {merits['correlation_at_that_width']:.2f}).",
    )


def judge_binary_window(merits):
    """Judge whether the curves of 2 against 3 end in the window of the assignment's plots."""
    loss, accuracy = merits["final_validation_loss"], merits["final_validation_accuracy"]
    inside = loss <= 0.2 and 0.93 <= accuracy <= 0.99
    return Finding(
        f"loss {loss:.3f}, accuracy {accuracy:.3f}",
        CONFIRMED if inside else CONTRADICTED,
        f"Training ends with a loss of {merits['final_train_loss']:.3f} on all training images, and with a loss of "
        f"{loss:.3f} and an accuracy of {accuracy:.3f} on the validation images.",
    )


def judge_stops(merits):
    """Judge whether early stopping ends nine of ten trainings."""
    stopped, n = merits["orders_stopped_before_the_limit"], len(merits["stop_epochs_shuffled"])
    return Finding(
        f"{stopped} of {n} orders",
        CONFIRMED if stopped >= 0.9 * n else NOT_CONFIRMED if stopped else CONTRADICTED,
        f"Shuffled training stops after {merits['median_stop_epoch_shuffled']:.1f} epochs in the median, in order it "
        f"stops after {merits['stop_epoch_in_order']:.1f}.",
    )


def judge_stop_in_order(merits):
    """Judge whether training in order stops in epoch 33."""
    stop = merits["stop_epoch_in_order"]
    return Finding(
        f"{stop:.1f}",
        CONFIRMED if abs(stop - 33) <= 1 else CONTRADICTED,
        f"Without shuffling training stops after {stop:.1f} epochs.",
    )


def judge_stop_shuffled(merits):
    """Judge whether epoch 17 is among the stops of shuffled trainings."""
    stops = merits["stop_epochs_shuffled"]
    inside = min(stops) <= 17 <= max(stops)
    return Finding(
        f"{min(stops):.1f} to {max(stops):.1f}",
        CONFIRMED if inside else CONTRADICTED,
        f"The stop depends on the order of the rows, and 17 is {'in' if inside else 'outside of'} the range that "
        f"{len(stops)} shuffled orders span.",
    )


def judge_stop_random_split(merits):
    """Judge whether training on the random split stops within an epoch of step 550."""
    step, epoch = merits["stop_step_random_split"], merits["stop_epoch_random_split"]
    return Finding(
        f"{step} steps, {epoch:.1f} epochs",
        CONFIRMED if abs(step - 550) <= 28 else CONTRADICTED,
        f"On 18,000 and 2,000 images drawn at random, in order, training stops after {step} steps, in epoch "
        f"{int(epoch)} counted from 0.",
    )


def judge_spikes(merits):
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


def judge_by_orders(better, worse, describe):
    """Return a judge of a comparison that at least four of five shuffled orders win, or lose.

    Parameters
    ----------
    better, worse : str
        The merits that count the orders that win, and those that lose.
    describe : callable
        The function from the merits to what was measured, and to how orders are compared.
    """

    def judge(merits):
        n_better, n_worse, n = merits[better], merits[worse], merits["orders"]
        here, how = describe(merits)
        return Finding(
            here,
            _compare(n_better >= 0.8 * n, n_worse >= 0.8 * n),
            f"By {how}, {n_better} of {n} shuffled orders do better and {n_worse} worse than the order of the data.",
        )

    return judge


def describe_speed(merits):
    """Return the steps to the same validation loss, and how orders are compared by them."""
    found = (row["steps_to_the_loss"] for row in merits["full_length"].values())
    plain, shuffled = ("not reached" if steps is None else f"{steps:,.0f} steps" for steps in found)
    return f"{plain} in order, {shuffled} shuffled", "the steps to the same validation loss"


def describe_final_loss(merits):
    """Return the final validation losses, and how orders are compared by them."""
    plain, shuffled = (row["final_validation_loss"] for row in merits["full_length"].values())
    return f"{plain:.4f} in order, {shuffled:.4f} shuffled", "the validation loss after as many epochs"


def judge_dips(merits):
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


def judge_random_split_accuracy(merits):
    """Judge whether the accuracy on the random split is .924, within a standard error."""
    mean = merits["random_split_mean_late_validation_accuracy"]
    least, greatest = (merits[f"random_split_{name}_late_validation_accuracy"] for name in ("least", "greatest"))
    return Finding(
        f"{mean:.4f} ({least:.4f} to {greatest:.4f})",
        CONFIRMED if abs(mean - 0.924) <= 0.006 else CONTRADICTED,
        f"On the random split's 2,000 validation images the mean after step 3,800 is {mean:.4f}.",
    )


def judge_overfitting(merits):
    """Judge whether the validation loss rises again."""
    lowest, last = merits["lowest_validation_loss"], merits["last_mean_validation_loss"]
    rise = last / lowest - 1
    onset, bottom = merits["train_accuracy_overtakes_at_step"], merits["lowest_validation_loss_at_step"]
    rising = merits["validation_accuracy_last_tenth"] > merits["validation_accuracy_tenth_before"]
    if rise >= 0.01:
        verdict, why = CONFIRMED, f"validation loss is lowest in step {bottom:,} and ends {rise:.1%} above that"
    elif rising:
        verdict, why = CONTRADICTED, f"validation loss ends {rise:.1%} above its lowest while validation accuracy rises"
    else:
        verdict, why = (
            NOT_CONFIRMED,
            f"validation loss ends {rise:.1%} above its lowest, and validation accuracy stalls",
        )
    above = (
        "ends below validation accuracy" if onset is None else f"is above validation accuracy from step {onset:,} on"
    )
    return Finding(
        f"loss lowest in step {bottom:,} of {merits['steps']:,}, then {rise:+.1%}",
        verdict,
        f"Training accuracy {above}; {why}{_describe_random_split(merits)}.",
    )


def _describe_random_split(merits):
    if "random_split_lowest_validation_loss_at_step" not in merits:
        return ""
    step, rise = merits["random_split_lowest_validation_loss_at_step"], merits["random_split_rise_of_validation_loss"]
    return f"; on the random split it is lowest in step {step:,} and ends {rise:.1%} above that"


def judge_smoother(merits):
    """Judge whether the penalty makes the weights smoother."""
    plain, penalised = (row["roughness"] for row in _by_penalty(merits))
    here = f"{plain:.2f} → {penalised:.2f}"
    because = f"From λ = 0 to λ = 1, at one learning rate, the roughness of the weights goes {here}."
    return Finding(here, _compare(penalised < plain, penalised > plain), because)


def judge_calmer_losses(merits):
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


def judge_falling(key, form):
    """Return a judge of a quantity that falls as λ grows.

    Parameters
    ----------
    key : str
        The merit that holds the quantity by λ, from the largest λ to 0.
    form : str
        The format of the quantity.
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


def judge_two_layers(merits):
    """Judge whether the two-layer network reaches the report's accuracies."""
    name, found = next(iter(merits["runs"].items()))
    reported = merits["reported"]
    worst = max(abs(found[part] - value) for part, value in reported.items())
    return Finding(
        " / ".join(f"{found[part]:.3f}" for part in reported),
        _compare(worst <= 0.03, worst > 0.03),
        f"With the report's settings, read as {name}, the largest distance is {worst:.3f}.",
    )


def judge_optimum(merits):
    """Judge whether the report's optimum is as good as the best draw."""
    rank, best, here = merits["optimum_rank"], merits["best_validation"], merits["optimum_validation"]
    n, median = merits["draws"], merits["median_validation"]
    # Fewer draws than the report's may have missed what is better.
    return Finding(
        f"{here:.3f}, rank {rank}; best draw {best:.3f}",
        _compare(best - here <= 0.01 and n >= REPORTED_DRAWS, here < median),
        f"Among {n} draws the report's optimum would have rank {rank}, {best - here:.3f} behind the best.",
    )


def judge_collapse(merits):
    """Judge whether networks of more than three hidden layers do no better than a guess."""
    rows = merits["mean_best_validation_accuracy_by_hidden_layers"]
    normal, he = rows["normal, plain"], rows["He, plain"]
    deep, deep_he = ([value for depth, value in row.items() if int(depth) > 3] for row in (normal, he))
    fails = max(deep) <= 0.12 and normal["3"] > 0.3
    return Finding(
        f"{normal['3']:.2f} with 3, {min(deep):.2f} to {max(deep):.2f} with more",
        CONFIRMED if fails else NOT_CONFIRMED if max(deep) < normal["3"] else CONTRADICTED,
        "The report states no initialisation; networks of more than three hidden layers reach "
        f"{min(deep):.2f} to {max(deep):.2f} from normal weights of 0.01 and {min(deep_he):.2f} to {max(deep_he):.2f} "
        "from He's initialisation, where a guess reaches .10.",
    )


def judge_batch_norm(merits):
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


def judge_dropout(merits):
    """Judge whether dropout costs 2 to 4 points at one of the rates."""
    few = merits["the_same_for_few_hidden_layers"]
    plain = few["normal, plain"]["2"]
    costs = {name.split()[-1]: plain - row["2"] for name, row in few.items() if "dropout" in name}
    greatest = max(costs.values())
    costly = [rate for rate, cost in costs.items() if 0.02 <= cost <= 0.04]
    return Finding(
        ", ".join(f"{_points(-cost)} at {rate}" for rate, cost in costs.items()),
        CONFIRMED if costly else NOT_CONFIRMED if greatest > 0.02 else CONTRADICTED,
        "The report names no rate; 2 to 4 points are what "
        + (f"a rate of {' or '.join(costly)} costs." if costly else f"no rate costs, the most {_points(greatest)}."),
    )


def _points(difference):
    return f"{100 * difference:+.1f}"
