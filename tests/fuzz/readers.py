"""Everything that reads a file, an answer or a server's reply that the package did not just write itself.

Each reader comes with one valid input. Texts of people in it hold `CANARY`, which no message may show.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import random
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from openpyxl import Workbook

from mentallama.analysts.answer import example_of_text
from mentallama.analysts.checkpoints.digests import write_hashes
from mentallama.analysts.checkpoints.metadata import (
    MAJORITY_MODEL_FILE,
    METADATA_FILE,
    SEEN_FILE,
    ModelMetadata,
    read_model_metadata,
    read_seen_hashes,
)
from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.analysts.majority import LabelCounts, MajorityAnalyst, save_majority_model
from mentallama.answers.parse import read_answer
from mentallama.check.human_review.disagreements import DISAGREEMENT_COLUMNS, read_decisions
from mentallama.check.human_review.rating_sample import ASPECTS, RATING_COLUMNS, read_ratings
from mentallama.collect.clean_batch import clean_batch
from mentallama.collect.readers import read_table_posts
from mentallama.config import EndpointSettings, Predict, read_recipe
from mentallama.evaluate.published.align_outputs import read_outputs
from mentallama.evaluate.score_file import ScoreFile, read_scores
from mentallama.files.erasure_requests import ErasureList, read_erasure_list
from mentallama.files.imhi_release import ReleaseFile, read_release_file
from mentallama.files.manifest import read_manifest, write_manifest
from mentallama.files.record_files import read_records, write_records
from mentallama.files.tables import read_verbatim
from mentallama.llm_api.batch_api.result_files import parse_result_line
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.transport.http import parse_response
from mentallama.llm_api.types import Completion, Request
from mentallama.metrics.bootstrap import Resampling
from mentallama.predict.stage import PredictJob
from mentallama.predict.tables.command import TableCommand
from mentallama.predict.tables.run import predict_table
from mentallama.records import Post, Prediction, Provenance, Reading
from mentallama.run_files import ERASURE_LIST_PATH, MANIFEST_FILE
from mentallama.tasks import ColumnMap, Source, load_tasks
from mentallama.tasks.catalogue import read_task
from mentallama.train.data.corpus import read_corpus
from tests.factories.answer_kinds import task_of_kind
from tests.factories.project import RECIPES, SOURCE
from tests.fuzz.mutations import damage

CANARY = "quokkawindmill"
"""A made-up word that stands in every post of a seed."""

TEXTS = tuple(f"{CANARY} and a long week, day {n}; the rent is due, says my landlord" for n in range(4))
"""Synthetic posts."""

Damage = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Reader:
    """One kind of input.

    `seed` is a valid file of the name `file`; `read` reads it to its end, and `damage` makes an invalid one of it.
    """

    name: str
    file: str
    make_seed: Callable[[], bytes]
    read: Callable[[Path], object]
    damage: Damage = damage

    @cached_property
    def seed(self) -> bytes:
        return self.make_seed()


def _read_to_the_end(rows: Iterable[object]) -> int:
    return sum(1 for _ in rows)


def _bytes_of(name: str, write: Callable[[Path], object]) -> bytes:
    """What `write` writes into a file of this name."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


# Damage inside a container


def _inside(compress: Callable[[bytes], bytes], decompress: Callable[[bytes], bytes]) -> Damage:
    """Damage the content of a compressed file, or in one of four cases the compressed bytes."""

    def damaged(raw: bytes, draw: random.Random) -> bytes:
        if draw.random() < 0.25:
            return damage(raw, draw)
        return compress(damage(decompress(raw), draw))

    return damaged


def _zip_member(raw: bytes, draw: random.Random) -> bytes:
    """Damage one member of a zip file, or in one of four cases the zip file."""
    if draw.random() < 0.25:
        return damage(raw, draw)
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = draw.choice(sorted(members))
    if draw.random() < 0.1:
        del members[chosen]
    else:
        members[chosen] = damage(members[chosen], draw)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def _json_value(raw: bytes, draw: random.Random) -> bytes:
    """Put another value in the place of one of a JSON document, or in one of four cases damage its text."""
    if draw.random() < 0.25:
        return damage(raw, draw)
    return json.dumps(_other_value(json.loads(raw), draw)).encode()


