"""Races the installed libraries on a user's data or MNIST: the same objective for all, within a limit of seconds.

A library fits with more and more effort until its objective is near the lowest one. That effort is then timed in turns
with the others'. Each library fits in a process of its own, which is killed where it takes longer than its share.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.datasets import load_svmlight_file
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import check_X_y
from sklearn.utils.multiclass import type_of_target

from fastlin.cli.arguments import CommandError, refuse, require
from fastlin.cli.data_files import read_training
from fastlin.cli.doctor import describe_environment
from fastlin.cli.results import write_results
from fastlin.cli.studies import make_table, open_console
from fastlin.contenders import CONTENDERS, CannotSolveError, Problem
from fastlin.course.datasets import COURSE_IMAGES, Dataset
from fastlin.course.figures import CONTENDERS as STYLES
from fastlin.course.studies.fair_threads import scale_rows, time_fits, use_threads
from fastlin.figures.style import open_figure
from fastlin.kernels.machine.threads import count_threads
from fastlin.places import write_whole
from fastlin.terminal import make_printable

LIBSVM = (".svm", ".libsvm", ".txt")
PART_HELD_OUT = 0.2
# A library has to come as near to the lowest objective, relatively.
NEAR = 1e-4
# The tol of fastlin's fit whose objective counts as the lowest until another one is lower.
TIGHT = 1e-7
# A turn repeats short fits for some seconds.
N_TURNS, TURN_SECONDS = 7, 0.2
QUICK_ROWS = 1_000
# How often an effort between the last one that was too little and the first that was enough is tried.
N_HALVINGS = 2
# A race holds the rows, their encoding and a library's own copies.
COPIES = 4
# Where processes can be forked, only the first one imports what all need.
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT: Any = multiprocessing.get_context(METHOD)
if METHOD == "forkserver":
    CONTEXT.set_forkserver_preload([__name__])
HEADS = ("library", "seconds", "ratio", "range", "excess", "accuracy")


@dataclass
class Entry:
    """How far a library came. Its seconds are a lower bound unless it came near the lowest objective."""

    seconds: float
    is_near: bool = False
    effort: float | None = None
    threads: int | None = None
    objective: float | None = None
    accuracy: float | None = None
    excess: float | None = None
    turns: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    def describe(self) -> list[str]:
        """Return the texts of a row of the table, without the name."""
        bound, spread = "" if self.is_near else "> ", ""
        if len(set(self.ratios)) > 1:
            spread = f"{min(self.ratios):.3g} to {max(self.ratios):.3g}"
        row = [f"{bound}{self.seconds:.3g}", f"{bound}{median(self.ratios):.3g}", spread]
        return row if self.excess is None else [*row, f"{self.excess:.0e}", f"{self.accuracy:.4f}"]


def _run_apart(end, work, *given):
    """Yield what a generator yields in a process of its own, which is killed at the end of the time, or if it fails."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_send, args=(sender, work, *given), daemon=True)
    process.start()
    sender.close()
    try:
        while receiver.poll(max(0, end - perf_counter())):
            found = receiver.recv()
            if isinstance(found, CannotSolveError):
                raise found
            if found is None:
                return
            yield found
    except (EOFError, ConnectionError) as error:
        raise CannotSolveError("its process ended") from error
    finally:
        process.kill()
        process.join()


def _send(connection, work, *given):
    """Send what a generator yields, or why a library cannot fit, and None at the end."""
    # Ctrl-C reaches all processes of a terminal; the program ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for found in work(*given):
            connection.send(found)
        connection.send(None)
    except CannotSolveError as error:
        connection.send(error)


def _fit(problem, contender, effort, n_threads, least):
    """Return the seconds, coef and intercept of a fit, which is repeated for the least seconds."""
    with use_threads(n_threads):
        seconds, found = time_fits(partial(contender.solve, problem, effort), lambda seconds: sum(seconds) >= least)
    return median(seconds), *found


def _find_objective(problem, contender, effort):
    _, *model = _fit(problem, contender, effort, count_threads(), 0)
    yield problem.objective(*model)


