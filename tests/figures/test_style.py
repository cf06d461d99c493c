"""How pictures are saved."""

import pytest

from fastlin.figures.style import make_figure, save_figure


def test_a_picture_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    figure = make_figure(2, 2)
    assert save_figure(figure, tmp_path, "a.png") == "a.png"
    before = (tmp_path / "a.png").read_bytes()
    assert before.startswith(b"\x89PNG")

    def save_half(file, **options):
        with open(file, "wb") as opened:
            opened.write(b"half")
        raise OSError("full")

    monkeypatch.setattr(figure, "savefig", save_half)
    with pytest.raises(OSError, match="full"):
        save_figure(figure, tmp_path, "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before
