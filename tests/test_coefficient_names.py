"""Coefficient lookup by name, pair or index, compared with an exhaustive search."""

import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises

from fastlin.coefficient_names import (
    INTERCEPT,
    CoefficientName,
    OmittedCategories,
    append_intercept,
    are_intercepts,
    find_coefficient_indices,
)

NAME_PARTS = "a", "b", "a_b", "b_a", "nan"


def make_names(generator):
    """Return coefficient names of a random table, many of them ambiguous, and of categories without coefficients."""
    names, reference_categories, unused_categories = [], [], []
    for _ in range(generator.integers(1, 6)):
        column = str(generator.choice(NAME_PARTS))
        if generator.random() < 0.3:
            names.append(f"{column}_{generator.choice(NAME_PARTS)}" if generator.random() < 0.5 else column)
            continue
        categories = generator.permutation(np.array([*NAME_PARTS, 1, 2.5], object))[: generator.integers(1, 5)].tolist()
        categories += [np.nan] * generator.integers(2)
        for category in categories:
            owner = (
                names
                if generator.random() < 0.7
                else reference_categories
                if generator.random() < 0.5
                else unused_categories
            )
            owner.append(CoefficientName(f"{column}_{category}", column, category))
    return append_intercept(np.array(names, object), generator.random() < 0.5), OmittedCategories(
        reference_categories, unused_categories
    )


def matches(key, name):
    """Return whether a name or a pair matches a coefficient name."""
    if isinstance(key, str):
        return str(name) == key
    column, category = key
    if not isinstance(name, CoefficientName) or name.column != column:
        return False
    return pd.isna(name.category) if pd.isna(category) else name.category == category


def test_names_and_pairs_find_their_coefficients():
    generator, n_unique_cases, n_ambiguous_cases, n_omitted_cases = np.random.default_rng(0), 0, 0, 0
    for _ in range(300):
        names, omitted_categories = make_names(generator)
        all_names = [*names, *omitted_categories.reference_categories, *omitted_categories.unused_categories]
        pairs = [(name.column, name.category) for name in all_names if getattr(name, "column", None) is not None]
        for key in {*map(str, all_names)} | {*pairs}:
            matching_indices = [index for index, name in enumerate(all_names) if matches(key, name)]
            if len(matching_indices) > 1:
                n_ambiguous_cases += 1
                with pytest.raises(ValueError, match="is ambiguous") as raised:
                    find_coefficient_indices("features", [key], names, omitted_categories)
                text = str(raised.value)
                for index in matching_indices:
                    name = all_names[index]
                    pair = (getattr(name, "column", None), getattr(name, "category", None))
                    assert pair[0] is None or repr(pair) in text
                    assert index >= len(names) or f"index {index}" in text
            elif matching_indices[0] >= len(names):
                n_omitted_cases += 1
                assert_raises(
                    "which has no coefficient. Remove it",
                    find_coefficient_indices,
                    "R",
                    [key],
                    names,
                    omitted_categories,
                )
            else:
                n_unique_cases += 1
                assert (
                    find_coefficient_indices("features", [key], names, omitted_categories).tolist() == matching_indices
                )
        indices = np.arange(len(names))
        assert (
            not len(indices)
            or find_coefficient_indices("features", indices, names, omitted_categories).tolist() == indices.tolist()
        )
    assert min(n_unique_cases, n_ambiguous_cases, n_omitted_cases) > 100


NAMES = append_intercept(
    np.array(
        ["p", CoefficientName("p_q_r", "p", "q_r"), CoefficientName("p_q_r", "p_q", "r"), "p", "intercept"], object
    ),
    True,
)
OMITTED_CATEGORIES = OmittedCategories([CoefficientName("p_a", "p", "a")], [CoefficientName("p_nan", "p", np.nan)])


def find(features, **options):
    return find_coefficient_indices("features", features, NAMES, OMITTED_CATEGORIES, **options).tolist()


def test_errors_for_ambiguous_names_list_the_candidates():
    pair = (
        r"\('p', 'q_r'\), index 1; \('p_q', 'r'\), index 2. Use the pair .*=\[\('p', 'q_r'\)\] or the index, .*=\[1\]"
    )
    assert_raises(rf"The name 'p_q_r' in features is ambiguous: {pair}", find, "p_q_r")
    assert_raises(r"column 'p', index 0; column 'p', index 3. Use the index, for example features=\[0\]", find, ["p"])
    assert_raises("column 'intercept', index 4; the intercept, index 5", find, "intercept")
    assert_raises(
        "a matrix with a row for each class, whose index 1 selects column 1 for every class",
        find,
        "p_q_r",
        allows_indices=False,
    )
    assert_raises("features selects 'p_a', the reference category of its column, which has no", find, "p_a")
    assert_raises(r"features selects \('p', None\), a category without rows", find, [("p", None)])
    assert_raises(r"is a sequence of two names.*in a list: features=\[\('p', 'q_r'\)\]", find, ("p", "q_r"))
    unknown_name_message = (
        "There is no coefficient {}: features must be names of coefficients, pairs .* indices from 0 to 5"
    )
    for features in (["x9"], [6], [-1], [True], [0.5], [[1]], [("p", ["q_r"])], [("p", "q_r", "s")]):
        assert_raises(unknown_name_message.format(".*"), find, features)
    assert_raises("pairs \\(column, category\\), each at most once. The names are", find, 1, allows_indices=False)
    for features in ([], [1, ("p", "q_r")], [2, 2]):
        assert_raises("at least one and each at most once", find, features)
    assert find(3) == [3]
    assert find([np.int64(2), ("p", "q_r"), 5]) == [2, 1, 5]


def test_names_are_strings_and_survive_pickling():
    copied = pickle.loads(pickle.dumps(NAMES))
    assert copied.tolist() == NAMES.tolist()
    assert (copied[2].column, copied[2].category) == ("p_q", "r")
    assert are_intercepts(copied).tolist() == [False] * 5 + [True]
    assert (str(INTERCEPT), INTERCEPT.column) == ("intercept", None)
