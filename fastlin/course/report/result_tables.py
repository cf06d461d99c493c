"""Tables of what a study found, for the page and for the console."""

import re
from dataclasses import dataclass
from typing import Any

# What merits are called in tables where their names alone do not say it.
LABELS = {
    "side": "side of the pictures",
    "width_of_most_alike_rows": "width at which pixels below one another are most alike",
    "correlation_at_that_width": "their correlation at that width",
    "correlation_at_one_pixel_more": "their correlation at one pixel more",
    "worst_difference": "largest difference from central differences",
    "worst_difference_of_penalty": "largest difference of what the penalty adds from central differences of it",
    "worst_difference_of_prediction_slope": "largest difference of report D's line from the gradient",
    "softmax_l2": "softmax with λ‖w‖²",
    "softmax_half_l2": "softmax with ½λ‖w‖²",
    "stop_epoch_in_order": "epoch of the stop in order",
    "median_stop_epoch_shuffled": "epoch of the stop shuffled, median",
    "stop_epochs_shuffled": "epochs of the stops shuffled",
    "orders_stopped_before_the_limit": "shuffled orders that stop before the limit",
    "best_validation_loss_in_order": "lowest validation loss in order",
    "median_best_validation_loss_shuffled": "lowest validation loss shuffled, median",
    "stop_epoch_of_the_first_order": "epoch of the stop, first shuffled order",
    "stop_steps_of_random_splits": "steps of the stops on random splits",
    "worst_difference_of_a_step": "largest difference of a step from its formula",
    "accuracy_spikes_of_random_splits": "the same on random splits",
    "full_length": "at full length",
    "early_stopping": "with early stopping, up to the earlier of the two stops",
    "orders": "shuffled orders",
    "comparisons_with_smaller_spikes_of_accuracy": "comparisons in which shuffling has smaller spikes of the accuracy",
    "comparisons_with_smaller_spikes_of_loss": "comparisons in which shuffling has smaller spikes of the loss",
    "speed": "speed, less is better",
    "validation": "validation at the end of the training",
    "batch_of_most_dips": "batch that most dips follow, counted from 0",
    "steps_between_validations_of_a_batch": "steps until a validation follows the same batch again",
    "dips_in_order": "dips of the validation accuracy in order",
    "train_accuracy_overtakes_at_step": "training accuracy stays above validation accuracy from step",
    "lowest_validation_loss_at_step": "validation loss (mean of an epoch) is lowest in step",
    "lowest_validation_loss": "validation loss (mean of an epoch) there",
    "last_mean_validation_loss": "validation loss (mean of an epoch) at the end",
    "random_split_mean_late_validation_accuracy": "validation accuracy after step 3,800, random split, mean",
    "random_split_least_late_validation_accuracy": "the same, lowest",
    "random_split_greatest_late_validation_accuracy": "the same, highest",
    "gap_in_points": "training above validation accuracy, last tenth, points",
    "growth_of_the_gap": "growth of that distance over the second half, points for 1,000 steps",
    "error_of_the_growth": "standard error of the growth",
    "rise_of_validation_loss": "rise of the validation loss from its lowest value, as a part of it",
    "steps_of_overtaking": "step from which training accuracy stays above validation accuracy",
    "median_step_of_overtaking": "median of these steps",
    "slopes_of_accuracy_in_points": "slopes of the accuracies on random splits, points for 1,000 steps",
    "change": "slope",
    "error": "standard error",
    "by_lambda": "by strength of the penalty",
    "2, ½ convention": "2 with ½λ‖w‖²",
    "squared_norm": "‖w‖²",
    "loss_spikes": "spikes of the training loss",
    "validation_accuracy_spikes": "spikes of the validation accuracy",
    "accuracy_spikes": "spikes of the validation accuracy",
    "relative_train_loss_spikes": "noise of the training loss",
    "relative_validation_loss_spikes": "noise of the validation loss",
    "offset_of_the_1": "offset of the 1 from the middle",
    "seeds_with_a_straighter_1": "seeds in which the 1 is narrower, straighter and in the middle with λ = 1",
    "seeds_with_calmer_losses": "seeds in which both losses have less noise with λ = 1",
    "gradient_of_the_penalty_over_that_of_the_loss": "length of the penalty's gradient by that of the loss, λ = 1",
    "gradient_at_the_end_over_that_at_the_start": "length of the whole gradient by that at the start, λ = 1",
    "largest_difference_of_the_conventions": "largest difference of the weights of λ = 1 and of λ = 2 with the half",
    "fastlin_seconds_to_scikit_learn_objective": "fastlin's seconds to scikit-learn's objective",
    "speedup_at_equal_objective": "times as fast as scikit-learn, to that objective",
    "longest_training": "the longest training of each, on rows that were not trained on",
    "speedup_whole_fit": "times as fast as scikit-learn, whole fit",
    "median_validation": "validation accuracy of the draws, median",
    "best_validation": "validation accuracy of the best draw",
    "optimum_validation": "validation accuracy of the report's optimum",
    "behind_the_best": "how far it is behind the best draw",
    "optimum_rank": "its rank among the draws",
    "mean_best_validation_accuracy_by_hidden_layers": "best validation accuracy, mean of the draws",
    "the_same_for_few_hidden_layers": "the same with few hidden layers",
    "reported": "the report's accuracies",
    "hidden": "hidden units",
    "decay": "decay of the learning rate",
    "reg": "regularisation",
}
# What the names of rows or columns are, by the merit.
HEADS = {
    "worst_difference": "model",
    "worst_difference_of_penalty": "model",
    "by_lambda": "λ",
    "best_validation_accuracy": "λ",
    "best_validation_accuracy_of_a_network": "λ",
    "squared_norm": "λ",
    "speed": "measure",
    "validation": "measure",
    "slopes_of_accuracy_in_points": "accuracy",
    "best_beyond_three_hidden_layers": "reading",
    "with_three_hidden_layers": "reading",
    "points_gained_by_batch_norm_of_the_input": "given",
    "points_lost_by_dropout": "setting and rate",
    "dips_in_order": "dip",
    "mean_best_validation_accuracy_by_hidden_layers": "hidden layers",
    "the_same_for_few_hidden_layers": "hidden layers",
}


