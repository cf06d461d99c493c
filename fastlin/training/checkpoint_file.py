"""Checkpoints of a network's training in a file: NumPy's .npz, with what is no array as JSON, and nothing pickled.

A digest shows what became of a file by accident. A file may also be made to do damage: what kernels and generators read
without a look is checked once the network and the rows are known.
"""

import contextlib
import json
import struct
import tokenize
import zipfile
from collections.abc import Iterator
from dataclasses import astuple
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from fastlin.exceptions import CheckpointError
from fastlin.fitted import check_like, check_random_state
from fastlin.networks.network import Examples
from fastlin.places import write_whole
from fastlin.training.epochs import Epoch
from fastlin.training.judges import BestCheckpoint, Checkpoint
from fastlin.training.loop import Training
from fastlin.training.network_descent import Descent

FORMAT = 3
# What Python's and NumPy's readers raise for files that nobody has written with them.
UNREADABLE = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
)


def write_checkpoint(path: Path, training: Training, about: dict[str, Any]) -> None:
    """Write a Training after a whole epoch, and what describes it, under a temporary name first.

    `about` has `parameters` and `data`, dicts of numbers, strings, None and lists of such; and `start`, the state of a
    RandomState.
    """
    arrays: dict[str, Any] = {}
    best = training.best
    assert best is not None
    content = {
        "format": FORMAT,
        "about": about,
        "records": [astuple(record) for record in training.records],
        "last": training.last,
        "best": (best.judges_start, best.best_score, best.checkpoint),
    }
    text = json.dumps(_take_out(content, arrays))
    with write_whole(path) as part, open(part, "wb") as file:
        np.savez(file, content=np.array(text), digest=np.array(digest(text, arrays)), **arrays)


def read_checkpoint(path: Path) -> tuple[Training, dict[str, Any]]:
    """Return the Training and what describes it, before `check_training` has seen what the training saved.

    The Training has no patience, its best checkpoint scores nothing, and lists stand for tuples.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    CheckpointError
        The file is no checkpoint, is damaged, or is of another version of fastlin.
    """
    with refuse_damage(path):
        # NumPy leaves a broken file open that it has opened itself.
        with open(path, "rb") as data, np.load(data, allow_pickle=False) as file:
            arrays = dict(file)
        text = str(arrays.pop("content"))
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise CheckpointError(
                f"{path} is a checkpoint of format {content['format']!r:.20}; this version of fastlin reads {FORMAT}."
            )
        if str(arrays.pop("digest")) != digest(text, arrays):
            raise ValueError("its digest is not that of its content")
        content = _put_back(content, arrays)
        check_random_state("start", content["about"]["start"])
        records = [Epoch(*record) for record in content["records"]]
        judges_start, score, place = content["best"]
        best = BestCheckpoint(_score_nothing, judges_start, score, None if place is None else Checkpoint(*place))
        return Training(records, Checkpoint(*content["last"]), best=best), content["about"]


def check_training(training: Training, descent: Descent, examples: Examples) -> None:
    """Raise an error of UNREADABLE unless a descent can go on with a Training from a file over these examples."""
    order = np.arange(len(examples)) if examples.rows is None else np.sort(examples.rows)
    best = training.best
    assert best is not None
    for name, checkpoint in (("last", training.last), ("best", best.checkpoint)):
        if checkpoint is None:
            continue
        network, rule, n_rows, (found, generator) = checkpoint.saved
        like = descent.network.save(), descent.save(), 0
        check_like(f"what the {name} checkpoint saved", [network, rule, n_rows], like)
        # Kernels read the rows that it names.
        if found.dtype != np.int64 or not np.array_equal(np.sort(found), order):
            raise ValueError(f"the order in the {name} checkpoint must name each row to train on once")
        check_random_state(f"the generator in the {name} checkpoint", generator)


@contextlib.contextmanager
def refuse_damage(path: Path) -> Iterator[None]:
    """Turn an error that says what is wrong with a file into a CheckpointError that names the file."""
    try:
        yield
    except CheckpointError:
        raise
    except UNREADABLE as error:
        raise CheckpointError(f"{path} is no checkpoint of fastlin, or is damaged: {error}") from error


def digest(text: str, arrays: dict[str, Any]) -> str:
    """Return the SHA-256 of a text and of arrays with their names, types and shapes."""
    found = sha256(text.encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def _score_nothing(record: Any) -> None:
    """Return that a record is not to be judged: a file holds no functions."""


def _take_out(value, arrays):
    """Return a value with each array replaced by its name in `arrays`, to which it is added."""
    if isinstance(value, np.ndarray):
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"array": name}
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
