"""Checkpoints of an MLPClassifier's fit in files, and which fit may go on from one.

A file is NumPy's .npz with JSON, without pickles, and has a checksum of each array. A file may be made to do damage, so
whatever kernels and generators trust is checked.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import astuple
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state

from fastlin.exceptions import CheckpointError, CheckpointWarning
from fastlin.file_system import write_whole
from fastlin.fitted import check_generator_state, check_like
from fastlin.networks import Examples
from fastlin.training.epochs import Epoch, EpochState
from fastlin.training.network_descent import Descent
from fastlin.typing import Array, PathLike

# What a fit that goes on may have otherwise: its limits, what it tells, and random numbers, which are those of the
# checkpoint. The weights of the rows, which are compared, hold those of their classes.
PARAMETERS_FREE_TO_DIFFER = {
    "max_iter",
    "max_fun",
    "tol",
    "n_iter_no_change",
    "verbose",
    "random_state",
    "warm_start",
    "class_weight",
}
# Rows at both ends of X that are compared.
N_COMPARED_ROWS = 64
FORMAT = 5


class Checkpoints:
    """Where the fit of an MLPClassifier writes its checkpoints, and the checkpoint that it goes on from."""

    def __init__(self, estimator: Any, save_checkpoint: PathLike | None, resume: PathLike | None) -> None:
        if save_checkpoint is not None or resume is not None:
            name = "resume" if save_checkpoint is None else "save_checkpoint"
            if estimator.solver == "lbfgs":
                raise ValueError(f"{name} needs solver 'adam' or 'sgd', got 'lbfgs', which cannot be taken up again.")
            if estimator.warm_start:
                raise ValueError(f"{name} needs warm_start=False: a checkpoint holds one fit, from its beginning.")
        self._path, self._resume = (None if path is None else Path(path) for path in (save_checkpoint, resume))
        if self._path is not None and (not self._path.parent.is_dir() or self._path.is_dir()):
            raise ValueError(f"save_checkpoint must be a file in a folder that exists, got {str(save_checkpoint)!r}")
        self._has_warned = False
        self.random_state = check_random_state(estimator.random_state)
        if self._resume is not None:
            self._content, self._arrays = read_checkpoint(self._resume)
            # A state of its own: the caller's is left as it is.
            self.random_state = np.random.RandomState()
            with raise_checkpoint_errors(self._resume):
                self.random_state.set_state(_read_generator("start", self._content["start"]))
        self._start = self.random_state.get_state()

    def prepare(
        self, estimator: Any, descent: Descent, examples: Examples, validation: Examples | None
    ) -> dict[str, Any]:
        """Return what `train_by_epochs` takes for these data as `save` and `resumed`."""
        if self._path is None and self._resume is None:
            return {}
        about, resumed = {**_describe(estimator, examples, validation), "start": self._start}, None
        if self._resume is not None:
            with raise_checkpoint_errors(self._resume):
                self._check(about)
                resumed = _unpack_state(self._content, self._arrays, descent, examples, validation is not None)
        return {"save": None if self._path is None else partial(self._save, about), "resumed": resumed}

    def _save(self, about, state):
        """Write the EpochState of a training, and what describes it in values of JSON."""
        assert self._path is not None
        # Without validation two numbers each.
        records = [[value for value in astuple(epoch) if value is not None] for epoch in state.records]
        arrays = {"records": np.array(records, np.float64), "order": state.order}
        for name, saved in (("last", state.last), ("best", state.best)):
            arrays.update({f"{name}_{position}": array for position, array in enumerate(saved)})
        content = {"format": FORMAT, "n_rows": state.n_rows, "generator": state.generator, **about}
        text = np.array(json.dumps(content, default=np.ndarray.tolist))
        try:
            with write_whole(self._path) as part, open(part, "wb") as file:
                np.savez(file, content=text, **arrays)
        except OSError as error:
            # Hours of training are worth more than a checkpoint of them; the disk may have room again later.
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"The checkpoint {self._path} cannot be written: {error}. The fit goes on, and tries again after "
                    "each epoch.",
                    CheckpointWarning,
                    stacklevel=2,
                )

    def _check(self, about):
        """Raise a CheckpointError that names the differences of the checkpoint."""
        for name, value in about["parameters"].items():
            before = self._content["parameters"].get(name)
            if before != value:
                raise CheckpointError(
                    f"resume: the fit of the checkpoint {self._resume} had {name}={before}, this one has {value}; only "
                    "its limits, verbose and random_state may differ."
                )
        if self._content["data"] != about["data"]:
            raise CheckpointError(
                f"resume: the checkpoint {self._resume} is of other data: X, y, weights or validation data differ."
            )


def _describe(estimator, examples, validation):
    """Return what must be the same for a fit to have the same bits, in values that a file can hold."""
    parameters = estimator.get_params(deep=False)
    digest = sha256(f"{estimator.classes_.tolist()}".encode())
    for each in (examples, validation):
        if each is not None:
            X = each.matrix.X
            digest.update(f"{X.shape} {len(each)}".encode())
            for part in (each.labels, each.weights, X[:N_COMPARED_ROWS], X[-N_COMPARED_ROWS:]):
                digest.update(np.asarray(part.toarray() if issparse(part) else part, np.float64).tobytes())
    return {
        # Equal numbers and sequences of any kind are the same.
        "parameters": {
            name: json.dumps(value, default=lambda each: np.asarray(each).tolist())
            for name, value in sorted(parameters.items())
            if name not in PARAMETERS_FREE_TO_DIFFER
        },
        "data": digest.hexdigest(),
    }


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the content and the arrays of a checkpoint, of which `_unpack_state` makes a state."""
    with raise_checkpoint_errors(path):
        # NumPy leaves a broken file open that it has opened itself.
        with open(path, "rb") as data, np.load(data, allow_pickle=False) as file:
            arrays = dict(file)
        content = json.loads(str(arrays.pop("content")))
        if content["format"] != FORMAT:
            raise CheckpointError(f"{path} has the format {content['format']!r:.20}; this fastlin reads {FORMAT}.")
    return content, arrays


def _unpack_state(content, arrays, descent, examples, is_validated):
    """Return the state in a checkpoint, with which a descent can go on over these examples."""
    like, records, order = descent.save(), arrays["records"], arrays["order"]
    last, best = ([arrays[f"{name}_{position}"] for position in range(len(like))] for name in ("last", "best"))
    check_like("records", records, np.empty((len(records), 4 if is_validated else 2)))
    check_like("n_rows", content["n_rows"], 0)
    check_like("last", last, like)
    check_like("best", best, like)
    rows = np.arange(len(examples)) if examples.rows is None else np.sort(examples.rows)
    # Kernels read the rows that it names.
    if order.dtype != np.int64 or not np.array_equal(np.sort(order), rows):
        raise ValueError("order must name each row to train on once")
    generator = _read_generator("generator", content["generator"])
    return EpochState([Epoch(*each) for each in records.tolist()], last, best, order, generator, content["n_rows"])


def _read_generator(name, state):
    """Return the state of a RandomState from values of JSON, after a look at it."""
    kind, words, *rest = state
    state = kind, np.array(words, np.uint32), *rest
    check_generator_state(name, state)
    return state


@contextlib.contextmanager
def raise_checkpoint_errors(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with a file that can be read into a CheckpointError that names the file."""
    try:
        yield
    except (CheckpointError, OSError):
        raise
    except Exception as error:
        raise CheckpointError(f"{path} is no checkpoint of fastlin, or is damaged: {error}") from error
