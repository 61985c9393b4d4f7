"""The synthetic sample is valid, is what its maker writes, reads back, and holds what its README says."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from rapidfuzz import fuzz
from sample.make import (
    EVIDENCE_FAULTS,
    SAMPLE,
    Post,
    corpus,
    expert_answers,
    kinds_corpus,
    posts_in,
    sources,
    text_in_file,
    write_sample,
)

from mentallama.answers.parse import read_answer
from mentallama.files.imhi_release import find_expert_files, read_release_file
from mentallama.files.tables import read_table, require_columns
from mentallama.records import SPLITS
from mentallama.tasks import Source, load_tasks, read_task

TASKS = load_tasks()
POSTS = corpus()
BY_ID = {post["id"]: post for post in POSTS}
ANSWERS = expert_answers()
FILES = [(name, source) for name, task in TASKS.items() for source in sources(task)]
README = (SAMPLE / "README.md").read_text(encoding="utf-8")

every_set = pytest.mark.parametrize("name", TASKS)
every_file = pytest.mark.parametrize(("name", "source"), FILES, ids=[f"{n}-{s.file}" for n, s in FILES])


def posts_of(name: str) -> list[Post]:
    return [post for post in POSTS if post["set"] == name]


def has_splits(name: str) -> bool:
    return all(source.split or source.columns.split for source in sources(TASKS[name]))


# --- the corpus ----------------------------------------------------------------------------------


def test_ids_are_unique_and_everything_is_marked_synthetic() -> None:
    assert len(BY_ID) == len(POSTS) >= 500
    assert all(id_.startswith("syn-") for id_ in BY_ID)
    assert all(post["author"].startswith("syn_") for post in POSTS)
    handles = [handle for post in POSTS for handle in re.findall(r"(?<![\w.])@\w+", post["text"])]
    assert len(handles) > 10
    assert all(handle.startswith("@syn_") for handle in handles)


def test_addresses_and_numbers_are_reserved_ones() -> None:
    text = "\n".join(post["text"] for post in POSTS)
    hosts = re.findall(r"(?:https?://|www\.|\w@)([\w.-]+\.\w+)", text)
    numbers = re.findall(r"\b\d{3}-\d{4}\b", text)
    assert {host.removeprefix("www.") for host in hosts} <= {"example.org", "example.com", "example.net"}
    assert hosts
    assert numbers
    assert all(number.startswith("555-01") for number in numbers)


@every_set
def test_a_set_has_enough_posts_with_its_tasks_labels(name: str) -> None:
    task, posts = TASKS[name], posts_of(name)
    assert len(posts) >= 40
    for post in posts:
        assert post["split"] in SPLITS
        assert set(post["labels"]) == set(task.questions), post["id"]
        assert set(post["labels"].values()) <= set(task.labels), post["id"]


@pytest.mark.parametrize("name", [name for name in TASKS if has_splits(name)])
def test_every_label_of_every_question_stands_in_every_published_split(name: str) -> None:
    seen = {(p["split"], q, label) for p in posts_of(name) for q, label in p["labels"].items()}
    wanted = {(s, q, label) for s in SPLITS for q in TASKS[name].questions for label in TASKS[name].labels}
    assert seen == wanted


def test_evidence_stands_verbatim_in_its_post() -> None:
    spans = [(post, span) for post in POSTS for each in post.get("evidence", {}).values() for span in each]
    assert len(spans) > 150
    assert [(post["id"], span) for post, span in spans if not span or span not in post["text"]] == []


@every_set
def test_a_set_has_six_explanations_of_its_own_posts(name: str) -> None:
    answers = [answer for answer in ANSWERS if answer["set"] == name]
    assert len({(answer["post"], answer["question"]) for answer in answers}) == len(answers) == 6
    for answer in answers:
        post = BY_ID[answer["post"]]
        assert post["set"] == name
        assert post["labels"][answer["question"]] == answer["label"]
        assert not (has_splits(name) and post["split"] == "train"), post["id"]
        quoted = re.findall(r'"([^"]+)"', answer["explanation"])
        assert quoted, post["id"]
        assert all(quote in post["text"] for quote in quoted), post["id"]


def test_no_author_stands_in_two_splits_of_a_set() -> None:
    splits: dict[tuple[str, str], set[str]] = {}
    for post in POSTS:
        splits.setdefault((post["set"], post["author"]), set()).add(post["split"])
    assert [author for author, found in splits.items() if len(found) > 1] == []


# --- what is planted -----------------------------------------------------------------------------


@every_set
def test_three_training_posts_leak_from_other_sets_tests(name: str) -> None:
    planted = [post for post in posts_of(name) if "planted" in post.get("meta", {})]
    kinds: Counter[str] = Counter()
    for post in planted:
        kind, original = post["meta"]["planted"].split(" of ")
        source, likeness = BY_ID[original], fuzz.ratio(post["text"], BY_ID[original]["text"])
        assert source["set"] != name
        assert (post["split"], source["split"]) == ("train", "test")
        assert likeness == 100 if kind == "exact" else 85 < likeness < 100, (post["id"], likeness)
        kinds[kind] += 1
    assert kinds == {"exact": 1, "near": 2}


@every_set
def test_a_set_has_one_duplicate_and_one_empty_post(name: str) -> None:
    texts = Counter(post["text"] for post in posts_of(name))
    assert texts.pop("") == 1
    repeated = [text for text, count in texts.items() if count > 1]
    assert [texts[text] for text in repeated] == [2]
    assert len({post["split"] for post in posts_of(name) if post["text"] in repeated}) == 1


def test_some_posts_are_misdecoded_and_can_be_repaired() -> None:
    wrong = [post for post in POSTS if "misdecode" in post]
    assert len(wrong) >= 30
    for post in wrong:
        assert text_in_file(post) != post["text"]
        assert text_in_file(post).encode(post["misdecode"]).decode() == post["text"]


# --- the files -----------------------------------------------------------------------------------


def test_make_writes_the_committed_files_byte_for_byte(tmp_path: Path) -> None:
    write_sample(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    committed = {
        path.relative_to(SAMPLE): path.read_bytes()
        for part in ("sources", "release", "kinds/sources")
        for path in (SAMPLE / part).rglob("*")
        if path.is_file()
    }
    replies = SAMPLE / "kinds/scale_replies.jsonl"
    committed[replies.relative_to(SAMPLE)] = replies.read_bytes()
    assert len(made) == len(FILES) + len(TASKS) + 4 + 1 == 33
    assert set(made) == set(committed)
    assert [str(path) for path in made if made[path] != committed[path]] == [], "run: python sample/make.py"


@every_file
def test_a_file_reads_back_as_its_source_says(name: str, source: Source) -> None:
    path, columns = SAMPLE / "sources" / name / source.file, source.columns
    rows = [cells for _, cells in read_table(path, source.encoding)]
    named = [columns.text, *columns.labels.values(), *columns.evidence.values()]
    named += [column for column in (columns.author, columns.time, columns.split) if column]
    require_columns(path, rows[0], named)
    posts = posts_in(source, TASKS[name], posts_of(name))
    assert len(rows) == len(posts) > 0
    for cells, post in zip(rows, posts, strict=True):
        assert cells[columns.text] == text_in_file(post)
        assert {q: source.codes[cells[column]] for q, column in columns.labels.items()} == post["labels"]
        assert columns.author is None or cells[columns.author] == post["author"]
        assert columns.split is None or cells[columns.split] == post["split"]


@every_set
def test_a_sets_files_hold_each_post_once(name: str) -> None:
    task, posts = TASKS[name], posts_of(name)
    held = [post["id"] for source in sources(task) for post in posts_in(source, task, posts)]
    assert Counter(held) == Counter(post["id"] for post in posts)


def test_the_readmes_table_counts_the_files() -> None:
    for name, source in FILES:
        (line,) = [line for line in README.splitlines() if line.startswith(f"| {name} |")]
        count = len(posts_in(source, TASKS[name], posts_of(name)))
        assert line.startswith(f"| {name} | {len(posts_of(name))} |")
        assert re.search(rf"`{source.file}`: [^,;]+, {count}\b", line), (source.file, count)


def test_evidence_cells_are_spans_joined_by_commas_or_a_named_fault() -> None:
    faults, joined = set(), 0
    for name, source in FILES:
        rows = [cells for _, cells in read_table(SAMPLE / "sources" / name / source.file, source.encoding)]
        for cells, post in zip(rows, posts_in(source, TASKS[name], posts_of(name)), strict=True):
            for question, column in source.columns.evidence.items():
                spans = post.get("evidence", {}).get(question, [])
                written = text_in_file({**post, "text": ", ".join(spans)})
                joined += len(spans) > 1
                if cells[column] != written:
                    faults.add((post["id"], question))
    assert joined > 20
    assert faults == set(EVIDENCE_FAULTS)


def test_every_explanation_reads_back_to_its_label() -> None:
    files = find_expert_files(SAMPLE / "release", TASKS)
    assert [file.set for file in files] == list(TASKS)
    read = 0
    for file in files:
        task = TASKS[file.set]
        answers = [answer for answer in ANSWERS if answer["set"] == file.set]
        for row, answer in zip(read_release_file(file, task), answers, strict=True):
            reading = read_answer(task, row.reference, file.form)
            assert (row.question, row.text) == (answer["question"], text_in_file(BY_ID[answer["post"]]))
            assert (reading.status, reading.label) == ("parsed", answer["label"])
            assert reading.explanation == answer["explanation"].strip()
            read += 1
    assert read == 60


def test_the_sample_says_that_it_is_synthetic() -> None:
    assert "made up" in README
    assert "made up" in (SAMPLE / "SYNTHETIC.txt").read_text(encoding="utf-8")
    for path in (SAMPLE / "corpus").glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# Synthetic:")


# --- the other kinds of answer -------------------------------------------------------------------


def test_there_is_a_task_of_each_other_kind_and_its_posts_are_annotated() -> None:
    tasks = [read_task(path) for path in sorted((SAMPLE / "kinds/tasks").glob("*.yaml"))]
    assert sorted(task.kind for task in tasks) == ["multi", "ordinal", "scale", "spans"]
    posts = kinds_corpus()
    assert len({post["id"] for post in posts}) == len(posts) >= 40
    splits: dict[str, set[str]] = {}
    for post in posts:
        assert post["id"].startswith("syn-")
        assert all(text in post["text"] for _, text in post["quotations"]), post["id"]
        splits.setdefault(post["author"], set()).add(post["split"])
    assert all(author.startswith("syn_") and len(found) == 1 for author, found in splits.items())
    for split in SPLITS:
        of_split = [post for post in posts if post["split"] == split]
        levels = {post["severity"] for post in of_split}
        named = {name for post in of_split for name, _ in post["quotations"]}
        assert (len(levels), len(named)) == (4, 4)
