"""Texts with braces, and the paths of what they name."""

import pytest

from fastlin.course.texts import find, write


def test_a_path_leads_to_a_merit_and_a_missing_one_is_named():
    metrics = {"a": {"b, c": {"0.1": 3}}, "d": 1}
    assert find(metrics, "a/b, c/0.1") == 3
    for path in ("a/b", "a/b, c/1", "d/e", "x"):
        with pytest.raises(KeyError) as missing:
            find(metrics, path)
        assert missing.value.args == (path,)


def test_texts_take_numbers_dicts_lists_and_what_was_never_reached():
    metrics = {"a": {"b, c": -1.25, "d": 2.0}, "e": [1, None], "f": 1.5e-9}
    text = write("{a:.1f}; {a/b, c:+.2f}; {e}; {f:.1e}; no place", metrics)
    assert text == "−1.2, 2.0; −1.25; 1, never; 1.5e-09; no place"
    with pytest.raises(KeyError, match="a/x"):
        write("{a/x}", metrics)
