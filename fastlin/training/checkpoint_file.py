"""Checkpoints of a network's training in a file: NumPy's .npz, with what is no array as JSON, and nothing pickled.

A digest shows what became of a file by accident. A file may also be made to do damage: what kernels and generators read
without a look is checked once the network and the rows are known.
"""

import contextlib
import json
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
from fastlin.training.epochs import Epoch, EpochState
from fastlin.training.network_descent import Descent
from fastlin.typing import Array

FORMAT = 4


def write_checkpoint(path: Path, state: EpochState, about: dict[str, Any]) -> None:
    """Write the state of a training, and what describes it in values of JSON, under a temporary name first."""
    # Without validation two numbers each.
    records = [[value for value in astuple(epoch) if value is not None] for epoch in state.records]
    arrays: dict[str, Any] = {"records": np.array(records, np.float64), "order": state.order}
    for name, saved in (("last", state.last), ("best", state.best)):
        arrays.update({f"{name}_{place}": array for place, array in enumerate(saved)})
    content = {"format": FORMAT, "n_rows": state.n_rows, "generator": pack_generator(state.generator), **about}
    text = json.dumps(content)
    with write_whole(path) as part, open(part, "wb") as file:
        np.savez(file, content=np.array(text), digest=np.array(digest(text, arrays)), **arrays)


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the content and the arrays of a checkpoint, of which `unpack_state` makes a state.

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
    return content, arrays


def unpack_state(
    content: dict[str, Any], arrays: dict[str, Array], descent: Descent, examples: Examples, is_validated: bool
) -> EpochState:
    """Return the state in a checkpoint, with which a descent can go on over these examples.

    An error says what is wrong with it.
    """
    like, records, order = descent.save(), arrays["records"], arrays["order"]
    last, best = ([arrays[f"{name}_{place}"] for place in range(len(like))] for name in ("last", "best"))
    check_like("records", records, np.empty((len(records), 4 if is_validated else 2)))
    check_like("n_rows", content["n_rows"], 0)
    check_like("last", last, like)
    check_like("best", best, like)
    rows = np.arange(len(examples)) if examples.rows is None else np.sort(examples.rows)
    # Kernels read the rows that it names.
    if order.dtype != np.int64 or not np.array_equal(np.sort(order), rows):
        raise ValueError("order must name each row to train on once")
    generator = unpack_generator("generator", content["generator"])
    return EpochState([Epoch(*each) for each in records.tolist()], last, best, order, generator, content["n_rows"])


def pack_generator(state: Any) -> list[Any]:
    """Return the state of a RandomState in values of JSON."""
    kind, words, *rest = state
    return [kind, words.tolist(), *rest]


def unpack_generator(name: str, state: Any) -> tuple[Any, ...]:
    """Return the state of a RandomState that `pack_generator` packed, after a look at it."""
    kind, words, *rest = state
    unpacked = kind, np.array(words, np.uint32), *rest
    check_random_state(name, unpacked)
    return unpacked


@contextlib.contextmanager
def refuse_damage(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with a file that can be read into a CheckpointError that names the file."""
    try:
        yield
    except (CheckpointError, OSError):
        raise
    except Exception as error:
        raise CheckpointError(f"{path} is no checkpoint of fastlin, or is damaged: {error}") from error


def digest(text: str, arrays: dict[str, Array]) -> str:
    """Return the SHA-256 of a text and of arrays with their names, types and shapes."""
    found = sha256(text.encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
