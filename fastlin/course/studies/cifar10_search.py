"""Random search over the report's ranges for its two-layer network, and its optimum among the draws.

The report does not state the steps of its discrete distributions, so the learning rate is drawn from its whole range,
and the regularization on a log scale. Draws are trained in parallel and kept, so that a stopped search can go on.
"""

import contextlib
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from sklearn.model_selection import ParameterSampler

from fastlin.course.studies.cifar10_training import Recipe, prepare, run_recipes
from fastlin.course.studies.cifar10_two_layer import N_COMPONENTS, QUICK_PART, REPORT
from fastlin.course.studies.settings import Results, Settings
from fastlin.file_system import lock, write_whole

SPACE = {
    "hidden": stats.randint(90, 151),
    "learning_rate": stats.uniform(3.5e-3, 1.5e-3),
    "decay": [0.98, 0.99],
    "reg": stats.loguniform(1e-5, 2e-3),
    "epochs": stats.randint(700, 1_301),
    "batch_size": stats.randint(15_000, 25_001),
}
# The batch sizes are meant for this number of training images; with fewer images they shrink in proportion.
MEANT_ROWS = 44_000
FILE = "cifar10_search.jsonl"
N_BEST = 5
# The report's own optimum is trained too, under this name in place of a number.
OPTIMUM = "report"


def study_cifar10_search(settings: Settings) -> Results:
    """Train a network for each draw that is not kept yet; quick takes fewer images and a twentieth of the epochs."""
    settings.notify("principal components")
    images = prepare(settings.data, N_COMPONENTS, settings.quick)
    draws: dict[int | str, dict[str, Any]] = dict(enumerate(draw(settings.draws, settings.seed)))
    draws[OPTIMUM] = {name: getattr(REPORT, name) for name in SPACE} | {"hidden": REPORT.hidden[0]}
    recipes = {key: make_recipe(parameters, len(images.y_train), settings.quick) for key, parameters in draws.items()}
    case = {
        "data": settings.data.name,
        # The published images and those of the JPEG copy have the same name, but not the same pixels.
        "checksum": zlib.crc32(settings.data.X_train.data),
        "train_images": len(images.y_train),
        "components": images.X_train.shape[1],
        "seed": settings.seed,
    }
    marks = {key: {**case, "draw": key, "recipe": recipe.describe()} for key, recipe in recipes.items()}
    path = None if settings.folder is None else settings.folder / FILE
    records = {} if path is None else read_records(path, marks)
    n_kept = len(records)
    settings.notify(f"{n_kept} of {len(draws)} trainings are kept", n_kept / len(draws))
    missing = {
        key: (recipe, key if isinstance(key, int) else settings.seed)
        for key, recipe in recipes.items()
        if key not in records
    }
    for key, trained in run_recipes(images, missing):
        records[key] = {
            **marks[key],
            **draws[key],
            # These are the values trained with, which are smaller than those drawn where the study is quick.
            "epochs": recipes[key].epochs,
            "batch_size": recipes[key].batch_size,
            **trained.accuracies,
            "ended": trained.training.ended,
            "seconds": trained.seconds,
        }
        if path is not None:
            append_record(path, records[key])
        settings.notify(f"{len(records)} of {len(draws)} trainings", len(records) / len(draws))
    optimum = records.pop(OPTIMUM)
    ranked = sorted(records.values(), key=lambda record: -record["validation"])
    shown = {f"draw {record['draw']}": record for record in ranked[:N_BEST]} | {"the report's optimum": optimum}
    columns = [*SPACE, "train", "validation", "test"]
    return Results(
        parameters={**case, "draws": len(ranked), "trainings_kept_before": n_kept},
        metrics={
            "draws": len(ranked),
            "median_validation": float(np.median([record["validation"] for record in ranked])),
            "best_validation": ranked[0]["validation"],
            "optimum_validation": optimum["validation"],
            "behind_the_best": ranked[0]["validation"] - optimum["validation"],
            "optimum_rank": 1 + sum(record["validation"] > optimum["validation"] for record in ranked),
            "best_draws": {title: {name: record[name] for name in columns} for title, record in shown.items()},
        },
        series={"records": ranked, "optimum": optimum, "names": list(SPACE)},
    )


def draw(n_draws: int, seed: int) -> list[dict[str, Any]]:
    """Return the parameters of each draw; a larger number of draws begins with those of a smaller one."""
    sampled = ParameterSampler(SPACE, n_draws, random_state=seed)
    # JSON takes plain numbers only.
    return [{name: np.asarray(value).item() for name, value in one.items()} for one in sampled]


def make_recipe(parameters: Mapping[str, Any], n_rows: int, quick: bool) -> Recipe:
    """Return the recipe of a draw."""
    batch_size = max(1, round(parameters["batch_size"] * n_rows / MEANT_ROWS))
    epochs = round(parameters["epochs"] * (QUICK_PART if quick else 1))
    values = {**parameters, "hidden": (parameters["hidden"],), "batch_size": batch_size, "epochs": epochs}
    return replace(REPORT, **values)


def read_records(path: Path, marks: Mapping[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Return the kept records by their key in marks; records of other searches and damaged lines are left out."""
    if not path.exists():
        return {}
    records = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            record = json.loads(line)
            if _agree(record, marks[record["draw"]]):
                records[record["draw"]] = record
    return records


def _agree(kept, wanted):
    """Say whether a record holds the wanted values; the last digits of floats differ between processors."""
    if isinstance(wanted, dict):
        return all(_agree(kept[name], value) for name, value in wanted.items())
    return math.isclose(kept, wanted, rel_tol=1e-9) if isinstance(wanted, float) else kept == wanted


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Append a record to the file, safe from other processes and from a crash of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path), write_whole(path) as part:
        kept = path.read_bytes() if path.exists() else b""
        # Where the last line was cut short, the record begins on a line of its own.
        end = b"" if kept.endswith(b"\n") or not kept else b"\n"
        part.write_bytes(kept + end + json.dumps(record).encode() + b"\n")