def _json_line(raw: bytes, draw: random.Random) -> bytes:
    """Do so in one line of JSON Lines."""
    lines = raw.splitlines()
    at = draw.randrange(len(lines))
    lines[at] = _json_value(lines[at], draw)
    return b"\n".join(lines) + b"\n"


_OTHER_VALUES = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\x00",
    [],
    {},
    [[]],
    {"a": 1},
    "\ud800",
)


def _other_value(value: Any, draw: random.Random) -> Any:
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        if draw.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: _other_value(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        return [*value[:at], _other_value(value[at], draw), *value[at + 1 :]]
    return draw.choice(_OTHER_VALUES)


# Seeds


def _table(delimiter: str = ",") -> bytes:
    out = io.StringIO()
    rows = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    rows.writerow(["id", "text", "label", "author", "day"])
    rows.writerows([n, text, n % 2, f"u{n}", "2021-02-03"] for n, text in enumerate(TEXTS))
    return out.getvalue().encode()


def _json_rows() -> list[dict[str, object]]:
    return [
        {"id": n, "text": text, "label": n % 2, "author": f"u{n}", "data": {"selftext": text}}
        for n, text in enumerate(TEXTS)
    ]


def _json_lines() -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in _json_rows())


def _workbook() -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["id", "text", "label"])
    for n, text in enumerate(TEXTS):
        sheet.append([n, text, n % 2])
    return _bytes_of("b.xlsx", book.save)


def _parquet() -> bytes:
    columns = {"text": list(TEXTS), "label": ["0", "1", "0", "1"], "day": [1, 2, 3, 4]}
    return _bytes_of("p.parquet", lambda path: pq.write_table(pa.table(columns), path))


def _posts() -> bytes:
    origin = Provenance(file="p.csv", row=2, origin="table", synthetic=True)
    labels = {"depression": "yes"}
    return _jsonl_of(
        Post(id=f"{n:016x}", set="DR", split="train", text=text, labels=labels, provenance=origin)
        for n, text in enumerate(TEXTS)
    )


def _predictions() -> bytes:
    reading = Reading(status="parsed", label="yes", explanation=f"It says {CANARY}.")
    shares = {"yes": 0.7, "no": 0.3}
    return _jsonl_of(
        Prediction(example_id=f"{n:016x}", reading=reading, probabilities=shares, model="m") for n in range(3)
    )


def _jsonl_of(records: Iterable[Any]) -> bytes:
    return _bytes_of("r.jsonl", lambda path: write_records(path, records))


def _erasure_list() -> bytes:
    return ErasureList(post_ids=("a" * 16,), text_hashes=(1,)).model_dump_json().encode()


def _metadata() -> bytes:
    model = ModelMetadata(
        analyst="causal", fingerprint="f", form="instruction", max_tokens=9, sets=("DR",), base="b"
    )
    return model.model_dump_json().encode()


