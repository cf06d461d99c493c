"""Texts that are fit for a terminal."""


def make_printable(text: str) -> str:
    r"""Return a text whose unprintable signs are written as by ``repr``, such as ``\x1b`` for an escape.

    Names of columns and files come from others. A terminal would take sequences in them for commands, which move the
    cursor, change the colours or the title, or hide what stands before.
    """
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
