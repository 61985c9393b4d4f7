"""Forgetting a person: every file of a run, and the next run does not bring them back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from mentallama.config import read_recipe
from mentallama.erasure.erase import NothingToErase, erase, erase_from_runs, erasure_report_lines
from mentallama.errors import DataError
from mentallama.files.atomic import write_json
from mentallama.files.erasure_requests import ErasureList, read_erasure_list, write_erasure_list
from mentallama.files.record_files import read_records, write_records
from mentallama.pipeline.runner import run_recipe
from mentallama.records import Post, Provenance, Response, example_of
from mentallama.tasks import find_task, write_query
from mentallama.text.fingerprint import identifying_hash
from tests.factories.project import ROOT

TEXT = "I water the tomatoes twice a day and still everything wilts on me"


def post(number: int, text: str, name: str = "DR", author: str | None = None) -> Post:
    return Post(
        id=f"{number:016x}",
        set=name,
        split="train",
        text=text,
        labels={"depression": "yes"} if name == "DR" else {"stress": "no"},
        author=author,
        provenance=Provenance(file=f"sources/{name}/posts.csv", row=number, origin="table"),
    )


MINE = post(1, TEXT, author="a" * 16)
COPY = post(2, TEXT.upper() + "!", "dreaddit")
SHORT = post(3, "so tired", author="a" * 16)
OTHER = post(4, "The bus was late and the driver waved, which made the morning", author="b" * 16)
OTHER_SHORT = post(5, "so tired", "dreaddit")
POSTS = (MINE, COPY, SHORT, OTHER, OTHER_SHORT)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with a file of every kind."""
    folder = tmp_path / "run"
    write_records(folder / "collect/posts.jsonl.zst", POSTS)
    examples = [example_of(each, next(iter(each.labels)), "instruction") for each in POSTS]
    responses = [Response(example_id=each.id, text=f"Yes. {n}", model="m") for n, each in enumerate(examples)]
    write_records(folder / "teach/responses.jsonl.zst", responses)
    write_records(folder / "teach/responses.parquet", responses)
    queries = [write_query(find_task(e.task), e.question, "instruction", e.text) for e in examples]
    table = folder / "check/release/DR.csv"
    table.parent.mkdir(parents=True)
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("query", "gpt-3.5-turbo"), *((query, "Yes.") for query in queries)])
    parquet.write_table(pyarrow.table({"id": [e.id for e in examples]}), folder / "check/data.parquet")
    write_json(folder / "check/gates.json", {"rows": 5, "ids": [each.id for each in examples]})
    (folder / "report").mkdir()
    (folder / "report/index.html").write_text(f"<p>{TEXT}</p>", encoding="utf-8")
    (folder / "report/other.html").write_text("<p>nothing</p>", encoding="utf-8")
    (folder / ".train.partial").mkdir()
    (folder / ".train.partial/left.txt").write_text(TEXT, encoding="utf-8")
    return folder


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_post_is_erased_from_every_file_with_its_copies_in_other_sets(run: Path) -> None:
    removed = erase(run, MINE.id)
    assert removed.n_posts == 2
    assert removed.removed_rows == {
        "check/data.parquet": 2,
        "check/gates.json": 2,
        "check/release/DR.csv": 2,
        "collect/posts.jsonl.zst": 2,
        "teach/responses.jsonl.zst": 2,
        "teach/responses.parquet": 2,
    }
    assert removed.deleted_files == ["report/index.html", ".train.partial"]
    assert removed.source_rows == ["sources/DR/posts.csv, row 1", "sources/dreaddit/posts.csv, row 2"]
    assert [each.id for each in read_records(run / "collect/posts.jsonl.zst", Post)] == [
        each.id for each in (SHORT, OTHER, OTHER_SHORT)
    ]
    assert TEXT.encode() not in bytes_below(run)
    assert (run / "report/other.html").is_file()


def test_weights_hold_no_text_and_are_not_searched_for_any(run: Path) -> None:
    (run / "train").mkdir()
    (run / "train/model.safetensors").write_bytes(TEXT.encode())
    erase(run, MINE.id)
    assert (run / "train/model.safetensors").is_file()


