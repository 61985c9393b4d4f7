"""Exports of answers of each kind: the fields in which people give them, and the harnesses that score single labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from mentallama.errors import UsageError
from mentallama.export import export
from mentallama.export.annotation.argilla import QuestionNames, argilla_records, argilla_settings
from mentallama.export.annotation.label_studio import Controls, labelling_config, labelling_task
from mentallama.export.annotation.post_answers import AnsweredPost, PostAnswer
from mentallama.export.source import ExportSource
from mentallama.files.record_files import write_records
from mentallama.records import Post, Provenance
from mentallama.run_files import POSTS_PATH
from tests.factories.answer_kinds import task_of_kind

TEXT = "I lie awake at 4. Everything is grey."
ANSWERS = {
    "ordinal": "mild",
    "multi": "sleep; low mood",
    "scale": "energy: several days",
    "spans": 'sleep: "lie awake"; low mood: "grey"',
}


def answered(kind: str, label: str | None) -> AnsweredPost:
    answer = PostAnswer("about", label, "It says so.", (), "m")
    return AnsweredPost("p", "test", TEXT, task_of_kind(kind), (answer,))


def label_studio(kind: str, label: str | None) -> dict[str, Any]:
    """The values that are suggested, by the control; and every control stands in the configuration."""
    post = answered(kind, label)
    controls = Controls(post.task)
    view = fromstring(labelling_config(controls))
    (prediction,) = labelling_task(post, controls)["predictions"]
    known = {element.get("name"): element for element in view if element.get("toName")}
    found: dict[str, Any] = {}
    for result in prediction["result"]:
        if result["from_name"].startswith("label"):
            options = {option.get("value") for option in known[result["from_name"]]}
            values = result["value"].get("choices") or result["value"]["labels"]
            assert options.issuperset(values)
            found.setdefault(result["from_name"], []).append(result["value"])
    return found


def test_label_studio_has_a_control_for_each_decision() -> None:
    assert label_studio("ordinal", "mild") == {"label_about": [{"choices": ["mild"]}]}
    assert label_studio("multi", ANSWERS["multi"]) == {"label_about": [{"choices": ["sleep", "low mood"]}]}
    assert label_studio("scale", ANSWERS["scale"]) == {"label_about_energy": [{"choices": ["several days"]}]}
    regions = label_studio("spans", ANSWERS["spans"])["label_about"]
    assert [(TEXT[r["start"] : r["end"]], r["text"], r["labels"]) for r in regions] == [
        ("lie awake", "lie awake", ["sleep"]), ("grey", "grey", ["low mood"]),
    ]  # fmt: skip
    for kind in ("multi", "scale", "spans"):
        assert label_studio(kind, "none") == label_studio(kind, None) == {}


def argilla(kind: str, label: str | None) -> tuple[dict[str, str], dict[str, Any]]:
    """Type of each question about a label, and the values that are suggested."""
    post = answered(kind, label)
    questions = QuestionNames(post.task)
    settings = argilla_settings(questions)["questions"]
    types = {each["name"]: each["settings"]["type"] for each in settings if "_label" in each["name"]}
    (record,) = argilla_records(post, questions)
    values = {name: each["value"] for name, each in record["suggestions"].items() if "_label" in name}
    assert values.keys() <= types.keys()
    return types, values


def test_argilla_has_a_question_for_each_decision() -> None:
    assert argilla("ordinal", "mild") == ({"about_label": "label_selection"}, {"about_label": "mild"})
    assert argilla("multi", ANSWERS["multi"]) == (
        {"about_label": "multi_label_selection"}, {"about_label": ["sleep", "low mood"]},
    )  # fmt: skip
    assert argilla("scale", ANSWERS["scale"]) == (
        {"about_label_sleep": "label_selection", "about_label_energy": "label_selection"},
        {"about_label_energy": "several days"},
    )
    types, values = argilla("spans", ANSWERS["spans"])
    assert types == {"about_label": "span"}
    assert [(TEXT[v["start"] : v["end"]], v["label"]) for v in values["about_label"]] == [
        ("lie awake", "sleep"), ("grey", "low mood"),
    ]  # fmt: skip
    for kind in ("multi", "scale", "spans"):
        assert argilla(kind, "none")[1] == argilla(kind, None)[1] == {}


def run_of(folder: Path, *kinds: str) -> ExportSource:
    """A run with a test post of each kind."""
    tasks = {task.set: task for task in map(task_of_kind, kinds)}
    posts = [
        Post(
            id=kind, set=f"synthetic-{kind}", split="test", text=TEXT, labels={"about": ANSWERS[kind]},
            provenance=Provenance(file="a.csv", row=2, origin="table", synthetic=True),
        )
        for kind in kinds
    ]  # fmt: skip
    write_records(folder / POSTS_PATH, posts)
    return ExportSource(folder, tasks)


@pytest.mark.parametrize("format_name", ["lm-eval", "inspect"])
def test_harnesses_of_single_labels_leave_other_sets_out_and_say_so(format_name: str, tmp_path: Path) -> None:
    export(format_name, run_of(tmp_path / "run", "ordinal", "multi"), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/data").iterdir()] == ["synthetic-ordinal"]
    assert "Left out are answers of several parts" in (tmp_path / "out/README.md").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=r"only answers of several parts.*synthetic-scale \(scale\)"):
        export(format_name, run_of(tmp_path / "other", "scale"), tmp_path / "none")
