"""Write, validate and resume checkpoints of MLPClassifier fits.

A checkpoint is a NumPy .npz file with arrays, their checksums, and JSON, but no pickles. Checkpoints are not trusted,
so everything that kernels and random number generators rely on is validated.
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

# Parameters that may differ between a checkpoint and the fit that resumes it. Most are limits. The random state comes
# from the checkpoint, and class weights are part of the row weights, which are compared.
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
# The number of rows that are compared at the start of the data, and also at the end.
N_COMPARED_ROWS = 64
FORMAT = 5


class Checkpoints:
    """Write the checkpoints of an MLPClassifier fit, and read the checkpoint from which the fit resumes."""

    def __init__(self, estimator: Any, save_checkpoint: PathLike | None, resume: PathLike | None) -> None:
        if save_checkpoint is not None or resume is not None:
            name = "resume" if save_checkpoint is None else "save_checkpoint"
            if estimator.solver == "lbfgs":
                raise ValueError(f"{name} requires solver 'adam' or 'sgd', got 'lbfgs', which cannot be resumed.")
            if estimator.warm_start:
                raise ValueError(f"{name} requires warm_start=False; a checkpoint contains a single fit.")
        self._path, self._resume = (None if path is None else Path(path) for path in (save_checkpoint, resume))
        if self._path is not None and (not self._path.parent.is_dir() or self._path.is_dir()):
            raise ValueError(f"save_checkpoint must be a file in an existing folder, got {str(save_checkpoint)!r}")
        self._has_warned = False
        self.random_state = check_random_state(estimator.random_state)
        if self._resume is not None:
            self._content, self._arrays = read_checkpoint(self._resume)
            # A new generator is used, so that the user's generator does not change.
            self.random_state = np.random.RandomState()
            with raise_checkpoint_errors(self._resume):
                self.random_state.set_state(_read_generator("start", self._content["start"]))
        self._start = self.random_state.get_state()

    def prepare(
        self, estimator: Any, descent: Descent, examples: Examples, validation: Examples | None
    ) -> dict[str, Any]:
        """Return the arguments `save` and `resumed` of `train_by_epochs` for the given data."""
        if self._path is None and self._resume is None:
            return {}
        description, resumed = {**_describe(estimator, examples, validation), "start": self._start}, None
        if self._resume is not None:
            with raise_checkpoint_errors(self._resume):
                self._check(description)
                resumed = _unpack_state(self._content, self._arrays, descent, examples, validation is not None)
        return {"save": None if self._path is None else partial(self._save, description), "resumed": resumed}

    def _save(self, description, state):
        """Write the EpochState of a training run with a JSON-compatible description."""
        assert self._path is not None
        # Without validation data, a record consists of two numbers.
        records = [[value for value in astuple(epoch) if value is not None] for epoch in state.records]
        arrays = {"records": np.array(records, np.float64), "order": state.order}
        for name, saved in (("last", state.last), ("best", state.best)):
            arrays.update({f"{name}_{position}": array for position, array in enumerate(saved)})
        content = {"format": FORMAT, "n_rows": state.n_rows, "generator": state.generator, **description}
        text = np.array(json.dumps(content, default=np.ndarray.tolist))
        try:
            with write_whole(self._path) as part, open(part, "wb") as file:
                np.savez(file, content=text, **arrays)
        except OSError as error:
            # Training continues without a checkpoint, because its result is still useful and the next attempt may
            # succeed.
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"The checkpoint {self._path} cannot be written: {error}. The fit continues, and tries again after "
                    "each epoch.",
                    CheckpointWarning,
                    stacklevel=2,
                )

    def _check(self, description):
        """Raise a CheckpointError that names the first difference from the checkpoint, if any."""
        for name, value in description["parameters"].items():
            checkpoint_value = self._content["parameters"].get(name)
            if checkpoint_value != value:
                raise CheckpointError(
                    f"resume: the checkpoint {self._resume} has {name}={checkpoint_value}, this fit has {value}; only "
                    "the limits of the training, verbose and random_state may differ."
                )
        if self._content["data"] != description["data"]:
            raise CheckpointError(
                f"resume: the checkpoint {self._resume} belongs to other data; X, y, weights or validation data differ."
            )


def _describe(estimator, examples, validation):
    """Return the parameters and a digest of the data; a fit can resume only if both are equal."""
    parameters = estimator.get_params(deep=False)
    digest = sha256(f"{estimator.classes_.tolist()}".encode())
    for each in (examples, validation):
        if each is not None:
            X = each.matrix.X
            digest.update(f"{X.shape} {len(each)}".encode())
            for part in (each.labels, each.weights, X[:N_COMPARED_ROWS], X[-N_COMPARED_ROWS:]):
                digest.update(np.asarray(part.toarray() if issparse(part) else part, np.float64).tobytes())
    return {
        # In JSON form, equal numbers and sequences of different types compare equal.
        "parameters": {
            name: json.dumps(value, default=lambda each: np.asarray(each).tolist())
            for name, value in sorted(parameters.items())
            if name not in PARAMETERS_FREE_TO_DIFFER
        },
        "data": digest.hexdigest(),
    }


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the JSON content and the arrays of a checkpoint, for `_unpack_state`."""
    with raise_checkpoint_errors(path):
        # NumPy does not close a damaged file if it opens the file itself.
        with open(path, "rb") as data, np.load(data, allow_pickle=False) as file:
            arrays = dict(file)
        content = json.loads(str(arrays.pop("content")))
        if content["format"] != FORMAT:
            raise CheckpointError(
                f"{path} has format version {content['format']!r:.20}; this version of fastlin reads {FORMAT}."
            )
    return content, arrays


def _unpack_state(content, arrays, descent, examples, is_validated):
    """Return the EpochState of a checkpoint, validated against the descent and the examples."""
    template, records, order = descent.save(), arrays["records"], arrays["order"]
    last, best = ([arrays[f"{name}_{index}"] for index in range(len(template))] for name in ("last", "best"))
    check_like("records", records, np.empty((len(records), 4 if is_validated else 2)))
    check_like("n_rows", content["n_rows"], 0)
    check_like("last", last, template)
    check_like("best", best, template)
    rows = np.arange(len(examples)) if examples.rows is None else np.sort(examples.rows)
    # Kernels read these rows without bounds checks.
    if order.dtype != np.int64 or not np.array_equal(np.sort(order), rows):
        raise ValueError("order must contain the index of each training row once")
    generator = _read_generator("generator", content["generator"])
    return EpochState([Epoch(*each) for each in records.tolist()], last, best, order, generator, content["n_rows"])


def _read_generator(name, state):
    """Return the validated state of a RandomState from JSON values."""
    kind, words, *rest = state
    state = kind, np.array(words, np.uint32), *rest
    check_generator_state(name, state)
    return state


@contextlib.contextmanager
def raise_checkpoint_errors(path: Path) -> Iterator[None]:
    """Convert any error of the ``with`` block, except OSError, to a CheckpointError that names the file."""
    try:
        yield
    except (CheckpointError, OSError):
        raise
    except Exception as error:
        raise CheckpointError(f"{path} is not a checkpoint of fastlin, or is damaged: {error}") from error
