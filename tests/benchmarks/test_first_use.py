"""What the first use costs, with processes replaced by given times."""

from itertools import count

import pytest

from benchmarks import processes
from benchmarks.processes import TITLES, measure_first_use


@pytest.fixture
def caches(monkeypatch):
    """Replace processes; return the list of the folders that they were given."""
    given, numbers = [], count(1)

    def run(module, cache):
        given.append(cache)
        return [float(next(numbers)), 10.0 * len(given)]

    monkeypatch.setattr(processes, "run_first", run)
    return given


def test_the_first_fit_ever_has_a_folder_of_its_own_that_later_processes_load_from(caches):
    records = measure_first_use(whole=True)
    assert records.keys() == TITLES.keys()
    seconds = {case: [each["seconds"] for each in record["contenders"].values()] for case, record in records.items()}
    # The first process took 1 second for the import and 10 for both; then the sides took turns.
    assert seconds == {"import": [6, 7], "first-fit": [60, 70], "first-fit-ever": [10, 70]}
    assert len(set(caches)) == 1
    assert caches[0] is not None


def test_without_it_processes_load_from_the_folder_of_the_user(caches):
    records = measure_first_use()
    assert records.keys() == TITLES.keys() - {"first-fit-ever"}
    # The first of three has compiled what the folder lacked.
    assert caches == [None] * 3
    assert [each["seconds"] for each in records["import"]["contenders"].values()] == [2, 3]
