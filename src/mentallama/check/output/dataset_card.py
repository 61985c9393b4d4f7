"""The dataset card: `README.md` of the stage's folder, read by people and by `datasets.load_dataset`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mentallama.check.output.dataset import dataset_path
from mentallama.check.output.gate_report import gate_table
from mentallama.check.output.gate_report_schema import GateReport
from mentallama.config import Recipe, Teach, Teacher, parse_remote_spec
from mentallama.files.markdown import (
    escape_markdown,
    format_cell,
    format_percent,
    markdown_table,
    table_of_rows,
)
from mentallama.files.record_files import read_json
from mentallama.records import FORMS, SPLITS, Form, Split
from mentallama.run_files import COLLECT_SUMMARY_PATH, LABEL_DRIFT_PATH, TEACH_SUMMARY_PATH
from mentallama.safety import NOTICE
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import ABSENT
from mentallama.tasks.terms import SYNTHETIC_SPDX, free_licence_of_posts, hub_licence

SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""Upper bound of the number of rows -> the Hugging Face Hub's name of the size category."""
LARGEST_SIZE_CATEGORY = "1M<n<10M"
RELEASE_TEACHER = "The explanations are the published release's, written by gpt-3.5-turbo."
TEMPLATE_TEACHER = (
    "The embedded teacher fills sentence templates with the words that a linear model counts as evidence; no language "
    "model wrote them."
)

PROVIDER_TERMS = "The terms of its provider apply to what a language model wrote."


@dataclass(frozen=True)
class DatasetCardData:
    """Everything that a card is rendered from.

    `synthetic` and `real` count the accepted rows about synthetic posts and about posts that certainly are not, by set;
    without `real`, all others are. `teachers` describes each teacher in a sentence, `prompt` the prompts.
    `collect_summary` and `label_drift` are the files of those names, empty if absent.
    """

    name: str
    gates: GateReport
    tasks: Mapping[str, Task]
    parquet: bool
    languages: Sequence[str] = ()
    synthetic: Mapping[str, int] = field(default_factory=dict)
    real: Mapping[str, int] | None = None
    teachers: Sequence[str] = ()
    prompt: str | None = None
    collect_summary: Mapping[str, Any] = field(default_factory=dict)
    label_drift: Sequence[Mapping[str, Any]] = ()

    @property
    def sets(self) -> list[str]:
        return list(dict.fromkeys(count.set for count in self.gates.accepted_by_label))

    def count_rows(self, name: str | None = None, split: Split | None = None) -> int:
        """Accepted rows, of one set or split or of all."""
        return sum(
            count.rows
            for count in self.gates.accepted_by_label
            if (name is None or count.set == name) and (split is None or count.split == split)
        )

    def has_real_posts(self, name: str) -> bool:
        """Whether any accepted row of a set is about a post that a person wrote.

        A set without such a row has synthetic posts, and perhaps some that are too short to tell.
        """
        synthetic = self.synthetic.get(name, 0)
        real = self.count_rows(name) - synthetic if self.real is None else self.real.get(name, 0)
        return real > 0 or synthetic == 0

    @property
    def has_model_explanations(self) -> bool:
        """Whether a language model wrote explanations, which have the terms of its provider."""
        return set(self.teachers) != {TEMPLATE_TEACHER}


def collect_card_data(
    recipe: Recipe,
    folder: Path,
    gates: GateReport,
    parquet: bool,
    languages: Sequence[str],
) -> DatasetCardData:
    """Gather the data of a card from the recipe and from the summaries that earlier stages wrote into the run."""
    teach = recipe.teach
    teach_summary = None if teach is None else _read_optional_json(folder / TEACH_SUMMARY_PATH)
    return DatasetCardData(
        name=recipe.name,
        gates=gates,
        tasks=recipe.catalogue(),
        parquet=parquet,
        languages=languages,
        teachers=[RELEASE_TEACHER] if teach is None else _describe_teachers(teach),
        prompt=_describe_prompt(recipe, teach_summary),
        collect_summary=_read_optional_json(folder / COLLECT_SUMMARY_PATH) or {},
        label_drift=_read_optional_json(folder / LABEL_DRIFT_PATH) or (),
    )


