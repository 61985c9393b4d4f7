"""Options that a model rejects are found out with the first requests, said once, and kept by a resumed run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentallama.errors import MentallamaError
from mentallama.records import Post
from tests.factories.endpoint_server import Body, Plan, serving
from tests.factories.linear_cases import make_post
from tests.factories.teach_cases import make_job, run_teach, sensible_reply

Answer = tuple[int, Body | bytes] | None


def posts(count: int = 30) -> list[Post]:
    return [
        make_post("DR", "train", f"A long walk, number {n}.", {"depression": "yes"}) for n in range(count)
    ]


def openai_error(message: str, param: str, code: str | None = None) -> Body:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def rejecting_system(answer: tuple[int, Body | bytes]) -> Callable[[Body, str], Answer]:
    return lambda body, _: answer if body["messages"][0]["role"] == "system" else None


VLLM = {"object": "error", "message": "System role not supported", "type": "BadRequestError", "code": 400}


def reply(body: Body) -> str:
    """As `sensible_reply`, which looks for the instructions in a message of their own."""
    instructions, _, last = body["messages"][-1]["content"].rpartition("\n\n<post>")
    messages = [{"content": instructions}, {"content": f"<post>{last}"}]
    return sensible_reply({"messages": messages})


@pytest.mark.parametrize(
    "answer",
    [
        (400, VLLM),
        (
            400,
            openai_error(
                "'messages[0].role' does not support 'system'", "messages[0].role", "unsupported_value"
            ),
        ),
        (400, openai_error("Conversation roles must alternate user/assistant/user/assistant", "")),
        (400, openai_error("Developer instruction is not enabled for this model", "")),
        (200, {"error": {"message": "Only user and assistant roles are supported!", "code": 400}}),
        (500, {"error": "System role not supported"}),
    ],
)
def test_a_rejected_system_role_costs_the_first_requests_only(
    answer: tuple[int, Body], tmp_path: Path
) -> None:
    with serving(Plan(respond=rejecting_system(answer), reply=reply)) as server:
        job = make_job(tmp_path, posts(), teacher=f"remote:test-model@{server.url}")
        summary, _, log = run_teach(job, tmp_path)
        assert summary.outcomes == {"test-model": {"parsed": 30}}
        assert len([line for line in log if "system_role: user" in line]) == 1
        sent = server.hashes.total()
        assert 30 < sent <= 38
        assert run_teach(job, tmp_path)[0] == summary
        assert server.hashes.total() == sent
        (user,) = server.bodies[-1]["messages"]
        assert "<post>" in user["content"]


def test_a_bare_500_is_tried_without_the_system_role(tmp_path: Path) -> None:
    with serving(Plan(respond=rejecting_system((500, b"Internal Server Error")), reply=reply)) as server:
        job = make_job(tmp_path, posts(), teacher=f"remote:test-model@{server.url}", max_attempts=2)
        summary, _, log = run_teach(job, tmp_path)
        assert summary.outcomes == {"test-model": {"parsed": 30}}
        assert server.hashes.total() == 8 * 2 + 30
    assert len([line for line in log if "answers only without the system role" in line]) == 1


def test_a_server_that_is_broken_either_way_keeps_the_role(tmp_path: Path) -> None:
    with serving(Plan(respond=lambda *_: (400, {"error": {"message": "bad template"}}))) as server:
        job = make_job(tmp_path, posts(), teacher=f"remote:test-model@{server.url}")
        with pytest.raises(MentallamaError, match="the server says: bad template"):
            run_teach(job, tmp_path)
        assert server.hashes.total() < 30


@pytest.mark.parametrize(("role", "roles"), [("user", ["user"]), ("developer", ["developer", "user"])])
def test_the_role_can_be_set(role: str, roles: list[str], tmp_path: Path) -> None:
    with serving(Plan(reply=lambda _: "Well.")) as server:
        teacher = {"spec": f"remote:test-model@{server.url}", "system_role": role}
        run_teach(make_job(tmp_path, posts(2), teacher=teacher), tmp_path)
        assert {tuple(message["role"] for message in body["messages"]) for body in server.bodies} == {
            tuple(roles)
        }


def only_new_fields(body: Body, _: str) -> Any:
    if "max_tokens" in body:
        return 400, openai_error(
            "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    if body.get("temperature") not in {None, 1}:
        sentence = (
            "'temperature' does not support 0.0 with this model. Only the default (1) value is supported."
        )
        return 400, openai_error(sentence, "temperature", "unsupported_value")
    return None


def test_renamed_and_unsupported_options_are_changed_and_said(tmp_path: Path) -> None:
    with serving(Plan(respond=only_new_fields, reply=sensible_reply)) as server:
        job = make_job(tmp_path, posts(), teacher=f"remote:test-model@{server.url}")
        summary, _, log = run_teach(job, tmp_path)
        assert summary.outcomes == {"test-model": {"parsed": 30}}
        assert server.hashes.total() <= 30 + 2 * 8
        assert server.bodies[-1]["max_completion_tokens"] == 512
    assert len([line for line in log if "max_completion_tokens" in line]) == 1
    assert len([line for line in log if "temperature" in line]) == 1
