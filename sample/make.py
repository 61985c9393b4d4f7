"""Write the sample's files from its corpus: `python sample/make.py`

Reads `corpus/*.yaml`, `tables.yaml`, `examples.csv` and `kinds/posts.yaml`. Writes `sources/SET/FILE` in the layouts
and encodings of the upstream files, `release/` in the published layout, the tables of `kinds/` with the replies of a
scripted model that fills its scale, and the hashes by which `collect` recognises the posts. The output is the same byte
for byte every time. All of it is synthetic.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import canonicalize
from zipfile import ZipFile, ZipInfo

import yaml
from openpyxl import Workbook

from mentallama.answers.format import write_answer
from mentallama.files.tables import read_table
from mentallama.tasks import Source, Task, load_tasks, write_query
from mentallama.text.fingerprint import is_identifying, key_hash, text_key
from mentallama.text.pii import scrub
from mentallama.text.repair import repair

SAMPLE = Path(__file__).parent
SYNTHETIC_HASHES = SAMPLE.parent / "src/mentallama/text/synthetic_posts.txt"
EXAMPLES = SAMPLE / "examples.csv"
KINDS = SAMPLE / "kinds"
EXPERT = "release/human_evaluation/test_instruction_expert"

Post = dict[str, Any]
"""An entry of the corpus: id, set, split, text, author, labels, language, and optionally evidence (question -> spans),
misdecode (an encoding) and meta."""
Cells = dict[str, str | int | float]


def corpus() -> list[Post]:
    """All posts of the corpus, with clean text and true labels."""
    return [{"set": file["set"], **post} for file in _corpus_files() for post in file["posts"]]


def expert_answers() -> list[dict[str, str]]:
    """The hand-written explanations: set, post (an id), question, label, explanation."""
    return [{"set": file["set"], **answer} for file in _corpus_files() for answer in file["expert"]]


def sources(task: Task) -> tuple[Source, ...]:
    """A set's files: as its task declares them, or as `tables.yaml` does."""
    tables = yaml.safe_load((SAMPLE / "tables.yaml").read_text(encoding="utf-8"))
    return task.sources or (Source.model_validate(tables[task.set]),)


def posts_in(source: Source, task: Task, posts: Sequence[Post]) -> list[Post]:
    """Posts of a set that one of its files contains.

    Where upstream publishes no validation file, the validation posts are in the training file; where it publishes
    several files but no splits, posts are distributed over the files in turn.
    """
    files = sources(task)
    if source.split is None:
        return list(posts[files.index(source) :: len(files)])
    published = {file.split for file in files}
    return [p for p in posts if (p["split"] if p["split"] in published else "train") == source.split]


def text_in_file(post: Post) -> str:
    """The text as written to a file: where the corpus says so, UTF-8 read in another encoding."""
    return _misread(post["text"], post.get("misdecode"))


def build() -> Iterator[tuple[str, bytes]]:
    """All files: path below the sample's folder, and bytes."""
    answers = expert_answers()
    by_set: dict[str, list[Post]] = {}
    for post in corpus():
        by_set.setdefault(post["set"], []).append(post)
    for name, task in load_tasks().items():
        for source in sources(task):
            posts = posts_in(source, task, by_set[name])
            rows = [_cells(post, number, source) for number, post in enumerate(posts, 1)]
            yield f"sources/{name}/{source.file}", _table(source, [_in_order(name, row) for row in rows])
        yield f"{EXPERT}/{name}.csv", _separated(_expert_rows(task, by_set[name], answers)).encode()
    yield from _kinds_files()


def kinds_corpus() -> list[Post]:
    """The posts of the tasks of other kinds than choice, with severity, quotations and levels of the scale."""
    posts: list[Post] = yaml.safe_load((KINDS / "posts.yaml").read_text(encoding="utf-8"))["posts"]
    return posts


