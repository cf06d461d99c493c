import pytest

from benchmarks import scale
from benchmarks.scale import Cluster, measure_passes, predict_pass


def test_sums_are_shared_out_and_messages_are_not():
    few, many = (predict_pass(Cluster(n_workers, read_rate=1e9), 1e12, 1000) for n_workers in (10, 1000))
    assert few.compute == pytest.approx(100)
    assert many.compute == pytest.approx(1)
    assert many.star > few.star
    # A tree pays with many workers alone.
    assert many.tree < many.star
    assert few.tree >= few.star
    assert many.seconds == many.compute + many.star


def test_delays_and_bandwidth_make_messages_longer():
    base = predict_pass(Cluster(4, 1e9), 1e9, 1000).star
    assert predict_pass(Cluster(4, 1e9, delay=0.1), 1e9, 1000).star == pytest.approx(base + 0.2)
    slow = predict_pass(Cluster(4, 1e9, bandwidth=12_000), 1e9, 1000).star
    assert slow == pytest.approx(base + 4, rel=1e-3)


@pytest.mark.thorough
def test_passes_by_workers_are_measured_beside_one_process(monkeypatch):
    monkeypatch.setattr(scale, "N_TURNS", 1)
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    seconds = measure_passes(1, (320, 4, 3), [(0.0, float("inf")), (0.05, float("inf"))])
    assert seconds.keys() == {(0.0, float("inf")), (0.05, float("inf")), "call", "alone"}
    assert seconds[0.05, float("inf")] > 0.1
