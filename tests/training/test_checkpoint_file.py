"""Files of checkpoints that another program has open."""

import numpy as np
import pytest
from conftest import refuse_replacement

from fastlin.training.checkpoint_file import read_checkpoint, write_checkpoint
from fastlin.training.epochs import Epoch
from fastlin.training.judges import BestCheckpoint, Checkpoint
from fastlin.training.loop import Training


def make_training(n_epochs):
    last = Checkpoint(n_epochs, [0.5])
    records = [Epoch(0.5, 0.5)] * n_epochs
    return Training(records, last=last, best=BestCheckpoint(None, False, None, None))


def describe(epoch):
    return {"parameters": {"epoch": epoch}, "data": {}, "start": np.random.RandomState(0).get_state()}


def test_a_checkpoint_that_another_program_has_open_stays_whole(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    write_checkpoint(path, make_training(1), describe("one"))
    with monkeypatch.context() as patch:
        refuse_replacement(patch)
        with pytest.raises(PermissionError, match=r"checkpoint\.npz"):
            write_checkpoint(path, make_training(2), describe("two"))
    training, about = read_checkpoint(path)
    assert (len(training.records), about["parameters"]) == (1, {"epoch": "one"})
    # Nothing is left, and the file is closed: it can be replaced again.
    assert list(tmp_path.iterdir()) == [path]
    write_checkpoint(path, make_training(3), describe("three"))
    assert len(read_checkpoint(path)[0].records) == 3