def _kinds_files() -> Iterator[tuple[str, bytes]]:
    """One table a task, each in another of the layouts in which answers of its kind come."""
    posts, tasks = kinds_corpus(), load_tasks(KINDS / "tasks")
    symptoms, items = tasks["symptoms"].labels, tasks["strain-scale"].items
    scores = tasks["distress-severity"].level_scores

    def rows(labels: Callable[[Post], Cells]) -> list[Cells]:
        return [
            {"id": post["id"], "user": post["author"], "post": post["text"]}
            | labels(post)
            | {"fold": post["split"]}
            for post in posts
        ]

    def named(post: Post) -> set[str]:
        return {name for name, _ in post["quotations"]}

    tables: dict[str, list[Cells]] = {
        "distress-severity/posts.csv": rows(lambda post: {"severity": scores[post["severity"]]}),
        "symptoms/posts.csv": rows(lambda post: {name: int(name in named(post)) for name in symptoms}),
        "strain-scale/posts.tsv": rows(
            lambda post: {
                name: "" if level is None else level for name, level in zip(items, post["scale"], strict=True)
            }
        ),
    }
    for name, table in tables.items():
        yield f"kinds/sources/{name}", _separated(table, "\t" if name.endswith(".tsv") else ",").encode()
    spans = [row | {"spans": _spans(post)} for row, post in zip(rows(lambda _: {}), posts, strict=True)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in spans)
    yield "kinds/sources/symptom-quotes/posts.jsonl", lines.encode()
    replies = "".join(
        json.dumps(line, ensure_ascii=False) + "\n" for line in scale_replies(tasks["strain-scale"])
    )
    yield "kinds/scale_replies.jsonl", replies.encode()


ITEM_OF_SYMPTOM = {"sleep problems": "sleep", "tiredness": "energy", "worry": "worry"}
DOUBTED = "syn-kinds-001"
"""A post of which the checker sends an item back."""
DOUBT = "Three nights in a row are not most nights."


def scale_replies(task: Task) -> Iterator[Cells]:
    """Replies of a model that fills the scale where the annotators quote something for an item, and of its checker."""
    levels = list(task.labels)
    for post in kinds_corpus():
        quoted: dict[str, list[str]] = {}
        for symptom, quotation in post["quotations"]:
            if symptom in ITEM_OF_SYMPTOM:
                quoted.setdefault(ITEM_OF_SYMPTOM[symptom], []).append(quotation)
        for item, quotations in quoted.items():
            level = levels[post["scale"][list(task.items).index(item)] or 0]
            asked = [f'Item "{item}":', post["text"]]
            if post["id"] == DOUBTED and item == "sleep":
                yield {"contains": [*asked, DOUBT], "reply": _filled_item("some days", quotations)}
            yield {"contains": asked, "reply": _filled_item(level, quotations)}
        if post["id"] == DOUBTED:
            objections = {"objections": [{"item": "sleep", "reason": DOUBT}]}
            yield {"contains": ["were filled anew", post["text"]], "reply": '{"objections": []}'}
            yield {"contains": ["The filled items:", post["text"]], "reply": json.dumps(objections)}
    yield {"contains": ["The filled items:"], "reply": '{"objections": []}'}
    yield {"contains": ['Item "'], "reply": '{"level": null, "statement": "", "evidence": []}'}


def _filled_item(level: str, quotations: list[str]) -> str:
    said = " and ".join(f"“{quotation}”" for quotation in quotations)
    reply = {"level": level, "statement": f"The writer says {said}.", "evidence": quotations}
    return json.dumps(reply, ensure_ascii=False)


def _spans(post: Post) -> list[Cells]:
    """Quotations by their offsets, as annotation tools export them."""
    return [
        {"start": (start := post["text"].index(text)), "end": start + len(text), "label": name}
        for name, text in post["quotations"]
    ]


def write_sample(folder: Path) -> None:
    """Write all files below a folder."""
    for name, raw in build():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)


def _corpus_files() -> list[dict[str, Any]]:
    paths = sorted((SAMPLE / "corpus").glob("*.yaml"))
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths]


def _misread(text: str, encoding: str | None) -> str:
    return text.encode().decode(encoding) if encoding else text


# --- rows ----------------------------------------------------------------------------------------


