"""Checkpoints of an MLPClassifier's fit: what they say of it, and which fit may go on from them."""

from __future__ import annotations

import hashlib
import json
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state

from fastlin.exceptions import CheckpointError, CheckpointWarning
from fastlin.training.checkpoint_file import (
    pack_generator,
    read_checkpoint,
    refuse_damage,
    unpack_generator,
    unpack_state,
    write_checkpoint,
)
from fastlin.typing import PathLike

if TYPE_CHECKING:
    from fastlin.estimators import MLPClassifier
    from fastlin.networks.network import Examples
    from fastlin.training.network_descent import Descent

# What a fit that goes on may have otherwise: its limits, what it tells, and random numbers, which are those of the
# checkpoint. The weights of the rows, which are compared, hold those of their classes.
FREE = {"max_iter", "max_fun", "tol", "n_iter_no_change", "verbose", "random_state", "warm_start", "class_weight"}
# Rows at both ends of X that are compared.
SEEN_ROWS = 64


class Checkpoints:
    """Where the fit of an MLPClassifier writes its checkpoints, and the checkpoint that it goes on from.

    `random_state` draws the network, the validation data and the orders of the rows.

    Raises
    ------
    OSError
        The file to go on from cannot be read.
    ValueError
        The estimator's training has no checkpoints.
    CheckpointError
        The file is none.
    """

    def __init__(self, estimator: MLPClassifier, save_checkpoint: PathLike | None, resume: PathLike | None) -> None:
        if save_checkpoint is not None or resume is not None:
            name = "resume" if save_checkpoint is None else "save_checkpoint"
            if estimator.solver == "lbfgs":
                raise ValueError(f"{name} needs solver 'adam' or 'sgd', got 'lbfgs', which cannot be taken up again.")
            if estimator.warm_start:
                raise ValueError(f"{name} needs warm_start=False: a checkpoint holds one fit, from its beginning.")
        self._path = None if save_checkpoint is None else Path(save_checkpoint)
        if self._path is not None and (not self._path.parent.is_dir() or self._path.is_dir()):
            raise ValueError(f"save_checkpoint must be a file in a folder that exists, got {str(save_checkpoint)!r}")
        self._resume = None if resume is None else Path(resume)
        self._has_warned = False
        self.random_state = check_random_state(estimator.random_state)
        if self._resume is not None:
            self._content, self._arrays = read_checkpoint(self._resume)
            # A state of its own: the caller's is left as it is.
            self.random_state = np.random.RandomState()
            with refuse_damage(self._resume):
                self.random_state.set_state(unpack_generator("start", self._content["start"]))
        self._start = self.random_state.get_state()

    def prepare(
        self, estimator: MLPClassifier, descent: Descent, examples: Examples, validation: Examples | None
    ) -> dict[str, Any]:
        """Return what `train_by_epochs` takes for these data as `save` and `resumed`.

        Raises
        ------
        CheckpointError
            The checkpoint is of a fit with other parameters or data, or is damaged.
        """
        kept: dict[str, Any] = {}
        if self._path is None and self._resume is None:
            return kept
        about = {**_describe(estimator, examples, validation), "start": pack_generator(self._start)}
        if self._resume is not None:
            with refuse_damage(self._resume):
                self._check(about)
                given = self._content, self._arrays, descent, examples
                kept["resumed"] = unpack_state(*given, validation is not None)
        if self._path is not None:
            kept["save"] = partial(self._save, about)
        return kept

    def _save(self, about, state):
        assert self._path is not None
        try:
            write_checkpoint(self._path, state, about)
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
        """Raise a CheckpointError that names what the checkpoint has otherwise."""
        texts = {
            "parameters": "the fit of the checkpoint {} had {}={}, this one has {}; only its limits, verbose and "
            "random_state may differ.",
            "data": "the checkpoint {} is of other data: {} {}, here {}.",
        }
        for kind, text in texts.items():
            for name, value in about[kind].items():
                before = self._content[kind].get(name)
                if before != value:
                    raise CheckpointError("resume: " + text.format(self._resume, name, before, value))


def _describe(estimator, examples, validation):
    """Return what must be the same for a fit to have the same bits, in values that a file can hold."""
    parameters = estimator.get_params(deep=False)
    return {
        # Equal numbers and sequences of any kind are the same.
        "parameters": {
            name: json.dumps(value, default=lambda each: np.asarray(each).tolist())
            for name, value in sorted(parameters.items())
            if name not in FREE
        },
        "data": {
            "the shape of X is": list(examples.matrix.shape),
            "the classes are": f"{estimator.classes_.tolist()!r:.200}",
            "so many rows are to train on:": len(examples),
            "so many rows are to validate on:": 0 if validation is None else len(validation),
            "labels have the digest": _digest(examples.labels),
            "weights have the digest": None if examples.weights is None else _digest(examples.weights),
            f"the first and the last {SEEN_ROWS} rows have the digest": _digest(*_ends(examples)),
            "the validation data have the digest": validation and _digest(validation.labels, *_ends(validation)),
        },
    }


def _ends(examples):
    """Return the first and the last rows as dense arrays."""
    X = examples.matrix.X
    return [part.toarray() if issparse(part) else np.asarray(part) for part in (X[:SEEN_ROWS], X[-SEEN_ROWS:])]


def _digest(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.astype(np.float64).tobytes())
    return digest.hexdigest()[:16]
