"""The tables that the program prints."""

from rich.console import Console

from fastlin.cli.studies import make_claims_table, make_tables


def show(merits, pictures=()):
    console = Console(width=100, markup=False)
    with console.capture() as captured:
        console.print(make_tables("digits.study", merits, list(pictures)))
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


def test_the_claims_stand_in_lines_that_fit_into_a_terminal():
    claims = [
        {
            "reports": "A, B, C, D",
            "task": "batch norm",
            "says": "The stronger the penalty, the lower the validation accuracy [/x].",
            "reported": ".555 / .491 / .527",
            "here": "accuracy 0.0069 → 0.0026, loss 0.053 → 0.041",
            "verdict": verdict,
        }
        for verdict in ("not confirmed", "contradicted", "needs a whole run")
    ]
    console = Console(width=80, markup=False)
    with console.capture() as captured:
        console.print(make_claims_table(claims))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["report", "task", "claim", "there", "here", "verdict"]
    firsts = [line.split() for line in lines if line.startswith("ABCD")]
    assert [line[:3] for line in firsts] == [["ABCD", "batch", "norm"]] * 3
    assert [
        line.rstrip().endswith(claim["verdict"])
        for line, claim in zip([line for line in lines if line.startswith("ABCD")], claims, strict=True)
    ] == [True] * 3
    assert "[/x]" in captured.get()
