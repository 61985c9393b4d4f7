"""Validate configurations, tasks and predictions with Label Studio's SDK: FOLDER -> JSON, set -> counts and faults."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from label_studio_sdk.label_interface import LabelInterface

found = {}
for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
    interface = LabelInterface((folder / "labeling_config.xml").read_text(encoding="utf-8"))
    interface.validate()
    faults, regions, tasks = [], [], 0
    for path in sorted(folder.glob("*.json")):
        for task in json.loads(path.read_text(encoding="utf-8")):
            tasks += 1
            if not interface.validate_task(
                {"data": task["data"]}
            ):  # with predictions the SDK fails on itself
                faults.append("a task lacks its data")
            for prediction in task["predictions"]:
                faults += interface.validate_prediction(prediction, return_errors=True)
                regions += [result for result in prediction["result"] if result["type"] == "labels"]
    found[folder.name] = {
        "tasks": tasks,
        "faults": faults,
        "regions": len(regions),
        "controls": sorted(control.name for control in interface.controls),
        "labels": {
            control.name: list(control.labels) for control in interface.controls if control.tag == "Choices"
        },
    }
print(json.dumps(found))
