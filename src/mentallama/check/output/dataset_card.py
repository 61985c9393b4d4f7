"""The dataset card: `README.md` of the stage's folder, as `datasets.load_dataset` and people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mentallama.check.output.dataset import dataset_path
from mentallama.check.output.gate_report import gate_table
from mentallama.check.output.gate_report_schema import GateReport
from mentallama.files.markdown import format_cell, format_percent, markdown_table, table_of_rows
from mentallama.records import FORMS, SPLITS, Form, Split
from mentallama.safety import NOTICE
from mentallama.tasks import Task

SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""Below so many rows -> the hub's word for it."""
LARGEST_SIZE_CATEGORY = "1M<n<10M"


@dataclass(frozen=True)
class DatasetCardData:
    """What a card is written from. `made_up` holds how many posts of each set were written for this project."""

    name: str
    gates: GateReport
    tasks: Mapping[str, Task]
    parquet: bool
    languages: Sequence[str] = ()
    synthetic: Mapping[str, int] = field(default_factory=dict)
    teachers: Sequence[str] = ()
    prompt: str | None = None
    collect_summary: Mapping[str, Any] = field(default_factory=dict)
    label_drift: Sequence[Mapping[str, Any]] = ()

    @property
    def sets(self) -> list[str]:
        return list(dict.fromkeys(each.set for each in self.gates.accepted_by_label))

    def count_rows(self, name: str | None = None, split: Split | None = None) -> int:
        """Accepted rows, of one set or split or of all."""
        return sum(
            each.rows
            for each in self.gates.accepted_by_label
            if (name is None or each.set == name) and (split is None or each.split == split)
        )

    def has_real_posts(self, name: str) -> bool:
        """Whether some accepted row of a set is about a post that a person wrote to others."""
        return self.synthetic.get(name, 0) < self.count_rows(name)


def render_dataset_card(material: DatasetCardData) -> str:
    """The card's text. A split without rows is not named in it."""
    matter = yaml.safe_dump(front_matter(material), sort_keys=False, allow_unicode=True)
    return f"---\n{matter}---\n\n# {material.name}\n\n" + "".join(_parts(material))


def front_matter(material: DatasetCardData) -> dict[str, Any]:
    """What the hub and `load_dataset` read of a card."""
    rows = material.count_rows()
    matter: dict[str, Any] = {
        "pretty_name": material.name,
        "license": "other",
        "license_name": "terms-of-each-source",
        "language": sorted(set(material.languages)),
        "task_categories": ["text-classification", "text-generation"],
        "tags": ["mental-health", "explanations", "instruction-tuning", "social-media"],
        "size_categories": [
            next((word for bound, word in SIZE_CATEGORIES if rows < bound), LARGEST_SIZE_CATEGORY)
        ],
    }
    configs = [_config(form, material) for form in FORMS] if rows else []
    return matter | ({"configs": configs} if configs else {})


def _config(form: Form, material: DatasetCardData) -> dict[str, Any]:
    suffix = ".parquet" if material.parquet else ".jsonl"
    files = [
        {"split": split, "path": dataset_path(form, split, suffix).as_posix()}
        for split in SPLITS
        if material.count_rows(split=split)
    ]
    default = {"default": True} if form == FORMS[0] else {}
    return {"config_name": form, **default, "data_files": files}


def _parts(material: DatasetCardData) -> Iterator[str]:
    yield f"> {NOTICE}\n\n"
    yield _INTRODUCTION
    yield from _section("Rows", _rows(material))
    yield from _section("Sources and terms", _sources(material))
    yield from _section("Who wrote the explanations", _teachers(material))
    yield from _section("Gates", _gates(material))
    yield from _section("Copies between splits and sets", _leaks(material.collect_summary))
    yield from _section("Labels that differ from upstream", _drift(material.label_drift))
    yield from _section("How to load it", _LOADING_EXAMPLE if material.count_rows() else "")


def _section(title: str, body: str) -> Iterator[str]:
    if body:
        yield f"## {title}\n\n{body.rstrip()}\n\n"


_INTRODUCTION = (
    "Posts from social media, a question about each, and an answer with its reason, for research into models that "
    "explain themselves. A label says what a post's words show to a reader. It is never a diagnosis of the person who "
    "wrote it, and neither this data nor a model trained on it is fit for decisions about people.\n\n"
    "Personal details were replaced by marks as `[name]` and `[handle]`. Do not try to find out who wrote a post.\n\n"
)
_LOADING_EXAMPLE = (
    '```python\nfrom datasets import load_dataset\n\nload_dataset("FOLDER")  # instruction form\n'
    'load_dataset("FOLDER", "completion")\n```\n\n'
    "`FOLDER` is the folder of this card. The columns are `id`, `set`, `question`, `query`, `response`, `label`, "
    "`explanation`, `model` and `post_id`. The same rows stand in `release/` in the layout of the published IMHI "
    "files; there the column of responses is called `gpt-3.5-turbo` whoever wrote them.\n"
)


