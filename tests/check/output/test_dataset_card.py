"""The dataset card: read by the real `datasets` library, and by people."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import DatasetCard, metadata_load

from mentallama.answers.format import write_answer
from mentallama.check.output.dataset import AcceptedResponse, dataset_writer
from mentallama.check.output.dataset_card import (
    TEMPLATE_TEACHER,
    DatasetCardData,
    collect_card_data,
    front_matter,
    render_dataset_card,
    render_terms,
)
from mentallama.check.output.gate_report import render_gate_report
from mentallama.check.output.gate_report_schema import (
    AcceptedCount,
    GateCounts,
    GateReport,
    GateTable,
    LabelGateCounts,
    TeacherCounts,
    UnusableAnswers,
)
from mentallama.check.response_rows import ResponseRow
from mentallama.config import read_recipe
from mentallama.files.atomic import write_text
from mentallama.records import FORMS, Split
from mentallama.safety import NOTICE
from mentallama.tasks import load_tasks
from tests.factories.check_cases import post_of, row_for
from tests.factories.project import ROOT

TASKS = load_tasks()
LEAKS = {
    "leak_guard": "run",
    "removed": [{"posts": 3}, {"posts": 4}],
    "held_out": {"sets": [], "verified": False, "test_posts_left_in_training": 0},
}


def kept_of(rows: Sequence[ResponseRow]) -> tuple[AcceptedCount, ...]:
    places = [(row.task.set, row.post.split, row.reading.label or "") for row in rows]
    return tuple(
        AcceptedCount(set=s, split=split, label=k, rows=places.count((s, split, k)))
        for s, split, k in dict.fromkeys(places)
    )


def gates_of(kept: tuple[AcceptedCount, ...], **more: Any) -> GateReport:
    gates = (
        GateCounts(gate="parsed", threshold=True, drops=True, judged=1200, failed=0, sole_drops=0),
        GateCounts(
            gate="length",
            threshold=(5, 400),
            drops=True,
            judged=1200,
            failed=30,
            sole_drops=12,
            passes_if="it is neither short nor long",
        ),
        GateCounts(
            gate="label_consistency",
            threshold=0.1,
            drops=False,
            judged=0,
            failed=0,
            sole_drops=0,
            note="no training rows",
        ),
    )
    accepted = sum(each.rows for each in kept)
    return GateReport(
        responses=1200, accepted=accepted, unanswered=0, gates=gates, accepted_by_label=kept, **more
    )


def material(kept: tuple[AcceptedCount, ...], *, parquet: bool = True, **more: Any) -> DatasetCardData:
    return DatasetCardData("sample-build", gates_of(kept), TASKS, parquet, **more)


def made(splits: Sequence[Split]) -> list[ResponseRow]:
    texts = ['The rent "is due",\nagain.', "None", "夜里睡不着"]
    return [
        row_for(
            post_of("dreaddit", text, {"stress": "yes"}, split, number),
            "stress",
            write_answer("dreaddit", "stress", "yes", f"It says “{text}”."),
        )
        for split in splits
        for number, text in enumerate(texts)
    ]


def build(folder: Path, splits: Sequence[Split], parquet: bool) -> list[ResponseRow]:
    rows = made(splits)
    with dataset_writer(folder, "instruction", parquet) as accept:
        for row in rows:
            accept(AcceptedResponse(row, row.reading.label or ""))
    write_text(
        folder / "README.md",
        render_dataset_card(material(kept_of(rows), parquet=parquet, languages=("en", "zh"))),
    )
    return rows


LOAD = """
import json, sys
from datasets import load_dataset
from pathlib import Path
folder, cache = sys.argv[1:]
files = {path.stem: str(path) for path in (Path(folder) / "data/completion").glob("*.jsonl")}
loaded = [
    load_dataset(folder, cache_dir=cache),
    load_dataset(folder, "instruction", cache_dir=cache),
    load_dataset(folder, "completion", cache_dir=cache),
    load_dataset("json", data_files=files, cache_dir=cache),
]
print(json.dumps([{split: list(rows) for split, rows in each.items()} for each in loaded]))
"""


def load(folder: Path, cache: Path) -> list[dict[str, list[dict[str, str]]]]:
    """What users of the library load, in a process without network access."""
    import json

    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(cache),
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder), str(cache)],
        capture_output=True, text=True, env={**os.environ, **offline}, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[dict[str, list[dict[str, str]]]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("splits", "parquet"),
    [(("train", "validation", "test"), True), (("train", "test"), False), (("test",), True)],
    ids=["whole", "no validation, no parquet", "test only"],
)
def test_the_datasets_library_loads_the_folder(
    splits: tuple[Split, ...], parquet: bool, tmp_path: Path
) -> None:
    rows = build(tmp_path / "set", splits, parquet)
    default, instruction, completion, from_json = load(tmp_path / "set", tmp_path / "cache")
    assert default == instruction
    assert completion == from_json
    for form, loaded in zip(FORMS, (instruction, completion), strict=True):
        assert list(loaded) == list(splits) if form == "instruction" else set(loaded) == set(splits)
        for split in splits:
            expected = [
                AcceptedResponse(row, "yes").dataset_row(form) for row in rows if row.post.split == split
            ]
            assert loaded[split] == expected
            assert len(expected) == 3


@pytest.mark.parametrize("splits", [("train", "test"), ()], ids=["rows", "no rows"])
def test_huggingface_hub_reads_the_metadata(splits: Sequence[Split], tmp_path: Path) -> None:
    rows = build(tmp_path, splits, parquet=True)
    expected = front_matter(material(kept_of(rows), languages=("en", "zh")))
    card = DatasetCard.load(tmp_path / "README.md")
    assert card.data.to_dict() == expected
    assert metadata_load(tmp_path / "README.md") == expected
    assert card.data.pretty_name == "sample-build"
    assert card.text.lstrip().startswith("# sample-build")
    assert DatasetCard(str(card)).data.to_dict() == expected  # written back and read again


# --- the front matter ----------------------------------------------------------------------------------

TWO = (
    AcceptedCount(set="DR", split="train", label="yes", rows=900),
    AcceptedCount(set="DR", split="test", label="no", rows=100),
    AcceptedCount(set="SAD", split="train", label="work", rows=50),
)


def matter_of(text: str) -> dict[str, Any]:
    begin, matter, _ = text.split("---\n", 2)
    assert begin == ""
    found: dict[str, Any] = yaml.safe_load(matter)
    return found


def test_the_front_matter_names_splits_that_have_rows_and_no_others() -> None:
    matter = matter_of(render_dataset_card(material(TWO, languages=("tr", "en", "en"))))
    assert matter == front_matter(material(TWO, languages=("en", "tr")))
    assert matter["license"] == "other"
    assert matter["license_link"] == "LICENSE.md"
    assert matter["language"] == ["en", "tr"]
    assert matter["size_categories"] == ["1K<n<10K"]
    assert matter["configs"] == [
        {
            "config_name": "instruction",
            "default": True,
            "data_files": [
                {"split": "train", "path": "data/instruction/train.parquet"},
                {"split": "test", "path": "data/instruction/test.parquet"},
            ],
        },
        {
            "config_name": "completion",
            "data_files": [
                {"split": "train", "path": "data/completion/train.parquet"},
                {"split": "test", "path": "data/completion/test.parquet"},
            ],
        },
    ]
    assert "validation" not in render_dataset_card(material(TWO))


def test_without_parquet_the_front_matter_names_json_lines() -> None:
    paths = [
        file["path"]
        for each in front_matter(material(TWO, parquet=False))["configs"]
        for file in each["data_files"]
    ]
    assert paths[0] == "data/instruction/train.jsonl"
    assert all(path.endswith(".jsonl") for path in paths)


def test_a_card_of_nothing_names_no_file() -> None:
    text = render_dataset_card(material(()))
    assert "configs" not in matter_of(text)
    assert matter_of(text)["size_categories"] == ["n<1K"]
    assert "No row was accepted." in text
    assert "load_dataset" not in text


# --- what people read ----------------------------------------------------------------------------------


def test_the_card_says_what_users_are_owed() -> None:
    text = render_dataset_card(
        material(
            TWO, teachers=("The teacher was a model.",), prompt="Prompts of version 1.", collect_summary=LEAKS
        )
    )
    assert NOTICE in text
    assert "never a diagnosis" in text
    assert "| DR | yes | 900 | 0 |" in text
    assert "| all | – | 950 | 100 |" in text
    assert TASKS["DR"].licence in text
    assert TASKS["SAD"].obtain in text
    assert TASKS["CAMS"].obtain not in text
    assert "**Do not redistribute: DR.**" in text
    assert "1,050 of 1,200 responses were accepted (87.5 %)" in text
    assert "| length | it is neither short nor long | 5 to 400 | 1,200 | 30 | 2.5 % | 12 | – |" in text
    assert "| 0.1 | 0 | 0 | – | drops nothing | no training rows |" in text
    assert "posts removed: 7." in text
    assert "No set was held out" in text
    assert "Prompts of version 1." in text


def test_synthetic_posts_are_counted_and_under_no_agreement() -> None:
    text = render_dataset_card(material(TWO, synthetic={"DR": 1000, "SAD": 0}))
    assert "DR 1,000 of 1,000" in text
    assert "Do not redistribute" not in text
    assert "**Do not redistribute: DR.**" in render_dataset_card(material(TWO, synthetic={"DR": 999}))


def test_terms_are_written_out_unless_one_licence_covers_posts_and_explanations() -> None:
    terms = render_terms(material(TWO, teachers=("The teacher was a model.",))) or ""
    assert TASKS["DR"].licence in terms
    assert "**Do not redistribute: DR.**" in terms
    assert "The terms of its provider apply" in terms
    synthetic = {"SAD": 50}
    free = material(TWO[2:], teachers=(TEMPLATE_TEACHER,), synthetic=synthetic)
    assert render_terms(free) is None
    assert front_matter(free)["license"] == "mit"
    for other in (
        material(TWO[2:], teachers=(TEMPLATE_TEACHER,)),  # posts of people, whatever their file's licence
        material(TWO[2:], teachers=("The teacher was a model.",), synthetic=synthetic),
    ):
        assert front_matter(other)["license"] == "other"
        assert render_terms(other) is not None


@pytest.mark.parametrize(
    ("sets", "claim", "left", "said"),
    [
        (["SAD"], True, 0, "Held out for testing: SAD; training contains no copy"),
        (
            ["SAD", "DR"],
            False,
            1200,
            "Held out: SAD, DR, but 1,200 of their test posts are still in training",
        ),
    ],
)
def test_held_out_sets_are_claimed_only_without_copies_in_training(
    sets: list[str], claim: bool, left: int, said: str
) -> None:
    held_out = {"sets": sets, "verified": claim, "test_posts_left_in_training": left}
    assert said in render_dataset_card(material(TWO, collect_summary={**LEAKS, "held_out": held_out}))


def test_label_drift_is_reported() -> None:
    drift = [{"set": "Irf", "question": "thwarted belongingness", "rows": 200, "differ": 50, "share": 0.25}]
    assert "| Irf | thwarted belongingness | 200 | 50 | 25.0 % |" in render_dataset_card(
        material(TWO, label_drift=drift)
    )
    assert "labels could not be compared" in render_dataset_card(material(TWO))


# --- the gate report -----------------------------------------------------------------------------------


def test_the_gate_report_marks_high_risk_labels_and_puts_them_first() -> None:
    found = gates_of(
        TWO,
        failed_by_label=(
            LabelGateCounts(gate="length", set="DR", label="yes", high_risk=True, judged=10, failed=3),
            LabelGateCounts(gate="length", set="SAD", label="work", high_risk=False, judged=10, failed=0),
        ),
        unusable_answers=(
            UnusableAnswers(set="DR", label="no", high_risk=False, rows=20, refused=0, unparsed=1, truncated=0),
            UnusableAnswers(set="DR", label="yes", high_risk=True, rows=10, refused=4, unparsed=0, truncated=1),
            UnusableAnswers(set="SAD", label="work", high_risk=False, rows=10, refused=0, unparsed=0, truncated=0),
        ),
        teachers=(TeacherCounts(model="a|b", responses=3, passed=2, accepted=1),),
        disabled=("reference_overlap",),
        tables=(
            GateTable(
                gate="label_consistency",
                title="Predicted labels",
                rows=({"set": "DR", "split": "test", "rows": 4, "weighted_f1": 93.456},),
            ),
        ),
        disagreements={"undecided": 4},
        notes=("consistency: no training rows.",),
    )  # fmt: skip
    page = render_gate_report("sample-build", found)
    assert NOTICE in page
    assert "| length | DR | **yes** (high risk) | 10 | 3 | 30.0 % |" in page
    assert "| length | SAD |" not in page
    grave, other = (
        page.index("| DR | **yes** (high risk) | 10 | 4 | 0 | 1 | 50.0 % |"),
        page.index("| DR | no | 20 | 0 | 1 | 0 | 5.0 % |"),
    )
    assert grave < other
    assert "| a\\|b | 3 | 2 | 1 |" in page
    assert "Disabled: reference_overlap." in page
    assert "| set | split | rows | weighted f1 |" in page
    assert "| DR | test | 4 | 93.46 |" in page
    assert "| undecided |" in page
    assert "## Predicted labels" in page
    assert "- consistency: no training rows." in page


@pytest.mark.parametrize(
    ("changes", "checker"),
    [
        ((), "the same model"),
        (('teach.scale={"checker": "remote:small@http://127.0.0.1:8000/v1"}',), "small"),
    ],
)
def test_a_card_says_how_scales_were_filled(changes: tuple[str, ...], checker: str, tmp_path: Path) -> None:
    recipe = read_recipe(ROOT / "recipes/sample-scale-teacher.yaml", changes)
    card = collect_card_data(recipe, tmp_path, gates_of(()), False, ())
    assert card.teachers == [
        "The replies were scripted: they come from a file.",
        f"Scales were filled item by item, and the items were checked by {checker}.",
    ]
    assert card.has_model_explanations
