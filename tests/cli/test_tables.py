"""The tables that the program prints."""

from rich.console import Console

from fastlin.cli.tables import make_tables


def show(merits, pictures=()):
    console = Console(width=100)
    with console.capture() as captured:
        console.print(make_tables("digits.study", merits, list(pictures)))
    return [line.split() for line in captured.get().splitlines()]


def test_single_values_and_pictures():
    lines = show(
        {"final_loss": 0.123456789, "large": 123456.789, "onset": None, "counts": [1, 2], "inner": {"a_b": 0.5}},
        ["one.png", "two.png"],
    )
    assert lines == [
        ["digits.study"],
        ["final", "loss", "0.12346"],
        ["large", "123,456.79"],
        ["onset", "none"],
        ["counts", "1", "2"],
        ["inner", "a", "b", "0.5"],
        ["pictures", "one.png,", "two.png"],
    ]


def test_rows_get_a_table_of_their_own_and_few_long_rows_become_columns():
    rows = {name: {"accuracy": value, "n_iter": 3} for name, value in (("a", 0.5), ("b", 0.25), ("c", 1.0))}
    assert show({"runs": rows})[1:] == [
        ["runs"],
        ["accuracy", "n", "iter"],
        ["a", "0.5", "3"],
        ["b", "0.25", "3"],
        ["c", "1", "3"],
    ]
    assert show({"runs": {"a": rows["a"]}})[1:] == [["runs"], ["a"], ["accuracy", "0.5"], ["n", "iter", "3"]]
