"""The races of predictions: both models predict the same."""

import numpy as np
import pytest

from benchmarks.predictions import PEER, RACES, predict
from benchmarks.races import FASTLIN


@pytest.mark.parametrize("name", list(RACES))
def test_both_predict_the_same(name):
    if "frame" in name or "categories" in name:
        pytest.importorskip("pandas", reason="pandas is not installed")
    prediction = RACES[name].load(400)
    (ours,), (theirs,) = (predict(prediction, contender) for contender in (FASTLIN, PEER))
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert len(ours) == (1 if name == "predict-row" else 400)
    if name != "predict-row":
        # The models were fitted to rows of the same kind.
        assert prediction.accuracy(ours) > 0.7 - 0.1 * (prediction.n_classes > 2)
