"""Texts with placeholders, and the paths of their values."""

import pytest

from fastlin.course.text_templates import fill_placeholders, find


def test_find_returns_the_value_at_a_path():
    metrics = {"a": {"b, c": {"0.1": 3}}, "d": 1}
    assert find(metrics, "a/b, c/0.1") == 3
    for path in ("a/b", "a/b, c/1", "d/e", "x"):
        with pytest.raises(KeyError) as missing:
            find(metrics, path)
        assert missing.value.args == (path,)


def test_fill_in_formats_numbers_dicts_lists_and_none():
    metrics = {"a": {"b, c": -1.25, "d": 2.0}, "e": [1, None], "f": 1.5e-9}
    text = fill_placeholders("{a:.1f}; {a/b, c:+.2f}; {e}; {f:.1e}; no placeholder", metrics)
    assert text == "−1.2, 2.0; −1.25; 1, never; 1.5e-09; no placeholder"
    with pytest.raises(KeyError, match="a/x"):
        fill_placeholders("{a/x}", metrics)
