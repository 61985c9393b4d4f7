"""The tests' own server speaks the protocol, and does what it is told."""

from __future__ import annotations

import openai
import pytest

from mentallama.llm_api.types import request_hash
from tests.factories.endpoint_server import FAULTS, Plan, Server, fixed_reply, server_process, serving


def client(url: str, key: str = "made-up") -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0)


def test_the_openai_sdk_talks_to_it() -> None:
    with serving(Plan(key="made-up")) as server:
        assert [model.id for model in client(server.url).models.list()] == ["test-model"]
        messages = [{"role": "user", "content": "a made-up post"}]
        found = client(server.url).chat.completions.create(model="test-model", messages=messages)  # type: ignore[arg-type]
        assert found.choices[0].message.content == fixed_reply({})
        assert found.usage is not None
        assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
        assert server.hashes == {request_hash(server.url, {"model": "test-model", "messages": messages}): 1}
        with pytest.raises(openai.AuthenticationError):
            client(server.url, "another").models.list()
        with pytest.raises(openai.NotFoundError):
            client(server.url).chat.completions.create(model="unknown", messages=messages)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("happens", "raises"),
    [
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("503", openai.InternalServerError),
        ("filtered", openai.BadRequestError),
        ("cut", openai.APIConnectionError),
    ],
)
def test_its_faults_are_the_sdks_faults(happens: str, raises: type[Exception]) -> None:
    with serving(Plan(script=[happens])) as server, pytest.raises(raises):
        client(server.url).chat.completions.create(
            model="test-model", messages=[{"role": "user", "content": "x"}]
        )


def test_faults_come_in_their_shares_whatever_the_order() -> None:
    plan = Plan(faults=dict.fromkeys(FAULTS, 0.04), seed=3)
    forward, backward = Server(plan), Server(plan)
    hashes = [f"{number:032x}" for number in range(3000)]
    drawn = {digest: forward._draw(digest) for digest in hashes}
    assert {digest: backward._draw(digest) for digest in reversed(hashes)} == drawn
    counts = {fault: list(drawn.values()).count(fault) for fault in FAULTS}
    assert all(80 <= count <= 165 for count in counts.values()), counts  # 120 expected, sd 11
    # a second try draws again, but a filter's word stands
    for digest in hashes:
        forward.hashes[digest] += 1
    again = {digest: forward._draw(digest) for digest in hashes}
    refused = {digest for digest in hashes if drawn[digest] in FAULTS[-3:]}
    assert {digest for digest in hashes if again[digest] in FAULTS[-3:]} == refused
    assert again != drawn


def test_it_runs_as_a_process() -> None:
    with server_process("--model", "another") as url:
        assert [model.id for model in client(url).models.list()] == ["another"]