def _read_optional_json(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _describe_teachers(teach: Teach) -> list[str]:
    """A sentence about each teacher, and one about its checker."""
    sentences = [_describe_teacher(teacher) for teacher in teach.teacher]
    if teach.method == "item-by-item":
        checker = teach.scale.checker
        checked = "the same model" if checker is None else _model_name(checker)
        sentences.append(f"Scales were filled item by item, and the items were checked by {checked}.")
    return sentences


def _model_name(teacher: Teacher) -> str:
    if teacher.kind == "scripted":
        return "a file of replies"
    return escape_markdown(parse_remote_spec(teacher.spec)[0])


def _describe_teacher(teacher: Teacher) -> str:
    """One sentence about a teacher, without the URL of its endpoint."""
    if teacher.kind == "scripted":
        return "The replies were scripted: they come from a file."
    if not teacher.remote:
        return TEMPLATE_TEACHER
    limits = f"at temperature {teacher.temperature:g} for at most {teacher.max_tokens} tokens"
    return f"{_model_name(teacher)} was asked {limits}."


def _describe_prompt(recipe: Recipe, teach_summary: Mapping[str, Any] | None) -> str | None:
    if (
        recipe.teach is None
        or teach_summary is None
        or not any(teacher.takes_requests for teacher in recipe.teach.teacher)
    ):
        return None
    form = "a JSON object" if teach_summary["structured"] else "an answer sentence and its reasoning"
    mode, version = teach_summary["prompt_mode"], teach_summary["prompts_version"]
    return f"Prompts: {mode}, version {version}, asking for {form}."


def render_dataset_card(card: DatasetCardData) -> str:
    """The content of the card. Splits without rows are not mentioned."""
    matter = yaml.safe_dump(front_matter(card), sort_keys=False, allow_unicode=True)
    return f"---\n{matter}---\n\n# {escape_markdown(card.name)}\n\n" + "".join(_parts(card))


def front_matter(card: DatasetCardData) -> dict[str, Any]:
    """The YAML metadata of the card, which the Hugging Face Hub and `load_dataset` read."""
    rows = card.count_rows()
    matter: dict[str, Any] = {
        "pretty_name": card.name,
        **_licence(card),
        "language": sorted(set(card.languages)),
        "task_categories": ["text-classification", "text-generation"],
        "tags": ["mental-health", "explanations", "instruction-tuning", "social-media"],
        "size_categories": [
            next((name for bound, name in SIZE_CATEGORIES if rows < bound), LARGEST_SIZE_CATEGORY)
        ],
    }
    configs = [_config(form, card) for form in FORMS] if rows else []
    return matter | ({"configs": configs} if configs else {})


def _licence(card: DatasetCardData) -> dict[str, str]:
    """The licence of posts and explanations."""
    posts = [free_licence_of_posts(not card.has_real_posts(name)) for name in card.sets]
    explanations = None if card.has_model_explanations else SYNTHETIC_SPDX
    return hub_licence([*posts, explanations], "terms-of-each-source")


def render_terms(card: DatasetCardData) -> str | None:
    """The content of `LICENSE.md`; None if one standard licence covers the data set."""
    if _licence(card)["license"] != "other":
        return None
    provider = f" {PROVIDER_TERMS}" if card.has_model_explanations else ""
    return (
        f"# Terms of {escape_markdown(card.name)}\n\nNo single licence covers this data set: every set has its own "
        f"terms.\n\n{_sources(card).rstrip()}\n\n## Explanations\n\n{' '.join(card.teachers)}{provider}\n"
    )


def _config(form: Form, card: DatasetCardData) -> dict[str, Any]:
    suffix = ".parquet" if card.parquet else ".jsonl"
    files = [
        {"split": split, "path": dataset_path(form, split, suffix).as_posix()}
        for split in SPLITS
        if card.count_rows(split=split)
    ]
    default = {"default": True} if form == FORMS[0] else {}
    return {"config_name": form, **default, "data_files": files}


def _parts(card: DatasetCardData) -> Iterator[str]:
    yield f"> {NOTICE}\n\n"
    yield _INTRODUCTION
    yield from _section("Rows", _rows(card))
    yield from _section("Sources and terms", _sources(card))
    yield from _section("Authors of the explanations", _teachers(card))
    yield from _section("Gates", _gates(card))
    yield from _section("Copies between splits and sets", _leaks(card.collect_summary))
    yield from _section("Labels that differ from upstream", _drift(card.label_drift))
    yield from _section("How to load it", _LOADING_EXAMPLE if card.count_rows() else "")


def _section(title: str, body: str) -> Iterator[str]:
    if body:
        yield f"## {title}\n\n{body.rstrip()}\n\n"


_INTRODUCTION = (
    "Posts from social media, a question about each, and an answer with its reason, for research into models that "
    "explain themselves. A label says what a post's words show to a reader. It is never a diagnosis of the person who "
    "wrote it, and neither this data nor a model trained on it is fit for decisions about people.\n\n"
    "Personal details were replaced by placeholders such as `[name]` and `[handle]`. Do not try to identify the "
    "authors.\n\n"
)
_LOADING_EXAMPLE = (
    '```python\nfrom datasets import load_dataset\n\nload_dataset("FOLDER")  # instruction form\n'
    'load_dataset("FOLDER", "completion")\n```\n\n'
    "`FOLDER` is the folder of this card. The columns are `id`, `set`, `question`, `query`, `response`, `label`, "
    "`explanation`, `model` and `post_id`. The same rows are in `release/` in the layout of the published IMHI "
    "files; there the column of responses is called `gpt-3.5-turbo` whoever wrote them.\n"
)


def _rows(card: DatasetCardData) -> str:
    splits = [split for split in SPLITS if card.count_rows(split=split)]
    counts = {(row.set, row.split, row.label): row.rows for row in card.gates.accepted_by_label}
    labels = list(dict.fromkeys((row.set, row.label) for row in card.gates.accepted_by_label))
    lines: list[list[object]] = [
        [name, label, *(counts.get((name, split, label), 0) for split in splits)]
        for name in card.sets
        for label in _labels_in_order(
            card.tasks[name], [label for set_name, label in labels if set_name == name]
        )
    ]
    if not lines:
        return "No row was accepted.\n"
    lines.append(["all", "", *(card.count_rows(split=split) for split in splits)])
    rows = markdown_table(("set", "label", *splits), lines)
    return f"Accepted rows; a row is one question about one post.\n\n{rows}{_part_table(card, splits)}"


def _labels_in_order(task: Task, labels: Sequence[str]) -> list[str]:
    return sorted(labels) if task.is_composite else [label for label in task.labels if label in labels]


def _part_table(card: DatasetCardData, splits: Sequence[Split]) -> str:
    """Accepted rows by the labels, types and items of answers that have several."""
    found = card.gates.accepted_by_part
    counts = {(row.set, row.part, row.level, row.split): row.rows for row in found}
    named = dict.fromkeys((row.set, row.part, row.level) for row in found if row.level != ABSENT)
    lines = [[*name, *(counts.get((*name, split), 0) for split in splits)] for name in named]
    if not lines:
        return ""
    return "\nLabels, types and items of answers that have several:\n\n" + markdown_table(
        ("set", "label or item", "level", *splits), lines
    )


def _sources(card: DatasetCardData) -> str:
    tasks = [card.tasks[name] for name in card.sets]
    header = ("set", "task", "platform", "annotation", "licence", "how to get it", "by agreement or request")
    lines = (
        (
            *(t.set, t.title, t.platform, t.annotation, t.licence, t.obtain or "not published"),
            "yes" if t.needs_agreement else "no",
        )
        for t in tasks
    )
    restricted = [task.set for task in tasks if task.needs_agreement and card.has_real_posts(task.set)]
    text = markdown_table(header, lines)
    if restricted:
        text += (
            f"**Do not redistribute: {', '.join(map(escape_markdown, restricted))}.** "
            "The posts of these sets are available by agreement or on request only. Remove them before "
            "this folder leaves the machine it was made on.\n\n"
        )
    synthetic = {name: count for name, count in card.synthetic.items() if count and name in card.sets}
    if synthetic:
        counts = ", ".join(
            f"{escape_markdown(name)} {format_cell(count)} of {format_cell(card.count_rows(name))}"
            for name, count in synthetic.items()
        )
        text += f"Rows about synthetic posts, which no person wrote about themselves: {counts}.\n"
    return text


def _teachers(card: DatasetCardData) -> str:
    text = f"{' '.join(card.teachers)}\n\n" if card.teachers else ""
    if card.prompt:
        text += f"{card.prompt}\n\n"
    return text + table_of_rows([teacher.model_dump() for teacher in card.gates.teachers])


def _gates(card: DatasetCardData) -> str:
    report = card.gates
    share = format_percent(report.accepted, report.responses)
    lead = f"{report.accepted:,} of {report.responses:,} responses were accepted ({share})."
    disabled = f"Disabled: {', '.join(report.disabled)}.\n\n" if report.disabled else ""
    notes = "".join(f"- {escape_markdown(note)}\n" for note in report.notes)
    more = "See `gates.md` for counts by set and label.\n"
    return f"{lead}\n\n{gate_table(report)}{disabled}{notes}\n{more}"


def _leaks(summary: Mapping[str, Any]) -> str:
    if not summary:
        return ""
    held_out = summary["held_out"]
    level = summary["leak_guard"]
    meanings = {
        "run": "no training post is a copy or near copy of a test post of any set",
        "question": "training posts were removed only if they are copies of test posts of their own set",
    }
    removed = sum(entry["posts"] for entry in summary["removed"])
    text = f"Leak guard `{level}`: {meanings[level]}; posts removed: {removed:,}.\n\n"
    names = ", ".join(map(escape_markdown, held_out["sets"]))
    if held_out["verified"]:
        return text + f"Held out for testing: {names}; training contains no copy of their test posts.\n"
    if names:
        left = held_out["test_posts_left_in_training"]
        return (
            text
            + f"Held out: {names}, but {left:,} of their test posts are still in training, so they are not unseen.\n"
        )
    return text + "No set was held out, so nothing here supports a claim of unseen sets.\n"


def _drift(label_drift: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        (
            row["set"],
            row["question"],
            row["rows"],
            row["differ"],
            format_percent(row["differ"], row["rows"]),
        )
        for row in label_drift
    ]
    if not lines:
        return (
            "No set is present both as released and as its upstream file, so labels could not be compared.\n"
        )
    lead = "Posts that are both in the release and in their upstream file, and how often their labels differ.\n\n"
    return lead + markdown_table(("set", "question", "posts compared", "labels differ", "share"), lines)


def dataset_card_path(out: Path) -> Path:
    """Path of the card, under the name that the Hugging Face Hub and `load_dataset` look for."""
    return out / "README.md"