@dataclass(frozen=True)
class Table:
    """A table of texts; the title is empty where its rows say it, and so are the headings of single values."""

    title: str
    columns: tuple
    rows: tuple


def tabulate(merits: dict[str, Any]) -> list[Table]:
    """Return the Tables of a study's merits, first the table of all single values, if there are any.

    A dict of dicts has its own table. Other dicts are columns; dicts with the same keys share a table.
    """
    singles, tables = [], []
    alike: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, value in merits.items():
        if not isinstance(value, dict) or not value:
            singles.append((_label(name), format_value(value)))
        elif all(isinstance(row, dict) for row in value.values()):
            # A page is longer than wide.
            upright = len(value) == 1 or len(next(iter(value.values()))) <= len(value)
            tables.append(_make_table(_label(name), name, value if upright else _transpose(value)))
        else:
            alike.setdefault(tuple(value), {})[name] = value
    tables += [_make_table("", next(iter(columns)), _transpose(columns)) for columns in alike.values()]
    return [Table("", (), tuple(singles))] * bool(singles) + tables


def _transpose(rows):
    return {column: {name: row[column] for name, row in rows.items()} for column in next(iter(rows.values()))}


def _make_table(title, merit, rows):
    """Return a Table of rows by name, which all have the same columns."""
    columns = list(next(iter(rows.values())))
    return Table(
        title,
        (HEADS.get(merit, ""), *map(_label, columns)),
        tuple((_label(name), *(format_value(row[column]) for column in columns)) for name, row in rows.items()),
    )


def _label(name):
    """Return a merit's name in words."""
    return LABELS.get(name) or re.sub(r"\btrain\b", "training", name.replace("_", " "))


def format_value(value: Any, digits: int = 4) -> str:
    """Return a value as text; floats have `digits` significant digits, or two decimals from 1000 on."""
    if isinstance(value, dict):
        return ", ".join(f"{_label(key)} {format_value(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(format_value(item, 3) for item in value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        text = f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.2f}"
        # A line may break after a hyphen, but not after a minus.
        return text.replace("-", "−")
    return f"{value:,}" if isinstance(value, int) else str(value)