def _cells(post: Post, number: int, source: Source) -> Cells:
    """A post's row: the columns that its source declares, then further columns of the upstream layout."""
    columns, code = source.columns, {label: code for code, label in source.codes.items()}
    cells: Cells = {columns.text: text_in_file(post)}
    for question, column in columns.labels.items():
        cells[column] = _number(code[post["labels"][question]])
    for question, column in columns.evidence.items():
        cells[column] = _evidence(post, question)
    if columns.author:
        cells[columns.author] = post["author"]
    if columns.split:
        cells[columns.split] = post["split"]
    extra = _EXTRA.get(post["set"])
    return cells | (extra(post, number) if extra else {})


def _number(code: str) -> str | int:
    return int(code) if code.isdigit() else code


EVIDENCE_FAULTS: dict[tuple[str, str], Callable[[str], str]] = {
    # Annotators' cells that are not copied from the post letter by letter.
    ("syn-irf-007", "thwarted belongingness"): str.upper,
    ("syn-irf-042", "perceived burdensomeness"): str.title,
    ("syn-irf-004", "perceived burdensomeness"): lambda span: f" {span.replace(' ', '  ', 3)} ",
    ("syn-irf-010", "thwarted belongingness"): lambda span: span,  # in order, though the post is not
    ("syn-irf-019", "perceived burdensomeness"): lambda span: _misread(span, "cp1252"),  # post: Mac Roman
    ("syn-irf-018", "perceived burdensomeness"): lambda _: "all would do well alone",  # cannot be placed
}


def _evidence(post: Post, question: str) -> str:
    """The annotators' cell: spans joined by commas and mis-decoded like the post, or deliberately faulty."""
    cell = ", ".join(post.get("evidence", {}).get(question, []))
    fault = EVIDENCE_FAULTS.get((post["id"], question))
    return fault(cell) if fault else _misread(cell, post.get("misdecode"))


def _dreaddit(post: Post, number: int) -> Cells:
    meta, text = post["meta"], post["text"]
    sentences, words = max(1, len(re.findall(r"[.!?]+(?:\s|$)", text))), max(1, len(text.split()))
    letters = sum(map(str.isalnum, text))
    return {
        "subreddit": meta["subreddit"],
        "post_id": post["id"],
        "sentence_range": f"(0, {sentences})",
        "id": number,
        "confidence": meta["confidence"],
        "social_timestamp": meta["timestamp"],
        "social_karma": number % 23,
        # Automated readability index, Smith and Senter 1967.
        "syntax_ari": round(4.71 * letters / words + 0.5 * words / sentences - 21.43, 6),
    }


_STRESSORS = (
    "Financial Problem",
    "Other",
    "Everyday Decision Making",
    "Emotional Turmoil",
    "School",
    "Family Issues",
    "Social Relationships",
    "Work",
    "Health, Fatigue, or Physical Pain",
)


def _sad(post: Post, number: int) -> Cells:
    meta, (source,) = post["meta"], load_tasks()["SAD"].sources
    top = next(code for code, label in source.codes.items() if label == post["labels"]["cause"])
    second, severity = meta.get("second_label", " "), float(meta["severity"])  # upstream's "none" is a space
    votes = {top: 0.8, second: 0.2} if second in _STRESSORS else {top: 1.0}
    return {
        "sID": number,
        "is_stressor": int(meta["is_stressor"]),
        "is_stressor_conf": 1,
        "is_covid": 0,
        "is_covid_conf": 1,
        "top_label": top,
        "second_label": second,
        "avg_severity": severity,
        "median_severity": severity,
        "SD_severity": 1.5,
        "Votes": 5,
        **{name: votes.get(name, 0) for name in _STRESSORS},
        "Source": "synthetic",
        "is_seed": 0,
    }


_EXTRA: dict[str, Callable[[Post, int], Cells]] = {
    "dreaddit": _dreaddit,
    "SAD": _sad,
    "Irf": lambda _, number: {"Unnamed: 0": number},
    "loneliness": lambda _, number: {"": number},
    "DR": lambda post, _: {"id": post["id"]},
    "CLP": lambda post, _: {"post_id": post["id"]},
    "t-sid": lambda post, _: {"tweet_id": post["id"]},
}

