"""Checkpoints of a network's training in a file: NumPy's .npz, with what is no array as JSON, and nothing pickled."""

import json
import zipfile
from dataclasses import astuple

import numpy as np

from fastlin.places import write_whole
from fastlin.training.epochs import Epoch
from fastlin.training.judges import BestCheckpoint, Checkpoint
from fastlin.training.loop import Training

FORMAT = 1


def write_checkpoint(path, training, about):
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
    arrays = {}
    content = {
        "format": FORMAT,
        "about": about,
        "records": [astuple(record) for record in training.records],
        "n_steps": training.n_steps,
        "last": training.last,
        "best": (training.best.judges_start, training.best.best_score, training.best.checkpoint),
    }
    content = json.dumps(_take_out(content, arrays))
    with write_whole(path) as part, open(part, "wb") as file:
        np.savez(file, content=np.array(content), **arrays)


def read_checkpoint(path):
    """Return the Training and what describes it.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    training : Training
        As it was saved, without its patience; the best checkpoint has no score.
    about : dict
        What describes it; lists stand for tuples.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    ValueError
        The file is no checkpoint, is damaged, or is of another version of fastlin.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        content = json.loads(str(arrays.pop("content")))
        format_found = content["format"]
    except (ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no checkpoint of fastlin, or is damaged: {error}") from error
    if format_found != FORMAT:
        raise ValueError(f"{path} is a checkpoint of format {format_found}; this version of fastlin reads {FORMAT}.")
    content = _put_back(content, arrays)
    last = Checkpoint(*content["last"])
    judges_start, best_score, best = content["best"]
    best = BestCheckpoint(None, judges_start, best_score, None if best is None else Checkpoint(*best))
    records = [Epoch(*record) for record in content["records"]]
    return Training(records, content["n_steps"], last=last, best=best), content["about"]


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
