"""Collect, end to end: the sample's planted faults are found, and nothing leaks."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rapidfuzz import fuzz
from sample.make import SAMPLE, corpus

import mentallama.collect.run as collect
from mentallama.collect import clean_inputs
from mentallama.collect.readers import Reject
from mentallama.collect.summary import Removal
from mentallama.config import Collect, Recipe, read_recipe
from mentallama.files.record_files import read_records
from mentallama.files.tables import read_table
from mentallama.records import Post, Response, UpstreamLabels, example_of
from mentallama.tasks import load_tasks, write_query
from mentallama.text.fingerprint import text_key
from mentallama.text.pii import scrub
from mentallama.text.repair import repair

TASKS = load_tasks()
RECIPE = SAMPLE.parent / "recipes/sample-linear.yaml"
POSTS = corpus()
BY_ID = {post["id"]: post for post in POSTS}
DRAWN = {"CAMS", "SAD", "loneliness"}
"""Sets without published splits: where their posts fall depends on the seed."""


@dataclass(frozen=True)
class Run:
    """What a run of collect wrote."""

    out: Path
    summary: dict[str, Any]

    @property
    def posts(self) -> list[Post]:
        return list(read_records(self.out / "posts.jsonl.zst", Post))

    @property
    def removed(self) -> list[Removal]:
        return list(read_records(self.out / "removed.jsonl", Removal))

    @property
    def rejects(self) -> list[Reject]:
        return list(read_records(self.out / "rejects.jsonl", Reject))

    @property
    def overlap(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.out / "overlap.json").read_text(encoding="utf-8"))
        return read


def collected(recipe: Recipe, out: Path) -> Run:
    out.mkdir()
    summary = collect.run(recipe, out)
    return Run(out, summary.model_dump(mode="json"))


def sample_recipe(*changes: str) -> Recipe:
    return read_recipe(RECIPE, (f"data={SAMPLE}", "jobs=1", *changes))


TABLES = (sample_recipe().collect or Collect()).tables


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return collected(sample_recipe(), tmp_path_factory.mktemp("sample") / "collect")


def clean(text: str) -> str:
    return scrub(repair(text))[0]


def ratio(left: str, right: str) -> float:
    return fuzz.ratio(text_key(left), text_key(right))


# --- the sample ----------------------------------------------------------------------------------------


def test_every_row_is_accounted_for(run: Run) -> None:
    kept = sum(sum(splits.values()) for splits in run.summary["posts"].values())
    assert run.summary["rows_read"] == len(POSTS) == kept + len(run.removed) + len(run.rejects)
    assert kept == len(run.posts)
    assert Counter((post.set, post.split) for post in run.posts) == {
        (name, split): count
        for name, splits in run.summary["posts"].items() for split, count in splits.items() if count
    }  # fmt: skip
    assert run.summary["missing"] == []


def test_every_set_has_all_three_splits_and_the_published_ones_are_kept(run: Run) -> None:
    assert {(post.set, post.split) for post in run.posts} == {
        (name, split) for name in TASKS for split in ("train", "validation", "test")
    }
    found = {(post.set, post.text): post.split for post in run.posts if post.set not in DRAWN}
    tests = [post for post in POSTS if post["set"] not in DRAWN and post["split"] == "test" and post["text"]]
    assert len(tests) >= 7 * 9
    assert {found[post["set"], clean(post["text"])] for post in tests} == {"test"}


def test_the_same_posts_come_out_as_their_writers_meant_them(run: Run) -> None:
    meant = {(post["set"], clean(post["text"])): post for post in POSTS}
    for post in run.posts:
        assert post.labels == meant[post.set, post.text]["labels"]
    assert len({post.id for post in run.posts}) == len(run.posts)


def test_the_empty_posts_are_rejected_each_with_its_row(run: Run) -> None:
    assert run.summary["reject_reasons"] == {"the text is empty": 10}
    assert [reject.reason for reject in run.rejects] == ["the text is empty"] * 10
    for reject in run.rejects:
        name = reject.file.split("/")[1]
        sources = [*TASKS[name].sources, *TABLES.get(name, ())]
        (source,) = (source for source in sources if reject.file.endswith(source.file))
        rows = dict(read_table(SAMPLE / reject.file, source.encoding))
        assert rows[reject.row][source.columns.text].strip() == ""


def test_every_planted_leak_of_published_splits_is_found(run: Run) -> None:
    wanted: Counter[tuple[str, str, str]] = Counter()
    for post in POSTS:
        how, _, original = post.get("meta", {}).get("planted", "").partition(" of ")
        if how and not {post["set"], BY_ID[original]["set"]} & DRAWN:
            wanted[post["set"], BY_ID[original]["set"], how] += 1
    found = Counter(
        (each.set, each.duplicate_of_set, each.match)
        for each in run.removed
        if each.reason == "leak" and each.split != "test"
    )
    assert sum(wanted.values()) >= 10
    assert {pair: found[pair] for pair in wanted} == wanted


def test_no_planted_copy_is_trained_on_where_its_original_is_tested_on(run: Run) -> None:
    stands = {(post.set, post.text): post.split for post in run.posts}
    tested = 0
    for post in POSTS:
        _, _, original = post.get("meta", {}).get("planted", "").partition(" of ")
        if original and stands.get((BY_ID[original]["set"], clean(BY_ID[original]["text"]))) == "test":
            tested += 1
            assert stands.get((post["set"], clean(post["text"])), "test") == "test", post["id"]
    assert tested >= 20


def test_no_two_splits_share_a_post_when_every_pair_is_compared(run: Run) -> None:
    groups = {split: [p for p in run.posts if p.split == split] for split in ("train", "validation", "test")}
    compared = 0
    for high, low in (("test", "train"), ("test", "validation"), ("validation", "train")):
        for left in groups[high]:
            for right in groups[low]:
                compared += 1
                short = min(len(text_key(left.text)), len(text_key(right.text))) < 30
                alike = ratio(left.text, right.text)
                assert alike < (100 if short else 85), (left.id, right.id)
    assert compared > 50_000


def test_the_overlap_is_seen_before_the_guard_and_gone_after_it(run: Run) -> None:
    overlap = run.overlap
    assert overlap["test_sets"] == overlap["train_sets"] == list(TASKS)
    assert sum(map(sum, overlap["before_guard"])) >= 20
    assert overlap["after_guard"] == [[0] * 10] * 10
    assert overlap["test_posts"] == [run.summary["posts"][name]["test"] for name in TASKS]


def test_duplicates_within_a_set_are_taken_out_of_training_only(run: Run) -> None:
    repeated = Counter((post["set"], post["split"], post["text"]) for post in POSTS if post["text"])
    pairs = [(name, split) for (name, split, _), count in repeated.items() if count > 1]
    assert len(pairs) == 10
    found = Counter(each.set for each in run.removed if each.reason == "duplicate")
    for name, split in pairs:
        if name not in DRAWN:
            assert found[name] == (split != "test"), name
    texts = Counter((post.set, post.split, post.text) for post in run.posts if post.split != "test")
    assert set(texts.values()) == {1}


def test_a_removal_names_a_post_that_stays(run: Run) -> None:
    kept = {post.id: post for post in run.posts}
    against = [each for each in run.removed if each.duplicate_of_id]
    assert len(against) >= 25
    for each in against:
        assert each.duplicate_of_id is not None
        stays = kept[each.duplicate_of_id]
        assert (stays.set, stays.split) == (each.duplicate_of_set, each.duplicate_of_split)
        assert each.id not in kept


def test_the_summary_counts_what_the_file_lists(run: Run) -> None:
    listed = Counter(
        (e.reason, e.match, e.set, e.split, e.duplicate_of_set, e.duplicate_of_split) for e in run.removed
    )
    names = ("reason", "match", "set", "split", "duplicate_of_set", "duplicate_of_split")
    counted = {tuple(row[name] for name in names): row["posts"] for row in run.summary["removed"]}
    assert counted == listed


def test_evidence_is_placed_on_the_words_that_were_marked(run: Run) -> None:
    declared = {name for name, task in TASKS.items() for s in task.sources if s.columns.evidence}
    assert declared == {"CAMS", "Irf", "loneliness"}
    # A cell is its spans joined by commas: neighbours may be placed as one, a span with commas in parts.
    marked = {
        (post["set"], clean(post["text"]), question): text_key(clean(", ".join(spans)))
        for post in POSTS for question, spans in post.get("evidence", {}).items() if post["set"] in declared
    }  # fmt: skip
    total = 0
    for post in run.posts:
        for question, spans in post.evidence.items():
            for span in spans:
                total += 1
                assert text_key(post.text[span.start : span.end]) in marked[post.set, post.text, question], (
                    post.id
                )
    assert total > 130
    assert run.summary["cleaning"]["evidence not found"] == 1  # "all would do well alone" in syn-irf-018


def test_originals_are_kept_only_where_the_text_was_repaired(run: Run) -> None:
    broken = {clean(post["text"]) for post in POSTS if "misdecode" in post}
    repaired = [post for post in run.posts if post.provenance.original_text is not None]
    assert len(repaired) >= 20
    assert len([post for post in repaired if post.text in broken]) >= 20
    for post in repaired:
        assert post.provenance.original_text != post.text


def test_no_handle_address_or_author_is_left(run: Run) -> None:
    raw = "".join(
        post.model_dump_json() for post in run.posts
    ) + (run.out / "removed.jsonl").read_text(encoding="utf-8")  # fmt: skip
    assert "@syn_" not in raw
    assert "example.org" not in raw
    assert "555-01" not in raw
    authors = {post["author"] for post in POSTS}
    assert not {post.author for post in run.posts} & authors
    assert sum(post.author is not None for post in run.posts) > 100


def test_another_salt_gives_authors_other_names_and_posts_the_same_places(run: Run, tmp_path: Path) -> None:
    other = collected(sample_recipe("collect.author_salt=other"), tmp_path / "collect")
    assert [(p.id, p.split) for p in other.posts] == [(p.id, p.split) for p in run.posts]
    assert not {p.author for p in other.posts if p.author} & {p.author for p in run.posts}


@pytest.mark.parametrize(("jobs", "batch"), [(2, 40), (1, 7), (1, 1)])
def test_the_same_bytes_whatever_the_number_of_processes_and_the_size_of_batches(
    jobs: int, batch: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean_inputs, "BATCH_ROWS", batch)
    other = collected(sample_recipe(f"jobs={jobs}"), tmp_path / "collect")
    files = sorted(path.name for path in run.out.iterdir())
    assert files == sorted(path.name for path in other.out.iterdir())
    assert len(files) == 8
    assert [name for name in files if (run.out / name).read_bytes() != (other.out / name).read_bytes()] == []


def test_no_author_stands_in_two_splits_of_a_drawn_set(run: Run) -> None:
    where: dict[tuple[str, str], set[str]] = {}
    for post in run.posts:
        if post.author:
            where.setdefault((post.set, post.author), set()).add(post.split)
    assert len(where) > 50
    assert all(len(splits) == 1 for splits in where.values())


# --- levels and held-out sets ------------------------------------------------------------------------------


def test_at_level_question_other_sets_leaks_stay_and_are_counted(tmp_path: Path) -> None:
    found = collected(sample_recipe("collect.leak_guard=question"), tmp_path / "collect")
    after = found.overlap["after_guard"]
    assert [after[n][n] for n in range(10)] == [0] * 10
    assert sum(map(sum, after)) == found.summary["held_out"]["test_posts_left_in_training"] > 0
    assert all(each.set == each.duplicate_of_set for each in found.removed)


def test_a_held_out_set_is_tested_on_only_and_claimed(run: Run, tmp_path: Path) -> None:
    found = collected(sample_recipe("collect.held_out=[Irf, t-sid]"), tmp_path / "collect")
    assert {(p.set, p.split) for p in found.posts if p.set in {"Irf", "t-sid"}} == {
        ("Irf", "test"),
        ("t-sid", "test"),
    }
    held = found.summary["held_out"]
    assert (held["sets"], held["verified"], held["test_posts_left_in_training"]) == (
        ["Irf", "t-sid"],
        True,
        0,
    )
    # Irf: 50 posts, t-sid: 55; each has one empty post and ten test posts
    assert held["posts_left_out"] == (50 - 11) + (55 - 11)
    assert run.summary["held_out"] == {
        "sets": [], "posts_left_out": 0, "test_posts_left_in_training": 0, "verified": False,
    }  # fmt: skip
    # what remains of other sets holds no copy of their test posts either
    tests = [p.text for p in found.posts if p.set in {"Irf", "t-sid"}]
    assert all(ratio(p.text, test) < 85 for p in found.posts if p.split == "train" for test in tests)


# --- made-up posts beside others ----------------------------------------------------------------------------

# Written for this test and marked nowhere, so they pass for other people's posts.
SYLLABLES = [f"{a}{b}" for a in "bdgklmnprst" for b in "aeiou"]
DRAW = random.Random(4)
WRITTEN = ["".join(DRAW.choices([*SYLLABLES, " "], [1] * 55 + [25], k=80)).strip() for _ in range(36)]


def mixed(folder: Path) -> Recipe:
    """A data folder with a table of other posts and the sample's DR posts, in all splits."""
    target = folder / "data/sources/DR"
    target.mkdir(parents=True)
    (target / "posts.jsonl").write_bytes((SAMPLE / "sources/DR/posts.jsonl").read_bytes())
    assert len({text[:30] for text in WRITTEN}) == 36
    splits = ("train", "validation", "test")
    lines = [
        {"body": text, "depressed": n % 2, "author": "", "split": splits[n % 3]}
        for n, text in enumerate(WRITTEN)
    ]
    (target / "others.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    field_map = {
        "columns": {"text": "body", "labels": {"depression": "depressed"}, "split": "split"},
        "codes": {"1": "yes", "0": "no"},
    }
    tables = [{"file": name, **field_map} for name in ("others.jsonl", "posts.jsonl")]
    settings = {"name": "mixed", "data": folder / "data", "sets": ["DR"], "jobs": 1}
    return Recipe.model_validate(settings | {"collect": {"tables": {"DR": tables}}})


