"""The report: everything on one page, the same bytes each time, and no word of a post."""

import random
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mentallama.errors import DataError
from mentallama.evaluate.published_reader import PublishedScore
from mentallama.evaluate.run import score_sets, write_scores
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.score_row import ScoredRow
from mentallama.files.atomic import write_json
from mentallama.files.record_files import write_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.records import Prediction, Reading
from mentallama.report.run import escape_markdown_cell, run
from mentallama.report.sections.provenance import flatten_settings
from mentallama.safety import NOTICE
from mentallama.tasks import Task, load_tasks

SECRET = "a sentence out of somebody's post"
SIZES = {
    "DR": 40,
    "dreaddit": 60,
    "Irf": 50,
    "MultiWD": 30,
    "SAD": 90,
    "CAMS": 70,
    "loneliness": 45,
    "t-sid": 80,
}
PUBLISHED = PublishedScore(
    weighted_f1=61.5,
    accuracy=62.5,
    reason=None,
    n_references=40,
    n_outputs=40,
    n_defaulted=3,
    n_differences=4,
)


def made_up_rows(task: Task, posts: int) -> list[ScoredRow]:
    """Rows of an analyst that is right seven times in ten and says so."""
    draw = random.Random(task.set)
    rows = []
    for number in range(posts):
        for question in task.questions:
            gold = draw.choice(list(task.labels))
            sure = draw.uniform(1 / len(task.labels), 1)
            said = gold if draw.random() < 0.7 else draw.choice([*task.labels, "unparsed", "truncated"])
            lost = said in ("unparsed", "truncated")
            rows.append(
                ScoredRow.model_validate(
                    {
                        "example_id": f"{number}{question}",
                        "set": task.set,
                        "question": question,
                        "post_id": f"{number}",
                        "gold": gold,
                        "status": said if lost else "parsed",
                        "predicted": None if lost else said,
                        "probability": None if lost else sure,
                        "brier": 2 * (1 - sure) ** 2,
                    }
                )
            )
    return rows


def make_scores(out: Path) -> ScoreFile:
    tasks = load_tasks()
    rows = {name: made_up_rows(tasks[name], posts) for name, posts in SIZES.items()}
    how = Resampling(resamples=200)
    unscored = PUBLISHED.model_copy(
        update={
            "weighted_f1": None,
            "accuracy": None,
            "reason": "its lists differ in length: 58 references, 70 outputs",
        }
    )
    return write_scores(
        out / "evaluate",
        ScoreFile(
            form="instruction",
            source={"kind": "predictions", "model": "linear:runs/made-up/train"},
            resampling=how,
            sets=score_sets(rows, tasks, how),
            missing=("CLP", "swmh"),
            missing_reasons={
                "CLP": "there are no labelled test posts for it",
                "swmh": "3 labelled test rows have no prediction",
            },
            as_published={"DR": PUBLISHED, "CAMS": unscored},
        ),
        rows,
    )