# Columns in upstream's order, where that is not text, labels, evidence.
_ORDER: dict[str, tuple[str, ...]] = {
    "dreaddit": (
        "subreddit",
        "post_id",
        "sentence_range",
        "text",
        "id",
        "label",
        "confidence",
        "social_timestamp",
        "social_karma",
        "syntax_ari",
    ),
    "SAD": (
        "sID",
        "sentence",
        "is_stressor",
        "is_stressor_conf",
        "is_covid",
        "is_covid_conf",
        "original_label",
        "top_label",
        "second_label",
        "avg_severity",
        "median_severity",
        "SD_severity",
        "Votes",
        *_STRESSORS,
        "Source",
        "is_seed",
    ),
    "Irf": ("Unnamed: 0", "text", "belong", "belong_exp", "burden", "burden_exp"),
    "loneliness": ("", "text", "tb", "tb_exp"),
    "DR": ("id", "author", "body", "depressed", "split"),
    "CLP": ("post_id", "user", "post", "label", "fold"),
    "t-sid": ("tweet_id", "user", "tweet", "class", "split"),
}


def _in_order(name: str, cells: Cells) -> Cells:
    return {column: cells[column] for column in _ORDER.get(name, tuple(cells))}


def _expert_rows(task: Task, posts: Iterable[Post], answers: Iterable[dict[str, str]]) -> list[Cells]:
    by_id = {post["id"]: post for post in posts}
    return [
        {
            "query": write_query(task, each["question"], "instruction", text_in_file(by_id[each["post"]])),
            "gpt-3.5-turbo": write_answer(task, each["question"], each["label"], each["explanation"]),
        }
        for each in answers
        if each["set"] == task.set
    ]


# --- bytes ---------------------------------------------------------------------------------------


def _table(source: Source, rows: list[Cells]) -> bytes:
    kind = Path(source.file).suffix
    if kind == ".xlsx":
        return _workbook(rows)
    if kind == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return _separated(rows, "\t" if kind == ".tsv" else ",").encode(source.encoding)


def _separated(rows: list[Cells], delimiter: str = ",") -> str:
    """CSV with CRLF line ends, as upstream; line breaks inside a cell stay LF."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _workbook(rows: list[Cells]) -> bytes:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "SAD_v1"
    for cells in (list(rows[0]), *(list(row.values()) for row in rows)):
        sheet.append(cells)
    written = io.BytesIO()
    book.save(written)
    return _reproducible(written)


def _reproducible(workbook: io.BytesIO) -> bytes:
    """Rewrite a workbook so that its bytes do not depend on the clock, the compressor or the XML writer."""
    out = io.BytesIO()
    with ZipFile(workbook) as source, ZipFile(out, "w") as target:
        for name in sorted(source.namelist()):
            text = canonicalize(source.read(name).decode())
            text = re.sub('<t( xml:space="preserve")?>', '<t xml:space="preserve">', text)  # lxml's way
            if name == "docProps/core.xml":
                text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2024-01-01T00:00:00Z", text)
            entry = ZipInfo(name)
            entry.create_system = 3
            target.writestr(entry, text)
    return out.getvalue()


def synthetic_hashes() -> list[str]:
    """Sorted key hashes by which `collect` recognises these posts wherever they occur, one per post.

    Very short posts are left out, since a real person may have written the same text.
    """
    texts = [post["text"] for post in (*corpus(), *kinds_corpus())]
    texts += [cells["text"] for _, cells in read_table(EXAMPLES)]
    keys = {text_key(scrub(repair(text))[0]) for text in texts}
    return sorted(f"{key_hash(key):016x}" for key in keys if is_identifying(key))


if __name__ == "__main__":
    write_sample(SAMPLE)
    SYNTHETIC_HASHES.write_text("\n".join(synthetic_hashes()) + "\n", encoding="ascii")