def test_an_author_is_erased_with_all_posts_but_short_texts_of_others_stay(run: Path) -> None:
    removed = erase(run, "a" * 16)
    assert removed.n_posts == 3
    left = [each.id for each in read_records(run / "collect/posts.jsonl.zst", Post)]
    assert left == [OTHER.id, OTHER_SHORT.id]
    with (run / "check/release/DR.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2  # the two who were not asked about; "so tired" of dreaddit is another's
    assert "stress" in rows[1]["query"]


def test_the_list_holds_no_text_and_the_same_command_again_finds_nothing_more(run: Path) -> None:
    erase(run, MINE.id)
    raw = (run / "erasure_list.json").read_text(encoding="utf-8")
    assert "tomatoes" not in raw
    listed = read_erasure_list(run)
    assert listed == ErasureList(post_ids=(MINE.id, COPY.id), text_hashes=(identifying_hash(TEXT),))
    assert listed.covers(MINE.model_copy(update={"id": "f" * 16}))
    assert not listed.covers(OTHER)
    with pytest.raises(NothingToErase, match="no file of this run mentions"):
        erase(run, MINE.id)
    assert read_erasure_list(run) == listed


def test_requests_made_under_the_former_file_name_still_count(tmp_path: Path) -> None:
    former = {"posts": ["b" * 16], "authors": ["a" * 16], "texts": [identifying_hash(TEXT)]}
    write_json(tmp_path / "forgotten.json", former)
    erasures = read_erasure_list(tmp_path)
    assert erasures.covers(MINE)
    assert erasures.post_ids == ("b" * 16,)
    write_erasure_list(tmp_path, erasures.with_authors({"c" * 16}))
    assert read_erasure_list(tmp_path).author_hashes == ("a" * 16, "c" * 16)
    write_json(tmp_path / "forgotten.json", ["b" * 16])
    (tmp_path / "erasure_list.json").unlink()
    with pytest.raises(DataError, match="not an erasure list"):
        read_erasure_list(tmp_path)


def test_an_unknown_id_changes_nothing(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(NothingToErase):
        erase(run, "0123456789abcdef")
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert after == before


def test_a_damaged_file_is_named(run: Path) -> None:
    (run / "teach/more.jsonl").write_text('{"a": ', encoding="utf-8")
    with pytest.raises(DataError, match=r"more\.jsonl: damaged"):
        erase(run, MINE.id)


def test_several_runs_at_once(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_records(other / "collect/posts.jsonl.zst", [OTHER])
    done = list(erase_from_runs([other, run], MINE.id))
    assert [folder for folder, _ in done] == [run]
    lines = list(erasure_report_lines(*done[0]))
    assert lines[0] == f"{run}: 2 posts erased"
    assert "    sources/DR/posts.csv, row 1" in lines


@pytest.mark.parametrize("by", ["id", "author"])
def test_the_next_run_does_not_restore_erased_posts(by: str, tmp_path: Path) -> None:
    changes = ("sets=[CLP]", "jobs=1", f"data={ROOT / 'sample'}")
    recipe = read_recipe(ROOT / "recipes/sample-linear.yaml", changes)
    folder = tmp_path / "run"
    run_recipe(recipe, folder, lambda _: None, until="collect")
    before = list(read_records(folder / "collect/posts.jsonl.zst", Post))
    gone = next(each for each in before if each.author)
    wanted = gone.id if by == "id" else gone.author
    assert wanted is not None
    erase(folder, wanted)
    said: list[str] = []
    run_recipe(recipe, folder, said.append, until="collect")
    assert any("collect: done" in line for line in said)
    after = list(read_records(folder / "collect/posts.jsonl.zst", Post))
    assert gone.text not in {each.text for each in after}
    assert not [each for each in after if wanted in (each.id, each.author)]
    assert len(after) < len(before)
    summary = json.loads((folder / "collect/summary.json").read_text(encoding="utf-8"))
    assert summary["cleaning"]["posts erased"] >= 1
    said.clear()
    run_recipe(recipe, folder, said.append, until="collect")
    assert "collect: up to date" in said


def test_an_interrupted_erasure_is_finished_by_the_same_command(run: Path) -> None:
    damaged = run / "teach/more.jsonl"
    damaged.write_text('{"a": ', encoding="utf-8")
    with pytest.raises(DataError):
        erase(run, MINE.id)
    damaged.unlink()
    assert erase(run, MINE.id).n_posts == 2
    assert TEXT.encode() not in bytes_below(run)
    assert MINE.id not in {
        each.example_id for each in read_records(run / "teach/responses.jsonl.zst", Response)
    }


def test_a_very_long_cell_is_read(run: Path) -> None:
    with (run / "check/release/DR.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(["a " * 100_000, "No."])
    assert erase(run, MINE.id).removed_rows["check/release/DR.csv"] == 2