def make_run(out: Path) -> Path:
    """A made-up run's folder with everything a report can show."""
    make_scores(out)
    names = list(load_tasks())
    sizes = [SIZES.get(name, 0) for name in names]
    counts = [[(7 * i * j) % 23 if size else 0 for j in range(len(names))] for i, size in enumerate(sizes)]
    posts = {
        name: {"train": 12 * size, "validation": size, "test": size}
        for name, size in zip(names, sizes, strict=True)
    }
    write_json(
        out / "collect/summary.json",
        {
            "posts": posts,
            "missing": ["CLP", "swmh"],
            "rows_read": 6_000,
            "rejected": 12,
            "reject_reasons": {"an empty post": 9, "unknown label": 3},
            "cleaning": {"mended": 40},
            "leak_guard": "run",
            "removed": [
                {
                    "reason": "leak",
                    "match": "exact",
                    "set": "MultiWD",
                    "split": "train",
                    "duplicate_of_set": "Irf",
                    "duplicate_of_split": "test",
                    "posts": 792,
                },
                {
                    "reason": "leak",
                    "match": "near",
                    "set": "MultiWD",
                    "split": "train",
                    "duplicate_of_set": "Irf",
                    "duplicate_of_split": "test",
                    "posts": 31,
                },
                {
                    "reason": "duplicate",
                    "match": "exact",
                    "set": "SAD",
                    "split": "train",
                    "duplicate_of_set": "SAD",
                    "duplicate_of_split": "train",
                    "posts": 4,
                },
                {
                    "reason": "synthetic",
                    "match": None,
                    "set": "DR",
                    "split": "test",
                    "duplicate_of_set": None,
                    "duplicate_of_split": None,
                    "posts": 2,
                },
            ],
            "held_out": {
                "sets": ["CAMS", "Irf"],
                "posts_left_out": 900,
                "test_posts_left_in_training": 0,
                "verified": True,
            },
            "files": ["release/x.csv"],
        },
    )
    write_json(
        out / "collect/overlap.json",
        {
            "test_sets": names,
            "train_sets": names,
            "before_guard": counts,
            "after_guard": [[0] * len(names)] * len(names),
            "test_posts": sizes,
        },
    )
    write_json(
        out / "collect/label_drift.json",
        [
            {
                "set": "Irf",
                "question": "thwarted belongingness",
                "rows": 1057,
                "differ": 230,
                "share": 0.2176,
                "pairs": {"yes → no": 230},
            },
            {"set": "dreaddit", "question": "stress", "rows": 414, "differ": 3, "share": 0.0072, "pairs": {}},
        ],
    )
    card = {"C": 2.0, "class_weight": "balanced", "temperature": 1.2345, "weighted_f1": 0.9876}
    write_json(
        out / "train/summary.json",
        {
            "sets": {
                "DR": {
                    "questions": {"depression": {"train": 480, "validation": 40, "metadata": card}},
                    "features": 1000,
                    "seconds": 1.5,
                }
            },
            "skipped": {"CLP, depression": "0 labelled training posts"},
        },
    )
    write_records(
        out / "predict/predictions.jsonl.zst",
        [
            Prediction(
                example_id="e",
                reading=Reading(status="parsed", label="yes", explanation=SECRET),
                probabilities={"yes": 0.9, "no": 0.1},
                model="linear:runs/made-up/train",
            ),
        ],
    )
    return out


SETTINGS = {
    "name": "made-up",
    "seed": 7,
    "tasks": None,
    "collect": {"leak_guard": "run", "held_out": ["CAMS", "Irf"]},
}


def report(folder: Path, title: str, settings: dict[str, object] | None = None) -> Path:
    return run(folder, folder / "report", title, settings)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(make_run(tmp_path_factory.mktemp("run")), "A made-up run", SETTINGS)


