"""Bound reasons from a scripted model: the exact number of requests, what is accepted, and nothing paid twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mentallama.config.explain import BoundText, Explain
from mentallama.errors import MentallamaError
from mentallama.explain.deletion import DeletionCurve
from mentallama.explain.reasons.dialogue import BoundReason
from mentallama.explain.reasons.run import (
    EvidencedAnswer,
    ReasonWriter,
    evidenced,
    open_writer,
    write_reasons,
)
from mentallama.explain.results import EvidenceRow
from mentallama.files.record_files import read_records
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.records import Span
from mentallama.tasks import load_tasks
from tests.factories.bound_reasons import TEXT, evidence
from tests.factories.endpoint_server import Body, Plan, Server, serving

YES = "Yes, the poster suffers from depression. Reasoning: "
GOOD = f"{YES}The writer says “I cannot get out of bed” and “I cry all day long”."
FOREIGN = f"{YES}The writer says “I cry all day long” and “nobody else calls”."
WRONG = "No, the poster does not suffer from depression. Reasoning: The writer says “I cry all day long”."


@contextmanager
def model(*replies: str, **plan: Any) -> Iterator[Server]:
    """Replies by how often the reason was asked for; the last is repeated."""

    def reply(body: Body) -> str:
        n_before = sum(message["role"] == "assistant" for message in body["messages"])
        return replies[min(n_before, len(replies) - 1)]

    with serving(Plan(reply=reply, **plan)) as server:
        yield server


def write(
    server: Server, folder: Path, answers: Sequence[EvidencedAnswer], **settings: Any
) -> tuple[list[BoundReason], list[str]]:
    bound = BoundText(spec=f"remote:test-model@{server.url}", **settings)
    log: list[str] = []
    with Ledger(folder / "reasons.ledger.sqlite") as ledger:
        writer = ReasonWriter(open_writer(bound, {}), load_tasks(), bound, ledger)
        write_reasons(writer, answers, folder / "reasons.jsonl.zst", log.append)
    return list(read_records(folder / "reasons.jsonl.zst", BoundReason)), log


def test_a_reason_is_accepted_and_the_model_never_sees_the_rest_of_the_post(tmp_path: Path) -> None:
    with model(GOOD) as server:
        (reason,), log = write(server, tmp_path, [evidence()])
    assert (reason.status, reason.text, reason.attempts, reason.unused, reason.faults) == (
        "accepted",
        GOOD,
        1,
        (),
        (),
    )
    (body,) = server.bodies
    shown = str(body)
    assert "1. “I cry all day long”" in shown
    assert "sister" not in shown
    (line,) = log
    assert line.startswith("explain: test-model: an estimated 1 request; about ")


def test_unused_passages_are_counted(tmp_path: Path) -> None:
    with model(f"{YES}The writer says “I cry all day long”.") as server:
        (reason,), _ = write(server, tmp_path, [evidence()])
    (unused,) = reason.unused
    assert TEXT[unused.start : unused.end] == "I cannot get out of bed"


def test_a_reason_is_repaired_at_the_second_attempt(tmp_path: Path) -> None:
    with model(FOREIGN, GOOD) as server:
        (reason,), _ = write(server, tmp_path, [evidence()])
    assert server.hashes.total() == 2
    assert (reason.status, reason.attempts, reason.faults) == ("accepted", 2, ("foreign quotation",))
    assert "“nobody else calls”" in server.bodies[1]["messages"][-1]["content"]
    assert server.bodies[1]["messages"][-2] == {"role": "assistant", "content": FOREIGN}


@pytest.mark.parametrize(("reply", "fault"), [(FOREIGN, "foreign quotation"), (WRONG, "another label")])
def test_a_reason_that_stays_wrong_is_rejected_and_not_written(
    reply: str, fault: str, tmp_path: Path
) -> None:
    with model(reply) as server:
        (reason,), _ = write(server, tmp_path, [evidence()], max_attempts=2)
    assert server.hashes.total() == 2
    assert (reason.status, reason.text, reason.faults) == ("rejected", None, (fault, fault))


@pytest.mark.parametrize("how", ["words", "filter"])
def test_a_refusal_is_not_asked_again(how: str, tmp_path: Path) -> None:
    fate = {"fate": lambda _, __: "filter"} if how == "filter" else {}
    with model("I'm sorry, but I can't help with this.", **fate) as server:
        (reason,), _ = write(server, tmp_path, [evidence()])
    assert server.hashes.total() == 1
    assert (reason.status, reason.text) == ("refused", None)


def test_nobody_is_asked_without_evidence(tmp_path: Path) -> None:
    with model(GOOD) as server:
        (reason,), _ = write(server, tmp_path, [evidence(passages=())])
    assert server.hashes.total() == 0
    assert (reason.status, reason.attempts) == ("no evidence", 0)


def test_a_run_that_stops_anywhere_pays_nothing_twice(tmp_path: Path) -> None:
    answers = [evidence(number) for number in range(8)]
    # the passages are the same in every post, so that all answers share their requests
    with model(FOREIGN, GOOD) as server:
        reasons, _ = write(server, tmp_path, answers)
    assert server.hashes.total() == 2
    assert [reason.status for reason in reasons] == ["accepted"] * 8
    apart = [evidence(number, (f"Day {number}", "I cry all day long")) for number in range(8)]
    prices = {"input_price": 1.0, "output_price": 2.0, "max_concurrency": 2}
    with model(FOREIGN, f"{YES}The writer says “I cry all day long”.") as server:
        n_stops = 0
        for budget in (0.003 * number for number in range(1, 40)):
            with suppress(MentallamaError):
                reasons, _ = write(server, tmp_path, apart, budget=budget, **prices)
                break
            n_stops += 1
        assert n_stops >= 2
        assert server.hashes.total() == len(server.hashes) == 16
    assert [(reason.status, reason.attempts) for reason in reasons] == [("accepted", 2)] * 8


def test_failed_requests_beyond_the_allowed_share_are_sent_again(tmp_path: Path) -> None:
    with model(GOOD, script=["500"]) as server:
        failing = BoundText(spec=f"remote:test-model@{server.url}", max_failed_share=0.0)
        endpoint = open_writer(failing, {})
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            writer = ReasonWriter(endpoint, load_tasks(), failing, ledger)
            reasons = tmp_path / "reasons.jsonl.zst"
            # one attempt at a request is made by retries; the server fails only the first
            write_reasons(writer, [evidence()], reasons, lambda _: None)
        assert server.hashes.total() == 2
    with model(GOOD, respond=lambda *_: (400, {"error": {"message": "no", "type": "x"}})) as server:
        with pytest.raises(MentallamaError, match="1 of 1 reasons have a failed request"):
            write(server, tmp_path, [evidence()])
        with pytest.raises(MentallamaError, match="the same command sends them again"):
            write(server, tmp_path, [evidence()])
        assert server.hashes.total() == 2


def test_a_model_without_a_system_role_is_found_out(tmp_path: Path) -> None:
    def respond(body: Body, _: str) -> tuple[int, Body | bytes] | None:
        rejection = {
            "error": {"message": "System role not supported", "type": "BadRequestError", "code": 400}
        }
        return (400, rejection) if body["messages"][0]["role"] == "system" else None

    with model(GOOD, respond=respond) as server:
        (reason,), log = write(server, tmp_path, [evidence()])
    assert reason.status == "accepted"
    assert any("system_role: user" in line for line in log)


def test_the_weightiest_spans_for_the_answer_are_given() -> None:
    answer = evidence().answer
    weights = (0.5, -1.0, 2.0, 1.0)
    curve = DeletionCurve(whole=0.5, removed=(), kept=())
    row = EvidenceRow(
        example_id=answer.example.id, post_id=answer.example.post_id, set="DR", question="depression", label="yes",
        method="exact", top=curve, matched=curve,
        spans=tuple(Span(start=3 * n, end=3 * n + 2, weight=weight) for n, weight in enumerate(weights)),
    )  # fmt: skip
    assert [span.weight for span in evidenced(answer, row, 2).spans] == [2.0, 1.0]
    assert [span.weight for span in evidenced(answer, row, 9).spans] == [2.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"text": "bound"}, "go together"),
        ({"bound": "remote:m@http://127.0.0.1:8000/v1"}, "go together"),
        ({"text": "bound", "bound": "linear:x"}, "'linear:x' writes no reasons"),
        ({"text": "bound", "bound": "https://me:pw@x/v1"}, "'https' writes no reasons"),
        ({"text": "bound", "bound": "remote:m"}, "write it as remote:MODEL@URL"),
        (
            {"text": "bound", "bound": {"spec": "remote:m@http://127.0.0.1:8000/v1", "budget": 1}},
            "a budget needs input_price and output_price",
        ),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        Explain.model_validate(settings)