def _climb(problem, test, contender, lowest):
    """Yield better and better Entries of a library, the last one with the least effort that comes near."""
    importlib.import_module(contender.module)
    # The time to start and to import a library does not count.
    yield Entry(0.0)

    def attempt(effort, n_threads):
        seconds, *model = _fit(problem, contender, effort, n_threads, 0)
        objective = problem.objective(*model)
        is_near = objective <= lowest * (1 + NEAR)
        return Entry(seconds, is_near, effort, n_threads, objective, test.accuracy(*model))

    too_little = contender.efforts[0]
    for effort in contender.efforts:
        entry = attempt(effort, count_threads())
        yield entry
        if entry.is_near:
            break
        too_little = effort
    for _ in range(N_HALVINGS if entry.is_near else 0):
        effort = type(too_little)((too_little * entry.effort) ** 0.5)
        tried = attempt(effort, count_threads())
        if tried.is_near:
            entry = tried
            yield entry
        else:
            too_little = effort
    # A library may be faster on one thread, as BLAS on small products is.
    tried = attempt(entry.effort, 1)
    if (tried.is_near, -tried.seconds) > (entry.is_near, -entry.seconds):
        yield tried


def _take_turns(problem, fits, least):
    """Yield the seconds of all fits, in turns, after one that does not count."""
    for turn in range(-1, N_TURNS):
        found = [_fit(problem, *fit, least if turn >= 0 else 0)[0] for fit in fits]
        if turn >= 0:
            yield found


def race(name: str, problems: tuple[Problem, Problem], seconds: float, output: Path) -> int:
    """Race the installed libraries on the rows to fit and those held out; print, draw and write what was found."""
    train, test = problems
    try:
        entries, left_out = _run(train, test, seconds)
    except TimeoutError as error:
        raise CommandError(f"{seconds:g} s are too few for {name}: give more by --seconds") from error
    except CannotSolveError as error:
        raise CommandError(f"fastlin cannot fit {name}: {error}") from error
    n, d = train.X.shape
    title = f"{make_printable(Path(name).name)}, {n:,} × {d:,}, {train.n_classes} classes, C = {train.C:g}"
    open_console().print(make_table(title, HEADS, [(name, *entry.describe()) for name, entry in entries.items()]))
    print(
        f"Seconds of a fit to {NEAR:g} above the lowest objective, medians of up to {N_TURNS} turns, and the ratio to "
        "fastlin's in the same turn. Behind > stands a lower bound: the library did not come so near in its share of "
        f"{seconds:g} s. The accuracy is that of {len(test.y):,} rows that were held out."
    )
    parameters = {"data": name, "rows": n, "columns": d, "held_out": len(test.y), "C": train.C}
    libraries = {name: asdict(entry) for name, entry in entries.items()}
    report = {"parameters": parameters, "libraries": libraries, "left_out": left_out}
    write_results(output / "race.json", {**report, "environment": describe_environment()})
    _draw(entries, title, output)
    print(make_printable(f"Wrote {output / 'race.json'} and {output / 'race.png'}."))
    return 0


def _run(train, test, seconds):
    """Return the Entry of each installed library, by its name, and why others were left out."""
    end = perf_counter() + seconds
    installed = {name: contender for name, contender in CONTENDERS.items() if contender.is_installed()}
    entries, left_out = {}, {}
    found = list(_run_apart(end - seconds / 2, _find_objective, train, CONTENDERS["fastlin"], TIGHT))
    if not found:
        raise TimeoutError
    (lowest,) = found
    for n_before, (name, contender) in enumerate(installed.items()):
        share = (end - perf_counter()) / (len(installed) - n_before + 1)
        print(make_printable(f"{name}, up to {share:.0f} s"))
        try:
            entries[name] = _compete(train, test, contender, lowest, share)
        except CannotSolveError as error:
            left_out[name] = str(error)
            print(make_printable(f"  left out: {error}"))
        # fastlin is the first: without its seconds there is no ratio.
        if "fastlin" not in entries or not entries["fastlin"].is_near:
            raise TimeoutError
    near = {name: entry for name, entry in entries.items() if entry.is_near}
    fits = [(installed[name], entry.effort, entry.threads) for name, entry in near.items()]
    with contextlib.suppress(CannotSolveError):
        for turn in _run_apart(end, _take_turns, train, fits, TURN_SECONDS):
            for entry, found in zip(near.values(), turn, strict=True):
                entry.turns.append(found)
                entry.seconds = median(entry.turns)
    lowest = min(lowest, *(entry.objective for entry in entries.values() if entry.objective is not None))
    for entry in entries.values():
        entry.excess = entry.objective / lowest - 1 if entry.objective is not None else None
        turns = list(zip(entry.turns, entries["fastlin"].turns, strict=False))
        turns = turns or [(entry.seconds, entries["fastlin"].seconds)]
        entry.ratios = [theirs / of_fastlin for theirs, of_fastlin in turns]
    return entries, left_out


