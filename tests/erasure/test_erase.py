"""Forgetting a person: every file of a run, and the next run does not bring them back."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from mentallama.config import read_recipe
from mentallama.erasure.erase import erase, erase_from_runs, erasure_report_lines, plan_erasure
from mentallama.erasure.person import NothingToErase, PersonMatcher
from mentallama.erasure.row_removal import remove_rows
from mentallama.errors import DataError, UsageError
from mentallama.files.atomic import write_json
from mentallama.files.erasure_requests import ErasureList, read_erasure_list, write_erasure_list
from mentallama.files.manifest import digest_folder, write_manifest
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
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.rglob("*") if path.is_file()}
    for same in (MINE.id, COPY.id, example_of(MINE, "depression", "instruction").id):
        again = erase(run, same)
        assert (again.changes_nothing, again.was_erased) == (True, True)
        assert (
            next(iter(erasure_report_lines(run, again))) == f"{run}: erased before, nothing is left to erase"
        )
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.rglob("*") if path.is_file()}
    assert after == before


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


@pytest.mark.parametrize(
    "target",
    [
        "0123456789abcdef", "yes", "DR", "instruction", "m", "1", "Yes.", "gpt-3.5-turbo", "so tired", TEXT,
        "depression", MINE.id[:-1], f" {MINE.id}", f"{MINE.id}\n", MINE.id.upper() + "A",
        "a" * 15, "A" * 16, "collect", "*", "..",
    ],
)  # fmt: skip
def test_what_is_no_id_of_the_run_changes_nothing(target: str, run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(NothingToErase, match="no post, example or author of this run has the id"):
        erase(run, target)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("target", ["", " ", "\n\t"])
def test_an_empty_id_is_wrong_use(target: str, run: Path) -> None:
    with pytest.raises(UsageError, match="the id is empty"):
        erase(run, target)


def test_the_plan_names_what_goes_and_changes_nothing(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    plan = plan_erasure(run, MINE.id)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    lines = list(erasure_report_lines(run, plan, dry_run=True))
    assert lines[0] == f"{run}: 2 posts to be erased"
    assert "  teach/responses.parquet: 2 rows to be removed" in lines
    assert "  report/index.html: to be deleted" in lines
    assert erase(run, MINE.id) == plan


def test_the_id_of_an_example_erases_its_post(run: Path) -> None:
    example = example_of(MINE, "depression", "instruction").id
    assert erase(run, example).n_posts == 2
    assert TEXT.encode() not in bytes_below(run)


@pytest.mark.parametrize("target", ["1", "yes"])
def test_an_id_that_is_a_word_counts_only_where_ids_stand(target: str, tmp_path: Path) -> None:
    """Posts of the user's own may be numbered."""
    named = [OTHER.model_copy(update={"id": "1", "author": "yes"}), MINE.model_copy(update={"id": "2"})]
    write_records(tmp_path / "collect/posts.jsonl.zst", named)
    examples = [example_of(each, next(iter(each.labels)), "instruction") for each in named]
    write_records(
        tmp_path / "teach/responses.jsonl",
        [Response(example_id=e.id, text="1", model="yes") for e in examples],
    )
    write_json(tmp_path / "check/gates.json", {"1": ["1", "yes"], "rows": [{"post_id": "1", "ok": "yes"}]})
    (tmp_path / "report").mkdir()
    (tmp_path / "report/report.md").write_text("1 yes", encoding="utf-8")
    assert erase(tmp_path, target).removed_rows == {
        "check/gates.json": 1,
        "collect/posts.jsonl.zst": 1,
        "teach/responses.jsonl": 1,
    }
    assert json.loads((tmp_path / "check/gates.json").read_text()) == {"1": ["1", "yes"], "rows": []}
    assert (tmp_path / "report/report.md").read_text() == "1 yes"


@pytest.mark.parametrize(
    "files", [{}, {"notes.csv": MINE.id}, {"collect/mine.csv": MINE.id}, {"posts.jsonl": MINE.id}]
)
def test_a_folder_that_is_no_run_is_refused(files: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="no run of mentallama"):
        erase(folder, MINE.id)
    with pytest.raises(UsageError, match="no run of mentallama"):
        list(erase_from_runs([folder], MINE.id))
    left = {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }
    assert left == files


def test_files_that_no_run_made_are_named_and_not_changed(run: Path) -> None:
    write_manifest(run / "report", "report", {}, digest_folder(run / "report"), {}, 0)
    theirs = ["report/notes.md", "thesis/quotes.csv", "mine.sqlite", "mine.json"]
    for name in theirs:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(f"quoted: {TEXT}", encoding="utf-8")
    removed = erase(run, MINE.id)
    assert sorted(removed.untouched_files) == sorted(theirs)
    assert {(run / name).read_text(encoding="utf-8") for name in theirs} == {f"quoted: {TEXT}"}
    assert not (run / "report/index.html").exists()
    assert "    thesis/quotes.csv" in erasure_report_lines(run, removed)


