"""Checkpoints of a network's training in a file: NumPy's .npz, with what is no array as JSON, and nothing pickled.

A file may be damaged, or made to do damage. So it is read in two steps: as far as its form is known when it is opened,
and for the rest when the network and the rows are known.
"""

import contextlib
import io
import json
import math
import struct
import tokenize
import zipfile
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from fastlin.exceptions import CheckpointError
from fastlin.fitted import check_float, check_like, check_random_state, describe, read_array, read_count
from fastlin.networks.network import Examples
from fastlin.places import write_whole
from fastlin.training.epochs import Epoch
from fastlin.training.judges import BestCheckpoint, Checkpoint
from fastlin.training.loop import Training
from fastlin.training.network_descent import Descent

FORMAT = 2
# The first bytes of a zip archive.
MAGIC = b"PK\x03\x04"
KEYS = {"format", "about", "records", "last", "best"}
ABOUT_KEYS = {"parameters", "data", "start"}
# What Python's and NumPy's readers raise for files that nobody has written with them.
UNREADABLE = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    OverflowError,
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
        np.savez(file, content=np.array(text), **arrays)


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
    with open(path, "rb") as file:
        # Devices and large files of another kind are not read.
        data = file.read(len(MAGIC))
        data += file.read() if data == MAGIC else b""
    with refuse_damage(path):
        try:
            arrays = _read_arrays(data)
            content = json.loads(str(arrays.pop("content")))
            is_ours = isinstance(content, dict) and "format" in content
        except UNREADABLE as error:
            raise ValueError(error) from error
        if not is_ours:
            raise ValueError("its content has no format")
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"{path} is a checkpoint of format {content['format']!r:.20}; this version of fastlin reads {FORMAT}."
        )
    with refuse_damage(path):
        return _read_content(content, arrays)


def check_training(training: Training, descent: Descent, examples: Examples, is_validated: bool) -> None:
    """Raise a ValueError unless a descent can go on with a Training from a file over these examples."""
    for place, record in enumerate(training.records):
        if (record.validation_loss is not None) != is_validated:
            raise ValueError(f"record {place} is of a training {'without' if is_validated else 'with'} validation data")
    best = training.best
    assert best is not None
    if best.judges_start == is_validated:
        raise ValueError(f"judges_start must be {not is_validated}, got {best.judges_start}")
    order = np.arange(len(examples)) if examples.rows is None else np.sort(examples.rows)
    like = descent.network.save(), descent.save(), 0, (order, None)
    for name, checkpoint in (("last", training.last), ("best", best.checkpoint)):
        if checkpoint is not None:
            _check_saved(f"what the {name} checkpoint saved", checkpoint, like)


@contextlib.contextmanager
def refuse_damage(path: Path) -> Iterator[None]:
    """Turn a ValueError that says what is wrong with a file into a CheckpointError that names the file."""
    try:
        yield
    except ValueError as error:
        raise CheckpointError(f"{path} is no checkpoint of fastlin, or is damaged: {error}") from error


def _check_saved(name, checkpoint, like):
    """Check what a training saved against what it would save now: the network, its rule, rows, their order."""
    saved = checkpoint.saved
    if not isinstance(saved, list) or len(saved) != len(like):
        raise ValueError(f"{name} must be {len(like)} values, got {describe(saved)}")
    check_like(name, saved[:-1], like[:-1])
    n_rows, rows, order = saved[2], saved[3], like[3][0]
    if n_rows != checkpoint.n_records * len(order):
        raise ValueError(f"{name} must count {checkpoint.n_records} epochs of {len(order)} rows, got {n_rows} rows")
    if not isinstance(rows, list) or len(rows) != 2:
        raise ValueError(f"the order in {name} must be 2 values, got {describe(rows)}")
    found = read_array(f"the order in {name}", rows[0], order.shape)
    # Kernels read the rows that it names.
    if found.dtype != np.int64 or not np.array_equal(np.sort(found), order):
        raise ValueError(f"the order in {name} must name each row to train on once")
    check_random_state(f"the generator in {name}", rows[1])


