"""What a model was left with: which values are read, and which are refused, by name."""

import numpy as np
import pytest

from fastlin.fitted import check_generator_state, check_like, read_array, read_arrays, read_count


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ">f8", np.int64, np.uint8, bool])
def test_real_numbers_of_any_type_are_read(dtype):
    values = np.ones((2, 3), dtype)
    assert read_array("coef_", values, (2, 3)) is values
    assert read_array("coef_", values.tolist(), (2, 3)).shape == (2, 3)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.ones((3, 2)), r"float64 of shape \(3, 2\)"),
        (np.ones((2, 3, 1)), r"float64 of shape \(2, 3, 1\)"),
        (0.5, r"float64 of shape \(\)"),
        (np.ones((2, 3), complex), "complex128"),
        (np.ones((2, 3), object), "object"),
        (np.full((2, 3), "1"), "<U1"),
        (None, "object"),
        ([[1, 2, 3], [1, 2]], "list"),
    ],
)
def test_other_values_are_refused(values, found):
    with pytest.raises(ValueError, match=rf"coef_ must be .*, got {found}"):
        read_array("coef_", values, (2, 3))


def test_lists_of_arrays_are_read_one_by_one():
    shapes = [(2, 3), (3,)]
    assert len(read_arrays("coefs_", [np.ones(shape) for shape in shapes], shapes)) == 2
    for values, found in (
        ([np.ones((2, 3))], "coefs_ must be a list of 2 arrays, got list of 1"),
        (None, "coefs_ must be a list of 2 arrays, got NoneType"),
        ([np.ones((2, 3)), np.ones(1)], r"coefs_\[1\] must be real numbers of shape \(3,\)"),
    ):
        with pytest.raises(ValueError, match=found):
            read_arrays("coefs_", values, shapes)


def test_counts_are_whole_numbers_that_kernels_can_count_to():
    assert [read_count("t_", value) for value in (0, np.int32(7), 2**63 - 1)] == [0, 7, 2**63 - 1]
    for value in (-1, 2**63, True, 1.0, "1", None, np.ones(2, int)):
        with pytest.raises(ValueError, match="t_ must be a whole number of at least 0, got"):
            read_count("t_", value)


LIKE = np.zeros(3), [(np.zeros((2, 2)), 5)]


def test_values_of_the_same_form_are_alike():
    check_like("state", [np.ones(3, np.float32), ((np.ones((2, 2)), 0),)], LIKE)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "state must be 2 values, got NoneType"),
        ([np.ones(3)], "state must be 2 values, got list of 1"),
        ((np.ones(1), LIKE[1]), r"state\[0\] must be real numbers of shape \(3,\)"),
        ((np.array([1, np.nan, 1]), LIKE[1]), r"state\[0\] must be finite"),
        ((np.ones(3), [(np.ones((2, 2)), -1)]), r"state\[1\]\[0\]\[1\] must be a whole number"),
    ],
)
def test_values_of_another_form_are_refused(found, message):
    with pytest.raises(ValueError, match=message):
        check_like("state", found, LIKE)


def test_states_of_generators_are_those_of_numpy():
    state = np.random.RandomState(0).get_state()
    check_generator_state("the state", state)
    check_generator_state("the state", [state[0], state[1], np.int64(state[2]), 0, 0.0])
    words = state[1]
    for place, value, message in (
        (0, "PCG64", "generator MT19937"),
        (1, words[:-1], r"words of the state must be real numbers of shape \(624,\)"),
        (1, words.tolist(), "words of the state must be of the type uint32"),
        (2, 10**9, "a position up to 624"),
        (2, 625, "a position up to 624"),
        (2, -1, "position of the state must be a whole number"),
        (3, 2, "has_gauss up to 1"),
        (4, np.inf, "normal distribution in the state must be a finite number, got inf"),
        (4, "0", "a finite number, got '0'"),
    ):
        with pytest.raises(ValueError, match=message):
            check_generator_state("the state", [*state[:place], value, *state[place + 1 :]])
    with pytest.raises(ValueError, match="tuple of 4"):
        check_generator_state("the state", state[:4])