def _compete(train, test, contender, lowest, share):
    """Return the last Entry of a library that is climbing when its share of the time is over, or has climbed."""
    entry: Any = None
    began = perf_counter()
    for entry in _run_apart(began + share, _climb, train, test, contender, lowest):
        if entry.effort is None:
            began = perf_counter()
    if entry is None:
        raise CannotSolveError("no time was left; give more by --seconds")
    return entry if entry.effort is not None else Entry(perf_counter() - began)


def _draw(entries, title, folder):
    figure, axes = open_figure(1, 1, 10, 2 + 0.5 * len(entries))
    for place, (name, entry) in enumerate(entries.items()):
        color, _ = STYLES.get(name, ("#808080", ""))
        # A lower bound is pale.
        axes.barh(place, entry.seconds, color=color, alpha=1 if entry.is_near else 0.4)
        text, ratio, *_ = entry.describe()
        axes.text(entry.seconds, place, f"  {text} s, {ratio} ×", va="center")
    axes.set_yticks(range(len(entries)), entries)
    axes.set(xscale="log", xlabel="seconds of a fit, less is better", title=title.replace("$", r"\$"))
    seconds = [entry.seconds for entry in entries.values()]
    axes.set_xlim(min(seconds) / 3, 10 * max(seconds))
    axes.invert_yaxis()
    with write_whole(folder / "race.png") as part:
        figure.savefig(part, format="png")


def pose_images(data: Dataset, options: SimpleNamespace) -> tuple[Problem, Problem]:
    """Return the Problems of the training and the test images of a data set, with pixels in [0, 1]."""
    X, y, X_test, y_test = scale_rows(data, QUICK_ROWS if options.quick else COURSE_IMAGES, options.dtype)
    train = Problem(data.name, X, y, len(np.unique(y)), options.C, fit_intercept=True)
    return train, replace(train, X=X_test, y=y_test)


def pose_table(options: SimpleNamespace) -> tuple[Problem, Problem]:
    """Return the Problems of the rows to fit and of those held out: numbers are standardised, texts one-hot coded."""
    with refuse(f"cannot compare on {options.table}", ValueError, MemoryError):
        return _pose(options)


def _pose(options):
    name, texts = options.table, np.empty((0, 0))
    # Windows does not tell its memory here.
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if COPIES * os.path.getsize(name) > memory:
            raise MemoryError(f"it may take {COPIES} times its size in memory; fastlin.blocks reads larger files")
    if name.lower().endswith((".npz", *LIBSVM)):
        with refuse(f"cannot read {name}", Exception):
            numbers, labels = _read_arrays(name, options.target)
    else:
        require("tables")
        table, text_columns, labels, _ = read_training(name, options)
        texts = np.array([table[column].to_numpy() for column in text_columns], object).T
        numbers = np.array([column.to_numpy() for column in table.drop_columns(text_columns).columns], float)
        numbers = numbers.reshape(-1, len(labels)).T
    given = {"accept_sparse": "csr", "dtype": options.dtype, "order": "C", "ensure_min_features": 0}
    numbers, labels = check_X_y(numbers, labels, **given)
    if type_of_target(labels) == "continuous":
        raise ValueError(f"{options.target!r} holds numbers that are no labels of classes, such as {labels[0]}")
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"all labels are {classes[0]}, and two classes are the least")
    fitted, held_out = train_test_split(np.arange(len(y)), test_size=PART_HELD_OUT, random_state=0, stratify=y)
    parts = []
    if numbers.size:
        scaler = StandardScaler(with_mean=not sparse.issparse(numbers)).fit(numbers[fitted])
        parts.append(scaler.transform(numbers))
    if texts.size:
        encoder = OneHotEncoder(handle_unknown="ignore", dtype=options.dtype).fit(texts[fitted])
        parts.append(encoder.transform(texts))
    X = parts[0] if len(parts) == 1 else _fill(sparse.hstack(parts, "csr"))
    train = Problem(name, X[fitted], y[fitted], len(classes), options.C, fit_intercept=True)
    return train, replace(train, X=X[held_out], y=y[held_out])


def _read_arrays(name, target):
    """Return X and the labels in a file of NumPy or libsvm."""
    if name.lower().endswith(LIBSVM):
        X, labels = load_svmlight_file(name)
        return _fill(X), labels
    with np.load(name) as arrays:
        return arrays["X"], arrays[target]


def _fill(X):
    """Return sparse rows as an array where a third of their entries are there."""
    return X.toarray() if 3 * X.nnz >= np.prod(X.shape) else X
