"""The tables that the program prints."""

from rich.console import Console

from fastlin.cli.studies import make_tables


def show(merits, pictures=()):
    console = Console(width=100, markup=False)
    with console.capture() as captured:
        console.print(*make_tables("digits.study", merits, list(pictures)))
    return [line.split() for line in captured.get().splitlines()]


def test_single_values_and_pictures():
    merits = {"final_loss": 0.123456789, "onset": None, "counts": [1, 2]}
    assert show(merits, ["digits/one.png", "digits/two.png"]) == [
        ["digits.study"],
        ["final", "loss", "0.1235"],
        ["onset", "none"],
        ["counts", "1,", "2"],
        ["pictures", "digits/one.png,", "digits/two.png"],
    ]


def test_rows_get_a_table_of_their_own():
    rows = {name: {"accuracy": value, "n_iter": 3} for name, value in (("a", 0.5), ("b", 0.25), ("c", 1.0))}
    assert show({"runs": rows, "[/x]": {"[red]": 1}})[1:] == [
        ["runs"],
        ["accuracy", "n", "iter"],
        ["a", "0.5", "3"],
        ["b", "0.25", "3"],
        ["c", "1", "3"],
        ["[/x]"],
        ["[red]", "1"],
    ]
