"""Reports: JSON files that are either written whole or not changed at all."""

import json
import os


def read_report(path):
    """Return the report in a file as a dict, which is empty where there is none or the file is damaged."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def write_report(path, report):
    """Write a report under a temporary name first, so that an interrupted run leaves no half-written file."""
    temporary = path.with_suffix(".json.part")
    temporary.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)