def _read_arrays(data):
    """Return the arrays in the bytes of an .npz file by their names; none may take more memory than it has bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed, as fastlin writes none")
        # Members may overlap, so that many large ones come from few bytes.
        if sum(member.file_size for member in members) > len(data):
            raise ValueError("its members are larger than the file")
        return {member.filename.removesuffix(".npy"): _read_array(archive.read(member)) for member in members}


def _read_array(data):
    """Return the array in the bytes of an .npy file."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("it has an array of another version of NumPy's format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    n_bytes = math.prod(shape) * dtype.itemsize
    # NumPy would ask for as much memory as the header says.
    if n_bytes != len(data) - file.tell():
        raise ValueError(f"it has an array of shape {shape} and {dtype} in {len(data) - file.tell()} bytes")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _read_content(content, arrays):
    """Return the Training and what describes it from the JSON of a file and its arrays."""
    _check_keys("its content", content, KEYS)
    about = content["about"]
    _check_keys("about", about, ABOUT_KEYS)
    for name in ("parameters", "data"):
        if not isinstance(about[name], dict):
            raise ValueError(f"{name} must be a dict, got {describe(about[name])}")
    about = {**about, "start": _put_back(about["start"], arrays)}
    check_random_state("start", about["start"])
    if not isinstance(content["records"], list):
        raise ValueError(f"records must be a list, got {describe(content['records'])}")
    records = [_read_record(f"record {place}", record) for place, record in enumerate(content["records"])]
    last = _read_place("last", content["last"], arrays, len(records))
    if last.n_records != len(records):
        raise ValueError(f"the last checkpoint must be that of {len(records)} records, got {last.n_records}")
    best = content["best"]
    if not isinstance(best, list) or len(best) != 3 or not isinstance(best[0], bool):
        raise ValueError(f"best must be 3 values, of which the first is true or false, got {describe(best)}")
    judges_start, score, place = best
    if score is not None:
        check_float("the best score", score)
    if (score is None) != (place is None):
        raise ValueError("best must have both a score and a checkpoint, or neither")
    checkpoint = None if place is None else _read_place("best", place, arrays, len(records))
    best = BestCheckpoint(_score_nothing, judges_start, score, checkpoint)
    return Training(records, last, best=best), about


def _read_record(name, record):
    """Return the Epoch of a record; validation data have both a loss and an accuracy."""
    if not isinstance(record, list) or len(record) != 4:
        raise ValueError(f"{name} must be 4 numbers, got {describe(record)}")
    is_validated = record[2] is not None or record[3] is not None
    for value in record if is_validated else record[:2]:
        check_float(f"each value of {name}", value)
    return Epoch(*record)


def _read_place(name, place, arrays, most):
    """Return a Checkpoint of at most so many records; what was saved there is not checked."""
    if not isinstance(place, list) or len(place) != 2:
        raise ValueError(f"the {name} checkpoint must be 2 values, got {describe(place)}")
    n_records = read_count(f"the number of the {name} checkpoint", place[0])
    if n_records > most:
        raise ValueError(f"the {name} checkpoint must be that of {most} records or fewer, got {n_records}")
    return Checkpoint(n_records, _put_back(place[1], arrays))


def _check_keys(name, value, keys):
    if not isinstance(value, dict) or value.keys() != keys:
        found = sorted(value) if isinstance(value, dict) else describe(value)
        raise ValueError(f"{name} must have {', '.join(sorted(keys))}, got {found!s:.200}")


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
        name = value.get("array")
        if not isinstance(name, str) or name not in arrays:
            raise ValueError(f"the array {name!r:.20} is missing")
        return arrays[name]
    return [_put_back(each, arrays) for each in value] if isinstance(value, list) else value
