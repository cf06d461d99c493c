"""Checks of fitted attributes: valid values are read, and invalid values raise an error that names the attribute."""

import numpy as np
import pytest

from fastlin.containers.fitted import (
    check_generator_state,
    check_same_structure,
    validate_array,
    validate_arrays,
    validate_count,
)

STRUCTURE_TEMPLATE = np.zeros(3), [(np.zeros((2, 2)), 5)]
GENERATOR_STATE = np.random.RandomState(0).get_state()


def test_real_numbers_of_any_type_are_read():
    for dtype in (np.float64, np.float32, np.float16, ">f8", np.int64, np.uint8, bool):
        values = np.ones((2, 3), dtype)
        assert validate_array("coef_", values, (2, 3)) is values
        assert validate_array("coef_", values.tolist(), (2, 3)).shape == (2, 3)
    assert len(validate_arrays("coefs_", [values, values[0]], [(2, 3), (3,)])) == 2
    assert [validate_count("t_", value) for value in (0, np.int32(7), 2**63 - 1)] == [0, 7, 2**63 - 1]
    check_same_structure("state", [np.ones(3, np.float32), ((np.ones((2, 2)), 0),)], STRUCTURE_TEMPLATE)
    check_generator_state("the state", GENERATOR_STATE)
    check_generator_state("the state", [*GENERATOR_STATE[:2], np.int64(GENERATOR_STATE[2]), 0, 0.0])


def replace_state_entry(index, value):
    return [*GENERATOR_STATE[:index], value, *GENERATOR_STATE[index + 1 :]]


INVALID_MATRICES = {
    r"float64 of shape \(3, 2\)": np.ones((3, 2)),
    r"float64 of shape \(2, 3, 1\)": np.ones((2, 3, 1)),
    r"float64 of shape \(\)": 0.5,
    "complex128": np.ones((2, 3), complex),
    r"object of shape \(2, 3\)": np.ones((2, 3), object),
    "<U1": np.full((2, 3), "1"),
    r"object of shape \(\)": None,
    "list": [[1, 2, 3], [1, 2]],
}
INVALID_COUNTS = -1, 2**63, True, 1.0, "1", None, np.ones(2, int)
SHAPES = [(2, 3), (3,)]
INVALID_ARGUMENT_CASES = [
    *(
        (validate_array, "coef_", values, (2, 3), rf"coef_ must be .*, got {description}")
        for description, values in INVALID_MATRICES.items()
    ),
    (validate_arrays, "coefs_", [np.ones((2, 3))], SHAPES, "coefs_ must be a list of 2 arrays, got list of 1"),
    (validate_arrays, "coefs_", None, SHAPES, "coefs_ must be a list of 2 arrays, got NoneType"),
    (
        validate_arrays,
        "coefs_",
        [np.ones((2, 3)), np.ones(1)],
        SHAPES,
        r"coefs_\[1\] must be real numbers of shape \(3,\)",
    ),
    *((validate_count, "t_", value, "t_ must be an integer of at least 0, got") for value in INVALID_COUNTS),
    (check_same_structure, "state", None, STRUCTURE_TEMPLATE, "state must be 2 values, got NoneType"),
    (check_same_structure, "state", [np.ones(3)], STRUCTURE_TEMPLATE, "state must be 2 values, got list of 1"),
    (
        check_same_structure,
        "state",
        (np.ones(1), STRUCTURE_TEMPLATE[1]),
        STRUCTURE_TEMPLATE,
        r"state\[0\] must be real numbers of shape \(3,\)",
    ),
    (
        check_same_structure,
        "state",
        (np.array([1, np.nan, 1]), STRUCTURE_TEMPLATE[1]),
        STRUCTURE_TEMPLATE,
        r"state\[0\] must be finite",
    ),
    (
        check_same_structure,
        "state",
        (np.ones(3), [(np.ones((2, 2)), -1)]),
        STRUCTURE_TEMPLATE,
        r"state\[1\]\[0\]\[1\] must be an integer",
    ),
]
INVALID_STATES = [
    (replace_state_entry(0, "PCG64"), "an MT19937 generator"),
    (replace_state_entry(1, GENERATOR_STATE[1][:-1]), r"words of the state must be real numbers of shape \(624,\)"),
    (replace_state_entry(1, GENERATOR_STATE[1].tolist()), "words of the state must be of type uint32"),
    (replace_state_entry(2, 625), "a position of at most 624"),
    (replace_state_entry(2, -1), "position of the state must be an integer"),
    (replace_state_entry(3, 2), "has_gauss 0 or 1"),
    (replace_state_entry(4, np.inf), "normal deviate of the state must be a finite number, got inf"),
    (replace_state_entry(4, "0"), "a finite number, got '0'"),
    (GENERATOR_STATE[:4], "tuple of 4"),
]
INVALID_ARGUMENT_CASES += [(check_generator_state, "the state", state, message) for state, message in INVALID_STATES]


@pytest.mark.parametrize(
    ("read", "arguments", "message"), [(case[0], case[1:-1], case[-1]) for case in INVALID_ARGUMENT_CASES]
)
def test_invalid_arrays_structures_and_states_raise_an_error(read, arguments, message):
    with pytest.raises(ValueError, match=message):
        read(*arguments)