def _with_folder(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """A reader of a file's folder as a reader of the file."""
    return lambda path: read(path.parent)


def _read_corpus(path: Path) -> object:
    return read_corpus(path, None)


def _sheet(columns: Iterable[str], row: Mapping[str, str]) -> bytes:
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow(columns)
    lines.writerow([row.get(name, f"{CANARY} {name}") for name in columns])
    return out.getvalue().encode()


def _release() -> bytes:
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow(["query", "gpt-3.5-turbo"])
    for text in TEXTS:
        query = f'Consider this post: "{text}" Question: Does the poster suffer from stress?'
        lines.writerow([query, "Yes, the poster suffers from stress. Reasoning: A long week."])
    return out.getvalue().encode()


def _outputs() -> bytes:
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow(["", "goldens", "generated_text"])
    lines.writerows([n, "Yes. Reasoning: It is.", f"No. Reasoning: {text}"] for n, text in enumerate(TEXTS))
    return out.getvalue().encode()


def _ledger() -> bytes:
    def write(path: Path) -> None:
        body = {"messages": [{"role": "user", "content": TEXTS[0]}]}
        request = Request(
            hash="f" * 32, body=body, example_id="e1", post_id="p1", task="DR", question="depression"
        )
        done = Completion(
            hash=request.hash, example_id="e1", model="m", state="answered", text=f"Yes, {CANARY}."
        )
        with Ledger(path) as ledger:
            ledger.commit([(request, done)])
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            file.execute("PRAGMA journal_mode = DELETE")

    return _bytes_of("ledger.sqlite", write)


def _read_ledger(path: Path) -> object:
    with Ledger(path) as ledger:
        ledger.known_hashes(["f" * 32])
        ledger.total_spent()
        return ledger.get_completions(["f" * 32])


def _manifest() -> bytes:
    return _bytes_of(
        "manifest.json", lambda path: write_manifest(path.parent, "collect", {"x": 1}, (), {"posts": 4}, 1.0)
    )


def _scores() -> bytes:
    resampling = Resampling()
    scores = ScoreFile(
        form="instruction",
        source={"kind": "predictions", "model": "m"},
        resampling=resampling,
        sets={},
        missing=("DR",),
        missing_reasons={"DR": "no test rows"},
    )
    return scores.model_dump_json().encode()


@cache
def _linear_model() -> dict[str, bytes]:
    """Files of a linear model."""
    from mentallama.config import LinearSettings
    from mentallama.train.linear.trainer import train_linear
    from tests.factories.linear_cases import depression_posts

    with tempfile.TemporaryDirectory() as folder:
        train_linear(depression_posts(), Path(folder), LinearSettings(C=(1.0,)))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _read_linear_model(changed: str, path: Path) -> object:
    """Load a model whose digests were made after the damage, so that they do not reveal it."""
    for name, content in _linear_model().items():
        if name != changed:
            (path.parent / name).write_bytes(content)
    write_hashes(path.parent)
    return LinearAnalyst.load(path.parent)


def _linear_reader(file: str, change: Damage) -> Reader:
    return Reader(
        f"linear {file}", file, lambda: _linear_model()[file], partial(_read_linear_model, file), change
    )


def _majority_model() -> bytes:
    """The file of a majority model."""
    with tempfile.TemporaryDirectory() as folder:
        save_majority_model(
            Path(folder), LabelCounts.of_rows([("DR", "depression", label) for label in ("yes", "no")])
        )
        return (Path(folder) / MAJORITY_MODEL_FILE).read_bytes()


def _read_majority_model(path: Path) -> object:
    """Load a model whose digests were made after the damage, so that they do not reveal it, and let it answer."""
    write_hashes(path.parent)
    analyst = MajorityAnalyst.load(path.parent)
    examples = [example_of_text("made up", key, "instruction") for key in analyst.supported_questions]
    return list(analyst.predict(examples))


def _chat_body() -> bytes:
    message = {"role": "assistant", "content": f"Yes, the poster suffers from stress. Reasoning: {CANARY}."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 5}}).encode()


def _error_body() -> bytes:
    error = {"message": f"cannot answer {CANARY}", "type": "invalid_request_error", "param": "x", "code": 400}
    return json.dumps({"error": error, "detail": [{"loc": ["body"], "msg": "x"}]}).encode()


def _read_body(status: int, path: Path) -> object:
    endpoint = Endpoint("m", "http://127.0.0.1:9/v1", EndpointSettings())
    return parse_response(endpoint, status, {"Retry-After": "1"}, path.read_bytes())


def _batch_line() -> bytes:
    response = {"status_code": 200, "body": json.loads(_chat_body())}
    return json.dumps({"id": "r", "custom_id": "h", "response": response, "error": None}).encode()


def _read_batch_line(path: Path) -> object:
    return parse_result_line(path.read_bytes(), path, 1)