def test_peoples_files_among_those_of_a_run_are_named_and_not_changed(run: Path) -> None:
    theirs = [
        "batch/plan.txt",
        "checkpoints/notes.md",
        "report/notes.txt",
        "responses/about.md",
        "review/codebook.csv",
        "review/old/sample.csv",
    ]
    for name in theirs:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(f"{MINE.id},{TEXT}\n", encoding="utf-8")
    removed = erase(run, MINE.id)
    assert removed.untouched_files == theirs
    assert {(run / name).read_text(encoding="utf-8") for name in theirs} == {f"{MINE.id},{TEXT}\n"}
    assert not (run / "report/index.html").exists()


@pytest.mark.parametrize("killed", [False, True])
def test_a_short_post_of_a_users_task_is_erased_by_its_query(
    killed: bool, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wording is known from the instruction data alone, which therefore goes after the files without ids."""
    mine = SHORT.model_copy(update={"id": "f" * 16, "set": "mood", "labels": {"mood": "low"}})
    write_records(run / "collect/posts.jsonl.zst", [*POSTS, mine])
    query = 'Consider this post: "so tired" Question: How does the poster feel?'
    row = {"id": "e" * 16, "post_id": mine.id, "query": query}
    data, release = run / "check/data/instruction/train.jsonl", run / "check/release/mood/train.csv"
    for path in (data, release):
        path.parent.mkdir(parents=True)
    data.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with release.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["query"], [query]])
    if killed:
        monkeypatch.setattr("mentallama.erasure.erase.remove_rows", _stop_after(1))
        with pytest.raises(KeyboardInterrupt):
            erase(run, mine.id)
        monkeypatch.undo()
    erase(run, mine.id)
    assert b"How does the poster feel" not in bytes_below(run / "check")


def _stop_after(writes: int) -> Callable[..., int | None]:
    """`remove_rows` that a kill ends after some files were written."""
    left = [writes]

    def remove(path: Path, person: PersonMatcher, write: bool) -> int | None:
        if write and not left[0]:
            raise KeyboardInterrupt
        left[0] -= write
        return remove_rows(path, person, write)

    return remove


def test_files_that_a_kill_left_half_written_go(run: Path) -> None:
    halves = [".predictions.jsonl.zst.partial", "review/.sample.csv.partial", "report/.report.md.partial"]
    for name in (*halves, ".mine.txt.partial"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(TEXT, encoding="utf-8")
    removed = erase(run, MINE.id)
    assert {*halves, ".train.partial"} <= {*removed.deleted_files}
    assert not any((run / name).exists() for name in halves)
    assert removed.untouched_files == [".mine.txt.partial"]


def test_failed_requests_of_predictions_without_a_recipe_lose_the_persons_rows(run: Path) -> None:
    rows = [json.dumps({"example_id": each, "reason": "http 400"}) for each in ("x", MINE.id)]
    (run / "failed_requests.jsonl").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    assert erase(run, MINE.id).removed_rows["failed_requests.jsonl"] == 1


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8-sig"), (";", "utf-8"), ("\t", "utf-16")])
def test_filled_sheets_lose_the_persons_rows_only(delimiter: str, encoding: str, run: Path) -> None:
    mine, other = (example_of(each, "depression", "instruction") for each in (MINE, OTHER))
    head = delimiter.join(("example_id", "post", "overall"))
    kept = delimiter.join((f'"{other.id}"', '"a ""quoted""\r\nline"', " 3 "))
    gone = [delimiter.join((each, '"x"', "2")) for each in (mine.id, "0")]
    gone[1] = delimiter.join(("0", f'"{TEXT}"', "1"))
    sheet = run / "review/sample.csv"
    sheet.parent.mkdir()
    sheet.write_bytes("\r\n".join([head, gone[0], kept, gone[1], ""]).encode(encoding))
    assert erase(run, MINE.id).removed_rows["review/sample.csv"] == 2
    assert sheet.read_bytes() == "\r\n".join([head, kept, ""]).encode(encoding)
    before = sheet.stat().st_mtime_ns
    erase(run, "b" * 16)
    assert sheet.read_bytes().decode(encoding).splitlines() == [head]
    assert sheet.stat().st_mtime_ns != before


@pytest.mark.parametrize("writes", range(7))
def test_an_erasure_killed_at_any_write_is_finished_by_the_same_command(
    writes: int, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Path(shutil.copytree(run, tmp_path / "undisturbed"))
    erase(undisturbed, MINE.id)
    left, real = [writes], Path.replace

    def killed(path: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            erase(run, MINE.id)
    erase(run, MINE.id)
    files = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (run, undisturbed)
    ]
    assert files[0] == files[1]


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
