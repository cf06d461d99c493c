"""Strings that are safe to print in a terminal."""

import pytest

from fastlin.environment.terminal import make_printable


@pytest.mark.parametrize(
    ("text", "printable_text"),
    [
        ("größe λ ‖w‖² 年 '\"\\", "größe λ ‖w‖² 年 '\"\\"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("right\roverwritten\n", r"right\roverwritten\n"),
        ("a\x08b\x00\x7f", r"a\x08b\x00\x7f"),
        ("txt.\u202egpj", r"txt.\u202egpj"),
        ("\udc80", r"\udc80"),
    ],
)
def test_control_characters_are_escaped(text, printable_text):
    assert make_printable(text) == printable_text
    assert make_printable(printable_text) == printable_text