_ANSWERS = b"\n\n".join(
    (
        b"Yes, the poster suffers from stress. Reasoning: A long week.",
        b"<think>Hmm, maybe not.</think> **Answer:** no. The tone is calm.",
        b'{"label": "yes", "explanation": "A long week.", "evidence": ["rent"]}',
        b"I cannot diagnose anyone, but the stress here comes from work. \\boxed{yes}",
        b'The post shows: sleep: "awake at 4"; low mood: "grey". Reasoning: It says so.',
        b'{"items": {"sleep": 2, "energy": "several days"}, "explanation": "A long week."}',
        b"Labels:\n- **sleep**: yes\n- appetite - no\n\n1. low mood (2)",
    )
)


def _read_answers(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", "replace")
    return [
        read_answer(task, text, form)
        for task in (*load_tasks().values(), *map(task_of_kind, ("ordinal", "multi", "spans", "scale")))
        for form in ("instruction", "completion")
    ]


def _annotated() -> bytes:
    spans = [{"start": 0, "end": 5, "label": "sleep"}, {"type": "low mood", "text": "long week"}]
    rows = [{"text": text, "labels": ["sleep"], "spans": spans, "sleep": 1, "energy": 2} for text in TEXTS]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _read_annotated(path: Path) -> object:
    """Answers of each kind, with the quotations located in their posts."""
    columns = {"multi": "labels", "spans": "spans", "scale": {"sleep": "sleep", "energy": "energy"}}
    rows = []
    for kind, labels in columns.items():
        source = Source(file=path.name, columns=ColumnMap(text="text", labels={"about": labels}))
        rows += list(read_table_posts(path, source, task_of_kind(kind), path.name, "table"))
    return clean_batch(rows, "salt", frozenset()).rejects


def _read_release(path: Path) -> object:
    file = ReleaseFile("dreaddit", "test", "instruction", path)
    return _read_to_the_end(read_release_file(file, load_tasks()["dreaddit"]))


def _read_outputs(path: Path) -> object:
    return [read_outputs(path, escape) for escape in ("\\", None)]


def _read_predictions(path: Path) -> object:
    return _read_to_the_end(read_records(path, Prediction))


def _read_posts(path: Path) -> object:
    return _read_to_the_end(read_records(path, Post))


def _read_table(path: Path, text: str = "text") -> object:
    columns = ColumnMap(text=text, labels={"depression": "label"})
    source = Source(file=path.name, columns=columns, codes={"0": "no", "1": "yes"})
    return _read_to_the_end(read_table_posts(path, source, load_tasks()["DR"], path.name, "table"))


def _answer_table(path: Path, text: str = "text") -> object:
    """Answer a table and write it in every format: as many rows come out as went in."""
    script = path.with_name("script.jsonl")
    script.write_text('{"task": "DR", "question": "depression", "text": "Yes. Reasoning: It says so."}\n')
    job = PredictJob(f"scripted:{script}", Predict(mode="free"), load_tasks())
    rows: list[int] = []
    for suffix in ("csv", "jsonl", "parquet", "xlsx"):
        out = path.with_name(f"out.{suffix}")
        command = TableCommand(job, str(path), str(out), (text,), questions=("DR",), prefix="p_")
        rows.append(predict_table(command, lambda _: None).rows)
        assert _read_to_the_end(read_verbatim(out)) == rows[0]
    return rows


def _xml() -> bytes:
    writings = "".join(f"<WRITING><TEXT>{text}</TEXT><label>1</label></WRITING>" for text in TEXTS)
    return f"<?xml version='1.0'?><INDIVIDUAL><ID>s1</ID>{writings}</INDIVIDUAL>".encode()


_gzip = _inside(gzip.compress, gzip.decompress)
_bzip2 = _inside(bz2.compress, bz2.decompress)
_zstd = _inside(zstandard.ZstdCompressor().compress, lambda raw: zstandard.ZstdDecompressor().decompress(raw))

READERS: tuple[Reader, ...] = (
    Reader("recipe", "r.yaml", (RECIPES / "sample-build.yaml").read_bytes, read_recipe),
    Reader("training recipe", "r.yaml", (RECIPES / "mentallama-7b.yaml").read_bytes, read_recipe),
    Reader("task", "t.yaml", (SOURCE / "mentallama/tasks/data/sad.yaml").read_bytes, read_task),
    Reader("CSV", "t.csv", _table, _read_table),
    Reader("CSV with semicolons", "t.csv", partial(_table, ";"), _read_table),
    Reader("TSV", "t.tsv", partial(_table, "\t"), _read_table),
    Reader("gzipped CSV", "t.csv.gz", lambda: gzip.compress(_table()), _read_table, _gzip),
    Reader("JSON Lines", "t.jsonl", _json_lines, _read_table),
    Reader("JSON Lines values", "t.jsonl", _json_lines, _read_table, _json_line),
    Reader("JSON array", "t.json", lambda: json.dumps(_json_rows()).encode(), _read_table, _json_value),
    Reader(
        "JSON Lines in zstd", "t.jsonl.zst", lambda: zstandard.compress(_json_lines()), _read_table, _zstd
    ),
    Reader("JSON Lines in bzip2", "t.jsonl.bz2", lambda: bz2.compress(_json_lines()), _read_table, _bzip2),
    Reader("XML", "subject1.xml", _xml, partial(_read_table, text="TEXT")),
    Reader("workbook", "t.xlsx", _workbook, _read_table, _zip_member),
    Reader("Parquet", "t.parquet", _parquet, _read_table),
    Reader("CSV to be answered", "t.csv", _table, _answer_table),
    Reader("JSON Lines to be answered", "t.jsonl", _json_lines, _answer_table, _json_line),
    Reader("workbook to be answered", "t.xlsx", _workbook, _answer_table, _zip_member),
    Reader("XML to be answered", "s.xml", _xml, partial(_answer_table, text="TEXT")),
    Reader("posts", "p.jsonl", _posts, _read_posts, _json_line),
    Reader("posts in zstd", "p.jsonl.zst", lambda: zstandard.compress(_posts()), _read_posts, _zstd),
    Reader("predictions", "p.jsonl", _predictions, _read_predictions, _json_line),
    Reader("release", "dreaddit.csv", _release, _read_release),
    Reader("model outputs", "SAD.csv", _outputs, _read_outputs),
    Reader("decisions", "d.csv", partial(_sheet, DISAGREEMENT_COLUMNS, {"decision": "set"}), read_decisions),
    Reader("ratings", "r.csv", partial(_sheet, RATING_COLUMNS, dict.fromkeys(ASPECTS, "2")), read_ratings),
    Reader("scores", "scores.json", _scores, read_scores, _json_value),
    Reader("manifest", MANIFEST_FILE, _manifest, _with_folder(read_manifest), _json_value),
    Reader("erasure list", ERASURE_LIST_PATH, _erasure_list, _with_folder(read_erasure_list), _json_value),
    Reader("model metadata", METADATA_FILE, _metadata, _with_folder(read_model_metadata), _json_value),
    Reader("seen hashes", SEEN_FILE, lambda: b'["ab", "cd"]', _with_folder(read_seen_hashes), _json_value),
    Reader("ledger", "ledger.sqlite", _ledger, _read_ledger),
    Reader("batch result", "r.jsonl", _batch_line, _read_batch_line, _json_value),
    Reader("chat reply", "body", _chat_body, partial(_read_body, 200), _json_value),
    Reader("error reply", "body", _error_body, partial(_read_body, 400), _json_value),
    Reader("busy reply", "body", _error_body, partial(_read_body, 429), _json_value),
    _linear_reader("model.json", _json_value),
    _linear_reader("DR.npz", _zip_member),
    Reader("majority model", MAJORITY_MODEL_FILE, _majority_model, _read_majority_model, _json_value),
    Reader("corpus", "c.txt", "\n\n".join(TEXTS).encode, _read_corpus),
    Reader("JSON Lines corpus", "c.jsonl", _json_lines, _read_corpus, _json_line),
    Reader("JSON Lines of labels and quotations", "t.jsonl", _annotated, _read_annotated, _json_line),
    Reader("answers", "answer.txt", lambda: _ANSWERS, _read_answers),
)