def _rows(material: DatasetCardData) -> str:
    splits = [split for split in SPLITS if material.count_rows(split=split)]
    counts = {(each.set, each.split, each.label): each.rows for each in material.gates.accepted_by_label}
    labels = list(dict.fromkeys((each.set, each.label) for each in material.gates.accepted_by_label))
    lines: list[list[object]] = [
        [name, label, *(counts.get((name, split, label), 0) for split in splits)]
        for name in material.sets
        for label in material.tasks[name].labels
        if (name, label) in labels
    ]
    if not lines:
        return "No row was accepted.\n"
    lines.append(["all", "", *(material.count_rows(split=split) for split in splits)])
    return "Accepted rows; a row is a question about a post.\n\n" + markdown_table(
        ("set", "label", *splits), lines
    )


def _sources(material: DatasetCardData) -> str:
    tasks = [material.tasks[name] for name in material.sets]
    header = ("set", "task", "platform", "annotation", "licence", "how to get it", "by agreement or request")
    lines = (
        (t.set, t.title, t.platform, t.annotation, t.licence, t.obtain, "yes" if t.needs_agreement else "no")
        for t in tasks
    )
    kept_back = [task.set for task in tasks if task.needs_agreement and material.has_real_posts(task.set)]
    text = markdown_table(header, lines)
    if kept_back:
        text += (
            f"**Not to be passed on: {', '.join(kept_back)}.** "
            "The posts of these sets were given by agreement or on request. Take them out before "
            "this folder leaves the machine it was made on.\n\n"
        )
    made_up = {name: count for name, count in material.synthetic.items() if count and name in material.sets}
    if made_up:
        told = ", ".join(
            f"{name} {format_cell(count)} of {format_cell(material.count_rows(name))}"
            for name, count in made_up.items()
        )
        text += f"Rows about made-up posts, which no person wrote about themselves: {told}.\n"
    return text


def _teachers(material: DatasetCardData) -> str:
    text = f"{' '.join(material.teachers)}\n\n" if material.teachers else ""
    if material.prompt:
        text += f"{material.prompt}\n\n"
    return text + table_of_rows([each.model_dump() for each in material.gates.teachers])


def _gates(material: DatasetCardData) -> str:
    found = material.gates
    part = format_percent(found.accepted, found.responses)
    lead = f"{found.accepted:,} of {found.responses:,} responses were accepted ({part})."
    off = f"Switched off: {', '.join(found.disabled)}.\n\n" if found.disabled else ""
    notes = "".join(f"- {note}\n" for note in found.notes)
    more = "`gates.md` tells more, by set and label.\n"
    return f"{lead}\n\n{gate_table(found)}{off}{notes}\n{more}"


def _leaks(collected: Mapping[str, Any]) -> str:
    if not collected:
        return ""
    held_out = collected["held_out"]
    level = collected["leak_guard"]
    words = {
        "run": "no training post of any set stands, equal or nearly, among the test posts of any set",
        "question": "training posts were taken out where they stand among the test posts of their own set only",
    }
    removed = sum(each["posts"] for each in collected["removed"])
    text = f"Leak guard `{level}`: {words[level]}; {removed:,} posts were taken out.\n\n"
    names = ", ".join(held_out["sets"])
    if held_out["claim"]:
        return text + f"Held out for testing: {names}; no copy of their test posts is left in training.\n"
    if names:
        left = held_out["test_posts_left_in_training"]
        return (
            text
            + f"Held out: {names}, but {left:,} test posts still stand in training: they are not unseen.\n"
        )
    return text + "No set was held out, so nothing here supports a claim of unseen sets.\n"


def _drift(drift: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        (
            each["set"],
            each["question"],
            each["rows"],
            each["differ"],
            format_percent(each["differ"], each["rows"]),
        )
        for each in drift
    ]
    if not lines:
        return "No set is here both as released and upstream, so labels could not be compared.\n"
    lead = "Posts that stand both in the release and in their upstream file, and how often the label differs.\n\n"
    return lead + markdown_table(("set", "question", "posts compared", "labels differ", "share"), lines)


def dataset_card_path(out: Path) -> Path:
    """Where the card stands: the hub and `load_dataset` look for this name."""
    return out / "README.md"
