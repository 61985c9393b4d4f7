"""What is shown of a server's sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.llm_api.transport.server_message import safe_message

POST = "Zoltan walked Biscuit along Fennimore canal, quietly exhausted."
KEY = "sk-proj-Qw7ZpLm3Xr9TbVn2"
PAYLOAD = json.dumps({"messages": [{"role": "user", "content": f"Consider this post: {POST}"}]}).encode()


@pytest.mark.parametrize(
    "message",
    [
        "System role not supported",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "This model's maximum context length is 512 tokens. However, you requested 700 tokens",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "model 'llama3' not found, try pulling it first",
    ],
)
def test_sentences_about_the_protocol_are_shown(message: str) -> None:
    assert safe_message(message, PAYLOAD, KEY) == message


@pytest.mark.parametrize(
    "words", [POST, POST.upper(), POST[:37], POST[8:30], json.dumps(POST), POST.replace(" ", "\\n")]
)
def test_the_post_is_never_repeated(words: str) -> None:
    shown = safe_message(f"Invalid prompt: {words} (blocked)", PAYLOAD, None).lower()
    assert shown.startswith("invalid prompt")
    for word in ("zoltan", "walked", "biscuit", "fennim", "canal", "quietly", "exhausted"):
        assert word not in shown


@pytest.mark.parametrize(
    "echo",
    [
        KEY,
        f"Bearer {KEY}",
        f"Authorization: {KEY}",
        f"https://user:{KEY}@host/v1?key={KEY}",
        f"{KEY[:12]}****{KEY[-4:]}",
        f"{KEY[:8]}…{KEY[-4:]}",
        f"{KEY[:8]}... ",
        f"'{KEY}'",
        f"...{KEY[-6:]}",
        KEY[:10],
    ],
)
def test_no_part_of_the_key_is_repeated(echo: str) -> None:
    shown = safe_message(f"Incorrect API key provided: {echo} is wrong", PAYLOAD, KEY)
    parts = {KEY[start : start + 4] for start in range(len(KEY) - 3)}
    assert not [part for part in parts if part.lower() in shown.lower()]


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "Z")), min_size=12, max_size=80))
def test_any_post_that_is_echoed_is_removed(post: str) -> None:
    payload = json.dumps({"prompt": post}).encode()
    shown = safe_message(f"error <{post}>", payload, None)
    long_words = [word for word in post.split() if len(word) > 12 and word.isalnum()]
    assert not [word for word in long_words if word in shown]


def test_long_sentences_are_cut() -> None:
    assert len(safe_message("model " * 10_000, PAYLOAD, None)) <= 240
