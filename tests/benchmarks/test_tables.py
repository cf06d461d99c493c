"""Tables of records: a row for each, bold where fastlin is slower or takes more than allowed."""

import io

from benchmark_records import make_race

from benchmarks.tables import print_tables, tabulate

NOTHING = {"accuracy": None, "log_loss": None}
PASS = {"fastlin": {"seconds": 0.5, **NOTHING}, "scikit-learn": {"seconds": 0.25, **NOTHING}}


def test_a_race_is_bold_where_fastlin_is_slower_or_wrong():
    fast = make_race(0.05, 1.0, gap=-3e-5)
    fast["contenders"]["scikit-learn"]["threads"] = 1
    slow = make_race(contenders=PASS, ratio=0.5, threads=1)
    records = {"fast": fast, "slow": slow, "wrong": make_race(fault="fastlin has not converged")}
    (table,) = tabulate(records)
    assert " | ".join(table.rows[0]) == (
        "digits, 10 × 2 | 0.9000 / 0.8000 | 0.2500 / 0.5000 | 20 | 50 ms | 1 s | scikit-learn, 1 thread | -3e-05"
    )
    assert table.rows[1][0] == "digits, 10 × 2, 1 thread"
    assert table.rows[1][1:3] == ["", ""]
    assert table.rows[1][6] == "scikit-learn"
    assert table.bold == [False, True, True]


def test_every_kind_has_a_table_of_its_own():
    seconds = {"fastlin": {"seconds": 0.02}, "its arithmetic": {"seconds": 0.01}}
    limit = {"kind": "limit", "title": "a pass", "data": "", "contenders": seconds, "limit": "its arithmetic"}
    memory = {"kind": "memory", "title": "a fit", "X_bytes": 10**6, "fit_bytes": 3 * 10**6, "allowed_bytes": 2 * 10**6}
    contenders = {"fastlin": {"seconds": 1.25}, "scikit-learn": {"seconds": 1.5}}
    records = {
        "limit": {**limit, "part": 0.5},
        "memory": memory,
        "import": {"kind": "first use", "title": "the import", "data": "", "contenders": contenders},
        "race": make_race(0.05, 1.0, fault="wrong"),
        "scaling": {"kind": "scaling"},
    }
    with_peer = tabulate({"memory": {**memory, "peer_bytes": 4 * 10**6}})
    assert with_peer[0].rows == [["a fit", "1.0 MB", "3.0 MB", "2.0 MB", "4.0 MB"]]
    tables = tabulate(records)
    assert [table.rows[0] for table in tables[1:]] == [
        ["a pass", "20 ms", "its arithmetic", "10 ms", "50%"],
        ["a fit", "1.0 MB", "3.0 MB", "2.0 MB"],
        ["the import", "1.25 s", "1.50 s", "-0.25 s"],
    ]
    assert [table.bold for table in tables] == [[True], [False], [True], [False]]
    text = io.StringIO()
    print_tables(tables, text)
    for table in tables:
        assert table.title in text.getvalue()
