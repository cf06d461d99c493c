"""Checkpoints of a network's training in a file: NumPy's .npz, with what is no array as JSON, and nothing pickled."""

from __future__ import annotations

import json
import zipfile
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.exceptions import CheckpointError
from fastlin.places import write_whole
from fastlin.training.epochs import Epoch
from fastlin.training.judges import BestCheckpoint, Checkpoint
from fastlin.training.loop import Training

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1


def write_checkpoint(path: Path, training: Training, about: dict[str, Any]) -> None:
    """Write a Training after a whole epoch, and what describes it, under a temporary name first.

    Parameters
    ----------
    path : Path
        The file, which is replaced where there is one.
    training : Training
        What `train_by_epochs` saves.
    about : dict
        Numbers, strings, None, arrays, lists and dicts of such.
    """
    arrays: dict[str, Any] = {}
    best = training.best
    content = {
        "format": FORMAT,
        "about": about,
        "records": [astuple(record) for record in training.records],
        "n_steps": training.n_steps,
        "last": training.last,
        "best": best and (best.judges_start, best.best_score, best.checkpoint),
    }
    text = json.dumps(_take_out(content, arrays))
    with write_whole(path) as part, open(part, "wb") as file:
        np.savez(file, content=np.array(text), **arrays)


def read_checkpoint(path: Path) -> tuple[Training, dict[str, Any]]:
    """Return the Training and what describes it.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    training : Training
        As it was saved, without its patience; the best checkpoint scores nothing.
    about : dict
        What describes it; lists stand for tuples.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    CheckpointError
        The file is no checkpoint, is damaged, or is of another version of fastlin.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        content = json.loads(str(arrays.pop("content")))
        format_found = content["format"]
    except (ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is no checkpoint of fastlin, or is damaged: {error}") from error
    if format_found != FORMAT:
        raise CheckpointError(
            f"{path} is a checkpoint of format {format_found}; this version of fastlin reads {FORMAT}."
        )
    content = _put_back(content, arrays)
    last = Checkpoint(*content["last"])
    judges_start, best_score, checkpoint = content["best"]
    best = BestCheckpoint(_score_nothing, judges_start, best_score, checkpoint and Checkpoint(*checkpoint))
    records = [Epoch(*record) for record in content["records"]]
    return Training(records, content["n_steps"], last, best=best), content["about"]


def _score_nothing(record: Any) -> None:
    """Return that a record is not to be judged: a file holds no functions."""


def _take_out(value, arrays):
    """Return a value with each array replaced by its name in `arrays`, to which it is added."""
    if isinstance(value, np.ndarray):
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {name: _take_out(each, arrays) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_take_out(each, arrays) for each in value]
    return value


def _put_back(value, arrays):
    """Return a value as `_take_out` was given it, with lists in place of tuples."""
    if isinstance(value, dict):
        if value.keys() == {"array"}:
            return arrays[value["array"]]
        return {name: _put_back(each, arrays) for name, each in value.items()}
    return [_put_back(each, arrays) for each in value] if isinstance(value, list) else value