class Outline(HTMLParser):
    """Gathers a page's tags, and checks that they are closed in order."""

    VOID = frozenset({"meta", "link", "br", "img", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def outline(page: Path) -> Outline:
    found = Outline()
    found.feed(page.read_text(encoding="utf-8"))
    assert found.open == []
    return found


def test_the_page_is_well_formed_and_described(whole: Path) -> None:
    page = outline(whole)
    assert page.having("html") == [{"lang": "en"}]
    assert len(page.having("h1")) == 1
    assert all(cell.get("scope") in ("col", "row") for cell in page.having("th"))
    assert len(page.having("caption")) == len(page.having("table")) > 15
    drawn = page.having("svg")
    assert len(drawn) == 1 + len(SIZES)
    assert all(one["role"] == "img" and len(one["aria-label"] or "") > 20 for one in drawn)


def test_links_and_ids_agree(whole: Path) -> None:
    page = outline(whole)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    parts = {f"#{part['id']}" for part in page.having("section")}
    assert {link["href"] for link in page.having("a")} == parts
    assert {part["aria-labelledby"] for part in page.having("section")} <= set(ids)


def test_nothing_outside_the_page_is_asked_for(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    assert "<script" not in text
    assert outline(whole).having("img") == []
    addresses = set(re.findall(r'https?://[^"\s<]+', text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_no_post_text_on_the_page(whole: Path) -> None:
    for name in ("index.html", "report.md"):
        assert SECRET not in (whole.parent / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["index.html", "report.md"])
def test_both_pages_say_the_same(whole: Path, name: str) -> None:
    text = (whole.parent / name).read_text(encoding="utf-8")
    for expected in (
        NOTICE[:40],
        "A made-up run",
        "MentaLLaMA-chat-13B",
        "85.68",
        "thwarted belongingness",
        "792",
        "swmh: 3 labelled test rows have no prediction",
        "its lists differ in length: 58 references, 70 outputs",
        "Held out: CAMS, Irf. None of their posts",
        "27.22",
        "collect.leak_guard",
        "98.76",
    ):
        assert expected in text, expected
    assert "nan" not in re.findall(r"\w+", text.lower())


def test_the_same_run_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    again = report(make_run(tmp_path), "A made-up run", SETTINGS)
    assert again.read_bytes() == whole.read_bytes()
    assert (again.parent / "report.md").read_bytes() == (whole.parent / "report.md").read_bytes()


def test_an_empty_run_says_what_is_missing(tmp_path: Path) -> None:
    text = report(tmp_path, "Nothing yet").read_text(encoding="utf-8")
    for name in (
        "evaluate/scores.json",
        "collect/summary.json",
        "collect/overlap.json",
        "collect/label_drift.json",
        "train/summary.json",
    ):
        assert f"There is no {name} in this run" in text
    assert NOTICE[:40] in text


def test_scores_alone_are_enough(tmp_path: Path) -> None:
    make_scores(tmp_path)
    text = report(tmp_path, "Scores").read_text(encoding="utf-8")
    assert "Results compared with the paper" in text
    assert "saw nothing of these sets" not in text  # without the leak guard's word there is no such claim


def test_secrets_and_folders_of_the_machine_stay_off_the_page(tmp_path: Path) -> None:
    collect = {"author_salt": "pepper", "tables": ["/home/somebody/table.csv"]}
    settings = {"data": "/home/somebody/imhi", "collect": collect}
    report(tmp_path, "Sent around", settings)
    for name in ("index.html", "report.md"):
        text = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert "imhi" in text
        assert "collect.author_salt" in text
        assert "pepper" not in text
        assert "somebody" not in text


def test_titles_are_escaped(tmp_path: Path) -> None:
    text = report(tmp_path, "<b>a & b</b>").read_text(encoding="utf-8")
    assert "<h1>&lt;b&gt;a &amp; b&lt;/b&gt;</h1>" in text


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "collect/label_drift.json", [{"set": "Irf"}])
    with pytest.raises(DataError, match=r"collect/label_drift.json: the report cannot read 0.differ"):
        report(tmp_path, "Damaged")


def test_a_markdown_table_has_as_many_cells_as_its_head(whole: Path) -> None:
    lines = (whole.parent / "report.md").read_text(encoding="utf-8").splitlines()
    blocks = "\n".join(lines).split("\n\n")
    tables = [block.strip().splitlines() for block in blocks if block.lstrip().startswith("|")]
    assert len(tables) > 15
    for table in tables:
        assert len(table) >= 3
        assert len({line.count("|") for line in table}) == 1, table[0]


def test_cells_of_markdown() -> None:
    assert escape_markdown_cell("a|b\nc") == "a\\|b c"


def test_settings_in_a_list_are_shown_one_by_one() -> None:
    teachers = [
        {"spec": "embedded", "max_tokens": 512},
        {"spec": "linear:x", "options": {"api_key": "hunter2"}},
    ]
    assert list(flatten_settings({"teacher": teachers})) == [
        ("teacher.1.spec", "embedded"),
        ("teacher.1.max_tokens", "512"),
        ("teacher.2.spec", "linear:x"),
        ("teacher.2.options.api_key", "not shown"),
    ]
