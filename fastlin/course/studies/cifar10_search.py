"""Random search over the report's ranges for its two-layer network, compared with the reported optimum.

The report does not state the steps of its discrete distributions, so the learning rate is drawn uniformly from its
range, and the regularization log-uniformly. The networks are trained in parallel and their records are stored, so an
interrupted search can be resumed.
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

from fastlin.course.studies.cifar10_training import Recipe, prepare_images, train_recipes
from fastlin.course.studies.cifar10_two_layer import N_COMPONENTS, QUICK_EPOCH_FRACTION, REPORT_RECIPE
from fastlin.course.studies.settings import Results, Settings
from fastlin.environment.file_system import lock, write_atomically

SEARCH_SPACE = {
    "hidden": stats.randint(90, 151),
    "learning_rate": stats.uniform(3.5e-3, 1.5e-3),
    "decay": [0.98, 0.99],
    "reg": stats.loguniform(1e-5, 2e-3),
    "epochs": stats.randint(700, 1_301),
    "batch_size": stats.randint(15_000, 25_001),
}
# The report's batch sizes are for this number of training images; with fewer images they are reduced in proportion.
N_REPORTED_TRAIN_IMAGES = 44_000
RECORD_FILE = "cifar10_search.jsonl"
N_BEST_DRAWS = 5
# The key of the network with the reported optimum, which is also trained. The keys of random networks are numbers.
OPTIMUM_KEY = "report"


def study_cifar10_search(settings: Settings) -> Results:
    """Train the networks without stored records. A quick study uses fewer images and 5 % of the epochs."""
    settings.notify("principal components")
    images = prepare_images(settings.data, N_COMPONENTS, settings.quick)
    draws: dict[int | str, dict[str, Any]] = dict(enumerate(draw(settings.draws, settings.seed)))
    draws[OPTIMUM_KEY] = {name: getattr(REPORT_RECIPE, name) for name in SEARCH_SPACE} | {
        "hidden": REPORT_RECIPE.hidden[0]
    }
    recipes = {key: make_recipe(parameters, len(images.y_train), settings.quick) for key, parameters in draws.items()}
    case = {
        "data": settings.data.name,
        # The published images and the JPEG copy have the same name but different pixels.
        "checksum": zlib.crc32(settings.data.X_train.data),
        "train_images": len(images.y_train),
        "components": images.X_train.shape[1],
        "seed": settings.seed,
    }
    expected_settings = {key: {**case, "draw": key, "recipe": recipe.describe()} for key, recipe in recipes.items()}
    path = None if settings.folder is None else settings.folder / RECORD_FILE
    records = {} if path is None else read_records(path, expected_settings)
    n_stored_records = len(records)
    settings.notify(f"{n_stored_records} of {len(draws)} training runs are stored", n_stored_records / len(draws))
    missing_runs = {
        key: (recipe, key if isinstance(key, int) else settings.seed)
        for key, recipe in recipes.items()
        if key not in records
    }
    for key, trained in train_recipes(images, missing_runs):
        records[key] = {
            **expected_settings[key],
            **draws[key],
            # These are the values used in training. In a quick study they are smaller than the drawn values.
            "epochs": recipes[key].epochs,
            "batch_size": recipes[key].batch_size,
            **trained.accuracies,
            "stop_reason": trained.training.stop_reason,
            "seconds": trained.seconds,
        }
        if path is not None:
            append_record(path, records[key])
        settings.notify(f"{len(records)} of {len(draws)} training runs", len(records) / len(draws))
    optimum = records.pop(OPTIMUM_KEY)
    ranked_records = sorted(records.values(), key=lambda record: -record["validation"])
    reported_draws = {f"draw {record['draw']}": record for record in ranked_records[:N_BEST_DRAWS]} | {
        "the report's optimum": optimum
    }
    columns = [*SEARCH_SPACE, "train", "validation", "test"]
    return Results(
        parameters={**case, "draws": len(ranked_records), "trainings_kept_before": n_stored_records},
        metrics={
            "draws": len(ranked_records),
            "median_validation": float(np.median([record["validation"] for record in ranked_records])),
            "best_validation": ranked_records[0]["validation"],
            "optimum_validation": optimum["validation"],
            "behind_the_best": ranked_records[0]["validation"] - optimum["validation"],
            "optimum_rank": 1 + sum(record["validation"] > optimum["validation"] for record in ranked_records),
            "best_draws": {title: {name: record[name] for name in columns} for title, record in reported_draws.items()},
        },
        series={"records": ranked_records, "optimum": optimum, "names": list(SEARCH_SPACE)},
    )


def draw(n_draws: int, seed: int) -> list[dict[str, Any]]:
    """Return random parameters of `n_draws` networks. A larger number only appends parameters."""
    draws = ParameterSampler(SEARCH_SPACE, n_draws, random_state=seed)
    # JSON cannot store NumPy numbers.
    return [{name: np.asarray(value).item() for name, value in parameters.items()} for parameters in draws]


def make_recipe(parameters: Mapping[str, Any], n_rows: int, quick: bool) -> Recipe:
    """Return the recipe of a network with the given parameters."""
    batch_size = max(1, round(parameters["batch_size"] * n_rows / N_REPORTED_TRAIN_IMAGES))
    epochs = round(parameters["epochs"] * (QUICK_EPOCH_FRACTION if quick else 1))
    values = {**parameters, "hidden": (parameters["hidden"],), "batch_size": batch_size, "epochs": epochs}
    return replace(REPORT_RECIPE, **values)


def read_records(path: Path, expected_settings: Mapping[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Return a dict from keys of `expected_settings` to stored records, without other searches and damaged lines."""
    if not path.exists():
        return {}
    records = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            record = json.loads(line)
            if _has_equal_values(record, expected_settings[record["draw"]]):
                records[record["draw"]] = record
    return records


def _has_equal_values(stored, expected):
    """Return whether a record has the expected values. The last digits of floats may differ between processors."""
    if isinstance(expected, dict):
        return all(_has_equal_values(stored[name], value) for name, value in expected.items())
    return math.isclose(stored, expected, rel_tol=1e-9) if isinstance(expected, float) else stored == expected


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Append a record to the file atomically, with a lock against other processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path), write_atomically(path) as part:
        content = path.read_bytes() if path.exists() else b""
        # If the last line is incomplete, the record starts on a new line.
        end = b"" if content.endswith(b"\n") or not content else b"\n"
        part.write_bytes(content + end + json.dumps(record).encode() + b"\n")
