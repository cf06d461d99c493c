"""Files of checkpoints that another program has open."""

import numpy as np
import pytest
from conftest import refuse_replacement

from fastlin.training.checkpoint_file import read_checkpoint, write_checkpoint
from fastlin.training.epochs import Epoch, EpochState


def make_state(n_epochs):
    saved, generator = [np.array([0.5])], np.random.RandomState(0).get_state()
    return EpochState([Epoch(0.5, 0.5)] * n_epochs, saved, saved, np.arange(3), generator, 3 * n_epochs)


def describe(epoch):
    return {"parameters": {"epoch": epoch}, "data": {}}


def test_a_checkpoint_that_another_program_has_open_stays_whole(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    write_checkpoint(path, make_state(1), describe("one"))
    with monkeypatch.context() as patch:
        refuse_replacement(patch)
        with pytest.raises(PermissionError, match=r"checkpoint\.npz"):
            write_checkpoint(path, make_state(2), describe("two"))
    content, arrays = read_checkpoint(path)
    assert (len(arrays["records"]), content["parameters"]) == (1, {"epoch": "one"})
    # Nothing is left, and the file is closed: it can be replaced again.
    assert list(tmp_path.iterdir()) == [path]
    write_checkpoint(path, make_state(3), describe("three"))
    assert len(read_checkpoint(path)[1]["records"]) == 3
