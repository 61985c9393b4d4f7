"""Answers on disk: what is stored, when it is safe, and what is said when the file cannot be used."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mentallama.analysts.answer import Answer, Quotation
from mentallama.errors import MentallamaError, UsageError
from mentallama.files.manifest import FileDigest
from mentallama.predict.tables.answer_store import (
    COMMIT_SECONDS,
    STORE_FILE,
    AnswerStore,
    StoredAnswer,
    text_hash,
)
from tests.factories.project import ROOT

ANSWER = Answer(
    post="so tired",
    task="DR",
    question="depression",
    label="yes",
    probability=0.75,
    probabilities={"yes": 0.75, "no": 0.25},
    status="parsed",
    explanation="It says “tired”.",
    evidence=(Quotation(start=3, end=8, text="tired", weight=0.5),),
    model="m",
)
FAILED = Answer(
    post="so far", task="DR", question="depression", status="failed", reason="HTTP 400", model="m"
)


def test_an_answer_comes_back_by_its_text_and_question(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / STORE_FILE, "model") as store:
        store.add(StoredAnswer.of(ANSWER))
        (found,) = store.answers(text_hash("so tired")).items()
        assert found == (("DR", "depression"), StoredAnswer.of(ANSWER))
        assert found[1].evidence == '[{"start": 3, "end": 8, "text": "tired", "weight": 0.5}]'
        assert store.answered(text_hash("so tired ")) == set()


def test_failed_answers_are_forgotten_and_others_kept(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / STORE_FILE, "model") as store:
        assert (store.has_answers, store.has_readings) == (False, False)
        store.add(StoredAnswer.of(FAILED))
        assert (store.has_answers, store.has_readings, store.failure_reasons()) == (True, False, ["HTTP 400"])
        store.add(StoredAnswer.of(ANSWER))
        assert (store.has_readings, store.forget_failed()) == (True, 1)
        assert (store.answered(text_hash("so far")), store.failure_reasons()) == (set(), [])
        assert store.answered(text_hash("so tired")) == {("DR", "depression")}


def test_answers_are_on_disk_after_a_second_by_the_clock(tmp_path: Path) -> None:
    now = [0.0]

    def on_disk() -> int:
        with sqlite3.connect(tmp_path / STORE_FILE) as other:
            return int(other.execute("SELECT count(*) FROM answers").fetchone()[0])

    with AnswerStore(tmp_path / STORE_FILE, "model", lambda: now[0]) as store:
        store.add(StoredAnswer.of(ANSWER))
        assert on_disk() == 0
        now[0] = COMMIT_SECONDS
        store.add(StoredAnswer.of(FAILED))
        assert on_disk() == 2


def test_the_output_and_the_model_are_remembered(tmp_path: Path) -> None:
    digest = FileDigest(name="out.csv", bytes=3, sha256="abc")
    with AnswerStore(tmp_path / STORE_FILE, "model") as store:
        assert store.output is None
        store.output = digest
    with AnswerStore(tmp_path / STORE_FILE, "model") as store:
        assert store.output == digest
    with pytest.raises(UsageError, match="answers of another model, other settings or another version"):
        AnswerStore(tmp_path / STORE_FILE, "another")


def test_an_identifier_is_new_once(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / STORE_FILE, "model") as store:
        store.forget_identifiers()
        assert [store.is_first_identifier(name) for name in ("a", "b", "a")] == [True, True, False]
        store.forget_identifiers()
        assert store.is_first_identifier("a")


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / STORE_FILE).write_bytes(b"no database at all, but long enough to look like one" * 100)
    with pytest.raises(MentallamaError, match=r"the answers so far cannot be read.*delete the folder"):
        AnswerStore(tmp_path / STORE_FILE, "model")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_full_disk_keeps_what_was_stored_before(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk, which SQLite meets as an error of writing."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tests.predict.tables.test_answer_store import ANSWER\n"
        "from mentallama.predict.tables.answer_store import AnswerStore, StoredAnswer\n"
        "store = AnswerStore(Path(sys.argv[1]), 'model')\n"
        "store.add(StoredAnswer.of(ANSWER)); store.commit()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, 1 << 17))\n"
        "try:\n"
        "    for n in range(500):\n"
        "        store.add(StoredAnswer.of(ANSWER.model_copy(update={'post': str(n), 'explanation': 'x' * 2000})))\n"
        "        store.commit()\n"
        "except OSError as error:\n"
        "    print(error.filename)\n"
    )
    path = tmp_path / STORE_FILE
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    with AnswerStore(path, "model") as store:
        assert store.answered(text_hash("so tired")) == {("DR", "depression")}
