"""Labels in cells: every layout in which answers of each kind come, and a sentence for cells that are none."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from mentallama.collect.clean_batch import clean_batch
from mentallama.collect.readers import RawPost, Reject, read_table_posts
from mentallama.records import Post
from mentallama.tasks import Source
from tests.factories.answer_kinds import task_of_kind

TEXT = "I lie awake at 4. Everything is grey. I lie awake again."


def read(folder: Path, kind: str, source: dict[str, Any], row: dict[str, Any]) -> RawPost | Reject:
    """The only row of a table: JSON Lines if a cell is no string, else CSV."""
    nested = any(not isinstance(cell, str) for cell in row.values())
    path = folder / ("t.jsonl" if nested else "t.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        if nested:
            file.write(json.dumps(row))
        else:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerow(row)
    declared = Source.model_validate({"file": path.name, **source})
    (post,) = read_table_posts(path, declared, task_of_kind(kind), path.name, "table")
    return post


def one_cell(folder: Path, kind: str, cell: Any, **source: Any) -> RawPost | Reject:
    source = {"columns": {"text": "t", "labels": {"about": "a"}}, **source}
    return read(folder, kind, source, {"t": TEXT, "a": cell})


def columns(folder: Path, kind: str, cells: dict[str, Any], **source: Any) -> RawPost | Reject:
    source = {"columns": {"text": "t", "labels": {"about": {name: f"{name}?" for name in cells}}}, **source}
    return read(folder, kind, source, {"t": TEXT, **{f"{name}?": cell for name, cell in cells.items()}})


def label(post: RawPost | Reject) -> str:
    assert isinstance(post, RawPost), post.reason
    return post.labels["about"]


def reason(post: RawPost | Reject) -> str:
    assert isinstance(post, Reject), post.labels
    return post.reason


def cleaned(post: RawPost | Reject) -> Post:
    assert isinstance(post, RawPost), post.reason
    batch = clean_batch([post], "salt", frozenset())
    assert batch.rejects == []
    return Post.model_validate_json(batch.posts[0])


# --- ordinal ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["moderate", "2", "2.0", " 2 "])
def test_a_level_is_its_name_or_its_score(tmp_path: Path, cell: str) -> None:
    assert label(one_cell(tmp_path, "ordinal", cell)) == "moderate"


def test_a_code_comes_before_a_score(tmp_path: Path) -> None:
    assert label(one_cell(tmp_path, "ordinal", "2", codes={"2": "mild"})) == "mild"


@pytest.mark.parametrize("cell", ["4", "-1", "1.5", "", "worst"])
def test_another_number_is_no_level(tmp_path: Path, cell: str) -> None:
    assert "the labels are minimal, mild, moderate, severe" in reason(one_cell(tmp_path, "ordinal", cell))


# --- multi -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "low mood; sleep", "sleep|low mood", "sleep;low mood;sleep", '["low mood", "sleep"]',
        '{"sleep": 1, "low mood": true, "appetite": 0}',
    ],
)  # fmt: skip
def test_several_labels_stand_in_one_cell(tmp_path: Path, cell: str) -> None:
    assert label(one_cell(tmp_path, "multi", cell)) == "sleep; low mood"


def test_a_list_of_json_lines_is_a_cell(tmp_path: Path) -> None:
    assert label(one_cell(tmp_path, "multi", ["low mood", "sleep"])) == "sleep; low mood"
    assert label(one_cell(tmp_path, "multi", [])) == "none"


def test_a_separator_of_ones_own_and_codes_apply_to_each_label(tmp_path: Path) -> None:
    post = one_cell(tmp_path, "multi", "3,1", separator=",", codes={"1": "sleep", "3": "low mood"})
    assert label(post) == "sleep; low mood"


def test_no_label_is_said_and_not_left_empty(tmp_path: Path) -> None:
    assert label(one_cell(tmp_path, "multi", "none")) == "none"
    assert label(one_cell(tmp_path, "multi", "-", codes={"-": "none"})) == "none"
    assert label(one_cell(tmp_path, "multi", "", codes={"": "none"})) == "none"
    assert reason(one_cell(tmp_path, "multi", "")) == (
        "an empty cell in column 'a' is not a label; the labels are sleep, appetite, low mood; several "
        "labels are separated by ';', and none stands for no label"
    )


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("sleep; joy", "'joy' in column 'a' is not a label"),
        ("sleep; none", "'none' in column 'a' is not a label"),
        ('["sleep"', "the cell in column 'a' begins like JSON and is not JSON"),
        ('{"sleep": 2}', "'2' in column 'a' is not a mark of presence; write 1 or 0"),
        ('{"joy": 1}', "is not a level for each of sleep, appetite, low mood"),
        ('{"sleep": 1, "sleep": 0}', "is not a level for each of"),
    ],
)
def test_a_cell_with_another_label_is_a_reject(tmp_path: Path, cell: str, message: str) -> None:
    assert message in reason(one_cell(tmp_path, "multi", cell))


def test_a_column_a_label_holds_marks_of_presence(tmp_path: Path) -> None:
    marks = {"sleep": "1.0", "appetite": "no", "low mood": "TRUE"}
    assert label(columns(tmp_path, "multi", marks)) == "sleep; low mood"
    assert label(columns(tmp_path, "multi", dict.fromkeys(marks, "0"))) == "none"
    crosses = {"sleep": "x", "appetite": "", "low mood": ""}
    assert label(columns(tmp_path, "multi", crosses, codes={"x": "present", "": "absent"})) == "sleep"
    assert reason(columns(tmp_path, "multi", crosses)) == (
        "'x' in column 'sleep?' is not a mark of presence; write 1 or 0"
    )


# --- scale -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    ["energy: 0; sleep: nearly every day", '{"sleep": 2, "energy": "not at all"}', "sleep:2|energy:0"],
)
def test_the_items_of_a_scale_stand_in_one_cell(tmp_path: Path, cell: str) -> None:
    assert label(one_cell(tmp_path, "scale", cell)) == "sleep: nearly every day; energy: not at all"


def test_the_items_of_a_scale_stand_in_columns_and_an_empty_one_is_not_filled(tmp_path: Path) -> None:
    assert label(columns(tmp_path, "scale", {"energy": "1", "sleep": ""})) == "energy: several days"
    empty = reason(columns(tmp_path, "scale", {"energy": "", "sleep": " "}))
    assert empty.startswith("no item of the scale is filled")
    assert label(columns(tmp_path, "scale", {"energy": "99", "sleep": "2"}, codes={"99": "none"})) == (
        "sleep: nearly every day"
    )
    message = reason(columns(tmp_path, "scale", {"energy": "3", "sleep": "2"}))
    assert message.startswith(
        "'3' in column 'energy?' is not a label; the labels are not at all, several days"
    )


def test_an_item_that_is_null_in_json_is_not_filled(tmp_path: Path) -> None:
    assert label(one_cell(tmp_path, "scale", '{"sleep": 2, "energy": null}')) == "sleep: nearly every day"


@pytest.mark.parametrize("cell", ["sleep", "sleep: 2; sleep: 1", "hope: 1", "sleep:", '{"sleep": [2]}'])
def test_an_item_that_is_not_one_or_has_no_level_is_a_reject(tmp_path: Path, cell: str) -> None:
    assert "in column 'a' is not a l" in reason(one_cell(tmp_path, "scale", cell))


# --- spans -----------------------------------------------------------------------------------------------

GREY = 'sleep: "I lie awake at 4"; low mood: "Everything is grey"'


@pytest.mark.parametrize(
    "cell",
    [
        GREY,
        '[{"type": "low mood", "text": "everything is GREY"}, {"label": "sleep", "quotation": "I lie awake at 4."}]',
        '[[18, 36, "low mood"], [0, 16, "sleep"]]',
        '[{"start": 18, "end": 36, "labels": ["low mood"]}, {"start": 0, "end": 16, "labels": ["sleep"]}]',
    ],
)
def test_quotations_are_located_and_take_the_words_of_the_post(tmp_path: Path, cell: str) -> None:
    post = cleaned(one_cell(tmp_path, "spans", cell))
    assert post.labels["about"].replace("4.", "4") == GREY
    assert [TEXT[span.start : span.end].rstrip(".") for span in post.evidence["about"]] == [
        "I lie awake at 4", "Everything is grey",
    ]  # fmt: skip


@pytest.mark.parametrize("cell", ["none", "[]"])
def test_a_post_without_quotations(tmp_path: Path, cell: str) -> None:
    post = cleaned(one_cell(tmp_path, "spans", cell))
    assert (post.labels, post.evidence) == ({"about": "none"}, {})


def test_an_empty_quotation_in_the_column_of_a_type_is_a_reject(tmp_path: Path) -> None:
    rejected = columns(tmp_path, "spans", {"sleep": '["I lie awake", ""]', "low mood": ""})
    assert "in column 'sleep?' is not a list of quotations" in reason(rejected)


def test_a_column_a_type_holds_quotations(tmp_path: Path) -> None:
    cells = {"sleep": "I lie awake at 4; I lie awake again", "low mood": ""}
    post = cleaned(columns(tmp_path, "spans", cells))
    assert post.labels["about"] == 'sleep: "I lie awake at 4"; sleep: "I lie awake again"'
    assert len(post.evidence["about"]) == 2
    assert label(columns(tmp_path, "spans", {"sleep": "", "low mood": "none"})) == "none"
    assert label(columns(tmp_path, "spans", {"sleep": ["I lie; awake"], "low mood": []})) == (
        'sleep: "I lie; awake"'
    )


def test_quotations_are_repaired_and_masked_like_their_post(tmp_path: Path) -> None:
    source = {"columns": {"text": "t", "labels": {"about": "a"}}}
    row = {"t": "donâ€™t call me at ana@example.org", "a": 'sleep: "donâ€™t call me at ana@example.org"'}
    post = cleaned(read(tmp_path, "spans", source, row))
    assert "ana@" not in post.labels["about"]
    assert post.labels["about"] == f'sleep: "{post.text}"'


def test_a_quotation_that_is_not_in_the_post_is_a_reject_without_its_words(tmp_path: Path) -> None:
    raw = one_cell(tmp_path, "spans", 'sleep: "the moon is made of cheese"; low mood: "grey"')
    batch = clean_batch([raw], "salt", frozenset())
    assert batch.posts == []
    assert [(each.row, each.reason) for each in batch.rejects] == [
        (2, "1 of 2 quotations do not stand in the post")
    ]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("awake", "'awake' in column 'a' is not a list of quotations, such as type: \"quotation\""),
        ('[{"type": "joy", "text": "grey"}]', "'joy' in column 'a' is not a label; the labels are sleep, low mood"),
        ('[{"type": "sleep"}]', "a quotation in column 'a' has neither a text nor offsets within the post"),
        ('[[0, 999, "sleep"]]', "has neither a text nor offsets within the post"),
        ('[{"type": "sleep", "text": "grey", "start": 0, "end": 4}]', "are those of other words"),
        ('["awake"]', "a quotation in column 'a' is not an object with type and text"),
        ('[{"type": "sleep", "text": "grey"}, 3]', "a quotation in column 'a' is not an object with type and text"),
        ('[{"text": "grey"}]', "a quotation in column 'a' has no type"),
        ("[", "begins like JSON and is not JSON"),
    ],
)  # fmt: skip
def test_a_cell_without_typed_quotations_is_a_reject(tmp_path: Path, cell: str, message: str) -> None:
    assert message in reason(one_cell(tmp_path, "spans", cell))


# --- field maps ------------------------------------------------------------------------------------------


def test_a_label_without_a_column_is_told_since_it_would_seem_absent() -> None:
    source = Source.model_validate(
        {"file": "a.csv", "columns": {"text": "t", "labels": {"about": {"sleep": "s", "joy": "j"}}}}
    )
    task = task_of_kind("multi")
    assert task.unknown_names(source) == ["joy"]
    assert task.parts_without_column(source) == ["appetite", "low mood"]
    assert task_of_kind("scale").parts_without_column(source) == []
    assert source.needed_columns == ("t", "s", "j")