def test_synthetic_posts_are_not_evaluated_on_beside_real_ones(tmp_path: Path) -> None:
    found = collected(mixed(tmp_path), tmp_path / "collect")
    synthetic = [post for post in POSTS if post["set"] == "DR"]
    refused = [each for each in found.removed if each.reason == "synthetic"]
    wanted = Counter(p["split"] for p in synthetic if p["text"] and p["split"] != "train")
    assert Counter(each.split for each in refused) == wanted
    assert sum(wanted.values()) >= 15
    marked = [post for post in found.posts if post.provenance.synthetic]
    assert {post.split for post in marked} == {"train"}
    assert len(marked) > 20
    others = [post for post in found.posts if not post.provenance.synthetic]
    assert {post.split for post in others} == {"train", "validation", "test"}
    assert {post.text for post in others} <= set(WRITTEN)


def test_a_run_may_consist_of_synthetic_posts_alone(run: Run) -> None:
    assert [each for each in run.removed if each.reason == "synthetic"] == []
    short = [post for post in run.posts if not post.provenance.synthetic]
    assert 0 < len(short) < 10  # too short to be known by their key; nobody can tell whose they are
    assert all(len(text_key(post.text)) < 20 for post in short)


# --- the release beside upstream ----------------------------------------------------------------------------


