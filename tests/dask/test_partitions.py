"""Where partitions go, and what a fit needs to begin."""

import importlib
import sys

import dask.dataframe
import pytest

from fastlin.dask import LogisticRegression
from fastlin.dask.cluster import Cluster

from .conftest import cut, make_rows


def test_without_a_client_the_error_says_how_to_get_one():
    with pytest.raises(ValueError, match="There is no Dask client"):
        LogisticRegression().fit(*cut(*make_rows()))


def test_without_labels_the_error_names_them():
    with pytest.raises(ValueError, match="requires y to be passed"):
        LogisticRegression().fit(cut(make_rows()[0])[0], None)


def test_without_dask_the_error_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fastlin.dask")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[dask\]' in a checkout of fastlin"):
        importlib.import_module("fastlin.dask")


@pytest.mark.thorough
def test_workers_get_consecutive_partitions_unless_they_hold_the_data(client, monkeypatch):
    n_nodes, call = [], Cluster._call

    def count_nodes(self, method, arguments):
        answers = call(self, method, arguments)
        if method == "sum":
            n_nodes.append(sorted(map(len, answers)))
        return answers

    monkeypatch.setattr(Cluster, "_call", count_nodes)
    X, y, _ = make_rows()
    LogisticRegression(max_iter=1, tol=1.0).fit(*cut(X, y, rows=20))
    # Of 20 partitions half of them each are five nodes, and partitions here and there 14. An idle worker may take a
    # task over.
    assert sum(n_nodes[0]) <= 9
    n_nodes.clear()
    _, second = sorted(client.nthreads())
    dX, dy = cut(X, y, rows=20)
    frame = dask.dataframe.from_dask_array(dX, columns=list("abcdef"))
    for data in (dX, frame):
        held = client.persist(data, workers=[second])
        LogisticRegression(max_iter=1, tol=1.0).fit(held, dy)
        assert sum(n_nodes[0]) <= 5
        n_nodes.clear()
