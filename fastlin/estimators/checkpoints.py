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

from fastlin.containers.fitted import check_generator_state, check_same_structure
from fastlin.environment.file_system import write_atomically
from fastlin.exceptions import CheckpointError, CheckpointWarning
from fastlin.networks import Examples
from fastlin.training.epochs import Epoch, EpochState
from fastlin.training.network_descent import GradientDescent
from fastlin.typing import Array, PathLike

# Parameters that may differ between a checkpoint and the fit that resumes it. Most are limits. The random state comes
# from the checkpoint, and class weights are part of the row weights, which are compared.
CHANGEABLE_PARAMETERS = {
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
FORMAT_VERSION = 5


class Checkpoints:
    """Write the checkpoints of an MLPClassifier fit, and read the checkpoint from which the fit resumes."""

    def __init__(self, estimator: Any, save_checkpoint: PathLike | None, resume: PathLike | None) -> None:
        if save_checkpoint is not None or resume is not None:
            name = "resume" if save_checkpoint is None else "save_checkpoint"
            if estimator.solver == "lbfgs":
                raise ValueError(f"{name} requires solver 'adam' or 'sgd', got 'lbfgs', which cannot be resumed.")
            if estimator.warm_start:
                raise ValueError(f"{name} requires warm_start=False; a checkpoint contains a single fit.")
        self._save_path, self._resume_path = (
            None if path is None else Path(path) for path in (save_checkpoint, resume)
        )
        if self._save_path is not None and (not self._save_path.parent.is_dir() or self._save_path.is_dir()):
            raise ValueError(f"save_checkpoint must be a file in an existing folder, got {str(save_checkpoint)!r}")
        self._has_warned = False
        self.random_state = check_random_state(estimator.random_state)
        if self._resume_path is not None:
            self._content, self._arrays = read_checkpoint(self._resume_path)
            # A new generator is used, so that the user's generator does not change.
            self.random_state = np.random.RandomState()
            with convert_to_checkpoint_errors(self._resume_path):
                self.random_state.set_state(_parse_generator_state("start", self._content["start"]))
        self._start = self.random_state.get_state()

    def prepare(
        self, estimator: Any, descent: GradientDescent, examples: Examples, validation: Examples | None
    ) -> dict[str, Any]:
        """Return the arguments `save` and `resumed_state` of `train_by_epochs` for the given data."""
        if self._save_path is None and self._resume_path is None:
            return {}
        description, resumed_state = {**_describe(estimator, examples, validation), "start": self._start}, None
        if self._resume_path is not None:
            with convert_to_checkpoint_errors(self._resume_path):
                self._check_compatibility(description)
                resumed_state = _unpack_state(self._content, self._arrays, descent, examples, validation is not None)
        return {
            "save": None if self._save_path is None else partial(self._write_checkpoint, description),
            "resumed_state": resumed_state,
        }

    def _write_checkpoint(self, description, state):
        """Write the EpochState of a training run with a JSON-compatible description."""
        assert self._save_path is not None
        # Without validation data, a record consists of two numbers.
        records = [[value for value in astuple(epoch) if value is not None] for epoch in state.records]
        arrays = {"records": np.array(records, np.float64), "order": state.order}
        for name, saved_arrays in (("last", state.last), ("best", state.best)):
            arrays.update({f"{name}_{position}": array for position, array in enumerate(saved_arrays)})
        content = {"format": FORMAT_VERSION, "n_rows": state.n_rows, "generator": state.generator, **description}
        text = np.array(json.dumps(content, default=np.ndarray.tolist))
        try:
            with write_atomically(self._save_path) as part, open(part, "wb") as file:
                np.savez(file, content=text, **arrays)
        except OSError as error:
            # Training continues without a checkpoint, because its result is still useful and the next attempt may
            # succeed.
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"The checkpoint {self._save_path} cannot be written: {error}. The fit continues, and tries again "
                    "after each epoch.",
                    CheckpointWarning,
                    stacklevel=2,
                )

    def _check_compatibility(self, description):
        """Raise a CheckpointError that names the first difference from the checkpoint, if any."""
        for name, value in description["parameters"].items():
            checkpoint_value = self._content["parameters"].get(name)
            if checkpoint_value != value:
                raise CheckpointError(
                    f"resume: the checkpoint {self._resume_path} has {name}={checkpoint_value}, this fit has {value}; "
                    "only the limits of the training, verbose and random_state may differ."
                )
        if self._content["data"] != description["data"]:
            raise CheckpointError(
                f"resume: the checkpoint {self._resume_path} was saved for other data; X, y, weights or "
                "validation data differ."
            )


def _describe(estimator, examples, validation):
    """Return the parameters and a digest of the data; a fit can resume only if both are equal."""
    parameters = estimator.get_params(deep=False)
    digest = sha256(f"{estimator.classes_.tolist()}".encode())
    for described_rows in (examples, validation):
        if described_rows is not None:
            X = described_rows.matrix.X
            digest.update(f"{X.shape} {len(described_rows)}".encode())
            for part in (described_rows.labels, described_rows.weights, X[:N_COMPARED_ROWS], X[-N_COMPARED_ROWS:]):
                digest.update(np.asarray(part.toarray() if issparse(part) else part, np.float64).tobytes())
    return {
        # In JSON form, equal numbers and sequences of different types compare equal.
        "parameters": {
            name: json.dumps(value, default=lambda described_rows: np.asarray(described_rows).tolist())
            for name, value in sorted(parameters.items())
            if name not in CHANGEABLE_PARAMETERS
        },
        "data": digest.hexdigest(),
    }


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the JSON content and the arrays of a checkpoint, for `_unpack_state`."""
    with convert_to_checkpoint_errors(path):
        # NumPy does not close a damaged file if it opens the file itself.
        with open(path, "rb") as data, np.load(data, allow_pickle=False) as file:
            arrays = dict(file)
        content = json.loads(str(arrays.pop("content")))
        if content["format"] != FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format version {content['format']!r:.20}; this version of fastlin reads {FORMAT_VERSION}."
            )
    return content, arrays


def _unpack_state(content, arrays, descent, examples, has_validation):
    """Return the EpochState of a checkpoint, validated against the descent and the examples."""
    state_template, records, order = descent.save(), arrays["records"], arrays["order"]
    last, best = ([arrays[f"{name}_{index}"] for index in range(len(state_template))] for name in ("last", "best"))
    check_same_structure("records", records, np.empty((len(records), 4 if has_validation else 2)))
    check_same_structure("n_rows", content["n_rows"], 0)
    check_same_structure("last", last, state_template)
    check_same_structure("best", best, state_template)
    rows = np.arange(len(examples)) if examples.rows is None else np.sort(examples.rows)
    # Kernels read these rows without bounds checks.
    if order.dtype != np.int64 or not np.array_equal(np.sort(order), rows):
        raise ValueError("order must contain the index of each training row once")
    generator = _parse_generator_state("generator", content["generator"])
    return EpochState([Epoch(*record) for record in records.tolist()], last, best, order, generator, content["n_rows"])


def _parse_generator_state(name, state):
    """Return the validated state of a RandomState from JSON values."""
    kind, words, *rest = state
    state = kind, np.array(words, np.uint32), *rest
    check_generator_state(name, state)
    return state


@contextlib.contextmanager
def convert_to_checkpoint_errors(path: Path) -> Iterator[None]:
    """Convert any error of the ``with`` block, except OSError, to a CheckpointError that names the file."""
    try:
        yield
    except (CheckpointError, OSError):
        raise
    except Exception as error:
        raise CheckpointError(f"{path} is not a checkpoint of fastlin, or is damaged: {error}") from error