def release_folder(folder: Path) -> Recipe:
    """Test rows in release form and, upstream, their originals: one mis-decoded, one with another label."""
    first, second = TASKS["Irf"].questions
    texts = [
        "I can’t say what the garden means to me, but I was there all of Sunday afternoon.",
        "We sat on the steps until the lamps went on, and then nobody wanted to be the first to go.",
    ]
    release, upstream = folder / "data/release/test_data/test_instruction", folder / "data/sources/Irf"
    release.mkdir(parents=True)
    upstream.mkdir(parents=True)
    with (release / "Irf.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query", "gpt-3.5-turbo"])
        for text in texts:
            for question in (first, second):
                reference = "No, the post does not show this risk. Reasoning: It is about an afternoon."
                writer.writerow([write_query(TASKS["Irf"], question, "instruction", text), reference])
    with (upstream / "train_data.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "belong", "burden", "belong_exp", "burden_exp"])
        writer.writerow([texts[0].encode().decode("mac_roman"), "1", "0", "the garden means", ""])
        writer.writerow([texts[1], "0", "0", "", ""])
        writer.writerow(
            ["A third post, of trains and of platforms, which stands nowhere else at all.", "1", "1", "", ""]
        )
    return Recipe.model_validate(
        {
            "name": "both",
            "data": folder / "data",
            "sets": ["Irf"],
            "jobs": 1,
            "collect": {"validation_share": 0},
        }
    )


def test_release_and_upstream_meet(tmp_path: Path) -> None:
    found = collected(release_folder(tmp_path), tmp_path / "collect")
    assert found.summary["posts"]["Irf"] == {"train": 1, "validation": 0, "test": 2}
    assert [(e.reason, e.match, e.duplicate_of_split) for e in found.removed] == [
        ("leak", "exact", "test")
    ] * 2
    assert found.overlap["before_guard"] == [[2]]
    first, second = TASKS["Irf"].questions
    # one of two rows of the first question differs: the garden post is yes upstream and no in the release
    assert json.loads((found.out / "label_drift.json").read_text(encoding="utf-8")) == [
        {"set": "Irf", "question": first, "rows": 2, "differ": 1, "share": 0.5, "pairs": {"yes → no": 1}},
        {"set": "Irf", "question": second, "rows": 2, "differ": 0, "share": 0.0, "pairs": {}},
    ]
    ids = {post.text: post.id for post in found.posts if post.split == "test"}
    upstream = list(read_records(found.out / "upstream_labels.jsonl.zst", UpstreamLabels))
    assert {each.post_id for each in upstream} == set(ids.values())
    assert sorted(each.labels[first] for each in upstream) == ["no", "yes"]
    responses = list(read_records(found.out / "responses.jsonl.zst", Response))
    examples = {
        example_of(post, question, "instruction").id
        for post in found.posts if post.split == "test" for question in post.labels
    }  # fmt: skip
    assert len(responses) == 4
    assert {response.example_id for response in responses} == examples
    assert {response.text.split(".")[0] for response in responses} == {"No, the post does not show this risk"}


def test_a_run_whose_rows_are_all_passed_over_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "data/sources/DR"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("text,kind\nbuy now,ad\n", encoding="utf-8")
    table = {"file": "a.csv", "columns": {"text": "text"}, "skip": {"kind": ["ad"]}}
    recipe = Recipe.model_validate(
        {
            "name": "none",
            "data": tmp_path / "data",
            "sets": ["DR"],
            "jobs": 1,
            "collect": {"tables": {"DR": [table]}},
        }
    )
    found = collected(recipe, tmp_path / "collect")
    assert (found.posts, found.summary["rows_read"], found.summary["missing"]) == ([], 0, ["DR"])


def test_nothing_is_left_behind_when_a_file_is_at_fault(tmp_path: Path) -> None:
    recipe = mixed(tmp_path)
    with (tmp_path / "data/sources/DR/others.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"body": "cut of')
    out = tmp_path / "collect"
    out.mkdir()
    with pytest.raises(Exception, match=r"others.jsonl, row 37: not a JSON object"):
        collect.run(recipe, out)
    assert list(out.iterdir()) == []


# --- the real files, by their counts only ---------------------------------------------------------


@pytest.mark.data
@pytest.mark.slow
def test_no_copy_of_a_real_cams_test_post_is_trained_on(data: Path, tmp_path: Path) -> None:
    recipe = read_recipe(
        SAMPLE.parent / "recipes/imhi-linear.yaml", (f"data={data}", "sets=[CAMS, Irf, MultiWD]")
    )
    assert recipe.collect is not None
    assert recipe.collect.leak_guard == "question"
    found = collected(recipe, tmp_path / "collect")
    names, before, after = (found.overlap[key] for key in ("test_sets", "before_guard", "after_guard"))
    cams = names.index("CAMS")
    assert found.overlap["test_posts"][cams] == 300
    assert before[cams][cams] >= 299
    assert [after[n][n] for n in range(len(names))] == [0] * len(names)
    # and again without the guard's own way of finding them: equal keys, and keys that begin alike
    kept = [(post.split, text_key(post.text)) for post in found.posts if post.set == "CAMS"]
    tests = {key for split, key in kept if split == "test"} - {""}
    trained = {key for split, key in kept if split != "test"}
    assert len(tests) > 290
    assert len(trained) > 1500
    assert not tests & trained
    assert not {key[:200] for key in tests if len(key) >= 200} & {
        key[:200] for key in trained if len(key) >= 200
    }
