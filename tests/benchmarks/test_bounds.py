"""The bounds of the benchmarks are unique, belong to existing cases, and are reported when violated."""

import json
import subprocess
from operator import itemgetter

import numpy as np
import pytest

from benchmarks import published
from benchmarks.bounds import ANY_MACHINE, BOUND_MEASURES, BOUNDS_FILE, describe_violations, find_bounds, read_bounds
from benchmarks.processes import FIRST_USE_TITLES
from benchmarks.published import find_instruction_set_level, name_machine
from benchmarks.suite import CASES, COMPARISONS
from fastlin.kernels.machine.levels import INSTRUCTION_SET_LEVELS

ONE = {"case": "digits", "machine": ANY_MACHINE, "measure": "ratio", "at least": 3}
get_bound_key = itemgetter("case", "machine", "measure")
X86_64_V4_BOUND = {"case": "digits", "machine": "x86-64-v4", "measure": "ratio", "at least": 5}


def test_each_bound_belongs_to_one_existing_case():
    bounds = read_bounds()
    assert len(set(map(get_bound_key, bounds))) == len(bounds)
    for bound in bounds:
        assert bound["case"] in {*CASES, *FIRST_USE_TITLES}
        assert bound["machine"] in {ANY_MACHINE, *INSTRUCTION_SET_LEVELS}
        assert bound["measure"] in BOUND_MEASURES
        assert len({"at least", "at most"} & bound.keys()) == 1


def test_no_bound_is_looser_than_the_committed_one():
    # This test fails until a looser bound is committed, so no bound is loosened by accident.
    command = ["git", "show", f"HEAD:./{BOUNDS_FILE.name}"]
    try:
        shown = subprocess.run(command, cwd=BOUNDS_FILE.parent, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git checkout")
    current_bounds = {get_bound_key(bound): bound for bound in read_bounds()}
    for bound in json.loads(shown.stdout):
        now = current_bounds.get(get_bound_key(bound), {})
        assert now.get("at least", -1) >= bound.get("at least", -1), bound
        assert now.get("at most", np.inf) <= bound.get("at most", np.inf), bound


def test_every_comparison_has_a_bound():
    assert find_bounds([ONE, X86_64_V4_BOUND], "digits", "x86-64-v4") == [X86_64_V4_BOUND]
    assert find_bounds([ONE, X86_64_V4_BOUND], "digits", "x86-64-v3") == [ONE]
    assert find_bounds([ONE, X86_64_V4_BOUND], "letter", "x86-64-v3") == []
    # A comparison on one thread has the bounds of the same comparison on all threads.
    assert find_bounds([ONE, X86_64_V4_BOUND], "digits-one-thread", "x86-64-v3") == [ONE]
    # BLAS cannot multiply bytes.
    missing = [
        comparison
        for comparison in COMPARISONS
        if comparison != "pass-uint8" and not find_bounds(read_bounds(), comparison, "x86-64-v3")
    ]
    assert not missing


def test_a_broken_bound_is_reported():
    libraries = {"fastlin": {"seconds": 2.0}, "scikit-learn": {"seconds": 1.0}, "NumPy": {"seconds": 4.0}}
    record = {"title": "digits", "data": "10 × 2", "ratio": 2.5, "speed_fraction": 0.5, "libraries": libraries}
    (sentence,) = describe_violations([ONE], {"digits": record}, "x86-64-v3")
    words = "{} times as fast as its baseline"
    assert sentence == f"digits, 10 × 2: {words.format(2.5)}; the bound is at least {words.format(3)}."
    assert describe_violations([ONE], {"digits": {**record, "ratio": 3.0}}, "x86-64-v3") == []
    # A baseline that was stopped early has only a lower bound.
    assert describe_violations([ONE], {"digits": {**record, "is_bound": True}}, "x86-64-v3") == []
    bound = {"case": "import", "machine": ANY_MACHINE, "measure": "seconds beyond scikit-learn's", "at most": 0.5}
    (sentence,) = describe_violations([bound], {"import": record}, "x86-64-v3")
    assert "1 s more than scikit-learn; the bound is at most 0.5 s more than scikit-learn." in sentence
    record["ratios"] = {"to its objective": 3.0, "PyTorch to its objective": None, "PyTorch to fastlin's": 4.0}
    libraries["statsmodels newton"] = {"seconds": 8.0}
    libraries["fastlin"]["additional_bytes"] = 7_000_000
    assert [measure(record) for measure, _ in BOUND_MEASURES.values()] == [
        2.5,
        2.0,
        4.0,
        7.0,
        0.5,
        2.0,
        1.0,
        3.0,
        0.0,
        4.0,
    ]


def test_a_machine_name_has_the_level_processor_and_core_count(tmp_path, monkeypatch):
    assert find_instruction_set_level() in {*INSTRUCTION_SET_LEVELS, "none"}
    processor_name = "Intel(R) Xeon(R) CPU @ 2.80GHz (icelake-server)"
    assert name_machine(processor_name, 2) == "intel-xeon-cpu-2-80ghz-icelake-server-2-processors"
    assert name_machine("AMD EPYC (znver3)", 1) == "amd-epyc-znver3-1-processor"
    assert name_machine("AMD EPYC (znver3)", 2, 2) == "amd-epyc-znver3-2-cores"
    assert name_machine("AMD EPYC (znver3)", 1, 1) == "amd-epyc-znver3-1-core"
    monkeypatch.setattr(published, "CPU_FOLDER", tmp_path)
    assert published.count_cores() is None
    for number, sibling_threads in enumerate(("0-1", "0-1", "2-3", "2-3")):
        (tmp_path / f"cpu{number}" / "topology").mkdir(parents=True)
        (tmp_path / f"cpu{number}" / "topology" / "thread_siblings_list").write_text(f"{sibling_threads}\n")
    assert published.count_cores() == 2
    machine = {"processor": "AMD EPYC", "processors": 2, "cores": None}
    assert published.format_machine_title(machine) == "AMD EPYC, 2 processors"
    assert published.format_machine_title({**machine, "cores": 1}) == "AMD EPYC, 2 hardware threads of one core"
    assert (
        published.format_machine_title({**machine, "processors": 4, "cores": 2})
        == "AMD EPYC, 4 hardware threads of 2 cores"
    )
